//! What handlers may ask us: about a caller, by the mount's own methods, without the handlers themselves; and whether something is used
//! for the first time.

use doorward_protocols::http_auth::{Scheme, parse_authorization};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::{Chain, NoHeaders, Offered, Place, Presented};
use crate::engine::Engine;
use crate::error::Kind;
use crate::ports::handlers::BuiltIns;

/// Longest time that something is held as used, in seconds.
const LONGEST_ONCE_S: i64 = 86_400;

/// Answers handlers of one mount.
pub struct Answers {
    engine: Engine,
    chain: Chain,
}

impl Answers {
    /// Asks this chain, which must not hold the handlers that ask.
    #[must_use]
    pub fn new(engine: Engine, chain: Chain) -> Self {
        Self { engine, chain }
    }

    /// Whether a name is used for the first time in so many seconds, across all mounts and processes of handlers.
    async fn once(&self, with: &Value) -> Result<Value, String> {
        let name = with.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
        let seconds =
            with.get("seconds").and_then(Value::as_i64).filter(|s| (1..=LONGEST_ONCE_S).contains(s));
        let (Some(name), Some(seconds)) = (name, seconds) else {
            return Err("a name, and seconds from 1 to 86400".to_owned());
        };
        let steady_ms = self.engine.clock().steady_ms();
        match self.engine.shared().first(name, seconds * 1000, steady_ms).get().await {
            Some(first) => Ok(first.into()),
            None => Err("there is no room to remember it".to_owned()),
        }
    }

    async fn identify(&self, header: Option<&str>) -> Result<Value, String> {
        let Some(header) = header else { return Ok(Value::Null) };
        let Ok(parsed) = parse_authorization(header.as_bytes()) else { return Ok(Value::Null) };
        let place = match parsed.scheme {
            Scheme::Bearer => Place::Bearer,
            Scheme::ApiKey => Place::ApiKeyScheme,
            Scheme::Basic | Scheme::Other(_) => return Ok(Value::Null),
        };
        self.engine.feed().fresh(self.engine.clock()).map_err(|error| error.public_message().to_owned())?;
        let offered = Some(Offered { place, text: parsed.credential });
        let presented = Presented { offered, headers: &NoHeaders, ..Presented::nothing() };
        match self.chain.authenticate(&presented).await {
            Ok(auth) if auth.is_anonymous() => Ok(Value::Null),
            Ok(auth) => Ok(json!({
                "subject": &*auth.principal.subject,
                "authority": &*auth.principal.authority,
                "roles": auth.roles.iter().map(|role| &**role).collect::<Vec<_>>(),
                "scopes": auth.scopes.as_ref().map(|all| all.iter().map(|one| &**one).collect::<Vec<_>>()),
                "method": auth.method,
                "expires_at": auth.expires_at_s,
                "claims": auth.claims,
            })),
            Err(error) if error.code().kind == Kind::Unauthenticated => Ok(Value::Null),
            Err(error) => Err(error.public_message().to_owned()),
        }
    }
}

impl BuiltIns for Answers {
    fn ask<'a>(&'a self, function: &'a str, with: Value) -> BoxFuture<'a, Result<Value, String>> {
        async move {
            match function {
                "identify" => match with.get("authorization") {
                    None | Some(Value::Null) => self.identify(None).await,
                    Some(Value::String(header)) => self.identify(Some(header)).await,
                    Some(_) => Err("authorization is a text".to_owned()),
                },
                "once" => self.once(&with).await,
                other => {
                    Err(format!("nothing is called {:?} here", other.chars().take(64).collect::<String>()))
                }
            }
        }
        .boxed()
    }
}
