//! The hash chain that makes a removed or edited audit line visible.

use aws_lc_rs::digest::{Context, SHA256};

use super::entry::AuditEntry;

/// The hash before the first line of a node.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The hash of a line: SHA-256(previous ‖ node ‖ seq ‖ line), each part preceded by its length, in hex.
#[must_use]
pub fn link(previous: &str, node: &str, seq: i64, entry: &AuditEntry) -> String {
    let mut context = Context::new(&SHA256);
    let mut part = |bytes: &[u8]| {
        context.update(&(bytes.len() as u64).to_be_bytes());
        context.update(bytes);
    };
    part(previous.as_bytes());
    part(node.as_bytes());
    part(&seq.to_be_bytes());
    part(&entry.at_ms.to_be_bytes());
    part(entry.request.as_str().as_bytes());
    part(entry.mount.as_bytes());
    part(entry.action.as_bytes());
    part(entry.principal.as_bytes());
    part(entry.method.as_bytes());
    part(entry.outcome.as_str().as_bytes());
    part(&entry.count.to_be_bytes());
    for optional in [&entry.resource, &entry.credential, &entry.reason, &entry.address] {
        // A present empty text and an absent one must not hash alike.
        part(if optional.is_some() { b"+" } else { b"-" });
        part(optional.as_deref().unwrap_or("").as_bytes());
    }
    let mut hex = String::with_capacity(64);
    for byte in context.finish().as_ref() {
        use std::fmt::Write;
        write!(hex, "{byte:02x}").expect("writing to a String cannot fail");
    }
    hex
}
