//! What a token says it is signed with, for a refusal that names it. The words are those that Hypha's clients and tests look for
//! (hypha-rpc 0.21).

use doorward_protocols::encoding::base64url_decode;
use doorward_protocols::json::{self, Limits};
use serde_json::Value;

use crate::error::{Error, codes};

/// Longest name of an algorithm that is said back.
const MAX_SHOWN: usize = 16;

/// Longest header that is decoded.
const MAX_HEADER_BYTES: usize = 8 << 10;

/// The header of a compact token, decoded and not looked at. An unsigned token has one too: it ends in a dot (RFC 7519 §6.1).
pub(super) fn header_of(text: &str) -> Option<Vec<u8>> {
    let (header, rest) = text.split_once('.')?;
    let whole = header.len() <= MAX_HEADER_BYTES && rest.bytes().filter(|b| *b == b'.').count() == 1;
    base64url_decode(header.as_bytes()).ok().filter(|_| whole)
}

/// The algorithm that a header names, as far as it can be said back.
pub(super) fn algorithm_of(header: &[u8]) -> String {
    let limits = Limits { max_bytes: 4096, max_depth: 4 };
    let named = match json::parse(header, limits) {
        Ok(Value::Object(members)) => members.get("alg").and_then(Value::as_str).map(str::to_owned),
        _ => None,
    };
    named.unwrap_or_default().chars().filter(char::is_ascii_graphic).take(MAX_SHOWN).collect()
}

/// The refusal of this algorithm.
pub(super) fn wrong_algorithm(name: &str) -> Error {
    // Not to the audit log: a stranger chooses it, and lines are folded by their reason.
    Error::new(codes::ALGORITHM_INVALID).message(format!("Invalid algorithm: {name}"))
}
