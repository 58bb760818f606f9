//! Hypha: the hub that clients of hypha-rpc connect to, the bridge by which everybody else calls their services, and the page where
//! people let programs in. Wire facts: Hypha 0.21.137, hypha-rpc 0.21.47 (Python) and 0.21.40 (JavaScript).

mod about;
mod apps;
mod asgi;
mod bridge;
mod caller;
mod fault;
mod login;
mod object;
pub(crate) mod routes;
mod socket;
pub(crate) mod style;

use doorward_core::error::{Error, Result, codes};
use doorward_hub::Hub;

use crate::request::Request;

/// The hub of the request's mount.
fn hub(request: &Request) -> Result<Hub> {
    request
        .site
        .hub
        .clone()
        .ok_or_else(|| Error::new(codes::INTERNAL).operator("a mount of Hypha without a hub"))
}
