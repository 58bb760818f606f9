//! What texts of start-up files stand for: kept in the store, sealed and found by a hash of the text, so that a text ends with the token of
//! ours that it was made for, also when the server was started anew in between.
//!
//! What has ended is known for a week longer: until then a text is refused by us, whatever its file says. Nothing that has not ended is ever
//! given up for something new; where there are too many, no more are made.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use aws_lc_rs::digest::{SHA256, digest};
use quick_cache::sync::Cache;

use super::hex;
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::ports::Batch;
use crate::ports::store::{StandIn, Write};
use crate::secret::SecretText;

/// Most that have not ended; visitors may have half of them.
const MOST: u32 = 262_144;
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
}

impl Kept {
    pub(super) fn new(engine: Engine, authority: Arc<str>) -> Self {
        let (left, left_of_visitors) = (Left::default(), Left::default());
        Self { engine, authority, at_hand: Cache::new(AT_HAND), left, left_of_visitors }
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
    pub(super) async fn keep(&self, text: &str, ours: SecretText, until_s: i64, visitor: bool) -> Result<()> {
        self.take_place(visitor).await?;
        let hash = self.hash(text);
        let (sealer, random) = (self.engine.sealer(), self.engine.random());
        let secret = ours.expose().as_bytes();
        let sealed = sealer.seal(random, &hex(&hash), PURPOSE, &self.authority, secret)?;
        let kept = StandIn { sealed, until_ms: until_s.saturating_mul(1000) };
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
