//! Hypha: the hub that clients of hypha-rpc connect to, the bridge by which everybody else calls their services, and the page where
//! people let programs in. Wire facts: Hypha 0.21.137, hypha-rpc 0.21.47 (Python) and 0.21.40 (JavaScript).

mod about;
mod apps;
mod asgi;
mod bridge;
mod caller;
mod described;
mod fault;
mod journey;
pub(crate) mod landing;
mod login;
mod object;
mod pages;
mod posted;
mod providers;
pub(crate) mod routes;
mod scripts;
mod socket;
mod stream;
mod streams;
pub(crate) mod style;
mod tenant;

use std::borrow::Cow;

use doorward_core::error::{Error, Result, codes};
use doorward_hub::Hub;
use http::StatusCode;
use http::header::LOCATION;

use crate::http::body::Body;
use crate::http::respond::{Answer, header_value};
use crate::http::sources::TokenSource;
use crate::request::Request;

pub use scripts::ClientScripts;
pub(crate) use streams::Streams;

/// The cookie that Hypha's pages use.
const COOKIE_NAME: &str = "access_token";
/// Where tokens are looked for, where the operator lists no places.
pub(crate) const TOKEN_SOURCES: &[TokenSource] =
    &[TokenSource::Authorization, TokenSource::Cookie(Cow::Borrowed(COOKIE_NAME))];

/// The hub of the request's mount.
fn hub(request: &Request) -> Result<Hub> {
    request
        .site
        .hub
        .clone()
        .ok_or_else(|| Error::new(codes::INTERNAL).operator("a mount of Hypha without a hub"))
}

/// 307 to another path of ours, with the query as it came.
fn moved(mut location: String, query: Option<&str>) -> Answer {
    if let Some(query) = query {
        location.push('?');
        location.push_str(query);
    }
    let mut answer = Answer::new(Body::empty());
    *answer.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    answer.headers_mut().insert(LOCATION, header_value(&location));
    answer
}
