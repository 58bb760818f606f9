//! Doorward's configuration.
//!
//! One precedence everywhere, weakest first:
//!
//! 1. the built-in defaults,
//! 2. `doorward.toml`,
//! 3. the environment: `DOORWARD__SECTION__KEY`, such as `DOORWARD__SERVER__LISTEN`,
//! 4. flags of the command line.
//!
//! Texts of the file may hold `${NAME}`, which is read from the environment. An unknown key is an error. Everything
//! that is wrong is reported at once, with its place and the way to mend it.
//!
//! ```text
//! file, environment, flags ─ tree ─► one tree ─ section ─► Server, Store, … ─► Config
//! ```

mod agents;
mod anomalies;
mod areas;
mod auth0;
mod expand;
mod handlers;
mod issuers;
mod known;
mod ldap;
mod limits;
mod log;
mod mail;
mod metrics;
mod model;
mod mounts;
pub(crate) mod nearest;
mod origin;
mod outbound;
mod passwords;
mod policy_callers;
mod policy_tests;
mod problem;
mod providers;
mod remote_tokens;
mod roles;
mod secrets;
mod section;
mod server;
mod sessions;
mod sources;
mod store;
mod telemetry;
mod tokens;
mod tree;
mod webhooks;
mod written;

use std::collections::BTreeMap;

use doorward_core::authz::RoleDef;
use doorward_core::authz::roles::defaults;
use doorward_core::limits::rules::LimitRule;
use doorward_outbound::Settings as Outbound;
use doorward_server::ForwardedNames;

pub use agents::Agents;
pub use anomalies::Anomalies;
pub use areas::SiteAreas;
pub use auth0::Auth0;
pub use handlers::Handlers;
pub use issuers::Issuer;
pub use ldap::Ldap;
pub use limits::Limits;
pub use log::{Log, LogFormat};
pub use mail::Mail;
pub use metrics::Metrics;
pub use model::Model;
pub use mounts::{Mount, SurfaceKind};
pub use origin::Origin;
pub use passwords::Passwords;
pub(crate) use policy_tests::{Case, Expected, Thing, find_action, read_policy_tests};
pub use problem::{Problem, Problems};
pub use providers::Provider;
pub use remote_tokens::RemoteTokens;
pub use roles::{BUILTIN_ROLES, Role};
pub use secrets::Secrets;
pub use section::{Key, Setting};
pub use server::{Server, TlsFiles};
pub use sessions::Sessions;
pub use sources::{Flag, Sources};
pub use store::Store;
pub use telemetry::Telemetry;
pub use tokens::Tokens;
pub use webhooks::Webhook;
pub use written::{example, reference};

/// Everything an operator can set.
pub struct Config {
    /// Where clients reach Doorward.
    pub server: Server,
    /// Where durable state is kept.
    pub store: Store,
    /// The secrets an operator provides.
    pub secrets: Secrets,
    /// What clients talk to; the native mounts first.
    pub mounts: Vec<Mount>,
    /// Others whose tokens are taken, by name.
    pub issuers: BTreeMap<String, Issuer>,
    /// Others who are asked whose a token is, by name.
    pub remote_tokens: BTreeMap<String, RemoteTokens>,
    /// Requests to addresses that others have a say in.
    pub outbound: Outbound,
    /// Others through whom people log in, by name.
    pub providers: BTreeMap<String, Provider>,
    /// The directory whose people log in by their passwords there.
    pub ldap: Ldap,
    /// The mail server.
    pub mail: Mail,
    /// Where events are POSTed to, by name.
    pub webhooks: BTreeMap<String, Webhook>,
    /// The tokens Doorward issues.
    pub tokens: Tokens,
    /// How long a person stays logged in.
    pub sessions: Sessions,
    /// What a password must be, and what checking one may cost.
    pub passwords: Passwords,
    /// How many failed attempts an address and a name have.
    pub limits: Limits,
    /// How many requests of a kind there may be, by name.
    pub rate_limits: BTreeMap<String, LimitRule>,
    /// What to do about odd log-ins.
    pub anomalies: Anomalies,
    /// The embedded agent server.
    pub agents: Agents,
    /// The model that the `openai` runner asks.
    pub model: Model,
    /// How processes of user code are kept.
    pub handlers: Handlers,
    /// Roles beyond the built-in ones, by name.
    pub roles: BTreeMap<String, Role>,
    /// Parts of sites behind a proxy that asks.
    pub areas: SiteAreas,
    /// What such a proxy is told.
    pub forward_auth: ForwardedNames,
    /// Where metrics are to be had.
    pub metrics: Metrics,
    /// Where traces go.
    pub telemetry: Telemetry,
    /// What is written to standard error.
    pub log: Log,
    /// Every effective setting with its place; secrets are not shown.
    pub settings: Vec<Setting>,
}

impl Config {
    /// Whether somebody set `key`, such as `tokens.algorithm`, rather than leaving it at its default.
    #[must_use]
    pub fn says(&self, key: &str) -> bool {
        self.settings.iter().any(|setting| setting.key == key && setting.origin != Origin::Default)
    }

    /// The roles that differ from the built-in ones, areas included: that a role enters an area is a permission of it.
    #[must_use]
    pub fn role_definitions(&self) -> BTreeMap<String, RoleDef> {
        let own =
            |role: &Role| RoleDef { inherits: role.inherits.clone(), permissions: role.permissions.clone() };
        let mut all: BTreeMap<String, RoleDef> =
            self.roles.iter().map(|(name, role)| (name.clone(), own(role))).collect();
        let built_in = defaults();
        let native = || self.mounts.iter().filter(|mount| mount.surface == SurfaceKind::Native);
        for (area, roles) in &self.areas.roles {
            for role in roles {
                let usual = || built_in.get(role).cloned().unwrap_or_default();
                let definition = all.entry(role.clone()).or_insert_with(usual);
                definition.permissions.extend(native().map(|mount| format!("area:*@{}/{area}", mount.name)));
            }
        }
        all
    }
}

/// A section as it is written: its heading, its settings, and what it is about.
pub(crate) struct SectionRow {
    pub(crate) heading: &'static str,
    pub(crate) keys: &'static [Key],
    pub(crate) doc: &'static str,
}

/// The table of sections, in the order of the example file.
pub(crate) static SECTIONS: &[SectionRow] = &[
    SectionRow { heading: "server", keys: server::KEYS, doc: "Where clients reach Doorward." },
    SectionRow { heading: "store", keys: store::KEYS, doc: "Where durable state is kept." },
    SectionRow { heading: "secrets", keys: secrets::KEYS, doc: "The secrets an operator provides." },
    SectionRow {
        heading: "mounts.agentflow",
        keys: mounts::KEYS,
        doc: "What clients talk to; one section for each. A native mount at the root is always there.",
    },
    SectionRow {
        heading: "mounts.hypha.auth0",
        keys: auth0::KEYS,
        doc: "The Auth0 tenant whose people sign in at a mount of Hypha and whose tokens it takes. What is set here is set whole: then the variables of the same meaning do not count.",
    },
    SectionRow { heading: "tokens", keys: tokens::KEYS, doc: "The tokens Doorward issues." },
    SectionRow {
        heading: "issuers.company",
        keys: issuers::KEYS,
        doc: "Others whose tokens mounts may take; one section for each. The name vouches for its subjects.",
    },
    SectionRow {
        heading: "remote_tokens.supabase",
        keys: remote_tokens::KEYS,
        doc: "Others who are asked whose a token is, because only they can say; one section for each. The name vouches for its subjects.",
    },
    SectionRow {
        heading: "providers.google",
        keys: providers::KEYS,
        doc: "Others through whom people log in, in a browser; one section for each. The name stands in URLs.",
    },
    SectionRow {
        heading: "outbound",
        keys: outbound::KEYS,
        doc: "Requests to addresses that others have a say in: issuers' keys, providers, webhooks.",
    },
    SectionRow {
        heading: "ldap",
        keys: ldap::KEYS,
        doc: "The directory (LDAP) whose people log in by their passwords there.",
    },
    SectionRow {
        heading: "mail",
        keys: mail::KEYS,
        doc: "The mail server that takes letters: links that confirm an address or reset a password.",
    },
    SectionRow {
        heading: "webhooks.audit",
        keys: webhooks::KEYS,
        doc: "Where events are POSTed to, signed, at least once; one section for each.",
    },
    SectionRow { heading: "sessions", keys: sessions::KEYS, doc: "How long a person stays logged in." },
    SectionRow {
        heading: "passwords",
        keys: passwords::KEYS,
        doc: "What a password must be, and what checking one may cost.",
    },
    SectionRow { heading: "agents", keys: agents::KEYS, doc: "The embedded agent server." },
    SectionRow {
        heading: "model",
        keys: model::KEYS,
        doc: "The model that the embedded agent server asks where agents.runner is openai, on any server that speaks OpenAI's chat completions.",
    },
    SectionRow {
        heading: "handlers",
        keys: handlers::KEYS,
        doc: "User code that says who somebody is, in processes of its own.",
    },
    SectionRow {
        heading: "limits",
        keys: limits::KEYS,
        doc: "How many failed attempts an address and a name have.",
    },
    SectionRow { heading: "anomalies", keys: anomalies::KEYS, doc: "What to do about odd log-ins." },
    SectionRow {
        heading: "rate_limits.login",
        keys: limits::RULE_KEYS,
        doc: "How many requests of a kind there may be; one section for each limit, by a name of your own.",
    },
    SectionRow {
        heading: "roles.editor",
        keys: roles::KEYS,
        doc: "Roles beyond the built-in admin > premium > user; one section for each.",
    },
    SectionRow {
        heading: "areas.reports",
        keys: areas::KEYS,
        doc: "Parts of sites behind a proxy that asks /v1/forward-auth before it lets a request through; one section for each. The deepest counts, and what lies in none is for nobody.",
    },
    SectionRow {
        heading: "forward_auth",
        keys: areas::FORWARD_AUTH_KEYS,
        doc: "What a proxy is told that asks /v1/forward-auth.",
    },
    SectionRow { heading: "metrics", keys: metrics::KEYS, doc: "What is counted, for Prometheus." },
    SectionRow {
        heading: "telemetry",
        keys: telemetry::KEYS,
        doc: "Traces of requests, for an OpenTelemetry collector.",
    },
    SectionRow { heading: "log", keys: log::KEYS, doc: "What is written to standard error." },
];

#[cfg(test)]
mod tests;
