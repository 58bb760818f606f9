//! A second opinion: the jsonwebtoken crate reads what we sign and we read what it signs, for every algorithm
//! that it knows (all but ES512, which the cookbook and Wycheproof cover).

use doorward_protocols::jose::{
    Algorithm, Expect, KeySet, SecretRule, SigningKey, TokenError, sign_compact, verify_token,
};
use serde_json::{Value, json};

use crate::{key, pem};

const NOW_S: i64 = 1_800_000_000;

fn peer_keys(alg: Algorithm) -> (jsonwebtoken::EncodingKey, jsonwebtoken::DecodingKey) {
    use jsonwebtoken::{DecodingKey, EncodingKey};
    let (signing, stored) = key(alg);
    let private = pem("PRIVATE KEY", stored.expose());
    let encoding = match alg.name().as_bytes()[0] {
        b'H' => EncodingKey::from_secret(stored.expose()),
        b'R' | b'P' => EncodingKey::from_rsa_pem(private.as_bytes()).unwrap(),
        _ if alg == Algorithm::EdDSA => EncodingKey::from_ed_pem(private.as_bytes()).unwrap(),
        _ => EncodingKey::from_ec_pem(private.as_bytes()).unwrap(),
    };
    let decoding = match signing.to_public_jwk() {
        None => DecodingKey::from_secret(stored.expose()),
        Some(jwk) => {
            let jwk = serde_json::from_value(serde_json::to_value(jwk).unwrap()).unwrap();
            DecodingKey::from_jwk(&jwk).unwrap()
        }
    };
    (encoding, decoding)
}

#[test]
fn each_reads_what_the_other_signs() {
    let claims =
        json!({"sub": "u1", "exp": NOW_S + 3600, "iat": NOW_S, "roles": ["a", "b"], "name": "é\"\n"});
    let mut checked = 0;
    for alg in Algorithm::ALL {
        let Ok(peer_alg) = alg.name().parse::<jsonwebtoken::Algorithm>() else {
            assert_eq!(alg, Algorithm::ES512);
            continue;
        };
        let (encoding, decoding) = peer_keys(alg);
        let mut validation = jsonwebtoken::Validation::new(peer_alg);
        validation.validate_exp = false;
        let ours = sign_compact(&key(alg).0, "JWT", &claims).unwrap();
        let read = jsonwebtoken::decode::<Value>(&ours, &decoding, &validation).unwrap();
        assert_eq!(read.claims, claims, "{alg}: they read ours");

        let theirs = jsonwebtoken::encode(&jsonwebtoken::Header::new(peer_alg), &claims, &encoding).unwrap();
        let keys = KeySet::new([key(alg).0.verifying_key()]).unwrap();
        let expect = Expect { now_s: NOW_S, types: &["JWT"], ..Expect::default() };
        let read = verify_token(&theirs, &keys, &expect).unwrap();
        assert_eq!(Value::Object(read.claims.to_map()), claims, "{alg}: we read theirs");
        checked += 1;
    }
    assert_eq!(checked, 12);
}

#[test]
fn both_refuse_what_the_other_key_signed() {
    let claims = json!({"sub": "u1", "exp": NOW_S + 3600});
    for alg in [Algorithm::HS256, Algorithm::ES256, Algorithm::EdDSA] {
        let (stranger, _) = SigningKey::generate(alg).unwrap();
        let token = sign_compact(&stranger, "JWT", &claims).unwrap();
        let (_, decoding) = peer_keys(alg);
        let mut validation = jsonwebtoken::Validation::new(alg.name().parse().unwrap());
        validation.validate_exp = false;
        assert!(jsonwebtoken::decode::<Value>(&token, &decoding, &validation).is_err(), "{alg}");
        let keys = KeySet::new([key(alg).0.verifying_key()]).unwrap();
        let expect = Expect { now_s: NOW_S, ..Expect::default() };
        assert_eq!(verify_token(&token, &keys, &expect).unwrap_err(), TokenError::BadSignature, "{alg}");
    }
}

#[test]
fn deterministic_signatures_are_the_same_bytes() {
    let claims = json!({"sub": "u1"});
    for alg in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let (encoding, _) = peer_keys(alg);
        let stored = &key(alg).1;
        let signing = SigningKey::from_secret(stored.expose(), alg, None, SecretRule::Strict).unwrap();
        let header =
            jsonwebtoken::Header { typ: None, ..jsonwebtoken::Header::new(alg.name().parse().unwrap()) };
        let theirs = jsonwebtoken::encode(&header, &claims, &encoding).unwrap();
        assert_eq!(sign_compact(&signing, "", &claims).unwrap(), theirs, "{alg}");
    }
}
