//! `[who.NAME]` of a file of policy tests: callers as authentication would make them.

use std::collections::BTreeMap;

use doorward_core::authz::roles::ANONYMOUS;
use doorward_core::authz::{Roles, scopes};
use doorward_core::principal::{AuthContext, LOCAL, Principal, PrincipalKind};
use doorward_core::workspaces::{Permission, WorkspaceScope};
use serde_json::Value as Json;

use super::Config;
use super::nearest::nearest;
use super::problem::Problem;
use super::section::{Key, Reading, Section};
use super::tree::{Node, Value};

/// Somebody who asks.
pub(super) struct Caller {
    pub(super) auth: AuthContext,
}

const KEYS: &[Key] = &[
    Key::new("anonymous", "false", "Whether nobody shows a credential."),
    Key::optional("roles", "[\"user\"]", "The caller's roles."),
    Key::optional("principal", "\"local|usr_ann\"", "Who it is. Default: local| and the name."),
    Key::optional(
        "issuer",
        "\"company\"",
        "Of [issuers]: its claims then say who it is and which roles count.",
    ),
    Key::optional("claims", "{}", "The claims of the token."),
    Key::optional("scopes", "[\"read\"]", "What the credential is limited to."),
    Key::optional(
        "administrative",
        "true",
        "Whether the credential reaches administrative actions: tokens and admin keys do, user keys do not.",
    ),
    Key::optional("workspaces", "{}", "What the credential was given: r, rw or a, by workspace."),
    Key::new("confined", "false", "Whether that is all that it reaches."),
];

/// Reads every caller.
pub(super) fn read(
    given: Option<&Node>,
    config: &Config,
    roles: &Roles,
    reading: &mut Reading,
) -> BTreeMap<String, Caller> {
    let mut callers = BTreeMap::new();
    let Some(node) = given else { return callers };
    let Value::Table(table) = &node.value else {
        let what = format!("callers are sections, not {}", node.value.kind());
        reading.problems.push(Problem::of("who", what, "write [who.ann]").at(&node.origin));
        return callers;
    };
    for (name, node) in table {
        let section = Section::new(format!("who.{name}"), Some(node), KEYS, reading);
        // One that is wrong is noted, and known all the same: its cases have no fault of their own.
        let auth = caller(name, section, config, roles)
            .unwrap_or_else(|| AuthContext::anonymous(vec![ANONYMOUS.into()]));
        callers.insert(name.clone(), Caller { auth });
    }
    callers
}

fn caller(name: &str, mut section: Section<'_>, config: &Config, roles: &Roles) -> Option<AuthContext> {
    let anonymous = section.boolean("anonymous");
    let limits = match section.is_given("scopes").then(|| section.list("scopes")) {
        None => Some(None),
        Some(list) => list.and_then(|list| match scopes::parse(roles.catalogue(), &list) {
            Ok(scopes) => Some(Some(scopes)),
            Err(error) => {
                section.refuse("scopes", error.public_message(), "docs/reference/actions.md lists actions");
                None
            }
        }),
    };
    let workspaces = workspaces(&mut section);
    let is_issuers = section.is_given("issuer") || section.is_given("claims");
    let auth = match anonymous {
        Some(true) => {
            for key in ["roles", "principal", "issuer", "claims", "administrative"] {
                if section.is_given(key) {
                    section.refuse(key, "nobody shows a credential here", "leave it out, or anonymous");
                }
            }
            Some(AuthContext::anonymous(vec![ANONYMOUS.into()]))
        }
        Some(false) if is_issuers => of_issuer(&mut section, config, roles),
        Some(false) => own(name, &mut section, roles),
        None => None,
    };
    let administrative = section.is_given("administrative").then(|| section.boolean("administrative"));
    section.finish();
    let mut auth = auth?;
    auth.scopes = limits?;
    auth.workspaces = workspaces?;
    if let Some(administrative) = administrative {
        auth.administrative = administrative?;
    }
    Some(auth)
}

/// Somebody who logged in here, or anybody that is described.
fn own(name: &str, section: &mut Section<'_>, roles: &Roles) -> Option<AuthContext> {
    let principal = match section.is_given("principal").then(|| section.text("principal")) {
        None => Some(Principal { kind: PrincipalKind::User, authority: LOCAL.into(), subject: name.into() }),
        Some(text) => text.and_then(|text| {
            let whole = Principal::of_owner_key(&text);
            if whole.is_none() {
                let mend = "write authority|subject, like local|usr_ann";
                section.refuse("principal", format!("{text:?} is nobody"), mend);
            }
            whole
        }),
    };
    if !section.is_given("roles") {
        section.missing("roles");
        return None;
    }
    let given = section.list("roles")?;
    for role in given.iter().filter(|role| !roles.can_be_given(role)) {
        let mend = match nearest(role, roles.names().filter(|name| roles.can_be_given(name))) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("define [roles.{role}] in the configuration, and name that with --config"),
        };
        section.refuse("roles", format!("there is no role {role:?} that anybody can have"), mend);
    }
    let given = given.iter().map(|role| role.as_str().into()).collect();
    Some(AuthContext { principal: principal?, administrative: true, ..AuthContext::anonymous(given) })
}

/// Somebody of whom an issuer's claims say who it is.
fn of_issuer(section: &mut Section<'_>, config: &Config, roles: &Roles) -> Option<AuthContext> {
    for key in ["roles", "principal"] {
        if section.is_given(key) {
            section.refuse(key, "the claims of the issuer say that", "leave it out, or issuer and claims");
        }
    }
    let name = required(section, "issuer")?;
    let Some(issuer) = config.issuers.get(&name) else {
        let mend = match nearest(&name, config.issuers.keys().map(String::as_str)) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("describe [issuers.{name}] in the configuration"),
        };
        section.refuse("issuer", format!("there is no issuer {name:?}"), mend);
        return None;
    };
    if !section.is_given("claims") {
        section.missing("claims");
        return None;
    }
    let claims = section.json("claims")?;
    let Some(subject) = claims.get(&issuer.identity_claim).and_then(Json::as_str) else {
        let what = format!("{} is missing, by which the issuer names people", issuer.identity_claim);
        section.refuse("claims", what, "add it, as a text");
        return None;
    };
    let named = issuer.roles_claim.as_ref().and_then(|claim| claims.get(claim)).and_then(Json::as_array);
    let principal = Principal {
        kind: PrincipalKind::User,
        authority: issuer.name.as_str().into(),
        subject: subject.into(),
    };
    Some(AuthContext {
        principal,
        administrative: issuer.roles_claim.is_some(),
        ..AuthContext::anonymous(roles.vouched(named.map(Vec::as_slice).unwrap_or_default()))
    })
}

fn workspaces(section: &mut Section<'_>) -> Option<WorkspaceScope> {
    let confined = section.boolean("confined");
    let mut scope = WorkspaceScope::default();
    if section.is_given("workspaces") {
        let given = section.json("workspaces")?;
        let Json::Object(given) = given else {
            section.refuse("workspaces", "this is no table", "write { team-a = \"rw\" }");
            return None;
        };
        for (name, permission) in &given {
            match permission.as_str().and_then(Permission::parse) {
                Some(permission) => {
                    scope.given.insert(name.as_str().into(), permission);
                }
                None => {
                    section.refuse(
                        "workspaces",
                        format!("{name}: {permission} is no permission"),
                        "write r, rw or a",
                    );
                    return None;
                }
            }
        }
    }
    scope.confined = confined?;
    Some(scope)
}

/// A text that has to be there.
pub(super) fn required(section: &mut Section<'_>, key: &'static str) -> Option<String> {
    if !section.is_given(key) {
        section.missing(key);
        return None;
    }
    let text = section.text(key)?;
    if text.trim().is_empty() {
        section.refuse(key, "this is empty", format!("say the {key}"));
        return None;
    }
    Some(text)
}
