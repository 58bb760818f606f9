//! The revocation set: every revocation that still covers an unexpired credential.
//!
//! A million entries have to fit a small machine, so a subject is kept as a 64-bit keyed hash. The key is random
//! per process: nobody can make two subjects meet on purpose, and by chance a look-up among 10⁶ entries errs once
//! in 10¹³, on the side of refusing.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};

use doorward_protocols::jose::Claims;
use parking_lot::RwLock;

use crate::id::RunId;
use crate::tokens::model::Revoked;

const SHARDS: usize = 64;

/// What a hashed name is of: a session is never taken for a token of the same name.
#[derive(Clone, Copy)]
enum Kind {
    Token,
    Session,
    Principal,
    Workspace,
    All,
    Work,
}

/// The hash of what a revocation names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(u64);

impl Key {
    /// The kind's part is worked out once: a token is asked about by three names.
    fn hash(kind: Kind, subject: &[u8]) -> Self {
        static STARTS: OnceLock<[DefaultHasher; 6]> = OnceLock::new();
        let starts = STARTS.get_or_init(|| {
            let seed = RandomState::new();
            // Eight bytes are one round of the hash, so that what follows starts on a boundary.
            std::array::from_fn(|kind| {
                let mut hasher = seed.build_hasher();
                hasher.write_u64(kind as u64);
                hasher
            })
        });
        let mut hasher = starts[kind as usize].clone();
        hasher.write(subject);
        Self(hasher.finish())
    }

    /// Of what a revocation covers.
    #[must_use]
    pub fn of(revoked: &Revoked) -> Self {
        match revoked {
            Revoked::Token(jti) => Self::of_token(jti),
            Revoked::Session(id) => Self::of_session(id),
            Revoked::Principal(owner_key) => Self::of_principal(owner_key),
            Revoked::Workspace(id) => Self::of_workspace(id),
            Revoked::All => Self::hash(Kind::All, b""),
        }
    }

    /// Of a token, by `jti`.
    #[must_use]
    pub fn of_token(jti: &str) -> Self {
        Self::hash(Kind::Token, jti.as_bytes())
    }

    /// Of a session.
    #[must_use]
    pub fn of_session(id: &str) -> Self {
        Self::hash(Kind::Session, id.as_bytes())
    }

    /// Of a principal's owner key.
    #[must_use]
    pub fn of_principal(owner_key: &str) -> Self {
        Self::hash(Kind::Principal, owner_key.as_bytes())
    }

    /// Of a workspace, and so of what was given in it.
    #[must_use]
    pub fn of_workspace(id: &str) -> Self {
        Self::hash(Kind::Workspace, id.as_bytes())
    }

    /// Of a run at work.
    #[must_use]
    pub fn of_run(id: &RunId) -> Self {
        Self::of_work(&format!("run {id}"))
    }

    /// Of work that can be ended by a name of its own.
    #[must_use]
    pub fn of_work(name: &str) -> Self {
        Self::hash(Kind::Work, name.as_bytes())
    }
}

#[derive(Debug, Clone, Copy)]
struct Times {
    at_ms: i64,
    until_ms: i64,
}

/// Keys are hashes already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[derive(Default)]
struct Shard {
    /// Told without the lock, because most shards are empty most of the time.
    occupied: AtomicBool,
    times: RwLock<HashMap<u64, Times, BuildHasherDefault<Hashed>>>,
}

/// The set.
pub struct Revocations {
    shards: Box<[Shard]>,
    all_at_ms: AtomicI64,
    newest_principal_ms: AtomicI64,
    len: AtomicUsize,
    order: Order,
}

/// In which order revocations of everything of somebody were applied in this process. Clocks cannot tell what came first: a
/// revocation's own moment is before its transaction, and another machine's.
#[derive(Default)]
struct Order {
    applied: AtomicU64,
    newest: AtomicU64,
    all: AtomicU64,
    principals: RwLock<HashMap<u64, u64, BuildHasherDefault<Hashed>>>,
}

/// A place in the order in which revocations are applied ([`Revocations::moment`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

/// What a token can be revoked by, hashed once.
#[derive(Debug, Clone, Copy)]
pub struct Handles {
    /// Its `jti`, if it has one.
    pub token: Option<Key>,
    /// Its session, if it has one.
    pub session: Option<Key>,
    /// Its principal, or a workspace that it was given something in.
    pub principal: Key,
    /// When it was issued, in seconds; without it the token counts as older than every revocation.
    pub issued_at_s: Option<i64>,
}

impl Handles {
    /// Of a token with these claims. `session` is the session it descends from, where it is one of ours.
    #[must_use]
    pub fn of(claims: &Claims, session: Option<&str>, owner_key: &str) -> Self {
        Self {
            token: claims.jti().as_deref().map(Key::of_token),
            session: session.map(Key::of_session),
            principal: Key::of_principal(owner_key),
            issued_at_s: claims.iat,
        }
    }
}

impl Revocations {
    /// An empty set.
    #[must_use]
    pub fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            all_at_ms: AtomicI64::new(i64::MIN),
            newest_principal_ms: AtomicI64::new(i64::MIN),
            len: AtomicUsize::new(0),
            order: Order::default(),
        }
    }

    fn shard(&self, key: Key) -> &Shard {
        &self.shards[(key.0 >> 58) as usize % SHARDS]
    }

    /// Adds a revocation or moves an equal one forward.
    pub fn insert(&self, revoked: &Revoked, at_ms: i64, until_ms: i64) -> Key {
        let key = Key::of(revoked);
        if matches!(revoked, Revoked::All) {
            if self.all_at_ms.fetch_max(at_ms, Ordering::AcqRel) < at_ms {
                let place = self.order.applied.fetch_add(1, Ordering::AcqRel) + 1;
                self.order.all.fetch_max(place, Ordering::AcqRel);
            }
            return key;
        }
        if revoked.is_up_to_its_moment() {
            self.newest_principal_ms.fetch_max(at_ms, Ordering::AcqRel);
        }
        let Shard { occupied, times: shard } = self.shard(key);
        let mut shard = shard.write();
        let before = shard.len();
        let known_ms = shard.get(&key.0).map(|times| times.at_ms);
        let times = shard.entry(key.0).or_insert(Times { at_ms, until_ms });
        times.at_ms = times.at_ms.max(at_ms);
        times.until_ms = times.until_ms.max(until_ms);
        self.len.fetch_add(shard.len() - before, Ordering::AcqRel);
        occupied.store(true, Ordering::Release);
        drop(shard);
        // After the entry itself: whoever takes a moment from here on is refused by the entry. What is told again, as the
        // feed does, is no new revocation.
        if revoked.is_up_to_its_moment() && known_ms.is_none_or(|known_ms| known_ms < at_ms) {
            let mut principals = self.order.principals.write();
            let place = self.order.applied.fetch_add(1, Ordering::AcqRel) + 1;
            principals.insert(key.0, place);
            self.order.newest.store(place, Ordering::Release);
        }
        key
    }

    /// Where the order of revocations is now. Taken before a credential is looked at, [`Revocations::applied_since`] tells
    /// later what that look could not see.
    #[must_use]
    pub fn moment(&self) -> Moment {
        Moment(self.order.applied.load(Ordering::Acquire))
    }

    /// Whether everything of a principal, or everything, was revoked after that moment.
    #[must_use]
    pub fn applied_since(&self, principal: Key, moment: Moment) -> bool {
        let Order { newest, all, principals, .. } = &self.order;
        all.load(Ordering::Acquire) > moment.0
            || (newest.load(Ordering::Acquire) > moment.0
                && principals.read().get(&principal.0).is_some_and(|place| *place > moment.0))
    }

    fn at_ms(&self, key: Key) -> Option<i64> {
        let shard = self.shard(key);
        if !shard.occupied.load(Ordering::Acquire) {
            return None;
        }
        shard.times.read().get(&key.0).map(|times| times.at_ms)
    }

    /// Whether any revocation covers a token with these handles.
    #[must_use]
    pub fn cover(&self, handles: &Handles) -> bool {
        let issued_at_ms = handles.issued_at_s.map_or(i64::MIN, |s| s.saturating_mul(1000));
        let all_at_ms = self.all_at_ms.load(Ordering::Acquire);
        if all_at_ms != i64::MIN && issued_at_ms <= all_at_ms {
            return true;
        }
        if self.len.load(Ordering::Acquire) == 0 {
            return false;
        }
        handles.token.is_some_and(|key| self.at_ms(key).is_some())
            || handles.session.is_some_and(|key| self.at_ms(key).is_some())
            || self.at_ms(handles.principal).is_some_and(|at_ms| issued_at_ms <= at_ms)
    }

    /// Whether this very thing was revoked.
    #[must_use]
    pub fn holds(&self, key: Key) -> bool {
        self.at_ms(key).is_some()
    }

    /// The first millisecond in which something new of this principal is not covered, if any revocation stands.
    #[must_use]
    pub fn earliest_ms(&self, principal: Key) -> Option<i64> {
        let all_at_ms = self.all_at_ms.load(Ordering::Acquire);
        let all = (all_at_ms != i64::MIN).then_some(all_at_ms);
        self.at_ms(principal).max(all).map(|at_ms| at_ms + 1)
    }

    /// The newest moment any principal's revocation stands for.
    #[must_use]
    pub fn newest_principal_ms(&self) -> Option<i64> {
        let newest = self.newest_principal_ms.load(Ordering::Acquire);
        (newest != i64::MIN).then_some(newest)
    }

    /// Whether everything of a principal, or everything, was revoked at or after a moment: for credentials that are
    /// older than a second tells, such as API keys.
    #[must_use]
    pub fn cover_since(&self, principal: Key, made_at_ms: i64) -> bool {
        made_at_ms <= self.all_at_ms.load(Ordering::Acquire)
            || (!self.is_empty() && self.at_ms(principal).is_some_and(|at_ms| made_at_ms <= at_ms))
    }

    /// The first second in which a new token of this principal is not covered, if any revocation stands.
    #[must_use]
    pub fn earliest_issue_s(&self, principal: Key) -> Option<i64> {
        self.earliest_ms(principal).map(|ms| (ms - 1).div_euclid(1000) + 1)
    }

    /// How many there are, not counting "all".
    #[must_use]
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// Whether there are none but perhaps "all".
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets what no longer covers anything.
    pub fn prune(&self, now_ms: i64) {
        for shard in &self.shards {
            let mut shard = shard.times.write();
            let before = shard.len();
            shard.retain(|_, times| times.until_ms > now_ms);
            self.len.fetch_sub(before - shard.len(), Ordering::AcqRel);
        }
        // Requests that began before the oldest of these are over: a revocation stands for longer than any of them.
        self.order.principals.write().retain(|key, _| self.at_ms(Key(*key)).is_some());
    }
}

impl Default for Revocations {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_workspace_covers_what_was_given_there_before_it() {
        let set = Revocations::new();
        let of = |id: &str, issued_at_s| Handles {
            token: None,
            session: None,
            principal: Key::of_workspace(id),
            issued_at_s: Some(issued_at_s),
        };
        let before = set.moment();
        set.insert(&Revoked::Workspace("team-a".into()), 10_500, 99_000);
        assert!(set.cover(&of("team-a", 10)) && !set.cover(&of("team-a", 11)));
        assert!(!set.cover(&of("team-b", 10)), "another's");
        assert!(!set.cover_since(Key::of_principal("team-a"), 10), "a principal of that name");
        assert_eq!(set.earliest_issue_s(Key::of_workspace("team-a")), Some(11));
        assert!(set.applied_since(Key::of_workspace("team-a"), before));
        assert!(!set.applied_since(Key::of_workspace("team-a"), set.moment()));
    }

    fn handles(issued_at_s: Option<i64>) -> Handles {
        Handles {
            token: Some(Key::of_token("t")),
            session: Some(Key::of_session("s")),
            principal: Key::of_principal("local|u"),
            issued_at_s,
        }
    }

    #[test]
    fn each_kind_of_revocation_covers_what_it_names() {
        for (name, revoked, covered) in [
            ("token", Revoked::Token("t".into()), true),
            ("session", Revoked::Session("s".into()), true),
            ("principal", Revoked::Principal("local|u".into()), true),
            ("all", Revoked::All, true),
            ("another token", Revoked::Token("s".into()), false),
            ("a session of a token's name", Revoked::Session("t".into()), false),
        ] {
            let set = Revocations::new();
            assert!(!set.cover(&handles(Some(10))), "{name}: nothing revoked yet");
            set.insert(&revoked, 10_000, 99_000);
            assert_eq!(set.cover(&handles(Some(10))), covered, "{name}");
        }
    }

    #[test]
    fn a_principals_revocation_spares_tokens_issued_after_it() {
        let set = Revocations::new();
        set.insert(&Revoked::Principal("local|u".into()), 10_500, 99_000);
        assert!(set.cover(&handles(Some(10))), "issued in the same second, perhaps before");
        assert_eq!(set.earliest_issue_s(Key::of_principal("local|u")), Some(11));
        assert!(!set.cover(&handles(Some(11))));
        assert!(set.cover(&handles(None)), "a token that hides its age is refused");
    }

    #[test]
    fn what_is_applied_after_a_moment_counts_whatever_the_clocks_say_and_once() {
        let set = Revocations::new();
        let of = Key::of_principal("local|u");
        let revoked = Revoked::Principal("local|u".into());
        let before = set.moment();
        set.insert(&revoked, 10_000, 99_000);
        let after = set.moment();
        assert!(set.applied_since(of, before) && !set.applied_since(of, after));
        assert!(!set.applied_since(Key::of_principal("local|v"), before), "another's");
        set.insert(&revoked, 10_000, 99_000);
        assert!(!set.applied_since(of, after), "the same again is no new one");
        set.insert(&revoked, 11_000, 99_000);
        assert!(set.applied_since(of, after), "a later one is");
        let after = set.moment();
        set.insert(&Revoked::Token("t".into()), 1, 2);
        assert_eq!(set.moment(), after, "tokens are asked about by their names");
        set.insert(&Revoked::All, 5, 99_000);
        assert!(set.applied_since(Key::of_principal("local|v"), after));
        set.insert(&Revoked::All, 5, 99_000);
        assert!(!set.applied_since(of, set.moment()));
        set.prune(99_000);
        assert!(set.order.principals.read().is_empty());
    }

    #[test]
    fn pruning_forgets_only_what_expired() {
        let set = Revocations::new();
        set.insert(&Revoked::Token("old".into()), 1, 1_000);
        set.insert(&Revoked::Token("t".into()), 1, 2_000);
        set.prune(1_000);
        assert_eq!(set.len(), 1);
        assert!(set.cover(&handles(Some(10))));
    }
}
