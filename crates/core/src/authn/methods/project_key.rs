//! Supabase's gateway: nobody gets through without the mount's anon or service key in `apikey`.
//!
//! It stands before the methods that say who somebody is: 1. where a letter's link leads, nobody has a key; 2. no key, or a wrong one, is
//! refused whatever else is shown; 3. clients repeat their key as the Bearer token while nobody is logged in, which is then nobody; 4. the
//! service key as the Bearer token is the operator's own program, which administers accounts and nothing else (`docs/adr/0022`).

use std::sync::Arc;

use serde::Deserialize;

use super::{ConfigError, Descriptor};
use crate::authn::{Answer, Authenticator, Outcome, Presented};
use crate::authz::roles::{ADMIN, ANONYMOUS};
use crate::error::{Error, codes};
use crate::identity::project_keys::{ProjectKeys, ProjectRole};
use crate::principal::{AuthContext, Principal, PrincipalKind};

/// The method's name, by which callers with a mount's key are known.
pub const METHOD: &str = "project_key";

/// The header; its letters' case does not matter.
const HEADER: &str = "apikey";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// Whose keys.
    mount: String,
    /// Which service key: of those before it none is taken.
    service_version: u32,
    /// Paths that browsers come to by a link, by `GET`.
    open: Vec<String>,
}

struct ProjectKey {
    keys: ProjectKeys,
    open: Vec<String>,
    nobody: Arc<AuthContext>,
    service: Arc<AuthContext>,
}

/// What the service key is for. It never reaches what is not of accounts.
const SERVICE_SCOPES: &[&str] =
    &["user:*", "session:login", "session:end", "login:begin", "token:refresh", "service:ping"];

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    name: METHOD,
    build: |section, engine| {
        let options: Options = super::options(METHOD, &section)?;
        let failed = |error: Error| ConfigError { method: METHOD, problem: error.to_string() };
        let nobody = AuthContext { method: METHOD, ..AuthContext::anonymous(vec![ANONYMOUS.into()]) };
        Ok(Arc::new(ProjectKey {
            keys: engine.project_keys(&options.mount, options.service_version).map_err(failed)?,
            open: options.open,
            service: Arc::new(AuthContext {
                principal: Principal {
                    kind: PrincipalKind::Service,
                    authority: format!("{}/service_key", options.mount).into(),
                    subject: "service_role".into(),
                },
                roles: vec![ADMIN.into()],
                scopes: Some(SERVICE_SCOPES.iter().map(|&scope| scope.into()).collect()),
                administrative: true,
                ..nobody.clone()
            }),
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
            Some(text) => match self.keys.role_of(text) {
                Some(ProjectRole::Anon) => Answer::Now(Outcome::Accepted(Arc::clone(&self.nobody))),
                // 4.
                Some(ProjectRole::Service) => Answer::Now(Outcome::Accepted(Arc::clone(&self.service))),
                None => Answer::Now(Outcome::NotPresent),
            },
            None => Answer::Now(Outcome::NotPresent),
        }
    }
}
