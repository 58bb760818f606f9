//! `[areas.NAME]`: parts of sites behind a proxy that asks before it lets a request through; `[forward_auth]`: what it is told.

use std::collections::BTreeMap;

use doorward_core::authz::areas::{Area, Areas, MAX_AREAS, host_of};
use doorward_protocols::path::canonical;
use doorward_server::{ForwardAuth, ForwardedNames};

use super::mounts::{Mount, SurfaceKind};
use super::nearest::nearest;
use super::problem::Problem;
use super::roles::{BUILTIN_ROLES, Role};
use super::section::{Key, Reading, Section};
use super::server::base_url;
use super::tree::{Node, Value};

/// The areas, and who enters them.
#[derive(Debug, Clone, Default)]
pub struct SiteAreas {
    /// Where each is.
    pub areas: Areas,
    /// The roles that enter each, by the area's name; others may name it in their permissions.
    pub roles: BTreeMap<String, Vec<String>>,
}

pub(super) const KEYS: &[Key] = &[
    Key::optional(
        "prefixes",
        "[\"/reports\"]",
        "Where it begins: paths of whole segments, such as /reports. Of several areas the deepest counts.",
    ),
    Key::new(
        "methods",
        "[]",
        "Methods that lead into it; all if empty. What no area names is let through for nobody.",
    ),
    Key::optional("host", "\"app.example.com\"", "The one host it is on, without a port. Default: any."),
    Key::new(
        "roles",
        "[]",
        "Who enters, with whoever inherits from them; anonymous lets everybody in. A role of yours may also name area:read@native/NAME and area:write@native/NAME.",
    ),
];

/// Reads every area the operator names.
pub(super) fn read(given: Option<&Node>, reading: &mut Reading) -> Option<SiteAreas> {
    let Some(node) = given else { return Some(SiteAreas::default()) };
    let Value::Table(table) = &node.value else {
        let what = format!("areas are sections, not {}", node.value.kind());
        reading.problems.push(Problem::of("areas", what, "write [areas.reports]").at(&node.origin));
        return None;
    };
    if table.len() > MAX_AREAS {
        let what = format!("there are {} areas", table.len());
        let mend = format!("write at most {MAX_AREAS}; one area may have several prefixes");
        reading.problems.push(Problem::of("areas", what, mend).at(&node.origin));
        return None;
    }
    let (mut areas, mut roles) = (Vec::new(), BTreeMap::new());
    for (name, node) in table {
        let section = Section::new(format!("areas.{name}"), Some(node), KEYS, reading);
        if let Some((area, of_area)) = read_area(name, section) {
            areas.push(area);
            roles.insert(name.clone(), of_area);
        }
    }
    if areas.len() < table.len() {
        return None;
    }
    match Areas::new(areas) {
        Ok(areas) => Some(SiteAreas { areas, roles }),
        Err(clash) => {
            let mend = "give them different methods, hosts or prefixes";
            reading.problems.push(Problem::of("areas", clash.to_string(), mend).at(&node.origin));
            None
        }
    }
}

fn read_area(name: &str, mut section: Section<'_>) -> Option<(Area, Vec<String>)> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    let is_name = (1..=64).contains(&name.len()) && name.bytes().all(plain);
    if !is_name {
        section.refuse("prefixes", format!("{name:?} cannot be an area"), "use 1 to 64 of a-z, 0-9, - and _");
    }
    if !section.is_given("prefixes") {
        section.missing("prefixes");
    }
    let prefixes = section.list("prefixes").and_then(|texts| {
        let paths = texts.iter().map(|text| {
            let trimmed = if text.len() > 1 { text.trim_end_matches('/') } else { text };
            canonical(trimmed.as_bytes()).map_err(|error| (text.clone(), error))
        });
        match paths.collect::<Result<Vec<_>, _>>() {
            Ok(paths) if !paths.is_empty() => Some(paths),
            Ok(_) => {
                section.refuse("prefixes", "the area begins nowhere", "write prefixes = [\"/reports\"]");
                None
            }
            Err((text, error)) => {
                section.refuse("prefixes", format!("{text:?}: {error}"), "write it like /reports");
                None
            }
        }
    });
    let methods = section.list("methods").and_then(|methods| {
        let odd = methods
            .iter()
            .find(|method| method.is_empty() || !method.bytes().all(|b| b.is_ascii_uppercase() || b == b'-'));
        if let Some(odd) = odd {
            section.refuse("methods", format!("{odd:?} is no method"), "write methods in capitals, like GET");
            return None;
        }
        Some(methods)
    });
    let host = match section.is_given("host").then(|| section.text("host")) {
        None => Some(None),
        Some(None) => None,
        Some(Some(text)) => {
            let host = host_of(&text).filter(|host| host.len() == text.len());
            if host.is_none() {
                section.refuse("host", format!("{text:?} is no host"), "write it like app.example.com");
            }
            host.map(|host| Some(host.into_owned()))
        }
    };
    let roles = section.list("roles");
    section.finish();
    let area = Area { name: name.to_owned(), host: host?, prefixes: prefixes?, methods: methods? };
    Some((area, roles?)).filter(|_| is_name)
}

/// Notes roles that nobody defines, and what would let strangers answer the questions.
pub(super) fn check(
    areas: Option<&SiteAreas>,
    roles: Option<&BTreeMap<String, Role>>,
    mounts: Option<&[Mount]>,
    reading: &mut Reading,
) {
    let (Some(areas), Some(roles), Some(mounts)) = (areas, roles, mounts) else { return };
    if areas.areas.is_empty() {
        return;
    }
    let known = || roles.keys().map(String::as_str).chain(BUILTIN_ROLES);
    for (name, of_area) in &areas.roles {
        for role in of_area.iter().filter(|role| known().all(|there| there != role.as_str())) {
            let mend = match nearest(role, known()) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("define [roles.{role}]"),
            };
            let what = format!("there is no role {role:?}");
            reading.problems.push(Problem::of(format!("areas.{name}.roles"), what, mend));
        }
    }
    let native = |mount: &&Mount| mount.surface == SurfaceKind::Native && mount.trusted_header.is_some();
    for mount in mounts.iter().filter(native) {
        let key = format!("mounts.{}.trusted_header", mount.name);
        let what = "a proxy that asks about areas hands on its clients' headers, this one among them";
        reading.problems.push(Problem::of(key, what, "leave it out, or the areas"));
    }
}

pub(super) const FORWARD_AUTH_KEYS: &[Key] = &[
    Key::new(
        "subject_header",
        "\"X-Auth-Subject\"",
        "The answer's header with the caller's id; empty for nobody in particular.",
    ),
    Key::new(
        "principal_header",
        "\"X-Auth-Principal\"",
        "The header with who vouches for it before the id: authority|subject.",
    ),
    Key::new("roles_header", "\"X-Auth-Roles\"", "The header with the caller's roles, separated by commas."),
    Key::optional(
        "login_url",
        "\"/v1/login/google\"",
        "Where browsers without a credential are sent, with return_to: a path of the site, or an address. Not behind nginx, which has error_page for that. Default: 401.",
    ),
    Key::new(
        "return_origins",
        "[]",
        "Origins that return_to may lead back to where login_url is an address, such as https://app.example.com.",
    ),
];

/// Reads what a proxy is told.
pub(super) fn read_forward_auth(mut section: Section<'_>) -> Option<ForwardedNames> {
    let mut header = |key: &'static str| {
        let text = section.text(key)?;
        let name = ForwardAuth::header(&text);
        if name.is_none() {
            section.refuse(
                key,
                format!("{text:?} cannot be it"),
                "write a name that begins with X-, like X-Auth-Subject",
            );
        }
        name
    };
    let (subject, principal, roles) =
        (header("subject_header"), header("principal_header"), header("roles_header"));
    let same = subject.is_some() && (subject == principal || subject == roles);
    if same || (principal.is_some() && principal == roles) {
        section.refuse(
            "subject_header",
            "two of the headers have one name".to_owned(),
            "give subject_header, principal_header and roles_header a name each",
        );
        return None;
    }
    let login_url = match section.is_given("login_url").then(|| section.text("login_url")) {
        None => Some(None),
        Some(None) => None,
        Some(Some(text)) => {
            let is_path = canonical(text.as_bytes()).is_ok();
            if !is_path && base_url(&text).is_none() {
                section.refuse(
                    "login_url",
                    format!("{text:?} leads nowhere"),
                    "write a path like /v1/login/google or an address, without query and fragment",
                );
            }
            (is_path || base_url(&text).is_some()).then_some(Some(text))
        }
    };
    let return_origins = section.list("return_origins").and_then(|origins| {
        let odd = origins.iter().find(|origin| {
            base_url(origin).is_none_or(|base| base != **origin || base.matches('/').count() != 2)
        });
        if let Some(odd) = odd {
            section.refuse(
                "return_origins",
                format!("{odd:?} is no origin"),
                "write it like https://app.example.com",
            );
            return None;
        }
        Some(origins)
    });
    section.finish();
    Some(ForwardedNames {
        subject: subject?,
        principal: principal?,
        roles: roles?,
        login_url: login_url?,
        return_origins: return_origins?,
    })
}
