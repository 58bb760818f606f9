//! Who asks, as a signed statement to the agent server behind us: it need not trust whoever can reach its port.
//!
//! The statement is for one server (`aud`) and for a minute, and its `typ` keeps it from passing for an access token here.

use std::sync::Arc;

use doorward_protocols::jose::sign_compact;
use serde_json::{Map, Value};

use super::profile::Keys;
use crate::error::{Error, Result, codes};
use crate::principal::AuthContext;
use crate::secret::SecretText;

/// `typ` of these tokens.
pub const PRINCIPAL_JWT: &str = "principal+jwt";
/// How long one holds: as long as clocks may differ and a queue may wait.
const LIFE_S: i64 = 60;

/// What statements to one server are made with.
#[derive(Clone)]
pub struct Assertions {
    /// Sign them; their public halves are published under `/.well-known/jwks.json`.
    pub keys: Keys,
    /// `iss`.
    pub issuer: Arc<str>,
    /// `aud`: the server's address, as it is configured.
    pub audience: Arc<str>,
}

impl Assertions {
    /// States who asks, for the request of this id.
    ///
    /// # Errors
    /// `cannot_sign` where only public keys are configured; `internal` when signing fails.
    pub fn of(&self, auth: &AuthContext, request: &str, now_ms: i64) -> Result<SecretText> {
        let now_s = now_ms.div_euclid(1000);
        let mut claims = Map::new();
        let mut put = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        put("iss", (&*self.issuer).into());
        put("aud", (&*self.audience).into());
        put("sub", (&*auth.principal.subject).into());
        put("authority", (&*auth.principal.authority).into());
        put("roles", auth.roles.iter().map(|role| Value::from(&**role)).collect::<Vec<_>>().into());
        if let Some(scopes) = &auth.scopes {
            let scopes: Vec<&str> = scopes.iter().map(|scope| &**scope).collect();
            put("scope", scopes.join(" ").into());
        }
        put("iat", now_s.into());
        put("exp", now_s.saturating_add(LIFE_S).into());
        put("jti", request.into());
        let token = sign_compact(&*self.keys.signer()?, PRINCIPAL_JWT, &claims)
            .map_err(|error| Error::new(codes::INTERNAL).caused_by(error))?;
        Ok(SecretText::new(token))
    }
}
