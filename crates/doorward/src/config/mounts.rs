//! `[mounts.NAME]`: what clients talk to.

pub(super) mod supabase;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;

use doorward_core::authz::custom::Uncovered;
use doorward_core::secret::SecretText;
use doorward_core::start_up::NothingFound;
use doorward_server::{MessageRate, TokenSource};

use self::values::{header, message_rate, node, origins, prefix, token_sources, upstream, waiting_bytes};
use super::auth0::{self, Auth0};
use super::problem::Problem;
use super::section::{Key, Reading, Section};
use super::tree::{Node, Value};

/// One surface at one place.
#[derive(Clone)]
pub struct Mount {
    /// Its name: a key of the ready file, and part of threads' and sessions' records.
    pub name: String,
    /// The surface it speaks.
    pub surface: SurfaceKind,
    /// The path it stands under on its listener; empty for the root.
    pub prefix: String,
    /// A listener of its own; `None` means the shared one.
    pub listen: Option<SocketAddr>,
    /// The agent server behind it; `None` means the embedded one.
    pub upstream: Option<String>,
    /// Whether it is told who asks under a signature.
    pub principal_jwt: bool,
    /// The platform's own configuration file; without it Doorward's own tokens and keys are taken.
    pub agentflow: Option<PathBuf>,
    /// As [`Mount::agentflow`], for LangGraph.
    pub langgraph: Option<PathBuf>,
    /// What callers may do where no authorization handler covers it.
    pub uncovered: Uncovered,
    /// What the embedded agent's one node is called in streams.
    pub node: String,
    /// Whether people may make accounts for themselves.
    pub sign_up: bool,
    /// A header in which a declared proxy names the caller it let in.
    pub trusted_header: Option<String>,
    /// Where callers may show who they are, in order; empty for the surface's own places.
    pub token_sources: Vec<TokenSource>,
    /// How many messages a client may send.
    pub message_rate: MessageRate,
    /// How much may wait in a hub.
    pub waiting_bytes: usize,
    /// Longest life of tokens that others issue.
    pub max_token_life_s: Option<i64>,
    /// Whether tokens that others issue must expire.
    pub require_exp: bool,
    /// Fewest characters of passwords set through it; `None` means what `[passwords]` says.
    pub min_password_chars: Option<usize>,
    /// Others whose tokens it takes, by name.
    pub issuers: Vec<String>,
    /// Who is asked whose a token is that nobody else knows.
    pub remote_tokens: Option<String>,
    /// Whether refusals say which check failed.
    pub distinct_refusals: bool,
    /// Whether each exchange replaces the refresh token.
    pub refresh_rotation: bool,
    /// Whether an address may be logged in with before anybody proved it.
    pub auto_confirm: bool,
    /// What of Supabase's routes it does beside.
    pub supabase: supabase::Rules,
    /// Where links of letters lead in the end.
    pub site_url: Option<String>,
    /// Patterns of other places where they may lead.
    pub redirect_urls: Vec<String>,
    /// Whether browsers may keep sessions in a cookie.
    pub cookie_sessions: bool,
    /// Origins whose pages may read answers.
    pub cors_origins: Vec<String>,
    /// The secret that its tokens are signed with, where that is shared with other servers.
    pub jwt_secret: Option<SecretText>,
    /// The file it came from, if it came from one.
    pub jwt_secret_file: Option<PathBuf>,
    /// Functions of Python files that are run before anybody is let in, as `file.py:function` or `module:function`.
    pub startup_functions: Vec<String>,
    /// Where they are.
    pub startup_directory: PathBuf,
    /// What it means that their `get_token` finds nothing.
    pub get_token_none: NothingFound,
    /// Where the platform's published client is, for pages to load.
    pub client_script_dir: Option<PathBuf>,
    /// The provider whose people come back to `/oauth/callback`, without its name.
    pub oauth_callback: Option<String>,
    /// The tenant through which people come to it.
    pub auth0: Option<Auth0>,
    /// Whether pages that describe the surface are shown.
    pub docs: bool,
    /// Whether the operator agrees that a mount without authentication is reachable from other machines.
    pub allow_anonymous: bool,
}

/// The surfaces there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SurfaceKind {
    /// Doorward's own API.
    Native,
    /// AgentFlow's.
    AgentFlow,
    /// LangGraph's.
    LangGraph,
    /// Muxi Core's.
    Muxi,
    /// Supabase Auth's.
    Supabase,
    /// Hypha's.
    Hypha,
}

impl SurfaceKind {
    /// Every surface with the word for it.
    pub const ALL: &'static [(&'static str, Self)] = &[
        ("native", Self::Native),
        ("agentflow", Self::AgentFlow),
        ("langgraph", Self::LangGraph),
        ("muxi", Self::Muxi),
        ("supabase", Self::Supabase),
        ("hypha", Self::Hypha),
    ];

    /// Whether an agent server of its platform can stand behind it.
    #[must_use]
    pub fn takes_upstream(self) -> bool {
        matches!(self, Self::AgentFlow | Self::LangGraph)
    }

    /// Whether its platform's clients are in pages too, which `dev` lets in from where pages are developed.
    #[must_use]
    pub fn has_pages(self) -> bool {
        matches!(self, Self::LangGraph | Self::Supabase | Self::Hypha)
    }

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::AgentFlow => "agentflow",
            Self::LangGraph => "langgraph",
            Self::Muxi => "muxi",
            Self::Supabase => "supabase",
            Self::Hypha => "hypha",
        }
    }
}

pub(super) const KEYS: &[Key] = &[
    Key::optional(
        "surface",
        "\"agentflow\"",
        "What is spoken here: native, agentflow, langgraph, muxi, supabase or hypha. Default: the mount's name.",
    ),
    Key::optional(
        "prefix",
        "\"/agentflow\"",
        "The path it stands under. Default: the root for native, and for a mount with a listener of its own; else its name.",
    ),
    Key::optional(
        "listen",
        "\"127.0.0.1:8421\"",
        "A listener of its own. Default: the shared one of [server].",
    ),
    Key::optional(
        "upstream",
        "\"http://127.0.0.1:8000\"",
        "The agent server behind it, by http. Default: the embedded one.",
    ),
    Key::new(
        "principal_jwt",
        "false",
        "Whether the upstream is also told who asks in X-Doorward-Assertion, a JWT that /.well-known/jwks.json verifies.",
    ),
    Key::optional(
        "agentflow",
        "\"agentflow.json\"",
        "AgentFlow's configuration file, read as it is. Without it, Doorward's own tokens and keys are taken.",
    ),
    Key::optional(
        "langgraph",
        "\"langgraph.json\"",
        "LangGraph's configuration file, read as it is; its auth handlers let callers in. Without it, Doorward's own tokens and keys are taken.",
    ),
    Key::new(
        "uncovered",
        "\"own\"",
        "What callers may do where no authorization handler of langgraph.json covers it: own, what is theirs; allow, everything that roles let them; deny, nothing.",
    ),
    Key::new("node", "\"chatbot\"", "What LangGraph's streams call the embedded agent's one node."),
    Key::new("sign_up", "\"closed\"", "open: people make their own accounts; closed: administrators do."),
    Key::optional(
        "trusted_header",
        "\"x-forwarded-user\"",
        "A header in which a proxy of server.trusted_proxies names the caller it let in. From others it is ignored.",
    ),
    Key::new(
        "token_sources",
        "[]",
        "Places where callers may show a token or an API key, such as [\"header:cf-authorization\", \"authorization\", \"cookie:access_token\", \"query:token\"]; the first that holds something decides. Default: the surface's own; for hypha authorization, then the cookie access_token. What is in a query may end up in the logs of proxies.",
    ),
    Key::new(
        "messages_per_s",
        "200",
        "hypha: messages that a connected client may send in a second over time; whoever sends more is closed with 1008.",
    ),
    Key::new("message_burst", "2000", "hypha: messages that it may send at once."),
    Key::new(
        "waiting_mib",
        "256",
        "hypha: MiB that messages take altogether which wait for clients or come in parts; the clients of one address have half of it. A sender that finds no room is told so.",
    ),
    Key::optional(
        "max_token_life_s",
        "604800",
        "Longest life, in seconds from iat to exp, of tokens that others issue; longer ones are refused. hypha: of tokens made here; default 172800.",
    ),
    Key::new(
        "require_exp",
        "true",
        "false: tokens that others issue may lack exp; revocation is then all that ends them.",
    ),
    Key::optional(
        "min_password_chars",
        "12",
        "Fewest characters of a password set through this mount. Default: passwords.min_chars.",
    ),
    Key::new("issuers", "[]", "Others whose tokens are taken here too, by their names in [issuers]."),
    Key::optional(
        "remote_tokens",
        "\"supabase\"",
        "Who of [remote_tokens] is asked about tokens that no other method here knows.",
    ),
    Key::new(
        "refusals",
        "\"uniform\"",
        "uniform: refusals of bad tokens tell expiry apart and nothing else; distinct: AgentFlow's words for what was wrong, and 403 for a missing token with LangGraph.",
    ),
    Key::optional(
        "refresh_rotation",
        "true",
        "Whether each exchange replaces the refresh token. Default: true; false for muxi, whose clients keep theirs.",
    ),
    Key::optional(
        "cookie_sessions",
        "true",
        "Whether sessions that browsers keep in a cookie are taken; POST /v1/session of a native mount begins one. Default: true for native, else false.",
    ),
    Key::new(
        "cors_origins",
        "[]",
        "Origins whose pages may read answers, such as https://app.example. Each is named: there is no wildcard. hypha: ALLOW_ORIGINS in the environment is its default.",
    ),
    Key::secret(
        "jwt_secret",
        "\"${DOORWARD_HYPHA_JWT_SECRET}\"",
        "hypha: the secret that its tokens are signed with (HS256); servers that share it take each other's. Default: HYPHA_JWT_SECRET or JWT_SECRET in the environment; without them, keys of our own.",
    ),
    Key::optional(
        "jwt_secret_file",
        "\"/etc/doorward/hypha-jwt-secret\"",
        "hypha: a file that holds that secret instead. Mode 0600.",
    ),
    Key::optional(
        "client_script_dir",
        "\"node_modules/hypha-rpc/dist\"",
        "hypha: the directory of the published client's scripts, which /assets/hypha-rpc-websocket.js and .mjs are then served from. Default: in dev the one of the example, if it is there.",
    ),
    Key::optional(
        "oauth_callback",
        "\"company\"",
        "hypha: the one of [providers] that sends people back to /oauth/callback; every other one uses /oauth/callback/NAME.",
    ),
    Key::new(
        "startup_functions",
        "[]",
        "hypha: functions that are run before anybody is let in, such as my_auth.py:hypha_startup, from where this file is; they may replace how callers are let in.",
    ),
    Key::new(
        "get_token_none",
        "\"default\"",
        "hypha: what it means that a start-up file's get_token finds nothing: default, the usual places are looked at; anonymous, nobody in particular is asking, as Hypha's server has it.",
    ),
    Key::new(
        "auto_confirm",
        "false",
        "supabase: true lets people log in with an address that nobody has proven, and writes no letters. For tests.",
    ),
    Key::optional(
        "site_url",
        "\"https://app.example\"",
        "supabase: where links of letters lead in the end, with the session behind the #. Default: this server's root.",
    ),
    Key::new(
        "redirect_urls",
        "[]",
        "supabase: other places where they may lead, such as https://*.app.example/**; * ends at a dot or slash, ** does not.",
    ),
    Key::new(
        "anonymous_sign_ins",
        "false",
        "supabase: true lets strangers stay without a name, until they give an address. Each leaves an account behind.",
    ),
    Key::new(
        "secure_email_change",
        "true",
        "supabase: whether the holder of the present address has to agree to another one too.",
    ),
    Key::new(
        "letters_per_network",
        "30",
        "supabase: letters that one client address may ask for in five minutes; 0 for any number.",
    ),
    Key::optional(
        "mail_templates",
        "\"/etc/doorward/letters\"",
        "supabase: a directory of texts for letters, such as confirmation.txt and confirmation.html, in the place of ours.",
    ),
    Key::new(
        "service_key_version",
        "1",
        "supabase: a higher number makes another service key; those before it open nothing from then on.",
    ),
    Key::new("docs", "false", "Whether muxi shows /docs, /redoc and /openapi.json."),
    Key::new(
        "allow_anonymous",
        "false",
        "Agrees that this mount is open to everybody on a public address, when its platform says auth: null.",
    ),
];

const MAX_NAME_BYTES: usize = 40;

/// Reads every mount; the native one is there even when nothing says so.
pub(super) fn read(given: Option<&Node>, reading: &mut Reading) -> Option<Vec<Mount>> {
    let mut mounts = Vec::new();
    let mut complete = true;
    match given.map(|node| (&node.value, &node.origin)) {
        None => {}
        Some((Value::Table(table), _)) => {
            for (name, node) in table {
                match Mount::read(name, node, reading) {
                    Some(mount) => mounts.push(mount),
                    None => complete = false,
                }
            }
        }
        Some((other, origin)) => {
            let what = format!("mounts are sections, not {}", other.kind());
            reading.problems.push(Problem::of("mounts", what, "write [mounts.agentflow]").at(origin));
            complete = false;
        }
    }
    if complete && !mounts.iter().any(|mount| mount.surface == SurfaceKind::Native) {
        let section = Section::new("mounts.native", None, KEYS, reading);
        mounts.extend(Mount::of("native", section));
    }
    // The native mount comes first: its routes are the ones a reader looks for.
    mounts.sort_by_key(|mount| (mount.surface != SurfaceKind::Native, mount.name.clone()));
    complete.then_some(mounts)
}

impl Mount {
    fn read(name: &str, node: &Node, reading: &mut Reading) -> Option<Self> {
        let named = !name.is_empty()
            && name.len() <= MAX_NAME_BYTES
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'));
        if !named {
            reading.problems.push(
                Problem::of(
                    "mounts",
                    format!("{name:?} cannot be a mount's name"),
                    "use up to 40 lower-case letters, digits, - and _",
                )
                .at(&node.origin),
            );
            return None;
        }
        Self::of(name, Section::new(format!("mounts.{name}"), Some(node), KEYS, reading))
    }

    fn of(name: &str, mut section: Section<'_>) -> Option<Self> {
        let surface = surface(name, &mut section);
        let listen = section.address("listen");
        let prefix = prefix(name, surface, listen.is_some(), &mut section);
        let upstream = upstream(&mut section);
        let principal_jwt = section.boolean("principal_jwt");
        let agentflow = section.path("agentflow");
        let langgraph = section.path("langgraph");
        let secret_given = ["jwt_secret", "jwt_secret_file"].into_iter().find(|name| section.is_given(name));
        let jwt_secret_file =
            section.is_given("jwt_secret_file").then(|| section.path("jwt_secret_file")).flatten();
        let jwt_secret = secret_given.and_then(|_| section.secret("jwt_secret", "jwt_secret_file"));
        if let Some(name) = secret_given
            && surface.is_some_and(|surface| surface != SurfaceKind::Hypha)
        {
            section.refuse(
                name,
                "this surface's tokens are not signed with a shared secret",
                "leave it out, or see tokens.key_files",
            );
        }
        let startup_directory = section.place("startup_functions");
        let startup_functions = section.list("startup_functions");
        let get_token_none = section
            .word("get_token_none", &[("default", NothingFound::Usual), ("anonymous", NothingFound::Nobody)]);
        if surface.is_some_and(|surface| surface != SurfaceKind::Hypha)
            && startup_functions.as_ref().is_some_and(|functions| !functions.is_empty())
        {
            section.refuse(
                "startup_functions",
                "this surface runs no start-up functions",
                "leave it out, or see the platform's own file",
            );
        }
        let client_script_dir = section.path("client_script_dir");
        if surface.is_some_and(|surface| surface != SurfaceKind::Hypha) && client_script_dir.is_some() {
            section.refuse("client_script_dir", "this surface's pages load no such client", "leave it out");
        }
        let oauth_callback =
            section.is_given("oauth_callback").then(|| section.text("oauth_callback")).flatten();
        if surface.is_some_and(|surface| surface != SurfaceKind::Hypha) && oauth_callback.is_some() {
            section.refuse(
                "oauth_callback",
                "this surface has no such address",
                "register /v1/login/NAME/callback of the native mount",
            );
        }
        let auth0 = section.within("auth0", auth0::KEYS).map(auth0::of).transpose();
        if surface.is_some_and(|surface| surface != SurfaceKind::Hypha) && auth0 != Ok(None) {
            section.refuse("auth0", "this surface has no tenant", "see [issuers] and [providers]");
        }
        if oauth_callback.is_some() && matches!(auth0, Ok(Some(_))) {
            let what = "people come through the tenant of this mount alone";
            section.refuse("oauth_callback", what, "leave it out, or [mounts.NAME.auth0]");
        }
        let uncovered = section.word(
            "uncovered",
            &[("own", Uncovered::Own), ("allow", Uncovered::Allow), ("deny", Uncovered::Deny)],
        );
        let node = node(&mut section);
        let sign_up = section.word("sign_up", &[("open", true), ("closed", false)]);
        let allow_anonymous = section.boolean("allow_anonymous");
        let trusted_header = header(&mut section);
        let message_rate = message_rate(&mut section);
        let waiting_bytes = waiting_bytes(&mut section);
        let token_sources = token_sources(&mut section, trusted_header.as_deref());
        let max_token_life_s = match section.is_given("max_token_life_s") {
            true => Some(section.integer("max_token_life_s", 1..=315_360_000)?),
            false => None,
        };
        let require_exp = section.boolean("require_exp");
        let min_password_chars = match section.is_given("min_password_chars") {
            true => Some(usize::try_from(section.integer("min_password_chars", 8..=128)?).ok()?),
            false => None,
        };
        let issuers = section.list("issuers");
        let remote_tokens =
            section.is_given("remote_tokens").then(|| section.text("remote_tokens")).flatten();
        let distinct_refusals = section.word("refusals", &[("distinct", true), ("uniform", false)]);
        let refresh_rotation = match section.is_given("refresh_rotation") {
            true => section.boolean("refresh_rotation"),
            false => Some(surface != Some(SurfaceKind::Muxi)),
        };
        let cookie_sessions = match section.is_given("cookie_sessions") {
            true => section.boolean("cookie_sessions"),
            false => Some(surface == Some(SurfaceKind::Native)),
        };
        let cors_origins = origins(&mut section);
        let docs = section.boolean("docs");
        let supabase = supabase::Rules::read(&mut section);
        let auto_confirm = section.boolean("auto_confirm");
        let site_url = section.text("site_url").filter(|url| !url.is_empty());
        let redirect_urls = section.list("redirect_urls");
        let web = |url: &str| url.starts_with("https://") || url.starts_with("http://");
        if site_url.as_deref().is_some_and(|url| !web(url) || !url.bytes().all(|b| b.is_ascii_graphic())) {
            section.refuse("site_url", "this is not a page's address", "write it like https://app.example");
        }
        if surface.is_some_and(|surface| !surface.takes_upstream()) && section.is_given("upstream") {
            section.refuse(
                "upstream",
                "this surface has no agent server behind it",
                "put upstream into the mount of that platform, or name it with --surface",
            );
        }
        let bad = [
            ("listen", listen.is_none()),
            ("upstream", upstream.is_none()),
            ("agentflow", agentflow.is_none()),
            ("langgraph", langgraph.is_none()),
            ("jwt_secret", jwt_secret.is_none()),
            ("jwt_secret_file", jwt_secret.is_none()),
            ("client_script_dir", client_script_dir.is_none()),
            ("trusted_header", trusted_header.is_none()),
            ("remote_tokens", remote_tokens.is_none()),
            ("oauth_callback", oauth_callback.is_none()),
        ]
        .iter()
        .any(|(name, absent)| *absent && section.is_given(name));
        section.finish();
        if bad {
            return None;
        }
        Some(Self {
            name: name.to_owned(),
            surface: surface?,
            prefix: prefix?,
            listen,
            upstream,
            principal_jwt: principal_jwt?,
            agentflow,
            langgraph,
            uncovered: uncovered?,
            node: node?,
            sign_up: sign_up?,
            allow_anonymous: allow_anonymous?,
            trusted_header,
            token_sources: token_sources?,
            message_rate: message_rate?,
            waiting_bytes: waiting_bytes?,
            max_token_life_s,
            require_exp: require_exp?,
            min_password_chars,
            issuers: issuers?,
            remote_tokens,
            distinct_refusals: distinct_refusals?,
            refresh_rotation: refresh_rotation?,
            auto_confirm: auto_confirm?,
            supabase: supabase?,
            site_url,
            redirect_urls: redirect_urls?,
            cookie_sessions: cookie_sessions?,
            cors_origins: cors_origins?,
            jwt_secret,
            jwt_secret_file,
            startup_functions: startup_functions?,
            startup_directory,
            get_token_none: get_token_none?,
            client_script_dir,
            oauth_callback,
            auth0: auth0.ok()?,
            docs: docs?,
        })
    }
}

fn surface(name: &str, section: &mut Section<'_>) -> Option<SurfaceKind> {
    if section.is_given("surface") {
        return section.word("surface", SurfaceKind::ALL);
    }
    let found = SurfaceKind::ALL.iter().find(|(word, _)| *word == name).map(|(_, surface)| *surface);
    if found.is_none() {
        section.refuse(
            "surface",
            format!("no surface is called {name}"),
            "say which surface the mount speaks: surface = \"native\", \"agentflow\", \"langgraph\", \"muxi\", \"supabase\" or \"hypha\"",
        );
    }
    found
}
