//! What the strict JSON parser takes, a plain parser takes alike.

#![no_main]

use doorward_protocols::jose::jws_json::Document;
use doorward_protocols::jose::{Claims, Header, HeaderPolicy};
use doorward_protocols::json::{Limits, parse};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(value) = parse(bytes, Limits::STRANGER) {
        assert_eq!(parse(value.to_string().as_bytes(), Limits::STRANGER).ok(), Some(value));
    }
    for policy in [HeaderPolicy::Own, HeaderPolicy::External] {
        let _ = Header::parse(bytes, policy);
        let _ = Claims::parse(bytes.to_vec(), policy).map(|claims| claims.to_map());
    }
    let _ = Document::parse_json(bytes);
});
