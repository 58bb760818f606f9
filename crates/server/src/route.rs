//! What a surface answers, as a table. A route that does not say who may use it cannot be written down.

use doorward_core::authz::catalogue::ActionDef;
use doorward_core::authz::custom::Asked;
use doorward_core::error::Result;
use futures_util::future::BoxFuture;
use http::Method;

use crate::gateway::{Rule, SocketRule};
use crate::http::respond::Answer;
use crate::request::Request;

/// Answers a request in this process.
pub(crate) type Handler = fn(Request) -> BoxFuture<'static, Result<Answer>>;

/// Who may use a route.
#[derive(Clone, Copy)]
pub(crate) enum Gate {
    /// Anybody, and credentials are not even looked at. For what a client needs before it can have one.
    Open,
    /// Whoever the decision function lets do one of these actions.
    Guarded(&'static [&'static ActionDef]),
}

impl Gate {
    /// Without an action nobody could say who may: tables are constants, so that does not compile.
    const fn guarded(actions: &'static [&'static ActionDef]) -> Self {
        assert!(!actions.is_empty(), "a guarded route names what is asked leave for");
        Self::Guarded(actions)
    }
}

/// What a route does.
#[derive(Clone, Copy)]
pub(crate) enum Work {
    /// It is answered here.
    Here(Handler),
    /// It opens a WebSocket that is answered here.
    Accept(Handler),
    /// It is passed to the mount's upstream by this rule.
    Upstream(&'static Rule),
    /// It opens a WebSocket to the mount's upstream, whose messages follow this rule.
    Socket(&'static SocketRule),
}

/// One row: method, path, who may, what happens.
pub(crate) struct Route {
    pub(crate) method: Method,
    /// Segments between slashes; `{name}` matches any one segment that is not empty, and `{name*}` at the end whatever is left.
    pub(crate) pattern: &'static str,
    pub(crate) gate: Gate,
    pub(crate) work: Work,
    /// Whether its handler looks at cookies itself: on pages where people sign in, one that has ended makes its sender nobody.
    pub(crate) own_cookies: bool,
    /// Whether it says something of another request, which alone may change something: its own method says nothing of it, and its handler
    /// looks where that one came from.
    pub(crate) asks_for_another: bool,
    /// What the mount's handlers will be asked about the first of its actions, where that stands in the path: they can then say it
    /// together with who the caller is.
    pub(crate) foreseen: Option<Foresee>,
}

/// Reads what handlers will be asked from what the `{names}` of a pattern stand for; `None` where that is nothing.
pub(crate) type Foresee = fn(&[(&'static str, String)]) -> Option<Asked>;

impl Route {
    /// A route for anybody.
    pub(crate) const fn open(method: Method, pattern: &'static str, handler: Handler) -> Self {
        Self {
            method,
            pattern,
            gate: Gate::Open,
            work: Work::Here(handler),
            own_cookies: false,
            asks_for_another: false,
            foreseen: None,
        }
    }

    /// A route whose handler may ask for permits for `actions`, and for no others.
    pub(crate) const fn guarded(
        method: Method,
        pattern: &'static str,
        actions: &'static [&'static ActionDef],
        handler: Handler,
    ) -> Self {
        Self {
            method,
            pattern,
            gate: Gate::guarded(actions),
            work: Work::Here(handler),
            own_cookies: false,
            asks_for_another: false,
            foreseen: None,
        }
    }

    /// The same route, whose handler begins with asking the mount's handlers just this about the first of its actions.
    pub(crate) const fn foreseeing(mut self, foreseen: Foresee) -> Self {
        self.foreseen = Some(foreseen);
        self
    }

    /// The same route, where no cookie says who is asking unless its handler asks.
    pub(crate) const fn reading_cookies_itself(mut self) -> Self {
        self.own_cookies = true;
        self
    }

    /// The same route, which says something of another request whatever the method is.
    pub(crate) const fn asking_for_another(mut self) -> Self {
        self.asks_for_another = true;
        self
    }

    /// A WebSocket that is answered here. Who opens it is said in its first message.
    pub(crate) const fn accept(pattern: &'static str, handler: Handler) -> Self {
        Self {
            method: Method::GET,
            pattern,
            gate: Gate::Open,
            work: Work::Accept(handler),
            own_cookies: false,
            asks_for_another: false,
            foreseen: None,
        }
    }

    /// A route to the upstream for whoever may do the rule's action.
    pub(crate) const fn upstream(
        method: Method,
        pattern: &'static str,
        actions: &'static [&'static ActionDef],
        rule: &'static Rule,
    ) -> Self {
        Self {
            method,
            pattern,
            gate: Gate::guarded(actions),
            work: Work::Upstream(rule),
            own_cookies: false,
            asks_for_another: false,
            foreseen: None,
        }
    }

    /// A WebSocket to the upstream for whoever may do the rule's action, which each message does once more.
    pub(crate) const fn socket(
        pattern: &'static str,
        actions: &'static [&'static ActionDef],
        rule: &'static SocketRule,
    ) -> Self {
        Self {
            method: Method::GET,
            pattern,
            gate: Gate::guarded(actions),
            work: Work::Socket(rule),
            own_cookies: false,
            asks_for_another: false,
            foreseen: None,
        }
    }
}
