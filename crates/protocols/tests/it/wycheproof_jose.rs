//! Wycheproof's JWS and JWK vectors: accepted are exactly those marked valid, but for the lists below.

use doorward_protocols::jose::header::HeaderPolicy;
use doorward_protocols::jose::jws::{Compact, verify_compact};
use doorward_protocols::jose::{Header, Jwk, JwkSet, VerifyingKey};
use serde_json::Value;

/// Marked valid, declined on purpose.
const DECLINED: [(u64, &str); 6] = [
    (346, "the key's alg is PS256, the token's PS384: one key, one algorithm"),
    (347, "the key's alg is ES521, which no registry knows (ES512 is meant)"),
    (350, "the key's alg is PS256, the token's PS384"),
    (351, "the key's alg is ES521"),
    (372, "the header holds '?', which is not base64url, and the tag is not over these bytes"),
    (373, "the payload holds '?', as above"),
];

/// Marked invalid, but byte for byte the token that test 357 marks valid with the same key: the flaw that the
/// comment names (padding) is not in the file.
const SAME_AS_357: [u64; 2] = [367, 370];

fn verifying_key(jwk: &Value, token: &str) -> Option<VerifyingKey> {
    let jwk = Jwk::parse(&serde_json::to_vec(jwk).unwrap()).ok()?;
    match jwk.algorithm().ok()? {
        Some(alg) => VerifyingKey::from_jwk_as(&jwk, alg).ok(),
        // A key without alg is offered for whatever the token asks, so that `use` and `key_ops` must decide.
        None => {
            let header = Compact::split(token.as_bytes()).ok()?.header_bytes().ok()?;
            VerifyingKey::from_jwk_as(&jwk, Header::parse(&header, HeaderPolicy::External).ok()?.alg).ok()
        }
    }
}

#[test]
fn jws_vectors_are_accepted_exactly_when_valid() {
    let Some(folder) = crate::vectors("wycheproof") else { return };
    let document = crate::read_json(&folder.join("json_web_signature_test.json"));
    let (mut count, mut declined, mut same, mut valid_357) = (0, vec![], vec![], String::new());
    for group in document["testGroups"].as_array().unwrap() {
        let jwk = if group["public"].is_object() { &group["public"] } else { &group["private"] };
        for test in group["tests"].as_array().unwrap() {
            count += 1;
            let id = test["tcId"].as_u64().unwrap();
            let token = test["jws"].as_str().unwrap();
            let accepted = verifying_key(jwk, token)
                .is_some_and(|key| verify_compact(token.as_bytes(), &key, HeaderPolicy::External).is_ok());
            let expected = test["result"] == "valid";
            if id == 357 {
                valid_357 = token.to_owned();
            }
            match (accepted, expected) {
                (false, true) => declined.push(id),
                (true, false) => {
                    assert_eq!(token, valid_357, "test {id} accepted: {}", test["comment"]);
                    same.push(id);
                }
                _ => {}
            }
        }
    }
    assert_eq!(count, 401);
    assert_eq!(declined, DECLINED.map(|(id, _)| id));
    assert_eq!(same, SAME_AS_357);
}

#[test]
fn jwk_set_vectors_are_accepted_exactly_when_valid() {
    let Some(folder) = crate::vectors("wycheproof") else { return };
    let document = crate::read_json(&folder.join("json_web_key_test.json"));
    let mut count = 0;
    for group in document["testGroups"].as_array().unwrap() {
        let set = if group["public"].is_object() { &group["public"] } else { &group["private"] };
        let keys = JwkSet::parse(&serde_json::to_vec(set).unwrap())
            .map(|set| set.verifying_keys(None).0)
            .unwrap_or_default();
        for test in group["tests"].as_array().unwrap() {
            count += 1;
            let token = test["jws"].as_str().unwrap();
            let accepted =
                keys.iter().any(|key| verify_compact(token.as_bytes(), key, HeaderPolicy::External).is_ok());
            assert_eq!(accepted, test["result"] == "valid", "{} {}", group["comment"], test["tcId"]);
        }
    }
    assert_eq!(count, 26);
}
