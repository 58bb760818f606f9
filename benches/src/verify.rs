//! First sight of a token: signature, claims, revocation.

use std::hint::black_box;

use doorward_core::memory::revocations::{Handles, Revocations};
use doorward_core::tokens::model::Revoked;
use doorward_protocols::encoding::base64url_decode;
use doorward_protocols::jose::{Algorithm, Expect, KeySet, Verified, verify_token};
use serde_json::Value;

use crate::keys::{ALGORITHMS, Bare, Key, NOW_S, key, token};
use crate::measure::{Report, Wanted, compare};
use crate::python;

/// What every verification at first sight does.
pub(crate) fn first_sight(text: &str, keys: &KeySet, revoked: &Revocations, ours: &[String]) -> Verified {
    let expect = Expect {
        now_s: NOW_S,
        issuer: Some(ours),
        audience: Some(ours),
        types: &["JWT"],
        required: &["sub", "jti", "iat"],
        ..Expect::default()
    };
    let verified = verify_token(text, keys, &expect).expect("a good token");
    let claims = &verified.claims;
    let session = claims.get_str("sid");
    let handles = Handles::of(claims, session.as_deref(), "local|usr_01a3185c50007dbdb2ea07431b4790e9");
    assert!(!revoked.cover(&handles), "nobody revoked it");
    verified
}

fn peer_key(key: &Key, algorithm: Algorithm) -> jsonwebtoken::DecodingKey {
    match key.signing.to_public_jwk() {
        None => jsonwebtoken::DecodingKey::from_secret(&key.stored),
        Some(jwk) => {
            let jwk = serde_json::to_value(jwk).and_then(serde_json::from_value);
            jsonwebtoken::DecodingKey::from_jwk(&jwk.expect("a JWK"))
                .unwrap_or_else(|error| unreachable!("{algorithm}: {error}"))
        }
    }
}

pub(crate) fn run(report: &mut Report) {
    let revoked = Revocations::new();
    revoked.insert(&Revoked::Token("another".into()), 1, i64::MAX);
    for algorithm in ALGORITHMS {
        let key = key(algorithm);
        let text = token(&key);
        let keys = KeySet::new([key.signing.verifying_key()]).expect("one key");
        let bare = Bare::of(&key);
        let ours_name = [String::from("doorward")];
        let (message, signature) = text.rsplit_once('.').expect("three parts");
        let signature = base64url_decode(signature.as_bytes()).expect("ours");
        let peer = peer_key(&key, algorithm);
        let mut validation =
            jsonwebtoken::Validation::new(algorithm.name().parse().expect("the peer knows it"));
        validation.validate_exp = false;
        validation.set_audience(&["doorward"]);
        validation.set_issuer(&["doorward"]);
        let [ours, raw, theirs] = compare([
            &mut || drop(black_box(first_sight(black_box(&text), &keys, &revoked, &ours_name))),
            &mut || assert!(black_box(bare.verify(black_box(message.as_bytes()), &signature))),
            &mut || {
                let read = jsonwebtoken::decode::<Value>(black_box(&text), &peer, &validation);
                drop(black_box(read.expect("the peer accepts it")));
            },
        ]);
        let (against_bare, against_peer) = match algorithm {
            Algorithm::HS256 => (Wanted::AtLeast(0.25), Wanted::AtLeast(2.5)),
            Algorithm::RS256 => (Wanted::AtLeast(0.9), Wanted::Shown),
            _ => (Wanted::AtLeast(0.95), Wanted::Shown),
        };
        report.figure(&format!("verify {algorithm}: ns"), ours, "ns", Wanted::Shown);
        report.figure(&format!("verify {algorithm}: × bare"), raw / ours, "×", against_bare);
        report.figure(&format!("verify {algorithm}: × jsonwebtoken"), theirs / ours, "×", against_peer);
        if algorithm == Algorithm::HS256 {
            match python::verify_ns(&text, &key.stored) {
                Ok(theirs) => {
                    report.figure("verify HS256: × PyJWT", theirs / ours, "×", Wanted::AtLeast(30.0));
                }
                Err(why) => report.absent("verify HS256: × PyJWT", &why),
            }
        }
    }
}
