//! HTTP: mounts, surfaces, gateway.

mod http;

pub use http::origin::{Network, NetworkError};
