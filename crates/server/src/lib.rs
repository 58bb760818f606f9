//! HTTP: mounts, surfaces, gateway.
//!
//! ```text
//! socket ─ http::guard ─► http::listener ─► desk ─ table ─► a surface's handler, or the gateway ─► desk ─► socket
//! ```
//! A route exists when a table declares it, with who may use it ([`surfaces`](crate) lists the tables). Everything
//! that decides is in `doorward-core`; this crate turns bytes into what the engine asks for, and back.

mod access;
mod admission;
mod coming_back;
mod conversation;
mod desk;
mod events;
mod gateway;
mod handling;
mod health;
mod http;
mod metrics;
mod native;
mod openapi;
mod phase;
mod rate_limit;
mod request;
mod route;
mod server;
mod site;
mod sockets;
mod surfaces;
mod table;
mod telemetry;

pub use crate::access::Access;
pub use crate::admission::{Admission, AdmissionSettings, Admitted, Arrival, problem};
pub use crate::gateway::UpstreamError;
pub use crate::http::origin::{Network, NetworkError};
pub use crate::http::sources::{TokenSource, TokenSourceError};
pub use crate::http::tls::{Tls, TlsError};
pub use crate::metrics::{Metrics, MountMetrics};
pub use crate::native::{ForwardAuth, ForwardedNames};
pub use crate::phase::Life;
pub use crate::rate_limit::{CountBy, RateLimit};
pub use crate::server::{
    At, BindError, Bound, Graphs, Listening, MessageRate, MountAt, ServerSettings, bind, bind_with,
};
pub use crate::sockets::Sockets;
pub use crate::surfaces::hypha::ClientScripts;
pub use crate::table::Clash;
pub use crate::telemetry::{Span, SpanKind, Telemetry, Value, telemetry};
