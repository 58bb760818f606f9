//! The engine: everything a process needs to decide, wired once.

use std::collections::HashMap;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use doorward_protocols::jose::Algorithm;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::agents::Agents;
use crate::agents::runner::Runner;
use crate::anomalies::Anomalies;
use crate::artifacts::Views;
use crate::audit::journal::FLUSH_EVERY_MS;
use crate::audit::{AuditEntry, Journal};
use crate::authz::Roles;
use crate::authz::catalogue::ActionDef;
use crate::clock::{Clock, OrderedClock};
use crate::error::Result;
use crate::events::{Deliveries, Events, Hook, Webhook};
use crate::id::{NodeId, RequestId, RequestIds, UserId};
use crate::identity::password::{Hashing, HashingSettings};
use crate::limits::failures::FailureRules;
use crate::limits::rules::{self, LimitRule, NoAddress, Standing};
use crate::live::LiveGuard;
use crate::login::{People, Provider};
use crate::mail::Post;
use crate::memory::Memory;
use crate::memory::caches::UserCopy;
use crate::memory::feed::{self, Feed};
use crate::memory::fingerprint::{Fingerprint, Fingerprints};
use crate::memory::revocations::{Key, Moment};
use crate::ports::store::{Change, Write};
use crate::ports::{Batch, Mailer, Outbound, Shared, Store, StoreError};
use crate::principal::AuthContext;
use crate::random::Random;
use crate::secret::SecretBytes;
use crate::tokens::seal::Sealer;
use crate::tokens::{KeyRing, StoreKeys};

mod rooms;

const PRUNE_EVERY: Duration = Duration::from_secs(600);

/// What the engine stands on.
pub struct Parts {
    /// Durable state.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Unpredictable bytes.
    pub random: Arc<dyn Random>,
    /// 32 bytes that seal what the store keeps secret.
    pub master_key: SecretBytes,
    /// Counters.
    pub shared: Arc<dyn Shared>,
    /// The way out.
    pub outbound: Arc<dyn Outbound>,
    /// Whoever takes letters.
    pub mailer: Arc<dyn Mailer>,
    /// Functions of this process that are told what happened.
    pub hooks: Vec<Arc<dyn Hook>>,
    /// What answers in threads of the embedded agent server.
    pub runner: Arc<dyn Runner>,
}

/// What an operator may choose.
pub struct Settings {
    /// Roles and what they allow.
    pub roles: Roles,
    /// What password hashing costs.
    pub hashing: HashingSettings,
    /// Failed attempts, per address and per name.
    pub failures: FailureRules,
    /// The operator's limits.
    pub limits: Vec<LimitRule>,
    /// What is odd about a log-in, and what to do then.
    pub anomalies: Anomalies,
    /// Others through whom people log in.
    pub providers: Vec<Arc<Provider>>,
    /// The directory whose people log in by their passwords there, if there is one.
    pub people: Option<People>,
    /// Where events are POSTed to.
    pub webhooks: Vec<Webhook>,
    /// Longest life of any token issued or accepted without a revocation outliving it.
    pub longest_token_ms: i64,
}

struct Inner {
    store: Arc<dyn Store>,
    ordered: OrderedClock,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    runner: Arc<dyn Runner>,
    shared: Arc<dyn Shared>,
    outbound: Arc<dyn Outbound>,
    settings: Settings,
    sealer: Sealer,
    memory: Memory,
    fingerprints: Fingerprints,
    feed: Feed,
    journal: Journal,
    events: Events,
    hashing: Hashing,
    node: NodeId,
    requests: RequestIds,
    keys: StoreKeys,
    post: Post,
    agents: Agents,
    views: Views,
    rings: Mutex<HashMap<String, Arc<KeyRing>>>,
    /// Work in flight holds a receiver; stopping waits until none is left.
    working: watch::Sender<()>,
}

/// The engine. Clones share everything.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

impl Engine {
    /// Opens the engine over a store: loads what memory has to know, and makes the store's own secrets when it is new.
    ///
    /// # Errors
    /// `wrong_master_key`, and the store's.
    pub async fn open(parts: Parts, mut settings: Settings) -> Result<Self> {
        let webhooks = std::mem::take(&mut settings.webhooks);
        let sealer = Sealer::new(&parts.master_key)?;
        let keys = StoreKeys::open(&parts, &sealer).await?;
        let engine = Self(Arc::new(Inner {
            node: NodeId::new(&*parts.clock, &*parts.random),
            requests: RequestIds::new(&*parts.random),
            store: parts.store,
            ordered: OrderedClock::new(Arc::clone(&parts.clock)),
            clock: parts.clock,
            fingerprints: Fingerprints::new(&*parts.random),
            random: parts.random,
            runner: parts.runner,
            shared: parts.shared,
            outbound: parts.outbound,
            events: Events::new(parts.hooks, webhooks),
            sealer,
            memory: Memory::new(),
            feed: Feed::default(),
            journal: Journal::default(),
            hashing: Hashing::new(settings.hashing)?,
            post: Post::new(parts.mailer),
            keys,
            agents: Agents::default(),
            views: Views::default(),
            rings: Mutex::default(),
            working: watch::channel(()).0,
            settings,
        }));
        feed::load(&engine).await?;
        Ok(engine)
    }

    /// Starts what goes on beside requests: following other processes, writing the journal, clearing out. Call once,
    /// in a server; a command that ends soon needs only [`Engine::flush`].
    pub fn start(&self) {
        tokio::spawn(feed::follow(self.clone()));
        self.start_alone();
    }

    /// As [`Engine::start`], on a store that nobody else can write to: there is nobody to follow, and a clock that is set forward makes no
    /// news late.
    pub fn start_alone(&self) {
        self.events().start(self);
        let engine = self.clone();
        tokio::spawn(async move {
            let mut since_pruned = Duration::ZERO;
            let pause = Duration::from_millis(FLUSH_EVERY_MS);
            loop {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = engine.journal().stop.notified() => return,
                }
                if let Err(error) = engine.flush(false).await {
                    tracing::error!(?error, "the journal cannot be written; it waits");
                }
                since_pruned += pause;
                if since_pruned >= PRUNE_EVERY {
                    since_pruned = Duration::ZERO;
                    let now_ms = engine.now_ms();
                    engine.memory().revocations.prune(now_ms);
                    if let Err(error) = engine.store().prune(now_ms).await {
                        tracing::warn!(%error, "clearing out failed; it is tried again");
                    }
                }
            }
        });
    }

    /// Marks runs as interrupted that an earlier process left running. For the one process that owns the store.
    ///
    /// # Errors
    /// The store's.
    pub async fn interrupt_left_runs(&self) -> Result<()> {
        let at_ms = self.now_ms();
        Ok(self.commit(Batch::durable(vec![Write::InterruptRuns { at_ms }])).await?)
    }

    /// Writes what the journal holds; `last` also what it folds.
    ///
    /// # Errors
    /// The store's.
    pub async fn flush(&self, last: bool) -> Result<()> {
        Ok(self.journal().flush(self, last).await?)
    }

    /// Ends what [`Engine::start`] started: waits for work in flight, at most `patience`, then writes the journal.
    ///
    /// # Errors
    /// The store's.
    pub async fn stop(&self, patience: Duration) -> Result<()> {
        self.stop_by(tokio::time::sleep(patience)).await
    }

    /// As [`Engine::stop`], waiting until `enough` is over: work in flight is told to end then.
    ///
    /// # Errors
    /// The store's.
    pub async fn stop_by(&self, enough: impl Future<Output = ()>) -> Result<()> {
        let is_idle = tokio::select! {
            biased;
            () = self.0.working.closed() => true,
            () = enough => false,
        };
        if !is_idle {
            self.memory().live.end_all();
            // What was told to end needs a moment to write that it did.
            let _ = tokio::time::timeout(Duration::from_secs(2), self.0.working.closed()).await;
        }
        self.feed().stop();
        self.events().stop();
        self.journal().stop.notify_one();
        self.flush(true).await
    }

    /// Runs work that outlives its request and that stopping waits for.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let working = self.0.working.subscribe();
        tokio::spawn(async move {
            work.await;
            drop(working);
        });
    }

    /// Stopping waits until what this gives is dropped.
    pub(crate) fn working(&self) -> impl Send + use<> {
        self.0.working.subscribe()
    }

    /// Commits a batch and takes its news in at once; other processes hear of it through the feed.
    ///
    /// # Errors
    /// The store's.
    pub async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let news: Vec<_> = batch
            .writes
            .iter()
            .filter_map(|write| match write {
                Write::Announce(change) => Some(change.clone()),
                _ => None,
            })
            .collect();
        self.store().commit(batch).await?;
        for change in &news {
            self.hear(change);
        }
        Ok(())
    }

    /// Takes one piece of news in, of this process or another.
    pub(crate) fn hear(&self, change: &Change) {
        if let Change::Stop { run, and_forget: true } = change {
            self.agents().rolled_back(run);
        }
        self.memory().apply(change);
    }

    pub(crate) async fn append(&self, entry: AuditEntry) -> Result<()> {
        let events = self.events().of(self, &entry, &[]);
        let mut writes = self.events().writes(&events);
        writes.push(Write::Audit { node: self.node().clone(), entry });
        self.commit(Batch::durable(writes)).await?;
        self.events().tell(&events);
        Ok(())
    }

    pub(crate) fn events(&self) -> &Events {
        &self.0.events
    }

    pub(crate) fn webhook(&self, name: &str) -> Option<Arc<Webhook>> {
        self.events().webhook(name)
    }

    /// The names of the webhooks, with where they lead.
    #[must_use]
    pub fn webhooks(&self) -> Vec<Arc<Webhook>> {
        self.events().webhooks.clone()
    }

    /// Webhooks' deliveries.
    #[must_use]
    pub fn deliveries(&self) -> Deliveries<'_> {
        Deliveries::new(self)
    }

    /// What counts for all of us.
    #[must_use]
    pub fn shared(&self) -> &dyn Shared {
        &*self.0.shared
    }

    /// The way out, to addresses that others have a say in.
    #[must_use]
    pub fn outbound(&self) -> &dyn Outbound {
        &*self.0.outbound
    }

    /// Counts a request whose caller is not known yet, by the operator's limits.
    pub async fn limit_before(&self, actions: &[&ActionDef], address: IpAddr) -> Option<Standing> {
        rules::before(&self.0.settings.limits, self.shared(), actions, address, self.now_ms()).await
    }

    /// Counts a request of a known caller, by the operator's limits.
    pub async fn limit_after(
        &self,
        actions: &[&ActionDef],
        auth: &AuthContext,
        address: IpAddr,
    ) -> Option<Standing> {
        rules::after(&self.0.settings.limits, self.shared(), actions, (auth, address), self.now_ms()).await
    }

    /// Counts a request of a known caller that asks for one more action, behind `earlier` ones, by the operator's limits: each counts it
    /// once.
    ///
    /// # Errors
    /// The limit that counts by address, where the request's is not known.
    pub async fn limit_further(
        &self,
        actions: (&ActionDef, &[&ActionDef]),
        caller: (&AuthContext, Option<IpAddr>),
    ) -> std::result::Result<Option<Standing>, NoAddress> {
        rules::further(&self.0.settings.limits, self.shared(), actions, caller, self.now_ms()).await
    }

    /// The ring of a purpose, opened once; its first key is made if there is none.
    ///
    /// # Errors
    /// `wrong_master_key`, and the store's.
    pub async fn ring(&self, purpose: &str, algorithm: Algorithm) -> Result<Arc<KeyRing>> {
        if let Some(ring) = self.0.rings.lock().get(purpose) {
            return Ok(Arc::clone(ring));
        }
        let ring = Arc::new(KeyRing::open(self, purpose, algorithm).await?);
        Ok(Arc::clone(self.0.rings.lock().entry(purpose.to_owned()).or_insert(ring)))
    }

    pub(crate) async fn reload_keys(&self) -> Result<()> {
        let rings: Vec<_> = self.0.rings.lock().values().cloned().collect();
        for ring in rings {
            ring.reload(self).await?;
        }
        Ok(())
    }

    pub(crate) fn user_in_memory(&self, id: &UserId) -> Option<Arc<UserCopy>> {
        let copy = self.memory().caches.users.get(id)?;
        self.memory().generations.is_current(copy.stamp).then_some(copy)
    }

    pub(crate) async fn user_copy(&self, id: &UserId) -> Result<Option<Arc<UserCopy>>> {
        if let Some(copy) = self.user_in_memory(id) {
            return Ok(Some(copy));
        }
        let stamp = self.memory().generations.stamp(id.as_str());
        let Some(user) = self.store().user(id).await? else { return Ok(None) };
        let copy = Arc::new(UserCopy { user, stamp });
        self.memory().caches.users.insert(id.clone(), Arc::clone(&copy));
        Ok(Some(copy))
    }

    /// A guard that ends when the caller's credential, what that was made from, session or principal is revoked.
    #[must_use]
    pub fn watch(&self, auth: &AuthContext) -> LiveGuard {
        let actors = std::iter::once(&auth.principal).chain(&auth.actors);
        let mut keys: Vec<Key> = actors.map(|one| Key::of_principal(&one.owner_key())).collect();
        keys.extend(auth.credential.iter().chain(&auth.descent.handles).map(|id| Key::of_token(id)));
        keys.extend(auth.session.as_ref().map(|id| Key::of_session(id.as_str())));
        keys.extend(auth.workspaces.ends_with.iter().map(|id| Key::of_workspace(id)));
        keys.push(Key::of(&crate::tokens::model::Revoked::All));
        self.memory().live.register(keys)
    }

    /// Whether the credential or session of a caller, or everything of theirs, was revoked since that moment.
    pub(crate) fn is_revoked_since(&self, auth: &AuthContext, since: Moment) -> bool {
        let revocations = &self.memory().revocations;
        let mut handles = auth.credential.iter().chain(&auth.descent.handles);
        let mut principals = std::iter::once(&auth.principal).chain(&auth.actors);
        handles.any(|id| revocations.holds(Key::of_token(id)))
            || auth.session.as_ref().is_some_and(|id| revocations.holds(Key::of_session(id.as_str())))
            || principals.any(|one| revocations.applied_since(Key::of_principal(&one.owner_key()), since))
            || auth
                .workspaces
                .ends_with
                .iter()
                .any(|id| revocations.applied_since(Key::of_workspace(id), since))
    }

    pub(crate) fn api_key_mac(&self, key: &str) -> [u8; 32] {
        let mut mac = [0; 32];
        mac.copy_from_slice(hmac::sign(&self.0.keys.api_key_pepper, key.as_bytes()).as_ref());
        mac
    }

    /// What names a credential in this process's memory.
    pub(crate) fn fingerprint(&self, credential: &[u8]) -> Fingerprint {
        self.0.fingerprints.of(credential)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.0.clock.now_ms()
    }

    /// Time.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }

    /// Time for ids that have to sort in the order they were made.
    pub(crate) fn ordered_clock(&self) -> &dyn Clock {
        &self.0.ordered
    }

    /// Unpredictable bytes.
    #[must_use]
    pub fn random(&self) -> &dyn Random {
        &*self.0.random
    }

    /// An id for a request that has come in.
    #[must_use]
    pub fn request_id(&self) -> RequestId {
        self.request_id_of(self.now_ms())
    }

    /// An id for a request that came in at this moment, where that is known.
    #[must_use]
    pub fn request_id_of(&self, at_ms: i64) -> RequestId {
        self.0.requests.next(at_ms)
    }

    /// What roles allow.
    #[must_use]
    pub fn roles(&self) -> &Roles {
        &self.0.settings.roles
    }

    /// What this process remembers.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.0.memory
    }

    /// This process's name in the audit log.
    #[must_use]
    pub fn node(&self) -> &NodeId {
        &self.0.node
    }
}
