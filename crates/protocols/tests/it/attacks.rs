//! What attackers try against token verifiers (the list of jwt_tool, RFC 8725, and published CVEs), each as a
//! named row with the refusal it must meet.

use doorward_protocols::encoding::{base64url_decode, base64url_encode};
use doorward_protocols::jose::header::HeaderError;
use doorward_protocols::jose::{
    Algorithm, Expect, HeaderPolicy, KeyError, KeySet, SecretRule, SigningKey, TokenError, VerifyingKey,
    sign_compact, verify_token,
};
use serde_json::json;

use crate::{key, pem};

const NOW_S: i64 = 1_800_000_000;

fn own() -> (SigningKey, KeySet) {
    let signing =
        SigningKey::from_pkcs8(key(Algorithm::ES256).1.expose(), Algorithm::ES256, Some("k1".into()))
            .unwrap();
    let keys = KeySet::new([signing.verifying_key()]).unwrap();
    (signing, keys)
}

fn expect(headers: HeaderPolicy) -> Expect<'static> {
    Expect { now_s: NOW_S, headers, ..Expect::default() }
}

/// A token with any header and payload text, correctly signed.
fn forge(key: &SigningKey, header: &str, payload: &str) -> String {
    let input = format!("{}.{}", base64url_encode(header.as_bytes()), base64url_encode(payload.as_bytes()));
    let mut signature = vec![];
    key.sign(input.as_bytes(), &mut signature).unwrap();
    format!("{input}.{}", base64url_encode(&signature))
}

const GOOD: &str = r#"{"sub":"u1","exp":1800003600}"#;

#[test]
fn headers_that_attack_are_refused_even_when_signed() {
    let (signing, keys) = own();
    let unknown = TokenError::Header(HeaderError::UnknownAlgorithm);
    let extra = TokenError::Header(HeaderError::UnexpectedMember);
    let critical = TokenError::Header(HeaderError::Critical);
    let broken = TokenError::Header(HeaderError::NotAnObject);
    let typed = TokenError::Header(HeaderError::WrongType);
    // (name, header, refusal as our own token, refusal as another issuer's)
    for (name, header, own, external) in [
        ("control", r#"{"alg":"ES256","kid":"k1"}"#, None, None),
        ("none", r#"{"alg":"none","kid":"k1"}"#, Some(unknown), Some(unknown)),
        ("None", r#"{"alg":"None","kid":"k1"}"#, Some(unknown), Some(unknown)),
        ("NONE", r#"{"alg":"NONE","kid":"k1"}"#, Some(unknown), Some(unknown)),
        ("nOnE", r#"{"alg":"nOnE","kid":"k1"}"#, Some(unknown), Some(unknown)),
        ("escaped none", r#"{"alg":"n\u006fne","kid":"k1"}"#, Some(unknown), Some(unknown)),
        ("empty alg", r#"{"alg":"","kid":"k1"}"#, Some(unknown), Some(unknown)),
        ("null alg", r#"{"alg":null,"kid":"k1"}"#, Some(typed), Some(typed)),
        ("list of algs", r#"{"alg":["none","ES256"],"kid":"k1"}"#, Some(typed), Some(typed)),
        ("lower case alg", r#"{"alg":"es256","kid":"k1"}"#, Some(unknown), Some(unknown)),
        ("alg twice", r#"{"alg":"ES256","kid":"k1","alg":"none"}"#, Some(broken), Some(broken)),
        (
            "other family",
            r#"{"alg":"HS256","kid":"k1"}"#,
            Some(TokenError::AlgorithmNotAllowed),
            Some(TokenError::AlgorithmNotAllowed),
        ),
        (
            "other size",
            r#"{"alg":"ES384","kid":"k1"}"#,
            Some(TokenError::AlgorithmNotAllowed),
            Some(TokenError::AlgorithmNotAllowed),
        ),
        (
            "kid traversal",
            r#"{"alg":"ES256","kid":"../../../../dev/null"}"#,
            Some(TokenError::UnknownKey),
            Some(TokenError::UnknownKey),
        ),
        (
            "kid injection",
            r#"{"alg":"ES256","kid":"k1' UNION SELECT 'x"}"#,
            Some(TokenError::UnknownKey),
            Some(TokenError::UnknownKey),
        ),
        (
            "kid with nul",
            r#"{"alg":"ES256","kid":"k1\u0000"}"#,
            Some(TokenError::UnknownKey),
            Some(TokenError::UnknownKey),
        ),
        ("kid object", r#"{"alg":"ES256","kid":{"$ne":""}}"#, Some(typed), Some(typed)),
        ("kid twice", r#"{"alg":"ES256","kid":"k1","kid":"k1"}"#, Some(broken), Some(broken)),
        ("no kid", r#"{"alg":"ES256"}"#, Some(TokenError::UnknownKey), Some(TokenError::UnknownKey)),
        ("embedded jwk", r#"{"alg":"ES256","kid":"k1","jwk":{"kty":"oct","k":"AA"}}"#, Some(extra), None),
        ("jku", r#"{"alg":"ES256","kid":"k1","jku":"https://evil.example/jwks"}"#, Some(extra), None),
        ("x5u", r#"{"alg":"ES256","kid":"k1","x5u":"https://evil.example/c"}"#, Some(extra), None),
        ("x5c", r#"{"alg":"ES256","kid":"k1","x5c":["AA=="]}"#, Some(extra), None),
        ("crit", r#"{"alg":"ES256","kid":"k1","crit":["x"],"x":1}"#, Some(critical), Some(critical)),
        (
            "crit b64",
            r#"{"alg":"ES256","kid":"k1","crit":["b64"],"b64":false}"#,
            Some(critical),
            Some(critical),
        ),
        ("zip", r#"{"alg":"ES256","kid":"k1","zip":"DEF"}"#, Some(extra), None),
        ("array", r#"["ES256"]"#, Some(broken), Some(broken)),
        ("trailing", r#"{"alg":"ES256","kid":"k1"}}"#, Some(broken), Some(broken)),
        ("byte order mark", "\u{feff}{\"alg\":\"ES256\",\"kid\":\"k1\"}", Some(broken), Some(broken)),
    ] {
        let token = forge(&signing, header, GOOD);
        let refusal = |policy| verify_token(&token, &keys, &expect(policy)).err();
        assert_eq!(refusal(HeaderPolicy::Own), own, "{name}");
        assert_eq!(refusal(HeaderPolicy::External), external, "{name}");
    }
}

#[test]
fn another_spelling_of_a_good_token_is_refused() {
    let (signing, keys) = own();
    let good = sign_compact(&signing, "at+jwt", &json!({"sub": "u1", "exp": NOW_S + 60})).unwrap();
    assert!(verify_token(&good, &keys, &expect(HeaderPolicy::Own)).is_ok());
    let parts: Vec<&str> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    // The last character of 64 bytes in base64url carries four unused bits.
    let last = signature.chars().last().unwrap();
    let next = char::from(last as u8 + 1);
    let loose = format!("{}{next}", &signature[..signature.len() - 1]);
    let zeros = base64url_encode(&[0; 64]);
    let raw = base64url_decode(signature.as_bytes()).unwrap();
    let der = [&[0x30, 0x44, 0x02, 0x20], &raw[..32], &[0x02, 0x20], &raw[32..]].concat();
    for (name, token) in [
        ("no signature", format!("{header}.{payload}.")),
        ("no signature, no dot", format!("{header}.{payload}")),
        ("no header", format!(".{payload}.{signature}")),
        ("no payload", format!("{header}..{signature}")),
        ("four parts", format!("{good}.")),
        ("five parts (JWE)", format!("{header}.{payload}.{signature}.{payload}.{signature}")),
        ("empty", String::new()),
        ("dots", "..".into()),
        ("padding", format!("{good}==")),
        ("padded header", format!("{header}=.{payload}.{signature}")),
        ("leading space", format!(" {good}")),
        ("trailing line break", format!("{good}\n")),
        ("inner space", format!("{header}. {payload}.{signature}")),
        ("unused bits", format!("{header}.{payload}.{loose}")),
        ("standard alphabet", good.replace('-', "+").replace('_', "/") + "+"),
        ("psychic signature", format!("{header}.{payload}.{zeros}")),
        ("DER signature", format!("{header}.{payload}.{}", base64url_encode(&der))),
        ("half a signature", format!("{header}.{payload}.{}", base64url_encode(&raw[..32]))),
        (
            "signature twice",
            format!("{header}.{payload}.{}", base64url_encode(&[&raw[..], &raw[..]].concat())),
        ),
        ("payload swapped", format!("{header}.{}.{signature}", base64url_encode(GOOD.as_bytes()))),
        ("bearer kept", format!("Bearer {good}")),
        ("nul", format!("{good}\0")),
        (
            "json form",
            format!(r#"{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#),
        ),
    ] {
        assert!(verify_token(&token, &keys, &expect(HeaderPolicy::Own)).is_err(), "{name}");
        assert!(verify_token(&token, &keys, &expect(HeaderPolicy::External)).is_err(), "{name}");
    }
    for huge in
        [format!("{header}.{}.{signature}", "A".repeat(1 << 20)), ".".repeat(1 << 20), "a".repeat(8193)]
    {
        let refusal = verify_token(&huge, &keys, &expect(HeaderPolicy::Own)).unwrap_err();
        assert_eq!(refusal, TokenError::TooLarge);
    }
}

#[test]
fn signed_payloads_that_confuse_readers_are_refused() {
    let (signing, keys) = own();
    let deep = format!(r#"{{"exp":1800003600,"x":{}{}}}"#, "[".repeat(40), "]".repeat(40));
    for (name, payload) in [
        ("duplicate sub", r#"{"exp":1800003600,"sub":"a","sub":"b"}"#),
        ("duplicate by escape", r#"{"exp":1800003600,"sub":"a","s\u0075b":"b"}"#),
        ("nested duplicate", r#"{"exp":1800003600,"x":{"a":1,"a":2}}"#),
        ("exp as text", r#"{"exp":"1800003600"}"#),
        ("exp with exponent", r#"{"exp":1e99}"#),
        ("exp infinite", r#"{"exp":1e999}"#),
        ("exp list", r#"{"exp":[1800003600]}"#),
        ("array", "[]"),
        ("text", "\"sub\""),
        ("empty", ""),
        ("trailing", "{\"exp\":1800003600} x"),
        ("not UTF-8 escape", r#"{"exp":1800003600,"sub":"\ud800"}"#),
        ("deep", deep.as_str()),
    ] {
        let token = forge(&signing, r#"{"alg":"ES256","kid":"k1"}"#, payload);
        for policy in [HeaderPolicy::Own, HeaderPolicy::External] {
            assert_eq!(
                verify_token(&token, &keys, &expect(policy)).err(),
                Some(TokenError::Malformed),
                "{name}"
            );
        }
    }
}

#[test]
fn a_public_key_is_never_an_hmac_secret() {
    for alg in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let stored = &key(alg).1;
        let public = key(alg).0.verifying_key().with_kid(Some("k1".into()));
        let keys = KeySet::new([public]).unwrap();
        let anonymous = KeySet::new([key(alg).0.verifying_key()]).unwrap();
        let jwk = serde_json::to_string(&key(alg).0.to_public_jwk().unwrap()).unwrap();
        for secret in [jwk.as_bytes(), &stored.expose()[..32]] {
            let forger =
                SigningKey::from_secret(secret, Algorithm::HS256, Some("k1".into()), SecretRule::Compat)
                    .unwrap();
            let token = sign_compact(&forger, "", &json!({"exp": NOW_S + 60})).unwrap();
            for set in [&keys, &anonymous] {
                let refusal = verify_token(&token, set, &expect(HeaderPolicy::External)).unwrap_err();
                assert_eq!(refusal, TokenError::AlgorithmNotAllowed, "{alg}");
            }
        }
        let text = pem("PUBLIC KEY", stored.expose());
        for rule in [SecretRule::Strict, SecretRule::Compat] {
            assert_eq!(
                VerifyingKey::from_secret(text.as_bytes(), Algorithm::HS512, None, rule).unwrap_err(),
                KeyError::SecretIsPem
            );
        }
        assert!(VerifyingKey::from_pem(&text, Algorithm::HS256, None).is_err());
    }
}

#[test]
fn rsa_padding_modes_do_not_stand_in_for_each_other() {
    let claims = json!({"exp": NOW_S + 60});
    for (signed, allowed) in [
        (Algorithm::RS256, Algorithm::PS256),
        (Algorithm::PS256, Algorithm::RS256),
        (Algorithm::RS512, Algorithm::RS256),
    ] {
        let token = sign_compact(&key(signed).0, "", &claims).unwrap();
        let keys = KeySet::new([key(allowed).0.verifying_key()]).unwrap();
        let refusal = verify_token(&token, &keys, &expect(HeaderPolicy::Own)).unwrap_err();
        assert_eq!(refusal, TokenError::AlgorithmNotAllowed);
        // The same RSA numbers, header rewritten: the signature itself must fail.
        let payload = token.split('.').nth(1).unwrap();
        let header = base64url_encode(format!(r#"{{"alg":"{}"}}"#, allowed.name()).as_bytes());
        let rewritten = format!("{header}.{payload}.{}", token.split('.').nth(2).unwrap());
        let refusal = verify_token(&rewritten, &keys, &expect(HeaderPolicy::Own)).unwrap_err();
        assert_eq!(refusal, TokenError::BadSignature);
    }
}
