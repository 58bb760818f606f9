//! Tokens that only their issuer can judge: it is asked, by introspection (RFC 7662) or at a URL that says whose a token is (userinfo, Supabase's
//! `/auth/v1/user`). What it says is kept for a moment, and whoever comes while it is asked waits for that one answer.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use doorward_protocols::json::{self, Limits};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use super::{ConfigError, Descriptor, options};
use crate::authn::remembered::{Known, LONGEST_MS, Remembered, inside};
use crate::authn::{Answer, Authenticator, Outcome, Presented, vouched_roles};
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::forms::{basic, pairs};
use crate::limits::shares::Shares;
use crate::memory::fingerprint::{ByFingerprint, Fingerprint};
use crate::memory::revocations::{Handles, Key};
use crate::ports::Ask;
use crate::principal::{AuthContext, LOCAL, Principal, PrincipalKind, is_subject};
use crate::secret::SecretText;

/// Refused tokens that are remembered.
const BAD: usize = 4_096;
/// How long a refusal is remembered: strangers choose what is asked.
const BAD_FOR_MS: i64 = 5_000;
/// Questions at once, and those of one network. Others wait in line, in which one network has no more places than it may have questions: so
/// a few networks with nonsense make the line longer and do not keep anybody out.
const AT_ONCE: usize = 128;
const OF_ONE_NETWORK: u32 = 8;
/// Longest time in the line.
const IN_LINE: Duration = Duration::from_secs(3);
/// Largest answer: it is kept whole, as what the caller's agent is told.
const ANSWER: Limits = Limits { max_bytes: 16 << 10, max_depth: 16 };
const MAX_TOKEN_BYTES: usize = 8 << 10;

/// How an issuer is asked.
pub enum Way {
    /// With the token itself as the credential.
    Userinfo {
        /// An `apikey` header besides.
        api_key: Option<SecretText>,
    },
    /// As a client of its own.
    Introspection {
        /// The client's id.
        client_id: String,
        /// Its secret.
        client_secret: SecretText,
    },
}

/// Where an issuer is asked.
pub struct Asking {
    /// The URL.
    pub url: String,
    /// How.
    pub way: Way,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// Who vouches for the subjects.
    authority: String,
    /// The member that names the subject.
    identity_claim: String,
    /// A member with role names.
    roles_claim: Option<String>,
    /// Audiences that an introspected token must name one of.
    audience: Vec<String>,
    /// How long an answer is kept.
    cache_ms: i64,
}

/// What an issuer said.
#[derive(Clone)]
enum Verdict {
    Good(Arc<Known>),
    Bad(&'static str),
    Away(String),
}

type Flight = Shared<BoxFuture<'static, Verdict>>;

struct RemoteToken(Arc<Inner>);

struct Inner {
    engine: Engine,
    options: Options,
    asking: Asking,
    good: Remembered,
    bad: ByFingerprint<i64>,
    flights: Mutex<HashMap<Fingerprint, Flight>>,
    places: Semaphore,
    shares: Shares,
}

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    name: "remote_token",
    build: |section, engine| {
        let options: Options = options("remote_token", &section)?;
        let problem = |text: &str| ConfigError { method: "remote_token", problem: text.to_owned() };
        if options.authority.is_empty() || options.authority == LOCAL {
            return Err(problem("authority must not be empty or \"local\", which is ours"));
        }
        if !(0..=LONGEST_MS).contains(&options.cache_ms) {
            return Err(problem("an answer is kept for at most a minute"));
        }
        let asking = section.asking.ok_or_else(|| problem("nobody to ask"))?;
        Ok(Arc::new(RemoteToken(Arc::new(Inner {
            engine: engine.clone(),
            options,
            asking,
            good: Remembered::new(),
            bad: ByFingerprint::of_most(BAD),
            flights: Mutex::default(),
            places: Semaphore::new(AT_ONCE),
            shares: Shares::default(),
        }))))
    },
};

impl Authenticator for RemoteToken {
    fn name(&self) -> &'static str {
        DESCRIPTOR.name
    }

    fn authenticate<'a>(&'a self, presented: &'a Presented<'a>) -> Answer<'a> {
        let Some(text) = presented.bearer() else { return Answer::Now(Outcome::NotPresent) };
        let named = self.0.engine.fingerprint(text.as_bytes());
        if let Some(outcome) = self.0.remembered(named) {
            return Answer::Now(outcome);
        }
        if text.len() > MAX_TOKEN_BYTES {
            return Answer::Now(Outcome::Rejected(refused("it is too long to be asked about")));
        }
        let (inner, from) = (Arc::clone(&self.0), presented.client);
        Answer::Later(Box::pin(async move {
            match inner.asked(named, text, from).await {
                Ok(Verdict::Good(known)) => known.judge(&inner.engine),
                Ok(Verdict::Bad(why)) => Outcome::Rejected(refused(why)),
                Ok(Verdict::Away(why)) => Outcome::Rejected(inner.away(why)),
                Err(error) => Outcome::Rejected(error),
            }
        }))
    }
}

fn refused(why: &'static str) -> Error {
    Error::new(codes::TOKEN_INVALID).operator(why)
}

/// A question under way; it is taken out when it is over, however that comes.
struct Entry<'i> {
    inner: &'i Inner,
    named: Fingerprint,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.inner.flights.lock().remove(&self.named);
    }
}

impl Inner {
    fn away(&self, why: String) -> Error {
        let error = Error::new(codes::ISSUER_UNAVAILABLE).retry_after_s(1);
        error.operator(format!("{}: {why}", self.options.authority))
    }

    fn remembered(&self, named: Fingerprint) -> Option<Outcome> {
        let steady_ms = self.engine.clock().steady_ms();
        if let Some(outcome) = self.good.get(named, &self.engine) {
            return Some(outcome);
        }
        let bad = self.bad.get(named).is_some_and(|until_ms| steady_ms < until_ms);
        bad.then(|| Outcome::Rejected(refused("its issuer did not know it a moment ago")))
    }

    /// The one answer for everybody who comes with this token while it is asked.
    async fn asked(
        self: &Arc<Self>,
        named: Fingerprint,
        text: &str,
        from: Option<IpAddr>,
    ) -> Result<Verdict> {
        let flight = {
            // Held until the new one is entered: one that lands at once must find its entry to take it out.
            let mut flights = self.flights.lock();
            match flights.get(&named) {
                Some(flight) => flight.clone(),
                None => {
                    let flight = self.take_off(named, text, from)?;
                    flights.insert(named, flight.clone());
                    flight
                }
            }
        };
        Ok(flight.await)
    }

    fn take_off(self: &Arc<Self>, named: Fingerprint, text: &str, from: Option<IpAddr>) -> Result<Flight> {
        let busy = || self.away("too many questions are under way".to_owned());
        let share = self.shares.take(from, OF_ONE_NETWORK).ok_or_else(busy)?;
        let (inner, token) = (Arc::clone(self), SecretText::from(text));
        // On a task of its own: whoever came first and leaves must not take the answer along.
        let asking = tokio::spawn(async move {
            let _entry = Entry { inner: &inner, named };
            let verdict = match tokio::time::timeout(IN_LINE, inner.places.acquire()).await {
                Ok(Ok(_place)) => inner.ask(&token).await,
                Ok(Err(_)) | Err(_) => Verdict::Away("too many questions are under way".to_owned()),
            };
            match &verdict {
                Verdict::Good(known) => inner.good.insert(named, Arc::clone(known)),
                Verdict::Bad(_) => inner.bad.insert(named, inner.engine.clock().steady_ms() + BAD_FOR_MS),
                Verdict::Away(_) => {}
            }
            drop(share);
            verdict
        });
        Ok(async { asking.await.unwrap_or_else(|fault| Verdict::Away(fault.to_string())) }.boxed().shared())
    }

    fn question(&self, token: &SecretText) -> Ask {
        let url = self.asking.url.clone();
        match &self.asking.way {
            Way::Userinfo { api_key } => {
                let mut headers = vec![("authorization", format!("Bearer {}", token.expose()))];
                headers.extend(api_key.as_ref().map(|key| ("apikey", key.expose().clone())));
                Ask { url, body: None, headers }
            }
            Way::Introspection { client_id, client_secret } => {
                let form = pairs(&[("token", token.expose()), ("token_type_hint", "access_token")]);
                let headers = vec![("authorization", basic(client_id, client_secret.expose()))];
                Ask { url, body: Some(("application/x-www-form-urlencoded", form.into_bytes())), headers }
            }
        }
    }

    async fn ask(&self, token: &SecretText) -> Verdict {
        let reply = match self.engine.outbound().send(self.question(token)).await {
            Ok(reply) => reply,
            Err(error) => return Verdict::Away(error.to_string()),
        };
        let introspects = matches!(self.asking.way, Way::Introspection { .. });
        match reply.status {
            200 => {}
            // Of introspection these are about us, not about the token (RFC 7662 §2.3).
            401 | 403 if !introspects => return Verdict::Bad("its issuer does not know it"),
            status => return Verdict::Away(format!("it answered {status}")),
        }
        let said = match json::parse(&reply.body, ANSWER) {
            Ok(Value::Object(said)) => said,
            Ok(_) => return Verdict::Away("its answer is no object".to_owned()),
            Err(error) => return Verdict::Away(format!("its answer: {error}")),
        };
        self.read(said, introspects, token)
    }

    fn read(&self, said: Map<String, Value>, introspects: bool, token: &SecretText) -> Verdict {
        if said.contains_key("cnf") {
            return Verdict::Bad(
                "it is bound to a key or certificate (RFC 7800), of which no proof is taken",
            );
        }
        if introspects {
            if said.get("active") != Some(&Value::Bool(true)) {
                return Verdict::Bad("it is not active");
            }
            if !self.is_for_us(said.get("aud")) {
                return Verdict::Bad("it is for another audience");
            }
            let kind = said.get("token_type").and_then(Value::as_str);
            if kind.is_some_and(|kind| {
                !["bearer", "access_token"].iter().any(|ok| kind.eq_ignore_ascii_case(ok))
            }) {
                return Verdict::Bad("it is no Bearer token");
            }
        }
        let subject = match said.get(&self.options.identity_claim) {
            Some(Value::String(text)) if is_subject(text) => text.clone(),
            Some(Value::Number(number)) if number.is_i64() || number.is_u64() => number.to_string(),
            _ => return Verdict::Away(format!("its answer has no {}", self.options.identity_claim)),
        };
        // What the answer does not say, the token may: its issuer has just vouched for all of it.
        let inside = if introspects { None } else { inside(token.expose()) };
        let within = |name: &str| inside.as_ref().and_then(|claims| claims.get(name));
        let seconds = |name: &str| said.get(name).or_else(|| within(name)).and_then(Value::as_i64);
        if seconds("nbf").is_some_and(|at_s| at_s.saturating_mul(1000) > self.engine.now_ms()) {
            return Verdict::Bad("it is not valid yet");
        }
        let named =
            self.options.roles_claim.as_ref().and_then(|name| said.get(name)).and_then(Value::as_array);
        let principal = Principal {
            kind: PrincipalKind::User,
            authority: self.options.authority.as_str().into(),
            subject: subject.into(),
        };
        let id =
            said.get("jti").or_else(|| within("jti")).and_then(Value::as_str).filter(|id| id.len() <= 256);
        let handles = Handles {
            token: id.map(Key::of_token),
            session: None,
            principal: Key::of_principal(&principal.owner_key()),
            issued_at_s: seconds("iat"),
        };
        let auth = AuthContext {
            principal,
            method: DESCRIPTOR.name,
            administrative: self.options.roles_claim.is_some(),
            credential: id.map(Into::into),
            authenticated_at_s: seconds("iat"),
            expires_at_s: seconds("exp"),
            claims: said.clone().into_iter().collect::<BTreeMap<_, _>>(),
            ..AuthContext::anonymous(vouched_roles(&self.engine, named.map(Vec::as_slice)))
        };
        Verdict::Good(Arc::new(Known {
            auth: Arc::new(auth),
            handles: vec![handles],
            expires_at_ms: seconds("exp").map(|at_s| at_s.saturating_mul(1000)),
            until_ms: self.engine.clock().steady_ms().saturating_add(self.options.cache_ms),
        }))
    }

    /// Whether one of the audiences we answer to is named; where none is configured, anything is.
    fn is_for_us(&self, named: Option<&Value>) -> bool {
        let ours = &self.options.audience;
        let is_ours = |value: &Value| value.as_str().is_some_and(|text| ours.iter().any(|own| own == text));
        ours.is_empty()
            || match named {
                Some(Value::Array(several)) => several.iter().any(is_ours),
                Some(one) => is_ours(one),
                None => false,
            }
    }
}
