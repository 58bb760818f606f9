//! Access tokens that Doorward issued.
//!
//! 1. signature and claims (once per token), 2. revocation, 3. the user exists and is enabled, 4. the session goes on.
//!
//! Tokens of other keys are declined, not refused: another method may know them.

use std::sync::Arc;

use doorward_protocols::jose::{TokenError, Verified};

use super::{ConfigError, Descriptor};
use crate::authn::{Answer, Authenticator, Glanced, Outcome, Place, Presented, Recall};
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::id::{SessionId, UserId};
use crate::identity::model::User;
use crate::memory::revocations::Handles;
use crate::principal::{AuthContext, Principal};
use crate::tokens::Keys;
use crate::tokens::profile::{Wanted, verify_own};
use crate::tokens::seen::{Name, Seen, SeenTokens, enabled, usable};

/// `typ` of our access tokens (RFC 9068 §2.1).
pub const ACCESS_TOKEN: &str = "at+jwt";
struct OwnToken {
    engine: Engine,
    keys: Keys,
    issuer: Vec<String>,
    audience: Vec<String>,
    mount: Option<String>,
    seen: SeenTokens,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// `iss` of our tokens.
    issuer: String,
    /// `aud` of our tokens: one of these.
    audience: Vec<String>,
    /// The mount whose log-ins alone count, where others have the same keys and audience.
    #[serde(default)]
    mount: Option<String>,
}

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    name: "own_token",
    build: |section, engine| {
        let options: Options = super::options("own_token", &section)?;
        let problem = "needs the keys that sign our tokens".to_owned();
        let keys = match (section.ring, section.keys) {
            (Some(ring), _) => Keys::Ring(ring),
            (None, Some(verify)) => Keys::Fixed { signer: None, verify },
            (None, None) => return Err(ConfigError { method: "own_token", problem }),
        };
        Ok(Arc::new(OwnToken {
            engine: engine.clone(),
            keys,
            issuer: vec![options.issuer],
            audience: options.audience,
            mount: options.mount,
            seen: SeenTokens::new(),
        }))
    },
};

impl Authenticator for OwnToken {
    fn name(&self) -> &'static str {
        DESCRIPTOR.name
    }

    fn authenticate<'a>(&'a self, presented: &'a Presented<'a>) -> Answer<'a> {
        let Some(text) = presented.bearer() else { return Answer::Now(Outcome::NotPresent) };
        let now_ms = self.engine.now_ms();
        let named = Name::of(text.as_bytes(), &self.engine);
        match self.seen.get(&self.engine, named, now_ms) {
            Err(error) => return Answer::Now(Outcome::Rejected(error)),
            Ok(Some(seen)) => return Answer::Now(Outcome::Accepted(Arc::clone(&seen.auth))),
            Ok(None) => {}
        }
        let keys = self.engine.memory().keys_version();
        let wanted = Wanted { issuer: Some(&self.issuer), audience: Some(&self.audience), typ: ACCESS_TOKEN };
        match verify_own(text, &self.keys.verifying(), &wanted, now_ms) {
            Ok(verified) => Answer::Later(Box::pin(async move {
                match self.establish(named, keys, verified, now_ms).await {
                    Ok(auth) => Outcome::Accepted(auth),
                    Err(error) => Outcome::Rejected(error),
                }
            })),
            Err(error) => Answer::Now(outcome_of(error)),
        }
    }

    fn recall(&self, glanced: &Glanced<'_>, now_ms: i64) -> Recall {
        let Some((Place::Bearer, text)) = glanced.offered else { return Recall::NotMine };
        match self.seen.get(&self.engine, Name::of(text, &self.engine), now_ms) {
            Ok(Some(seen)) => Recall::Known(Arc::clone(&seen.auth)),
            Ok(None) | Err(_) => Recall::Ask,
        }
    }
}

fn outcome_of(error: TokenError) -> Outcome {
    match error {
        // Not a token, or of keys that are not ours.
        TokenError::TooLarge | TokenError::Malformed | TokenError::Header(_) | TokenError::UnknownKey => {
            Outcome::NotPresent
        }
        TokenError::Expired => Outcome::Rejected(Error::new(codes::TOKEN_EXPIRED)),
        other => Outcome::Rejected(Error::new(codes::TOKEN_INVALID).operator(other.code())),
    }
}

impl OwnToken {
    async fn establish(
        &self,
        named: Name<'_>,
        keys: u64,
        verified: Verified,
        now_ms: i64,
    ) -> Result<Arc<AuthContext>> {
        let claims = verified.claims;
        let invalid = |what: &str| Error::new(codes::TOKEN_INVALID).operator(what);
        let user_id = UserId::of_either(claims.sub().as_deref().ok_or_else(|| invalid("no sub"))?);
        let session_id = claims.get_str("sid").map(|sid| SessionId::from(&*sid));
        let session = session_id.as_ref().map(SessionId::as_str);
        let handles = Handles::of(&claims, session, &Principal::local(&user_id).owner_key());
        if self.engine.memory().revocations.cover(&handles) {
            return Err(Error::new(codes::TOKEN_REVOKED));
        }
        let user = self.engine.user_copy(&user_id).await?;
        let user = usable(user.as_ref(), now_ms)?;
        let session = match &session_id {
            None => None,
            Some(id) => Some(self.engine.live_session(id, now_ms).await?),
        };
        let begun_at = session.as_ref().map(|copy| copy.session.mount.as_str());
        if self.mount.as_deref().is_some_and(|mount| begun_at != Some(mount)) {
            return Err(invalid("of another mount"));
        }
        let scopes =
            claims.get_str("scope").map(|text| text.split_ascii_whitespace().map(Arc::from).collect());
        let auth = Arc::new(AuthContext {
            scopes,
            credential: claims.jti().as_deref().map(Into::into),
            session: session_id,
            authenticated_at_s: session.as_ref().map(|s| s.session.created_at_ms.div_euclid(1000)),
            expires_at_s: claims.exp,
            claims: claims
                .custom()
                .into_iter()
                .filter(|(name, _)| name != "sid" && name != "scope")
                .collect(),
            ..context(&user.user)
        });
        let expires_at_ms = claims.exp.map(|exp| exp.saturating_mul(1000));
        let stamp = Some(user.stamp);
        let beside = Vec::new();
        let seen =
            Seen { auth: Arc::clone(&auth), expires_at_ms, handles, beside, keys, user: stamp, session };
        self.seen.insert(named, seen);
        Ok(auth)
    }
}

/// What every token of a person's log-in has in common.
fn context(user: &User) -> AuthContext {
    AuthContext {
        principal: Principal::local(&user.id),
        method: DESCRIPTOR.name,
        administrative: true,
        ..AuthContext::anonymous(user.roles.clone())
    }
}

/// Who a call with a fresh log-in of this person would be from, for explaining decisions.
///
/// # Errors
/// `user_disabled`.
pub fn caller(user: &User, now_ms: i64) -> Result<AuthContext> {
    enabled(user, now_ms).map(|()| context(user))
}
