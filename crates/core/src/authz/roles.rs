//! Roles: names for sets of permissions, each with a reach, inherited along a hierarchy.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::application::{Catalogue, ROLE, RoleName, being};
use super::catalogue::{Access, ActionDef};
use crate::id::MAX_ID_BYTES;

/// Whose resources a permission reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// The principal's own.
    Own,
    /// Anybody's.
    Any,
}

/// A role as configured.
#[derive(Debug, Clone, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct RoleDef {
    /// Roles whose permissions it has too.
    #[serde(default)]
    pub inherits: Vec<String>,
    /// `resource:action` or `resource:*` for one's own resources, with `@any` behind for anybody's, or with
    /// `@MOUNT/ID` behind for one thread of somebody's. A `*` leaves out administrative actions unless `@any` is
    /// behind it.
    #[serde(default)]
    pub permissions: Vec<String>,
}

/// The role of callers without a credential.
pub const ANONYMOUS: &str = "anonymous";
/// The role of people without another one.
pub const USER: &str = "user";
/// The role between.
pub const PREMIUM: &str = "premium";
/// The role that administers.
pub const ADMIN: &str = "admin";
/// The role of Doorward itself; nobody can be given it.
pub const SYSTEM: &str = "system";

/// Why role definitions were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoleError {
    /// Inherits from a role that is not defined.
    #[error("role {role:?} inherits from {parent:?}, which is not defined")]
    UnknownParent {
        /// The role.
        role: String,
        /// What it names.
        parent: String,
    },
    /// Inherits from itself, perhaps through others.
    #[error("role {0:?} inherits from itself")]
    Cycle(String),
    /// A permission that names nothing.
    #[error(
        "role {role:?}: the permission {permission:?} names nothing; \
         use resource:action or resource:*, with @any behind for anybody's resources, or @MOUNT/ID for one thread or area"
    )]
    UnknownPermission {
        /// The role.
        role: String,
        /// What it names.
        permission: String,
    },
    /// One resource is named where an action is aimed at none.
    #[error(
        "role {role:?}: {permission:?} cannot be for one resource; what is done to a single thread or area can: thread:read, \
         :update, :delete, :list, message:*, run:*, graph:invoke, :stream, :stop, :fix, and area:*"
    )]
    NotOfOne {
        /// The role.
        role: String,
        /// What it names.
        permission: String,
    },
    /// More single resources than are kept at hand.
    #[error(
        "role {0:?} names more than 64 single resources for one action; use a role with @any, or several roles"
    )]
    TooMany(String),
    /// A name that cannot be a role's, or that is Doorward's own.
    #[error("{0:?} cannot be a role: 1 to 64 of a-z, 0-9, '-', '_', and not \"system\"")]
    Name(String),
}

/// Most single resources of one role and action: they become conditions of a query.
const MAX_NAMED: usize = 64;

/// What a role gives for one action.
#[derive(Debug, Clone, Default)]
pub(super) struct Held {
    /// Whose resources; `None` when only single ones.
    pub(super) reach: Option<Reach>,
    /// Single resources of whomever: mount and id.
    named: BTreeSet<(Arc<str>, Arc<str>)>,
}

impl Held {
    /// The ids of the single resources it gives in a mount.
    pub(super) fn named<'h>(&'h self, mount: &'h str) -> impl Iterator<Item = &'h str> {
        self.named.iter().filter(move |(at, _)| **at == *mount).map(|(_, id)| &**id)
    }
}

type Grants = HashMap<(&'static str, &'static str), Held>;

/// What the role itself gives, and roles that inherit from it: being of it.
static BEING: Held = Held { reach: Some(Reach::Any), named: BTreeSet::new() };

/// A role with everything inherited worked out.
#[derive(Debug, Clone, Default)]
struct Known {
    grants: Grants,
    /// Itself and what it inherits from.
    is_a: BTreeSet<Arc<str>>,
    /// Whether it reaches any administrative action.
    administrative: bool,
}

impl Known {
    fn held(&self, action: &ActionDef) -> Option<&Held> {
        if action.resource == ROLE {
            return self.is_a.contains(action.name).then_some(&BEING);
        }
        self.grants.get(&(action.resource, action.name))
    }
}

/// The roles there are, with everything inherited worked out.
#[derive(Debug, Clone)]
pub struct Roles {
    by_name: BTreeMap<Arc<str>, Known>,
    catalogue: Catalogue,
}

/// The roles without configuration: admin > premium > user, and what callers without a credential may do.
#[must_use]
pub fn defaults() -> BTreeMap<String, RoleDef> {
    let role = |inherits: &[&str], permissions: &[&str]| RoleDef {
        inherits: inherits.iter().map(|&text| text.to_owned()).collect(),
        permissions: permissions.iter().map(|&text| text.to_owned()).collect(),
    };
    BTreeMap::from([
        (
            ANONYMOUS.to_owned(),
            role(
                &[],
                &[
                    "user:sign_up",
                    "session:login",
                    "login:begin",
                    "token:refresh",
                    "token:surrender",
                    "service:ping",
                    "workspace:read",
                    "workspace:use",
                    "workspace:manage",
                    "workspace:token",
                    "hub_service:*",
                    "artifact:read",
                    "artifact:list",
                ],
            ),
        ),
        (
            USER.to_owned(),
            role(
                &[ANONYMOUS],
                &[
                    "user:*",
                    "session:*",
                    "identity:*",
                    "token:*",
                    "api_key:*",
                    "thread:*",
                    "message:*",
                    "run:*",
                    "assistant:*",
                    "cron:*",
                    "graph:*",
                    "store:*",
                    "file:*",
                    "service:*",
                    "workspace:*",
                    "hub_service:*",
                    "artifact:*",
                    "feature:basic",
                ],
            ),
        ),
        (PREMIUM.to_owned(), role(&[USER], &["feature:premium"])),
        (ADMIN.to_owned(), role(&[PREMIUM], &["*@any"])),
    ])
}

impl Roles {
    /// Works the definitions out, over Doorward's own actions. A definition of a default role's name replaces the default.
    ///
    /// # Errors
    /// [`RoleError`].
    pub fn new(configured: &BTreeMap<String, RoleDef>) -> Result<Self, RoleError> {
        Self::over(Catalogue::default(), configured)
    }

    /// As [`Roles::new`], over these actions.
    ///
    /// # Errors
    /// [`RoleError`].
    pub fn over(catalogue: Catalogue, configured: &BTreeMap<String, RoleDef>) -> Result<Self, RoleError> {
        let mut all = defaults();
        for (name, role) in configured {
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
            if name == SYSTEM || name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
                return Err(RoleError::Name(name.clone()));
            }
            all.insert(name.clone(), role.clone());
        }
        let mut by_name = BTreeMap::new();
        for name in all.keys() {
            let mut known = Known::default();
            collect((&all, &catalogue), name, name, &mut Vec::new(), &mut known)?;
            by_name.insert(name.as_str().into(), known);
        }
        let any = || Held { reach: Some(Reach::Any), named: BTreeSet::new() };
        let grants = catalogue.actions().iter().map(|a| ((a.resource, a.name), any())).collect();
        let is_a: BTreeSet<Arc<str>> = by_name.keys().cloned().chain([SYSTEM.into()]).collect();
        by_name.insert(SYSTEM.into(), Known { grants, is_a: is_a.clone(), administrative: true });
        Ok(Self { by_name, catalogue: catalogue.of_roles(is_a.into_iter()) })
    }

    /// Every action that they can be about.
    #[must_use]
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The action of being of a role, or of one that inherits from it; `None` where there is no such role.
    #[must_use]
    pub fn being<R: RoleName>(&self) -> Option<&'static ActionDef> {
        self.by_name.get(R::NAME).map(|known| being::<R>(known.administrative))
    }

    /// What each of these roles gives for an action. Unknown roles give nothing.
    pub(super) fn held<'r>(
        &'r self,
        roles: &'r [Arc<str>],
        action: &'r ActionDef,
    ) -> impl Iterator<Item = &'r Held> {
        roles.iter().filter_map(|role| self.by_name.get(role)?.held(action))
    }

    /// How far these roles reach with an action, single resources apart.
    #[must_use]
    pub fn reach(&self, roles: &[Arc<str>], action: &ActionDef) -> Option<Reach> {
        roles.iter().filter_map(|role| self.by_name.get(role)?.held(action)?.reach).max()
    }

    /// Whether a person can be given this role.
    #[must_use]
    pub fn can_be_given(&self, role: &str) -> bool {
        role != SYSTEM && role != ANONYMOUS && self.by_name.contains_key(role)
    }

    /// The roles of somebody of whom another one who may vouch says these: those that are defined here, beside the one that everybody has.
    #[must_use]
    pub fn vouched(&self, named: &[Value]) -> Vec<Arc<str>> {
        let known = |role: &&str| self.can_be_given(role) && *role != USER;
        let named = named.iter().filter_map(Value::as_str).filter(known).take(32);
        std::iter::once(USER).chain(named).map(Arc::from).collect()
    }

    /// Every role's name, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(|name| &**name)
    }
}

fn collect(
    (all, catalogue): (&BTreeMap<String, RoleDef>, &Catalogue),
    role: &str,
    name: &str,
    path: &mut Vec<String>,
    known: &mut Known,
) -> Result<(), RoleError> {
    if path.iter().any(|seen| seen == name) {
        return Err(RoleError::Cycle(role.to_owned()));
    }
    let Some(definition) = all.get(name) else {
        let child = path.last().cloned().unwrap_or_else(|| role.to_owned());
        return Err(RoleError::UnknownParent { role: child, parent: name.to_owned() });
    };
    for permission in &definition.permissions {
        let unknown =
            || RoleError::UnknownPermission { role: name.to_owned(), permission: permission.clone() };
        let (pattern, scope) = match permission.split_once('@') {
            None => (permission.as_str(), Scope::Reach(Reach::Own)),
            Some((pattern, "any")) => (pattern, Scope::Reach(Reach::Any)),
            Some((pattern, one)) => match one.split_once('/') {
                Some((mount, id)) if !mount.is_empty() && !id.is_empty() && id.len() <= MAX_ID_BYTES => {
                    (pattern, Scope::One(mount.into(), id.into()))
                }
                _ => return Err(unknown()),
            },
        };
        let mut named =
            catalogue.actions().iter().filter(|action| matches_pattern(pattern, &scope, action)).peekable();
        if named.peek().is_none() {
            return Err(unknown());
        }
        let mut is_given = false;
        for action in named {
            known.administrative |= action.access == Access::Admin;
            let held = known.grants.entry((action.resource, action.name)).or_default();
            match &scope {
                Scope::Reach(reach) => held.reach = held.reach.max(Some(*reach)),
                Scope::One(..) if !action.is_of_one() => continue,
                Scope::One(mount, id) => {
                    held.named.insert((Arc::clone(mount), Arc::clone(id)));
                    if held.named.len() > MAX_NAMED {
                        return Err(RoleError::TooMany(role.to_owned()));
                    }
                }
            }
            is_given = true;
        }
        if !is_given {
            let permission = permission.clone();
            return Err(RoleError::NotOfOne { role: name.to_owned(), permission });
        }
    }
    known.is_a.insert(name.into());
    path.push(name.to_owned());
    for parent in &definition.inherits {
        collect((all, catalogue), role, parent, path, known)?;
    }
    path.pop();
    Ok(())
}

/// What stands behind a permission's `@`.
enum Scope {
    Reach(Reach),
    One(Arc<str>, Arc<str>),
}

fn matches_pattern(pattern: &str, scope: &Scope, action: &ActionDef) -> bool {
    // A star for one's own resources must not hand out administration by accident.
    let star_reaches = matches!(scope, Scope::Reach(Reach::Any)) || action.access != Access::Admin;
    match pattern.split_once(':') {
        None => pattern == "*" && star_reaches,
        Some((resource, "*")) => resource == action.resource && star_reaches,
        Some((resource, name)) => resource == action.resource && name == action.name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authz::catalogue;

    fn define(roles: &[(&str, &[&str], &[&str])]) -> Result<Roles, RoleError> {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        Roles::new(
            &roles
                .iter()
                .map(|(name, inherits, permissions)| {
                    let role = RoleDef { inherits: owned(inherits), permissions: owned(permissions) };
                    ((*name).to_owned(), role)
                })
                .collect(),
        )
    }

    #[test]
    fn definitions_that_name_nothing_or_go_round_are_refused() {
        assert!(matches!(define(&[("a", &["b"], &[])]), Err(RoleError::UnknownParent { .. })));
        assert!(matches!(define(&[("a", &["b"], &[]), ("b", &["a"], &[])]), Err(RoleError::Cycle(_))));
        assert!(matches!(define(&[("a", &[], &["thread:fly"])]), Err(RoleError::UnknownPermission { .. })));
        for permission in [
            "thread:fly@native/t",
            "thread:read@native",
            "thread:read@/t",
            "thread:read@native/",
            "@native/t",
        ] {
            assert!(matches!(define(&[("a", &[], &[permission])]), Err(RoleError::UnknownPermission { .. })));
        }
        for permission in
            ["thread:create@native/t", "user:read@native/usr_a", "graph:read@native/t", "store:*@m/t"]
        {
            assert!(
                matches!(define(&[("a", &[], &[permission])]), Err(RoleError::NotOfOne { .. })),
                "{permission}"
            );
        }
        let many: Vec<String> = (0..=MAX_NAMED).map(|n| format!("run:read@native/t{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(define(&[("a", &[], &many[1..])]).is_ok());
        assert!(matches!(define(&[("a", &[], &many)]), Err(RoleError::TooMany(_))));
        assert!(matches!(define(&[("system", &[], &[])]), Err(RoleError::Name(_))));
        assert!(matches!(define(&[("Big Boss", &[], &[])]), Err(RoleError::Name(_))));
    }

    #[test]
    fn a_configured_role_has_what_it_inherits_and_the_wider_reach_wins() {
        let roles = define(&[("support", &["user"], &["thread:read@any"])]).expect("good");
        let reach = |resource, name| {
            let action = catalogue::find(resource, name).expect("there");
            roles.held(&["support".into(), "unheard-of".into()], action).filter_map(|held| held.reach).max()
        };
        assert_eq!(reach("thread", "read"), Some(Reach::Any));
        assert_eq!(reach("thread", "delete"), Some(Reach::Own));
        assert_eq!(reach("user", "administer"), None);
        assert!(
            !roles.can_be_given(SYSTEM) && !roles.can_be_given(ANONYMOUS) && roles.can_be_given("support")
        );
    }

    #[test]
    fn single_threads_are_inherited_and_a_star_names_what_is_done_to_one() {
        let roles = define(&[
            ("reader", &[], &["thread:*@flow/a/b@c"]),
            ("editor", &["reader"], &["run:*@native/t"]),
        ])
        .expect("good");
        let named = |resource, name, mount| {
            let action = catalogue::find(resource, name).expect("there");
            let editor = ["editor".into()];
            let ids = roles.held(&editor, action).flat_map(|held| held.named(mount));
            ids.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(named("thread", "read", "flow"), ["a/b@c"]);
        assert_eq!(named("run", "create", "native"), ["t"]);
        assert!(named("thread", "read", "native").is_empty() && named("thread", "create", "flow").is_empty());
    }
}
