//! `[roles.NAME]`: what people are, beyond the built-in admin > premium > user.

use std::collections::{BTreeMap, BTreeSet};

use doorward_core::authz::Roles;
use doorward_core::authz::roles::RoleDef;

use super::mounts::Mount;
use super::nearest::nearest;
use super::problem::Problem;
use super::section::{Key, Reading, Section};
use super::tree::{Node, Value};

/// The built-in roles.
pub const BUILTIN_ROLES: [&str; 4] = ["admin", "premium", "user", "anonymous"];

/// One role of the operator's, or a change of a built-in one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Roles whose permissions it has as well.
    pub inherits: Vec<String>,
    /// What it allows: `resource:action` or `resource:*` for one's own, with `@any` behind for anybody's, or with
    /// `@MOUNT/ID` for one thread of somebody's.
    pub permissions: Vec<String>,
}

pub(super) const KEYS: &[Key] = &[
    Key::new("inherits", "[]", "Roles whose permissions it has as well."),
    Key::new(
        "permissions",
        "[]",
        "What it allows: resource:action or resource:* for one's own; with @any behind, for anybody's; with @MOUNT/ID, for one thread of whomever.",
    ),
];

/// Reads every role the operator names.
pub(super) fn read(given: Option<&Node>, reading: &mut Reading) -> Option<BTreeMap<String, Role>> {
    let mut roles = BTreeMap::new();
    let Some(node) = given else { return Some(roles) };
    let Value::Table(table) = &node.value else {
        let what = format!("roles are sections, not {}", node.value.kind());
        reading.problems.push(Problem::of("roles", what, "write [roles.editor]").at(&node.origin));
        return None;
    };
    for (name, node) in table {
        let section = Section::new(format!("roles.{name}"), Some(node), KEYS, reading);
        if let Some(role) = Role::read(section) {
            roles.insert(name.clone(), role);
        }
    }
    check_inheritance(&roles, reading);
    check_permissions(&roles, reading);
    (roles.len() == table.len()).then_some(roles)
}

impl Role {
    fn read(mut section: Section<'_>) -> Option<Self> {
        let inherits = section.list("inherits");
        let permissions = section.list("permissions");
        section.finish();
        Some(Self { inherits: inherits?, permissions: permissions? })
    }
}

fn check_inheritance(roles: &BTreeMap<String, Role>, reading: &mut Reading) {
    let known: BTreeSet<&str> = roles.keys().map(String::as_str).chain(BUILTIN_ROLES).collect();
    for (name, role) in roles {
        for parent in role.inherits.iter().filter(|parent| !known.contains(parent.as_str())) {
            let mend = match nearest(parent, known.iter().copied()) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("define [roles.{parent}], or inherit one of {BUILTIN_ROLES:?}"),
            };
            let what = format!("there is no role {parent:?}");
            reading.problems.push(Problem::of(format!("roles.{name}.inherits"), what, mend));
        }
        if reaches(roles, name, name, &mut BTreeSet::new()) {
            reading.problems.push(Problem::of(
                format!("roles.{name}.inherits"),
                "the role inherits itself",
                "break the circle",
            ));
        }
    }
}

/// What the engine would say of names and permissions, said here so that `config check` says it too.
fn check_permissions(roles: &BTreeMap<String, Role>, reading: &mut Reading) {
    for (name, role) in roles {
        let alone = RoleDef { inherits: Vec::new(), permissions: role.permissions.clone() };
        if let Err(error) = Roles::over(reading.catalogue.clone(), &BTreeMap::from([(name.clone(), alone)])) {
            let mend =
                "write permissions like thread:read, thread:*, thread:read@any or thread:read@native/thr_…";
            reading.problems.push(Problem::of(format!("roles.{name}"), error.to_string(), mend));
        }
    }
}

/// Notes mounts that permissions name and nobody describes.
pub(super) fn know_mounts(
    roles: Option<&BTreeMap<String, Role>>,
    mounts: Option<&[Mount]>,
    reading: &mut Reading,
) {
    let (Some(roles), Some(mounts)) = (roles, mounts) else { return };
    let known = || mounts.iter().map(|mount| mount.name.as_str());
    for (name, role) in roles {
        for permission in &role.permissions {
            let one = permission.split_once('@').and_then(|(_, one)| one.split_once('/'));
            let Some((mount, _)) = one else { continue };
            if known().any(|there| there == mount) {
                continue;
            }
            let mend = match nearest(mount, known()) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("known: {}", known().collect::<Vec<_>>().join(", ")),
            };
            let what = format!("{permission:?}: there is no mount {mount:?}");
            reading.problems.push(Problem::of(format!("roles.{name}.permissions"), what, mend));
        }
    }
}

fn reaches<'r>(
    roles: &'r BTreeMap<String, Role>,
    from: &str,
    to: &str,
    seen: &mut BTreeSet<&'r str>,
) -> bool {
    roles.get(from).is_some_and(|role| {
        role.inherits
            .iter()
            .any(|parent| parent == to || (seen.insert(parent) && reaches(roles, parent, to, seen)))
    })
}
