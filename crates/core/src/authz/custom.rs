//! User code has a say in what a caller may do: LangGraph's `@auth.on` (langgraph-api 0.16.7).
//!
//! ```text
//! decide (roles, scopes) ─► leave ─► Policy::ask ─┬─ a filter: replaces "one's own", over the thing's metadata
//!                                                 ├─ covered, no filter: reaches everybody's
//!                                                 ├─ not covered: as the mount says, one's own unless it says otherwise
//!                                                 └─ refused, or no answer: no leave
//! ```
//! It never gives what a role or a scope does not.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::catalogue::{Action, ActionDef, assistant, cron, run, store, thread};
use super::condition::Condition;
use crate::error::{Error, Result, codes};
use crate::limits::shares::Shares;
use crate::ports::Handlers;
use crate::ports::handlers::{HandlerFault, Then};
use crate::principal::AuthContext;
use crate::user_code::{Raised, refusal};

/// What callers may do where no handler of the file covers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uncovered {
    /// What they own.
    Own,
    /// Everything that roles allow, on everybody's things: as the platform has it.
    Allow,
    /// Nothing.
    Deny,
}

/// Handlers that are asked before every act on a mount.
pub struct Policy {
    handlers: Arc<dyn Handlers>,
    uncovered: Uncovered,
    shares: Shares,
}

/// What is about to be done, in the platform's words.
#[derive(Debug, Default)]
pub struct Asked {
    /// What the platform's own server hands to its handlers; they may change it in place.
    pub value: Map<String, Value>,
    /// Members of it that the platform hands on as UUIDs.
    pub uuids: &'static [&'static str],
}

/// What the handlers made of it.
#[derive(Debug)]
pub struct Ruling {
    /// Whose things the act reaches.
    pub reach: Reached,
    /// The value, as the handlers left it.
    pub value: Map<String, Value>,
}

/// Whose things an act reaches.
#[derive(Debug, PartialEq)]
pub enum Reached {
    /// The caller's own.
    Own,
    /// Everybody's.
    Everything,
    /// Those whose metadata is like this.
    Like(Condition),
}

/// What the platform calls an action: resource and action of its handlers. Reading a run is reading its thread.
#[must_use]
pub fn event_of(action: &ActionDef) -> Option<(&'static str, &'static str)> {
    const EVENTS: &[(&ActionDef, &str, &str)] = &[
        (thread::Create::DEF, "threads", "create"),
        (thread::Read::DEF, "threads", "read"),
        (thread::Update::DEF, "threads", "update"),
        (thread::Delete::DEF, "threads", "delete"),
        (thread::List::DEF, "threads", "search"),
        (run::Create::DEF, "threads", "create_run"),
        (run::Read::DEF, "threads", "read"),
        (run::Cancel::DEF, "threads", "update"),
        (run::Delete::DEF, "threads", "delete"),
        (assistant::Create::DEF, "assistants", "create"),
        (assistant::Read::DEF, "assistants", "read"),
        (assistant::Update::DEF, "assistants", "update"),
        (assistant::Delete::DEF, "assistants", "delete"),
        (assistant::List::DEF, "assistants", "search"),
        (cron::Create::DEF, "crons", "create"),
        (cron::Read::DEF, "crons", "read"),
        (cron::Update::DEF, "crons", "update"),
        (cron::Delete::DEF, "crons", "delete"),
        (cron::List::DEF, "crons", "search"),
        (store::Write::DEF, "store", "put"),
        (store::Read::DEF, "store", "get"),
        (store::Delete::DEF, "store", "delete"),
        (store::Search::DEF, "store", "search"),
        (store::ListNamespaces::DEF, "store", "list_namespaces"),
    ];
    EVENTS.iter().find(|(known, ..)| *known == action).map(|(_, resource, name)| (*resource, *name))
}

/// What a mount's handlers will be asked once it is known who asks: known before that where a route says it all.
#[derive(Clone, Copy)]
pub struct Foreseen<'r> {
    /// The action.
    pub action: &'static ActionDef,
    /// What is about to be done.
    pub asked: &'r Asked,
}

impl Foreseen<'_> {
    /// The question behind the one who somebody is: its answer says who asks.
    pub(crate) fn then(&self) -> Option<Then> {
        let with = question(self.action, self.asked)?;
        Some(Then { function: AUTHORIZE, with: Value::Object(with), take: &["user", "permissions"] })
    }
}

/// What the handlers said of one act of a caller, at the same time as they said who the caller is. It is the answer to that question
/// and to no other, once.
pub struct Foretold {
    by: Arc<dyn Handlers>,
    question: Value,
    said: Mutex<Option<Result<Value, HandlerFault>>>,
}

impl Foretold {
    pub(crate) fn new(
        by: Arc<dyn Handlers>,
        question: Value,
        said: Result<Value, HandlerFault>,
    ) -> Arc<Self> {
        Arc::new(Self { by, question, said: Mutex::new(Some(said)) })
    }

    fn take(
        &self,
        by: &Arc<dyn Handlers>,
        question: &Map<String, Value>,
    ) -> Option<Result<Value, HandlerFault>> {
        let same = std::ptr::addr_eq(Arc::as_ptr(&self.by), Arc::as_ptr(by))
            && self.question.as_object() == Some(question);
        if same { self.said.lock().take() } else { None }
    }
}

impl fmt::Debug for Foretold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Foretold({})", self.question)
    }
}

/// The function that is asked what a caller may do.
const AUTHORIZE: &str = "authorize";

/// What it is asked, but for who the caller is; `None` where the platform has no word for the action.
fn question(action: &'static ActionDef, asked: &Asked) -> Option<Map<String, Value>> {
    let (resource, name) = event_of(action)?;
    let mut question = Map::new();
    question.insert("resource".to_owned(), resource.into());
    question.insert("action".to_owned(), name.into());
    question.insert("value".to_owned(), Value::Object(asked.value.clone()));
    question.insert("uuids".to_owned(), asked.uuids.into());
    Some(question)
}

#[derive(Deserialize)]
struct Answer {
    covered: bool,
    #[serde(default)]
    value: Map<String, Value>,
    #[serde(default)]
    filter: Option<Value>,
}

impl Policy {
    /// Asks these handlers.
    #[must_use]
    pub fn new(handlers: Arc<dyn Handlers>, uncovered: Uncovered) -> Self {
        Self { handlers, uncovered, shares: Shares::default() }
    }

    /// What the handlers say of an act.
    ///
    /// # Errors
    /// Their refusal; `handler_unavailable` without an answer; `handler_invalid`, `handler_filter_invalid` for one that
    /// cannot be enforced.
    pub(crate) async fn ask(
        &self,
        auth: &AuthContext,
        client: Option<IpAddr>,
        action: &'static ActionDef,
        asked: Asked,
    ) -> Result<Ruling> {
        let (Some((resource, name)), Some(mut question)) = (event_of(action), question(action, &asked))
        else {
            let what = format!("handlers have no word for {action}");
            return Err(Error::new(codes::INTERNAL).operator(what));
        };
        let foretold = auth.foretold.as_ref().and_then(|told| told.take(&self.handlers, &question));
        let answer = match foretold {
            Some(answer) => answer,
            None => {
                let user = user_of(auth);
                let permissions = user.get("permissions").cloned().unwrap_or_else(|| json!([]));
                question.insert("user".to_owned(), Value::Object(user));
                question.insert("permissions".to_owned(), permissions);
                self.call(client, question).await?
            }
        };
        let answer = answer.map_err(|fault| refusal(fault, Raised::Failed))?;
        let answer: Answer = serde_json::from_value(answer).map_err(|error| {
            Error::new(codes::HANDLER_FAILED).operator(format!("its answer cannot be read: {error}"))
        })?;
        if !answer.covered {
            let reach = match self.uncovered {
                Uncovered::Own => Reached::Own,
                Uncovered::Allow => Reached::Everything,
                Uncovered::Deny => {
                    return Err(Error::new(codes::FORBIDDEN)
                        .operator(format!("no handler covers {resource}.{name}"))
                        .by_rule("not covered by a handler"));
                }
            };
            return Ok(Ruling { reach, value: asked.value });
        }
        let condition = match &answer.filter {
            None => None,
            Some(filter) => Condition::parse(filter).map_err(|error| {
                Error::new(codes::HANDLER_FILTER).operator(format!("{resource}.{name}: {error}"))
            })?,
        };
        let reach = condition.map_or(Reached::Everything, Reached::Like);
        Ok(Ruling { reach, value: answer.value })
    }

    /// One network cannot take the places of all others.
    async fn call(
        &self,
        client: Option<IpAddr>,
        question: Map<String, Value>,
    ) -> Result<std::result::Result<Value, HandlerFault>> {
        let most = u32::try_from(self.handlers.places() / 2).unwrap_or(u32::MAX).max(1);
        let Some(_share) = self.shares.take(client, most) else {
            let why = "one network has its share of calls under way";
            return Err(Error::new(codes::HANDLER_AWAY).operator(why).retry_after_s(1));
        };
        Ok(self.handlers.call(AUTHORIZE, Value::Object(question)).await)
    }
}

/// The caller as handlers and runs know it: what the authenticator said, or what is known of whoever another method let in.
#[must_use]
pub fn user_of(auth: &AuthContext) -> Map<String, Value> {
    let mut user: Map<String, Value> = auth.claims.clone().into_iter().collect();
    user.entry("identity").or_insert_with(|| (&*auth.principal.subject).into());
    let identity = user.get("identity").cloned().unwrap_or_default();
    user.entry("display_name").or_insert(identity);
    user.entry("is_authenticated").or_insert_with(|| (!auth.is_anonymous()).into());
    user.entry("permissions").or_insert_with(|| json!([]));
    user
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authz::catalogue::ALL;

    #[test]
    fn each_event_of_the_platform_is_somebodys_action() {
        let known: Vec<_> = ALL.iter().filter_map(|action| event_of(action)).collect();
        let expected: &[(&str, &[&str])] = &[
            ("threads", &["create", "read", "update", "delete", "search", "create_run"]),
            ("assistants", &["create", "read", "update", "delete", "search"]),
            ("crons", &["create", "read", "update", "delete", "search"]),
            ("store", &["put", "get", "search", "delete", "list_namespaces"]),
        ];
        for (resource, actions) in expected {
            for action in *actions {
                assert!(known.contains(&(resource, action)), "{resource}.{action}");
            }
        }
        assert_eq!(event_of(crate::authz::catalogue::user::Read::DEF), None);
    }
}
