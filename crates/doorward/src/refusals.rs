//! What `serve` will not start with, and `dev` warns about: one function per rule, all judged at once.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use doorward_core::anomalies::Policy;
use doorward_core::clock::Clock as _;
use doorward_server::Network;

use crate::clock::SystemClock;
use crate::config::{Config, Mount, Origin, Problem, Server, SurfaceKind};
use crate::hypha::SharedSecrets;
use crate::model::ChosenModel;
use crate::platform::{Auth, Platform};
use crate::secrets::{key_files, lone_reader};
use crate::setup::{Mode, Setup};
use crate::supabase;
use crate::tls;

/// What there is to judge: also of a setup that lacks something else, so that everything is said at once.
#[derive(Clone, Copy)]
pub(crate) struct Judged<'a> {
    pub(crate) config: &'a Config,
    pub(crate) platforms: &'a BTreeMap<String, Platform>,
    pub(crate) shared_secrets: &'a SharedSecrets,
    pub(crate) model: Option<&'a ChosenModel>,
}

impl<'a> From<&'a Setup> for Judged<'a> {
    fn from(setup: &'a Setup) -> Self {
        Self {
            config: &setup.config,
            platforms: &setup.platforms,
            shared_secrets: &setup.shared_secrets,
            model: setup.model.as_ref(),
        }
    }
}

/// What speaks against starting a server for others.
#[must_use]
pub fn refusals(setup: &Setup) -> Vec<Problem> {
    judge(setup.into())
}

pub(crate) fn judge(setup: Judged<'_>) -> Vec<Problem> {
    let mut found = weak_secrets(setup);
    found.extend(key_files_that_are_none(setup));
    found.extend(store_others_can_read(setup));
    found.extend(store_that_cannot_be_written(setup));
    found.extend(master_key_others_can_read(setup));
    found.extend(secrets_in_an_open_file(setup));
    found.extend(store_address_others_can_read(setup));
    found.extend(master_key_beside_the_store(setup));
    found.extend(signing_keys_others_can_read(setup));
    found.extend(secret_files_others_can_read(setup));
    found.extend(tls_key_others_can_read(setup));
    found.extend(tls::read(&setup.config.server, SystemClock.now_ms()).err());
    found.extend(public_without_protection(setup));
    found.extend(everybody_is_a_proxy(setup));
    found.extend(areas_that_nobody_asks_about(setup));
    found.extend(plain_public_url(setup));
    found.extend(providers_that_cannot_send_back(setup));
    found.extend(open_mounts_in_public(setup));
    found.extend(a_key_that_everybody_spends(setup));
    found.extend(letters_that_cannot_be_written(setup));
    found.extend(collector_key_in_the_clear(setup));
    found.extend(metrics_where_others_listen(setup));
    found
}

/// What `dev` says about the same setup: it starts, but none of this may reach other people.
#[must_use]
pub fn warnings(setup: &Setup) -> Vec<String> {
    let judged = Judged::from(setup);
    let found = match setup.mode {
        Mode::Dev => weak_secrets(judged)
            .into_iter()
            .chain(store_others_can_read(judged))
            .chain(tls_key_others_can_read(judged))
            .chain(a_key_that_everybody_spends(judged))
            .chain(collector_key_in_the_clear(judged))
            .collect(),
        Mode::Serve => Vec::new(),
    };
    let consents = setup
        .config
        .mounts
        .iter()
        .filter(|mount| mount.allow_anonymous && is_open(judged, mount) && reaches_others(judged, mount));
    let consents = consents.map(|mount| {
        format!("mounts.{}.allow_anonymous: everybody who reaches this mount may use it", mount.name)
    });
    let open =
        setup.config.mounts.iter().filter(|mount| is_open(judged, mount) && !reaches_others(judged, mount));
    let consents = consents.chain(open.map(|mount| {
        format!("mounts.{}: {}, so whoever reaches it may use it", mount.name, why_open(mount))
    }));
    let weak =
        found.into_iter().map(|problem| format!("{}: {}; {}", problem.key, problem.what, problem.mend));
    let taken =
        |name: &str| setup.config.mounts.iter().any(|mount| mount.issuers.iter().any(|one| one == name));
    let idle = setup.config.issuers.keys().filter(|name| !taken(name));
    let idle =
        idle.map(|name| format!("issuers.{name}: no mount takes its tokens; name it in issuers of a mount"));
    let open = setup.config.metrics.listen.filter(|address| !is_loopback(*address)).map(|address| {
        format!(
            "metrics.listen: whoever reaches {address} reads what is counted; let only Prometheus reach it"
        )
    });
    let stuffing = setup.config.anomalies.policies.get("credential_stuffing") == Some(&Policy::Block);
    let behind = setup.config.server.public_url.is_some() && setup.config.server.trusted_proxies.is_empty();
    let alike = (stuffing && behind).then(|| {
        "anomalies.credential_stuffing: if a proxy stands before this server, everybody is one network; name it in \
         server.trusted_proxies"
            .to_owned()
    });
    let unnamed = unnamed_behind_a_local_proxy(&setup.config.server);
    setup
        .warnings
        .iter()
        .cloned()
        .chain(weak)
        .chain(consents)
        .chain(idle)
        .chain(open)
        .chain(alike)
        .chain(unnamed)
        .collect()
}

fn weak_secrets(setup: Judged<'_>) -> Vec<Problem> {
    let mut found = Vec::new();
    for (mount, platform) in setup.platforms {
        let Auth::Jwt(jwt) = &platform.auth else { continue };
        for (variable, why) in &jwt.weak {
            found.push(Problem::of(
                *variable,
                format!("the secret of the mount {mount} is weak: {why}; who guesses it can be anybody"),
                "replace it by random bytes, such as: openssl rand -hex 32",
            ));
        }
    }
    for (mount, secret) in setup.shared_secrets {
        let Some(why) = &secret.weak else { continue };
        found.push(Problem::of(
            secret.origin.as_str(),
            format!("the secret of the mount {mount} is weak: {why}; who guesses it can be anybody"),
            "replace it by random bytes, such as: openssl rand -hex 32",
        ));
    }
    let tokens = &setup.config.tokens;
    for file in &tokens.key_files {
        for why in key_files::weaknesses(file, tokens.algorithm) {
            found.push(Problem::of(
                "tokens.key_files",
                format!("a secret in {} is weak: {why}; who guesses it can be anybody", file.display()),
                "replace it by random bytes, such as: openssl rand -hex 32",
            ));
        }
    }
    found
}

fn key_files_that_are_none(setup: Judged<'_>) -> Option<Problem> {
    let tokens = &setup.config.tokens;
    if tokens.key_files.is_empty() {
        return None;
    }
    key_files::read(&tokens.key_files, tokens.algorithm).err()
}

fn store_others_can_read(setup: Judged<'_>) -> Option<Problem> {
    let path = setup.config.store.file()?.to_str()?;
    let problem = doorward_store::permissions(path).err()?;
    Some(Problem::of("store.path", problem.to_string(), "run that command, then start again"))
}

/// Looks without making anything: at the file, or at the nearest directory there is.
fn store_that_cannot_be_written(setup: Judged<'_>) -> Option<Problem> {
    let path = setup.config.store.file()?;
    let refused = |what: String| {
        Problem::of("store.path", what, "name a file in a directory that this user can make and write")
    };
    if path.exists() {
        let opened = std::fs::OpenOptions::new().write(true).open(path);
        return opened.err().map(|error| refused(format!("{} cannot be written: {error}", path.display())));
    }
    let above = path.ancestors().skip(1);
    // A bare file name stands in the working directory.
    let mut above =
        above.map(|directory| if directory.as_os_str().is_empty() { Path::new(".") } else { directory });
    let nearest = above.find(|directory| directory.exists())?;
    if !nearest.is_dir() {
        return Some(refused(format!("{} is no directory", nearest.display())));
    }
    // By the rights of this user, which the mode alone does not tell.
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    let denied = rustix::fs::access(nearest, access).err()?;
    Some(refused(format!("{} cannot be written: {denied}", nearest.display())))
}

fn master_key_others_can_read(setup: Judged<'_>) -> Option<Problem> {
    let file = setup.config.secrets.master_key_file.as_ref()?;
    let mode = lone_reader(file)?;
    Some(Problem::of(
        "secrets.master_key_file",
        format!("{} is open to other users of this machine (mode {mode:o})", file.display()),
        format!("run: chmod 600 '{}'; if others have read it, make a new store", file.display()),
    ))
}

fn tls_key_others_can_read(setup: Judged<'_>) -> Option<Problem> {
    let file = &setup.config.server.tls.as_ref()?.key;
    Some(tls::open_key(file, lone_reader(file)?))
}

/// Secrets that stand in the configuration file itself.
fn secrets_in_an_open_file(setup: Judged<'_>) -> Vec<Problem> {
    let of_a_party = |key: &str| {
        ["webhooks.", "providers.", "remote_tokens."].iter().any(|party| key.starts_with(party))
            && key.ends_with("secret")
    };
    let secret = |key: &str| {
        matches!(key, "secrets.master_key" | "store.url" | "telemetry.otlp_headers" | "model.api_key")
            || of_a_party(key)
    };
    let settings = setup.config.settings.iter().filter(|setting| secret(&setting.key));
    let open = settings.filter_map(|setting| {
        let Origin::File { path, variable: false, .. } = &setting.origin else { return None };
        let mode = lone_reader(path)?;
        Some(Problem::of(
            setting.key.as_str(),
            format!(
                "it stands in {}, which is open to other users of this machine (mode {mode:o})",
                path.display()
            ),
            format!(
                "run: chmod 600 '{}', or use {}_file or an environment variable",
                path.display(),
                setting.key
            ),
        ))
    });
    open.collect()
}

fn store_address_others_can_read(setup: Judged<'_>) -> Option<Problem> {
    let file = setup.config.store.url_file.as_ref()?;
    let mode = lone_reader(file)?;
    Some(Problem::of(
        "store.url_file",
        format!("{} is open to other users of this machine (mode {mode:o})", file.display()),
        format!(
            "run: chmod 600 '{}'; if others have read it, change the database's password",
            file.display()
        ),
    ))
}

/// Links need an address that no stranger chooses, and letters somebody who takes them.
fn letters_that_cannot_be_written(setup: Judged<'_>) -> Vec<Problem> {
    let config = setup.config;
    let writes = |mount: &&Mount| supabase::speaks(mount);
    let mut found = Vec::new();
    for mount in config.mounts.iter().filter(writes) {
        if config.server.public_url.is_none() {
            found.push(Problem::of(
                "server.public_url",
                format!("links in letters of the mount {} would lead nowhere", mount.name),
                "say where browsers reach this server, such as https://auth.example",
            ));
        }
        if mount.site_url.as_deref().is_some_and(is_plain_and_elsewhere) {
            found.push(Problem::of(
                format!("mounts.{}.site_url", mount.name),
                "sessions would be given to a page that came over plain HTTP",
                "give its https:// address",
            ));
        }
        if !mount.auto_confirm && config.mail.host.is_none() {
            found.push(Problem::of(
                "mail.host",
                format!(
                    "nobody could confirm an address at the mount {}: no mail server is named",
                    mount.name
                ),
                format!("name one in [mail], or set mounts.{}.auto_confirm", mount.name),
            ));
        }
    }
    found
}

fn secret_files_others_can_read(setup: Judged<'_>) -> Vec<Problem> {
    let of_webhooks = setup.config.webhooks.iter().flat_map(|(name, webhook)| {
        webhook.secret_files.iter().map(move |file| (format!("webhooks.{name}.secret_file"), file))
    });
    let of_providers = setup.config.providers.iter().flat_map(|(name, provider)| {
        provider.secret_file.iter().map(move |file| (format!("providers.{name}.client_secret_file"), file))
    });
    let of_others = setup.config.remote_tokens.iter().flat_map(|(name, one)| {
        one.secret_file.iter().map(move |file| (format!("remote_tokens.{name}.secret_file"), file))
    });
    let of_mail = setup.config.mail.password_file.iter().map(|file| ("mail.password_file".to_owned(), file));
    let of_mounts = setup.config.mounts.iter().flat_map(|mount| {
        mount.jwt_secret_file.iter().map(move |file| (format!("mounts.{}.jwt_secret_file", mount.name), file))
    });
    let of_ldap = &setup.config.ldap.bind_password_file;
    let of_ldap = of_ldap.iter().map(|file| ("ldap.bind_password_file".to_owned(), file));
    let of_telemetry = &setup.config.telemetry.headers_file;
    let of_telemetry = of_telemetry.iter().map(|file| ("telemetry.otlp_headers_file".to_owned(), file));
    let of_model = setup.config.model.api_key_file.iter().map(|file| ("model.api_key_file".to_owned(), file));
    let files = of_webhooks
        .chain(of_providers)
        .chain(of_others)
        .chain(of_mail)
        .chain(of_ldap)
        .chain(of_telemetry)
        .chain(of_model)
        .chain(of_mounts);
    let files = files.filter_map(|(key, file)| Some((key, file, lone_reader(file)?)));
    let problem = |(key, file, mode): (String, &std::path::PathBuf, u32)| {
        Problem::of(
            key,
            format!("{} is open to other users of this machine (mode {mode:o})", file.display()),
            format!("run: chmod 600 '{}'; if others have read it, make a new secret", file.display()),
        )
    };
    files.map(problem).collect()
}

fn signing_keys_others_can_read(setup: Judged<'_>) -> Vec<Problem> {
    let open = setup.config.tokens.key_files.iter().filter_map(|file| Some((file, lone_reader(file)?)));
    open.map(|(file, mode)| {
        Problem::of(
            "tokens.key_files",
            format!("{} is open to other users of this machine (mode {mode:o})", file.display()),
            format!("run: chmod 600 '{}'; if others have read it, make a new key", file.display()),
        )
    })
    .collect()
}

fn master_key_beside_the_store(setup: Judged<'_>) -> Option<Problem> {
    let file = setup.config.secrets.master_key_file.as_ref()?;
    let directory = |path: &Path| {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        parent.canonicalize().unwrap_or_else(|_| parent.to_path_buf())
    };
    (directory(file) == directory(setup.config.store.file()?)).then(|| {
        Problem::of(
            "secrets.master_key_file",
            "the master key lies beside the store, so that one stolen backup holds both",
            "keep it in another directory, such as /etc/doorward",
        )
    })
}

fn listeners(setup: Judged<'_>) -> impl Iterator<Item = (String, SocketAddr)> {
    let own =
        setup.config.mounts.iter().filter_map(|mount| {
            mount.listen.map(|address| (format!("mounts.{}.listen", mount.name), address))
        });
    std::iter::once(("server.listen".to_owned(), setup.config.server.listen)).chain(own)
}

/// Two sockets of one address, of which one is for metrics alone.
fn metrics_where_others_listen(setup: Judged<'_>) -> Option<Problem> {
    let metrics = setup.config.metrics.listen.filter(|metrics| metrics.port() != 0)?;
    // [::] takes what comes by IPv4 too.
    let everywhere = |one: IpAddr, other: IpAddr| one.is_unspecified() && (one.is_ipv6() || other.is_ipv4());
    let meets = |address: &SocketAddr| {
        let (one, other) = (address.ip().to_canonical(), metrics.ip().to_canonical());
        address.port() == metrics.port() && (one == other || everywhere(one, other) || everywhere(other, one))
    };
    let shared = setup.config.mounts.iter().any(|mount| mount.listen.is_none());
    let (key, _) =
        listeners(setup).find(|(key, address)| (shared || key != "server.listen") && meets(address))?;
    Some(Problem::of(
        "metrics.listen",
        format!("{metrics} is taken by {key} of this configuration"),
        "give it a port of its own, such as 127.0.0.1:9420",
    ))
}

/// Whether an address is reachable from this machine alone.
#[must_use]
pub fn is_loopback(address: SocketAddr) -> bool {
    match address.ip() {
        std::net::IpAddr::V4(ip) => ip.is_loopback(),
        std::net::IpAddr::V6(ip) => {
            ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback())
        }
    }
}

fn public_without_protection(setup: Judged<'_>) -> Vec<Problem> {
    if !setup.config.server.trusted_proxies.is_empty() || setup.config.server.tls.is_some() {
        return Vec::new();
    }
    listeners(setup)
        .filter(|(_, address)| !is_loopback(*address))
        .map(|(key, address)| {
            Problem::of(
                key,
                format!("{address} is reachable from other machines, and nothing encrypts what comes in"),
                "name server.tls_certificate_file and server.tls_key_file, or put a proxy that speaks TLS before it and name \
                 that in server.trusted_proxies, or listen on 127.0.0.1",
            )
        })
        .collect()
}

/// Without a proxy that is believed, every question about an area is refused.
fn areas_that_nobody_asks_about(setup: Judged<'_>) -> Option<Problem> {
    let Config { areas, server, .. } = setup.config;
    let lacking = !areas.areas.is_empty() && server.trusted_proxies.is_empty();
    lacking.then(|| {
        let what = "nobody may ask about [areas]: there is no trusted proxy";
        Problem::of("server.trusted_proxies", what, "list the address of the proxy that asks")
    })
}

fn everybody_is_a_proxy(setup: Judged<'_>) -> Option<Problem> {
    setup.config.server.trusted_proxies.iter().any(Network::is_everybody).then(|| {
        Problem::of(
            "server.trusted_proxies",
            "every address is declared a proxy, so anybody can say where a request comes from",
            "name the addresses or networks of the proxies alone",
        )
    })
}

/// A page whose name leads to this machine (DNS rebinding) comes from the proxy's own address.
fn unnamed_behind_a_local_proxy(server: &Server) -> Option<String> {
    let local = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let is_local = |proxy: &Network| local.iter().any(|address| proxy.contains(*address));
    (server.public_url.is_none() && server.trusted_proxies.iter().any(is_local)).then(|| {
        "server.trusted_proxies: the proxy is on this machine and server.public_url is not set, so any host name is answered \
         to and a page in a browser of this machine could pass for one of ours; set public_url to the name the proxy serves"
            .to_owned()
    })
}

fn plain_public_url(setup: Judged<'_>) -> Option<Problem> {
    let url = setup.config.server.public_url.as_deref()?;
    is_plain_and_elsewhere(url).then(|| {
        Problem::of(
            "server.public_url",
            "clients would send their secrets over plain HTTP",
            "give the https:// address of this server, or of the proxy before it",
        )
    })
}

/// What is sent with traces is a key, as a rule.
fn collector_key_in_the_clear(setup: Judged<'_>) -> Option<Problem> {
    let telemetry = &setup.config.telemetry;
    let url = telemetry.traces_url.as_ref()?.to_string();
    (!telemetry.headers.is_empty() && is_plain_and_elsewhere(&url)).then(|| {
        Problem::of(
            "telemetry.otlp_endpoint",
            "the headers for the collector, which hold its key, would be sent over plain HTTP to another machine",
            "give its https:// address, or send to a collector on 127.0.0.1 that forwards, or leave out otlp_headers",
        )
    })
}

fn is_plain_and_elsewhere(url: &str) -> bool {
    let host = url.strip_prefix("http://").and_then(|rest| rest.split(['/', ':']).next());
    host.is_some_and(|host| !matches!(host, "localhost" | "127.0.0.1") && !url.starts_with("http://[::1]"))
}

/// Where a provider sends browsers back to must not come from a header that a stranger writes.
fn providers_that_cannot_send_back(setup: Judged<'_>) -> Option<Problem> {
    let server = &setup.config.server;
    let known = server.public_url.is_some() || (server.tls.is_none() && is_loopback(server.listen));
    let provider = setup.config.providers.keys().next().filter(|_| !known)?;
    Some(Problem::of(
        "server.public_url",
        format!("[providers.{provider}] has to send browsers back here, and nothing says by which name"),
        "give the https:// address that browsers use; register its /v1/login/NAME/callback with the provider (a hub: its /oauth/callback/NAME)",
    ))
}

fn is_open(setup: Judged<'_>, mount: &Mount) -> bool {
    setup.platforms.get(&mount.name).is_some_and(|platform| matches!(platform.auth, Auth::Open))
}

/// What makes a mount open, in its platform's words.
fn why_open(mount: &Mount) -> &'static str {
    match mount.surface {
        SurfaceKind::LangGraph => "langgraph.json has no auth",
        _ => "agentflow.json says auth: null",
    }
}

fn reaches_others(setup: Judged<'_>, mount: &Mount) -> bool {
    let address = mount.listen.unwrap_or(setup.config.server.listen);
    !is_loopback(address) || setup.config.server.public_url.is_some()
}

/// A key that a project holds for its own graph answers on every mount, so that who may come in without a name would spend it unsaid.
fn a_key_that_everybody_spends(setup: Judged<'_>) -> Vec<Problem> {
    if setup.model.is_none() || setup.config.says("agents.runner") {
        return Vec::new();
    }
    let open = setup.config.mounts.iter().filter(|mount| mount.upstream.is_none() && is_open(setup, mount));
    open.map(|mount| {
        Problem::of(
            "agents.runner",
            format!(
                "the key of a project makes a model answer at every mount, and at mounts.{}: {}, so everybody who reaches it \
                 would spend that key",
                mount.name,
                why_open(mount)
            ),
            format!(
                "say runner = \"openai\" in [agents] to agree to it, or \"echo\"; or close the mount: no allow_anonymous in \
                 [mounts.{}], and auth in its file",
                mount.name
            ),
        )
    })
    .collect()
}

fn open_mounts_in_public(setup: Judged<'_>) -> Vec<Problem> {
    // LangGraph's development server is open by itself, and nobody wrote down that this one should be.
    let is_unsaid = |mount: &Mount| mount.surface == SurfaceKind::LangGraph;
    let open = setup.config.mounts.iter().filter(|mount| {
        !mount.allow_anonymous && is_open(setup, mount) && (is_unsaid(mount) || reaches_others(setup, mount))
    });
    open.map(|mount| {
        let auth = match mount.surface {
            SurfaceKind::LangGraph => "name handlers: \"auth\": {\"path\": \"./auth.py:auth\"}",
            _ => "set auth to \"jwt\"",
        };
        Problem::of(
            format!("mounts.{}", mount.name),
            format!("{}, so everybody who reaches this mount may use it", why_open(mount)),
            format!("{auth}, or agree to it: allow_anonymous = true in [mounts.{}]", mount.name),
        )
    })
    .collect()
}
