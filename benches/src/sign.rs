//! Signing with kept keys.

use std::hint::black_box;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair};
use doorward_protocols::jose::Algorithm;
use doorward_protocols::jose::jws::sign_payload;

use crate::keys::{ALGORITHMS, Key, hmac_copy, key, token};
use crate::measure::{Report, Wanted, compare};

#[expect(clippy::disallowed_methods, reason = "the peer is the bare operation, generator included")]
fn random() -> aws_lc_rs::rand::SystemRandom {
    aws_lc_rs::rand::SystemRandom::new()
}

/// Signs a message; the length of the signature.
type Sign = Box<dyn Fn(&[u8]) -> usize>;

fn bare(key: &Key) -> Sign {
    match key.signing.algorithm() {
        Algorithm::HS256 => {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &key.stored);
            Box::new(move |message| hmac::sign(&key, message).as_ref().len())
        }
        Algorithm::RS256 => {
            let pair = RsaKeyPair::from_pkcs8(&key.stored).expect("ours");
            let random = random();
            Box::new(move |message| {
                let mut out = vec![0; pair.public_modulus_len()];
                pair.sign(&signature::RSA_PKCS1_SHA256, &random, message, &mut out).expect("signs");
                out.len()
            })
        }
        Algorithm::ES256 => {
            let form = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
            let pair = EcdsaKeyPair::from_pkcs8(form, &key.stored).expect("ours");
            let random = random();
            Box::new(move |message| pair.sign(&random, message).expect("signs").as_ref().len())
        }
        _ => {
            let pair = Ed25519KeyPair::from_pkcs8(&key.stored).expect("ours");
            Box::new(move |message| pair.sign(message).as_ref().len())
        }
    }
}

pub(crate) fn run(report: &mut Report) {
    for algorithm in ALGORITHMS {
        let key = key(algorithm);
        let text = token(&key);
        let (message, _) = text.rsplit_once('.').expect("three parts");
        let payload = br#"{"iss":"doorward","sub":"usr_01a3185c50007dbdb2ea07431b4790e9","aud":"doorward","exp":1800003600,"iat":1800000000,"jti":"tok_01a3185c50007dbdb2ea07431b4790e9","sid":"ses_01a3185c50007dbdb2ea07431b4790e9","roles":["user"]}"#;
        let bare = bare(&key);
        let ours_key = if algorithm == Algorithm::HS256 { hmac_copy(&key) } else { key.signing };
        let mut signature = Vec::with_capacity(512);
        let [ours, kept, raw] = compare([
            &mut || drop(black_box(sign_payload(&ours_key, "JWT", black_box(payload)).expect("signs"))),
            &mut || {
                signature.clear();
                ours_key.sign(black_box(message.as_bytes()), &mut signature).expect("signs");
                assert!(!black_box(&signature).is_empty());
            },
            &mut || assert!(black_box(bare(black_box(message.as_bytes()))) > 0),
        ]);
        report.figure(
            &format!("sign {algorithm} with a kept key: × bare"),
            raw / kept,
            "×",
            Wanted::AtLeast(0.95),
        );
        // An HMAC costs less than spelling a token of it; every other signature costs more.
        let wanted = if algorithm == Algorithm::HS256 { Wanted::Shown } else { Wanted::AtLeast(0.95) };
        report.figure(&format!("sign a whole {algorithm} token: × bare"), raw / ours, "×", wanted);
    }
}
