//! No bytes pass for a token of a key nobody has.

#![no_main]

use std::sync::OnceLock;

use doorward_protocols::jose::{Algorithm, Expect, HeaderPolicy, KeySet, SigningKey, verify_token};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    static KEYS: OnceLock<KeySet> = OnceLock::new();
    let keys = KEYS.get_or_init(|| {
        let (key, _) = SigningKey::generate(Algorithm::ES256).expect("a key");
        KeySet::new([key.verifying_key()]).expect("one key")
    });
    for headers in [HeaderPolicy::Own, HeaderPolicy::External] {
        let expect = Expect { now_s: 1_800_000_000, headers, ..Expect::default() };
        assert!(verify_token(bytes, keys, &expect).is_err());
    }
});
