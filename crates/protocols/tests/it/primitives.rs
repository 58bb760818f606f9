//! Wycheproof's vectors of the primitives behind JWS, against our keys: the same verdicts wherever an
//! algorithm of JWS has the same parameters.

use doorward_protocols::jose::{Algorithm, SecretRule, VerifyingKey};
use wycheproof::{TestResult, ecdsa, eddsa, mac, rsa_pkcs1_verify, rsa_pss_verify};

/// "Acceptable" vectors are legal but legacy; none of the sets below needs one.
fn expected(result: TestResult) -> bool {
    matches!(result, TestResult::Valid)
}

#[test]
fn hmac_tags_match_in_full_length_only() {
    for (name, alg, bits) in [
        (mac::TestName::HmacSha256, Algorithm::HS256, 256),
        (mac::TestName::HmacSha384, Algorithm::HS384, 384),
        (mac::TestName::HmacSha512, Algorithm::HS512, 512),
    ] {
        let (mut full, mut truncated) = (0, 0);
        for group in mac::TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                let key = VerifyingKey::from_secret(&test.key, alg, None, SecretRule::Compat).unwrap();
                // JWS knows no truncated tags (RFC 7518 §3.2).
                let valid = expected(test.result) && group.tag_size == bits;
                assert_eq!(key.verify(&test.msg, &test.tag), valid, "{alg} {}", test.tc_id);
                if group.tag_size == bits { full += 1 } else { truncated += 1 }
            }
        }
        assert!(full > 50 && truncated > 50, "{alg} {full} {truncated}");
    }
}

#[test]
fn rsa_pkcs1_signatures_get_the_published_verdict() {
    use rsa_pkcs1_verify::TestName::*;
    for (name, alg) in [
        (Rsa2048Sha256, Algorithm::RS256),
        (Rsa2048Sha384, Algorithm::RS384),
        (Rsa2048Sha512, Algorithm::RS512),
        (Rsa3072Sha256, Algorithm::RS256),
        (Rsa3072Sha384, Algorithm::RS384),
        (Rsa3072Sha512, Algorithm::RS512),
        (Rsa4096Sha256, Algorithm::RS256),
        (Rsa4096Sha384, Algorithm::RS384),
        (Rsa4096Sha512, Algorithm::RS512),
        (Rsa8192Sha256, Algorithm::RS256),
    ] {
        let mut count = 0;
        for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
            let key = VerifyingKey::from_pem(&group.pem, alg, None).unwrap();
            for test in group.tests {
                let good = key.verify(&test.msg, &test.sig);
                match test.result {
                    // A DigestInfo without its NULL, which the provider does not take: the strict reading.
                    TestResult::Acceptable => assert!(!good, "{name:?} {}", test.tc_id),
                    result => assert_eq!(good, expected(result), "{name:?} {}", test.tc_id),
                }
                count += 1;
            }
        }
        assert!(count > 100, "{name:?} {count}");
    }
}

#[test]
fn rsa_pss_signatures_get_the_published_verdict() {
    use rsa_pss_verify::TestName::*;
    // What the signatures of a set are for us: right, made with another salt length, or another mask.
    enum Set {
        Same,
        OtherSalt,
        OtherMask,
    }
    for (name, alg, set) in [
        (RsaPss2048Sha256Mgf1SaltLen32, Algorithm::PS256, Set::Same),
        (RsaPss2048Sha384Mgf1SaltLen48, Algorithm::PS384, Set::Same),
        (RsaPss3072Sha256Mgf1SaltLen32, Algorithm::PS256, Set::Same),
        (RsaPss4096Sha256Mgf1SaltLen32, Algorithm::PS256, Set::Same),
        (RsaPss4096Sha384Mgf1SaltLen48, Algorithm::PS384, Set::Same),
        (RsaPss4096Sha512Mgf1SaltLen64, Algorithm::PS512, Set::Same),
        // Other salt lengths and mask hashes than RFC 7518 §3.5 fixes.
        (RsaPss2048Sha256Mgf1SaltLen0, Algorithm::PS256, Set::OtherSalt),
        (RsaPss4096Sha512Mgf1SaltLen32, Algorithm::PS512, Set::OtherSalt),
        (RsaPss2048Sha256Mgf1Sha1_20, Algorithm::PS256, Set::OtherMask),
    ] {
        let mut count = 0;
        for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
            let key = VerifyingKey::from_pem(&group.pem, alg, None).unwrap();
            for test in group.tests {
                // In a set for another salt length, the row that "changes" it to ours is right for us alone.
                let ours = format!("s_len changed to {}", alg.hash_bytes());
                let valid = match set {
                    Set::Same => expected(test.result),
                    Set::OtherSalt => test.comment == ours,
                    Set::OtherMask => false,
                };
                assert_eq!(key.verify(&test.msg, &test.sig), valid, "{name:?} {}", test.tc_id);
                count += 1;
            }
        }
        assert!(count > 20, "{name:?} {count}");
    }
}

#[test]
fn ecdsa_signatures_get_the_published_verdict() {
    use ecdsa::TestName::*;
    for (name, alg) in [
        (EcdsaSecp256r1Sha256P1363, Algorithm::ES256),
        (EcdsaSecp384r1Sha384P1363, Algorithm::ES384),
        (EcdsaSecp521r1Sha512P1363, Algorithm::ES512),
    ] {
        let mut count = 0;
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            let key = VerifyingKey::from_pem(&group.pem, alg, None).unwrap();
            assert!(!key.verify(b"", &vec![0; 2 * alg.hash_bytes()]), "psychic signature");
            for test in group.tests {
                assert_eq!(
                    key.verify(&test.msg, &test.sig),
                    expected(test.result),
                    "{name:?} {}",
                    test.tc_id
                );
                count += 1;
            }
        }
        assert!(count > 200, "{name:?} {count}");
    }
}

#[test]
fn ed25519_signatures_get_the_published_verdict() {
    let mut count = 0;
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        let key = VerifyingKey::from_pem(&group.pem, Algorithm::EdDSA, None).unwrap();
        for test in group.tests {
            assert_eq!(key.verify(&test.msg, &test.sig), expected(test.result), "{}", test.tc_id);
            count += 1;
        }
    }
    assert!(count > 100, "{count}");
}
