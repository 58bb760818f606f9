//! Areas: parts of sites behind a proxy that asks before it lets a request through.
//!
//! ```text
//! method, target, host ─ Original::read ─► one reading ─ Areas::find ─► area + area:read or area:write ─► decide
//!                                          or a refusal              or none: nobody gets in
//! ```
//! Which area a request lies in is found here and nowhere else; who may enter is said by roles, and decided by
//! [`super::decide`] like everything.

use std::borrow::Cow;

use doorward_protocols::path::{CanonicalPath, canonical};

use super::Target;
use super::catalogue::{Action as _, ActionDef, area};
use crate::error::{Error, codes};

/// Most areas: those of a role become a list that is looked through.
pub const MAX_AREAS: usize = 64;

/// Whose areas are: nobody's own.
pub const OWNER: &str = "";

/// An area as what an action is aimed at: who enters it is an administrator, or of a role that names it.
#[must_use]
pub fn target(name: &str) -> Target<'_> {
    Target::owned(name, OWNER)
}

/// Whether an action is one on areas.
#[must_use]
pub fn is_entering(action: &ActionDef) -> bool {
    action.resource == area::Read::DEF.resource
}

/// How a refusal to enter is told. That there is such an area is no secret, and who is nobody yet may be somebody who enters it.
#[must_use]
pub fn told(refusal: Error, is_nobody: bool) -> Error {
    match (refusal.is(codes::NOT_FOUND), is_nobody) {
        (true, true) => Error::new(codes::CREDENTIALS_MISSING),
        (true, false) => Error::new(codes::FORBIDDEN),
        (false, _) => refusal,
    }
}

/// A part of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Area {
    /// Its name, as roles spell it behind `@MOUNT/`.
    pub name: String,
    /// The one host it is on, in lower case and without a port; any if absent.
    pub host: Option<String>,
    /// Where it begins: whole segments.
    pub prefixes: Vec<CanonicalPath>,
    /// Methods that lead into it; all if empty.
    pub methods: Vec<String>,
}

/// All areas, none of which is in another's way.
#[derive(Debug, Clone, Default)]
pub struct Areas(Vec<Area>);

/// Two areas that one request could mean.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the areas {first:?} and {second:?} both begin at {prefix} for the same methods")]
pub struct AreaClash {
    /// One.
    pub first: String,
    /// The other.
    pub second: String,
    /// Where.
    pub prefix: String,
}

/// Why the request that a proxy asks about is not judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The path has more than one reading, or none.
    #[error("its path cannot be judged: {0}")]
    Path(#[from] doorward_protocols::path::PathError),
    /// Some servers cut a segment at `;` before they look for dot segments and routes, others do not.
    #[error("its path cannot be judged: a semicolon has two readings")]
    Parameter,
    /// Not a token (RFC 9110 §9.1).
    #[error("its method cannot be judged")]
    Method,
    /// Not a name or an address.
    #[error("its host cannot be judged")]
    Host,
    /// Some areas are of one host, and the proxy does not say which one is asked for.
    #[error("the proxy does not say the host, and some areas are on one alone")]
    NoHost,
    /// Spelled as servers spell a deeper area that tell no letters' case, endings or dots apart.
    #[error("its path is nearly that of the area {0:?}, and some servers take it for that one")]
    Spelling(String),
}

/// The request that a proxy asks about, in its one reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Original<'r> {
    /// In upper case, as methods are.
    pub method: &'r str,
    /// Without the query.
    pub path: CanonicalPath,
    /// In lower case and without a port, where the proxy says it.
    pub host: Option<Cow<'r, str>>,
}

impl<'r> Original<'r> {
    /// Reads a method, a request target in origin form with or without a query (RFC 9112 §3.2.1), and a host with or without a port.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn read(method: &'r str, target: &str, host: Option<&'r str>) -> Result<Self, Unreadable> {
        // Methods are told apart by case, and a server that folds it would act on another one than was judged.
        let plain = |method: &str| {
            (1..=32).contains(&method.len()) && method.bytes().all(|b| b.is_ascii_uppercase() || b == b'-')
        };
        // These two are for whoever stands between, never for an application (RFC 9110 §9.3.6, §9.3.8).
        if !plain(method) || matches!(method, "CONNECT" | "TRACE") {
            return Err(Unreadable::Method);
        }
        let path = canonical(target.split('?').next().unwrap_or_default().as_bytes())?;
        let is_escaped = path.as_str().contains('%');
        if path.as_str().contains(';')
            || (is_escaped && path.decoded_segments().any(|segment| segment.contains(';')))
        {
            return Err(Unreadable::Parameter);
        }
        let host = host.map(|text| host_of(text).ok_or(Unreadable::Host)).transpose()?;
        Ok(Self { method, path, host })
    }

    /// What it does in an area.
    #[must_use]
    pub fn action(&self) -> &'static ActionDef {
        match self.method {
            "GET" | "HEAD" | "OPTIONS" => area::Read::DEF,
            _ => area::Write::DEF,
        }
    }
}

/// A host without its port, in the spelling in which they are compared.
#[must_use]
pub fn host_of(text: &str) -> Option<Cow<'_, str>> {
    let (name, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, port)) => (name, port),
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b"-._:".contains(&b);
    let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    let whole = (1..=253).contains(&name.len()) && name.bytes().all(is_name) && is_port;
    let name = name.trim_end_matches('.');
    whole.then(|| match name.bytes().any(|b| b.is_ascii_uppercase()) {
        true => Cow::Owned(name.to_ascii_lowercase()),
        false => Cow::Borrowed(name),
    })
}

impl Areas {
    /// These areas.
    ///
    /// # Errors
    /// [`AreaClash`] where one request could mean two of them.
    pub fn new(areas: Vec<Area>) -> Result<Self, AreaClash> {
        for (at, first) in areas.iter().enumerate() {
            for second in &areas[at + 1..] {
                let both = first.prefixes.iter().find(|prefix| second.prefixes.contains(prefix));
                let methods = first.methods.is_empty()
                    || second.methods.is_empty()
                    || first.methods.iter().any(|method| second.methods.contains(method));
                if let Some(prefix) = both.filter(|_| methods && first.host == second.host) {
                    let (first, second) = (first.name.clone(), second.name.clone());
                    return Err(AreaClash { first, second, prefix: prefix.to_string() });
                }
            }
        }
        Ok(Self(areas))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The area that a request lies in: of those on its host the one that begins deepest, and that says so of its method. An area on
    /// this very host counts before one on any, and one above never takes the methods that a deeper one leaves out.
    ///
    /// # Errors
    /// [`Unreadable::NoHost`], and [`Unreadable::Spelling`] where a server behind could take the path for one of a deeper area.
    pub fn find(&self, original: &Original) -> Result<Option<&Area>, Unreadable> {
        if original.host.is_none() && self.has_hosts() {
            return Err(Unreadable::NoHost);
        }
        let takes =
            |area: &Area| area.methods.is_empty() || area.methods.iter().any(|m| m == original.method);
        let mut best: Option<((usize, bool), &Area)> = None;
        let mut nearly: Option<(usize, &Area)> = None;
        for area in &self.0 {
            if area.host.is_some() && area.host.as_deref() != original.host.as_deref() {
                continue;
            }
            let near =
                area.prefixes.iter().filter(|prefix| nearly_begins(&original.path, prefix)).map(depth).max();
            let Some(near) = near else { continue };
            if nearly.is_none_or(|(known, _)| known < near) {
                nearly = Some((near, area));
            }
            let deepest =
                area.prefixes.iter().filter(|prefix| begins(&original.path, prefix)).map(depth).max();
            let Some(deepest) = deepest else { continue };
            let rank = (deepest, area.host.is_some());
            match &mut best {
                // Of those that begin at the same place, no two take the same method.
                Some((known, held)) if *known == rank => {
                    if takes(area) {
                        *held = area;
                    }
                }
                Some((known, _)) if *known > rank => {}
                _ => best = Some((rank, area)),
            }
        }
        let deepest = best.as_ref().map(|((depth, _), _)| *depth);
        if let Some((_, area)) = nearly.filter(|(depth, _)| deepest.is_none_or(|known| known < *depth)) {
            return Err(Unreadable::Spelling(area.name.clone()));
        }
        Ok(best.map(|(_, area)| area).filter(|area| takes(area)))
    }

    /// The methods that some of them name.
    pub fn methods(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|area| area.methods.iter().map(String::as_str))
    }

    /// Whether some are on one host alone.
    #[must_use]
    pub fn has_hosts(&self) -> bool {
        self.0.iter().any(|area| area.host.is_some())
    }

    /// The area of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Area> {
        self.0.iter().find(|area| area.name == name)
    }
}

fn depth(prefix: &CanonicalPath) -> usize {
    prefix.segments().count()
}

fn begins(path: &CanonicalPath, prefix: &CanonicalPath) -> bool {
    let mut segments = path.segments();
    prefix.segments().all(|wanted| segments.next() == Some(wanted))
}

/// As [`begins`], as servers read paths that tell no letters' case apart (Express), take what stands behind a dot for the form of an
/// answer (Rails), or cut dots and spaces at the end of a name (Windows).
fn nearly_begins(path: &CanonicalPath, prefix: &CanonicalPath) -> bool {
    let plain = |segment: &str| segment.trim_end_matches(['.', ' ']).to_lowercase();
    let mut segments = path.decoded_segments();
    prefix.decoded_segments().all(|wanted| {
        segments.next().is_some_and(|segment| {
            let (segment, wanted) = (plain(&segment), plain(&wanted));
            let formless = segment.split_once('.').map_or(&*segment, |(name, _)| name);
            segment == wanted || formless == wanted
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(name: &str, host: Option<&str>, prefixes: &[&str], methods: &[&str]) -> Area {
        Area {
            name: name.to_owned(),
            host: host.map(str::to_owned),
            prefixes: prefixes.iter().map(|prefix| canonical(prefix.as_bytes()).expect("a path")).collect(),
            methods: methods.iter().map(|&method| method.to_owned()).collect(),
        }
    }

    #[test]
    fn a_request_lies_in_the_deepest_area_that_says_so() {
        let areas = Areas::new(vec![
            area("site", None, &["/"], &[]),
            area("reports", None, &["/reports", "/r"], &["GET"]),
            area("drafts", None, &["/reports/drafts"], &[]),
            area("posts", None, &["/reports"], &["POST"]),
            area("shop", Some("shop.example"), &["/"], &[]),
        ])
        .expect("no clash");
        for (method, target, host, expected) in [
            ("GET", "/", Some("a"), Some("site")),
            ("GET", "/reportsx", Some("a"), Some("site")),
            ("GET", "/reports", Some("a"), Some("reports")),
            ("GET", "/reports/1?a=/..", Some("a"), Some("reports")),
            ("GET", "/%72eports/1", Some("a"), Some("reports")),
            ("GET", "/reports/1.json", Some("a"), Some("reports")),
            ("POST", "/reports/1", Some("a"), Some("posts")),
            ("DELETE", "/reports/1", Some("a"), None),
            ("DELETE", "/reports/drafts/1", Some("a"), Some("drafts")),
            ("GET", "/r/1", Some("Shop.Example:8443"), Some("reports")),
            ("GET", "/x", Some("SHOP.example."), Some("shop")),
            ("GET", "/x", Some("other.example"), Some("site")),
        ] {
            let original = Original::read(method, target, host).expect("one reading");
            let found = areas.find(&original).map(|area| area.map(|area| area.name.as_str()));
            assert_eq!(found, Ok(expected), "{method} {target} {host:?}");
        }
        let root = Original::read("GET", "/", None).expect("good");
        assert_eq!(Areas::default().find(&root), Ok(None));
        assert_eq!(areas.find(&root), Err(Unreadable::NoHost), "which host decides, so one has to be said");
    }

    #[test]
    fn what_some_servers_take_for_a_deeper_area_is_not_let_into_the_one_around_it() {
        let areas = Areas::new(vec![
            area("site", None, &["/"], &[]),
            area("admin", None, &["/admin"], &[]),
            area("inner", None, &["/admin/keys"], &[]),
            area("style", None, &["/admin.css"], &[]),
        ])
        .expect("no clash");
        let find = |target: &str| {
            let original = Original::read("GET", target, None).expect("one reading");
            areas.find(&original).map(|area| area.map(|area| area.name.clone()))
        };
        for target in
            ["/ADMIN", "/Admin/x", "/admin.json", "/admin.", "/admin%20", "/admin%2e/x", "/admin.tar.gz"]
        {
            assert_eq!(find(target), Err(Unreadable::Spelling("admin".into())), "{target}");
        }
        assert_eq!(find("/admin/KEYS/1"), Err(Unreadable::Spelling("inner".into())));
        for (target, expected) in [
            ("/admin", "admin"),
            ("/admin/x.JSON", "admin"),
            ("/administrator", "site"),
            ("/admin.css", "style"),
            ("/x.admin", "site"),
        ] {
            assert_eq!(find(target), Ok(Some(expected.to_owned())), "{target}");
        }
    }

    #[test]
    fn what_has_two_readings_is_not_judged() {
        for target in [
            "",
            "x",
            "http://a/x",
            "//a",
            "/a//b",
            "/../a",
            "/a/%2e%2e/b",
            "/a%2fb",
            "/a%5cb",
            "/a\\b",
            "/%2561",
            "/a#b",
            "/a b",
            "/a/..;/b",
            "/a;x=1",
            "/a%3Bx",
            "/\u{e9}",
            "/%00",
            "/%",
        ] {
            assert!(Original::read("GET", target, None).is_err(), "{target}");
        }
        for method in ["", "get", "GET ", "G\u{e9}T", "GET\nX", "TRACE", "CONNECT"] {
            assert_eq!(Original::read(method, "/", None), Err(Unreadable::Method), "{method:?}");
        }
        for host in ["", "a b", "a/b", "a@b", "a:x", "a,b", "[::1"] {
            assert_eq!(Original::read("GET", "/", Some(host)), Err(Unreadable::Host), "{host}");
        }
        assert_eq!(host_of("[::1]:80").as_deref(), Some("::1"));
    }

    #[test]
    fn two_areas_for_one_request_are_refused() {
        for (first, second, clash) in [
            (area("a", None, &["/x"], &[]), area("b", None, &["/y", "/x"], &["GET"]), true),
            (area("a", None, &["/x"], &["POST"]), area("b", None, &["/x"], &["GET"]), false),
            (area("a", Some("h"), &["/x"], &[]), area("b", None, &["/x"], &[]), false),
            (area("a", None, &["/x"], &[]), area("b", None, &["/x/y"], &[]), false),
        ] {
            assert_eq!(
                Areas::new(vec![first.clone(), second.clone()]).is_err(),
                clash,
                "{first:?} {second:?}"
            );
        }
    }

    #[test]
    fn looking_is_another_action_than_changing() {
        for (method, access) in [("GET", "read"), ("HEAD", "read"), ("POST", "write"), ("PURGE", "write")] {
            assert_eq!(Original::read(method, "/", None).expect("good").action().name, access);
        }
    }
}
