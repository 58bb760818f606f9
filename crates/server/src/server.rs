//! Listeners with their mounts: bound first, so that addresses are known, then run.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use doorward_core::engine::Engine;
use doorward_core::mount::Mount;
use doorward_core::start_up::TokenHooks;
use doorward_core::tokens::Assertions;
use doorward_hub::{Hub, Settings as HubSettings};
use http::Uri;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::desk::Desk;
use crate::gateway::{Upstream, UpstreamError};
use crate::http::body::BodyRoom;
use crate::http::cors::Cors;
use crate::http::guard::Patience;
use crate::http::listener::{Manners, serve};
use crate::http::origin::Network;
use crate::http::sources::{Sources, TokenSource};
use crate::http::tls::Tls;
use crate::metrics::{Metrics, MetricsDesk, MountMetrics};
use crate::native::{Description, ForwardAuth};
use crate::phase::{Life, Phases};
use crate::rate_limit::{RateLimit, RateLimiter};
use crate::site::Site;
use crate::sockets::Sockets;
use crate::surfaces::hypha::{ClientScripts, Streams};
use crate::surfaces::langgraph::upstream::graphs_own::GraphsOwn;
use crate::surfaces::{self, Surface};
use crate::table::{Clash, Part, Table};
use crate::telemetry::Telemetry;

/// Where a mount stands on its listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// At `/`.
    Root,
    /// Under a path such as `/agentflow`.
    Prefix(String),
}

/// A mount and its place.
pub struct MountAt {
    /// The mount.
    pub mount: Arc<Mount>,
    /// Where it stands.
    pub at: At,
    /// The agent server behind it, as `http://host:port`; absent for the embedded one.
    pub upstream: Option<Uri>,
    /// What the upstream is told under a signature, if it is to be.
    pub assertions: Option<Assertions>,
    /// The operator's rate limit.
    pub rate_limit: Option<RateLimit>,
    /// Origins whose pages may read answers, such as `https://app.example`. None by default.
    pub cors_origins: Vec<String>,
    /// Where callers may show who they are, in order; empty for the surface's own places.
    pub token_sources: Vec<TokenSource>,
    /// How many messages a client may send that stays connected.
    pub message_rate: MessageRate,
    /// Most bytes of messages of a hub's that wait or are not whole.
    pub waiting_bytes: usize,
    /// Whether pages that describe the surface are shown, where it has any.
    pub docs: bool,
    /// What the embedded agent is called, where clients ask for a graph.
    pub graphs: Graphs,
    /// What a hub's start-up files registered for tokens.
    pub hooks: Option<Arc<TokenHooks>>,
    /// Which provider sends people back to the short address of Hypha's document, `/oauth/callback`.
    pub oauth_callback: Option<Arc<str>>,
    /// The published client of the platform as pages load it, where the operator installed it.
    pub client_scripts: ClientScripts,
}

/// What the embedded agent is called by clients that ask for a graph.
#[derive(Debug, Clone)]
pub struct Graphs {
    /// The graphs' names; the same agent answers for each.
    pub names: Vec<String>,
    /// The one node of each.
    pub node: String,
}

impl Default for Graphs {
    /// A graph `agent` with the node `chatbot`.
    fn default() -> Self {
        Self { names: vec!["agent".to_owned()], node: "chatbot".to_owned() }
    }
}

/// How many messages a client may send that stays connected: a bucket that fills as time goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageRate {
    /// Messages that come to it in a second.
    pub each_second: u32,
    /// Messages that it holds.
    pub burst: u32,
}

impl Default for MessageRate {
    /// Hypha's: 200 in a second, 2000 at once (0.21.137).
    fn default() -> Self {
        Self { each_second: 200, burst: 2000 }
    }
}

/// An address to listen on (port 0 for any free one) and what stands there.
pub struct Listening {
    /// The address.
    pub address: SocketAddr,
    /// Its mounts.
    pub mounts: Vec<MountAt>,
}

/// What all listeners have in common.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// The certificate and key of every listener; absent for plain HTTP.
    pub tls: Option<Tls>,
    /// Peers whose `X-Forwarded-For` is believed. None by default.
    pub trusted_proxies: Vec<Network>,
    /// The origin of our own pages as browsers see it, such as `https://auth.example`; absent for whatever host they ask.
    pub public_origin: Option<String>,
    /// What a proxy has taken away from the paths that browsers know, such as `/auth`; mostly empty.
    pub public_path: String,
    /// Whether listeners that this machine alone reaches answer only to names of it.
    pub local_names: bool,
    /// Most connections at once on each listener; one client, unless a trusted proxy or on this machine, holds at most a
    /// quarter of them.
    pub max_connections: usize,
    /// Where `GET /metrics` is answered, in plain HTTP; nowhere if absent.
    pub metrics: Option<SocketAddr>,
    /// What proxies may ask about at `/v1/forward-auth`: nothing by default.
    pub forward_auth: Arc<ForwardAuth>,
    /// Where traces of requests go; nowhere if absent.
    pub telemetry: Option<Telemetry>,
    /// How long requests that were taken may still take once the server stops.
    pub grace: Duration,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            tls: None,
            trusted_proxies: Vec::new(),
            public_origin: None,
            public_path: String::new(),
            local_names: false,
            max_connections: 16_384,
            metrics: None,
            forward_auth: Arc::default(),
            telemetry: None,
            grace: Duration::from_secs(20),
        }
    }
}

/// Why a server cannot start.
#[derive(Debug, Error)]
pub enum BindError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}: {source}")]
    Address {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// Two mounts answer the same requests.
    #[error("{0}")]
    Clash(Clash),
    /// A mount names a surface that does not exist.
    #[error("mount `{mount}`: there is no surface `{surface}`")]
    UnknownSurface {
        /// The mount.
        mount: String,
        /// What it names.
        surface: String,
    },
    /// A prefix is not a plain path.
    #[error("mount `{mount}`: the prefix {prefix:?} is not a path such as /agentflow")]
    BadPrefix {
        /// The mount.
        mount: String,
        /// What it names.
        prefix: String,
    },
    /// A surface cannot stand in front of a server.
    #[error("mount `{mount}`: the surface `{surface}` takes no upstream")]
    NoUpstream {
        /// The mount.
        mount: String,
        /// Its surface.
        surface: String,
    },
    /// The upstream's address cannot be used.
    #[error("mount `{mount}`: {source}")]
    Upstream {
        /// The mount.
        mount: String,
        /// What is wrong with it.
        source: UpstreamError,
    },
}

/// The version of Hypha whose clients were run against us.
const HYPHA_VERSION: &str = "0.21.137";
/// Most connections at once that ask for metrics.
const METRICS_CONNECTIONS: usize = 64;

/// A server that holds its sockets and answers nobody yet.
pub struct Bound {
    listeners: Vec<Taken<Desk>>,
    metrics: Option<Taken<MetricsDesk>>,
    manners: Manners,
    life: Life,
}

/// A socket that listens.
struct Taken<D> {
    socket: TcpListener,
    /// As it was asked for: with port 0 for any.
    asked: SocketAddr,
    address: SocketAddr,
    desk: Arc<D>,
}

/// Takes the sockets and checks that every request means one thing.
///
/// # Errors
/// [`BindError`].
pub async fn bind(
    engine: &Engine,
    listeners: Vec<Listening>,
    settings: &ServerSettings,
) -> Result<Bound, BindError> {
    bind_with(engine, listeners, settings, Sockets::default()).await
}

/// As [`bind`], with sockets that another process handed over. Those that nothing asks for are closed.
///
/// # Errors
/// As there.
pub async fn bind_with(
    engine: &Engine,
    listeners: Vec<Listening>,
    settings: &ServerSettings,
    mut sockets: Sockets,
) -> Result<Bound, BindError> {
    let trusted_proxies: Arc<[Network]> = settings.trusted_proxies.clone().into();
    let bodies = BodyRoom::new();
    let life = Life::new();
    let public_origin: Option<Arc<str>> = settings.public_origin.as_deref().map(Into::into);
    let metrics = Metrics::new(engine, settings.tls.as_ref(), settings.telemetry.as_ref());
    let mut bound = Vec::with_capacity(listeners.len());
    for listening in listeners {
        let failed = |source| BindError::Address { address: listening.address, source };
        let socket = sockets.listen(listening.address).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let around = Around {
            public_origin: public_origin.as_ref(),
            public_path: &settings.public_path,
            metrics: &metrics,
            forward_auth: &settings.forward_auth,
            since_ms: engine.now_ms(),
            own: own_address(address, settings.tls.is_some()),
        };
        let sites = listening.mounts.into_iter().map(|at| site(engine, at, &around, life.phases()));
        let mut sites = sites.collect::<Result<Vec<_>, _>>()?;
        let landing = sites.iter().find(|site| site.mount.tenant.is_some());
        let landing = landing.map(|site| self::landing(site, metrics.mount(&site.mount.name)));
        // Behind the others: a mount that stands at the root has the word there for everything else.
        sites.extend(landing);
        let parts: Vec<Part> = sites.iter().map(part).collect();
        let table = Table::new(&parts).map_err(BindError::Clash)?;
        let sites = sites.into_iter().map(Arc::new).collect();
        let trusted_proxies = Arc::clone(&trusted_proxies);
        let strict_transport = settings.tls.is_some();
        let desk = Desk {
            engine: engine.clone(),
            table,
            sites,
            trusted_proxies,
            strict_transport,
            public_origin: public_origin.clone(),
            local_names: settings.local_names && listening.address.ip().to_canonical().is_loopback(),
            bodies: bodies.clone(),
            nobody: metrics.mount(""),
            telemetry: settings.telemetry.clone(),
            phases: life.phases(),
        };
        bound.push(Taken { socket, asked: listening.address, address, desk: Arc::new(desk) });
    }
    let metrics_at = match settings.metrics {
        Some(asked) => {
            let failed = |source| BindError::Address { address: asked, source };
            let socket = sockets.listen(asked).await.map_err(failed)?;
            let address = socket.local_addr().map_err(failed)?;
            let local = asked.ip().to_canonical().is_loopback();
            let sites = bound.iter().flat_map(|taken| taken.desk.sites.iter().cloned()).collect();
            let (engine, metrics, phases) = (engine.clone(), metrics.clone(), life.phases());
            let desk = MetricsDesk { engine, metrics, local, sites, phases };
            Some(Taken { socket, asked, address, desk: Arc::new(desk) })
        }
        None => None,
    };
    let manners = Manners {
        tls: settings.tls.clone(),
        connections: metrics.connections(),
        max_connections: settings.max_connections,
        exempt: exempt(&settings.trusted_proxies),
        patience: Patience::default(),
        grace: settings.grace,
    };
    Ok(Bound { listeners: bound, metrics: metrics_at, manners, life })
}

impl Bound {
    /// The addresses, in the order the listeners were given.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(|taken| taken.address).collect()
    }

    /// The hub of a mount, where it has one.
    #[must_use]
    pub fn hub(&self, mount: &str) -> Option<&Hub> {
        let mut sites = self.listeners.iter().flat_map(|taken| taken.desk.sites.iter());
        sites.find(|site| *site.mount.name == *mount)?.hub.as_ref()
    }

    /// Where `GET /metrics` is answered.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(|taken| taken.address)
    }

    /// Every socket once more, with the address it was asked for with: to be handed to another process.
    ///
    /// # Errors
    /// The system's, which has no descriptor to spare.
    pub fn sockets(&self) -> io::Result<Vec<(SocketAddr, OwnedFd)>> {
        let listeners = self.listeners.iter().map(|taken| (taken.asked, &taken.socket));
        let metrics = self.metrics.iter().map(|taken| (taken.asked, &taken.socket));
        listeners
            .chain(metrics)
            .map(|(asked, socket)| Ok((asked, socket.as_fd().try_clone_to_owned()?)))
            .collect()
    }

    /// What says how it goes on, while it runs.
    #[must_use]
    pub fn life(&self) -> Life {
        self.life.clone()
    }

    /// Answers until `stop` completes, then finishes what was taken.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let life = self.life;
        let mut serving = JoinSet::new();
        for Taken { socket, desk, .. } in self.listeners {
            for site in desk.sites.iter().filter(|site| site.upstream.is_none()) {
                if let Some(beside) = site.surface.beside {
                    serving.spawn(beside(desk.engine.clone(), Arc::clone(site)));
                }
            }
            serving.spawn(serve(socket, desk, self.manners.clone(), life.phases()));
        }
        if let Some(Taken { socket, desk, .. }) = self.metrics {
            let manners = Manners { tls: None, max_connections: METRICS_CONNECTIONS, ..self.manners.clone() };
            serving.spawn(serve(socket, desk, manners, life.phases()));
        }
        stop.await;
        life.stop();
        while serving.join_next().await.is_some() {}
    }
}

/// Peers that stand for many clients: the trusted proxies, and whatever runs on this machine.
fn exempt(trusted_proxies: &[Network]) -> Arc<[Network]> {
    trusted_proxies.iter().copied().chain(Network::LOOPBACK).collect()
}

/// What all mounts have in common.
struct Around<'a> {
    public_origin: Option<&'a Arc<str>>,
    public_path: &'a str,
    metrics: &'a Metrics,
    forward_auth: &'a Arc<ForwardAuth>,
    since_ms: i64,
    /// Where the listener is, for where nothing says how browsers know it.
    own: String,
}

/// A listener's address as a client on this machine reaches it.
fn own_address(address: SocketAddr, tls: bool) -> String {
    let scheme = if tls { "https" } else { "http" };
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => format!("{scheme}://127.0.0.1:{}", v4.port()),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => format!("{scheme}://[::1]:{}", v6.port()),
        _ => format!("{scheme}://{address}"),
    }
}

fn site(engine: &Engine, at: MountAt, around: &Around<'_>, phases: Phases) -> Result<Site, BindError> {
    let name = || at.mount.name.to_string();
    let surface = surfaces::find(at.mount.surface)
        .ok_or_else(|| BindError::UnknownSurface { mount: name(), surface: at.mount.surface.to_owned() })?;
    let prefix = match at.at {
        At::Root => String::new(),
        At::Prefix(prefix) if is_prefix(&prefix) => prefix,
        At::Prefix(prefix) => return Err(BindError::BadPrefix { mount: name(), prefix }),
    };
    let upstream = at.upstream.map(Upstream::new).transpose();
    let upstream = upstream.map_err(|source| BindError::Upstream { mount: name(), source })?;
    if upstream.is_some() && surface.upstream_routes.is_none() {
        return Err(BindError::NoUpstream { mount: name(), surface: surface.name.to_owned() });
    }
    let rate_limit = at.rate_limit.map(|limit| RateLimiter::new(limit, &at.mount.name));
    let style = if at.mount.distinct_refusals { surface.distinct_style } else { surface.style };
    let sources = Sources::new(at.token_sources, surface.token_sources);
    let mut sent = [surface.key_headers, surface.sent_headers].concat();
    sent.extend(sources.headers());
    let cors = Cors::new(&at.cors_origins, &sent, surface.exposed_headers);
    let cookies = at.mount.chain.names().any(|name| name == "session_cookie");
    let (assertions, docs, public_origin) = (at.assertions, at.docs, around.public_origin.cloned());
    let (hooks, oauth_callback) = (at.hooks, at.oauth_callback);
    let (graphs, client_scripts, since_ms) = (at.graphs, at.client_scripts, around.since_ms);
    let public_prefix = format!("{}{prefix}", around.public_path);
    let metrics = around.metrics.mount(&at.mount.name);
    let mount = at.mount;
    let hub = surface.connects.then(|| {
        let origin = public_origin.as_deref().unwrap_or(&around.own);
        let base_url = format!("{origin}{public_prefix}");
        let settings = HubSettings {
            mount: Arc::clone(&mount),
            base_url,
            version: HYPHA_VERSION,
            waiting_bytes: at.waiting_bytes,
            hooks,
        };
        let hub = Hub::new(engine.clone(), settings);
        around.metrics.hub(&mount.name, hub.clone());
        hub
    });
    Ok(Site {
        mount,
        surface,
        style,
        prefix,
        upstream,
        assertions,
        rate_limit,
        cors,
        sources,
        message_rate: at.message_rate,
        cookies,
        public_origin,
        public_prefix,
        metrics,
        phases,
        docs,
        graphs_own: GraphsOwn::of(&graphs.names),
        graphs,
        hub,
        streams: Streams::default(),
        oauth_callback,
        client_scripts,
        forward_auth: Arc::clone(around.forward_auth),
        since_ms,
        description: Description::default(),
    })
}

/// The root of the site, where the tenants of this mount and of others send people.
fn landing(site: &Site, metrics: MountMetrics) -> Site {
    Site {
        mount: Arc::clone(&site.mount),
        surface: &surfaces::LANDING,
        style: surfaces::LANDING.style,
        prefix: String::new(),
        upstream: None,
        rate_limit: None,
        assertions: None,
        cors: Cors::new(&[], &[], &[]),
        message_rate: site.message_rate,
        sources: Sources::new(Vec::new(), &[]),
        cookies: false,
        public_origin: site.public_origin.clone(),
        // Where the mount's page is.
        public_prefix: site.public_prefix.clone(),
        phases: site.phases.clone(),
        metrics,
        docs: false,
        graphs: site.graphs.clone(),
        graphs_own: GraphsOwn::of(&[]),
        hub: site.hub.clone(),
        streams: Streams::default(),
        oauth_callback: None,
        client_scripts: ClientScripts::default(),
        forward_auth: Arc::default(),
        since_ms: site.since_ms,
        description: Description::default(),
    }
}

fn is_prefix(prefix: &str) -> bool {
    let segments = prefix.strip_prefix('/').map(|rest| rest.split('/').collect::<Vec<_>>());
    segments.is_some_and(|segments| {
        segments.iter().all(|segment| {
            !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        })
    })
}

fn part(site: &Site) -> Part {
    let Surface { routes, upstream_routes, .. } = site.surface;
    let routes = match (&site.upstream, upstream_routes) {
        (Some(_), Some(upstream_routes)) => upstream_routes,
        _ => routes,
    };
    Part { name: site.mount.name.to_string(), prefix: site.prefix.clone(), routes }
}
