//! What clients may talk to. To add a surface: a directory and a row in [`BUILTIN`].

pub(crate) mod agentflow;
pub(crate) mod muxi;
pub(crate) mod supabase;

use crate::http::respond::{Problems, Style};
use crate::native;
use crate::route::Route;

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
    /// What pages of other origins send to it and read of it, beside what every surface has.
    pub(crate) page_headers: PageHeaders,
    /// What it answers by itself.
    pub(crate) routes: &'static [Route],
    /// What it answers in front of the platform's own server; `None` if it cannot stand there.
    pub(crate) upstream_routes: Option<&'static [Route]>,
}

/// Headers that a surface's own clients use in browsers (Fetch §3.2.2).
pub(crate) struct PageHeaders {
    /// Those that requests bring, in lower case.
    pub(crate) sent: &'static [&'static str],
    /// Those of answers that pages may read.
    pub(crate) read: &'static [&'static str],
}

impl PageHeaders {
    /// None of its own.
    pub(crate) const NONE: Self = Self { sent: &[], read: &[] };
}

/// The table.
pub(crate) static BUILTIN: &[Surface] = &[
    Surface {
        name: "native",
        style: &Problems,
        distinct_style: &Problems,
        key_headers: &[],
        page_headers: PageHeaders::NONE,
        routes: native::ROUTES,
        upstream_routes: None,
    },
    Surface {
        name: "agentflow",
        style: &agentflow::style::Bodies { distinct: false },
        distinct_style: &agentflow::style::Bodies { distinct: true },
        key_headers: &[],
        page_headers: PageHeaders::NONE,
        routes: agentflow::routes::EMBEDDED,
        upstream_routes: Some(agentflow::routes::UPSTREAM),
    },
    Surface {
        name: "muxi",
        style: &muxi::style::Details,
        distinct_style: &muxi::style::Details,
        key_headers: muxi::style::KEY_HEADERS,
        page_headers: PageHeaders::NONE,
        routes: muxi::routes::ROUTES,
        upstream_routes: None,
    },
    Surface {
        name: "supabase",
        style: &supabase::style::GoTrue,
        distinct_style: &supabase::style::GoTrue,
        key_headers: &[],
        page_headers: supabase::style::PAGE_HEADERS,
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
