//! What a hosted tenant says of its people in access tokens: claims of our own, which stand behind a namespace (Auth0: custom claims).
//!
//! `https://example.com/roles` and `https://example.com/email`, whether or not the namespace was written with its last slash. The tenant's
//! own rules put them there; the document of Hypha has them refuse whoever has not confirmed the address.

use std::sync::Arc;

use doorward_protocols::jose::Claims;
use serde::Deserialize;
use serde_json::Value;

use super::vouched_roles;
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::identity::validate;

/// How a tenant's claims are read.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hosted {
    /// What stands before the names of its claims; without one none is looked at.
    pub(crate) namespace: Option<String>,
    /// Whether its roles reach administrative actions.
    #[serde(default)]
    pub(crate) administrators: bool,
}

/// What it says of somebody.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// Roles that are defined here, beside the one that everybody has.
    pub(crate) roles: Vec<Arc<str>>,
    /// An address that the tenant vouches for, in its one spelling.
    pub(crate) email: Option<String>,
}

fn malformed(what: &str) -> Error {
    Error::new(codes::TOKEN_INVALID).operator(what.to_owned())
}

impl Hosted {
    fn claim(&self, claims: &Claims, name: &str) -> Option<Value> {
        let namespace = self.namespace.as_deref()?.trim_end_matches('/');
        claims.get(&format!("{namespace}/{name}"))
    }

    /// Reads them. A claim that is not there says nothing; one that cannot be what it should refuses the token.
    ///
    /// # Errors
    /// `token_invalid`.
    pub(crate) fn read(&self, engine: &Engine, claims: &Claims) -> Result<Said> {
        let roles = self.named(claims)?;
        Ok(Said { roles: vouched_roles(engine, Some(&roles)), email: self.email(claims)? })
    }

    fn named(&self, claims: &Claims) -> Result<Vec<Value>> {
        match self.claim(claims, "roles") {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(roles)) if roles.iter().all(Value::is_string) => Ok(roles),
            Some(_) => Err(malformed("the claim of roles is no list of texts")),
        }
    }

    fn email(&self, claims: &Claims) -> Result<Option<String>> {
        let text = match self.claim(claims, "email") {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) => text,
            Some(_) => return Err(malformed("the claim of the address is no text")),
        };
        let email = validate::email(&text).map_err(|_| malformed("the claim of the address holds none"))?;
        // Where the tenant says nothing of it, its rules refuse whoever has not confirmed the address. What it says counts.
        let said = self.claim(claims, "email_verified").or_else(|| claims.get("email_verified"));
        Ok(Some(email).filter(|_| said.is_none_or(|said| said == Value::Bool(true))))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: &Value) -> Claims {
        let text = value.to_string();
        Claims::parse(text.into_bytes(), doorward_protocols::jose::HeaderPolicy::External).expect("claims")
    }

    fn hosted(namespace: Option<&str>) -> Hosted {
        Hosted { namespace: namespace.map(str::to_owned), administrators: false }
    }

    #[test]
    fn a_namespace_is_the_same_with_and_without_its_last_slash() {
        let said = claims(&json!({
            "sub": "1", "https://org.example/roles": ["premium"], "https://org.example/email": "Ann@Org.example",
            "roles": ["admin"], "email": "eve@org.example", "https://org.exampleroles": ["admin"],
        }));
        for namespace in ["https://org.example", "https://org.example/"] {
            let hosted = hosted(Some(namespace));
            assert_eq!(hosted.named(&said).ok(), Some(vec!["premium".into()]), "{namespace}");
            assert_eq!(hosted.email(&said).ok(), Some(Some("ann@org.example".to_owned())), "{namespace}");
        }
        for namespace in [None, Some("https://other.example/")] {
            assert_eq!(hosted(namespace).named(&said).ok(), Some(Vec::new()));
            assert_eq!(hosted(namespace).email(&said).ok(), Some(None));
        }
    }

    #[test]
    fn what_is_not_there_says_nothing_and_what_cannot_be_it_refuses() {
        let hosted = hosted(Some("n/"));
        for (roles, good) in [
            (json!(null), true),
            (json!([]), true),
            (json!("admin"), false),
            (json!({"admin": true}), false),
            (json!([1]), false),
            (json!(true), false),
        ] {
            assert_eq!(
                hosted.named(&claims(&json!({"sub": "1", "n/roles": roles}))).is_ok(),
                good,
                "{roles}"
            );
        }
        let email = |more: Value| {
            let mut all = json!({"sub": "1", "n/email": "ann@org.example"});
            all.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            hosted.email(&claims(&all))
        };
        let ann = || Some(Some("ann@org.example".to_owned()));
        assert_eq!(email(json!({})).ok(), ann());
        assert_eq!(email(json!({"n/email_verified": true, "email_verified": false})).ok(), ann());
        for unconfirmed in [
            json!({"email_verified": false}),
            json!({"n/email_verified": false}),
            json!({"email_verified": "yes"}),
        ] {
            assert_eq!(email(unconfirmed).ok(), Some(None));
        }
        for bad in [json!("ann"), json!("ann@org@example"), json!(1), json!(["ann@org.example"]), json!("")] {
            assert!(email(json!({"n/email": bad})).is_err(), "{bad}");
        }
    }
}
