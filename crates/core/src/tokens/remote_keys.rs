//! Keys that an issuer publishes at a URL: fetched when first needed, kept, and fetched again when they are old or a
//! token names one that is not among them.
//!
//! ```text
//! fresh ─► used as they are
//! old (past max-age) ─► used once more, fetched beside the request
//! too old (twice that) ─► fetched first; if that fails used for up to 24 hours, and then nobody is let in
//! unknown kid ─► fetched first, at most once a minute: strangers choose what stands in a token
//! ```
//! Durations are monotonic: a clock that jumps neither ages keys nor stops fetching.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use aws_lc_rs::digest::{SHA256, digest};
use doorward_protocols::jose::{Algorithm, JwkSet, KeySet, TokenError};
use doorward_protocols::json::{self, Limits};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::ports::store::Change;
use crate::ports::{Ask, Outbound};

/// How long keys are fresh when their issuer does not say, and the bounds of what it may say.
const FRESH: Duration = Duration::from_secs(600);
const FRESH_AT_LEAST: Duration = Duration::from_secs(60);
const FRESH_AT_MOST: Duration = Duration::from_secs(3600);
/// Without news for so long, keys are no longer believed.
const OLDEST: Duration = Duration::from_secs(24 * 3600);
/// How often a token that names an unknown key may cause a fetch.
const MISS_EVERY: Duration = Duration::from_secs(60);
/// How long an issuer that cannot be reached is left alone, at first and at most.
const PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Where the keys are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A JWK set (RFC 7517 §5).
    KeySet(String),
    /// An issuer whose metadata name its JWK set (OpenID Connect Discovery 1.0 §4; RFC 8414).
    Issuer(String),
}

/// An issuer's keys.
pub struct RemoteKeys {
    name: String,
    source: Source,
    /// What RSA keys are for that name no algorithm.
    unnamed: Algorithm,
    /// Read with every token, so without a lock.
    kept: ArcSwapOption<Kept>,
    state: Mutex<State>,
    /// Held while a fetch is under way.
    fetching: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct State {
    /// When a fetch last began.
    asked: Option<Instant>,
    /// When a token that names an unknown key last caused one.
    missed: Option<Instant>,
    /// Fetches that failed since the last that did not.
    failures: u32,
}

struct Kept {
    keys: Arc<KeySet>,
    digest: [u8; 32],
    since: Instant,
    fresh: Duration,
}

/// What the time since keys were fetched means for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Age {
    /// They are used as they are.
    Fresh,
    /// They are used while new ones are fetched.
    Old,
    /// They are used if no new ones can be had.
    TooOld,
    /// They are not used.
    Dead,
}

fn age(since: Duration, fresh: Duration) -> Age {
    match since {
        since if since < fresh => Age::Fresh,
        since if since < fresh * 2 => Age::Old,
        since if since < OLDEST => Age::TooOld,
        _ => Age::Dead,
    }
}

/// What was fetched.
struct Fetched {
    keys: KeySet,
    digest: [u8; 32],
    fresh: Duration,
}

impl RemoteKeys {
    /// Keys of the issuer called `name`; nothing is fetched yet.
    #[must_use]
    pub fn new(name: String, source: Source, unnamed: Algorithm) -> Arc<Self> {
        let (kept, state, fetching) = (ArcSwapOption::empty(), Mutex::default(), Arc::default());
        Arc::new(Self { name, source, unnamed, kept, state, fetching })
    }

    /// The keys, if they need not be waited for.
    pub(crate) fn at_hand(self: &Arc<Self>, engine: &Engine) -> Option<Arc<KeySet>> {
        let kept = self.kept.load();
        let kept = kept.as_ref()?;
        match age(kept.since.elapsed(), kept.fresh) {
            Age::Fresh => return Some(Arc::clone(&kept.keys)),
            Age::Old => {}
            Age::TooOld | Age::Dead => return None,
        }
        if let Ok(alone) = Arc::clone(&self.fetching).try_lock_owned()
            && self.may_ask()
        {
            let (this, engine) = (Arc::clone(self), engine.clone());
            tokio::spawn(async move {
                if let Err(error) = this.fetch(alone, engine).await {
                    tracing::warn!(issuer = %this.name, %error, "the issuer's keys were not renewed");
                }
            });
        }
        Some(Arc::clone(&kept.keys))
    }

    /// The keys, fetched if they have to be.
    ///
    /// # Errors
    /// `issuer_unavailable` when there are none that may be believed.
    pub(crate) async fn current(self: &Arc<Self>, engine: &Engine) -> Result<Arc<KeySet>> {
        // Whoever comes while a fetch is under way waits for that one.
        let alone = Arc::clone(&self.fetching).lock_owned().await;
        let fetched = match self.at_hand(engine) {
            Some(keys) => return Ok(keys),
            None if self.may_ask() => self.fetch(alone, engine.clone()).await,
            None => Err("it failed a moment ago".to_owned()),
        };
        match (&*self.kept.load(), fetched) {
            (Some(kept), _) if age(kept.since.elapsed(), kept.fresh) != Age::Dead => {
                Ok(Arc::clone(&kept.keys))
            }
            (_, failed) => {
                let why = failed.err().unwrap_or_default();
                let wait = u32::try_from(self.state.lock().pause().as_secs()).unwrap_or(u32::MAX).max(1);
                Err(Error::new(codes::ISSUER_UNAVAILABLE)
                    .retry_after_s(wait)
                    .operator(format!("{}: {why}", self.name)))
            }
        }
    }

    /// The keys after a token named one that is not among `known`: other ones, if there are any.
    pub(crate) async fn after_miss(
        self: &Arc<Self>,
        engine: &Engine,
        known: &Arc<KeySet>,
    ) -> Option<Arc<KeySet>> {
        let newer = || {
            let kept = self.kept.load_full()?;
            (!Arc::ptr_eq(&kept.keys, known)).then(|| Arc::clone(&kept.keys))
        };
        let alone = Arc::clone(&self.fetching).lock_owned().await;
        if let Some(newer) = newer() {
            return Some(newer);
        }
        if !self.may_miss() {
            return None;
        }
        if let Err(error) = self.fetch(alone, engine.clone()).await {
            tracing::warn!(issuer = %self.name, %error, "a token names an unknown key, and the issuer's keys cannot be had");
        }
        newer()
    }

    /// Whether this minute's fetch for unknown keys is still to be had; it is taken.
    fn may_miss(&self) -> bool {
        let mut state = self.state.lock();
        let may = state.may_ask() && state.missed.is_none_or(|missed| missed.elapsed() >= MISS_EVERY);
        if may {
            state.missed = Some(Instant::now());
        }
        may
    }

    fn may_ask(&self) -> bool {
        self.state.lock().may_ask()
    }

    /// Fetches, alone, on a task of its own: a stranger who causes a fetch and leaves must not take it along.
    async fn fetch(self: &Arc<Self>, alone: OwnedMutexGuard<()>, engine: Engine) -> Result<(), String> {
        let this = Arc::clone(self);
        let fetching = tokio::spawn(async move {
            this.state.lock().asked = Some(Instant::now());
            let fetched = this.ask(engine.outbound()).await;
            let mut state = this.state.lock();
            state.failures = if fetched.is_ok() { 0 } else { state.failures.saturating_add(1) };
            // The pause begins when the answer did not come: whoever waited in line does not ask at once again.
            state.asked = Some(Instant::now());
            drop(state);
            // Tokens that were verified under the old keys are looked at anew.
            if this.keep(fetched?) {
                engine.memory().apply(&Change::Keys);
            }
            drop(alone);
            Ok(())
        });
        fetching.await.unwrap_or_else(|fault| Err(fault.to_string()))
    }

    /// Whether the keys changed.
    fn keep(&self, fetched: Fetched) -> bool {
        let Fetched { keys, digest, fresh } = fetched;
        let before = self.kept.load_full();
        let since = Instant::now();
        if let Some(same) = before.as_ref().filter(|kept| kept.digest == digest) {
            let keys = Arc::clone(&same.keys);
            self.kept.store(Some(Arc::new(Kept { keys, digest, since, fresh })));
            return false;
        }
        tracing::info!(issuer = %self.name, keys = keys.len(), "the issuer's keys");
        self.kept.store(Some(Arc::new(Kept { keys: Arc::new(keys), digest, since, fresh })));
        before.is_some()
    }

    async fn ask(&self, outbound: &dyn Outbound) -> Result<Fetched, String> {
        let url = match &self.source {
            Source::KeySet(url) => url.clone(),
            Source::Issuer(issuer) => {
                let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
                key_set_url(&get(outbound, &url).await?.0, issuer)?
            }
        };
        let (body, max_age_s) = get(outbound, &url).await?;
        let set = JwkSet::parse(&body).map_err(|error| format!("its key set: {error}"))?;
        let (usable, skipped) = set.verifying_keys(Some(self.unnamed));
        for one in &skipped {
            tracing::debug!(issuer = %self.name, kid = ?one.kid, reason = %one.reason, "a key is left out");
        }
        // Whoever can read the set could sign with a symmetric key in it.
        let public = usable.into_iter().filter(|key| !key.algorithm().is_symmetric());
        let keys = KeySet::new(public).map_err(|error| format!("its key set: {error}"))?;
        if keys.is_empty() {
            return Err("its key set holds no key that can verify".to_owned());
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, &body).as_ref());
        let told = max_age_s.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
        let fresh = told.unwrap_or(FRESH).clamp(FRESH_AT_LEAST, FRESH_AT_MOST);
        Ok(Fetched { keys, digest: hash, fresh })
    }
}

async fn get(outbound: &dyn Outbound, url: &str) -> Result<(Vec<u8>, Option<i64>), String> {
    let reply = outbound.send(Ask::get(url)).await.map_err(|error| error.to_string())?;
    if reply.status != 200 {
        return Err(format!("it answered {}", reply.status));
    }
    Ok((reply.body, reply.max_age_s))
}

impl State {
    fn pause(&self) -> Duration {
        match self.failures {
            0 => Duration::ZERO,
            n => LONGEST_PAUSE.min(PAUSE * 2_u32.saturating_pow(n - 1)),
        }
    }

    fn may_ask(&self) -> bool {
        self.asked.is_none_or(|asked| asked.elapsed() >= self.pause())
    }
}

/// The issuer must call itself what we call it (OpenID Connect Discovery 1.0 §4.3): metadata of another one would bring
/// another one's keys.
pub(crate) fn metadata(body: &[u8], issuer: &str) -> Result<Value, String> {
    let metadata = json::parse(body, Limits::STRANGER).map_err(|error| format!("its metadata: {error}"))?;
    match metadata.get("issuer").and_then(Value::as_str) {
        Some(own) if own == issuer => Ok(metadata),
        Some(own) => Err(format!("its metadata are of {own:?}")),
        None => Err("its metadata name no issuer".to_owned()),
    }
}

fn key_set_url(body: &[u8], issuer: &str) -> Result<String, String> {
    let metadata = metadata(body, issuer)?;
    let url = metadata.get("jwks_uri").and_then(Value::as_str);
    url.map(str::to_owned).ok_or_else(|| "its metadata name no jwks_uri".to_owned())
}

/// Whether other keys might do for a token: one that we do not know is named, or none is and those without a name do not fit.
pub(crate) fn missed(refused: Option<&TokenError>, keys: &KeySet) -> bool {
    match refused {
        Some(TokenError::UnknownKey) => true,
        Some(TokenError::BadSignature) => keys.iter().any(|key| key.kid().is_none()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_must_be_of_the_issuer_that_was_asked() {
        let metadata =
            |issuer: &str| format!(r#"{{"issuer":"{issuer}","jwks_uri":"https://idp.example/jwks"}}"#);
        let asked = "https://idp.example";
        assert_eq!(key_set_url(metadata(asked).as_bytes(), asked).as_deref(), Ok("https://idp.example/jwks"));
        for other in ["https://idp.example/", "https://IDP.example", "https://evil.example", ""] {
            assert!(key_set_url(metadata(other).as_bytes(), asked).is_err(), "{other}");
        }
        for bad in [&b"{}"[..], b"[]", b"", br#"{"issuer":"https://idp.example"}"#] {
            assert!(key_set_url(bad, asked).is_err());
        }
    }

    #[test]
    fn keys_are_used_while_they_are_renewed_and_a_day_without_news_ends_them() {
        let at = |seconds| age(Duration::from_secs(seconds), Duration::from_secs(600));
        assert_eq!([0, 599].map(at), [Age::Fresh; 2]);
        assert_eq!([600, 1199].map(at), [Age::Old; 2]);
        assert_eq!([1200, 86_399].map(at), [Age::TooOld; 2]);
        assert_eq!([86_400, 1 << 40].map(at), [Age::Dead; 2]);
    }

    #[test]
    fn an_issuer_that_fails_is_left_alone_ever_longer_up_to_a_minute() {
        let pause = |failures| State { failures, ..State::default() }.pause().as_secs();
        assert_eq!([0, 1, 2, 3, 5, 6, 7, u32::MAX].map(pause), [0, 2, 4, 8, 32, 60, 60, 60]);
    }
}
