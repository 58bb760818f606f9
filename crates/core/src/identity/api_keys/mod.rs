//! API keys as a service. A key is shown once; only its keyed hash is kept.

pub mod format;

use std::sync::atomic::Ordering;

use super::model::{ApiKey, ApiKeyKind};
use super::validate;
use crate::authz::catalogue::api_key;
use crate::authz::filter::Filter;
use crate::authz::scopes;
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::id::{ApiKeyId, UserId};
use crate::memory::caches::ApiKeyCopy;
use crate::memory::generations::Stamp;
use crate::memory::revocations::Key;
use crate::operation::Permit;
use crate::ports::store::{Change, Page, Write};
use crate::principal::Principal;
use crate::secret::SecretText;
use crate::tokens::model::{Revocation, Revoked};
use crate::tokens::revoke::revoke_writes;

/// Longest life of a key that ends.
const MAX_LIFE_MS: i64 = 10 * 366 * 86_400_000;

/// When a key ends. There is no default: whoever makes a key says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// After this many seconds.
    InSeconds(i64),
    /// Never, said out loud.
    Never,
}

/// What a new key is made of.
pub struct NewApiKey {
    /// What people call it.
    pub name: String,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// When it ends.
    pub expiry: Expiry,
}

/// A key and, this once, the key itself.
pub struct Created {
    /// What is kept.
    pub key: ApiKey,
    /// What to hand to the caller.
    pub secret: SecretText,
}

/// API keys as a service.
pub struct ApiKeys<'e> {
    engine: &'e Engine,
}

impl<'e> ApiKeys<'e> {
    pub(crate) fn new(engine: &'e Engine) -> Self {
        Self { engine }
    }

    /// Makes a user key for the caller. It never reaches further than the credential it is made with, nor lives
    /// longer if that one is a key too.
    ///
    /// # Errors
    /// `bad_field`, `unknown_scope`, `scope_missing`; `forbidden` for callers who are not users of ours.
    pub async fn create(&self, permit: Permit<api_key::Create>, new: NewApiKey) -> Result<Created> {
        let auth = permit.auth();
        let limits = auth.scopes.clone();
        let end_ms = (auth.method == "api_key").then_some(auth.expires_at_s).flatten().map(|s| s * 1000);
        let Some(owner) = auth.principal.user_id() else {
            let message = "Only users of this Doorward have API keys here.";
            return permit.close(Err(Error::new(codes::FORBIDDEN).message(message)));
        };
        let made = self.make(owner, ApiKeyKind::User, new).and_then(|created| {
            if !scopes::within(self.engine.roles().catalogue(), &created.key.scopes, limits.as_deref()) {
                let message = "A key cannot reach further than the credential it is made with.";
                return Err(Error::new(codes::SCOPE_MISSING).message(message));
            }
            if end_ms.is_some_and(|end| created.key.expires_at_ms.is_none_or(|expires| expires > end)) {
                let message = "expires: a key made with a key cannot live longer than that one.";
                return Err(Error::new(codes::BAD_FIELD).message(message));
            }
            Ok(created)
        });
        self.insert(permit, made).await
    }

    /// Makes a key of any kind for anybody.
    ///
    /// # Errors
    /// `bad_field`, `unknown_scope`; `not_found` for an unknown owner.
    pub async fn create_for(
        &self,
        permit: Permit<api_key::CreateAdmin>,
        owner: &UserId,
        kind: ApiKeyKind,
        new: NewApiKey,
    ) -> Result<Created> {
        let made = match self.engine.store().user(owner).await {
            Ok(Some(_)) => self.make(owner.clone(), kind, new),
            Ok(None) => Err(Error::new(codes::NOT_FOUND).message("There is no such user.")),
            Err(error) => Err(error.into()),
        };
        self.insert(permit, made).await
    }

    fn make(&self, owner: UserId, kind: ApiKeyKind, new: NewApiKey) -> Result<Created> {
        let principal = Key::of_principal(&Principal::local(&owner).owner_key());
        let earliest_ms = self.engine.memory().revocations.earliest_ms(principal);
        let now_ms = earliest_ms.map_or(self.engine.now_ms(), |ms| ms.max(self.engine.now_ms()));
        let expires_at_ms = match new.expiry {
            Expiry::Never => None,
            Expiry::InSeconds(s) if s >= 1 && s.saturating_mul(1000) <= MAX_LIFE_MS => {
                Some(now_ms + s * 1000)
            }
            Expiry::InSeconds(_) => {
                let message = "expires: between one second and ten years, or \"never\".";
                return Err(Error::new(codes::BAD_FIELD).message(message));
            }
        };
        let secret = format::generate(self.engine.random(), kind);
        let key = ApiKey {
            id: ApiKeyId::new(self.engine.clock(), self.engine.random()),
            owner,
            kind,
            name: validate::label("name", &new.name, 100)?,
            scopes: scopes::parse(self.engine.roles().catalogue(), &new.scopes)?,
            hint: format::hint(&secret, kind),
            mac: self.engine.api_key_mac(secret.expose()),
            created_at_ms: now_ms,
            expires_at_ms,
            last_used_at_ms: None,
            revoked_at_ms: None,
        };
        Ok(Created { key, secret })
    }

    async fn insert<A: crate::authz::catalogue::Action>(
        &self,
        mut permit: Permit<A>,
        made: Result<Created>,
    ) -> Result<Created> {
        match made {
            Err(error) => permit.close(Err(error)),
            Ok(created) => {
                permit.name_resource(created.key.id.as_str());
                permit.commit(vec![Write::InsertApiKey(created.key.clone())]).await?;
                Ok(created)
            }
        }
    }

    /// Keys in creation order, at most 200: of one owner, or of all.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(
        &self,
        permit: Permit<api_key::Read>,
        owner: Option<&UserId>,
        page: Page,
    ) -> Result<Vec<ApiKey>> {
        let reached = match owner {
            Some(owner) => permit.must_reach(owner.as_str(), &Principal::local(owner).owner_key()),
            None if *permit.filter() == Filter::Everything => Ok(()),
            None => Err(Error::new(codes::FORBIDDEN)),
        };
        if let Err(error) = reached {
            return permit.close(Err(error));
        }
        let found =
            self.engine.store().api_keys(owner, Page { limit: page.limit.clamp(1, 200), ..page }).await;
        permit.close(found.map_err(Into::into))
    }

    /// Whose a key is, so that a permit can be asked for it.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn owner(&self, id: &ApiKeyId) -> Result<UserId> {
        let key = self.engine.store().api_key(id).await?;
        key.map(|key| key.owner).ok_or_else(|| Error::new(codes::NOT_FOUND))
    }

    fn revoke_writes(&self, key: ApiKey) -> Vec<Write> {
        let at_ms = self.engine.now_ms();
        // By its handle too: streams know the credential that let them in by that.
        let revoked = Revoked::Token(key.id.as_str().to_owned());
        let until_ms = at_ms + self.engine.longest_token_ms();
        let mut writes =
            vec![Write::RevokeApiKey { id: key.id, at_ms }, Write::Announce(Change::ApiKey(key.mac))];
        writes.extend(revoke_writes(Revocation { revoked, at_ms, until_ms }));
        writes
    }

    /// What ends every key of an account.
    pub(crate) async fn end_writes(&self, owner: &UserId) -> Result<Vec<Write>> {
        let (mut writes, mut after) = (Vec::new(), None);
        loop {
            let keys = self.engine.store().api_keys(Some(owner), Page { after, limit: 200 }).await?;
            let Some(last) = keys.last().map(|key| key.id.as_str().to_owned()) else { return Ok(writes) };
            for key in keys.into_iter().filter(|key| key.revoked_at_ms.is_none()) {
                writes.extend(self.revoke_writes(key));
            }
            after = Some(last);
        }
    }

    /// Revokes a key; the next request with it is refused.
    ///
    /// # Errors
    /// `not_found` for one that never was or is revoked.
    pub async fn revoke(&self, permit: Permit<api_key::Revoke>, id: &ApiKeyId) -> Result<()> {
        let found = match self.engine.store().api_key(id).await {
            Ok(Some(key)) if key.revoked_at_ms.is_none() => {
                permit.must_reach(id.as_str(), &Principal::local(&key.owner).owner_key()).map(|()| key)
            }
            Ok(_) => Err(Error::new(codes::NOT_FOUND)),
            Err(error) => Err(error.into()),
        };
        match found {
            Err(error) => permit.close(Err(error)),
            Ok(key) => Ok(permit.commit(self.revoke_writes(key)).await?),
        }
    }
}

impl Engine {
    /// A key as the store has it, and the stamp that it was read under.
    pub(crate) async fn read_api_key(&self, text: &str) -> Result<Option<(ApiKey, Stamp)>> {
        let mac = self.api_key_mac(text);
        let stamp = self.memory().generations.stamp(&mac);
        Ok(self.store().api_key_by_mac(mac).await?.map(|key| (key, stamp)))
    }

    pub(crate) fn note_api_key_use(&self, copy: &ApiKeyCopy, now_ms: i64, every_ms: i64) {
        let noted = copy.noted_at_ms.load(Ordering::Acquire);
        let due = now_ms - noted >= every_ms;
        if due
            && copy.noted_at_ms.compare_exchange(noted, now_ms, Ordering::AcqRel, Ordering::Acquire).is_ok()
        {
            self.journal().api_key_used(&copy.key.id, now_ms);
        }
    }
}
