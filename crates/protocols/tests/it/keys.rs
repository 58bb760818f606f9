//! Reading keys: every format an operator may have, and every key that must not be taken.

use aws_lc_rs::encoding::{AsDer, EcPrivateKeyRfc5915Der};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use doorward_protocols::encoding::base64url_encode;
use doorward_protocols::jose::{
    Algorithm, Jwk, JwkSet, KeyError, KeySet, KeySetError, SecretRule, SigningKey, VerifyingKey,
};
use serde_json::{Value, json};

use crate::{key, pem};

const ASYMMETRIC: [Algorithm; 10] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::ES512,
    Algorithm::EdDSA,
];

/// A self-signed certificate and its public key, made by OpenSSL.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBiTCCAS+gAwIBAgIUN3QP4ni1jzJle50fO3UcklbfLN0wCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwOaXNzdWVyLmV4YW1wbGUwIBcNMjYxMTI0MTY0MjU1WhgPMjEy
NjEwMzExNjQyNTVaMBkxFzAVBgNVBAMMDmlzc3Vlci5leGFtcGxlMFkwEwYHKoZI
zj0CAQYIKoZIzj0DAQcDQgAEIyHgqeI4xjGU5yu/MYT8FM0w+RjencDak1tpxo60
Q6uEZgf2vc01MInqPTidVKsWp3JNhMX1yP1xjNVMdblVK6NTMFEwHQYDVR0OBBYE
FCSFRCfblQ/DB+CIcvVRG0FqDoitMB8GA1UdIwQYMBaAFCSFRCfblQ/DB+CIcvVR
G0FqDoitMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIgdiG0kl5f
BBAb+Q33OpaNvXx2R7ueuLMQtKAQtOTlifMCIQDCShsNj0RARbRsBODUEHgctrOv
mVZ1RdFlmwuNSxLsdQ==
-----END CERTIFICATE-----
";
const CERTIFIED: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEIyHgqeI4xjGU5yu/MYT8FM0w+Rje
ncDak1tpxo60Q6uEZgf2vc01MInqPTidVKsWp3JNhMX1yP1xjNVMdblVKw==
-----END PUBLIC KEY-----
";

fn signed_by(signing: &SigningKey, verifying: &VerifyingKey) -> bool {
    let mut signature = vec![];
    signing.sign(b"message", &mut signature).unwrap();
    verifying.verify(b"message", &signature) && !verifying.verify(b"massage", &signature)
}

fn thumbprint(key: &VerifyingKey) -> String {
    key.to_public_jwk().unwrap().thumbprint()
}

fn public_json(alg: Algorithm) -> Value {
    serde_json::to_value(key(alg).0.to_public_jwk().unwrap()).unwrap()
}

fn parse(value: &Value) -> Result<Jwk, KeyError> {
    Jwk::parse(&serde_json::to_vec(value).unwrap())
}

#[test]
fn the_public_half_is_derived_from_a_private_pem_of_every_algorithm() {
    for alg in ASYMMETRIC {
        let (signing, stored) = key(alg);
        let text = pem("PRIVATE KEY", stored.expose());
        let verifying = VerifyingKey::from_pem(&text, alg, Some("k".into())).unwrap();
        assert!(signed_by(signing, &verifying), "{alg}");
        assert_eq!(verifying.kid(), Some("k"));
        assert!(
            signed_by(&SigningKey::from_pem(&text, alg, None).unwrap(), &signing.verifying_key()),
            "{alg}"
        );
    }
}

#[test]
fn line_breaks_may_be_spelled_out() {
    let text = pem("PRIVATE KEY", key(Algorithm::ES256).1.expose());
    for (name, spelled) in [
        ("escaped", text.replace('\n', "\\n")),
        ("escaped, windows", text.replace('\n', "\\r\\n")),
        ("windows", text.replace('\n', "\r\n")),
        ("quoted", format!("\"{}\"", text.replace('\n', "\\n"))),
        ("surrounding space", format!("  {text}\n\n")),
    ] {
        let verifying = VerifyingKey::from_pem(&spelled, Algorithm::ES256, None).unwrap();
        assert!(signed_by(&key(Algorithm::ES256).0, &verifying), "{name}");
    }
}

#[test]
fn older_formats_are_read() {
    let (rsa, stored) = key(Algorithm::RS256);
    // PKCS#8 of a 2048-bit RSA key wraps the PKCS#1 form in 26 bytes of header.
    let pkcs1 = pem("RSA PRIVATE KEY", &stored.expose()[26..]);
    assert!(signed_by(rsa, &VerifyingKey::from_pem(&pkcs1, Algorithm::RS256, None).unwrap()));
    assert!(signed_by(
        &SigningKey::from_pem(&pkcs1, Algorithm::PS384, None).unwrap(),
        &key(Algorithm::PS384).0.verifying_key()
    ));

    let (ec, stored) = key(Algorithm::ES256);
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, stored.expose()).unwrap();
    let der: EcPrivateKeyRfc5915Der<'_> = pair.private_key().as_der().unwrap();
    let sec1 = pem("EC PRIVATE KEY", der.as_ref());
    let with_parameters = pem("EC PARAMETERS", &[6, 8, 42, 134, 72, 206, 61, 3, 1, 7]) + &sec1;
    assert!(signed_by(ec, &VerifyingKey::from_pem(&with_parameters, Algorithm::ES256, None).unwrap()));
    assert_eq!(
        VerifyingKey::from_pem(&sec1, Algorithm::ES384, None).unwrap_err(),
        KeyError::WrongKeyForAlgorithm("ES384")
    );
}

#[test]
fn a_certificate_gives_its_key() {
    let certified = VerifyingKey::from_pem(CERTIFICATE, Algorithm::ES256, None).unwrap();
    let public = VerifyingKey::from_pem(CERTIFIED, Algorithm::ES256, None).unwrap();
    assert_eq!(thumbprint(&certified), thumbprint(&public));
    let chain = CERTIFICATE.repeat(3);
    assert_eq!(
        thumbprint(&VerifyingKey::from_pem(&chain, Algorithm::ES256, None).unwrap()),
        thumbprint(&public)
    );
    assert_eq!(SigningKey::from_pem(CERTIFICATE, Algorithm::ES256, None).unwrap_err(), KeyError::NotPrivate);
}

#[test]
fn pem_documents_that_are_not_one_key_are_refused_by_name() {
    let private = pem("PRIVATE KEY", key(Algorithm::ES256).1.expose());
    let truncated = pem("PRIVATE KEY", &key(Algorithm::ES256).1.expose()[..60]);
    for (name, text, expected) in [
        ("empty", String::new(), KeyError::NotPem),
        ("text", "secret".into(), KeyError::NotPem),
        ("two keys", private.clone() + &private, KeyError::SeveralKeysInPem),
        ("certificate and key", CERTIFICATE.to_owned() + &private, KeyError::SeveralKeysInPem),
        ("request", pem("CERTIFICATE REQUEST", b"x"), KeyError::NoKeyInPem),
        ("encrypted", pem("ENCRYPTED PRIVATE KEY", b"x"), KeyError::Encrypted),
        ("cut off", truncated, KeyError::WrongKeyForAlgorithm("ES256")),
        ("not a certificate", pem("CERTIFICATE", b"x"), KeyError::Invalid("not an X.509 certificate")),
        (
            "broken base64",
            "-----BEGIN PUBLIC KEY-----\n!!\n-----END PUBLIC KEY-----".into(),
            KeyError::NotPem,
        ),
        ("huge", "A".repeat(1 << 20), KeyError::NotPem),
    ] {
        assert_eq!(VerifyingKey::from_pem(&text, Algorithm::ES256, None).unwrap_err(), expected, "{name}");
    }
}

#[test]
fn a_key_fits_only_the_algorithms_of_its_kind_and_curve() {
    let kind = |alg: Algorithm| match alg.name() {
        "ES256" | "ES384" | "ES512" | "EdDSA" => alg.name(),
        _ => "RSA",
    };
    for made in ASYMMETRIC {
        let text = pem("PRIVATE KEY", key(made).1.expose());
        let jwk = {
            let mut value = public_json(made);
            value.as_object_mut().unwrap().remove("alg");
            parse(&value).unwrap()
        };
        for asked in Algorithm::ALL {
            let fits = !asked.is_symmetric() && kind(made) == kind(asked);
            assert_eq!(VerifyingKey::from_pem(&text, asked, None).is_ok(), fits, "{made} as {asked}");
            assert_eq!(SigningKey::from_pem(&text, asked, None).is_ok(), fits, "{made} as {asked}");
            assert_eq!(VerifyingKey::from_jwk_as(&jwk, asked).is_ok(), fits, "{made} as {asked}");
        }
    }
}

#[test]
fn secrets_are_as_long_as_their_rule_says() {
    for (name, length, rule, expected, weak) in [
        ("strict, whole", 32, SecretRule::Strict, true, false),
        ("strict, short", 31, SecretRule::Strict, false, false),
        ("compat, short", 1, SecretRule::Compat, true, true),
        ("compat, whole", 32, SecretRule::Compat, true, false),
        ("compat, empty", 0, SecretRule::Compat, false, false),
    ] {
        let made = VerifyingKey::from_secret(&vec![7; length], Algorithm::HS256, None, rule);
        assert_eq!(made.is_ok(), expected, "{name}");
        assert_eq!(made.is_ok_and(|key| key.is_weak()), weak, "{name}");
    }
    let refused =
        VerifyingKey::from_secret(&[7; 63], Algorithm::HS512, None, SecretRule::Strict).unwrap_err();
    assert_eq!(refused, KeyError::SecretTooShort { actual: 63, needed: 64 });
}

#[test]
fn nothing_secret_is_printed_or_serialized() {
    for alg in Algorithm::ALL {
        let (signing, stored) = key(alg);
        let shown = format!("{signing:?} {stored:?} {:?}", signing.verifying_key());
        assert!(shown.len() < 250 && shown.contains(alg.name()), "{shown}");
        assert_eq!(signing.to_public_jwk().is_none(), alg.is_symmetric());
    }
    let secret = "hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg";
    let jwk = parse(&json!({"kty": "oct", "alg": "HS256", "k": secret})).unwrap();
    assert!(!serde_json::to_string(&jwk).unwrap().contains(secret) && !format!("{jwk:?}").contains(secret));
}

#[test]
fn thumbprints_are_those_of_the_rfcs() {
    // RFC 7638 §3.1 and RFC 8037 A.3.
    let rsa = json!({
        "kty": "RSA", "e": "AQAB", "alg": "RS256", "kid": "2011-04-29",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
    });
    assert_eq!(parse(&rsa).unwrap().thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    let okp = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    assert_eq!(parse(&okp).unwrap().thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn jwks_with_a_flaw_are_refused() {
    let edit = |alg: Algorithm, name: &str, value: Value| {
        let mut jwk = public_json(alg);
        jwk[name] = value;
        parse(&jwk).and_then(|jwk| VerifyingKey::from_jwk(&jwk)).map(|_| ())
    };
    let forbidden_use = Err(KeyError::Forbidden("use is not sig"));
    let forbidden_op = Err(KeyError::Forbidden("key_ops does not list the operation"));
    let bad_ops = Err(KeyError::Invalid("key_ops is not a list of distinct names"));
    let es = Algorithm::ES256;
    for (name, outcome, expected) in [
        ("control", edit(es, "kid", json!("k")), Ok(())),
        ("use enc", edit(es, "use", json!("enc")), forbidden_use.clone()),
        ("use unknown", edit(es, "use", json!("SIG")), forbidden_use),
        ("ops verify", edit(es, "key_ops", json!(["verify"])), Ok(())),
        ("ops encrypt", edit(es, "key_ops", json!(["encrypt"])), forbidden_op.clone()),
        ("ops empty", edit(es, "key_ops", json!([])), forbidden_op),
        ("ops twice", edit(es, "key_ops", json!(["verify", "verify"])), bad_ops.clone()),
        ("ops text", edit(es, "key_ops", json!("verify")), bad_ops),
        (
            "alg of another curve",
            edit(es, "alg", json!("ES384")),
            Err(KeyError::WrongKeyForAlgorithm("ES384")),
        ),
        (
            "alg of another kind",
            edit(es, "alg", json!("RS256")),
            Err(KeyError::WrongKeyForAlgorithm("RS256")),
        ),
        (
            "alg none",
            edit(es, "alg", json!("none")),
            Err(KeyError::Forbidden("alg is not a signature algorithm")),
        ),
        (
            "alg number",
            edit(es, "alg", json!(1)),
            Err(KeyError::Invalid("a member that must be a string is not")),
        ),
        ("unknown curve", edit(es, "crv", json!("secp256k1")), Err(KeyError::Invalid("unknown curve"))),
        ("unknown type", edit(es, "kty", json!("ec")), Err(KeyError::Invalid("unknown key type"))),
        (
            "off the curve",
            edit(es, "x", json!(base64url_encode(&[7; 32]))),
            Err(KeyError::Invalid("the point is not on the curve")),
        ),
        (
            "short coordinate",
            edit(es, "x", json!(base64url_encode(&[7; 31]))),
            Err(KeyError::Invalid("a coordinate does not have the curve's length")),
        ),
        (
            "padded base64",
            edit(es, "x", json!(format!("{}=", base64url_encode(&[7; 32])))),
            Err(KeyError::Invalid("a number is not canonical base64url")),
        ),
        (
            "rsa with a leading zero",
            edit(Algorithm::RS256, "n", json!(base64url_encode(&[0; 257]))),
            Err(KeyError::Invalid("RSA number with a leading zero")),
        ),
        (
            "rsa of 1024 bits",
            edit(Algorithm::RS256, "n", json!(base64url_encode(&[0xFF; 128]))),
            Err(KeyError::RsaSize(1024)),
        ),
        (
            "rsa exponent one",
            edit(Algorithm::RS256, "e", json!("AQ")),
            Err(KeyError::Invalid("RSA exponent must be odd, at least 3 and below 2^33")),
        ),
        (
            "ed25519 of 31 bytes",
            edit(Algorithm::EdDSA, "x", json!(base64url_encode(&[7; 31]))),
            Err(KeyError::Invalid("an Ed25519 key has 32 bytes")),
        ),
        (
            "no key",
            edit(es, "y", Value::Null),
            Err(KeyError::Invalid("a member that must be a string is not")),
        ),
    ] {
        assert_eq!(outcome, expected, "{name}");
    }
    assert_eq!(
        Jwk::parse(br#"{"kty":"oct","kty":"oct","k":"AA"}"#).unwrap_err().code(),
        "json_duplicate_member"
    );
    for alg in ["A256GCM", "A256KW", "dir"] {
        let jwk = parse(&json!({"kty": "oct", "alg": alg, "k": base64url_encode(&[7; 32])})).unwrap();
        assert_eq!(VerifyingKey::from_jwk(&jwk).unwrap_err().code(), "key_forbidden_use", "{alg}");
        assert!(VerifyingKey::from_jwk_as(&jwk, Algorithm::HS256).is_err(), "{alg}");
    }
}

#[test]
fn sets_are_bounded_unambiguous_and_of_one_kind() {
    let jwk = |kid: &str| {
        let mut jwk = public_json(Algorithm::ES256);
        jwk["kid"] = json!(kid);
        jwk
    };
    let oct = json!({"kty": "oct", "alg": "HS256", "k": base64url_encode(&[7; 32])});
    let mut unnamed_rsa = public_json(Algorithm::RS256);
    unnamed_rsa.as_object_mut().unwrap().remove("alg");
    let set = |keys: Vec<Value>| JwkSet::parse(&serde_json::to_vec(&json!({"keys": keys})).unwrap());
    assert_eq!(set(vec![jwk("a"), jwk("a")]).unwrap_err(), KeyError::DuplicateKid("a".into()));
    assert_eq!(
        set(vec![jwk("a"), json!({"kty": "X", "kid": "a"})]).unwrap_err(),
        KeyError::DuplicateKid("a".into())
    );
    assert_eq!(set(vec![jwk("a"), oct.clone()]).unwrap_err(), KeyError::MixedSet);
    assert_eq!(set((0..101).map(|n| jwk(&n.to_string())).collect()).unwrap_err(), KeyError::TooManyKeys(100));
    assert!(set((0..100).map(|n| jwk(&n.to_string())).collect()).is_ok());
    assert_eq!(JwkSet::parse(b"{}").unwrap_err().code(), "key_invalid");
    assert_eq!(JwkSet::parse(br#"{"keys":[],"keys":[]}"#).unwrap_err().code(), "json_duplicate_member");

    let mut enc = jwk("enc");
    enc["use"] = json!("enc");
    let mixed = set(vec![jwk("a"), enc, unnamed_rsa, json!({"kty": "AKP", "kid": "pq"})]).unwrap();
    assert_eq!((mixed.keys().len(), mixed.ignored()), (3, 1));
    let (usable, skipped) = mixed.verifying_keys(None);
    assert_eq!((usable.len(), skipped.len()), (1, 2));
    assert_eq!(mixed.verifying_keys(Some(Algorithm::RS256)).0.len(), 2);
    let again = JwkSet::parse(&serde_json::to_vec(&mixed).unwrap()).unwrap();
    assert_eq!(again.keys().len(), 3);
}

#[test]
fn key_sets_refuse_ambiguity() {
    let made = key(Algorithm::ES256).0.verifying_key();
    let named = |kid: &str| made.clone().with_kid(Some(kid.into()));
    assert_eq!(KeySet::new([named("a"), named("a")]).unwrap_err(), KeySetError::DuplicateKid("a".into()));
    assert_eq!(KeySet::new(vec![made.clone(); 17]).unwrap_err(), KeySetError::TooManyWithoutKid);
    let set = KeySet::new([named("a"), made.clone(), named("b")]).unwrap();
    assert_eq!(
        (set.len(), set.is_empty(), set.get("b").is_some(), set.get("c").is_some()),
        (3, false, true, false)
    );
}
