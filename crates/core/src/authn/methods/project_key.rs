//! Supabase's gateway: nobody gets through without the mount's anon or service key in `apikey`.
//!
//! It stands before the methods that say who somebody is and says nothing of that itself: 1. where a letter's link leads, nobody has a
//! key; 2. no key, or a wrong one, is refused whatever else is shown; 3. clients repeat their key as the Bearer token while nobody is
//! logged in, which is then nobody.

use std::sync::Arc;

use serde::Deserialize;

use super::{ConfigError, Descriptor};
use crate::authn::{Answer, Authenticator, Outcome, Presented};
use crate::authz::roles::ANONYMOUS;
use crate::error::{Error, codes};
use crate::identity::project_keys::ProjectKeys;
use crate::principal::AuthContext;

/// The header; its letters' case does not matter.
const HEADER: &str = "apikey";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// Whose keys.
    mount: String,
    /// Paths that browsers come to by a link, by `GET`.
    open: Vec<String>,
}

struct ProjectKey {
    keys: ProjectKeys,
    open: Vec<String>,
    nobody: Arc<AuthContext>,
}

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    name: "project_key",
    build: |section, engine| {
        let options: Options = super::options("project_key", &section)?;
        let failed = |error: Error| ConfigError { method: "project_key", problem: error.to_string() };
        let nobody = AuthContext { method: "project_key", ..AuthContext::anonymous(vec![ANONYMOUS.into()]) };
        Ok(Arc::new(ProjectKey {
            keys: engine.project_keys(&options.mount).map_err(failed)?,
            open: options.open,
            nobody: Arc::new(nobody),
        }))
    },
};

impl Authenticator for ProjectKey {
    fn name(&self) -> &'static str {
        DESCRIPTOR.name
    }

    fn authenticate<'a>(&'a self, presented: &'a Presented<'a>) -> Answer<'a> {
        // 1.
        let by_link = presented.line.is_some_and(|line| {
            matches!(line.method, "GET" | "HEAD") && self.open.iter().any(|path| path == line.path)
        });
        if by_link {
            return Answer::Now(Outcome::Accepted(Arc::clone(&self.nobody)));
        }
        // 2.
        let refusal = match presented.headers.get(HEADER) {
            None => Some(codes::PROJECT_KEY_MISSING),
            Some(text) if self.keys.role_of(text).is_none() => Some(codes::PROJECT_KEY_INVALID),
            Some(_) => None,
        };
        if let Some(code) = refusal {
            return Answer::Now(Outcome::Rejected(Error::new(code)));
        }
        // 3.
        match presented.bearer() {
            Some(text) if self.keys.role_of(text).is_some() => {
                Answer::Now(Outcome::Accepted(Arc::clone(&self.nobody)))
            }
            _ => Answer::Now(Outcome::NotPresent),
        }
    }
}
