//! JWTs that somebody else signed: with keys the operator configured (AgentFlow's `"jwt"`), or with keys an issuer
//! publishes. A token of an issuer that is not listed is declined where `only_listed` says so: another method may know it.

use std::collections::BTreeMap;
use std::sync::Arc;

use doorward_protocols::jose::{
    Algorithm, Claims, Expect, HeaderPolicy, KeySet, TokenError, claimed_issuer, verify_token,
};
use serde::Deserialize;
use serde_json::Value;

use super::{ConfigError, Descriptor, options};
use crate::authn::algorithm::{algorithm_of, header_of, wrong_algorithm};
use crate::authn::hosted::Hosted;
use crate::authn::{Answer, Authenticator, Outcome, Presented, vouched_roles};
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::memory::revocations::Handles;
use crate::principal::{AuthContext, Principal, PrincipalKind, is_subject};
use crate::tokens::RemoteKeys;
use crate::tokens::remote_keys::missed;
use crate::tokens::seen::{Name, Seen, SeenTokens};

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
    /// Whether tokens of issuers that `issuer` does not list are left to other methods.
    #[serde(default)]
    only_listed: bool,
    /// Whether the issuers are spellings of one, whose subjects are the same.
    #[serde(default)]
    one_authority: bool,
    /// The one algorithm of its tokens; others are refused by name, and no keys are fetched for them.
    algorithm: Option<String>,
    /// Claims of a hosted tenant, in the place of `roles_claim`.
    hosted: Option<Hosted>,
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
    keys: Source,
    seen: SeenTokens,
}

/// Where the keys come from.
enum Source {
    Fixed(Arc<KeySet>),
    Remote(Arc<RemoteKeys>),
}

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    name: "external_jwt",
    build: |section, engine| {
        let options: Options = options("external_jwt", &section)?;
        let problem = |text: &str| ConfigError { method: "external_jwt", problem: text.to_owned() };
        let keys = match (section.remote, section.keys.filter(|keys| !keys.is_empty())) {
            (Some(remote), _) => Source::Remote(remote),
            (None, Some(keys)) => Source::Fixed(keys),
            (None, None) => return Err(problem("no keys to verify with")),
        };
        if options.authority.is_empty() || options.authority == crate::principal::LOCAL {
            return Err(problem("authority must not be empty or \"local\", which is ours"));
        }
        if options.hosted.is_some() && options.roles_claim.is_some() {
            return Err(problem("roles_claim and hosted both say which roles count"));
        }
        let known = |name: &str| name.parse::<Algorithm>().is_ok();
        if options.algorithm.as_deref().is_some_and(|name| !known(name)) {
            return Err(problem("algorithm is no algorithm of JOSE"));
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
        let Some(text) = presented.bearer() else { return Answer::Now(Outcome::NotPresent) };
        let now_ms = self.engine.now_ms();
        let named = Name::of(text.as_bytes(), &self.engine);
        // Taken before the keys are: ones that come meanwhile make what is kept of this token out of date.
        let version = self.engine.memory().keys_version();
        // Keys that are too old are asked for first, also for a token that was seen: its key may be withdrawn by now.
        let known = match &self.keys {
            Source::Fixed(keys) => Some(Arc::clone(keys)),
            Source::Remote(remote) => remote.at_hand(&self.engine),
        };
        if known.is_some() {
            match self.seen.get(&self.engine, named, now_ms) {
                Err(error) => return Answer::Now(Outcome::Rejected(error)),
                Ok(Some(seen)) => return Answer::Now(Outcome::Accepted(Arc::clone(&seen.auth))),
                Ok(None) => {}
            }
        }
        if self.options.only_listed && !self.lists(claimed_issuer(text).as_deref()) {
            return Answer::Now(Outcome::NotPresent);
        }
        if let Some(other) = self.another_algorithm(text) {
            return Answer::Now(Outcome::Rejected(wrong_algorithm(&other)));
        }
        let remote = match (&self.keys, &known) {
            (Source::Fixed(_), Some(keys)) => {
                return Answer::Now(outcome(self.verify(text, (named, version), keys, now_ms)));
            }
            (Source::Remote(remote), _) => remote,
            (Source::Fixed(_), None) => return Answer::Now(Outcome::NotPresent),
        };
        let first = known.as_ref().map(|keys| (self.verify(text, (named, version), keys, now_ms), keys));
        match first {
            Some((result, keys)) if !missed(token_error(&result), keys) => Answer::Now(outcome(result)),
            _ => Answer::Later(Box::pin(async move {
                outcome(self.fetch_and_verify(remote, known, text, named).await)
            })),
        }
    }
}

fn outcome(result: Verdict) -> Outcome {
    match result {
        Ok(auth) => Outcome::Accepted(auth),
        Err(refused) => Outcome::Rejected(refused.error),
    }
}

/// The check of the token that failed.
fn token_error(result: &Verdict) -> Option<&TokenError> {
    result.as_ref().err().and_then(|refused| refused.token.as_ref())
}

/// Who it is, or why not.
type Verdict = std::result::Result<Arc<AuthContext>, Refused>;

/// A refusal, with the check that failed where it was one of the token's.
struct Refused {
    token: Option<TokenError>,
    error: Error,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self { token: None, error }
    }
}

impl From<TokenError> for Refused {
    fn from(token: TokenError) -> Self {
        Self { token: Some(token), error: refusal(token) }
    }
}

impl ExternalJwt {
    fn lists(&self, issuer: Option<&str>) -> bool {
        let listed = self.options.issuer.as_deref().unwrap_or_default();
        issuer.is_some_and(|issuer| listed.iter().any(|one| one == issuer))
    }

    /// What it is signed with, if that is not what it should be.
    fn another_algorithm(&self, text: &str) -> Option<String> {
        let wanted = self.options.algorithm.as_deref()?;
        let said = header_of(text).map(|header| algorithm_of(&header)).unwrap_or_default();
        (said != wanted).then_some(said)
    }

    async fn fetch_and_verify(
        &self,
        remote: &Arc<RemoteKeys>,
        known: Option<Arc<KeySet>>,
        text: &str,
        named: Name<'_>,
    ) -> Verdict {
        let version = self.engine.memory().keys_version();
        let keys = match known {
            // Just fetched: there are no newer ones.
            None => remote.current(&self.engine).await?,
            Some(known) => remote.after_miss(&self.engine, &known).await.unwrap_or(known),
        };
        self.verify(text, (named, version), &keys, self.engine.now_ms())
    }

    /// `kept_as` is what the token is kept by once it was good, and the version of the keys it is good under.
    fn verify(&self, text: &str, kept_as: (Name<'_>, u64), keys: &KeySet, now_ms: i64) -> Verdict {
        let (named, version) = kept_as;
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
        let verified = verify_token(text, keys, &expect)?;
        // RFC 7519 §4.1.3: whoever does not find itself in a token's audience refuses it, and with no audience
        // configured nobody here is anybody.
        if self.options.audience.is_none() && verified.claims.has_aud() {
            let error = Error::new(codes::TOKEN_INVALID);
            return Err(error.operator("the token is for an audience, none is configured").into());
        }
        let auth = Arc::new(self.context(&verified.claims)?);
        let handles = Handles::of(&verified.claims, None, &auth.principal.owner_key());
        if self.engine.memory().revocations.cover(&handles) {
            return Err(Error::new(codes::TOKEN_REVOKED).into());
        }
        let leeway_s = self.options.leeway_s;
        let expires_at_ms = verified.claims.exp.map(|exp| exp.saturating_add(leeway_s).saturating_mul(1000));
        let auth_of = Arc::clone(&auth);
        let seen = Seen {
            auth: auth_of,
            expires_at_ms,
            handles,
            beside: Vec::new(),
            keys: version,
            user: None,
            session: None,
        };
        self.seen.insert(named, seen);
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
            (Some(several), Some(iss)) if several.len() > 1 && !self.options.one_authority => {
                format!("{}/{iss}", self.options.authority)
            }
            _ => self.options.authority.clone(),
        };
        let principal =
            Principal { kind: PrincipalKind::User, authority: authority.into(), subject: subject.into() };
        let mut said = claims.custom();
        let (roles, administrative) = match &self.options.hosted {
            None => {
                let named = self.options.roles_claim.as_ref().and_then(|name| claims.get(name));
                let named = named.as_ref().and_then(Value::as_array).map(Vec::as_slice);
                (vouched_roles(&self.engine, named), self.options.roles_claim.is_some())
            }
            Some(hosted) => {
                let of_tenant = hosted.read(&self.engine, claims)?;
                // The address that counts is the one it vouches for.
                said.remove("email");
                said.extend(of_tenant.email.map(|email| ("email".to_owned(), email.into())));
                (of_tenant.roles, hosted.administrators)
            }
        };
        Ok(AuthContext {
            principal,
            method: DESCRIPTOR.name,
            administrative,
            credential: claims.jti().as_deref().map(Into::into),
            authenticated_at_s: claims.iat,
            expires_at_s: claims.exp,
            claims: said.into_iter().collect::<BTreeMap<_, _>>(),
            ..AuthContext::anonymous(roles)
        })
    }
}

/// One answer to strangers for everything but expiry; the log says which check failed.
fn refusal(error: TokenError) -> Error {
    match error {
        TokenError::Expired => Error::new(codes::TOKEN_EXPIRED),
        TokenError::MissingClaim(claim) => {
            Error::new(codes::TOKEN_INVALID).operator(format!("{} {claim}", error.code()))
        }
        other => Error::new(codes::TOKEN_INVALID).operator(other.code()),
    }
}
