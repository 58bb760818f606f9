//! `[mounts.NAME.auth0]`: the tenant through which people come to a mount that speaks Hypha.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::origin::Origin;
use super::problem::Problem;
use super::section::{Key, Section};
use super::server::base_url;
use super::tree::{Node, Table, Value};
use crate::platform::dotenv::{Dotenv, MAX_BYTES};

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth0 {
    /// Where it is: `https://tenant.example`.
    pub base: String,
    /// What it is called: `tenant.example`.
    pub domain: String,
    /// The application there.
    pub client_id: String,
    /// What its access tokens are for.
    pub audience: String,
    /// The other issuer whose name its tokens may bear.
    pub issuer: Option<String>,
    /// What stands before the names of its own claims.
    pub namespace: Option<String>,
    /// Whether its roles reach administrative actions.
    pub administrators: bool,
}

pub(super) const KEYS: &[Key] = &[
    Key::optional(
        "domain",
        "\"your-tenant.auth0.com\"",
        "The tenant's domain. One on this machine may be written http://127.0.0.1:9000; outbound.allow lets it be reached. Variable: AUTH0_DOMAIN.",
    ),
    Key::optional(
        "client_id",
        "\"paEagfNXPBVw8Ss80U5RAmAV4pjCPsD2\"",
        "The Client ID of the Single Page Application there. It has no secret. Variable: AUTH0_CLIENT_ID.",
    ),
    Key::optional(
        "audience",
        "\"https://your-tenant.auth0.com/api/v2/\"",
        "What its access tokens have to be for. Variable: AUTH0_AUDIENCE.",
    ),
    Key::optional(
        "issuer",
        "\"https://your-organization.com/\"",
        "Another iss that tokens under the tenant's keys may bear, beside https://DOMAIN/. Variable: AUTH0_ISSUER.",
    ),
    Key::optional(
        "namespace",
        "\"https://your-organization.com/\"",
        "What stands before the claims roles and email, with or without its last slash. Without it neither is read. Variable: AUTH0_NAMESPACE.",
    ),
    Key::new(
        "administrators",
        "false",
        "Whether roles that the tenant gives reach administrative actions, by its own tokens.",
    ),
];

/// Hypha's variables, and what they are here.
pub(super) const VARIABLES: [(&str, &str); 5] = [
    ("AUTH0_DOMAIN", "domain"),
    ("AUTH0_CLIENT_ID", "client_id"),
    ("AUTH0_AUDIENCE", "audience"),
    ("AUTH0_ISSUER", "issuer"),
    ("AUTH0_NAMESPACE", "namespace"),
];
const MAX_BYTES_OF_ONE: usize = 512;

/// What Hypha's variables say, of the process first and then of a `.env`. One that is set to nothing is not set, and hides the file's.
pub(super) fn variables(
    environment: &[(String, String)],
    dotenv: Option<&Path>,
    problems: &mut Vec<Problem>,
) -> Table {
    let file = dotenv.filter(|path| path.is_file()).and_then(|path| match read(path) {
        Ok(file) => Some((path, file)),
        Err(what) => {
            let mend = "make it readable, or take it away";
            problems.push(Problem::general(format!("{}: {what}", path.display()), mend));
            None
        }
    });
    let process =
        |name: &str| environment.iter().find(|(known, _)| known == name).map(|(_, text)| text.clone());
    let mut table = Table::new();
    for (variable, key) in VARIABLES {
        let (text, origin) = match (process(variable), &file) {
            (Some(text), _) => (text, variable.to_owned()),
            (None, Some((path, file))) => match file.get(variable, &process) {
                Ok(Some(text)) => (text.to_string(), format!("{variable} of {}", path.display())),
                Ok(None) => continue,
                Err(unset) => {
                    let what = format!("{}: {variable} refers to {unset}, which nobody sets", path.display());
                    problems.push(Problem::general(what, format!("set {unset}, or correct {variable}")));
                    continue;
                }
            },
            (None, None) => continue,
        };
        if !text.trim().is_empty() {
            table.insert(key.to_owned(), Node::text(text.trim(), Origin::Environment(origin)));
        }
    }
    table
}

fn read(path: &Path) -> Result<Dotenv, String> {
    let mut text = zeroize::Zeroizing::new(String::new());
    let file = File::open(path).map_err(|error| error.to_string())?;
    let most = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    file.take(most + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() > MAX_BYTES { Err("larger than 1 MiB".to_owned()) } else { Ok(Dotenv::parse(&text)) }
}

/// Puts what the variables say into a mount whose configuration says nothing of a tenant: two tenants are never mixed.
pub(super) fn lend(keys: &mut Table, variables: &Table) {
    if !variables.is_empty() && !keys.contains_key("auth0") {
        let value = Value::Table(variables.clone());
        keys.insert("auth0".to_owned(), Node { value, origin: Origin::Default });
    }
}

/// Reads it; `Err` when something is wrong with it, which is noted.
pub(super) fn of(mut section: Section<'_>) -> Result<Auth0, ()> {
    let place = needed(
        &mut section,
        "domain",
        "AUTH0_DOMAIN",
        "without it nobody knows whose keys its tokens are signed with",
    );
    let place = place.and_then(|text| domain(&mut section, &text));
    let client_id = needed(
        &mut section,
        "client_id",
        "AUTH0_CLIENT_ID",
        "without it the sign-in page could send nobody to the tenant",
    );
    let audience = needed(
        &mut section,
        "audience",
        "AUTH0_AUDIENCE",
        "without it a token of the tenant for any other service would do here, and it gives opaque ones",
    );
    let mut more = |name: &'static str| {
        if section.is_given(name) { plain(&mut section, name).map(Some) } else { Some(None) }
    };
    let (issuer, namespace) = (more("issuer"), more("namespace"));
    if let Some(Some(text)) = &issuer
        && !(text.starts_with("https://") || text.starts_with("http://"))
    {
        section.refuse(
            "issuer",
            format!("{text:?} is not an issuer"),
            "write it like https://your-organization.com/",
        );
    }
    let administrators = section.boolean("administrators");
    section.finish();
    let (base, domain) = place.ok_or(())?;
    Ok(Auth0 {
        base,
        domain,
        client_id: client_id.ok_or(())?,
        audience: audience.ok_or(())?,
        issuer: issuer.ok_or(())?,
        namespace: namespace.ok_or(())?,
        administrators: administrators.ok_or(())?,
    })
}

fn plain(section: &mut Section<'_>, name: &'static str) -> Option<String> {
    let text = section.text(name)?;
    if text.is_empty() || text.len() > MAX_BYTES_OF_ONE || !text.bytes().all(|b| b.is_ascii_graphic()) {
        section.refuse(
            name,
            "it is empty, or has spaces or more than 512 bytes",
            "copy it from the tenant's settings",
        );
        return None;
    }
    Some(text)
}

fn needed(section: &mut Section<'_>, name: &'static str, variable: &str, why: &str) -> Option<String> {
    if section.is_given(name) {
        return plain(section, name);
    }
    section.refuse(
        name,
        format!("it is missing: {why}"),
        format!("set {variable} or {name}; with none of the AUTH0_ variables people sign in at Doorward's own page"),
    );
    None
}

/// The tenant's address and name.
fn domain(section: &mut Section<'_>, text: &str) -> Option<(String, String)> {
    let lower = text.to_ascii_lowercase();
    let url = if lower.contains("://") { lower } else { format!("https://{lower}") };
    let found = base_url(&url).and_then(|base| {
        let (scheme, host) = base.split_once("://")?;
        let loopback = ["127.0.0.1", "localhost", "[::1]"]
            .iter()
            .any(|name| host.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(':')));
        let plain = host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b));
        let domain = if scheme == "http" { base.clone() } else { host.to_owned() };
        (plain && (scheme == "https" || loopback)).then(|| (base.clone(), domain))
    });
    if found.is_none() {
        section.refuse(
            "domain",
            format!("{text:?} is not a tenant's domain"),
            "write it like your-tenant.auth0.com; http:// is for one on this machine alone, such as http://127.0.0.1:9000",
        );
    }
    found
}
