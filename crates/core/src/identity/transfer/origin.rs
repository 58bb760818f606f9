//! What an account was called elsewhere, and what it is therefore called here.

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::id::UserId;
use crate::workspaces::names;

/// The member of an account's administrators' metadata that says where it came from: `{"from": …, "id": …}`.
pub(super) const MEMBER: &str = "imported";

/// Longest id of another system that is looked at, in bytes.
pub(super) const MAX_BYTES: usize = 256;

/// How ids of local users begin. Ids of others' users never do, which keeps what goes by an id's spelling apart
/// (`start_up::merge::is_not_ours`): so an imported one does, too.
const PREFIX: &str = "usr_";

/// What an account was called elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The kind of system, such as `supabase`.
    pub from: &'static str,
    /// Its id there, at most 256 bytes; of systems without ids, the name it logs in by.
    pub id: String,
}

impl Origin {
    /// The id here: the same whenever the same account comes.
    ///
    /// A UUID becomes `usr_` and its hex digits, as ours are made; what ids of ours may hold stays readable behind `usr_`; anything else is
    /// hashed.
    #[must_use]
    pub fn user_id(&self) -> UserId {
        let id = self.id.as_str();
        if let Some(hex) = uuid_digits(id) {
            return format!("{PREFIX}{hex}").into();
        }
        let plain = id.strip_prefix(PREFIX).unwrap_or(id);
        if plain.len() <= 64 && names::is_member(plain) && !plain.contains('|') {
            return format!("{PREFIX}{plain}").into();
        }
        let hash = digest(&SHA256, format!("{}\0{id}", self.from).as_bytes());
        let hex: String = hash.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{PREFIX}{hex}").into()
    }

    /// What is noted of it in the account.
    #[must_use]
    pub fn noted(&self) -> Value {
        json!({ "from": self.from, "id": self.id })
    }
}

/// The digits of a UUID in its usual spelling, in lower case.
fn uuid_digits(text: &str) -> Option<String> {
    let groups: Vec<&str> = text.split('-').collect();
    let shape = groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12]);
    let hex = groups.iter().all(|group| group.bytes().all(|b| b.is_ascii_hexdigit()));
    (shape && hex).then(|| groups.concat().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_others_become_ids_of_ours_and_stay_apart() {
        let here = |from, id: &str| Origin { from, id: id.to_owned() }.user_id().to_string();
        let uuid = "9F0C2E9A-6c1d-4b1e-8a57-1f2e3d4c5b6a";
        assert_eq!(here("supabase", uuid), "usr_9f0c2e9a6c1d4b1e8a571f2e3d4c5b6a");
        assert_eq!(here("hypha", "happy-cat-12"), "usr_happy-cat-12");
        assert_eq!(here("users", "usr_0123"), "usr_0123", "one of ours stays");
        let foreign = here("auth0", "auth0|5f7c");
        assert!(foreign.len() == 36 && !foreign.contains('|'));
        for (other, why) in [
            (here("auth0", "auth0|5f7d"), "another id"),
            (here("hypha", "auth0|5f7c"), "another system"),
            (here("auth0", ""), "none"),
            (here("auth0", "../root"), "no name"),
            (here("auth0", &"x".repeat(200)), "a long one"),
        ] {
            assert!(other != foreign && other.starts_with("usr_"), "{why}: {other}");
        }
    }
}
