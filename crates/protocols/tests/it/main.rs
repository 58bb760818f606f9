//! Integration tests of the codecs: public vectors, a second implementation, attacks, and random bytes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets the unexpected should fail loudly")]

mod attacks;
mod cookbook;
mod expectations;
mod fuzz;
mod json_suite;
mod keys;
mod peer;
mod primitives;
mod wycheproof_jose;

use std::path::PathBuf;
use std::sync::OnceLock;

use doorward_protocols::jose::{Algorithm, SecretBytes, SigningKey};

/// The folder of public vectors, which are not part of the repository; `None` (said loudly) when absent,
/// which fails the test where `CI=true`.
fn vectors(folder: &str) -> Option<PathBuf> {
    let root = match std::env::var_os("DOORWARD_VECTORS") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
    };
    let path = root.join(folder);
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "vectors are absent: {}", path.display());
    eprintln!("LEFT OUT: {folder} vectors absent; set DOORWARD_VECTORS");
    None
}

fn read_json(path: &std::path::Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// One generated key per algorithm with its stored form, made once: RSA generation is slow.
fn key(alg: Algorithm) -> &'static (SigningKey, SecretBytes) {
    static KEYS: OnceLock<Vec<(SigningKey, SecretBytes)>> = OnceLock::new();
    let keys = KEYS.get_or_init(|| {
        let mut keys: Vec<(SigningKey, SecretBytes)> = Vec::new();
        for alg in Algorithm::ALL {
            let made = match alg.name().as_bytes()[0] {
                // One RSA pair serves all six algorithms: generation is what is slow.
                b'R' | b'P' => match keys.iter().find(|(key, _)| key.algorithm() == Algorithm::RS256) {
                    Some((_, stored)) => {
                        (SigningKey::from_pkcs8(stored.expose(), alg, None).unwrap(), stored.clone())
                    }
                    None => SigningKey::generate(alg).unwrap(),
                },
                _ => SigningKey::generate(alg).unwrap(),
            };
            keys.push(made);
        }
        keys
    });
    keys.iter().find(|(key, _)| key.algorithm() == alg).unwrap()
}

/// PEM of DER bytes.
fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> =
        body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
