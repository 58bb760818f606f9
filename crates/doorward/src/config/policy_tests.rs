//! Files of policy tests, read as the configuration is: typed, with lines, and everything that is wrong at once.
//!
//! ```toml
//! [who.ann]
//! roles = ["user"]
//!
//! [[cases]]
//! name = "a thread of somebody else is not there"
//! who = "ann"
//! action = "thread:read"
//! resource = "t1"
//! owner = "local|usr_bob"
//! expect = "deny"
//! rule = "owner"
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use doorward_core::authz::areas::{Original, Unreadable};
use doorward_core::authz::catalogue::{self, ActionDef};
use doorward_core::authz::filter::Filter;
use doorward_core::authz::{Denial, Roles};
use doorward_core::principal::{AuthContext, Principal};
use serde_json::{Map, Value as Json};

use super::nearest::nearest;
use super::policy_callers::{self, Caller, required};
use super::problem::{Problem, Problems};
use super::section::{Key, Reading, Section};
use super::tree::{Node, Value, from_toml};
use super::{Config, Mount, Origin, SurfaceKind};

/// The largest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// Most cases in one file.
const MAX_CASES: usize = 10_000;

/// One question with its expected answer.
pub(crate) struct Case {
    pub(crate) name: String,
    /// Where it stands.
    pub(crate) origin: Origin,
    pub(crate) auth: AuthContext,
    pub(crate) action: &'static ActionDef,
    pub(crate) resource: Option<String>,
    pub(crate) owner: Option<String>,
    pub(crate) mount: String,
    /// The request lies in no area: nobody is asked for leave.
    pub(crate) in_no_area: bool,
    pub(crate) expected: Expected,
    /// The filter that the caller sends along.
    pub(crate) asks: Filter,
    /// Things that are found through both filters.
    pub(crate) finds: Vec<Thing>,
    /// Things that are not.
    pub(crate) hides: Vec<Thing>,
}

/// What is expected of the decision.
pub(crate) enum Expected {
    /// Leave, with just this filter if one is named.
    Allow(Option<Json>),
    /// None, by this rule if one is named.
    Deny(Option<Denial>),
}

/// Something that a query may find.
pub(crate) struct Thing {
    pub(crate) id: String,
    pub(crate) owner: String,
    pub(crate) metadata: Map<String, Json>,
}

const FILE_KEYS: &[Key] = &[Key::new("who", "{}", "Callers by name."), Key::new("cases", "[]", "The cases.")];

const CASE_KEYS: &[Key] = &[
    Key::optional("name", "\"\"", "What the case says; no two are called alike."),
    Key::optional("who", "\"ann\"", "The caller, of [who]."),
    Key::optional("action", "\"thread:read\"", "What is done."),
    Key::optional(
        "request",
        "\"GET /reports\"",
        "In the place of action and resource: a request to a site of [areas].",
    ),
    Key::optional("host", "\"app.example.com\"", "The host of the request."),
    Key::optional("resource", "\"t1\"", "The id of what it is done to."),
    Key::optional("owner", "\"bob\"", "Whose that is."),
    Key::new("mount", "\"native\"", "The mount it is asked through."),
    Key::optional("expect", "\"allow\"", "allow or deny."),
    Key::optional("rule", "\"owner\"", "The rule that denies."),
    Key::optional("filter", "{}", "The filter that the leave comes with."),
    Key::optional("asks", "{}", "The filter that the caller sends."),
    Key::new("finds", "[]", "What is found."),
    Key::new("hides", "[]", "What is not."),
];

const THING_KEYS: &[Key] = &[
    Key::optional("id", "\"t1\"", "Its id."),
    Key::optional("owner", "\"bob\"", "Whose it is."),
    Key::new("metadata", "{}", "Its metadata."),
];

/// What the cases of a file are read against.
struct Around<'a> {
    config: &'a Config,
    callers: BTreeMap<String, Caller>,
}

/// Reads a file of policy tests.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn read_policy_tests(path: &Path, config: &Config, roles: &Roles) -> Result<Vec<Case>, Problems> {
    let mut reading = Reading::default();
    let cases = read(path, config, roles, &mut reading);
    Problems::none_of(reading.problems)?;
    Ok(cases)
}

fn read(path: &Path, config: &Config, roles: &Roles, reading: &mut Reading) -> Vec<Case> {
    let whole = |line| Origin::File { path: path.into(), line, variable: false };
    let mut say = |what: String, mend: &str| {
        reading.problems.push(Problem::general(what, mend).at(&whole(1)));
        Vec::new()
    };
    let mut text = String::new();
    let opened = File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text));
    if let Err(error) = opened {
        return say(
            format!("it cannot be read: {error}"),
            "give the path of a file of policy tests in UTF-8",
        );
    }
    if text.len() as u64 > MAX_FILE_BYTES {
        return say("it is larger than 1 MiB".to_owned(), "share the cases out among several files");
    }
    if text.trim().is_empty() {
        return say("it is empty, which tests nothing".to_owned(), "write [[cases]]");
    }
    let tree = from_toml(path, &text, &|_| None, &mut reading.problems);
    if !reading.problems.is_empty() {
        return Vec::new();
    }
    for (name, node) in &tree {
        if FILE_KEYS.iter().all(|key| key.name != name) {
            let mend = match nearest(name, FILE_KEYS.iter().map(|key| key.name)) {
                Some(near) => format!("did you mean {near}?"),
                None => "known here: who, cases".to_owned(),
            };
            reading.problems.push(Problem::of(name, "unknown key", mend).at(&node.origin));
        }
    }
    let callers = policy_callers::read(tree.get("who"), config, roles, reading);
    let around = Around { config, callers };
    match tree.get("cases").map(|node| (&node.value, &node.origin)) {
        Some((Value::List(items), _)) if items.len() > MAX_CASES => {
            let what = format!("{} cases are more than {MAX_CASES}", items.len());
            reading.problems.push(Problem::general(what, "share them out among several files").at(&whole(1)));
            Vec::new()
        }
        Some((Value::List(items), _)) if !items.is_empty() => {
            let mut names = BTreeSet::new();
            items.iter().filter_map(|node| case(node, &around, &mut names, reading)).collect()
        }
        Some((Value::List(_), origin)) => {
            let problem = Problem::of("cases", "there are none, which tests nothing", "write [[cases]]");
            reading.problems.push(problem.at(origin));
            Vec::new()
        }
        Some((other, origin)) => {
            let what = format!("cases are a list, not {}", other.kind());
            reading.problems.push(Problem::of("cases", what, "write [[cases]] before each").at(origin));
            Vec::new()
        }
        None => {
            let problem = Problem::of("cases", "there are none, which tests nothing", "write [[cases]]");
            reading.problems.push(problem.at(&whole(1)));
            Vec::new()
        }
    }
}

fn case(
    node: &Node,
    around: &Around<'_>,
    names: &mut BTreeSet<String>,
    reading: &mut Reading,
) -> Option<Case> {
    let finds = things(node, "finds", around, reading);
    let hides = things(node, "hides", around, reading);
    let mut section = Section::new("cases", Some(node), CASE_KEYS, reading);
    let name = required(&mut section, "name");
    if let Some(name) = &name
        && !names.insert(name.clone())
    {
        section.refuse("name", format!("two cases are called {name:?}"), "give each a name of its own");
    }
    let auth = required(&mut section, "who").and_then(|who| {
        let found = around.callers.get(&who);
        if found.is_none() {
            let mend = match nearest(&who, around.callers.keys().map(String::as_str)) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("describe [who.{who}]"),
            };
            section.refuse("who", format!("there is nobody called {who:?}"), mend);
        }
        found.map(|caller| caller.auth.clone())
    });
    let asked = asked(&mut section, around);
    let mount = section.text("mount").and_then(|mount| {
        let known = || around.config.mounts.iter().map(|mount| mount.name.as_str());
        if known().any(|there| there == mount) {
            return Some(mount);
        }
        let mend = match nearest(&mount, known()) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("known: {}", known().collect::<Vec<_>>().join(", ")),
        };
        section.refuse("mount", format!("there is no mount {mount:?}"), mend);
        None
    });
    let placed =
        mount.as_deref().and_then(|name| around.config.mounts.iter().find(|mount| mount.name == name));
    if let Some(placed) = placed {
        if section.is_given("request") && placed.surface != SurfaceKind::Native {
            let what = format!("proxies ask no mount like {:?}", placed.name);
            section.refuse("mount", what, "leave it out, or name one whose surface is native");
        }
        if let Some(auth) = &auth {
            vouched_for_there(&mut section, auth, placed, around.config);
        }
    }
    let owner = section.is_given("owner").then(|| section.text("owner"));
    let owner = match owner {
        None => Some(None),
        Some(text) => text.and_then(|text| owner_key(&mut section, &text, around)).map(Some),
    };
    let expected = expected(&mut section);
    let asks = match section.is_given("asks").then(|| section.json("asks")) {
        None => Some(Filter::Everything),
        Some(value) => value.and_then(|value| match Filter::parse(&value) {
            Ok(filter) => Some(filter),
            Err(error) => {
                section.refuse(
                    "asks",
                    error.to_string(),
                    "write it as clients send it, like {team = \"red\"}",
                );
                None
            }
        }),
    };
    section.finish();
    let (action, resource, in_no_area) = asked?;
    let (Some(finds), Some(hides)) = (finds, hides) else { return None };
    Some(Case {
        name: name?,
        origin: node.origin.clone(),
        auth: auth?,
        action,
        resource,
        owner: owner?,
        mount: mount?,
        in_no_area,
        expected: expected?,
        asks: asks?,
        finds,
        hides,
    })
}

type What = (&'static ActionDef, Option<String>, bool);

/// The action and what it is aimed at: as they are written, or as a request to a site means them.
fn asked(section: &mut Section<'_>, around: &Around<'_>) -> Option<What> {
    let resource = section.is_given("resource").then(|| section.text("resource"));
    if !section.is_given("request") {
        if section.is_given("host") {
            section.refuse("host", "only a request has a host", "leave it out, or write request");
        }
        let action = required(section, "action")?;
        let found = find_action(&action);
        if let Err(mend) = &found {
            section.refuse("action", format!("there is no action {action:?}"), mend.clone());
        }
        if let (Ok(action), Some(Some(area))) = (&found, &resource)
            && action.resource == "area"
            && around.config.areas.areas.named(area).is_none()
        {
            section.refuse("resource", format!("there is no area {area:?}"), "name one of [areas]");
        }
        return match (found, resource) {
            (Ok(action), None) => Some((action, None, false)),
            (Ok(action), Some(Some(resource))) => Some((action, Some(resource), false)),
            _ => None,
        };
    }
    if section.is_given("action") || resource.is_some() {
        section.refuse("request", "a request says action and resource itself", "leave those out");
        return None;
    }
    let request = section.text("request")?;
    let host = if section.is_given("host") { Some(section.text("host")?) } else { None };
    let read = request
        .split_once(' ')
        .ok_or_else(|| "it is a method, a space and a path".to_owned())
        .and_then(|(method, path)| Original::read(method, path, host.as_deref()).map_err(|e| e.to_string()));
    match read {
        Ok(original) if !is_known(original.method, around.config) => {
            let mend = match nearest(original.method, METHODS) {
                Some(near) => format!("did you mean {near}?"),
                None => "a method that is registered, such as GET, or that an area names".to_owned(),
            };
            section.refuse("request", format!("{} is no method that is known", original.method), mend);
            None
        }
        Ok(original) => {
            let area = match around.config.areas.areas.find(&original) {
                Ok(area) => area,
                Err(Unreadable::NoHost) => {
                    section.refuse(
                        "request",
                        Unreadable::NoHost.to_string(),
                        "add host = \"app.example.com\"",
                    );
                    return None;
                }
                // Asked for real, it is refused as what lies nowhere is.
                Err(_) => None,
            };
            Some((original.action(), area.map(|area| area.name.clone()), area.is_none()))
        }
        Err(error) => {
            section.refuse(
                "request",
                error,
                "write it like \"GET /reports/1\"; such a one never reaches anybody",
            );
            None
        }
    }
}

/// Methods of the IANA HTTP Method Registry that applications take, and PURGE. A slip would pass where a refusal is expected.
const METHODS: [&str; 20] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "QUERY",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "ACL",
    "SEARCH",
    "REPORT",
    "LINK",
    "PURGE",
];

fn is_known(method: &str, config: &Config) -> bool {
    METHODS.contains(&method) || config.areas.areas.methods().any(|named| named == method)
}

/// Refuses a caller of an issuer whose tokens the mount does not take: asked for real, they get 401.
fn vouched_for_there(section: &mut Section<'_>, auth: &AuthContext, mount: &Mount, config: &Config) {
    let of = config.issuers.iter().find(|(_, issuer)| *issuer.name == *auth.principal.authority);
    if let Some((name, _)) = of.filter(|(name, _)| !mount.issuers.contains(name)) {
        section.refuse(
            "who",
            format!("the mount {:?} takes no tokens of the issuer {name:?}", mount.name),
            format!("list it in mounts.{}.issuers, or name another mount", mount.name),
        );
    }
}

/// The action of this spelling, or what to do about it.
pub(crate) fn find_action(text: &str) -> Result<&'static ActionDef, String> {
    let found = text.split_once(':').and_then(|(resource, name)| catalogue::find(resource, name));
    found.ok_or_else(|| {
        let known: Vec<String> = catalogue::ALL.iter().map(ToString::to_string).collect();
        match nearest(text, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean {near}?"),
            None => "see docs/reference/actions.md".to_owned(),
        }
    })
}

fn expected(section: &mut Section<'_>) -> Option<Expected> {
    if !section.is_given("expect") {
        section.missing("expect");
        return None;
    }
    let allow = section.word("expect", &[("allow", true), ("deny", false)]);
    let rules = Denial::ALL.map(|denial| (denial.rule(), denial));
    let rule = section.is_given("rule").then(|| section.word("rule", &rules));
    let filter = section.is_given("filter").then(|| section.json("filter"));
    match (allow?, rule, filter) {
        (true, Some(_), _) => {
            section.refuse("rule", "nothing denies what is allowed", "leave it out, or expect = \"deny\"");
            None
        }
        (false, _, Some(_)) => {
            section.refuse("filter", "what is denied has no filter", "leave it out, or expect = \"allow\"");
            None
        }
        (true, None, None) => Some(Expected::Allow(None)),
        (true, None, Some(filter)) => filter.map(|filter| Expected::Allow(Some(filter))),
        (false, rule, None) => match rule {
            None => Some(Expected::Deny(None)),
            Some(rule) => rule.map(|rule| Expected::Deny(Some(rule))),
        },
    }
}

/// Whose something is: a caller of the file by name, or a principal as the audit log spells it.
fn owner_key(section: &mut Section<'_>, text: &str, around: &Around<'_>) -> Option<String> {
    if let Some(caller) = around.callers.get(text) {
        return Some(caller.auth.principal.owner_key());
    }
    let whole = Principal::of_owner_key(text).map(|principal| principal.owner_key());
    if whole.is_none() {
        let mend = match nearest(text, around.callers.keys().map(String::as_str)) {
            Some(near) => format!("did you mean {near:?}?"),
            None => "name somebody of [who], or write authority|subject, like local|usr_bob".to_owned(),
        };
        section.refuse("owner", format!("{text:?} is nobody"), mend);
    }
    whole
}

/// The things of a list of a case.
fn things(node: &Node, key: &str, around: &Around<'_>, reading: &mut Reading) -> Option<Vec<Thing>> {
    let Value::Table(table) = &node.value else { return Some(Vec::new()) };
    let Some(list) = table.get(key) else { return Some(Vec::new()) };
    let Value::List(items) = &list.value else {
        let what = format!("this is {}, not a list", list.value.kind());
        let problem = Problem::of(format!("cases.{key}"), what, "write [{ id = \"t1\", owner = \"bob\" }]");
        reading.problems.push(problem.at(&list.origin));
        return None;
    };
    let read = |item: &Node| {
        let mut section = Section::new(format!("cases.{key}"), Some(item), THING_KEYS, reading);
        let id = required(&mut section, "id");
        let owner = required(&mut section, "owner");
        let owner = owner.and_then(|text| owner_key(&mut section, &text, around));
        let metadata = section.json("metadata");
        section.finish();
        let metadata = metadata.and_then(|value| value.as_object().cloned());
        Some(Thing { id: id?, owner: owner?, metadata: metadata? })
    };
    let all: Vec<Option<Thing>> = items.iter().map(read).collect();
    all.into_iter().collect()
}
