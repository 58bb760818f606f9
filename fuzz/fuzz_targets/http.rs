//! Paths have one spelling; headers never make their parsers panic.

#![no_main]

use doorward_protocols::{encoding, http_auth, path};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(canonical) = path::canonical(bytes) {
        assert_eq!(path::canonical(canonical.as_str().as_bytes()).ok().as_ref(), Some(&canonical));
    }
    let _ = http_auth::parse_authorization(bytes);
    let _ = http_auth::parse_cookies(bytes).map(|cookies| cookies.get("a").is_ok());
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = http_auth::decode_basic(text);
    }
    if let Ok(decoded) = encoding::base64url_decode(bytes) {
        assert_eq!(encoding::base64url_encode(&decoded).as_bytes(), bytes);
    }
});
