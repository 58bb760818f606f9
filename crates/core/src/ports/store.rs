//! Durable state.
//!
//! Reading is a trait per aggregate. Writing is data: an operation gathers every [`Write`] it needs into one
//! [`Batch`], and [`Commit::commit`] applies all of it or nothing. A write carries its own expectation ("this
//! counter still stands at 4"); if one fails, the batch fails with a [`Conflict`] and nothing of it remains.
//! That makes single use, compare-and-swap and "audit line or no act" properties of the store, not of callers.
//!
//! Times are milliseconds since the epoch. Lists are ordered by id (creation order) and paged by the last id seen.

use futures_util::future::BoxFuture;
use thiserror::Error;

pub use super::deliveries::{Delivery, DeliveryQueue};
use super::documents::Documents;
pub use super::threads::{ThreadHead, ThreadOrder, ThreadPlace, ThreadQuery, ThreadSort, Threads};
use crate::agents::document::Document;
use crate::agents::model::{Message, Run, RunStatus, Thread};
use crate::artifacts::{Artifact, ArtifactQuery};
use crate::audit::entry::{AuditEntry, AuditRecord, Outcome};
use crate::authz::filter::Filter;
use crate::id::{
    ApiKeyId, FamilyId, IdentityId, KeyId, MessageId, NodeId, RunId, SessionId, ThreadId, UserId,
};
use crate::identity::model::{ApiKey, Identity, PastLogin, Session, User};
use crate::tokens::model::{Family, Revocation, SealedKey};
use crate::workspaces::Workspace;

/// The answer of a store, later.
pub type StoreFuture<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// What can go wrong in a store, by what the caller can do about it.
#[derive(Debug, Error)]
pub enum StoreError {
    /// An expectation of a write did not hold; nothing was written.
    #[error("conflict: {0:?}")]
    Conflict(Conflict),
    /// The store cannot answer now; nothing is known to have been written. Retry later.
    #[error("the store is busy or unavailable: {0}")]
    Unavailable(String),
    /// What is stored cannot be read: wrong schema, damage, or a newer version's data.
    #[error("the store holds something unreadable: {0}")]
    Corrupt(String),
}

/// Which expectation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    /// Another user has this e-mail address.
    EmailTaken,
    /// Another user has this user name.
    UsernameTaken,
    /// Another user has the phone number.
    PhoneTaken,
    /// The row is not as it was read: changed or gone.
    Stale,
    /// The row does not exist.
    Missing,
    /// The one-time code was used, has expired or never was.
    CodeSpent,
    /// Somebody else owns the resource.
    Owned,
    /// A row with this id exists.
    Exists,
    /// Nobody else holds the role.
    LastHolder,
    /// Nothing else opens the account.
    LastWayIn,
    /// The owner has as many as one may have.
    TooMany,
}

/// How sure a commit is before it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// On stable storage: identity, tokens, revocation, audit of state changes.
    Durable,
    /// Ordered and atomic, but the last second may be lost with the machine: buffered events, "last used" times.
    Buffered,
}

/// Writes that happen together or not at all.
pub struct Batch {
    /// In order.
    pub writes: Vec<Write>,
    /// How sure to be before answering.
    pub durability: Durability,
}

impl Batch {
    /// A batch that is on stable storage when acknowledged.
    #[must_use]
    pub fn durable(writes: Vec<Write>) -> Self {
        Self { writes, durability: Durability::Durable }
    }

    /// A batch whose loss with the machine is acceptable.
    #[must_use]
    pub fn buffered(writes: Vec<Write>) -> Self {
        Self { writes, durability: Durability::Buffered }
    }
}

/// One change of durable state, with its expectation.
#[expect(missing_docs, reason = "field names repeat the nouns of the variant's own sentence")]
pub enum Write {
    /// Adds a user. Conflicts: `EmailTaken`, `UsernameTaken`, `PhoneTaken`, `Exists`.
    InsertUser(User),
    /// Replaces a user whose stored version is `user.version - 1`. Conflicts: `Stale`, `EmailTaken`, `UsernameTaken`, `PhoneTaken`.
    UpdateUser(User),
    /// Removes a user with its password, keys, sessions and families. Conflict: `Missing`.
    DeleteUser(UserId),
    /// Sets or replaces a password hash (PHC string).
    SetPassword { user: UserId, phc: String, at_ms: i64 },
    /// Removes a user's password; no conflict if there is none.
    DropPassword { user: UserId },
    /// Changes nothing; the rest holds only if this is still the user's password hash. Conflict: `Stale`.
    ExpectPassword { user: UserId, phc: String },
    /// Changes nothing; the rest holds only if somebody else, enabled, has this role. Conflict: `LastHolder`.
    ExpectAnotherHolder { role: String, but: UserId },
    /// Adds a session.
    InsertSession(Session),
    /// Ends a session that has not ended. Conflict: `Missing`.
    EndSession { id: SessionId, at_ms: i64 },
    /// Moves "last seen" forward; never backward, never revives.
    TouchSession { id: SessionId, at_ms: i64 },
    /// Adds a refresh family.
    InsertFamily(Family),
    /// Moves a live family from `from` to `from + 1`. Conflict: `Stale` if its counter differs or it has ended.
    AdvanceFamily { id: FamilyId, from: i64, at_ms: i64, expires_at_ms: i64 },
    /// Ends a family; no conflict if it has ended.
    EndFamily { id: FamilyId, at_ms: i64 },
    /// Ends every family of a session.
    EndFamiliesOfSession { session: SessionId, at_ms: i64 },
    /// Adds an identity. Conflict: `Exists` when the provider's subject has an account.
    InsertIdentity(Identity),
    /// Moves "last used" of a user's identity forward. Conflict: `Stale` if it is not theirs any more.
    TouchIdentity { id: IdentityId, user: UserId, at_ms: i64 },
    /// Removes a user's identity. Conflict: `Missing`.
    DeleteIdentity { id: IdentityId, user: UserId },
    /// Changes nothing; the rest holds only if the user has a password or another identity. Conflict: `LastWayIn`.
    ExpectAnotherWayIn { user: UserId, but: IdentityId },
    /// Adds an API key. Conflict: `Exists`.
    InsertApiKey(ApiKey),
    /// Revokes a key that is not revoked. Conflict: `Missing`.
    RevokeApiKey { id: ApiKeyId, at_ms: i64 },
    /// Moves "last used" forward.
    TouchApiKey { id: ApiKeyId, at_ms: i64 },
    /// Adds a sealed key. Conflict: `Exists`.
    InsertSealedKey(SealedKey),
    /// Adds a sealed key unless its purpose has one already. Conflict: `Exists`. (First start of two processes at once.)
    InsertFirstSealedKey(SealedKey),
    /// Marks a sealed key as no longer verifying. Conflict: `Missing`.
    RetireSealedKey { id: KeyId, at_ms: i64 },
    /// Adds a revocation, or moves an equal one forward in time.
    Revoke(Revocation),
    /// Adds a one-time code by its hash.
    InsertCode { purpose: String, hash: [u8; 32], expires_at_ms: i64 },
    /// Spends a one-time code. Conflict: `CodeSpent`.
    SpendCode { purpose: String, hash: [u8; 32], now_ms: i64 },
    /// Removes every code of a purpose.
    DropCodes { purpose: String },
    /// Removes every code that would still be taken, but for those of a purpose whose rows say the opposite: that something was used.
    DropEveryCode { but: String, now_ms: i64 },
    /// Adds a thread and labels it with its owner and metadata.
    InsertThread(Thread),
    /// Replaces name, metadata, state and times of a thread; owner and mount stay. Conflict: `Missing`.
    UpdateThread(Thread),
    /// As `UpdateThread`, only if metadata and state are as they were seen. Conflict: `Stale`.
    ChangeThread {
        /// What it is to be.
        to: Box<Thread>,
        /// What it was seen as.
        seen: Box<Thread>,
    },
    /// Moves a thread's last change forward; no conflict if the thread is gone.
    TouchThread {
        /// The thread.
        id: ThreadId,
        /// When.
        at_ms: i64,
    },
    /// Removes a thread with its messages and runs. Conflict: `Missing`.
    DeleteThread(ThreadId),
    /// Adds a message to an existing thread. Conflict: `Missing` if the thread is gone.
    InsertMessage(Message),
    /// Removes a message. Conflict: `Missing`.
    DeleteMessage { thread: ThreadId, id: MessageId },
    /// Adds a run. Conflict: `Missing` if the thread is gone.
    InsertRun(Run),
    /// Lets a pending run run. Conflict: `Missing` if it is not pending.
    BeginRun(RunId),
    /// Removes a run, with what it said and heard or without. Conflict: `Missing`.
    DeleteRun {
        /// The run.
        id: RunId,
        /// Whether its messages go too.
        with_messages: bool,
    },
    /// Finishes a run that is pending or running. Conflict: `Missing` if it is neither.
    FinishRun { id: RunId, status: RunStatus, error: Option<String>, at_ms: i64 },
    /// Marks every unfinished run as interrupted: what a process that died left behind.
    InterruptRuns { at_ms: i64 },
    /// Claims an upstream resource for an owner; claiming one's own again is no conflict. Conflict: `Owned`.
    ClaimOwnership { mount: String, resource: String, id: String, owner: String, at_ms: i64 },
    /// Gives a claim of this owner up again; no conflict if there is none.
    ReleaseOwnership { mount: String, resource: String, id: String, owner: String },
    /// Adds a workspace, of which its owner has fewer than `most` beside the own one. Conflicts: `Exists`, `TooMany`.
    InsertWorkspace { workspace: Workspace, most: u32 },
    /// Replaces name, description, details and members of a workspace, only if they, and whose it is, are as they were seen. Conflict: `Stale`.
    ChangeWorkspace { to: Box<Workspace>, seen: Box<Workspace> },
    /// Removes a workspace of this owner, with everything that is kept in it. Conflict: `Missing`.
    DeleteWorkspace { id: String, owner: String },
    /// Adds an artifact to a workspace that is `owner`'s, within its parent, unless the workspace then keeps more than `most` or in them more than
    /// `most_bytes`. Conflicts: `Exists`; `Missing` if the workspace is gone or another's, or the parent gone; `TooMany`.
    InsertArtifact { artifact: Box<Artifact>, owner: String, most: u32, most_bytes: u64 },
    /// Replaces manifest, type, settings, comment and time of the artifact with this id if it is of this revision. Conflicts: `Stale`, `TooMany`.
    ChangeArtifact { to: Box<Artifact>, id: String, revision: i64, most_bytes: u64 },
    /// Removes an artifact, with what is within it if `recursive`. Conflicts: `Missing`; `Owned` if something is within it and may not go.
    DeleteArtifact { workspace: String, alias: String, id: String, recursive: bool },
    /// Counts looks at an artifact; no conflict if it is gone.
    CountViews { id: String, views: i64 },
    /// Removes everything that is kept in a workspace that is no row; no conflict if that is nothing. Conflicts: `Exists` if it is a row, which
    /// goes by its owner's leave alone.
    EmptyWorkspace { id: String },
    /// Keeps what a text of this hash stands for, in place of what it stood for before.
    KeepStandIn { hash: [u8; 32], kept: StandIn },
    /// Notes something of a workspace under a name, or forgets it; at most `most` of a kind. Conflicts: `TooMany`; `Missing` if the workspace is gone or
    /// another's.
    SetNote {
        workspace: String,
        owner: String,
        kind: NoteKind,
        name: String,
        value: Option<Vec<u8>>,
        most: u32,
    },
    /// Adds a document, of which its owner has at most `most` of its kind and in them `most_bytes`. Conflicts: `Exists`, `TooMany`.
    InsertDocument { document: Box<Document>, most: u32, most_bytes: u64 },
    /// Replaces metadata, body and times of the document with this id if it is of this revision. Conflicts: `Stale`, `TooMany`.
    ChangeDocument { to: Box<Document>, revision: i64, most_bytes: u64 },
    /// Puts off when a document that is due is due; no conflict if it is gone, or due later.
    DeferDocument { id: String, due_at_ms: i64 },
    /// Removes a document. Conflict: `Missing`.
    DeleteDocument(String),
    /// Queues an event for a webhook; no conflict if it is queued already.
    QueueDelivery(Delivery),
    /// Takes a delivery that is still due at `due_ms` until `until_ms`. Conflict: `Stale`.
    LeaseDelivery { webhook: String, id: String, due_ms: i64, until_ms: i64 },
    /// Puts a delivery off; no conflict if it is gone.
    PostponeDelivery { webhook: String, id: String, attempts: i64, due_ms: i64 },
    /// Removes a delivery; no conflict if it is gone.
    EndDelivery { webhook: String, id: String },
    /// Makes everything that waits for a webhook due.
    HurryDeliveries { webhook: String, now_ms: i64 },
    /// Appends an audit line to this node's chain.
    Audit { node: NodeId, entry: AuditEntry },
    /// Tells every process on the store, this one included, that memory is out of date.
    Announce(Change),
}

/// News for every process on the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A user's record changed or is gone.
    User(UserId),
    /// A session changed or ended.
    Session(SessionId),
    /// An API key changed, named by its MAC.
    ApiKey([u8; 32]),
    /// Signing keys changed.
    Keys,
    /// Something was revoked.
    Revocation(Revocation),
    /// A run is to stop, wherever it is at work.
    Stop {
        /// Which one.
        run: RunId,
        /// Whether it is removed then, with what it said.
        and_forget: bool,
    },
}

/// Where a reader of the change feed stands.
pub type ChangeSeq = i64;

/// Which part of a list to return.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Return rows after this id; from the start if absent.
    pub after: Option<String>,
    /// At most this many rows.
    pub limit: u32,
}

/// Atomic writes.
pub trait Commit: Send + Sync {
    /// Applies the whole batch or none of it; when it returns `Ok`, it is as sure as asked for.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if an expectation failed, [`StoreError::Unavailable`] if the store cannot write.
    fn commit(&self, batch: Batch) -> StoreFuture<'_, ()>;
}

/// Users and their password hashes.
pub trait Users: Send + Sync {
    /// The user with this id.
    fn user<'a>(&'a self, id: &'a UserId) -> StoreFuture<'a, Option<User>>;
    /// The user whose e-mail address or user name is `login` (already folded).
    fn user_by_login<'a>(&'a self, login: &'a str) -> StoreFuture<'a, Option<User>>;
    /// Users in creation order.
    fn users(&self, page: Page) -> StoreFuture<'_, Vec<User>>;
    /// Users, newest first, but for the newest `skip`.
    fn newest_users(&self, skip: u32, limit: u32) -> StoreFuture<'_, Vec<User>>;
    /// How many there are.
    fn count_users(&self) -> StoreFuture<'_, u64>;
    /// The user's password hash, a PHC string.
    fn password<'a>(&'a self, id: &'a UserId) -> StoreFuture<'a, Option<String>>;
    /// Whether a user holding this role exists.
    fn any_user_with_role<'a>(&'a self, role: &'a str) -> StoreFuture<'a, bool>;
}

/// Sessions.
pub trait Sessions: Send + Sync {
    /// The session with this id, ended or not.
    fn session<'a>(&'a self, id: &'a SessionId) -> StoreFuture<'a, Option<Session>>;
    /// A user's sessions that have not ended and not passed their absolute limit, newest first.
    fn sessions_of<'a>(&'a self, user: &'a UserId, now_ms: i64) -> StoreFuture<'a, Vec<Session>>;
    /// A user's log-ins, newest first, those of ended and expired sessions included; at most `limit`.
    fn recent_logins<'a>(&'a self, user: &'a UserId, limit: u32) -> StoreFuture<'a, Vec<PastLogin>>;
}

/// Who providers say that people are.
pub trait Identities: Send + Sync {
    /// Whose account a provider's subject is.
    fn identity<'a>(&'a self, authority: &'a str, subject: &'a str) -> StoreFuture<'a, Option<Identity>>;
    /// A user's identities, in the order they were added.
    fn identities_of<'a>(&'a self, user: &'a UserId) -> StoreFuture<'a, Vec<Identity>>;
}

/// Refresh families.
pub trait Families: Send + Sync {
    /// The family with this id.
    fn family<'a>(&'a self, id: &'a FamilyId) -> StoreFuture<'a, Option<Family>>;
}

/// API keys.
pub trait ApiKeys: Send + Sync {
    /// The key with this keyed hash.
    fn api_key_by_mac(&self, mac: [u8; 32]) -> StoreFuture<'_, Option<ApiKey>>;
    /// The key with this handle.
    fn api_key<'a>(&'a self, id: &'a ApiKeyId) -> StoreFuture<'a, Option<ApiKey>>;
    /// Keys in creation order, of one owner or of all.
    fn api_keys<'a>(&'a self, owner: Option<&'a UserId>, page: Page) -> StoreFuture<'a, Vec<ApiKey>>;
}

/// Sealed keys.
pub trait SealedKeys: Send + Sync {
    /// All keys of a purpose, newest first, retired ones included.
    fn sealed_keys<'a>(&'a self, purpose: &'a str) -> StoreFuture<'a, Vec<SealedKey>>;
    /// The purposes that exist.
    fn key_purposes(&self) -> StoreFuture<'_, Vec<String>>;
}

/// Takes a revocation: kind, subject, `at_ms`, `until_ms`.
pub type EachRevocation<'a> = Box<dyn FnMut(&str, &str, i64, i64) + Send + 'a>;

/// The change feed and what memory starts from.
pub trait Changes: Send + Sync {
    /// The newest change number; 0 if there is none.
    fn newest_change(&self) -> StoreFuture<'_, ChangeSeq>;
    /// Changes after `seq` in order, at most `limit`, each with its number.
    fn changes_after(&self, seq: ChangeSeq, limit: u32) -> StoreFuture<'_, Vec<(ChangeSeq, Change)>>;
    /// Calls `each` for every revocation that still covers a live token at `now_ms`.
    fn each_revocation<'a>(&'a self, now_ms: i64, each: EachRevocation<'a>) -> StoreFuture<'a, ()>;
    /// Removes revocations, codes, changes, deliveries and stand-ins that no longer matter at `now_ms`; returns how many rows went.
    fn prune(&self, now_ms: i64) -> StoreFuture<'_, u64>;
}

/// One-time codes.
pub trait Codes: Send + Sync {
    /// Whether an unspent, unexpired code of this purpose exists.
    fn any_code<'a>(&'a self, purpose: &'a str, now_ms: i64) -> StoreFuture<'a, bool>;
    /// Until when an unspent code works or worked; `None` for one that was spent, removed or never there.
    fn code_ends_at<'a>(&'a self, purpose: &'a str, hash: [u8; 32]) -> StoreFuture<'a, Option<i64>>;
}

/// Who owns what an upstream keeps.
pub trait OwnershipClaims: Send + Sync {
    /// The owner of an upstream resource, if anybody claimed it.
    fn owner_of<'a>(
        &'a self,
        mount: &'a str,
        resource: &'a str,
        id: &'a str,
    ) -> StoreFuture<'a, Option<String>>;
    /// What this owner has claimed, newest first, at most `limit`.
    fn owned_by<'a>(
        &'a self,
        mount: &'a str,
        resource: &'a str,
        owner: &'a str,
        limit: u32,
    ) -> StoreFuture<'a, Vec<String>>;
    /// Which of `ids` this owner has claimed.
    fn owned_among<'a>(
        &'a self,
        mount: &'a str,
        resource: &'a str,
        ids: &'a [String],
        owner: &'a str,
    ) -> StoreFuture<'a, Vec<String>>;
}

/// Workspaces that stay.
pub trait Workspaces: Send + Sync {
    /// The workspace with this id.
    fn workspace<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<Workspace>>;
    /// Workspaces that the filter lets through, in the order of their ids.
    fn workspaces<'a>(&'a self, filter: &'a Filter, page: Page) -> StoreFuture<'a, Vec<Workspace>>;
}

/// What is kept in workspaces.
pub trait Artifacts: Send + Sync {
    /// The artifact of this name.
    fn artifact<'a>(&'a self, workspace: &'a str, alias: &'a str) -> StoreFuture<'a, Option<Artifact>>;
    /// Those that a query is for, in the order they were made.
    fn artifacts<'a>(
        &'a self,
        workspace: &'a str,
        query: &'a ArtifactQuery,
    ) -> StoreFuture<'a, Vec<Artifact>>;
    /// How many a query is for, wherever it begins and ends.
    fn count_artifacts<'a>(&'a self, workspace: &'a str, query: &'a ArtifactQuery) -> StoreFuture<'a, u64>;
}

/// Kinds of what is noted of a workspace under names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoteKind {
    /// Settings for programs, sealed.
    Env,
    /// What its owner wants to find again.
    Bookmark,
}

impl NoteKind {
    /// The spelling in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Env => "env",
            Self::Bookmark => "bookmark",
        }
    }
}

/// What is noted of workspaces.
pub trait Notes: Send + Sync {
    /// All of a kind, by name.
    fn notes<'a>(&'a self, workspace: &'a str, kind: NoteKind) -> StoreFuture<'a, Vec<(String, Vec<u8>)>>;
}

/// What a text of a start-up file's stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandIn {
    /// A token of ours, sealed; empty for one that has ended a while ago.
    pub sealed: Vec<u8>,
    /// When that ends.
    pub until_ms: i64,
}

/// Texts that stand for tokens of ours.
pub trait StandIns: Send + Sync {
    /// What the text of this hash stands for; also after its end, for a while.
    fn stand_in(&self, hash: [u8; 32]) -> StoreFuture<'_, Option<StandIn>>;
    /// How many have not ended at `now_ms`; none is counted beyond `most`.
    fn stand_ins(&self, now_ms: i64, most: u32) -> StoreFuture<'_, u32>;
}

/// What to look for in the audit log; absent members match everything.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    /// Lines at or after this moment.
    pub since_ms: Option<i64>,
    /// Lines of this principal (owner key).
    pub principal: Option<String>,
    /// Lines with this outcome.
    pub outcome: Option<Outcome>,
    /// Lines of this `resource:action`.
    pub action: Option<String>,
    /// At most this many, the newest.
    pub limit: u32,
}

/// The audit log.
pub trait AuditLog: Send + Sync {
    /// The newest lines that match, newest first.
    fn audit(&self, query: AuditQuery) -> StoreFuture<'_, Vec<AuditRecord>>;
    /// Calls `each` for every line of every node in chain order.
    fn each_audit<'a>(&'a self, each: Box<dyn FnMut(AuditRecord) + Send + 'a>) -> StoreFuture<'a, ()>;
}

/// Everything durable. Implemented by whatever implements the parts.
pub trait Store:
    Commit
    + Users
    + Sessions
    + Identities
    + Families
    + ApiKeys
    + SealedKeys
    + Changes
    + Codes
    + Threads
    + OwnershipClaims
    + Workspaces
    + Artifacts
    + Notes
    + StandIns
    + Documents
    + AuditLog
    + DeliveryQueue
{
}

impl<T> Store for T where
    T: Commit
        + Users
        + Sessions
        + Identities
        + Families
        + ApiKeys
        + SealedKeys
        + Changes
        + Codes
        + Threads
        + OwnershipClaims
        + Workspaces
        + Artifacts
        + Notes
        + StandIns
        + Documents
        + AuditLog
        + DeliveryQueue
{
}
