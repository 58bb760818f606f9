//! What texts of start-up files stand for: kept in the store, sealed and found by a hash of the text, so that a text ends with the token of
//! ours that it was made for, also when the server was started anew in between.
//!
//! What has ended is known for a week longer: until then a text is refused by us, whatever its file says. Nothing that has not ended is ever
//! given up for something new; where there are too many, no more are made.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use aws_lc_rs::digest::{SHA256, digest};
use parking_lot::Mutex;
use quick_cache::sync::Cache;

use super::hex;
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::ports::Batch;
use crate::ports::store::{StandIn, Write};
use crate::secret::SecretText;

/// Most that have not ended; visitors may have half of them.
const MOST: u32 = 262_144;
/// Most that have not ended of one principal, or of all visitors of one network: one every six minutes for as long as those live that clients come
/// back with. Each process counts its own.
const MOST_OF_ONE: usize = 512;
/// How many are made before they are counted anew, and how long nobody counts when there were too many.
const AT_ONCE: u32 = 4_096;
const FULL_MS: i64 = 10_000;
/// Those at hand.
const AT_HAND: usize = 16_384;
/// What they are sealed for.
const PURPOSE: &str = "start-up token";

/// What a text stands for.
#[derive(Clone)]
pub enum StandsFor {
    /// A token of ours, which may have been revoked.
    Ours(Arc<SecretText>),
    /// One that has ended by itself.
    Ended,
}

/// Whose a text is.
pub(super) struct Whose {
    /// Who counts for it: a principal, or the network of visitors.
    pub(super) name: String,
    pub(super) visitor: bool,
}

/// When the texts of each end that have not ended.
#[derive(Default)]
struct OfEach(Mutex<HashMap<String, Vec<i64>>>);

impl OfEach {
    /// Takes a place for one that lives that long; the answer is whether there was one.
    fn take(&self, name: &str, until_ms: i64, now_ms: i64) -> bool {
        let mut of_each = self.0.lock();
        let ends = of_each.entry(name.to_owned()).or_default();
        if ends.len() >= MOST_OF_ONE {
            ends.retain(|until_ms| *until_ms > now_ms);
        }
        let has = ends.len() < MOST_OF_ONE;
        if has {
            ends.push(until_ms);
        }
        has
    }

    /// Gives one back that was not made.
    fn give(&self, name: &str, until_ms: i64) {
        let mut of_each = self.0.lock();
        if let Some(ends) = of_each.get_mut(name)
            && let Some(at) = ends.iter().position(|one| *one == until_ms)
        {
            ends.swap_remove(at);
        }
    }

    /// Forgets those whose all have ended.
    fn tidy(&self, now_ms: i64) {
        self.0.lock().retain(|_, ends| {
            ends.retain(|until_ms| *until_ms > now_ms);
            !ends.is_empty()
        });
    }
}

/// How many more may be made before they are counted.
#[derive(Default)]
struct Left {
    places: AtomicU32,
    full_until_ms: AtomicI64,
}

/// The texts of one mount's files.
pub(super) struct Kept {
    engine: Engine,
    authority: Arc<str>,
    at_hand: Cache<[u8; 32], Arc<SecretText>>,
    left: Left,
    left_of_visitors: Left,
    of_each: OfEach,
}

impl Kept {
    pub(super) fn new(engine: Engine, authority: Arc<str>) -> Self {
        let (left, left_of_visitors) = (Left::default(), Left::default());
        Self {
            engine,
            authority,
            at_hand: Cache::new(AT_HAND),
            left,
            left_of_visitors,
            of_each: OfEach::default(),
        }
    }

    /// A text of one mount is nothing at another.
    fn hash(&self, text: &str) -> [u8; 32] {
        let named = [self.authority.as_bytes(), &[0], text.as_bytes()].concat();
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, &named).as_ref());
        hash
    }

    /// What a text stands for, if it was made for a token of ours.
    pub(super) async fn find(&self, text: &str) -> Result<Option<StandsFor>> {
        let hash = self.hash(text);
        if let Some(ours) = self.at_hand.get(&hash) {
            return Ok(Some(StandsFor::Ours(ours)));
        }
        let Some(StandIn { sealed, until_ms }) = self.engine.store().stand_in(hash).await? else {
            return Ok(None);
        };
        if sealed.is_empty() || until_ms <= self.engine.now_ms() {
            return Ok(Some(StandsFor::Ended));
        }
        let plain = self.engine.sealer().open_bound(&hex(&hash), PURPOSE, &self.authority, &sealed)?;
        let text = String::from_utf8(plain.expose().clone())
            .map_err(|_| Error::new(codes::INTERNAL).operator("a stand-in holds no text"))?;
        let ours = Arc::new(SecretText::new(text));
        self.at_hand.insert(hash, Arc::clone(&ours));
        Ok(Some(StandsFor::Ours(ours)))
    }

    /// Keeps what a text stands for: from then on it ends with that.
    ///
    /// # Errors
    /// `too_many_stand_ins`; the store's.
    pub(super) async fn keep(&self, text: &str, ours: SecretText, until_s: i64, whose: &Whose) -> Result<()> {
        let until_ms = until_s.saturating_mul(1000);
        // Nobody alone has so many that others have none.
        if !self.of_each.take(&whose.name, until_ms, self.engine.now_ms()) {
            let message = "As many of your tokens are out as may be at once.";
            return Err(Error::new(codes::TOO_MANY_STAND_INS).message(message).retry_after_s(60));
        }
        let kept = self.keep_one(text, ours, until_ms, whose.visitor).await;
        if kept.is_err() {
            self.of_each.give(&whose.name, until_ms);
        }
        kept
    }

    async fn keep_one(&self, text: &str, ours: SecretText, until_ms: i64, visitor: bool) -> Result<()> {
        self.take_place(visitor).await?;
        let hash = self.hash(text);
        let (sealer, random) = (self.engine.sealer(), self.engine.random());
        let secret = ours.expose().as_bytes();
        let sealed = sealer.seal(random, &hex(&hash), PURPOSE, &self.authority, secret)?;
        let kept = StandIn { sealed, until_ms };
        self.engine.store().commit(Batch::durable(vec![Write::KeepStandIn { hash, kept }])).await?;
        self.at_hand.insert(hash, Arc::new(ours));
        Ok(())
    }

    async fn take_place(&self, visitor: bool) -> Result<()> {
        let (left, most) = if visitor { (&self.left_of_visitors, MOST / 2) } else { (&self.left, MOST) };
        let one_less = |places: u32| places.checked_sub(1);
        if left.places.fetch_update(Ordering::AcqRel, Ordering::Relaxed, one_less).is_ok() {
            return Ok(());
        }
        let now_ms = self.engine.now_ms();
        self.of_each.tidy(now_ms);
        let full = || Error::new(codes::TOO_MANY_STAND_INS).retry_after_s(10);
        if now_ms < left.full_until_ms.load(Ordering::Acquire) {
            return Err(full());
        }
        let free = most.saturating_sub(self.engine.store().stand_ins(now_ms, most).await?);
        if free == 0 {
            left.full_until_ms.store(now_ms.saturating_add(FULL_MS), Ordering::Release);
            return Err(full());
        }
        left.places.store(free.min(AT_ONCE) - 1, Ordering::Release);
        Ok(())
    }
}
