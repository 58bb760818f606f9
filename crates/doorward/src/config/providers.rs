//! `[providers.NAME]`: others through whom people log in.

use std::collections::BTreeMap;
use std::path::PathBuf;

use doorward_core::login::methods::{ClientAuth, Endpoints};
use doorward_core::login::presets::{self, Preset};
use doorward_core::secret::SecretText;

use super::nearest::nearest;
use super::problem::Problem;
use super::section::{Key, Reading, Section};
use super::tree::{Node, Value};

/// Somebody through whom people log in.
pub struct Provider {
    /// What people call it.
    pub label: String,
    /// How it is asked, by the name of the method.
    pub method: &'static str,
    /// The id it gave us.
    pub client_id: String,
    /// The secret it gave us.
    pub client_secret: Option<SecretText>,
    /// The file that holds the secret, where it is in one.
    pub secret_file: Option<PathBuf>,
    /// How the secret is shown.
    pub client_auth: ClientAuth,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// The issuer, for `OpenID` Connect.
    pub issuer: Option<String>,
    /// The claim with the domain that its people belong to.
    pub domain_claim: Option<&'static str>,
    /// URLs and members, for plain OAuth 2.0.
    pub endpoints: Endpoints,
    /// Whether strangers are given an account; `None` leaves it to the mount.
    pub sign_up: Option<bool>,
    /// Domains that e-mail addresses must be of.
    pub allowed_domains: Vec<String>,
}

pub(super) const KEYS: &[Key] = &[
    Key::optional(
        "kind",
        "\"google\"",
        "google, github, gitlab, discord; oidc (give issuer) or oauth2 (give URLs) for any other. Default: the section's name.",
    ),
    Key::optional("label", "\"Google\"", "What people call it. Default: the kind's."),
    Key::optional("client_id", "\"1234.apps.googleusercontent.com\"", "The id the provider gave you."),
    Key::secret(
        "client_secret",
        "\"${GOOGLE_CLIENT_SECRET}\"",
        "The secret it gave you. Without one Doorward is a public client, which PKCE protects.",
    ),
    Key::optional(
        "client_secret_file",
        "\"/etc/doorward/google.secret\"",
        "A file that holds the secret instead. Mode 0600.",
    ),
    Key::optional(
        "client_auth",
        "\"basic\"",
        "How the secret is shown: basic (Authorization) or body. Default: the kind's.",
    ),
    Key::optional(
        "scopes",
        "[\"openid\", \"email\", \"profile\"]",
        "What is asked for. Default: the kind's.",
    ),
    Key::optional(
        "sign_up",
        "true",
        "Whether whom it knows and you do not gets an account. Default: what the mount's sign_up says.",
    ),
    Key::new(
        "allowed_domains",
        "[]",
        "Domains, such as example.com, of which a confirmed e-mail address must be. Empty: everybody.",
    ),
    Key::optional(
        "issuer",
        "\"https://login.example\"",
        "For oidc: the issuer, exactly as it spells itself.",
    ),
    Key::optional(
        "authorize_url",
        "\"https://login.example/authorize\"",
        "For oauth2: where the browser goes.",
    ),
    Key::optional("token_url", "\"https://login.example/token\"", "For oauth2: where codes are exchanged."),
    Key::optional("user_url", "\"https://api.example/user\"", "For oauth2: who it is, as JSON."),
    Key::optional(
        "emails_url",
        "\"https://api.example/user/emails\"",
        "For oauth2: their addresses, where those are elsewhere: a list of email, primary, verified.",
    ),
    Key::optional(
        "subject_claim",
        "\"id\"",
        "For oauth2: the member of user_url that never changes its person.",
    ),
    Key::optional("email_claim", "\"email\"", "For oauth2: the member with an address."),
    Key::optional(
        "email_verified_claim",
        "\"verified\"",
        "For oauth2: the member that says that the address is confirmed; others are not believed.",
    ),
    Key::optional("name_claim", "\"name\"", "For oauth2: the member with a name to show."),
    Key::optional("username_claim", "\"login\"", "For oauth2: the member with a user name."),
];

const MAX_NAME_BYTES: usize = 40;

/// Reads every provider the operator names.
pub(super) fn read(given: Option<&Node>, reading: &mut Reading) -> Option<BTreeMap<String, Provider>> {
    let Some(node) = given else { return Some(BTreeMap::new()) };
    let Value::Table(table) = &node.value else {
        let what = format!("providers are sections, not {}", node.value.kind());
        reading.problems.push(Problem::of("providers", what, "write [providers.google]").at(&node.origin));
        return None;
    };
    let mut providers = BTreeMap::new();
    for (name, node) in table {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(1..=MAX_NAME_BYTES).contains(&name.len()) || !name.bytes().all(plain) {
            let what = format!("{name:?} cannot be a provider's name");
            let mend = "use up to 40 lower-case letters, digits and -; it stands in URLs";
            reading.problems.push(Problem::of("providers", what, mend).at(&node.origin));
            continue;
        }
        let section = Section::new(format!("providers.{name}"), Some(node), KEYS, reading);
        if let Some(provider) = read_one(name, section) {
            providers.insert(name.clone(), provider);
        }
    }
    (providers.len() == table.len()).then_some(providers)
}

fn kind(name: &str, section: &mut Section<'_>) -> Option<&'static Preset> {
    let given = section.is_given("kind");
    let word = if given { section.text("kind")? } else { name.to_owned() };
    let found = presets::find(&word);
    if found.is_none() {
        let known: Vec<&str> = presets::ALL.iter().map(|preset| preset.name).collect();
        let mend = match nearest(&word, known.iter().copied()) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("set kind to one of {}; oidc is right for most others", known.join(", ")),
        };
        section.refuse("kind", format!("no kind of provider is called {word:?}"), mend);
    }
    found
}

fn read_one(name: &str, mut section: Section<'_>) -> Option<Provider> {
    let preset = kind(name, &mut section);
    let label = optional(&mut section, "label").or_else(|| preset.map(|preset| preset.label.to_owned()));
    let client_id = optional(&mut section, "client_id").filter(|id| !id.is_empty());
    if client_id.is_none() {
        section.refuse(
            "client_id",
            "it is missing",
            "give the id that the provider shows for this application",
        );
    }
    let secret_given = section.is_given("client_secret") || section.is_given("client_secret_file");
    let secret_file =
        section.is_given("client_secret_file").then(|| section.path("client_secret_file")).flatten();
    let client_secret = secret_given.then(|| section.secret("client_secret", "client_secret_file")).flatten();
    let client_auth = match section.is_given("client_auth") {
        true => section.word("client_auth", &[("basic", ClientAuth::Basic), ("body", ClientAuth::Body)]),
        false => preset.map(|preset| preset.auth),
    };
    let scopes = match section.is_given("scopes") {
        true => section.list("scopes"),
        false => preset.map(|preset| preset.scopes.iter().map(|&scope| scope.to_owned()).collect()),
    };
    let sign_up = match section.is_given("sign_up") {
        true => section.boolean("sign_up").map(Some),
        false => Some(None),
    };
    let allowed_domains = domains(&mut section);
    let mut text = |key: &'static str, default: Option<&'static str>| {
        optional(&mut section, key).or_else(|| default.map(str::to_owned)).filter(|text| !text.is_empty())
    };
    let issuer = text("issuer", preset.and_then(|preset| preset.issuer));
    let [authorize, token, user, emails] = preset.map_or([None; 4], |preset| preset.urls);
    let [subject, email, verified, shown, username] = preset.map_or([None; 5], |preset| preset.claims);
    let endpoints = Endpoints {
        authorize_url: text("authorize_url", authorize).unwrap_or_default(),
        token_url: text("token_url", token).unwrap_or_default(),
        user_url: text("user_url", user).unwrap_or_default(),
        emails_url: text("emails_url", emails),
        subject_claim: text("subject_claim", subject).unwrap_or_default(),
        email_claim: text("email_claim", email),
        email_verified_claim: text("email_verified_claim", verified),
        name_claim: text("name_claim", shown),
        username_claim: text("username_claim", username),
    };
    section.finish();
    if secret_given && client_secret.is_none() {
        return None;
    }
    Some(Provider {
        label: label?,
        method: preset?.method,
        client_id: client_id?,
        client_secret,
        secret_file,
        client_auth: client_auth?,
        scopes: scopes?,
        issuer,
        domain_claim: preset?.domain_claim,
        endpoints,
        sign_up: sign_up?,
        allowed_domains: allowed_domains?,
    })
}

fn optional(section: &mut Section<'_>, key: &'static str) -> Option<String> {
    section.is_given(key).then(|| section.text(key)).flatten()
}

fn domains(section: &mut Section<'_>) -> Option<Vec<String>> {
    let given: Vec<String> =
        section.list("allowed_domains")?.into_iter().map(|domain| domain.to_lowercase()).collect();
    let plain = |c: char| c.is_alphanumeric() || c == '-' || c == '.';
    let is_domain = |text: &String| text.contains('.') && !text.starts_with('.') && text.chars().all(plain);
    if let Some(bad) = given.iter().find(|text| !is_domain(text)) {
        let what = format!("{bad:?} is not a domain");
        section.refuse("allowed_domains", what, "write what stands behind the @, such as example.com");
        return None;
    }
    Some(given)
}
