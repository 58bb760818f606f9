//! Lines and times that are written in batches, off the path of requests.
//!
//! Denials are written at once the first time and then folded: repeats within ten seconds become one line with a
//! count, so that a flood of refusals cannot become a flood of writes. Reads are counted per principal and action.
//! What is not yet written is lost with the process if it is killed: at most the last half second of reads and
//! of folded repeats' counts.

use std::collections::HashMap;
use std::hash::RandomState;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::Equivalent;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::entry::{AuditEntry, Outcome};
use crate::authz::catalogue::ActionDef;
use crate::engine::Engine;
use crate::id::{ApiKeyId, SessionId};
use crate::limits::failures::network_of;
use crate::ports::store::Write;
use crate::ports::{Batch, StoreError};
use crate::principal::Principal;

/// How often the journal is written.
pub const FLUSH_EVERY_MS: u64 = 250;
const FOLD_MS: i64 = 10_000;
const MOST_KEYS: usize = 8_192;
/// The principal of refusals whose own could not be kept.
const SEVERAL: &str = "several";
const MOST_LINES: usize = 8_192;

#[derive(PartialEq, Eq, Hash)]
struct FoldKey {
    mount: String,
    action: String,
    principal: String,
    reason: Option<String>,
    address: Option<String>,
}

/// What reads are counted by: one line stands for all those of one caller and client.
#[derive(PartialEq, Eq, Hash)]
struct ReadKey {
    mount: String,
    action: (&'static str, &'static str),
    authority: String,
    subject: String,
    reason: Option<String>,
    network: Option<IpAddr>,
}

/// The same, of a read that most likely was counted before: nothing has to be kept of it. Its fields are hashed as the key's are.
#[derive(Clone, Copy, Hash)]
pub(crate) struct Read<'c> {
    mount: &'c str,
    action: (&'static str, &'static str),
    authority: &'c str,
    subject: &'c str,
    reason: Option<&'c str>,
    network: Option<IpAddr>,
}

impl<'c> Read<'c> {
    /// A read by `principal` from `address`.
    pub(crate) fn new(
        mount: &'c str,
        action: &'static ActionDef,
        principal: &'c Principal,
        address: Option<IpAddr>,
        reason: Option<&'c str>,
    ) -> Self {
        let Principal { authority, subject, .. } = principal;
        let action = (action.resource, action.name);
        Self { mount, action, authority, subject, reason, network: address.map(network_of) }
    }

    fn key(self) -> ReadKey {
        ReadKey {
            mount: self.mount.to_owned(),
            action: self.action,
            authority: self.authority.to_owned(),
            subject: self.subject.to_owned(),
            reason: self.reason.map(str::to_owned),
            network: self.network,
        }
    }
}

impl Equivalent<ReadKey> for Read<'_> {
    fn equivalent(&self, key: &ReadKey) -> bool {
        let ReadKey { mount, action, authority, subject, reason, network } = key;
        self.mount == mount
            && self.action == *action
            && self.authority == authority
            && self.subject == subject
            && self.reason == reason.as_deref()
            && self.network == *network
    }
}

struct Folded {
    entry: AuditEntry,
    unwritten: i64,
    ends_at_ms: i64,
    written_once: bool,
}

#[derive(Default)]
struct Pending {
    lines: Vec<AuditEntry>,
    denials: HashMap<FoldKey, Folded>,
    reads: hashbrown::HashMap<ReadKey, AuditEntry, RandomState>,
    sessions: HashMap<SessionId, i64>,
    api_keys: HashMap<ApiKeyId, i64>,
}

/// What waits to be written.
#[derive(Default)]
pub struct Journal {
    pending: Mutex<Pending>,
    lost: AtomicU64,
    pub(crate) stop: Notify,
}

fn fold_key(entry: &AuditEntry) -> FoldKey {
    FoldKey {
        mount: entry.mount.clone(),
        action: entry.action.clone(),
        principal: entry.principal.clone(),
        reason: entry.reason.clone(),
        address: entry.address.as_deref().map(network),
    }
}

/// An IPv6 host has a whole network to itself: refusals of all its addresses are one client's.
fn network(address: &str) -> String {
    address.parse().map_or_else(|_| address.to_owned(), |address| network_of(address).to_string())
}

/// Where refusals are counted that find no room of their own: who it was is lost, that it was is not.
fn overflow(mut entry: AuditEntry) -> AuditEntry {
    SEVERAL.clone_into(&mut entry.principal);
    (entry.resource, entry.credential, entry.address) = (None, None, None);
    entry
}

impl Journal {
    /// Takes a refusal.
    pub fn denied(&self, entry: AuditEntry) {
        let mut pending = self.pending.lock();
        let key = fold_key(&entry);
        if let Some(folded) = pending.denials.get_mut(&key) {
            folded.unwritten += 1;
            folded.entry.at_ms = entry.at_ms;
        } else if pending.denials.len() < MOST_KEYS || entry.principal == SEVERAL {
            let ends_at_ms = entry.at_ms + FOLD_MS;
            pending.denials.insert(key, Folded { entry, unwritten: 1, ends_at_ms, written_once: false });
        } else {
            drop(pending);
            self.lost.fetch_add(1, Ordering::Relaxed);
            // There are few actions, mounts and reasons, so this needs little room.
            self.denied(overflow(entry));
        }
    }

    /// Takes a line that must be written, though nobody waits for it.
    pub fn line(&self, entry: AuditEntry) {
        let mut pending = self.pending.lock();
        if pending.lines.len() < MOST_LINES {
            pending.lines.push(entry);
        } else {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a read; `line` is asked for where it is the first of its kind.
    pub(crate) fn read(&self, read: Read<'_>, at_ms: i64, line: impl FnOnce() -> AuditEntry) {
        let mut pending = self.pending.lock();
        if let Some(folded) = pending.reads.get_mut(&read) {
            folded.count += 1;
            folded.at_ms = at_ms;
        } else if pending.reads.len() < MOST_KEYS {
            pending.reads.insert(read.key(), line());
        } else {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notes when a session was last used.
    pub fn session_seen(&self, id: &SessionId, at_ms: i64) {
        let mut pending = self.pending.lock();
        if pending.sessions.len() < MOST_KEYS {
            pending.sessions.insert(id.clone(), at_ms);
        }
    }

    /// Notes when an API key was last used.
    pub fn api_key_used(&self, id: &ApiKeyId, at_ms: i64) {
        let mut pending = self.pending.lock();
        if pending.api_keys.len() < MOST_KEYS {
            pending.api_keys.insert(id.clone(), at_ms);
        }
    }

    /// How many lines found no room of their own since the process began.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Writes what waits, with the deliveries it makes. `last` also writes the counts of folds still open.
    ///
    /// # Errors
    /// The store's; what waited then waits on.
    pub async fn flush(&self, engine: &Engine, last: bool) -> Result<(), StoreError> {
        let taken = self.take(engine.now_ms(), last);
        let durable = !taken.lines.is_empty();
        let audit = |entry: &AuditEntry| Write::Audit { node: engine.node().clone(), entry: entry.clone() };
        let mut writes: Vec<Write> = taken.lines.iter().chain(taken.reads.values()).map(audit).collect();
        let mut done = Vec::new();
        for line in &taken.lines {
            let events = engine.events().of_journal(engine, line);
            writes.extend(engine.events().writes(&events));
            // Hooks heard of a refusal when it was made.
            if line.outcome != Outcome::Denied {
                done.extend(events);
            }
        }
        writes
            .extend(taken.sessions.iter().map(|(id, at)| Write::TouchSession { id: id.clone(), at_ms: *at }));
        writes
            .extend(taken.api_keys.iter().map(|(id, at)| Write::TouchApiKey { id: id.clone(), at_ms: *at }));
        if writes.is_empty() {
            return Ok(());
        }
        let batch = if durable { Batch::durable(writes) } else { Batch::buffered(writes) };
        let written = engine.store().commit(batch).await;
        match &written {
            Ok(()) => engine.events().tell(&done),
            Err(_) => self.put_back(taken),
        }
        written
    }

    fn take(&self, now_ms: i64, last: bool) -> Pending {
        let mut pending = self.pending.lock();
        let mut taken = Pending {
            lines: std::mem::take(&mut pending.lines),
            reads: std::mem::take(&mut pending.reads),
            sessions: std::mem::take(&mut pending.sessions),
            api_keys: std::mem::take(&mut pending.api_keys),
            denials: HashMap::new(),
        };
        pending.denials.retain(|_, folded| {
            let over = last || folded.ends_at_ms <= now_ms;
            if folded.unwritten > 0 && (over || !folded.written_once) {
                taken.lines.push(AuditEntry { count: folded.unwritten, ..folded.entry.clone() });
                folded.unwritten = 0;
                folded.written_once = true;
            }
            !over
        });
        taken
    }

    fn put_back(&self, taken: Pending) {
        let mut pending = self.pending.lock();
        let room = MOST_LINES.saturating_sub(pending.lines.len());
        let lost = taken.lines.len().saturating_sub(room);
        self.lost.fetch_add(lost as u64, Ordering::Relaxed);
        pending.lines.extend(taken.lines.into_iter().take(room));
        for (key, entry) in taken.reads {
            match pending.reads.get_mut(&key) {
                Some(folded) => folded.count += entry.count,
                None => {
                    pending.reads.insert(key, entry);
                }
            }
        }
        for (id, at_ms) in taken.sessions {
            pending.sessions.entry(id).or_insert(at_ms);
        }
        for (id, at_ms) in taken.api_keys {
            pending.api_keys.entry(id).or_insert(at_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authz::catalogue::{Action as _, thread};

    fn denial(at_ms: i64) -> AuditEntry {
        AuditEntry {
            at_ms,
            request: "req_1".into(),
            mount: "native".into(),
            action: "thread:read".into(),
            resource: None,
            principal: "local|usr_1".into(),
            method: "own_token".into(),
            credential: None,
            outcome: Outcome::Denied,
            reason: Some("owner".into()),
            address: None,
            count: 1,
        }
    }

    #[test]
    fn the_first_denial_is_written_at_once_and_repeats_become_one_line_with_a_count() {
        let journal = Journal::default();
        journal.denied(denial(0));
        assert_eq!(journal.take(0, false).lines.len(), 1);
        for at_ms in 1..=5 {
            journal.denied(denial(at_ms));
        }
        assert!(journal.take(6, false).lines.is_empty(), "folded until the window ends");
        let lines = journal.take(FOLD_MS, false).lines;
        assert_eq!((lines.len(), lines[0].count), (1, 5));
        journal.denied(denial(FOLD_MS + 1));
        assert_eq!(journal.take(FOLD_MS + 1, false).lines.len(), 1, "a new window");
    }

    #[test]
    fn a_flood_of_refusals_from_one_network_is_one_line_and_one_from_everywhere_is_still_counted() {
        let journal = Journal::default();
        for n in 0..20_000_u32 {
            journal.denied(AuditEntry { address: Some(format!("2001:db8::{n:x}")), ..denial(0) });
        }
        assert_eq!(journal.take(0, true).lines.len(), 1);
        for n in 0..10_000_u32 {
            journal
                .denied(AuditEntry { address: Some(std::net::Ipv4Addr::from(n).to_string()), ..denial(0) });
        }
        let lines = journal.take(0, true).lines;
        assert_eq!(lines.len(), MOST_KEYS + 1);
        assert_eq!(lines.iter().map(|line| line.count).sum::<i64>(), 10_000, "none is lost without a count");
        let several: Vec<_> = lines.iter().filter(|line| line.principal == SEVERAL).collect();
        assert_eq!(several.len(), 1);
        assert_eq!(several[0].address, None);
    }

    #[test]
    fn reads_of_one_caller_and_network_are_one_line_and_any_difference_is_another() {
        let journal = Journal::default();
        let caller = |authority: &str, subject: &str| Principal {
            authority: authority.into(),
            subject: subject.into(),
            ..Principal::anonymous()
        };
        let (ann, bob, other) = (caller("local", "ann"), caller("local", "bob"), caller("lo", "calann"));
        let first = Read::new("native", thread::Read::DEF, &ann, Some("2001:db8::1".parse().unwrap()), None);
        let reads = [
            first,
            Read { mount: "other", ..first },
            Read { action: ("thread", "list"), ..first },
            Read::new("native", thread::Read::DEF, &bob, Some("2001:db8::1".parse().unwrap()), None),
            Read::new("native", thread::Read::DEF, &other, Some("2001:db8::1".parse().unwrap()), None),
            Read { reason: Some("late"), ..first },
            Read { network: None, ..first },
            Read { network: Some("192.0.2.1".parse().unwrap()), ..first },
        ];
        for (at_ms, read) in (1..).zip(reads) {
            journal.read(read, at_ms, || AuditEntry { at_ms, ..denial(0) });
        }
        let again = Read::new("native", thread::Read::DEF, &ann, Some("2001:db8::2".parse().unwrap()), None);
        journal.read(again, 99, || panic!("it was counted before"));
        let mut lines: Vec<_> =
            journal.take(0, false).reads.into_values().map(|line| (line.at_ms, line.count)).collect();
        lines.sort_unstable();
        assert_eq!(lines, [(2, 1), (3, 1), (4, 1), (5, 1), (6, 1), (7, 1), (8, 1), (99, 2)]);
    }

    #[test]
    fn stopping_writes_open_folds() {
        let journal = Journal::default();
        journal.denied(denial(0));
        journal.take(0, false);
        journal.denied(denial(1));
        assert_eq!(journal.take(1, true).lines.len(), 1);
    }
}
