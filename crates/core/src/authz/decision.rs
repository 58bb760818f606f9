//! The one function that decides.

use super::catalogue::{Access, ActionDef};
use super::filter::Filter;
use super::roles::{Reach, Roles};
use super::scopes;
use crate::error::{Error, codes};
use crate::principal::AuthContext;
use crate::workspaces::EVERY;

/// What an action is aimed at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Target<'a> {
    /// The resource's id, for the audit log.
    pub id: Option<&'a str>,
    /// Who owns it ([`crate::principal::Principal::owner_key`]), where that is known before the act. Where it is
    /// not, the permit's filter goes into the query.
    pub owner: Option<&'a str>,
    /// The mount it is asked through: ids are unique within one.
    pub mount: &'a str,
}

impl<'a> Target<'a> {
    /// Something new, or a list, or whatever the query finds.
    #[must_use]
    pub fn any() -> Self {
        Self::default()
    }

    /// A resource to be found by a filtered query.
    #[must_use]
    pub fn named(id: &'a str) -> Self {
        Self { id: Some(id), ..Self::default() }
    }

    /// A resource whose owner is known.
    #[must_use]
    pub fn owned(id: &'a str, owner: &'a str) -> Self {
        Self { id: Some(id), owner: Some(owner), ..Self::default() }
    }

    /// The same, asked through a mount.
    #[must_use]
    pub fn through(self, mount: &'a str) -> Self {
        Self { mount, ..self }
    }
}

/// Why not, and how much of it to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// Nobody asked, and nobody may: come back with a credential.
    Unauthenticated,
    /// The credential's scopes do not cover the action.
    Scope,
    /// The credential is for workspaces that it names, and this is nothing in them.
    Confined,
    /// An administrative action with a credential that never reaches one.
    NotAdministrative,
    /// No role allows the action.
    Role,
    /// Somebody else's: answered like what does not exist.
    Owner,
}

impl Denial {
    /// Every one, in the order in which they are looked for.
    pub const ALL: [Self; 6] = [
        Self::Unauthenticated,
        Self::Scope,
        Self::Confined,
        Self::NotAdministrative,
        Self::Role,
        Self::Owner,
    ];

    /// The rule, for the audit log.
    #[must_use]
    pub fn rule(self) -> &'static str {
        match self {
            Self::Unauthenticated => "no credential",
            Self::Scope => "scope",
            Self::Confined => "credential is for a workspace",
            Self::NotAdministrative => "credential is not administrative",
            Self::Role => "role",
            Self::Owner => "owner",
        }
    }
}

impl From<Denial> for Error {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Unauthenticated => Self::new(codes::CREDENTIALS_MISSING),
            Denial::Scope | Denial::Confined => Self::new(codes::SCOPE_MISSING),
            Denial::NotAdministrative | Denial::Role => Self::new(codes::FORBIDDEN),
            Denial::Owner => Self::new(codes::NOT_FOUND),
        }
        .operator(denial.rule())
        .by_rule(denial.rule())
    }
}

/// Whether `auth` may do `action` to `target`, and if so to which resources.
///
/// The order matters: everything that says "forbidden" comes before the owner is looked at, so that a refusal
/// never tells whether somebody else's resource exists.
///
/// # Errors
/// [`Denial`].
pub fn decide(
    roles: &Roles,
    auth: &AuthContext,
    action: &'static ActionDef,
    target: Target<'_>,
) -> Result<Filter, Denial> {
    // 1. The credential's own limits.
    if auth.scopes.as_deref().is_some_and(|limits| !scopes::cover(limits, action)) {
        return Err(Denial::Scope);
    }
    let workspaces = &auth.workspaces;
    let needed = action.permission_needed().filter(|_| action.is_of_a_workspace());
    let elsewhere = needed.is_none() && !action.is_for_the_confined();
    if workspaces.confined && (elsewhere || action.outlives_its_credential()) {
        return Err(Denial::Confined);
    }
    // 2. What only administrative credentials reach.
    if action.access == Access::Admin && !auth.administrative {
        return Err(if auth.is_anonymous() { Denial::Unauthenticated } else { Denial::NotAdministrative });
    }
    // 3. What the roles allow.
    let (mut reach, mut named) = (None, Vec::new());
    for held in roles.held(&auth.roles, action) {
        reach = reach.max(held.reach);
        named.extend(held.named(target.mount).map(str::to_owned));
    }
    if reach.is_none() && named.is_empty() {
        return Err(if auth.is_anonymous() { Denial::Unauthenticated } else { Denial::Role });
    }
    // 4. An administrator's everyday credential reaches the administrator's own things, and one for workspaces what it was given.
    if !auth.administrative || workspaces.confined {
        reach = reach.map(|_| Reach::Own);
    }
    if let Some(needed) = needed {
        let given = || workspaces.given.iter().filter(|(_, permission)| permission.includes(needed));
        if auth.administrative && given().any(|(name, _)| **name == *EVERY) {
            reach = Some(Reach::Any);
        }
        named.extend(given().map(|(name, _)| name.to_string()));
    }
    if reach == Some(Reach::Any) {
        return Ok(Filter::Everything);
    }
    // 5. Whose it is, or whether it is one that a role or the credential names.
    let own = reach.filter(|_| needed.is_none() || !workspaces.confined).map(|_| auth.principal.owner_key());
    if let Some(owner) = target.owner
        && own.as_deref() != Some(owner)
        && !target.id.is_some_and(|id| named.iter().any(|one| one == id))
    {
        return Err(Denial::Owner);
    }
    Ok(match own {
        Some(own) if named.is_empty() => Filter::owned_by(&own),
        Some(own) => Filter::Or(vec![Filter::owned_by(&own), Filter::Named(named)]),
        None => Filter::Named(named),
    })
}

#[cfg(test)]
mod tests;
