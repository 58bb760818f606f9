//! Keys of every form: refused or read, never a panic.

#![no_main]

use doorward_protocols::jose::{Algorithm, Jwk, JwkSet, SigningKey, VerifyingKey};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(jwk) = Jwk::parse(bytes) {
        let _ = SigningKey::from_jwk(&jwk);
        let _ = VerifyingKey::from_jwk(&jwk);
    }
    let _ = JwkSet::parse(bytes);
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let _ = VerifyingKey::from_spki(bytes, algorithm, None);
        let _ = SigningKey::from_pkcs8(bytes, algorithm, None);
        if let Ok(text) = std::str::from_utf8(bytes) {
            let _ = VerifyingKey::from_pem(text, algorithm, None);
            let _ = SigningKey::from_pem(text, algorithm, None);
        }
    }
});
