//! The JOSE cookbook (RFC 7520 and later): every signature verifies, and deterministic ones are reproduced
//! byte for byte in every serialization that the file shows.

use doorward_protocols::encoding::base64url_decode;
use doorward_protocols::jose::jws_json::{
    Document, Headers, JwsError, sign, to_compact, to_flattened, to_general,
};
use doorward_protocols::jose::{Algorithm, Jwk, SigningKey, VerifyingKey};
use serde_json::Value;

/// Declined on purpose. The file predates RFC 7797: its output says `b64: false` without listing it in `crit`,
/// which §6 of the RFC requires (a reader that does not know `b64` would verify other bytes). The example as the
/// RFC has it is checked below.
const DECLINED: [&str; 1] = ["4.2.hmac-sha2_b64_false.json"];

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_else(|| vec![value.clone()])
}

fn jwk(value: &Value) -> Jwk {
    Jwk::parse(&serde_json::to_vec(value).unwrap()).unwrap()
}

struct Example {
    keys: Vec<SigningKey>,
    verifying: Vec<VerifyingKey>,
    payload: Vec<u8>,
    deterministic: bool,
    file: Value,
}

fn load(path: &std::path::Path) -> Example {
    let file = crate::read_json(path);
    let algs = list(&file["input"]["alg"]);
    let keys: Vec<SigningKey> = list(&file["input"]["key"])
        .iter()
        .zip(&algs)
        .map(|(key, alg)| SigningKey::from_jwk_as(&jwk(key), alg.as_str().unwrap().parse().unwrap()).unwrap())
        .collect();
    let verifying = keys.iter().map(SigningKey::verifying_key).collect();
    let payload = file["input"]["payload"].as_str().unwrap().as_bytes().to_vec();
    let deterministic = keys.iter().all(|key| {
        use Algorithm::*;
        matches!(key.algorithm(), HS256 | HS384 | HS512 | RS256 | RS384 | RS512 | EdDSA)
    });
    Example { keys, verifying, payload, deterministic, file }
}

fn check(name: &str, example: &Example) -> usize {
    let output = example.file["output"].as_object().unwrap();
    let mut forms = 0;
    for (form, value) in output {
        let document = match value {
            Value::String(compact) => Document::parse_compact(compact),
            other => Document::parse_json(&serde_json::to_vec(other).unwrap()),
        }
        .unwrap_or_else(|error| panic!("{name} {form}: {error}"));
        let detached = document.is_detached().then_some(&example.payload[..]);
        let (payload, good) = document.verify(&example.verifying, detached).unwrap();
        assert_eq!(payload, example.payload, "{name} {form}");
        assert_eq!(good, document.signature_count(), "{name} {form}");
        forms += 1;
    }
    // The headers as the output has them: the text that was signed, not a re-serialization of it.
    let shown = output.get("json").map(|json| list(&json["signatures"])).unwrap_or_default();
    let mut parts = Vec::new();
    for (key, one) in example.keys.iter().zip(&shown) {
        let protected = one["protected"].as_str().unwrap_or("");
        let protected = String::from_utf8(base64url_decode(protected.as_bytes()).unwrap()).unwrap();
        let headers = Headers { protected: &protected, unprotected: one["header"].as_object() };
        parts.push(sign(key, headers, &example.payload).unwrap());
    }
    for (form, value) in output {
        let detached = match value {
            Value::String(compact) => compact.contains(".."),
            other => other.get("payload").is_none(),
        };
        let made = match form.as_str() {
            "compact" => Value::String(to_compact(&parts[0], detached).unwrap()),
            "json_flat" => to_flattened(&parts[0], detached),
            "json" => to_general(&parts, detached).unwrap(),
            other => panic!("{name}: unknown form {other}"),
        };
        if example.deterministic {
            assert_eq!(&made, value, "{name} {form}: not reproduced");
        } else {
            assert_ne!(&made, value, "{name} {form}: a randomised signature repeated");
            let document = match &made {
                Value::String(compact) => Document::parse_compact(compact).unwrap(),
                other => Document::parse_json(&serde_json::to_vec(other).unwrap()).unwrap(),
            };
            let detached = detached.then_some(&example.payload[..]);
            assert_eq!(
                document.verify(&example.verifying, detached).unwrap().1,
                parts.len(),
                "{name} {form}"
            );
        }
    }
    forms
}

#[test]
fn signatures_verify_and_deterministic_ones_are_reproduced() {
    let Some(folder) = crate::vectors("jose-cookbook") else { return };
    let (mut files, mut forms) = (0, 0);
    for sub in ["jws", "curve25519", "rfc7797"] {
        for entry in std::fs::read_dir(folder.join(sub)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if !name.ends_with(".json") || name == "ecdh-es.json" || DECLINED.contains(&name.as_str()) {
                continue;
            }
            forms += check(&name, &load(&path));
            files += 1;
        }
    }
    assert_eq!((files, forms), (10, 26));
}

#[test]
fn b64_false_without_crit_is_declined() {
    let Some(folder) = crate::vectors("jose-cookbook/rfc7797") else { return };
    for name in DECLINED {
        let file = crate::read_json(&folder.join(name));
        for form in ["json", "json_flat"] {
            let text = serde_json::to_vec(&file["output"][form]).unwrap();
            assert_eq!(
                Document::parse_json(&text).unwrap_err(),
                JwsError::Header("b64 is false without crit"),
                "{name} {form}"
            );
        }
    }
}

#[test]
fn the_unencoded_example_of_the_rfc_verifies() {
    let key = VerifyingKey::from_jwk(&jwk(&serde_json::json!({
        "kty": "oct", "alg": "HS256",
        "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
    })))
    .unwrap();
    let compact = "eyJhbGciOiJIUzI1NiIsImI2NCI6ZmFsc2UsImNyaXQiOlsiYjY0Il19..A5dxf2s96_n5FLueVuW1Z_vh161FwXZC4YLPff6dmDY";
    let document = Document::parse_compact(compact).unwrap();
    assert_eq!(document.verify(std::slice::from_ref(&key), Some(b"$.02")).unwrap().0, b"$.02");
    assert_eq!(document.verify(&[key], Some(b"$.03")).unwrap_err(), JwsError::BadSignature);
}

#[test]
fn keys_of_the_cookbook_parse_as_what_they_are() {
    let Some(folder) = crate::vectors("jose-cookbook/jwk") else { return };
    for (name, alg, signs, verifies) in [
        ("3_1.ec_public_key.json", Algorithm::ES512, false, true),
        ("3_2.ec_private_key.json", Algorithm::ES512, true, true),
        ("3_3.rsa_public_key.json", Algorithm::RS256, false, true),
        ("3_4.rsa_private_key.json", Algorithm::PS512, true, true),
        ("3_5.symmetric_key_mac_computation.json", Algorithm::HS256, true, true),
        ("3_6.symmetric_key_encryption.json", Algorithm::HS256, false, false),
    ] {
        let jwk = jwk(&crate::read_json(&folder.join(name)));
        assert_eq!(SigningKey::from_jwk_as(&jwk, alg).is_ok(), signs, "{name}");
        assert_eq!(VerifyingKey::from_jwk_as(&jwk, alg).is_ok(), verifies, "{name}");
    }
}
