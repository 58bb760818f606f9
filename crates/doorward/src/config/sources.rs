//! Where a configuration is read from, and its judgement as a whole.

use std::fs;
use std::path::PathBuf;

use doorward_core::authz::Catalogue;

use super::nearest::nearest;
use super::origin::Origin;
use super::problem::{Problem, Problems};
use super::section::{Reading, Section};
use super::tree::{Node, PREFIX, Table, Value, from_environment, from_toml, lay_over, put};
use super::{
    Agents, Anomalies, Config, Handlers, Ldap, Limits, Log, Mail, Metrics, Model, Passwords, SECTIONS,
    Secrets, SectionRow, Server, Sessions, Store, SurfaceKind, Telemetry, Tokens, areas, auth0, issuers,
    known, ldap, limits, mounts, outbound, providers, remote_tokens, roles, webhooks,
};

/// Hypha's own variable for the origins of pages that may read answers.
const ALLOW_ORIGINS: &str = "ALLOW_ORIGINS";

/// A setting given on the command line.
#[derive(Clone)]
pub struct Flag {
    /// The setting, such as `server.listen`.
    pub key: String,
    /// Its value as text; lists are separated by commas.
    pub value: String,
    /// The flag as it is typed, such as `--listen`.
    pub flag: &'static str,
}

/// Where a configuration is read from.
#[derive(Default)]
pub struct Sources {
    /// Defaults of the command that differ from the built-in ones: (key, value).
    pub defaults: Vec<(String, String)>,
    /// The file, if there is one.
    pub file: Option<PathBuf>,
    /// The environment: every variable of the process.
    pub environment: Vec<(String, String)>,
    /// A `.env` with variables of Hypha's, if it is there: the environment's count before it.
    pub dotenv: Option<PathBuf>,
    /// What the command line says.
    pub flags: Vec<Flag>,
    /// The actions that permissions and scopes may name: Doorward's own, and those of the application it is part of.
    pub catalogue: Catalogue,
}

impl Sources {
    /// Reads and judges the configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn read(&self) -> Result<Config, Problems> {
        let mut reading = Reading { catalogue: self.catalogue.clone(), ..Reading::default() };
        let tree = self.tree(&mut reading.problems);
        let config = build(&tree, &mut reading);
        match config {
            Some(mut config) if reading.problems.is_empty() => {
                config.settings = reading.settings;
                Ok(config)
            }
            _ => {
                debug_assert!(!reading.problems.is_empty(), "a section gave up without saying why");
                Err(Problems(reading.problems))
            }
        }
    }

    fn tree(&self, problems: &mut Vec<Problem>) -> Table {
        let given = self.given(problems);
        let mut tree = self.usual();
        make_way(&mut tree, &given);
        lay_over(&mut tree, given);
        allowed_origins(&mut tree, &self.environment);
        if hypha_mounts(&mut tree).next().is_some() {
            let tenant = auth0::variables(&self.environment, self.dotenv.as_deref(), problems);
            hypha_mounts(&mut tree).for_each(|keys| auth0::lend(keys, &tenant));
        }
        tree
    }

    /// What holds when nothing is said.
    fn usual(&self) -> Table {
        let mut tree = Table::new();
        for (key, value) in &self.defaults {
            let path: Vec<&str> = key.split('.').collect();
            let value = match value.as_str() {
                "true" => Value::Boolean(true),
                "false" => Value::Boolean(false),
                text => Node::text(text, Origin::Default).value,
            };
            put(&mut tree, &path, Node { value, origin: Origin::Default });
        }
        tree
    }

    /// What is said, by whom it counts for.
    fn given(&self, problems: &mut Vec<Problem>) -> Table {
        let mut tree = Table::new();
        if let Some(path) = &self.file {
            match fs::read_to_string(path) {
                Ok(text) => {
                    let variable = |name: &str| {
                        self.environment
                            .iter()
                            .find(|(known, _)| known == name)
                            .map(|(_, value)| value.clone())
                    };
                    lay_over(&mut tree, from_toml(path, &text, &variable, problems));
                }
                Err(error) => problems.push(Problem::general(
                    format!("{}: {error}", path.display()),
                    "give the path of a readable configuration file; `doorward config example` prints one",
                )),
            }
        }
        lay_over(&mut tree, from_environment(&self.environment, problems));
        for flag in &self.flags {
            let path: Vec<&str> = flag.key.split('.').collect();
            let mut above = Table::new();
            put(&mut above, &path, Node::text(flag.value.as_str(), Origin::Flag(flag.flag)));
            lay_over(&mut tree, above);
        }
        tree
    }
}

/// A mount that nobody asked for makes way for whoever else has its name: `[remote_tokens.supabase]` is what one calls Supabase.
fn make_way(usual: &mut Table, given: &Table) {
    let names = |heading: &str| match given.get(heading).map(|node| &node.value) {
        Some(Value::Table(sections)) => sections.keys().cloned().collect(),
        _ => Vec::new(),
    };
    let asked_for = names("mounts");
    let Some(Value::Table(mounts)) = usual.get_mut("mounts").map(|node| &mut node.value) else { return };
    for name in
        names("issuers").iter().chain(&names("remote_tokens")).filter(|name| !asked_for.contains(name))
    {
        mounts.remove(name);
    }
}

/// Hypha's own variable is what its mounts go by where the configuration names no origins.
fn allowed_origins(tree: &mut Table, environment: &[(String, String)]) {
    let given = environment.iter().find(|(name, text)| name == ALLOW_ORIGINS && !text.trim().is_empty());
    let Some((name, text)) = given else { return };
    for keys in hypha_mounts(tree).filter(|keys| !keys.contains_key("cors_origins")) {
        let origins = Node::text(text.as_str(), Origin::Environment(name.clone()));
        keys.insert("cors_origins".to_owned(), origins);
    }
}

/// What is said of each mount that speaks Hypha.
fn hypha_mounts(tree: &mut Table) -> impl Iterator<Item = &mut Table> {
    let mounts = match tree.get_mut("mounts").map(|node| &mut node.value) {
        Some(Value::Table(mounts)) => Some(mounts),
        _ => None,
    };
    mounts.into_iter().flatten().filter_map(|(mount, node)| {
        let Value::Table(keys) = &mut node.value else { return None };
        let speaks = match keys.get("surface").map(|node| &node.value) {
            Some(Value::Text(surface)) => surface.as_str() == SurfaceKind::Hypha.name(),
            _ => mount == SurfaceKind::Hypha.name(),
        };
        speaks.then_some(keys)
    })
}

/// The first name of a heading: `mounts` of `mounts.agentflow`.
fn group(row: &SectionRow) -> &'static str {
    row.heading.split('.').next().unwrap_or(row.heading)
}

fn build(tree: &Table, reading: &mut Reading) -> Option<Config> {
    for (name, node) in tree {
        if SECTIONS.iter().any(|row| group(row) == name) {
            continue;
        }
        let mend = match nearest(name, SECTIONS.iter().map(group)) {
            Some(near) => format!("did you mean [{near}]?"),
            None => format!("known: {}", SECTIONS.iter().map(group).collect::<Vec<_>>().join(", ")),
        };
        let hint = if matches!(node.origin, Origin::Environment(_)) {
            format!("{mend} Variables are called {PREFIX}SECTION__KEY.")
        } else {
            mend
        };
        reading.problems.push(Problem::of(name, "unknown section", hint).at(&node.origin));
    }
    let server = Server::read(section("server", tree, reading));
    let store = Store::read(section("store", tree, reading));
    let secrets = Secrets::read(section("secrets", tree, reading));
    let mounts = mounts::read(tree.get("mounts"), reading);
    let issuers = issuers::read(tree.get("issuers"), reading);
    let remote_tokens = remote_tokens::read(tree.get("remote_tokens"), reading);
    known::remote_tokens(mounts.as_deref(), remote_tokens.as_ref(), reading);
    let providers = providers::read(tree.get("providers"), reading);
    known::providers(mounts.as_deref(), providers.as_ref(), reading);
    let outbound = outbound::read(section("outbound", tree, reading));
    known::issuers(mounts.as_deref(), issuers.as_ref(), reading);
    let ldap = Ldap::read(section("ldap", tree, reading));
    let mail = Mail::read(section("mail", tree, reading));
    let webhooks = webhooks::read(tree.get("webhooks"), reading);
    let tokens = Tokens::read(section("tokens", tree, reading));
    let sessions = Sessions::read(section("sessions", tree, reading));
    let passwords = Passwords::read(section("passwords", tree, reading));
    let limits = Limits::read(section("limits", tree, reading));
    let anomalies = Anomalies::read(section("anomalies", tree, reading));
    let agents = Agents::read(section("agents", tree, reading));
    let model = Model::read(section("model", tree, reading));
    let handlers = Handlers::read(section("handlers", tree, reading));
    let roles = roles::read(tree.get("roles"), reading);
    ldap::know_roles(ldap.as_ref(), roles.as_ref(), reading);
    roles::know_mounts(roles.as_ref(), mounts.as_deref(), reading);
    let site_areas = areas::read(tree.get("areas"), reading);
    areas::check(site_areas.as_ref(), roles.as_ref(), mounts.as_deref(), reading);
    let forward_auth = areas::read_forward_auth(section("forward_auth", tree, reading));
    let rate_limits = limits::read_rules(tree.get("rate_limits"), reading);
    let metrics = Metrics::read(section("metrics", tree, reading));
    let telemetry = Telemetry::read(section("telemetry", tree, reading));
    let log = Log::read(section("log", tree, reading));
    Some(Config {
        server: server?,
        store: store?,
        secrets: secrets?,
        mounts: mounts?,
        issuers: issuers?,
        remote_tokens: remote_tokens?,
        providers: providers?,
        outbound: outbound?,
        ldap: ldap?,
        mail: mail?,
        webhooks: webhooks?,
        tokens: tokens?,
        sessions: sessions?,
        passwords: passwords?,
        limits: limits?,
        anomalies: anomalies?,
        agents: agents?,
        model: model?,
        handlers: handlers?,
        roles: roles?,
        rate_limits: rate_limits?,
        areas: site_areas?,
        forward_auth: forward_auth?,
        metrics: metrics?,
        telemetry: telemetry?,
        log: log?,
        settings: Vec::new(),
    })
}

fn section<'r>(heading: &'static str, tree: &Table, reading: &'r mut Reading) -> Section<'r> {
    let row = SECTIONS.iter().find(|row| row.heading == heading).expect("every section has a row");
    Section::new(heading, tree.get(heading), row.keys, reading)
}

#[cfg(test)]
mod reference;
