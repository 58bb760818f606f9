//! `[issuers.NAME]`: others whose tokens are taken.

use std::collections::BTreeMap;

use doorward_core::principal::LOCAL;
use doorward_protocols::jose::Algorithm;

use super::problem::Problem;
use super::section::{Key, Reading, Section};
use super::tree::{Node, Value};

/// Somebody else whose tokens are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// Who vouches for its subjects, in records and logs.
    pub name: String,
    /// The `iss` of its tokens.
    pub issuer: String,
    /// Where its keys are; `None` means where its metadata say.
    pub jwks_url: Option<String>,
    /// Audiences we answer to.
    pub audience: Vec<String>,
    /// The claim that names the subject.
    pub identity_claim: String,
    /// The claim with role names.
    pub roles_claim: Option<String>,
    /// How far clocks may differ, in seconds.
    pub leeway_s: i64,
    /// Longest time from `iat` to `exp`, in seconds.
    pub max_token_life_s: i64,
    /// What its RSA keys are for that name no algorithm.
    pub algorithm: Algorithm,
}

pub(super) const KEYS: &[Key] = &[
    Key::optional("issuer", "\"https://idp.example\"", "The iss of its tokens, exactly as they spell it."),
    Key::optional(
        "jwks_url",
        "\"https://idp.example/jwks\"",
        "Where its keys are. Default: where its metadata at /.well-known/openid-configuration say.",
    ),
    Key::optional(
        "audience",
        "[\"https://api.example.com\"]",
        "Audiences we answer to; a token must name one of them.",
    ),
    Key::new("identity_claim", "\"sub\"", "The claim that names the subject."),
    Key::optional(
        "roles_claim",
        "\"roles\"",
        "A claim that lists roles of ours, administrative ones included. Without it every caller is a plain user.",
    ),
    Key::new("leeway_s", "30", "Seconds that its clock may differ from ours."),
    Key::new("max_token_life_s", "86400", "Longest life of its tokens, in seconds from iat to exp."),
    Key::new(
        "algorithm",
        "\"RS256\"",
        "What those of its RSA keys are for that do not say so: RS256 to RS512, PS256 to PS512.",
    ),
];

const RSA: [Algorithm; 6] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];
const MAX_NAME_BYTES: usize = 40;

/// Reads every issuer the operator names.
pub(super) fn read(given: Option<&Node>, reading: &mut Reading) -> Option<BTreeMap<String, Issuer>> {
    let Some(node) = given else { return Some(BTreeMap::new()) };
    let Value::Table(table) = &node.value else {
        let what = format!("issuers are sections, not {}", node.value.kind());
        reading.problems.push(Problem::of("issuers", what, "write [issuers.company]").at(&node.origin));
        return None;
    };
    let mut issuers = BTreeMap::new();
    for (name, node) in table {
        if !is_name(name) {
            let what = format!("{name:?} cannot be an issuer's name");
            let mend = "use up to 40 lower-case letters, digits, - and _, and another name than local, which is ours";
            reading.problems.push(Problem::of("issuers", what, mend).at(&node.origin));
            continue;
        }
        let section = Section::new(format!("issuers.{name}"), Some(node), KEYS, reading);
        if let Some(issuer) = read_one(name, section) {
            issuers.insert(name.clone(), issuer);
        }
    }
    (issuers.len() == table.len()).then_some(issuers)
}

fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(plain) && name != LOCAL
}

fn read_one(name: &str, mut section: Section<'_>) -> Option<Issuer> {
    let issuer = required(&mut section, "issuer", "give the iss of its tokens, such as https://idp.example");
    let jwks_given = section.is_given("jwks_url");
    let jwks_url = url(&mut section);
    let audience = section.is_given("audience").then(|| section.list("audience")).flatten();
    let audience = audience.filter(|all| !all.is_empty() && all.iter().all(|one| !one.is_empty()));
    if audience.is_none() {
        let mend =
            "name what its tokens for us are for: without, a token for any other service would do here";
        section.refuse("audience", "no audience is named", mend);
    }
    let identity_claim = section.text("identity_claim").filter(|claim| !claim.is_empty());
    if identity_claim.is_none() {
        section.refuse("identity_claim", "it is empty", "give a claim, or leave the key out");
    }
    let roles_claim = section.text("roles_claim").filter(|claim| !claim.is_empty());
    let leeway_s = section.integer("leeway_s", 0..=300);
    let max_token_life_s = section.integer("max_token_life_s", 1..=315_360_000);
    let algorithm = section.word("algorithm", &RSA.map(|algorithm| (algorithm.name(), algorithm)));
    section.finish();
    if jwks_given && jwks_url.is_none() {
        return None;
    }
    Some(Issuer {
        name: name.to_owned(),
        issuer: issuer?,
        jwks_url,
        audience: audience?,
        identity_claim: identity_claim?,
        roles_claim,
        leeway_s: leeway_s?,
        max_token_life_s: max_token_life_s?,
        algorithm: algorithm?,
    })
}

fn required(section: &mut Section<'_>, name: &'static str, mend: &str) -> Option<String> {
    let text = section.is_given(name).then(|| section.text(name)).flatten().filter(|text| !text.is_empty());
    if text.is_none() {
        section.refuse(name, "it is missing", mend);
    }
    text
}

fn url(section: &mut Section<'_>) -> Option<String> {
    let text = section.text("jwks_url")?;
    if text.starts_with("https://") || text.starts_with("http://") {
        return Some(text);
    }
    section.refuse("jwks_url", format!("{text:?} is not a URL"), "write it like https://idp.example/jwks");
    None
}
