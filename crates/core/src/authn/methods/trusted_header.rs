//! A header that a trusted proxy sets after it authenticated the caller itself.
//!
//! Believed only from addresses the operator listed as proxies; from anybody else the header is ignored.

use std::sync::Arc;

use serde::Deserialize;

use super::{ConfigError, Descriptor, options};
use crate::authn::{Answer, Authenticator, Outcome, Presented};
use crate::error::{Error, codes};
use crate::principal::{AuthContext, Principal, PrincipalKind};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// The header that holds the subject, such as `x-forwarded-user`.
    header: String,
    /// Who vouches for the subjects.
    authority: String,
    /// Roles of everybody who comes this way.
    #[serde(default = "user_role")]
    roles: Vec<String>,
}

fn user_role() -> Vec<String> {
    vec![crate::authz::roles::USER.to_owned()]
}

struct TrustedHeader {
    header: String,
    authority: Arc<str>,
    roles: Vec<Arc<str>>,
}

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    name: "trusted_header",
    build: |section, _| {
        let given: Options = options("trusted_header", &section)?;
        if given.header.is_empty() || given.authority.is_empty() {
            let problem = "header and authority must not be empty".to_owned();
            return Err(ConfigError { method: "trusted_header", problem });
        }
        Ok(Arc::new(TrustedHeader {
            header: given.header.to_ascii_lowercase(),
            authority: given.authority.into(),
            roles: given.roles.into_iter().map(Into::into).collect(),
        }))
    },
};

impl Authenticator for TrustedHeader {
    fn name(&self) -> &'static str {
        DESCRIPTOR.name
    }

    fn authenticate<'a>(&'a self, presented: &'a Presented<'a>) -> Answer<'a> {
        if !presented.trusted_peer || presented.offered.is_some() {
            return Answer::Now(Outcome::NotPresent);
        }
        let Some(subject) = presented.headers.get(&self.header) else {
            return Answer::Now(Outcome::NotPresent);
        };
        if subject.is_empty() || subject.len() > 256 {
            let error = Error::new(codes::BAD_HEADER).operator("trusted header is empty or over 256 bytes");
            return Answer::Now(Outcome::Rejected(error));
        }
        let principal = Principal {
            kind: PrincipalKind::User,
            authority: Arc::clone(&self.authority),
            subject: subject.into(),
        };
        Answer::Now(Outcome::Accepted(Arc::new(AuthContext {
            principal,
            method: DESCRIPTOR.name,
            ..AuthContext::anonymous(self.roles.clone())
        })))
    }
}
