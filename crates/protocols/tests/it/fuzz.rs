//! Random bytes: nothing panics, and no altered token is ever accepted.

use doorward_protocols::jose::jws_json::Document;
use doorward_protocols::jose::{
    Algorithm, Claims, Expect, Header, HeaderPolicy, Jwk, JwkSet, KeySet, VerifyingKey, sign_compact,
    verify_token,
};
use doorward_protocols::json::{Limits, parse};
use doorward_protocols::{encoding, http_auth, path};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use crate::key;

const MUTATED: [Algorithm; 3] = [Algorithm::HS256, Algorithm::ES256, Algorithm::EdDSA];
const NOW_S: i64 = 1_800_000_000;

fn expect(headers: HeaderPolicy) -> Expect<'static> {
    Expect { now_s: NOW_S, headers, ..Expect::default() }
}

/// Bytes that look enough like JSON, headers and paths to get past the first check.
fn near_text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..200),
        vec(prop::sample::select(b"{}[]\":,\\u0d8ace1.-+ntrue falsE%/=;&\x00\xff".to_vec()), 0..200),
        "[ -~]{0,120}".prop_map(String::into_bytes),
        "\\PC{0,60}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in near_text()) {
        let _ = parse(&bytes, Limits::STRANGER);
        let _ = path::canonical(&bytes);
        let _ = http_auth::parse_authorization(&bytes);
        let _ = http_auth::parse_cookies(&bytes).map(|cookies| cookies.get("a").is_ok());
        let _ = Jwk::parse(&bytes);
        let _ = JwkSet::parse(&bytes);
        let _ = Document::parse_json(&bytes);
        let _ = Header::parse(&bytes, HeaderPolicy::External);
        let _ = Claims::parse(bytes.clone(), HeaderPolicy::External).map(|claims| claims.to_map());
        let keys = KeySet::new([key(Algorithm::ES256).0.verifying_key()]).unwrap();
        prop_assert!(verify_token(&bytes, &keys, &expect(HeaderPolicy::External)).is_err());
        if let Ok(text) = std::str::from_utf8(&bytes) {
            let _ = http_auth::decode_basic(text);
            let _ = Document::parse_compact(text);
            for alg in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
                prop_assert!(VerifyingKey::from_pem(text, alg, None).is_err());
                prop_assert!(VerifyingKey::from_spki(&bytes, alg, None).is_err());
            }
        }
    }

    #[test]
    fn damaged_key_files_never_panic(position in any::<prop::sample::Index>(), byte in any::<u8>()) {
        for alg in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
            let mut der = key(alg).1.expose().to_vec();
            let at = position.index(der.len());
            der[at] = byte;
            for label in ["PRIVATE KEY", "PUBLIC KEY", "CERTIFICATE", "RSA PRIVATE KEY", "EC PRIVATE KEY"] {
                let _ = VerifyingKey::from_pem(&crate::pem(label, &der), alg, None);
            }
        }
    }

    #[test]
    fn no_altered_token_is_accepted(
        which in 0..MUTATED.len(),
        position in any::<prop::sample::Index>(),
        edit in 0..4u8,
        byte in any::<u8>(),
    ) {
        let signing = &key(MUTATED[which]).0;
        let keys = KeySet::new([signing.verifying_key()]).unwrap();
        let good = sign_compact(signing, "at+jwt", &json!({"sub": "u1", "exp": NOW_S + 60})).unwrap().into_bytes();
        let mut bad = good.clone();
        let at = position.index(bad.len());
        match edit {
            0 => bad[at] = byte,
            1 => bad.insert(at, byte),
            2 => { bad.remove(at); }
            _ => bad.truncate(at),
        }
        let accepted = verify_token(&bad, &keys, &expect(HeaderPolicy::External)).is_ok();
        prop_assert_eq!(accepted, bad == good);
    }

    #[test]
    fn what_is_accepted_is_what_serde_reads(bytes in near_text()) {
        if let Ok(value) = parse(&bytes, Limits::STRANGER) {
            prop_assert_eq!(&value, &serde_json::from_slice::<serde_json::Value>(&bytes).unwrap());
            // What was written by a plain writer is accepted again.
            prop_assert_eq!(parse(value.to_string().as_bytes(), Limits::STRANGER).unwrap(), value);
        }
    }

    #[test]
    fn a_canonical_path_is_its_own_spelling(bytes in near_text()) {
        let rooted = [b"/".as_slice(), &bytes].concat();
        if let Ok(canonical) = path::canonical(&rooted) {
            prop_assert_eq!(&path::canonical(canonical.as_str().as_bytes()).unwrap(), &canonical);
            for segment in canonical.decoded_segments() {
                prop_assert!(segment != "." && segment != ".." && !segment.contains(['/', '\\', '\0']));
            }
        }
    }

    #[test]
    fn base64url_has_one_spelling(bytes in vec(any::<u8>(), 0..100), text in "[A-Za-z0-9_=+/ -]{0,40}") {
        let encoded = encoding::base64url_encode(&bytes);
        prop_assert_eq!(encoding::base64url_decode(encoded.as_bytes()).unwrap(), bytes);
        if let Ok(decoded) = encoding::base64url_decode(text.as_bytes()) {
            prop_assert_eq!(encoding::base64url_encode(&decoded), text);
        }
    }
}
