//! User code decides: AgentFlow's `{"method": "custom"}`. It is asked with every request, credential or not, and is the last of its
//! chain. No answer lets nobody in.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{ConfigError, Descriptor, options};
use crate::authn::{Answer, Authenticator, Outcome, Place, Presented, vouched_roles};
use crate::authz::roles::USER;
use crate::authz::scopes;
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::limits::shares::Shares;
use crate::ports::Handlers;
use crate::ports::handlers::{HandlerFault, Refused};
use crate::principal::{AuthContext, LOCAL, Principal, PrincipalKind, is_subject};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// Who vouches for the subjects.
    authority: String,
}

struct Custom {
    engine: Engine,
    authority: Arc<str>,
    handlers: Arc<dyn Handlers>,
    shares: Shares,
}

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    name: "custom",
    build: |section, engine| {
        let given: Options = options("custom", &section)?;
        let problem = |text: &str| ConfigError { method: "custom", problem: text.to_owned() };
        if given.authority.is_empty() || given.authority == LOCAL {
            return Err(problem("authority must not be empty or \"local\", which is ours"));
        }
        let handlers = section.handlers.ok_or_else(|| problem("no handlers to ask"))?;
        Ok(Arc::new(Custom {
            engine: engine.clone(),
            authority: given.authority.into(),
            handlers,
            shares: Shares::default(),
        }))
    },
};

impl Authenticator for Custom {
    fn name(&self) -> &'static str {
        DESCRIPTOR.name
    }

    fn authenticate<'a>(&'a self, presented: &'a Presented<'a>) -> Answer<'a> {
        Answer::Later(Box::pin(async move {
            // One network cannot take the places of all others.
            let share = self.shares.take(presented.client, self.of_one_network());
            let answer = match &share {
                Some(_) => self.handlers.call("authenticate", asked(presented)).await,
                None => Err(HandlerFault::Away("one network has its share of calls under way".to_owned())),
            };
            drop(share);
            let shown = bearer(presented).is_some();
            match answer.map_err(|fault| refusal(fault, shown)).and_then(|answer| self.context(answer)) {
                Ok(auth) => Outcome::Accepted(Arc::new(auth)),
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
    let mut headers = Vec::new();
    presented.headers.each(&mut |name, value| match name {
        // Our own cookies are no business of anybody else's code.
        "cookie" => headers.extend(without_ours(value).map(|value| json!([name, value]))),
        _ => headers.push(json!([name, value])),
    });
    let line = presented.line;
    json!({
        "credential": credential,
        "method": line.map_or("GET", |line| line.method),
        "path": line.map_or("/", |line| line.path),
        "query": line.map_or("", |line| line.query),
        "headers": headers,
        "client": presented.client.map(|address| address.to_string()),
    })
}

const OUR_COOKIES: &str = "__Host-doorward-";

fn without_ours(value: &str) -> Option<String> {
    let others =
        value.split(';').map(str::trim).filter(|pair| !pair.is_empty() && !pair.starts_with(OUR_COOKIES));
    let others = others.collect::<Vec<_>>().join("; ");
    (!others.is_empty()).then_some(others)
}

/// `shown` is whether there was a credential at all: backends that read it without looking whether there is one fail over that.
fn refusal(fault: HandlerFault, shown: bool) -> Error {
    match fault {
        HandlerFault::Refused(refused) => {
            let headers = allowed_headers(refused.headers);
            Error::new(codes::HANDLER_REFUSED).spoken(Refused { headers, ..refused })
        }
        HandlerFault::Invalid(what) => Error::new(codes::HANDLER_INVALID).operator(what),
        HandlerFault::Raised(_) if !shown => Error::new(codes::CREDENTIALS_MISSING),
        HandlerFault::Raised(what) => Error::new(codes::HANDLER_AWAY)
            .operator(format!("it raised {what}; the log has the traceback"))
            .retry_after_s(1),
        HandlerFault::Away(why) => Error::new(codes::HANDLER_AWAY).operator(why).retry_after_s(1),
    }
}

impl Custom {
    fn of_one_network(&self) -> u32 {
        u32::try_from(self.handlers.places() / 2).unwrap_or(u32::MAX).max(1)
    }

    fn context(&self, mut answer: Value) -> Result<AuthContext> {
        let invalid = |what: &str| Error::new(codes::HANDLER_INVALID).operator(what.to_owned());
        let headers = answer.get_mut("headers").map(Value::take).unwrap_or_default();
        let headers =
            serde_json::from_value(headers).map_err(|_| invalid("its headers are no pairs of texts"))?;
        let answer_headers = allowed_headers(headers);
        let Some(Value::Object(user)) = answer.get_mut("user").map(Value::take) else {
            return Err(invalid("it answered no user"));
        };
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
        let principal = Principal {
            kind: PrincipalKind::User,
            authority: Arc::clone(&self.authority),
            subject: subject.into(),
        };
        Ok(AuthContext {
            principal,
            method: DESCRIPTOR.name,
            scopes: limits(named("permissions").unwrap_or_default()),
            administrative: true,
            answer_headers,
            claims: user.clone().into_iter().collect::<BTreeMap<_, _>>(),
            ..AuthContext::anonymous(vouched_roles(&self.engine, named("roles")))
        })
    }
}

/// What `permissions` limit the caller to: those that are scopes of ours, such as `read`. Others speak of something else.
fn limits(permissions: &[Value]) -> Option<Vec<Arc<str>>> {
    let known: Vec<Arc<str>> = permissions
        .iter()
        .filter_map(Value::as_str)
        .filter_map(|permission| scopes::parse([permission]).ok())
        .flatten()
        .take(64)
        .collect();
    (!known.is_empty()).then_some(known)
}

/// Headers of these names are the server's own.
const OURS: &[&str] = &[
    "connection",
    "content-encoding",
    "content-length",
    "content-security-policy",
    "content-type",
    "date",
    "keep-alive",
    "strict-transport-security",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-request-id",
];
const MOST_HEADERS: usize = 32;
const MOST_BYTES: usize = 4 << 10;

/// The headers that a handler may give an answer.
fn allowed_headers(given: Vec<(String, String)>) -> Vec<(String, String)> {
    let allowed = |(name, value): &(String, String)| {
        let is_token = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        !name.is_empty()
            && name.len() <= 64
            && name.bytes().all(is_token)
            && !OURS.contains(&name.as_str())
            && !name.starts_with("access-control-")
            && value.len() <= MOST_BYTES
            && value.bytes().all(|b| (0x20..0x7f).contains(&b))
            && !(name == "set-cookie" && value.trim_start().starts_with(OUR_COOKIES))
    };
    let lower = given.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
    lower.filter(allowed).take(MOST_HEADERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_would_change_the_answer_itself_are_left_out() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let given = vec![
            pair("Set-Cookie", "a=b; Path=/"),
            pair("X-User", "ann"),
            pair("Content-Length", "5"),
            pair("Transfer-Encoding", "chunked"),
            pair("x-split", "a\r\nSet-Cookie: x=y"),
            pair("bad name", "x"),
            pair("set-cookie", "__Host-doorward-session=stolen"),
            pair("Access-Control-Allow-Origin", "*"),
        ];
        assert_eq!(allowed_headers(given), [pair("set-cookie", "a=b; Path=/"), pair("x-user", "ann")]);
        assert_eq!(allowed_headers(vec![pair("x", "y"); 100]).len(), MOST_HEADERS);
    }

    #[test]
    fn our_own_cookies_are_not_shown_to_handlers() {
        assert_eq!(without_ours("a=b; __Host-doorward-session=s; c=d").as_deref(), Some("a=b; c=d"));
        assert_eq!(without_ours("__Host-doorward-session=s"), None);
    }

    #[test]
    fn permissions_limit_where_they_are_scopes() {
        let of = |texts: &[&str]| {
            let values: Vec<Value> = texts.iter().map(|&text| text.into()).collect();
            limits(&values).map(|scopes| scopes.iter().map(|scope| scope.to_string()).collect::<Vec<_>>())
        };
        assert_eq!(of(&["read"]), Some(vec!["read".to_owned()]));
        assert_eq!(of(&["read", "billing.view"]), Some(vec!["read".to_owned()]));
        assert_eq!(of(&["billing.view"]), None);
        assert_eq!(of(&[]), None);
    }
}
