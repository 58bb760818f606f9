//! What handlers may ask us about a caller: the mount's own methods, without the handlers themselves.

use doorward_protocols::http_auth::{Scheme, parse_authorization};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::{Chain, NoHeaders, Offered, Place, Presented};
use crate::engine::Engine;
use crate::error::Kind;
use crate::ports::handlers::BuiltIns;

/// Answers handlers of one mount.
pub struct Identify {
    engine: Engine,
    chain: Chain,
}

impl Identify {
    /// Asks this chain, which must not hold the handlers that ask.
    #[must_use]
    pub fn new(engine: Engine, chain: Chain) -> Self {
        Self { engine, chain }
    }

    async fn identify(&self, header: Option<&str>) -> Result<Value, String> {
        let Some(header) = header else { return Ok(Value::Null) };
        let Ok(parsed) = parse_authorization(header.as_bytes()) else { return Ok(Value::Null) };
        let place = match parsed.scheme {
            Scheme::Bearer => Place::Bearer,
            Scheme::ApiKey => Place::ApiKeyScheme,
            Scheme::Basic | Scheme::Other(_) => return Ok(Value::Null),
        };
        self.engine
            .feed()
            .fresh(self.engine.clock().steady_ms())
            .map_err(|error| error.public_message().to_owned())?;
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

impl BuiltIns for Identify {
    fn ask<'a>(&'a self, function: &'a str, with: Value) -> BoxFuture<'a, Result<Value, String>> {
        async move {
            match (function, with.get("authorization")) {
                ("identify", None | Some(Value::Null)) => self.identify(None).await,
                ("identify", Some(Value::String(header))) => self.identify(Some(header)).await,
                ("identify", Some(_)) => Err("authorization is a text".to_owned()),
                (other, _) => {
                    Err(format!("nothing is called {:?} here", other.chars().take(64).collect::<String>()))
                }
            }
        }
        .boxed()
    }
}
