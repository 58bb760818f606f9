//! Everybody is let in, holding configured roles: AgentFlow's `auth: null`.

use std::sync::Arc;

use serde::Deserialize;

use super::{Descriptor, options};
use crate::authn::{Answer, Authenticator, Outcome, Presented};
use crate::principal::AuthContext;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    roles: Vec<String>,
    /// Take callers with a credential too, without looking at it.
    #[serde(default)]
    ignore_credentials: bool,
}

struct Anonymous {
    auth: Arc<AuthContext>,
    ignore_credentials: bool,
}

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    name: "anonymous",
    build: |section, _| {
        let given: Options = options("anonymous", &section)?;
        let roles = given.roles.into_iter().map(Into::into).collect();
        let auth = Arc::new(AuthContext::anonymous(roles));
        Ok(Arc::new(Anonymous { auth, ignore_credentials: given.ignore_credentials }))
    },
};

impl Authenticator for Anonymous {
    fn name(&self) -> &'static str {
        DESCRIPTOR.name
    }

    fn authenticate<'a>(&'a self, presented: &'a Presented<'a>) -> Answer<'a> {
        Answer::Now(match presented.offered {
            Some(_) if !self.ignore_credentials => Outcome::NotPresent,
            _ => Outcome::Accepted(Arc::clone(&self.auth)),
        })
    }
}
