//! What clients may talk to. To add a surface: a directory and a row in [`BUILTIN`].

pub(crate) mod agentflow;
pub(crate) mod hypha;
pub(crate) mod langgraph;
pub(crate) mod muxi;
pub(crate) mod supabase;

use std::sync::Arc;

use doorward_core::engine::Engine;
use futures_util::future::BoxFuture;

use crate::http::respond::{Problems, Style};
use crate::http::sources::TokenSource;
use crate::native;
use crate::route::Route;
use crate::site::Site;

/// What goes on beside the requests of a mount, until the server stops.
pub(crate) type Beside = fn(Engine, Arc<Site>) -> BoxFuture<'static, ()>;

/// One platform's way of speaking HTTP.
pub(crate) struct Surface {
    /// Its name in configuration and in [`doorward_core::mount::Mount::surface`].
    pub(crate) name: &'static str,
    /// How it says what went wrong.
    pub(crate) style: &'static dyn Style,
    /// How it says so where the operator wants refusals told apart.
    pub(crate) distinct_style: &'static dyn Style,
    /// Headers in which it takes API keys beside `X-API-Key`, in lower case.
    pub(crate) key_headers: &'static [&'static str],
    /// Headers that its clients send from pages of other origins, beside those of keys and of every surface, in lower case.
    pub(crate) sent_headers: &'static [&'static str],
    /// Headers of its answers that pages of other origins may read, beside those of every surface.
    pub(crate) exposed_headers: &'static [&'static str],
    /// Whether its callers are found out before it is looked whether there is such a route, as its platform does.
    pub(crate) asks_first: bool,
    /// Whether an API key beside an `Authorization` header is somebody else's business: its clients send one to their cloud.
    pub(crate) spare_keys: bool,
    /// Where its callers may show who they are, in this order, unless the operator lists places. Empty for `Authorization` and the
    /// headers of keys, of which there may be one.
    pub(crate) token_sources: &'static [TokenSource],
    /// Whether clients stay connected to it and find each other there.
    pub(crate) connects: bool,
    /// What goes on beside its requests until the server stops, where it answers by itself.
    pub(crate) beside: Option<Beside>,
    /// What it answers by itself.
    pub(crate) routes: &'static [Route],
    /// What it answers in front of the platform's own server; `None` if it cannot stand there.
    pub(crate) upstream_routes: Option<&'static [Route]>,
}

/// The root of a site where a mount of Hypha has a tenant, which sends people there. It is no surface that a mount can be of.
pub(crate) static LANDING: Surface = Surface {
    name: "hypha root",
    style: &hypha::style::Details,
    distinct_style: &hypha::style::Details,
    key_headers: &[],
    sent_headers: &[],
    exposed_headers: &[],
    token_sources: &[],
    asks_first: false,
    spare_keys: false,
    connects: false,
    beside: None,
    routes: hypha::landing::ROUTES,
    upstream_routes: None,
};

/// The table.
pub(crate) static BUILTIN: &[Surface] = &[
    Surface {
        name: "native",
        style: &Problems,
        distinct_style: &Problems,
        key_headers: &[],
        sent_headers: &[],
        exposed_headers: &[],
        asks_first: false,
        spare_keys: false,
        token_sources: &[],
        connects: false,
        beside: None,
        routes: native::ROUTES,
        upstream_routes: None,
    },
    Surface {
        name: "agentflow",
        style: &agentflow::style::Bodies { distinct: false },
        distinct_style: &agentflow::style::Bodies { distinct: true },
        key_headers: &[],
        sent_headers: &[],
        exposed_headers: &[],
        asks_first: false,
        spare_keys: false,
        token_sources: &[],
        connects: false,
        beside: None,
        routes: agentflow::routes::EMBEDDED,
        upstream_routes: Some(agentflow::routes::UPSTREAM),
    },
    Surface {
        name: "hypha",
        style: &hypha::style::Details,
        distinct_style: &hypha::style::Details,
        key_headers: &[],
        sent_headers: &[],
        exposed_headers: &[],
        asks_first: false,
        spare_keys: false,
        token_sources: hypha::TOKEN_SOURCES,
        connects: true,
        beside: None,
        routes: hypha::routes::ROUTES,
        upstream_routes: None,
    },
    Surface {
        name: "langgraph",
        style: &langgraph::style::Details { missing_is_forbidden: false },
        distinct_style: &langgraph::style::Details { missing_is_forbidden: true },
        key_headers: &[],
        sent_headers: &["last-event-id"],
        exposed_headers: &["x-pagination-total", "x-pagination-next", "content-location", "location"],
        asks_first: true,
        spare_keys: true,
        token_sources: &[],
        connects: false,
        beside: Some(|engine, site| Box::pin(langgraph::clockwork::keep(engine, site))),
        routes: langgraph::routes::EMBEDDED,
        upstream_routes: Some(langgraph::routes::UPSTREAM),
    },
    Surface {
        name: "muxi",
        style: &muxi::style::Details,
        distinct_style: &muxi::style::Details,
        key_headers: muxi::style::KEY_HEADERS,
        sent_headers: &[],
        exposed_headers: &[],
        asks_first: false,
        spare_keys: false,
        token_sources: &[],
        connects: false,
        beside: None,
        routes: muxi::routes::ROUTES,
        upstream_routes: None,
    },
    Surface {
        name: "supabase",
        style: &supabase::style::GoTrue,
        distinct_style: &supabase::style::GoTrue,
        key_headers: &[],
        sent_headers: supabase::style::SENT_HEADERS,
        exposed_headers: supabase::style::EXPOSED_HEADERS,
        asks_first: false,
        spare_keys: false,
        token_sources: &[],
        connects: false,
        beside: None,
        routes: supabase::routes::ROUTES,
        upstream_routes: None,
    },
];

/// The surface of this name.
pub(crate) fn find(name: &str) -> Option<&'static Surface> {
    BUILTIN.iter().find(|surface| surface.name == name)
}

#[cfg(test)]
mod tests;
