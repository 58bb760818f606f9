//! Doorward's API keys, as `X-API-Key`, `Authorization: ApiKey` or `Authorization: Bearer`.
//!
//! The prefix says whose it is: a Bearer text without it is declined. 1. its fingerprint, looked up in memory; 2. on a
//! miss the checksum, so that typing errors and scanners never reach the store; 3. the keyed hash, looked up in the store; 4. the owner is
//! enabled; 5. revoked by itself or with everything of its owner; 6. expired. Who calls with a key is worked out once
//! and kept until its owner changes; 5 and 6 are looked at every time.

use std::sync::Arc;

use super::Descriptor;
use crate::authn::{Answer, Authenticator, Glanced, Offered, Outcome, Place, Presented, Recall};
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::identity::api_keys::format;
use crate::identity::model::{ApiKey, ApiKeyKind, User};
use crate::memory::caches::ApiKeyCopy;
use crate::memory::fingerprint::Fingerprint;
use crate::memory::revocations::Key;
use crate::principal::{AuthContext, Principal};
use crate::tokens::seen::{enabled, usable};

/// The store is told of a key's use this often.
const NOTE_EVERY_MS: i64 = 60_000;

struct ApiKeys {
    engine: Engine,
    leaves_others: bool,
}

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    name: "api_key",
    build: |section, engine| {
        let options: Options = super::options("api_key", &section)?;
        Ok(Arc::new(ApiKeys { engine: engine.clone(), leaves_others: options.leaves_others }))
    },
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// Whether a key that is not ours is left to the next method: where handlers of the operator's own go by keys.
    #[serde(default)]
    leaves_others: bool,
}

impl Authenticator for ApiKeys {
    fn name(&self) -> &'static str {
        DESCRIPTOR.name
    }

    fn authenticate<'a>(&'a self, presented: &'a Presented<'a>) -> Answer<'a> {
        let is_mine = |offered: &Offered<'_>| self.is_mine(offered.place, offered.text.as_bytes());
        let Some(offered) = presented.offered.filter(is_mine) else {
            return Answer::Now(Outcome::NotPresent);
        };
        if !format::is_ours(offered.text.as_bytes()) || offered.text.len() > format::MAX_BYTES {
            return Answer::Now(Outcome::Rejected(Error::new(codes::KEY_INVALID).operator("no key of ours")));
        }
        let now_ms = self.engine.now_ms();
        let named = self.engine.fingerprint(offered.text.as_bytes());
        if let Some(known) = self.held(named, now_ms) {
            return Answer::Now(outcome(known));
        }
        Answer::Later(Box::pin(async move { outcome(self.look_up(offered.text, named, now_ms).await) }))
    }

    fn recall(&self, glanced: &Glanced<'_>, now_ms: i64) -> Recall {
        let Some((_, text)) = glanced.offered.filter(|(place, text)| self.is_mine(*place, text)) else {
            return Recall::NotMine;
        };
        if !format::is_ours(text) || text.len() > format::MAX_BYTES {
            return Recall::Ask;
        }
        match self.held(self.engine.fingerprint(text), now_ms) {
            Some(Ok(auth)) => Recall::Known(auth),
            Some(Err(_)) | None => Recall::Ask,
        }
    }
}

fn outcome(result: Result<Arc<AuthContext>>) -> Outcome {
    match result {
        Ok(auth) => Outcome::Accepted(auth),
        Err(error) => Outcome::Rejected(error),
    }
}

impl ApiKeys {
    /// What may be a key of ours, or is one that is not good.
    fn is_mine(&self, place: Place, text: &[u8]) -> bool {
        match place {
            Place::Bearer => format::is_ours(text),
            Place::ApiKeyScheme | Place::ApiKeyHeader => !self.leaves_others || format::is_ours(text),
            Place::OtherScheme => false,
        }
    }

    /// Who calls with a key that memory has, or why it is not good; `None` where the store has to be asked.
    fn held(&self, named: Fingerprint, now_ms: i64) -> Option<Result<Arc<AuthContext>>> {
        let generations = &self.engine.memory().generations;
        let copy = self.engine.memory().caches.api_keys.get(named)?;
        let is_current = generations.is_current(copy.stamp) && generations.is_current(copy.owner);
        is_current.then(|| self.accept(&copy, now_ms))
    }

    async fn look_up(&self, text: &str, named: Fingerprint, now_ms: i64) -> Result<Arc<AuthContext>> {
        if !format::checksum_holds(text) {
            return Err(Error::new(codes::KEY_INVALID).operator("checksum"));
        }
        let unknown = || Error::new(codes::KEY_INVALID).operator("unknown key");
        let (key, stamp) = self.engine.read_api_key(text).await?.ok_or_else(unknown)?;
        let user = self.engine.user_copy(&key.owner).await?;
        let user = usable(user.as_ref(), now_ms)?;
        let copy = Arc::new(ApiKeyCopy {
            stamp,
            owner: user.stamp,
            principal: Key::of_principal(&Principal::local(&key.owner).owner_key()),
            noted_at_ms: Arc::new(key.last_used_at_ms.unwrap_or(i64::MIN / 2).into()),
            auth: Arc::new(context(&key, &user.user)),
            key,
        });
        self.engine.memory().caches.api_keys.insert(named, Arc::clone(&copy));
        self.accept(&copy, now_ms)
    }

    fn accept(&self, copy: &ApiKeyCopy, now_ms: i64) -> Result<Arc<AuthContext>> {
        must_stand(&self.engine, &copy.key, copy.principal, now_ms)?;
        self.engine.note_api_key_use(copy, now_ms, NOTE_EVERY_MS);
        Ok(Arc::clone(&copy.auth))
    }
}

/// Checks 5 and 6.
fn must_stand(engine: &Engine, key: &ApiKey, principal: Key, now_ms: i64) -> Result<()> {
    if key.revoked_at_ms.is_some() {
        return Err(Error::new(codes::KEY_REVOKED));
    }
    if engine.memory().revocations.cover_since(principal, key.created_at_ms) {
        return Err(Error::new(codes::KEY_REVOKED).operator("everything of its owner was revoked"));
    }
    if key.expires_at_ms.is_some_and(|at_ms| now_ms >= at_ms) {
        return Err(Error::new(codes::KEY_EXPIRED));
    }
    Ok(())
}

/// Who a call with this key would be from, for explaining decisions. It is no use of the key.
///
/// # Errors
/// `user_disabled`, `api_key_revoked`, `api_key_expired`, as for a request.
pub fn caller(engine: &Engine, key: &ApiKey, user: &User) -> Result<AuthContext> {
    enabled(user, engine.now_ms())?;
    let principal = Key::of_principal(&Principal::local(&user.id).owner_key());
    must_stand(engine, key, principal, engine.now_ms())?;
    Ok(context(key, user))
}

fn context(key: &ApiKey, user: &User) -> AuthContext {
    AuthContext {
        principal: Principal::local(&user.id),
        scopes: Some(key.scopes.clone()),
        method: DESCRIPTOR.name,
        credential: Some(key.id.as_str().into()),
        expires_at_s: key.expires_at_ms.map(|at_ms| at_ms.div_euclid(1000)),
        administrative: key.kind == ApiKeyKind::Admin,
        ..AuthContext::anonymous(user.roles.clone())
    }
}
