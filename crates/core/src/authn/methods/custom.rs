//! User code decides: AgentFlow's `{"method": "custom"}`, LangGraph's `@auth.authenticate`. It is asked with every request, credential
//! or not, and is the last of its chain. No answer lets nobody in.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{ConfigError, Descriptor, options};
use crate::authn::remembered::{Known, LONGEST_MS, Remembered, inside};
use crate::authn::{Answer, Authenticator, Outcome, Place, Presented, vouched_roles};
use crate::authz::custom::{Foreseen, Foretold};
use crate::authz::roles::USER;
use crate::authz::scopes;
use crate::authz::{Catalogue, Target, decide};
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::limits::shares::Shares;
use crate::memory::fingerprint::Fingerprint;
use crate::memory::revocations::{Handles, Key};
use crate::ports::Handlers;
use crate::ports::handlers::{HandlerFault, Refused};
use crate::principal::{AuthContext, LOCAL, Principal, PrincipalKind, is_subject};
use crate::user_code::{Raised, allowed_headers, refusal, shown_headers};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// Who vouches for the subjects.
    authority: String,
    /// What the answers look like.
    platform: Platform,
    /// How long an answer is kept, in milliseconds; 0 for not at all. Only for handlers that look at the Authorization header
    /// and at nothing else.
    #[serde(default)]
    remember_ms: i64,
}

/// Whose handlers they are: what they answer, and what a fault of theirs means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Platform {
    /// `BaseAuth`: a user with `user_id`, or `{}` for nobody in particular.
    AgentFlow,
    /// `langgraph_sdk.Auth`: a user with `identity`.
    LangGraph,
}

struct Custom {
    engine: Engine,
    authority: Arc<str>,
    platform: Platform,
    handlers: Arc<dyn Handlers>,
    shares: Shares,
    remember_ms: i64,
    remembered: Remembered,
}

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    name: "custom",
    build: |section, engine| {
        let given: Options = options("custom", &section)?;
        let problem = |text: &str| ConfigError { method: "custom", problem: text.to_owned() };
        if given.authority.is_empty() || given.authority == LOCAL {
            return Err(problem("authority must not be empty or \"local\", which is ours"));
        }
        if !(0..=LONGEST_MS).contains(&given.remember_ms) {
            return Err(problem("an answer is kept for at most a minute"));
        }
        let handlers = section.handlers.ok_or_else(|| problem("no handlers to ask"))?;
        Ok(Arc::new(Custom {
            engine: engine.clone(),
            authority: given.authority.into(),
            platform: given.platform,
            handlers,
            shares: Shares::default(),
            remember_ms: given.remember_ms,
            remembered: Remembered::new(),
        }))
    },
};

impl Authenticator for Custom {
    fn name(&self) -> &'static str {
        DESCRIPTOR.name
    }

    fn authenticate<'a>(&'a self, presented: &'a Presented<'a>) -> Answer<'a> {
        let named = self.named(presented);
        if let Some(outcome) = named.and_then(|named| self.remembered.get(named, &self.engine)) {
            return Answer::Now(outcome);
        }
        Answer::Later(Box::pin(async move {
            // One network cannot take the places of all others.
            let share = self.shares.take(presented.client, self.of_one_network());
            let (answer, foretold) = match &share {
                Some(_) => self.ask(presented, named.is_some()).await,
                None => {
                    let why = "one network has its share of calls under way";
                    (Err(HandlerFault::Away(why.to_owned())), None)
                }
            };
            drop(share);
            let shown = bearer(presented).is_some();
            match answer.map_err(|fault| self.refusal(fault, shown)).and_then(|answer| self.context(answer)) {
                Ok(auth) => self.accepted(AuthContext { foretold, ..auth }, named, bearer(presented)),
                Err(error) => Outcome::Rejected(error),
            }
        }))
    }
}

/// What stands behind `Bearer`, whatever it is made of: the platform hands on what is no token68 of RFC 9110 too, such as `jwt:code`.
fn bearer<'r>(presented: &Presented<'r>) -> Option<&'r str> {
    let offered = presented.offered?;
    match offered.place {
        Place::Bearer => Some(offered.text),
        Place::OtherScheme => {
            let (scheme, text) = offered.text.split_once(' ')?;
            let text = text.trim();
            (scheme.eq_ignore_ascii_case("bearer") && !text.is_empty()).then_some(text)
        }
        Place::ApiKeyScheme | Place::ApiKeyHeader => None,
    }
}

/// What the platform shows its backends: the Bearer credential, and the request without its body.
fn asked(presented: &Presented<'_>) -> Value {
    let credential = bearer(presented).map(|text| json!({ "scheme": "Bearer", "credentials": text }));
    let line = presented.line;
    json!({
        "credential": credential,
        "method": line.map_or("GET", |line| line.method),
        "path": line.map_or("/", |line| line.path),
        "query": line.map_or("", |line| line.query),
        "headers": shown_headers(presented.headers),
        "client": presented.client.map(|address| address.to_string()),
    })
}

impl Custom {
    fn of_one_network(&self) -> u32 {
        u32::try_from(self.handlers.places() / 2).unwrap_or(u32::MAX).max(1)
    }

    /// Who this is, and in one go what handlers say of what is about to be done. Answers that are remembered come alone: the next
    /// request need not ask for them.
    async fn ask(
        &self,
        presented: &Presented<'_>,
        remembers: bool,
    ) -> (std::result::Result<Value, HandlerFault>, Option<Arc<Foretold>>) {
        // What roles do not give is not even asked about: whoever these handlers let in has this one role and no other limit.
        let given = |foreseen: &Foreseen<'_>| {
            let caller = AuthContext { administrative: true, ..AuthContext::anonymous(vec![USER.into()]) };
            decide(self.engine.roles(), &caller, foreseen.action, Target::any()).is_ok()
        };
        let together = self.platform == Platform::LangGraph && !remembers;
        let foreseen = presented.foreseen.filter(|foreseen| together && given(foreseen));
        let Some(then) = foreseen.and_then(|foreseen| foreseen.then()) else {
            return (self.handlers.call("authenticate", asked(presented)).await, None);
        };
        let question = then.with.clone();
        let (answer, said) = self.handlers.call_then("authenticate", asked(presented), then).await;
        let foretold = said.map(|said| Foretold::new(Arc::clone(&self.handlers), question, said));
        (answer, foretold)
    }

    /// Under what an answer to this request may be remembered, if it may.
    fn named(&self, presented: &Presented<'_>) -> Option<Fingerprint> {
        if self.remember_ms == 0 {
            return None;
        }
        let loads = self.handlers.by_authorization()?;
        let header = presented.headers.get("authorization")?;
        Some(self.engine.fingerprint(format!("{loads} {header}").as_bytes()))
    }

    /// Lets a caller in whom the handler named, until the token runs out if it says when; remembers it where that may be.
    fn accepted(&self, mut auth: AuthContext, named: Option<Fingerprint>, token: Option<&str>) -> Outcome {
        let claims = token.and_then(inside).unwrap_or_default();
        let text = |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| text.len() <= 256);
        let seconds = |name: &str| claims.get(name).and_then(Value::as_i64);
        auth.expires_at_s = seconds("exp");
        let auth = Arc::new(auth);
        let of = |principal: &str| Handles {
            token: text("jti").map(Key::of_token),
            session: text("session_id").or_else(|| text("sid")).map(Key::of_session),
            principal: Key::of_principal(principal),
            issued_at_s: seconds("iat"),
        };
        // The token may be one of ours that the handler asked our own routes about.
        let own = text("sub").map(|subject| of(&format!("{LOCAL}|{subject}")));
        let known = Arc::new(Known {
            handles: std::iter::once(of(&auth.principal.owner_key())).chain(own).collect(),
            expires_at_ms: auth.expires_at_s.map(|at_s| at_s.saturating_mul(1000)),
            until_ms: self.engine.clock().steady_ms().saturating_add(self.remember_ms),
            auth,
        });
        // Headers for one answer are not for the next.
        if let Some(named) = named.filter(|_| known.auth.answer_headers.is_empty()) {
            self.remembered.insert(named, Arc::clone(&known));
        }
        // What was revoked here is nobody, whatever the handler says.
        known.judge(&self.engine)
    }

    /// `shown` is whether there was a credential at all: AgentFlow's backends that read it without looking whether there is one
    /// fail over that.
    fn refusal(&self, fault: HandlerFault, shown: bool) -> Error {
        match (self.platform, fault) {
            (Platform::AgentFlow, HandlerFault::Raised(_)) if !shown => {
                Error::new(codes::CREDENTIALS_MISSING)
            }
            (Platform::AgentFlow, fault) => refusal(fault, Raised::Unavailable),
            // In the handler's words, and known to be nobody's guess.
            (Platform::LangGraph, HandlerFault::Refused(refused)) if !shown && refused.status == 401 => {
                let headers = allowed_headers(refused.headers);
                Error::new(codes::CREDENTIALS_MISSING).spoken(Refused { headers, ..refused })
            }
            (Platform::LangGraph, fault) => refusal(fault, Raised::Failed),
        }
    }

    fn context(&self, mut answer: Value) -> Result<AuthContext> {
        let invalid = |what: &str| Error::new(codes::HANDLER_INVALID).operator(what.to_owned());
        let headers = answer.get_mut("headers").map(Value::take).unwrap_or_default();
        let headers: Option<Vec<(String, String)>> =
            serde_json::from_value(headers).map_err(|_| invalid("its headers are no pairs of texts"))?;
        let answer_headers = allowed_headers(headers.unwrap_or_default());
        let Some(Value::Object(user)) = answer.get_mut("user").map(Value::take) else {
            return Err(invalid("it answered no user"));
        };
        if self.platform == Platform::LangGraph {
            return self.identified(user, answer_headers);
        }
        if user.is_empty() {
            let nobody = AuthContext::anonymous(vec![USER.into()]);
            return Ok(AuthContext { answer_headers, method: DESCRIPTOR.name, ..nobody });
        }
        let subject = match user.get("user_id") {
            Some(Value::String(text)) if is_subject(text) => text.clone(),
            Some(Value::Number(number)) if number.is_i64() || number.is_u64() => number.to_string(),
            _ => return Err(invalid("user_id is missing, empty or no text")),
        };
        let named = |name: &str| user.get(name).and_then(Value::as_array).map(Vec::as_slice);
        Ok(AuthContext {
            principal: self.principal(subject),
            method: DESCRIPTOR.name,
            scopes: limits(self.engine.roles().catalogue(), named("permissions").unwrap_or_default()),
            administrative: true,
            answer_headers,
            claims: user.clone().into_iter().collect::<BTreeMap<_, _>>(),
            ..AuthContext::anonymous(vouched_roles(&self.engine, named("roles")))
        })
    }

    /// LangGraph's user. Its `permissions` are words between its handlers, and limit nothing here.
    fn identified(
        &self,
        user: Map<String, Value>,
        answer_headers: Vec<(String, String)>,
    ) -> Result<AuthContext> {
        let Some(identity) = user.get("identity").and_then(Value::as_str).filter(|text| is_subject(text))
        else {
            let what = "identity is missing, longer than 512 bytes or not plain text";
            return Err(Error::new(codes::HANDLER_INVALID).operator(what));
        };
        Ok(AuthContext {
            principal: self.principal(identity.to_owned()),
            method: DESCRIPTOR.name,
            administrative: true,
            answer_headers,
            claims: user.into_iter().collect::<BTreeMap<_, _>>(),
            ..AuthContext::anonymous(vec![USER.into()])
        })
    }

    fn principal(&self, subject: String) -> Principal {
        let authority = Arc::clone(&self.authority);
        Principal { kind: PrincipalKind::User, authority, subject: subject.into() }
    }
}

/// What `permissions` limit the caller to: those that are scopes of ours, such as `read`. Others speak of something else.
fn limits(catalogue: &Catalogue, permissions: &[Value]) -> Option<Vec<Arc<str>>> {
    let known: Vec<Arc<str>> = permissions
        .iter()
        .filter_map(Value::as_str)
        .filter_map(|permission| scopes::parse(catalogue, [permission]).ok())
        .flatten()
        .take(64)
        .collect();
    (!known.is_empty()).then_some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_limit_where_they_are_scopes() {
        let of = |texts: &[&str]| {
            let values: Vec<Value> = texts.iter().map(|&text| text.into()).collect();
            limits(&Catalogue::default(), &values)
                .map(|scopes| scopes.iter().map(|scope| scope.to_string()).collect::<Vec<_>>())
        };
        assert_eq!(of(&["read"]), Some(vec!["read".to_owned()]));
        assert_eq!(of(&["read", "billing.view"]), Some(vec!["read".to_owned()]));
        assert_eq!(of(&["billing.view"]), None);
        assert_eq!(of(&[]), None);
    }
}
