//! On whose behalf a cron runs: who made it, with what they may do when it is due.
//!
//! It is kept sealed: whoever can write into the store cannot give a cron more than its maker had, and what a credential said about its
//! holder is not read there.

use std::sync::Arc;

use doorward_protocols::encoding::{base64url_decode, base64url_encode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::authn::methods::api_key;
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::memory::revocations::Key;
use crate::principal::{AuthContext, Principal};
use crate::tokens::seen::usable;

/// What it is sealed for.
const PURPOSE: &str = "cron maker";
/// Most bytes of what a credential says about its holder.
const MAX_CLAIMS_BYTES: usize = 16 << 10;
/// How a cron's runs came in, in the audit log.
pub(super) const METHOD: &str = "cron";

/// Who made a cron, as of then.
#[derive(Serialize, Deserialize)]
pub(super) struct Maker {
    owner: String,
    roles: Vec<Arc<str>>,
    scopes: Option<Vec<Arc<str>>>,
    claims: Map<String, Value>,
    /// The API key that was used, if one was: the cron ends with it.
    key: Option<Arc<str>>,
    /// Whether the roles were chosen for the credential, from among those of its holder.
    narrow: bool,
    at_ms: i64,
}

impl Maker {
    /// Whoever asks now.
    ///
    /// # Errors
    /// `forbidden` for whom nobody could be held to later: nobody in particular, and whoever acts for somebody else. `bad_field` when what
    /// the credential says is too much to keep.
    pub(super) fn of(auth: &AuthContext, now_ms: i64) -> Result<Self> {
        if auth.is_anonymous() || !auth.actors.is_empty() {
            let text = "A cron needs an owner: log in as yourself to make one.";
            return Err(Error::new(codes::FORBIDDEN).message(text).by_rule("cron owner"));
        }
        let claims: Map<String, Value> = auth.claims.clone().into_iter().collect();
        if serde_json::to_vec(&claims).map_or(usize::MAX, |text| text.len()) > MAX_CLAIMS_BYTES {
            let text =
                format!("What your credential says about you takes more than {MAX_CLAIMS_BYTES} bytes.");
            return Err(Error::new(codes::BAD_FIELD).message(text));
        }
        Ok(Self {
            owner: auth.principal.owner_key(),
            roles: auth.roles.clone(),
            scopes: auth.scopes.clone(),
            claims,
            key: auth.credential.clone().filter(|_| auth.method == "api_key"),
            narrow: auth.method == "hub_token",
            // Before the second in which it is: what ends all that began before a second spares the tokens of that second, and no cron.
            at_ms: now_ms.div_euclid(1000) * 1000 - 1,
        })
    }

    /// As it is kept with the cron of this id.
    pub(super) fn seal(&self, engine: &Engine, cron: &str) -> Result<String> {
        let text = serde_json::to_vec(self)
            .map_err(|_| Error::new(codes::INTERNAL).operator("a maker is no JSON"))?;
        let sealed = engine.sealer().seal(engine.random(), cron, PURPOSE, "", &text)?;
        Ok(base64url_encode(&sealed))
    }

    /// What was kept with the cron of this id.
    pub(super) fn open(engine: &Engine, cron: &str, sealed: &str) -> Result<Self> {
        let damaged =
            || Error::new(codes::INTERNAL).operator(format!("the maker of cron {cron} cannot be read"));
        let sealed = base64url_decode(sealed.as_bytes()).map_err(|_| damaged())?;
        let text = engine.sealer().open_bound(cron, PURPOSE, "", &sealed)?;
        serde_json::from_slice(text.expose()).map_err(|_| damaged())
    }

    /// Whether everything of theirs was revoked since they vouched for the cron.
    pub(super) fn is_revoked(&self, engine: &Engine) -> bool {
        engine.memory().revocations.cover_since(Key::of_principal(&self.owner), self.at_ms)
    }

    /// The maker now: people of ours have the roles they have now, those of others have what they had when others vouched for them.
    ///
    /// # Errors
    /// `token_invalid` when the user is gone, `user_disabled`; `token_revoked` when everything of theirs was revoked since; an API key's
    /// own refusals.
    pub(super) async fn now(self, engine: &Engine, owner: &str) -> Result<AuthContext> {
        let damaged = || Error::new(codes::INTERNAL).operator("a cron's owner is not its maker");
        let principal =
            Principal::of_owner_key(owner).filter(|_| *owner == self.owner).ok_or_else(damaged)?;
        let stands = if self.is_revoked(engine) { Err(Error::new(codes::TOKEN_REVOKED)) } else { Ok(()) };
        let mut auth = AuthContext {
            principal,
            scopes: self.scopes,
            claims: self.claims.into_iter().collect(),
            method: METHOD,
            ..AuthContext::anonymous(self.roles)
        };
        let Some(id) = auth.principal.user_id() else { return stands.map(|()| auth) };
        let copy = engine.user_copy(&id).await?;
        let user = &usable(copy.as_ref(), engine.now_ms())?.user;
        stands?;
        let had = std::mem::take(&mut auth.roles);
        auth.roles = user.roles.iter().filter(|role| !self.narrow || had.contains(role)).cloned().collect();
        if let Some(key) = &self.key {
            let key = engine.store().api_key(&(&**key).into()).await?;
            let key = key.filter(|key| key.owner == id).ok_or_else(|| Error::new(codes::KEY_INVALID))?;
            let by_key = api_key::caller(engine, &key, user)?;
            // Only as far as the key reaches now; what administers is asked for by a person.
            auth.scopes = by_key.scopes;
            auth.credential = by_key.credential;
        }
        Ok(auth)
    }
}
