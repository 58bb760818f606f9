//! JWTs that somebody else signed with keys the operator configured: AgentFlow's `"jwt"`.

use std::collections::BTreeMap;
use std::sync::Arc;

use doorward_protocols::jose::{Claims, Expect, HeaderPolicy, KeySet, TokenError, verify_token};
use serde::Deserialize;
use serde_json::Value;

use super::{ConfigError, Descriptor, options};
use crate::authn::{Answer, Authenticator, Outcome, Place, Presented};
use crate::authz::roles::USER;
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::memory::revocations::Handles;
use crate::principal::{AuthContext, Principal, PrincipalKind};
use crate::tokens::seen::{Seen, SeenTokens, key_of};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// Who vouches for the subjects.
    authority: String,
    /// The claim that names the subject.
    #[serde(default = "sub")]
    identity_claim: String,
    /// Issuers to accept; any if absent.
    issuer: Option<Vec<String>>,
    /// Audiences we answer to; any if absent.
    audience: Option<Vec<String>>,
    /// How far clocks may differ.
    #[serde(default = "thirty")]
    leeway_s: i64,
    /// Whether tokens that never expire are refused.
    #[serde(default = "yes")]
    require_exp: bool,
    /// Longest time between `iat` and `exp`; tokens without either are then refused.
    max_life_s: Option<i64>,
    /// A claim with role names: those that are defined are the caller's roles, administrative ones included, because
    /// whoever holds the key vouches for them. Without it every caller is a plain user.
    roles_claim: Option<String>,
}

fn sub() -> String {
    "sub".to_owned()
}
fn thirty() -> i64 {
    30
}
fn yes() -> bool {
    true
}

struct ExternalJwt {
    engine: Engine,
    options: Options,
    keys: Arc<KeySet>,
    seen: SeenTokens,
}

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    name: "external_jwt",
    build: |section, engine| {
        let options: Options = options("external_jwt", &section)?;
        let problem = |text: &str| ConfigError { method: "external_jwt", problem: text.to_owned() };
        let keys =
            section.keys.filter(|keys| !keys.is_empty()).ok_or_else(|| problem("no keys to verify with"))?;
        if options.authority.is_empty() || options.authority == crate::principal::LOCAL {
            return Err(problem("authority must not be empty or \"local\", which is ours"));
        }
        if !(0..=300).contains(&options.leeway_s) {
            return Err(problem("leeway_s is between 0 and 300"));
        }
        Ok(Arc::new(ExternalJwt { engine: engine.clone(), options, keys, seen: SeenTokens::new() }))
    },
};

impl Authenticator for ExternalJwt {
    fn name(&self) -> &'static str {
        DESCRIPTOR.name
    }

    fn authenticate<'a>(&'a self, presented: &'a Presented<'a>) -> Answer<'a> {
        Answer::Now(match presented.offered {
            Some(offered) if offered.place == Place::Bearer => match self.verify(offered.text) {
                Ok(auth) => Outcome::Accepted(auth),
                Err(error) => Outcome::Rejected(error),
            },
            _ => Outcome::NotPresent,
        })
    }
}

impl ExternalJwt {
    fn verify(&self, text: &str) -> Result<Arc<AuthContext>> {
        let now_ms = self.engine.now_ms();
        let key = key_of(text);
        if let Some(seen) = self.seen.get(&self.engine, &key, now_ms)? {
            return Ok(Arc::clone(&seen.auth));
        }
        let expect = Expect {
            now_s: now_ms.div_euclid(1000),
            leeway_s: self.options.leeway_s,
            require_exp: self.options.require_exp,
            issuer: self.options.issuer.as_deref(),
            audience: self.options.audience.as_deref(),
            max_lifetime_s: self.options.max_life_s,
            headers: HeaderPolicy::External,
            ..Expect::default()
        };
        let verified = verify_token(text, &self.keys, &expect).map_err(refusal)?;
        // RFC 7519 §4.1.3: whoever does not find itself in a token's audience refuses it, and with no audience
        // configured nobody here is anybody.
        if self.options.audience.is_none() && verified.claims.has_aud() {
            return Err(
                Error::new(codes::TOKEN_INVALID).operator("the token is for an audience, none is configured")
            );
        }
        let auth = Arc::new(self.context(&verified.claims)?);
        let handles = Handles::of(&verified.claims, None, &auth.principal.owner_key());
        if self.engine.memory().revocations.cover(&handles) {
            return Err(Error::new(codes::TOKEN_REVOKED));
        }
        let leeway_s = self.options.leeway_s;
        let expires_at_ms = verified.claims.exp.map(|exp| exp.saturating_add(leeway_s).saturating_mul(1000));
        let keys = self.engine.memory().keys_version();
        let seen = Seen { auth: Arc::clone(&auth), expires_at_ms, handles, keys, user: None, session: None };
        self.seen.insert(key, Arc::new(seen));
        Ok(auth)
    }

    fn context(&self, claims: &Claims) -> Result<AuthContext> {
        let identity = &self.options.identity_claim;
        let subject = match claims.get(identity) {
            Some(Value::String(text)) if is_subject(&text) => text,
            Some(Value::Number(number)) if number.is_i64() || number.is_u64() => number.to_string(),
            _ => {
                return Err(Error::new(codes::TOKEN_INVALID)
                    .operator(format!("the claim {identity} is missing, empty or no text")));
            }
        };
        // An issuer that the token names is part of who the subject is; otherwise two issuers' ids could meet.
        let authority = match (&self.options.issuer, claims.iss()) {
            (Some(several), Some(iss)) if several.len() > 1 => format!("{}/{iss}", self.options.authority),
            _ => self.options.authority.clone(),
        };
        let principal =
            Principal { kind: PrincipalKind::User, authority: authority.into(), subject: subject.into() };
        let mut roles: Vec<Arc<str>> = vec![USER.into()];
        if let Some(Value::Array(named)) = self.options.roles_claim.as_ref().and_then(|name| claims.get(name))
        {
            let known = |role: &&str| self.engine.roles().can_be_given(role) && *role != USER;
            roles.extend(named.iter().filter_map(Value::as_str).filter(known).take(32).map(Arc::from));
        }
        Ok(AuthContext {
            principal,
            method: DESCRIPTOR.name,
            administrative: self.options.roles_claim.is_some(),
            credential: claims.jti().as_deref().map(Into::into),
            authenticated_at_s: claims.iat,
            expires_at_s: claims.exp,
            claims: claims.custom().into_iter().collect::<BTreeMap<_, _>>(),
            ..AuthContext::anonymous(roles)
        })
    }
}

/// A subject becomes part of owner keys, headers and log lines: bounded, and without control characters.
fn is_subject(text: &str) -> bool {
    !text.is_empty() && text.len() <= 512 && !text.chars().any(char::is_control)
}

/// One answer to strangers for everything but expiry; the log says which check failed.
fn refusal(error: TokenError) -> Error {
    match error {
        TokenError::Expired => Error::new(codes::TOKEN_EXPIRED),
        other => Error::new(codes::TOKEN_INVALID).operator(other.code()),
    }
}
