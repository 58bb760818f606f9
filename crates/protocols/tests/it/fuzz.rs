//! Random bytes: nothing panics, and no altered token is ever accepted.

use std::time::{Duration, Instant};

use doorward_protocols::hypha::{Address, Head, Stamp, value};
use doorward_protocols::jose::jws_json::Document;
use doorward_protocols::jose::{
    Algorithm, Claims, Expect, Header, HeaderPolicy, Jwk, JwkSet, KeySet, VerifyingKey, sign_compact,
    verify_token,
};
use doorward_protocols::json::{Limits, parse};
use doorward_protocols::{encoding, http_auth, path};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;
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

/// How long each property is tried: `DOORWARD_FUZZ_S` seconds, which CI sets, or one round.
#[expect(
    clippy::disallowed_methods,
    reason = "how long to go on trying is no time that anything is judged by"
)]
fn hold<S: Strategy>(strategy: S, property: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let seconds = std::env::var("DOORWARD_FUZZ_S").ok().and_then(|text| text.parse().ok());
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    loop {
        let round = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) };
        if let Err(found) = TestRunner::new(round).run(&strategy, &property) {
            unreachable!("{found}");
        }
        if until.is_none_or(|until| Instant::now() >= until) {
            return;
        }
    }
}

#[test]
fn no_bytes_make_a_parser_panic() {
    let keys = KeySet::new([key(Algorithm::ES256).0.verifying_key()]).unwrap();
    hold(near_text(), |bytes| {
        let _ = parse(&bytes, Limits::STRANGER);
        let _ = path::canonical(&bytes);
        let _ = http_auth::parse_authorization(&bytes);
        let _ = http_auth::parse_cookies(&bytes).map(|cookies| cookies.get("a").is_ok());
        let _ = Jwk::parse(&bytes);
        let _ = JwkSet::parse(&bytes);
        let _ = Document::parse_json(&bytes);
        let _ = Header::parse(&bytes, HeaderPolicy::External);
        let _ = Claims::parse(bytes.clone(), HeaderPolicy::External).map(|claims| claims.to_map());
        prop_assert!(verify_token(&bytes, &keys, &expect(HeaderPolicy::External)).is_err());
        if let Ok(text) = std::str::from_utf8(&bytes) {
            let _ = http_auth::decode_basic(text);
            let _ = Document::parse_compact(text);
            for alg in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
                prop_assert!(VerifyingKey::from_pem(text, alg, None).is_err());
                prop_assert!(VerifyingKey::from_spki(&bytes, alg, None).is_err());
            }
        }
        Ok(())
    });
}

#[test]
fn damaged_key_files_never_panic() {
    hold((any::<Index>(), any::<u8>()), |(position, byte)| {
        for alg in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
            let mut der = key(alg).1.expose().to_vec();
            let at = position.index(der.len());
            der[at] = byte;
            for label in ["PRIVATE KEY", "PUBLIC KEY", "CERTIFICATE", "RSA PRIVATE KEY", "EC PRIVATE KEY"] {
                let _ = VerifyingKey::from_pem(&crate::pem(label, &der), alg, None);
            }
        }
        Ok(())
    });
}

#[test]
fn no_altered_token_is_accepted() {
    let edits = (0..MUTATED.len(), any::<Index>(), 0..4u8, any::<u8>());
    hold(edits, |(which, position, edit, byte)| {
        let signing = &key(MUTATED[which]).0;
        let keys = KeySet::new([signing.verifying_key()]).unwrap();
        let claims = json!({"sub": "u1", "exp": NOW_S + 60});
        let good = sign_compact(signing, "at+jwt", &claims).unwrap().into_bytes();
        let mut bad = good.clone();
        let at = position.index(bad.len());
        match edit {
            0 => bad[at] = byte,
            1 => bad.insert(at, byte),
            2 => drop(bad.remove(at)),
            _ => bad.truncate(at),
        }
        let accepted = verify_token(&bad, &keys, &expect(HeaderPolicy::External)).is_ok();
        prop_assert_eq!(accepted, bad == good);
        Ok(())
    });
}

#[test]
fn what_is_accepted_is_what_serde_reads() {
    hold(near_text(), |bytes| {
        if let Ok(value) = parse(&bytes, Limits::STRANGER) {
            prop_assert_eq!(&value, &serde_json::from_slice::<serde_json::Value>(&bytes).unwrap());
            // What was written by a plain writer is accepted again.
            prop_assert_eq!(parse(value.to_string().as_bytes(), Limits::STRANGER).unwrap(), value);
        }
        Ok(())
    });
}

#[test]
fn a_canonical_path_is_its_own_spelling() {
    hold(near_text(), |bytes| {
        let rooted = [b"/".as_slice(), &bytes].concat();
        if let Ok(canonical) = path::canonical(&rooted) {
            prop_assert_eq!(&path::canonical(canonical.as_str().as_bytes()).unwrap(), &canonical);
            for segment in canonical.decoded_segments() {
                prop_assert!(segment != "." && segment != ".." && !segment.contains(['/', '\\', '\0']));
            }
        }
        Ok(())
    });
}

#[test]
fn base64url_has_one_spelling() {
    hold((vec(any::<u8>(), 0..100), "[A-Za-z0-9_=+/ -]{0,40}"), |(bytes, text)| {
        let encoded = encoding::base64url_encode(&bytes);
        prop_assert_eq!(encoding::base64url_decode(encoded.as_bytes()).unwrap(), bytes);
        if let Ok(decoded) = encoding::base64url_decode(text.as_bytes()) {
            prop_assert_eq!(encoding::base64url_encode(&decoded), text);
        }
        Ok(())
    });
}

/// A frame of Hypha's as a client sends one, with a tail, and a few bytes of it altered, put in, taken out or cut off.
fn near_frames() -> impl Strategy<Value = Vec<u8>> {
    let text = |text: &str| rmpv::Value::from(text);
    let head = rmpv::Value::Map(vec![
        (text("type"), text("method")),
        (text("from"), text("ws-z/root")),
        (text("to"), text("ws-b/y")),
        (text("method"), text("services.default.echo")),
        (text("session"), text("s1")),
        (text("user"), rmpv::Value::Map(vec![(text("id"), text("root"))])),
        (text("ctx"), rmpv::Value::Array(vec![rmpv::Value::Nil, 7.into()])),
    ]);
    let tail = rmpv::Value::Map(vec![(text("args"), rmpv::Value::Array(vec![text("x")]))]);
    let good = [value::write(&head), value::write(&tail)].concat();
    let edits = vec((any::<Index>(), 0..4u8, any::<u8>()), 0..4);
    let edited = edits.prop_map(move |edits| {
        let mut frame = good.clone();
        for (position, edit, byte) in edits {
            let at = position.index(frame.len().max(1));
            match edit {
                _ if frame.is_empty() => frame.push(byte),
                0 => frame[at] = byte,
                1 => frame.insert(at, byte),
                2 => drop(frame.remove(at)),
                _ => frame.truncate(at),
            }
        }
        frame
    });
    prop_oneof![3 => edited, 1 => vec(any::<u8>(), 0..200)]
}

#[test]
fn whatever_a_frame_says_of_its_sender_the_one_that_is_sent_on_says_what_the_server_does() {
    let stamp = Stamp { from: "ws-a/x", to: "ws-b/y", workspace: "ws-a", user: &[0x80] };
    hold(near_frames(), |bytes| {
        let Ok(head) = Head::read(&bytes) else { return Ok(()) };
        let _ = Address::read(head.to, "ws-a").map(|to| to.to_string());
        let stamped = head.stamped(&stamp);
        let again = Head::read(&stamped).map_err(|_| TestCaseError::fail("what is sent on is no frame"))?;
        prop_assert_eq!((again.to, again.from), (stamp.to, Some(stamp.from)));
        prop_assert_eq!((again.kind, again.method, again.session), (head.kind, head.method, head.session));
        prop_assert_eq!(again.tail(), head.tail());
        if let Ok((map, tail)) = value::read_first(&stamped) {
            let pairs = map.as_map().map_or(&[][..], Vec::as_slice);
            let said = |name: &str| pairs.iter().filter(|(key, _)| key.as_str() == Some(name)).count();
            prop_assert!(["from", "to", "ws", "user"].iter().all(|name| said(name) == 1));
            prop_assert!(["ctx", "context"].iter().all(|name| said(name) == 0));
            prop_assert_eq!(tail, head.tail());
        }
        Ok(())
    });
}
