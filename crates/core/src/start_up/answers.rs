//! What start-up files may ask: Doorward's own reading of a token, and a token of Doorward's for somebody whom they vouch for.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::merge::{is_not_ours, joined};
use super::user::Vouched;
use super::{METHOD, TokenHooks};
use crate::authn::built_in::Answers;
use crate::error::{Error, Kind};
use crate::mount::Mount;
use crate::ports::handlers::BuiltIns;
use crate::principal::AuthContext;
use crate::tokens::{HubToken, HubTokenKind};

/// Answers start-up files of one mount.
pub struct StartUpAnswers {
    hooks: Arc<TokenHooks>,
    mount: Arc<Mount>,
    /// What every handler may ask.
    all: Answers,
}

impl StartUpAnswers {
    /// Answers for the files of this mount, which registered these functions.
    #[must_use]
    pub fn new(hooks: Arc<TokenHooks>, mount: Arc<Mount>, all: Answers) -> Self {
        Self { hooks, mount, all }
    }

    async fn parse_token(&self, with: &Value) -> Result<Value, String> {
        let Some(text) = with.get("token").and_then(Value::as_str) else {
            return Err("token is a text".to_owned());
        };
        let engine = &self.hooks.engine;
        engine.feed().fresh(engine.clock()).map_err(|error| error.public_message().to_owned())?;
        match self.hooks.own_reading(text).await {
            Ok(auth) => {
                let user = self.hooks.shown(&auth);
                Ok(json!({ "user": user, "handle": self.hooks.keep_reading(text) }))
            }
            Err(error) => said(&error),
        }
    }

    async fn issue_token(&self, with: &Value) -> Result<Value, String> {
        let bad = |what: String| json!({ "refused": { "status": 400, "detail": what } });
        let user = match Vouched::read(with.get("user").unwrap_or(&Value::Null)) {
            Ok(user) => user,
            Err(what) => return Ok(bad(what)),
        };
        let Some(ttl_s) = with.get("expires_in").and_then(Value::as_f64).filter(|seconds| *seconds >= 1.0)
        else {
            return Ok(bad("expires_in is a number of seconds".to_owned()));
        };
        let engine = &self.hooks.engine;
        // A token for whom a reading of ours named reaches no further than what was read, and ends with it.
        let base = match with.get("of").and_then(Value::as_str) {
            None => None,
            Some(of) => match self.hooks.read_again(of).await {
                Ok(base) => Some(base),
                Err(error) => return said(&error),
            },
        };
        let mut auth = joined(engine, &self.hooks.authority, base.as_deref(), user, String::new());
        if let Err(what) = is_not_ours(&auth, &self.hooks.authority, base.as_deref()) {
            return Ok(bad(what));
        }
        let workspaces = auth.workspaces.clone();
        let email = auth.claims.get("email").and_then(Value::as_str).map(str::to_owned);
        // The maker is the file; the token is of whom it names, and descends from what was read alone. What it is confined to stands in what
        // is wanted.
        auth.workspaces.confined = false;
        if base.is_none() {
            auth.credential = None;
            auth.expires_at_s = None;
        }
        let wanted = HubToken {
            workspaces,
            ttl_s: Some(ttl_s.min(1e15) as i64),
            kind: HubTokenKind::SameSubject,
            email,
            roles: None,
        };
        let call = engine.system_call(&self.mount, METHOD).of(AuthContext { ambient: false, ..auth });
        match engine.hub_token(&self.mount.tokens, &call, wanted).await {
            Ok(issued) => Ok(json!({ "token": issued.token.expose() })),
            Err(error) => said(&error),
        }
    }
}

/// A refusal as a refusal; what is no answer as none.
fn said(error: &Error) -> Result<Value, String> {
    match error.code().kind {
        Kind::Internal | Kind::Unavailable => Err(error.public_message().to_owned()),
        _ => Ok(json!({ "refused": { "status": error.status(), "detail": error.public_message() } })),
    }
}

impl BuiltIns for StartUpAnswers {
    fn ask<'a>(&'a self, function: &'a str, with: Value) -> BoxFuture<'a, Result<Value, String>> {
        match function {
            "parse_token" => async move { self.parse_token(&with).await }.boxed(),
            "issue_token" => async move { self.issue_token(&with).await }.boxed(),
            _ => self.all.ask(function, with),
        }
    }
}
