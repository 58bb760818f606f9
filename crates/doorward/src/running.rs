//! A server's life: assemble, bind, tell where everything is, answer until told to stop, finish what was taken.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use doorward_core::clock::Clock as _;
use doorward_server::{
    At, Bound, CountBy, ForwardAuth, Graphs, Listening, MountAt, RateLimit, ServerSettings, Sockets,
    Telemetry, Tls,
};
use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::administrator::{self, DevKey};
use crate::announcing::{Announced, announce};
use crate::assemble::{self, Assembled, Mounted, assemble, assemble_with};
use crate::certificates::Certificates;
use crate::cli::{Failure, Surroundings};
use crate::client_scripts;
use crate::clock::SystemClock;
use crate::config::Problems;
use crate::descriptors;
use crate::handlers::Start;
use crate::logging;
use crate::others;
use crate::platform::agentflow::{self, RateLimitBy};
use crate::refusals::warnings;
use crate::setup::{Mode, Setup};
use crate::signals::{End, Over, Requests, Signals};
use crate::start_up;
use crate::succession::{self, Predecessor, Program};
use crate::supervisor::Supervisor;
use crate::telemetry;

/// What a server needs before it knows its configuration.
pub(crate) struct Ground {
    runtime: Runtime,
    requests: Requests,
}

impl Ground {
    /// Takes signals over: from here on none that asks for something ends the process.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn new(mode: Mode) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let requests = {
            let _within = runtime.enter();
            Requests::new(mode)?
        };
        Ok(Self { runtime, requests })
    }
}

/// Runs a server until it is told to stop.
///
/// # Errors
/// What keeps it from starting.
pub(crate) fn run(
    Ground { runtime, requests }: Ground,
    setup: &Setup,
    surroundings: &Surroundings,
    ready_file: Option<&Path>,
    json: bool,
) -> Result<(), Failure> {
    // Before anything else could take standard input for something else.
    let (predecessor, sockets) = succession::predecessor(surroundings)?;
    let _log = logging::start(&setup.config.log);
    for warning in warnings(setup) {
        tracing::warn!("{warning}");
    }
    if let Some(warning) = descriptors::make_room(setup.config.server.max_connections) {
        tracing::warn!("{warning}");
    }
    let announced = Announced { ready_file, json };
    let supervisor = Supervisor::of(surroundings);
    let lived = runtime.block_on(live(setup, requests, supervisor, (predecessor, sockets), announced));
    // Its workers have their last words before the log ends.
    drop(runtime);
    lived
}

/// Does everything that starting does but take the addresses: on a store that is gone afterwards, on free ports. The
/// configured store is opened and closed before. What comes back is worth knowing and no fault.
///
/// # Errors
/// What would keep the server from starting.
pub(crate) fn rehearse(mut setup: Setup) -> Result<Vec<String>, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut notes = Vec::from_iter(try_store(&setup).await?);
        setup.config.store = crate::config::Store::in_memory();
        let assembled = assemble(&setup).await?;
        let mut places = listenings(&setup, &assembled)?;
        for place in &mut places {
            let address = place.listening.address;
            // Most likely the very server whose configuration this is, so it is not refused.
            let found = tokio::net::TcpListener::bind(address).await;
            if found.is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse) {
                notes.push(format!("something listens on {address} already; a second server cannot"));
            }
            place.listening.address.set_port(0);
        }
        if let Some(address) = &mut setup.config.metrics.listen {
            address.set_port(0);
        }
        let bound = bind(&setup, &assembled, places, Around::alone(&setup)?).await?;
        start_up::begin(&assembled, &bound).await?;
        assembled.close().await;
        Ok(notes)
    })
}

/// Runs start-up functions against a hub that nobody reaches. What comes back is what they register, and the interpreter's version.
///
/// # Errors
/// What keeps one of them from it.
pub(crate) fn rehearse_start_up(setup: &Setup) -> Result<Vec<start_up::Begun>, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let assembled = assemble(setup).await?;
        let bound = bind(setup, &assembled, listenings(setup, &assembled)?, Around::alone(setup)?).await?;
        let begun = start_up::begin(&assembled, &bound).await;
        assembled.close().await;
        begun
    })
}

/// Opens the configured store if it is there and this build has nothing to change in it.
async fn try_store(setup: &Setup) -> Result<Option<String>, Failure> {
    if !setup.config.store.is_there() {
        return Ok(None);
    }
    match assemble::lacking(&setup.config)? {
        0 => {
            assemble_with(setup, Start::None).await?.close().await;
            Ok(None)
        }
        n => Ok(Some(format!(
            "the store lacks {n} changes of its schema, which `doorward serve` makes at its start"
        ))),
    }
}

async fn live(
    setup: &Setup,
    requests: Requests,
    supervisor: Supervisor,
    (predecessor, sockets): (Option<Predecessor>, Sockets),
    announced: Announced<'_>,
) -> Result<(), Failure> {
    // The signals are taken over before anything is begun, so that none can end the process half-way.
    let mut signals = Signals::new(requests)?;
    let program = Program::of_process()?;
    if predecessor.is_some() {
        same_schema(setup)?;
    }
    let assembled = assemble(setup).await?;
    let listenings = listenings(setup, &assembled)?;
    let places: Vec<Vec<(String, String)>> = listenings.iter().map(Place::names).collect();
    let certificates = certificates(setup)?;
    let (telemetry, exporter) =
        telemetry::start(&setup.config).map_err(|error| others::unusable(&error))?.unzip();
    let around = Around { sockets, telemetry, tls: certificates.as_ref().map(Certificates::tls) };
    let bound = bind(setup, &assembled, listenings, around).await?;
    if predecessor.is_none() {
        // What another process began that still serves goes on there, and ends there.
        assembled.engine.interrupt_left_runs().await?;
    }
    assembled.engine.start();
    start_up::begin(&assembled, &bound).await?;
    let mounts = addresses(scheme(setup), &bound.addresses(), &places);
    let begun = Begun { signals: &mut signals, program, supervisor, certificates, predecessor };
    let served = announce_and_serve(setup, &assembled, bound, &mounts, announced, begun).await;
    // What keeps it from serving lets nothing go on.
    let until = served.as_ref().map_or_else(|_| Instant::now(), |over| over.until);
    let stopped = assembled.engine.stop_by(signals.enough(until)).await;
    if let Some(exporter) = exporter {
        exporter.end().await;
    }
    let served = served?;
    stopped?;
    if let End::HandedOver(successor) = served.end {
        successor.done();
    }
    Ok(())
}

/// What a server that is about to serve has begun.
struct Begun<'s> {
    signals: &'s mut Signals,
    program: Program,
    supervisor: Supervisor,
    certificates: Option<Certificates>,
    predecessor: Option<Predecessor>,
}

/// Whoever takes a place shares the store with the process before it, which knows no other schema than its own.
fn same_schema(setup: &Setup) -> Result<(), Failure> {
    match assemble::lacking(&setup.config)? {
        0 => Ok(()),
        n => Err(Failure::refused(
            format!(
                "this program makes {n} changes to the schema of the store, and the process before it knows none of them"
            ),
            "stop the server and start the new program",
        )),
    }
}

async fn announce_and_serve(
    setup: &Setup,
    assembled: &Assembled,
    bound: Bound,
    mounts: &BTreeMap<String, String>,
    announced: Announced<'_>,
    mut begun: Begun<'_>,
) -> Result<Over, Failure> {
    // Nothing is made, written or told before the process before this one has let go of its place: it may yet be told to stop, and
    // then ends this one.
    let (place, from_before) = match begun.predecessor.take() {
        Some(predecessor) => match begun.signals.unless_told(predecessor.let_go()).await {
            Ok(Ok((place, with))) => (Some(place), DevKey::from_before(&with)),
            Ok(Err(error)) => {
                return Err(Failure::refused(
                    format!("the process before this one is gone: {error}"),
                    "start the server again",
                ));
            }
            Err(over) => return Ok(over),
        },
        None => (None, None),
    };
    let was_before = from_before.is_some();
    let key = match (setup.mode, from_before) {
        (Mode::Serve, _) => None,
        (Mode::Dev, Some(key)) => Some(key),
        (Mode::Dev, None) => Some(administrator::dev_key(assembled).await?),
    };
    let served = async {
        announce(setup, assembled, &bound, mounts, announced, key.as_ref()).await?;
        serve(setup, bound, begun, place, key.as_ref()).await
    };
    let served = served.await;
    let is_left_to_others = match &served {
        Ok(over) => matches!(over.end, End::HandedOver(_)),
        // The process before this one goes on with it.
        Err(_) => was_before,
    };
    if let Some(key) = key.filter(|_| !is_left_to_others) {
        let ended = administrator::end_dev_key(assembled, &key).await;
        if served.is_ok() {
            ended?;
        }
    }
    served
}

async fn serve(
    setup: &Setup,
    bound: Bound,
    Begun { signals, program, supervisor, certificates, .. }: Begun<'_>,
    taken: Option<succession::Place>,
    key: Option<&DevKey>,
) -> Result<Over, Failure> {
    supervisor.ready();
    if let Some(taken) = taken {
        taken.serving();
    }
    if let Some(certificates) = certificates {
        tokio::spawn(certificates.watch(signals.hang_up()?, supervisor.clone()));
    }
    let leave_after = Duration::from_secs(setup.config.server.leave_after_s);
    let handed_on = key.map(DevKey::handed_on);
    Ok(signals.during(bound, &program, &supervisor, leave_after, handed_on.as_ref()).await?)
}

/// What a server stands on beside its engine.
struct Around {
    sockets: Sockets,
    telemetry: Option<Telemetry>,
    tls: Option<Tls>,
}

impl Around {
    /// For a server that takes its sockets itself and tells nobody.
    fn alone(setup: &Setup) -> Result<Self, Failure> {
        let tls = certificates(setup)?.as_ref().map(Certificates::tls);
        Ok(Self { sockets: Sockets::default(), telemetry: None, tls })
    }
}

fn certificates(setup: &Setup) -> Result<Option<Certificates>, Failure> {
    Ok(Certificates::read(setup, SystemClock.now_ms()).map_err(|problem| Problems(vec![problem]))?)
}

async fn bind(
    setup: &Setup,
    assembled: &Assembled,
    listenings: Vec<Place>,
    Around { sockets, telemetry, tls }: Around,
) -> Result<Bound, Failure> {
    let server = &setup.config.server;
    let settings = ServerSettings {
        tls,
        trusted_proxies: server.trusted_proxies.clone(),
        // A name or a proxy that the operator declared is theirs to guard.
        local_names: server.public_url.is_none() && server.trusted_proxies.is_empty(),
        public_origin: server.public_url.as_deref().and_then(origin_of),
        public_path: server.public_url.as_deref().map(path_of).unwrap_or_default(),
        max_connections: server.max_connections,
        metrics: setup.config.metrics.listen,
        telemetry,
        forward_auth: Arc::new(ForwardAuth {
            areas: setup.config.areas.areas.clone(),
            names: setup.config.forward_auth.clone(),
        }),
        ..ServerSettings::default()
    };
    let listenings = listenings.into_iter().map(|place| place.listening).collect();
    doorward_server::bind_with(&assembled.engine, listenings, &settings, sockets).await.map_err(|error| {
        let mend = match &error {
            doorward_server::BindError::Address { .. } => {
                "stop what listens there, or take port 0 for any free one"
            }
            doorward_server::BindError::Clash(_) => {
                "give one of them another prefix or a listener of its own"
            }
            _ => "correct the mount's configuration",
        };
        Failure::refused(error.to_string(), mend)
    })
}

/// An address to listen on, and the names of its mounts.
struct Place {
    /// Whether it belongs to one mount, which asked for it.
    own: bool,
    listening: Listening,
    names: Vec<(String, String)>,
}

impl Place {
    fn new(address: SocketAddr, own: bool) -> Self {
        Self { own, listening: Listening { address, mounts: Vec::new() }, names: Vec::new() }
    }

    fn names(&self) -> Vec<(String, String)> {
        self.names.clone()
    }
}

/// The shared listener with the mounts that have none of their own, then each of the others.
fn listenings(setup: &Setup, assembled: &Assembled) -> Result<Vec<Place>, Failure> {
    let mut places: Vec<Place> = Vec::new();
    for mounted in &assembled.mounts {
        let address = mounted.config.listen.unwrap_or(setup.config.server.listen);
        let own = mounted.config.listen.is_some();
        // A port that is named is one listener, whoever names it; port 0 asks for a port of one's own each time.
        let shared = |place: &Place| {
            place.listening.address == address && (address.port() != 0 || !(own || place.own))
        };
        let at = match places.iter().position(shared) {
            Some(at) => at,
            None => {
                places.push(Place::new(address, own));
                places.len() - 1
            }
        };
        places[at].names.push((mounted.config.name.clone(), mounted.config.prefix.clone()));
        places[at].listening.mounts.push(placed(setup, mounted)?);
    }
    Ok(places)
}

fn placed(setup: &Setup, mounted: &Mounted) -> Result<MountAt, Failure> {
    let config = &mounted.config;
    let upstream = config.upstream.as_deref().map(str::parse).transpose().map_err(|_| {
        Failure::refused(
            format!("mounts.{}.upstream is not an address", config.name),
            "write it like http://127.0.0.1:8000",
        )
    })?;
    let limit = setup.platforms.get(&config.name).and_then(|platform| platform.rate_limit.as_ref());
    Ok(MountAt {
        mount: std::sync::Arc::clone(&mounted.mount),
        at: if config.prefix.is_empty() { At::Root } else { At::Prefix(config.prefix.clone()) },
        upstream,
        assertions: mounted.assertions.clone(),
        rate_limit: limit.map(rate_limit),
        cors_origins: match setup.mode {
            Mode::Dev if config.surface.has_pages() && config.cors_origins.is_empty() => {
                development_servers()
            }
            _ => config.cors_origins.clone(),
        },
        message_rate: config.message_rate,
        waiting_bytes: config.waiting_bytes,
        token_sources: config.token_sources.clone(),
        docs: config.docs,
        hooks: mounted.start_up.as_ref().map(|start_up| std::sync::Arc::clone(&start_up.hooks)),
        graphs: Graphs { names: graphs(setup, config), node: config.node.clone() },
        oauth_callback: config.oauth_callback.as_deref().map(Into::into),
        client_scripts: match setup.client_scripts.get(&config.name) {
            Some(scripts) => scripts.clone(),
            None => client_scripts::by_default(config, setup.mode),
        },
    })
}

/// Where pages are served from on a developer's machine, as a rule: by Next.js, Vite, and others.
fn development_servers() -> Vec<String> {
    let hosts = ["localhost", "127.0.0.1"];
    let of_port = |port: &u16| hosts.map(|host| format!("http://{host}:{port}"));
    [3000, 5173, 8080].iter().flat_map(of_port).collect()
}

/// What clients may ask to be run: the platform's graphs, all of them answered by the one agent there is.
fn graphs(setup: &Setup, config: &crate::config::Mount) -> Vec<String> {
    let named = setup.platforms.get(&config.name).map(|platform| platform.graphs.clone()).unwrap_or_default();
    if named.is_empty() { vec!["agent".to_owned()] } else { named }
}

fn rate_limit(limit: &agentflow::RateLimit) -> RateLimit {
    RateLimit {
        requests: limit.requests,
        window_s: limit.window_s,
        by: match limit.by {
            RateLimitBy::Address => CountBy::Address,
            RateLimitBy::Global => CountBy::Everything,
        },
        exclude_paths: limit.exclude_paths.clone(),
    }
}

/// The scheme, host and port of an address, as browsers spell it.
pub(crate) fn origin_of(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split('/').next().filter(|authority| !authority.is_empty())?;
    let usual = if scheme == "https" { ":443" } else { ":80" };
    let authority = authority.strip_suffix(usual).unwrap_or(authority);
    Some(format!("{scheme}://{authority}").to_ascii_lowercase())
}

/// What stands behind the host of an address, without a final slash.
fn path_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split_once('/').map(|(_, path)| format!("/{}", path.trim_end_matches('/'))).unwrap_or_default()
}

fn scheme(setup: &Setup) -> &'static str {
    if setup.config.server.tls.is_some() { "https" } else { "http" }
}

fn addresses(
    scheme: &str,
    bound: &[SocketAddr],
    places: &[Vec<(String, String)>],
) -> BTreeMap<String, String> {
    let mounts = bound.iter().zip(places).flat_map(|(address, mounts)| {
        let host = reachable(*address);
        mounts.iter().map(move |(name, prefix)| (name.clone(), format!("{scheme}://{host}{prefix}")))
    });
    mounts.collect()
}

/// An address one can connect to: "every address" becomes this machine's own.
pub(crate) fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_told_can_be_connected_to() {
        for (listened, told) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("[::1]:80", "[::1]:80"),
        ] {
            let listened: SocketAddr = listened.parse().expect("an address");
            assert_eq!(reachable(listened).to_string(), told);
        }
    }

    #[test]
    fn an_origin_is_what_browsers_make_of_the_public_address() {
        for (url, origin) in [
            ("https://Auth.example", "https://auth.example"),
            ("https://auth.example:443/base", "https://auth.example"),
            ("http://127.0.0.1:8420", "http://127.0.0.1:8420"),
        ] {
            assert_eq!(origin_of(url).as_deref(), Some(origin));
        }
    }

    #[test]
    fn every_mount_is_told_with_its_prefix() {
        let bound = ["127.0.0.1:1".parse().expect("an address"), "127.0.0.1:2".parse().expect("an address")];
        let name = |name: &str, prefix: &str| (name.to_owned(), prefix.to_owned());
        let places = [vec![name("native", ""), name("a", "/a")], vec![name("b", "")]];
        let told = addresses("http", &bound, &places);
        let expected =
            [("a", "http://127.0.0.1:1/a"), ("b", "http://127.0.0.1:2"), ("native", "http://127.0.0.1:1")];
        let expected = expected.map(|(name, url)| (name.to_owned(), url.to_owned()));
        assert_eq!(told, BTreeMap::from(expected));
    }
}
