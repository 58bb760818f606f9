//! A mount as it stands on a listener.

use std::sync::Arc;

use doorward_core::mount::Mount;
use doorward_core::tokens::Assertions;
use doorward_hub::Hub;

use crate::gateway::Upstream;
use crate::http::cors::Cors;
use crate::http::respond::Style;
use crate::http::sources::Sources;
use crate::metrics::MountMetrics;
use crate::native::ForwardAuth;
use crate::phase::Phases;
use crate::rate_limit::RateLimiter;
use crate::server::{Graphs, MessageRate};
use crate::surfaces::Surface;
use crate::surfaces::hypha::{ClientScripts, Streams};
use crate::surfaces::langgraph::upstream::graphs_own::GraphsOwn;

/// A mount with everything it needs to answer.
pub(crate) struct Site {
    pub(crate) mount: Arc<Mount>,
    pub(crate) surface: &'static Surface,
    /// How it says what went wrong.
    pub(crate) style: &'static dyn Style,
    /// Where it stands: empty for the root, else a path without a trailing slash.
    pub(crate) prefix: String,
    pub(crate) upstream: Option<Upstream>,
    pub(crate) rate_limit: Option<RateLimiter>,
    /// States to the upstream who asks, where it is to have that signed.
    pub(crate) assertions: Option<Assertions>,
    /// Which pages of other origins may read answers.
    pub(crate) cors: Cors,
    /// How many messages a client may send that stays connected.
    pub(crate) message_rate: MessageRate,
    /// Where its callers may show who they are.
    pub(crate) sources: Sources,
    /// Whether it takes sessions that browsers keep in our cookie.
    pub(crate) cookies: bool,
    /// The origin of our own pages, where it is configured.
    pub(crate) public_origin: Option<Arc<str>>,
    /// Where browsers know it to stand on that origin.
    pub(crate) public_prefix: String,
    /// Where the server is in its life, for connections that go on.
    pub(crate) phases: Phases,
    /// What is counted of its requests.
    pub(crate) metrics: MountMetrics,
    /// Whether the surface describes itself to people and programs.
    pub(crate) docs: bool,
    /// What the embedded agent is called.
    pub(crate) graphs: Graphs,
    /// What is known of those graphs' own assistants, where LangGraph's server is behind.
    pub(crate) graphs_own: GraphsOwn,
    /// Who is connected, where the surface is one that clients stay connected to.
    pub(crate) hub: Option<Hub>,
    /// Which provider sends people back to the short address of Hypha's document.
    pub(crate) oauth_callback: Option<Arc<str>>,
    /// The client of its platform as pages load it.
    pub(crate) client_scripts: ClientScripts,
    /// The streams of clients that are connected to it over plain HTTP.
    pub(crate) streams: Streams,
    /// What proxies may ask about.
    pub(crate) forward_auth: Arc<ForwardAuth>,
    /// When the server was started.
    pub(crate) since_ms: i64,
}
