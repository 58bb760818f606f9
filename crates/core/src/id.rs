//! Typed identifiers: a prefix that says what it is, then a UUIDv7 (RFC 9562 §5.7) in hex; of a session the moment and 256 random bits,
//! as Hypha's document has it.
//!
//! Ids are not secrets and sort by creation time. They are made only here, from a clock and a generator.

mod inline;

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use uuid::Builder;

use self::inline::Inline;
use crate::clock::Clock;
use crate::memory::by_thread::ByThread;
use crate::random::{Random, bytes};

/// Longest id accepted from outside, in bytes. Anything longer names nothing.
pub const MAX_ID_BYTES: usize = 128;

fn millis(at_ms: i64) -> u64 {
    u64::try_from(at_ms).unwrap_or(0)
}

fn unique(prefix: &str, clock: &dyn Clock, random: &dyn Random) -> Arc<str> {
    let spelled = spelled(prefix, millis(clock.now_ms()), &bytes::<10>(random));
    std::str::from_utf8(&spelled).expect("a prefix of ASCII and hex").into()
}

fn unique_inline(prefix: &str, clock: &dyn Clock, random: &dyn Random) -> Inline {
    Inline::of(spelled(prefix, millis(clock.now_ms()), &bytes::<10>(random)))
}

/// A prefix of three letters and a UUIDv7, without a heap in between: each request has one.
fn spelled(prefix: &str, at_ms: u64, more: &[u8; 10]) -> [u8; inline::BYTES] {
    let uuid = Builder::from_unix_timestamp_millis(at_ms, more).into_uuid();
    let mut text = *b"000_00000000000000000000000000000000";
    text[..3].copy_from_slice(prefix.as_bytes());
    uuid.simple().encode_lower(&mut text[4..]);
    text
}

/// Begins as a UUIDv7 does, so that it sorts among those of before.
fn unguessable(prefix: &str, clock: &dyn Clock, random: &dyn Random) -> Arc<str> {
    let mut text = format!("{prefix}_{:012x}", millis(clock.now_ms()));
    for byte in bytes::<32>(random) {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.into()
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident($text:ty) = $make:ident($prefix:literal);)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name($text);

        impl $name {
            /// A new, unique id.
            #[must_use]
            pub fn new(clock: &dyn Clock, random: &dyn Random) -> Self {
                Self($make($prefix, clock, random))
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
    UserId(Arc<str>) = unique("usr");
    /// A login session.
    SessionId(Arc<str>) = unguessable("ses");
    /// A family of refresh tokens.
    FamilyId(Arc<str>) = unique("fam");
    /// What a provider says somebody is.
    IdentityId(Arc<str>) = unique("idn");
    /// An API key (its public handle, not the key).
    ApiKeyId(Arc<str>) = unique("key");
    /// A signing key.
    KeyId(Arc<str>) = unique("sig");
    /// A JWT (`jti`).
    TokenId(Arc<str>) = unique("tok");
    /// A thread of the embedded agent server.
    ThreadId(Arc<str>) = unique("thr");
    /// An item of the embedded agent server's store.
    ItemId(Arc<str>) = unique("itm");
    /// A message in a thread.
    MessageId(Arc<str>) = unique("msg");
    /// A run in a thread.
    RunId(Arc<str>) = unique("run");
    /// One request, as told to the client and written to the audit log.
    RequestId(Inline) = unique_inline("req");
    /// Something that happened, as it is told to hooks and webhooks.
    EventId(Arc<str>) = unique("evt");
    /// What is kept in a workspace.
    ArtifactId(Arc<str>) = unique("art");
    /// One process on a store; audit chains are kept per node.
    NodeId(Arc<str>) = unique("nod");
}

/// Ids for the requests of one process: random where it begins, counted from there (RFC 9562 §6.2, method 2), by each thread on a stretch of
/// its own. Nobody keeps a secret by them, and asking the machine for randomness costs more than all else that a request needs.
pub struct RequestIds {
    begins: [u8; 2],
    made: ByThread<AtomicU64>,
}

/// How far the stretches of two threads begin from each other: by the golden ratio of all there are, so that they lie about evenly however
/// many they are.
const STRETCH: u64 = 0x9E37_79B9_7F4A_7C15 >> 2;

impl RequestIds {
    /// Begins somewhere.
    #[must_use]
    pub fn new(random: &dyn Random) -> Self {
        let [first, second, tail @ ..] = bytes::<10>(random);
        let begins = u64::from_be_bytes(tail);
        let stretch = |before: usize| begins.wrapping_add(STRETCH.wrapping_mul(before as u64));
        Self { begins: [first, second], made: ByThread::of(|before| AtomicU64::new(stretch(before))) }
    }

    /// The next one, of a request that came at this moment. Those of one millisecond sort in the order in which a thread made them.
    #[must_use]
    pub fn next(&self, at_ms: i64) -> RequestId {
        let counted = self.made.here().fetch_add(1, Ordering::Relaxed);
        let mut more = [0; 10];
        more[..2].copy_from_slice(&self.begins);
        // The two highest bits are the UUID's own.
        more[2..].copy_from_slice(&(counted & (u64::MAX >> 2)).to_be_bytes());
        RequestId(Inline::of(spelled("req", millis(at_ms), &more)))
    }
}

impl RequestId {
    /// The text form, for a header.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
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
    use std::collections::HashSet;

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

    #[test]
    fn ids_of_requests_are_told_apart_and_sort_as_they_were_made() {
        let (at_ms, ids) = (1_700_000_000_000, RequestIds::new(&SeededRandom::new(1)));
        let made: Vec<RequestId> = (0..1_000).map(|_| ids.next(at_ms)).collect();
        assert!(made.is_sorted() && made.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(
            made[0].as_str().starts_with("req_018bcfe56800") && made[0].as_str().len() == 36,
            "{}",
            made[0]
        );
        assert_eq!(&made[0].as_str()[16..17], "7", "a UUIDv7");
        assert!(made[999] < ids.next(at_ms + 1));
        let other = RequestIds::new(&SeededRandom::new(2));
        assert_ne!(other.next(at_ms), made[0], "another process");
    }

    #[test]
    fn ids_of_requests_are_told_apart_whatever_thread_made_them() {
        let ids = RequestIds::new(&SeededRandom::new(1));
        let made = || (0..100).map(|_| ids.next(1_700_000_000_000)).collect::<Vec<_>>();
        let made: HashSet<RequestId> = std::thread::scope(|scope| {
            // More of them than there are seats.
            let threads: Vec<_> = (0..80).map(|_| scope.spawn(made)).collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("it ends")).collect()
        });
        assert_eq!(made.len(), 80 * 100);
    }

    #[test]
    fn a_session_has_256_bits_that_nobody_could_guess_and_sorts_by_time_all_the_same() {
        let (clock, random) = (ManualClock::new(1_700_000_000_000), SeededRandom::new(1));
        let of_before = SessionId::from(&*unique("ses", &clock, &random));
        clock.advance_ms(1);
        let (first, same_moment) = (SessionId::new(&clock, &random), SessionId::new(&clock, &random));
        assert_eq!(first.as_str().len(), "ses_".len() + 12 + 256 / 4);
        assert_eq!(first.as_str()[..16], same_moment.as_str()[..16], "the moment");
        assert_ne!(first.as_str()[16..], same_moment.as_str()[16..]);
        clock.advance_ms(1);
        assert!(of_before < first && first < SessionId::new(&clock, &random));
        assert!(first.as_str().len() <= MAX_ID_BYTES);
    }
}
