//! What an artifact is made of, and how large it may be.

use serde_json::{Map, Value};

use crate::error::{Error, Result, codes};

/// Most artifacts in one workspace.
pub const MOST: u32 = 10_000;
/// Most bytes of manifests and settings in one workspace, as JSON.
pub const MOST_BYTES: u64 = 64 << 20;
/// Longest manifest, as JSON.
pub const MAX_MANIFEST_BYTES: usize = 64 << 10;
/// Longest settings, as JSON.
pub const MAX_CONFIG_BYTES: usize = 16 << 10;
/// Deepest nesting of either.
pub const MAX_DEPTH: usize = 32;
/// Longest alias, in bytes.
pub const MAX_ALIAS_BYTES: usize = 128;
/// Longest type and comment, in characters.
pub(super) const MAX_KIND_CHARS: usize = 64;
pub(super) const MAX_COMMENT_CHARS: usize = 512;

/// A manifest under a name in a workspace.
#[derive(Debug, Clone, PartialEq)]
pub struct Artifact {
    /// Its own id; never reused, as names can be.
    pub id: String,
    /// The workspace it is in.
    pub workspace: String,
    /// Its name there.
    pub alias: String,
    /// The alias of the one it is within, in the same workspace.
    pub parent: Option<String>,
    /// What it is: `collection`, `generic`, `user`, …
    pub kind: String,
    /// What it says.
    pub manifest: Map<String, Value>,
    /// Its settings, with `permissions` among them; those of whoever made it are not written down.
    pub config: Map<String, Value>,
    /// What was said of its one version.
    pub comment: String,
    /// Whose it is shown to be: whoever made it, or for whom they acted.
    pub created_by: String,
    /// Who made it, by the name of members ([`crate::workspaces::names::member`]).
    pub maker: String,
    /// When.
    pub created_at_ms: i64,
    /// When it last changed.
    pub changed_at_ms: i64,
    /// Counts changes, so that none is lost.
    pub revision: i64,
    /// How often it was looked at, as far as that was counted durably.
    pub views: i64,
}

/// The workspace an artifact is in.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Its id.
    pub workspace: &'a str,
    /// Whose it is ([`crate::principal::Principal::owner_key`]).
    pub owner: &'a str,
}

/// What a new artifact is made of.
#[derive(Debug, Clone, Default)]
pub struct NewArtifact {
    /// Its name; one is made up if absent.
    pub alias: Option<String>,
    /// What it is; `generic` if absent.
    pub kind: Option<String>,
    /// What it says.
    pub manifest: Map<String, Value>,
    /// Its settings.
    pub config: Map<String, Value>,
    /// What is said of it.
    pub comment: Option<String>,
}

/// What to change; absent members stay, the others are replaced as a whole.
#[derive(Debug, Clone, Default)]
pub struct ArtifactChanges {
    /// What it says.
    pub manifest: Option<Map<String, Value>>,
    /// What it is.
    pub kind: Option<String>,
    /// Its settings.
    pub config: Option<Map<String, Value>>,
    /// What is said of it.
    pub comment: Option<String>,
}

/// Which artifacts to list: those within one, or those within none.
#[derive(Debug, Clone, Default)]
pub struct ArtifactQuery {
    /// The alias of the one they are within.
    pub parent: Option<String>,
    /// Of this type alone.
    pub kind: Option<String>,
    /// How many to leave out.
    pub offset: u32,
    /// At most this many, and at most 1,000.
    pub limit: u32,
}

fn bad(message: String) -> Error {
    Error::new(codes::BAD_FIELD).message(message)
}

/// Names that Hypha keeps for its own paths.
const RESERVED: [&str; 3] = ["-", "~", "_"];

/// Whether something can be kept under this name: up to 128 of letters, digits and `- _ . @ | +`, not beginning with a dot and without two of
/// them in a row.
#[must_use]
pub fn is_alias(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.@|+".contains(&b);
    (1..=MAX_ALIAS_BYTES).contains(&text.len())
        && text.bytes().all(plain)
        && !text.starts_with('.')
        && !text.contains("..")
        && !RESERVED.contains(&text)
}

/// # Errors
/// `bad_field`.
pub(super) fn alias(text: &str) -> Result<String> {
    if is_alias(text) {
        return Ok(text.to_owned());
    }
    let message = format!(
        "alias: up to {MAX_ALIAS_BYTES} of letters, digits and - _ . @ | +, no dot in front, no two in a row, and not -, ~ or _."
    );
    Err(bad(message))
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// How much a map takes, as JSON.
pub(super) fn size(map: &Map<String, Value>) -> usize {
    serde_json::to_string(map).map_or(usize::MAX, |text| text.len())
}

/// # Errors
/// `bad_field`, naming the field and the limit.
pub(super) fn bounded(field: &str, map: &Map<String, Value>, most: usize) -> Result<()> {
    // What is read from frames and bodies is never deeper than their readers allow, so that this ends.
    if map.values().map(depth).max().unwrap_or(0) >= MAX_DEPTH {
        return Err(bad(format!("{field}: may nest {MAX_DEPTH} deep.")));
    }
    if size(map) > most {
        return Err(bad(format!("{field}: may take {most} bytes as JSON.")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_alias_is_plain_and_leads_nowhere_else() {
        for good in ["auth-users", "a", "usr_0192", "ann@example.org", "v1.2", "x|y", "a+b"] {
            assert!(is_alias(good), "{good}");
        }
        for bad in [
            "", "-", "_", "~", ".", "..", "a..b", ".a", "a/b", "a b", "*", "a*", "{uuid}", "é", "a\0",
            "a%2f", "a:b", "a\\b",
        ] {
            assert!(!is_alias(bad), "{bad:?}");
        }
        assert!(is_alias(&"x".repeat(MAX_ALIAS_BYTES)) && !is_alias(&"x".repeat(MAX_ALIAS_BYTES + 1)));
    }

    #[test]
    fn a_manifest_is_bounded_in_size_and_depth() {
        let of = |value: Value| bounded("manifest", &Map::from_iter([("a".to_owned(), value)]), 200);
        let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
        assert!(of(nested(MAX_DEPTH - 1)).is_ok());
        assert!(of(nested(MAX_DEPTH)).is_err_and(|error| error.public_message().contains("deep")));
        assert!(of("x".repeat(150).into()).is_ok());
        assert!(of("x".repeat(200).into()).is_err_and(|error| error.public_message().contains("bytes")));
    }
}
