//! What a start-up file says of somebody, joined with what Doorward itself knows of the same credential.

use std::sync::Arc;

use super::METHOD;
use super::user::Vouched;
use crate::authn::vouched_roles;
use crate::authz::roles::ANONYMOUS;
use crate::engine::Engine;
use crate::principal::{AuthContext, Descent, Principal, PrincipalKind, Words};
use crate::workspaces::{EVERY, WorkspaceScope, names};

/// The caller. `base` is what Doorward knows of the credential: it only takes away.
pub(super) fn joined(
    engine: &Engine,
    authority: &Arc<str>,
    base: Option<&AuthContext>,
    user: Vouched,
    handle: String,
) -> AuthContext {
    let Vouched { id, roles, is_anonymous, email, parent, expires_at_s, workspaces } = user;
    let shown = |auth: &&AuthContext| names::own(&auth.principal, authority)[names::OWN.len()..] == *id;
    let same = base.filter(shown);
    let principal = match same {
        Some(base) => base.principal.clone(),
        None if is_anonymous => Principal::visitor(&id),
        None => Principal {
            kind: PrincipalKind::User,
            authority: Arc::clone(authority),
            subject: id.as_str().into(),
        },
    };
    let given: Vec<serde_json::Value> = roles.iter().map(|role| role.as_str().into()).collect();
    let words = Words { roles, parent };
    let anonymous = principal.kind == PrincipalKind::Anonymous;
    let decided = if anonymous { vec![ANONYMOUS.into()] } else { vouched_roles(engine, Some(&given)) };
    let workspaces = narrowed(workspaces, base, &names::own(&principal, authority));
    let ends = base.and_then(|base| base.expires_at_s);
    let mut claims: std::collections::BTreeMap<_, _> =
        same.map(|base| base.claims.clone()).unwrap_or_default();
    claims.extend(email.map(|email| ("email".to_owned(), email.into())));
    let administrative = !workspaces.confined && !anonymous && base.is_none_or(|base| base.administrative);
    let expires_at_s = expires_at_s.into_iter().chain(ends).min();
    let words = Some(Arc::new(words));
    // The same holder: a known credential in another spelling, which is renewed and ended as it is.
    if let Some(base) = same {
        let base = base.clone();
        return AuthContext {
            roles: decided,
            administrative,
            expires_at_s,
            claims,
            words,
            workspaces,
            ..base
        };
    }
    AuthContext {
        scopes: base.and_then(|base| base.scopes.clone()),
        method: METHOD,
        credential: Some(handle.into()),
        session: base.and_then(|base| base.session.clone()),
        authenticated_at_s: base.and_then(|base| base.authenticated_at_s),
        expires_at_s,
        administrative,
        claims,
        descent: base.map(descent).unwrap_or_default(),
        words,
        workspaces,
        principal,
        ..AuthContext::anonymous(decided)
    }
}

/// Refuses somebody new whose id is spelled like one of Doorward's own: workspaces and services go by the spelling.
///
/// # Errors
/// The field, and what is wrong with it.
pub(super) fn is_not_ours(
    auth: &AuthContext,
    authority: &Arc<str>,
    base: Option<&AuthContext>,
) -> Result<(), String> {
    let known = base.is_some_and(|base| base.principal == auth.principal);
    let named = auth.principal.kind == PrincipalKind::User && auth.principal.authority == *authority;
    let subject = &*auth.principal.subject;
    let ours = subject == "root" || OURS.iter().any(|prefix| subject.starts_with(prefix));
    if named && ours && !known {
        return Err("id: ids of Doorward's own begin so; give others".to_owned());
    }
    Ok(())
}

/// How the ids of local users and of visitors begin.
const OURS: &[&str] = &["usr_", "anonymouz-"];

/// What the base can be ended by, and when it ends.
fn descent(base: &AuthContext) -> Descent {
    let handles = base.credential.iter().chain(&base.descent.handles).cloned().collect();
    Descent { handles, ends_at_s: base.descent.ends_at_s.or(base.expires_at_s) }
}

/// What is reached. A credential that names one workspace and not its holder's own is for what it names alone.
fn narrowed(said: WorkspaceScope, base: Option<&AuthContext>, own: &str) -> WorkspaceScope {
    let names_own = said.given.contains_key(own) || said.given.contains_key(EVERY);
    let for_one =
        said.current.as_deref().is_some_and(|current| current != own) && !said.given.is_empty() && !names_own;
    let Some(base) = base.map(|base| &base.workspaces) else {
        return WorkspaceScope { confined: for_one, ..said };
    };
    let mut given = said.given;
    if base.confined {
        given.retain(|name, permission| match base.permission(name) {
            Some(most) => {
                *permission = most.min(*permission);
                true
            }
            None => false,
        });
    }
    WorkspaceScope {
        current: base.current.clone().or(said.current),
        client_id: base.client_id.clone().or(said.client_id),
        given,
        extra: said.extra,
        ends_with: base.ends_with.clone(),
        confined: base.confined || for_one,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspaces::Permission::{self, Admin, Read, ReadWrite};

    fn scope(given: &[(&str, Permission)], current: Option<&str>, confined: bool) -> WorkspaceScope {
        WorkspaceScope {
            given: given.iter().map(|(name, permission)| (Arc::from(*name), *permission)).collect(),
            current: current.map(Arc::from),
            confined,
            ..WorkspaceScope::default()
        }
    }

    #[test]
    fn what_doorward_knows_takes_away_and_gives_nothing() {
        let base = AuthContext {
            workspaces: scope(&[("team-a", Read), ("team-b", Admin)], Some("team-a"), true),
            ..AuthContext::anonymous(Vec::new())
        };
        let said =
            scope(&[("team-a", Admin), ("team-b", ReadWrite), ("team-c", Admin)], Some("team-c"), false);
        let joined = narrowed(said, Some(&base), "ws-user-x");
        assert_eq!(joined, scope(&[("team-a", Read), ("team-b", ReadWrite)], Some("team-a"), true));
    }

    #[test]
    fn a_credential_for_one_workspace_is_for_that_one() {
        let own = "ws-user-x";
        for (said, confined) in [
            (scope(&[("api-workspace", Admin)], Some("api-workspace"), false), true),
            (scope(&[("api-workspace", Admin), (own, Admin)], Some("api-workspace"), false), false),
            (scope(&[("*", Admin)], Some("api-workspace"), false), false),
            (scope(&[(own, Admin)], Some(own), false), false),
            (scope(&[("team-a", Read)], None, false), false),
            (scope(&[], None, false), false),
        ] {
            assert_eq!(narrowed(said.clone(), None, own).confined, confined, "{said:?}");
        }
    }
}
