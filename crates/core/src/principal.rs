//! Who a credential turned out to be.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::authz::custom::Foretold;
use crate::id::{SessionId, UserId};
use crate::workspaces::WorkspaceScope;

/// The authority of users kept in our own store.
pub const LOCAL: &str = "local";
/// The authority of whom nobody vouches for.
pub const ANONYMOUS: &str = "anonymous";

/// Whether a text can be a subject: it becomes part of owner keys, headers and log lines, so it is bounded and without control
/// characters.
pub(crate) fn is_subject(text: &str) -> bool {
    !text.is_empty() && text.len() <= 512 && !text.chars().any(char::is_control)
}

/// What kind of actor a principal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrincipalKind {
    /// A person.
    User,
    /// A program with its own credential.
    Service,
    /// An agent acting for somebody.
    Agent,
    /// Doorward itself: background jobs and the command line.
    System,
    /// Nobody in particular.
    Anonymous,
}

/// An actor, named by (authority, subject) so that two issuers' ids cannot collide.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal {
    /// What kind of actor.
    pub kind: PrincipalKind,
    /// Who vouches for the subject: [`LOCAL`] or an issuer's name.
    pub authority: Arc<str>,
    /// The id within the authority.
    pub subject: Arc<str>,
}

impl Principal {
    /// A user of the local authority.
    #[must_use]
    pub fn local(user: &UserId) -> Self {
        Self { kind: PrincipalKind::User, authority: LOCAL.into(), subject: user.as_str().into() }
    }

    /// Doorward itself, doing `job`.
    #[must_use]
    pub fn system(job: &str) -> Self {
        Self { kind: PrincipalKind::System, authority: "doorward".into(), subject: job.into() }
    }

    /// Nobody.
    #[must_use]
    pub fn anonymous() -> Self {
        Self::visitor("")
    }

    /// A stranger who was given a name for a while.
    #[must_use]
    pub fn visitor(name: &str) -> Self {
        Self { kind: PrincipalKind::Anonymous, authority: ANONYMOUS.into(), subject: name.into() }
    }

    /// The one spelling under which this principal owns things: `authority|subject`.
    ///
    /// `|` and `\` inside the authority are escaped, so different pairs never share a spelling.
    #[must_use]
    pub fn owner_key(&self) -> String {
        let mut key = String::with_capacity(self.authority.len() + self.subject.len() + 1);
        let mut rest = &*self.authority;
        while let Some(at) = rest.bytes().position(|b| matches!(b, b'|' | b'\\')) {
            let (plain, escaped) = rest.split_at(at);
            key.push_str(plain);
            key.push('\\');
            key.push_str(&escaped[..1]);
            rest = &escaped[1..];
        }
        key.push_str(rest);
        key.push('|');
        key.push_str(&self.subject);
        key
    }

    /// Reads [`Principal::owner_key`] of a user; `None` for what is none.
    #[must_use]
    pub fn of_owner_key(key: &str) -> Option<Self> {
        let mut authority = String::new();
        let mut characters = key.char_indices();
        while let Some((at, c)) = characters.next() {
            match c {
                '|' => {
                    let subject = &key[at + 1..];
                    let whole = !authority.is_empty() && !subject.is_empty();
                    let (authority, subject) = (authority.into(), subject.into());
                    return whole.then_some(Self { kind: PrincipalKind::User, authority, subject });
                }
                '\\' => authority.push(characters.next()?.1),
                c => authority.push(c),
            }
        }
        None
    }

    /// The local user behind this principal, if it is one.
    #[must_use]
    pub fn user_id(&self) -> Option<UserId> {
        (self.kind == PrincipalKind::User && &*self.authority == LOCAL).then(|| UserId::from(&*self.subject))
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.owner_key())
    }
}

/// What a credential was made from, where it was made from another: what ends that ends it too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Descent {
    /// The public handles (`jti`, key id) of what it was made from, nearest first.
    pub handles: Vec<Arc<str>>,
    /// After this second nothing made from it, nor a renewal of it, is worth anything; absent where only revocation ends that.
    pub ends_at_s: Option<i64>,
}

/// What user code that vouches for somebody says of them in its own words: services are shown it, nothing is decided by it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    /// Roles, whether or not they are any here.
    pub roles: Vec<String>,
    /// Whom they descend from.
    pub parent: Option<String>,
}

/// An authenticated caller, independent of the transport it came over.
#[derive(Debug, Clone)]
pub struct AuthContext {
    /// Who is acting.
    pub principal: Principal,
    /// The principals this one acts for, nearest first (RFC 8693 `act`); empty when acting for itself.
    pub actors: Vec<Principal>,
    /// Role names, as the authority of the principal gives them.
    pub roles: Vec<Arc<str>>,
    /// What the credential is limited to; `None` means the credential adds no limit to the roles.
    pub scopes: Option<Vec<Arc<str>>>,
    /// The method that accepted the credential, as named in its descriptor.
    pub method: &'static str,
    /// The credential's public handle (`jti`, key id), for revocation and the audit log.
    pub credential: Option<Arc<str>>,
    /// The session this credential descends from.
    pub session: Option<SessionId>,
    /// When the person or program proved itself, in seconds; absent when unknown.
    pub authenticated_at_s: Option<i64>,
    /// After this second the credential is worth nothing; absent for credentials without end.
    pub expires_at_s: Option<i64>,
    /// Whether the credential came along by itself, as a browser's cookie does: a request that changes something then needs
    /// proof that a page of ours made it.
    pub ambient: bool,
    /// Whether this credential may reach administrative actions at all.
    pub administrative: bool,
    /// What the credential said about its holder, handed to agents as the run's user config.
    pub claims: BTreeMap<String, Value>,
    /// Headers that a handler wants the answer to have; checked.
    pub answer_headers: Vec<(String, String)>,
    /// What the credential was given in workspaces.
    pub workspaces: WorkspaceScope,
    /// What the credential was made from.
    pub descent: Descent,
    /// What a start-up file that vouches for the caller says beside.
    pub words: Option<Arc<Words>>,
    /// What the mount's handlers said of what this caller is about to do, when they were asked both at once.
    pub foretold: Option<Arc<Foretold>>,
}

impl AuthContext {
    /// A caller without a credential, holding `roles`.
    #[must_use]
    pub fn anonymous(roles: Vec<Arc<str>>) -> Self {
        Self {
            principal: Principal::anonymous(),
            actors: Vec::new(),
            roles,
            scopes: None,
            method: "anonymous",
            credential: None,
            session: None,
            authenticated_at_s: None,
            expires_at_s: None,
            ambient: false,
            administrative: false,
            claims: BTreeMap::new(),
            answer_headers: Vec::new(),
            workspaces: WorkspaceScope::default(),
            descent: Descent::default(),
            words: None,
            foretold: None,
        }
    }

    /// Doorward itself: the command line on the operator's own store, and background jobs.
    #[must_use]
    pub fn system(job: &'static str) -> Self {
        Self {
            principal: Principal::system(job),
            roles: vec!["system".into()],
            administrative: true,
            method: "system",
            ..Self::anonymous(Vec::new())
        }
    }

    /// Whether nobody in particular is acting.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.principal.kind == PrincipalKind::Anonymous
    }

    /// Whether `other` was let in by the same credential, so that what one of them begins the other may go on with. A narrower token of
    /// the same person is another credential. Nobody is the same as nobody: there is no credential to compare.
    #[must_use]
    pub fn came_by_the_same_credential(&self, other: &Self) -> bool {
        let reach = |auth: &Self| {
            (auth.roles.clone(), auth.scopes.clone(), auth.administrative, auth.workspaces.clone())
        };
        !self.is_anonymous()
            && (&self.principal, &self.actors, self.method) == (&other.principal, &other.actors, other.method)
            && (&self.credential, &self.session) == (&other.credential, &other.session)
            && reach(self) == reach(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspaces::WorkspaceScope;

    #[test]
    fn one_credential_is_told_from_every_other_one_of_the_same_person() {
        let auth = AuthContext {
            principal: Principal::of_owner_key("local|usr_1").expect("a key"),
            credential: Some("tok_1".into()),
            roles: vec!["user".into()],
            ..AuthContext::anonymous(Vec::new())
        };
        let later = AuthContext { expires_at_s: Some(7), ..auth.clone() };
        assert!(auth.came_by_the_same_credential(&later), "when it ends is no part of which it is");
        let confined = WorkspaceScope { confined: true, ..WorkspaceScope::default() };
        for (name, other) in [
            ("somebody else", AuthContext { principal: Principal::system("x"), ..auth.clone() }),
            ("another token", AuthContext { credential: Some("tok_2".into()), ..auth.clone() }),
            ("a renewal that reaches less", AuthContext { workspaces: confined, ..auth.clone() }),
            ("fewer scopes", AuthContext { scopes: Some(Vec::new()), ..auth.clone() }),
            ("fewer roles", AuthContext { roles: Vec::new(), ..auth.clone() }),
            ("another way in", AuthContext { method: "api_key", ..auth.clone() }),
        ] {
            assert!(!auth.came_by_the_same_credential(&other), "{name}");
        }
        let nobody = AuthContext::anonymous(Vec::new());
        assert!(!nobody.came_by_the_same_credential(&nobody.clone()));
    }

    #[test]
    fn different_principals_never_share_an_owner_key() {
        let make = |authority: &str, subject: &str| Principal {
            kind: PrincipalKind::User,
            authority: authority.into(),
            subject: subject.into(),
        };
        assert_ne!(make("a|b", "c").owner_key(), make("a", "b|c").owner_key());
        assert_ne!(make("a\\", "|c").owner_key(), make("a", "\\||c").owner_key());
        assert_eq!(make("local", "usr_1").owner_key(), "local|usr_1");
        for (authority, subject) in
            [("a|b", "c"), ("a\\", "|c"), ("local", "usr_1"), ("x/https://i", "s|t\\")]
        {
            let whole = make(authority, subject);
            assert_eq!(Principal::of_owner_key(&whole.owner_key()), Some(whole));
        }
        for none in ["", "|", "a", "a|", "|b", "a\\|b", "a\\"] {
            assert_eq!(Principal::of_owner_key(none), None, "{none}");
        }
    }
}
