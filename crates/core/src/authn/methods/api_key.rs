//! Doorward's API keys, as `X-API-Key`, `Authorization: ApiKey` or `Authorization: Bearer`.
//!
//! The prefix says whose it is: a Bearer text without it is declined. 1. keyed hash, looked up in memory; 2. on a miss
//! the checksum, so that typing errors and scanners never reach the store; 3. the store; 4. revoked by itself
//! or with everything of its owner; 5. expired; 6. the owner is enabled.

use std::sync::Arc;

use super::Descriptor;
use crate::authn::{Answer, Authenticator, Outcome, Place, Presented};
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::identity::api_keys::format;
use crate::identity::model::{ApiKey, ApiKeyKind, User};
use crate::memory::caches::ApiKeyCopy;
use crate::memory::revocations::Key;
use crate::principal::{AuthContext, Principal};
use crate::tokens::seen::usable;

/// The store is told of a key's use this often.
const NOTE_EVERY_MS: i64 = 60_000;

struct ApiKeys {
    engine: Engine,
}

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    name: "api_key",
    build: |section, engine| {
        let _: NoOptions = super::options("api_key", &section)?;
        Ok(Arc::new(ApiKeys { engine: engine.clone() }))
    },
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct NoOptions {}

impl Authenticator for ApiKeys {
    fn name(&self) -> &'static str {
        DESCRIPTOR.name
    }

    fn authenticate<'a>(&'a self, presented: &'a Presented<'a>) -> Answer<'a> {
        let Some(offered) = presented.offered else { return Answer::Now(Outcome::NotPresent) };
        match offered.place {
            Place::Bearer if !format::is_ours(offered.text) => return Answer::Now(Outcome::NotPresent),
            Place::OtherScheme => return Answer::Now(Outcome::NotPresent),
            Place::Bearer | Place::ApiKeyScheme | Place::ApiKeyHeader => {}
        }
        if !format::is_ours(offered.text) || offered.text.len() > format::MAX_BYTES {
            return Answer::Now(Outcome::Rejected(Error::new(codes::KEY_INVALID).operator("no key of ours")));
        }
        let now_ms = self.engine.now_ms();
        let mac = self.engine.api_key_mac(offered.text);
        if let Some(copy) = self.engine.memory().caches.api_keys.get(&mac)
            && self.engine.memory().generations.is_current(copy.stamp)
            && let Some(user) = self.engine.user_in_memory(&copy.key.owner)
        {
            return Answer::Now(outcome(self.accept(&copy, &user.user, now_ms)));
        }
        Answer::Later(Box::pin(async move { outcome(self.look_up(offered.text, mac, now_ms).await) }))
    }
}

fn outcome(result: Result<Arc<AuthContext>>) -> Outcome {
    match result {
        Ok(auth) => Outcome::Accepted(auth),
        Err(error) => Outcome::Rejected(error),
    }
}

impl ApiKeys {
    async fn look_up(&self, text: &str, mac: [u8; 32], now_ms: i64) -> Result<Arc<AuthContext>> {
        if !format::checksum_holds(text) {
            return Err(Error::new(codes::KEY_INVALID).operator("checksum"));
        }
        let unknown = || Error::new(codes::KEY_INVALID).operator("unknown key");
        let copy = self.engine.api_key_copy(mac).await?.ok_or_else(unknown)?;
        let user = self.engine.user_copy(&copy.key.owner).await?;
        let user = usable(user.as_ref())?;
        self.accept(&copy, &user.user, now_ms)
    }

    fn accept(&self, copy: &ApiKeyCopy, user: &User, now_ms: i64) -> Result<Arc<AuthContext>> {
        must_stand(&self.engine, &copy.key, copy.principal, user, now_ms)?;
        self.engine.note_api_key_use(copy, now_ms, NOTE_EVERY_MS);
        Ok(Arc::new(context(&copy.key, user)))
    }
}

/// Checks 4 to 6.
fn must_stand(engine: &Engine, key: &ApiKey, principal: Key, user: &User, now_ms: i64) -> Result<()> {
    if key.revoked_at_ms.is_some() {
        return Err(Error::new(codes::KEY_REVOKED));
    }
    if engine.memory().revocations.cover_since(principal, key.created_at_ms) {
        return Err(Error::new(codes::KEY_REVOKED).operator("everything of its owner was revoked"));
    }
    if key.expires_at_ms.is_some_and(|at_ms| now_ms >= at_ms) {
        return Err(Error::new(codes::KEY_EXPIRED));
    }
    if user.disabled {
        return Err(Error::new(codes::USER_DISABLED));
    }
    Ok(())
}

/// Who a call with this key would be from, for explaining decisions. It is no use of the key.
///
/// # Errors
/// `api_key_revoked`, `api_key_expired`, `user_disabled`, as for a request.
pub fn caller(engine: &Engine, key: &ApiKey, user: &User) -> Result<AuthContext> {
    let principal = Key::of_principal(&Principal::local(&user.id).owner_key());
    must_stand(engine, key, principal, user, engine.now_ms())?;
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
