//! Tokens seen before are known by their signature and by what was signed.

use doorward_core::authn::Place;
use doorward_core::authz::Target;
use doorward_core::tokens::Subject;
use serde_json::json;

use crate::house::{House, code};

/// Changes the last character of a text to another of base64url's.
fn changed(text: &str) -> String {
    let (kept, last) = text.split_at(text.len() - 1);
    format!("{kept}{}", if last == "A" { "B" } else { "A" })
}

#[tokio::test]
async fn a_token_that_was_seen_lends_its_signature_to_no_other_text() {
    let house = House::new().await;
    let (ann, mut tried) = (house.person("ann").await, 1);
    // Claims of 16 bytes and of 3 KiB: what was signed is kept of the one and not of the other.
    for room in [16, 3 << 10] {
        let claims = json!({"note": "n".repeat(room)}).as_object().cloned().expect("an object");
        let subject = Subject { subject: ann.user.id.to_string(), claims, ..Subject::default() };
        let permit = house.system().permit(Target::any()).expect("the system may");
        let issued = house.engine.tokens().issue(permit, &house.mount.tokens, subject).await.expect("issued");
        let token = issued.token.expose();
        assert!(!house.knows(token), "never seen");
        assert_eq!(code(house.bearer(token).await), "ok");
        assert!(house.knows(token), "of {} bytes", token.len());
        let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("{token}") };
        for (name, other) in [
            ("another header", format!("{}.{claims}.{signature}", changed(header))),
            ("other claims", format!("{header}.{}.{signature}", changed(claims))),
            ("fewer claims", format!("{header}.{}.{signature}", &claims[..claims.len() - 4])),
            ("another signature", format!("{header}.{claims}.{}", changed(signature))),
            ("no claims", format!("{header}.{signature}")),
            ("nothing signed", format!(".{signature}")),
            ("the signature alone", signature.to_owned()),
            ("something before it", format!("x.{token}")),
            ("something behind it", format!("{token}.x")),
        ] {
            assert!(!house.knows(&other), "{name}, of {} bytes", token.len());
            // From an address each, none of which is kept out.
            tried += 1;
            let found = house.present_at(&format!("192.0.2.{tried}"), Place::Bearer, &other).await;
            assert_eq!(code(found), "token_invalid", "{name}");
        }
        assert!(house.knows(token), "as before");
    }
}
