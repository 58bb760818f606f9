//! `[remote_tokens.NAME]`: others who are asked whose a token is.

use std::collections::BTreeMap;
use std::path::PathBuf;

use doorward_core::principal::LOCAL;
use doorward_core::secret::SecretText;

use super::problem::Problem;
use super::section::{Key, Reading, Section};
use super::tree::{Node, Value};

/// Somebody who is asked whose a token is.
pub struct RemoteTokens {
    /// Where it says whose a token is that is shown as the credential.
    pub userinfo_url: Option<String>,
    /// Where it introspects tokens (RFC 7662).
    pub introspection_url: Option<String>,
    /// Our id there.
    pub client_id: Option<String>,
    /// Our secret there, or the `apikey` of a userinfo URL.
    pub secret: Option<SecretText>,
    /// The file that holds it, where it is in one.
    pub secret_file: Option<PathBuf>,
    /// The member that names the subject.
    pub identity_claim: String,
    /// The member with role names.
    pub roles_claim: Option<String>,
    /// Audiences that an introspected token must name one of.
    pub audience: Vec<String>,
    /// How long an answer is kept.
    pub cache_s: i64,
}

pub(super) const KEYS: &[Key] = &[
    Key::optional(
        "userinfo_url",
        "\"https://project.supabase.co/auth/v1/user\"",
        "Where it says whose a token is: asked with the token as Bearer. Or introspection_url.",
    ),
    Key::optional(
        "introspection_url",
        "\"https://login.example/introspect\"",
        "Where it introspects tokens (RFC 7662), asked with client_id and secret. Or userinfo_url.",
    ),
    Key::optional("client_id", "\"doorward\"", "Our id at introspection_url."),
    Key::secret(
        "secret",
        "\"${REMOTE_TOKENS_SECRET}\"",
        "Our secret at introspection_url; at userinfo_url what is sent as apikey, where it wants one, as Supabase does.",
    ),
    Key::optional(
        "secret_file",
        "\"/etc/doorward/remote.secret\"",
        "A file that holds the secret instead. Mode 0600.",
    ),
    Key::new("identity_claim", "\"sub\"", "The member that names the subject; id for Supabase."),
    Key::optional(
        "roles_claim",
        "\"roles\"",
        "A member that lists roles of ours, administrative ones included. Without it every caller is a plain user.",
    ),
    Key::new("audience", "[]", "Audiences that an introspected token must name one of. Empty: any."),
    Key::new(
        "cache_s",
        "30",
        "Seconds an answer is kept, 0 to 60: for so long a token lives on that was revoked there. Revoking here counts at once.",
    ),
];

const MAX_NAME_BYTES: usize = 40;

/// Reads all whom the operator names.
pub(super) fn read(given: Option<&Node>, reading: &mut Reading) -> Option<BTreeMap<String, RemoteTokens>> {
    let Some(node) = given else { return Some(BTreeMap::new()) };
    let Value::Table(table) = &node.value else {
        let what = format!("they are sections, not {}", node.value.kind());
        let mend = "write [remote_tokens.supabase]";
        reading.problems.push(Problem::of("remote_tokens", what, mend).at(&node.origin));
        return None;
    };
    let mut all = BTreeMap::new();
    for (name, node) in table {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
        if !(1..=MAX_NAME_BYTES).contains(&name.len()) || !name.bytes().all(plain) || name == LOCAL {
            let what = format!("{name:?} cannot be such a name");
            let mend = "use up to 40 lower-case letters, digits, - and _, and another name than local, which is ours";
            reading.problems.push(Problem::of("remote_tokens", what, mend).at(&node.origin));
            continue;
        }
        let section = Section::new(format!("remote_tokens.{name}"), Some(node), KEYS, reading);
        if let Some(one) = read_one(section) {
            all.insert(name.clone(), one);
        }
    }
    (all.len() == table.len()).then_some(all)
}

fn read_one(mut section: Section<'_>) -> Option<RemoteTokens> {
    let optional = |section: &mut Section<'_>, key: &'static str| {
        section.is_given(key).then(|| section.text(key)).flatten().filter(|text| !text.is_empty())
    };
    let userinfo_url = optional(&mut section, "userinfo_url");
    let introspection_url = optional(&mut section, "introspection_url");
    let client_id = optional(&mut section, "client_id");
    let secret_given = section.is_given("secret") || section.is_given("secret_file");
    let secret_file = section.is_given("secret_file").then(|| section.path("secret_file")).flatten();
    let secret = secret_given.then(|| section.secret("secret", "secret_file")).flatten();
    let one = userinfo_url.is_some() != introspection_url.is_some();
    if !one {
        section.refuse(
            "userinfo_url",
            "one of userinfo_url and introspection_url has to be given",
            "give userinfo_url for Supabase and OpenID userinfo, introspection_url for RFC 7662",
        );
    }
    let whole = introspection_url.is_none() || (client_id.is_some() && secret.is_some());
    if !whole {
        section.refuse(
            "client_id",
            "introspection needs client_id and secret",
            "register Doorward with the issuer and give what it answers",
        );
    }
    let identity_claim = section.text("identity_claim").filter(|claim| !claim.is_empty());
    if identity_claim.is_none() {
        section.refuse("identity_claim", "it is empty", "give a member, or leave the key out");
    }
    let roles_claim = optional(&mut section, "roles_claim");
    let audience = section.list("audience");
    let cache_s = section.integer("cache_s", 0..=60);
    section.finish();
    if !one || !whole || (secret_given && secret.is_none()) {
        return None;
    }
    Some(RemoteTokens {
        userinfo_url,
        introspection_url,
        client_id,
        secret,
        secret_file,
        identity_claim: identity_claim?,
        roles_claim,
        audience: audience?,
        cache_s: cache_s?,
    })
}
