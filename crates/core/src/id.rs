//! Typed identifiers: a prefix that says what it is, then a UUIDv7 (RFC 9562 §5.7) in hex.
//!
//! Ids are not secrets and sort by creation time. They are made only here, from a clock and a generator.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Builder;

use crate::clock::Clock;
use crate::random::{Random, bytes};

/// Longest id accepted from outside, in bytes. Anything longer names nothing.
pub const MAX_ID_BYTES: usize = 128;

fn unique(prefix: &str, clock: &dyn Clock, random: &dyn Random) -> Arc<str> {
    let millis = u64::try_from(clock.now_ms()).unwrap_or(0);
    let uuid = Builder::from_unix_timestamp_millis(millis, &bytes::<10>(random)).into_uuid();
    format!("{prefix}_{}", uuid.simple()).into()
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// A new, unique id.
            #[must_use]
            pub fn new(clock: &dyn Clock, random: &dyn Random) -> Self {
                Self(unique($prefix, clock, random))
            }

            /// The text form.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

ids! {
    /// A user of the local authority.
    UserId = "usr";
    /// A login session.
    SessionId = "ses";
    /// A family of refresh tokens.
    FamilyId = "fam";
    /// What a provider says somebody is.
    IdentityId = "idn";
    /// An API key (its public handle, not the key).
    ApiKeyId = "key";
    /// A signing key.
    KeyId = "sig";
    /// A JWT (`jti`).
    TokenId = "tok";
    /// A thread of the embedded agent server.
    ThreadId = "thr";
    /// A message in a thread.
    MessageId = "msg";
    /// A run in a thread.
    RunId = "run";
    /// One request, as told to the client and written to the audit log.
    RequestId = "req";
    /// Something that happened, as it is told to hooks and webhooks.
    EventId = "evt";
    /// What is kept in a workspace.
    ArtifactId = "art";
    /// One process on a store; audit chains are kept per node.
    NodeId = "nod";
}

impl UserId {
    /// The UUID within, for clients that know no other ids; an id of another form as it is.
    #[must_use]
    pub fn to_uuid(&self) -> String {
        let uuid = self.0.strip_prefix("usr_").and_then(|hex| uuid::Uuid::try_parse(hex).ok());
        uuid.map_or_else(|| self.0.to_string(), |uuid| uuid.hyphenated().to_string())
    }

    /// Reads an id in either form. Of a UUID only the one spelling with hyphens and small letters counts.
    #[must_use]
    pub fn of_either(text: &str) -> Self {
        match uuid::Uuid::try_parse(text) {
            Ok(uuid) if uuid.hyphenated().to_string() == text => Self::from(format!("usr_{}", uuid.simple())),
            _ => Self::from(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::random::SeededRandom;

    #[test]
    fn a_users_id_has_a_uuid_within_and_reads_back() {
        let id = UserId::new(&ManualClock::new(1_000), &SeededRandom::new(1));
        let uuid = id.to_uuid();
        assert_eq!((uuid.len(), UserId::of_either(&uuid)), (36, id.clone()));
        assert_eq!(UserId::of_either(id.as_str()), id);
        for other in ["usr_x", "", &uuid.to_uppercase(), &uuid.replace('-', "")] {
            assert_eq!(UserId::of_either(other).as_str(), other);
        }
        assert_eq!(UserId::from("usr_x").to_uuid(), "usr_x");
    }

    #[test]
    fn ids_carry_their_kind_and_sort_by_time() {
        let (clock, random) = (ManualClock::new(1_700_000_000_000), SeededRandom::new(1));
        let first = UserId::new(&clock, &random);
        clock.advance_ms(1);
        let second = UserId::new(&clock, &random);
        assert!(first.as_str().starts_with("usr_") && first.as_str().len() == 36);
        assert!(first < second);
    }
}
