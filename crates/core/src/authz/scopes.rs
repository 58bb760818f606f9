//! What a credential is limited to.
//!
//! A scope only ever takes away: it never gives what the principal's roles do not. Spellings: `read`, `write`
//! (everything of that reach except administrative actions), `resource:*`, `resource:action`, and `*` (no limit).

use std::sync::Arc;

use super::application::Catalogue;
use super::catalogue::{Access, ActionDef};
use crate::error::{Error, Result, codes};

/// Most scopes on one credential.
pub const MAX_SCOPES: usize = 64;

/// Whether any of these scopes covers the action.
#[must_use]
pub fn cover(scopes: &[Arc<str>], action: &ActionDef) -> bool {
    scopes.iter().any(|scope| covers(scope, (action.resource, action.name, action.access)))
}

fn covers(scope: &str, (resource, name, access): (&str, &str, Access)) -> bool {
    match scope {
        "*" => true,
        "read" => access == Access::Read,
        "write" => access == Access::Write,
        _ => match scope.split_once(':') {
            Some((of, "*")) => of == resource,
            Some((of, one)) => of == resource && one == name,
            None => false,
        },
    }
}

/// Checks that every scope names something that there is, sorts them and removes repetitions.
///
/// # Errors
/// `unknown_scope`, naming it; `bad_field` for none or too many.
pub fn parse(
    catalogue: &Catalogue,
    scopes: impl IntoIterator<Item = impl AsRef<str>>,
) -> Result<Vec<Arc<str>>> {
    let mut known: Vec<Arc<str>> = Vec::new();
    for scope in scopes {
        let scope = scope.as_ref();
        let names_something = match scope {
            "*" | "read" | "write" => true,
            _ => scope.contains(':') && catalogue.named().any(|action| covers(scope, action)),
        };
        if !names_something {
            let shown: String = scope.chars().take(64).collect();
            return Err(Error::new(codes::UNKNOWN_SCOPE).message(format!(
                "The scope {shown:?} names nothing. Use read, write, *, resource:* or resource:action."
            )));
        }
        known.push(scope.into());
    }
    known.sort_unstable();
    known.dedup();
    if known.is_empty() || known.len() > MAX_SCOPES {
        return Err(
            Error::new(codes::BAD_FIELD).message(format!("scopes: between 1 and {MAX_SCOPES} are needed."))
        );
    }
    Ok(known)
}

/// Whether `inner` allows nothing that `outer` does not. `None` is no limit.
#[must_use]
pub fn within(catalogue: &Catalogue, inner: &[Arc<str>], outer: Option<&[Arc<str>]>) -> bool {
    let Some(outer) = outer else { return true };
    let cover = |scopes: &[Arc<str>], action| scopes.iter().any(|scope| covers(scope, action));
    catalogue.named().all(|action| !cover(inner, action) || cover(outer, action))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authz::catalogue;
    use crate::authz::roles::Roles;

    fn scopes(texts: &[&str]) -> Vec<Arc<str>> {
        texts.iter().map(|text| Arc::from(*text)).collect()
    }

    #[test]
    fn a_scope_covers_exactly_what_it_names() {
        let find = |resource, name| catalogue::find(resource, name).expect("in the catalogue");
        for (scope, resource, name, covered) in [
            ("read", "thread", "read", true),
            ("read", "thread", "create", false),
            ("read", "audit", "read", false),
            ("write", "thread", "create", true),
            ("write", "user", "administer", false),
            ("thread:*", "thread", "delete", true),
            ("thread:*", "message", "read", false),
            ("thread:read", "thread", "list", false),
            ("*", "user", "administer", true),
            ("", "thread", "read", false),
        ] {
            assert_eq!(
                cover(&scopes(&[scope]), find(resource, name)),
                covered,
                "{scope} on {resource}:{name}"
            );
        }
    }

    #[test]
    fn unknown_scopes_are_refused_and_known_ones_put_in_order() {
        for unknown in ["", "admin", "thread", "thread:", ":read", "thread:fly", "threads:*", "* ", "READ"] {
            assert!(parse(&Catalogue::default(), [unknown]).is_err(), "{unknown:?}");
        }
        assert!(parse(&Catalogue::default(), [] as [&str; 0]).is_err());
        assert_eq!(
            parse(&Catalogue::default(), ["write", "read", "write"]).expect("known"),
            scopes(&["read", "write"])
        );
    }

    #[test]
    fn scopes_handed_on_never_grow() {
        let roles = Roles::new(&Default::default()).expect("the defaults");
        let within = |inner: &[Arc<str>], outer: &Option<Vec<Arc<str>>>| {
            within(roles.catalogue(), inner, outer.as_deref())
        };
        let outer = Some(scopes(&["thread:*", "read"]));
        assert!(within(&scopes(&["thread:create"]), &outer));
        assert!(!within(&scopes(&["write"]), &outer));
        assert!(!within(&scopes(&["*"]), &outer));
        assert!(within(&scopes(&["*"]), &None));
        assert!(!within(&scopes(&["role:admin"]), &outer), "being of a role is an action too");
        assert!(!within(&scopes(&["role:admin"]), &Some(scopes(&["write"]))), "an administrative one");
        assert!(within(&scopes(&["role:user"]), &Some(scopes(&["role:*"]))));
    }
}
