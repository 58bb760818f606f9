//! The one way an operation is carried: authenticate → decide → act → audit.
//!
//! A service demands a [`Permit`] for its action, and only [`Call::permit`] makes one, so "forgot to check" does not
//! compile. The permit closes its own audit line: with the act ([`Grant::commit`]), around an act that leaves the
//! store ([`Grant::begun`] and [`Grant::finish`]), or folded for reads ([`Grant::close`]). One that is dropped
//! unused leaves a line saying so.

mod call;
mod grant;
mod permit;

use std::net::IpAddr;

pub use call::{Call, Identified};
pub use grant::Grant;
pub use permit::Permit;

use crate::id::RequestId;

/// Where a request came from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Told to the client and written to the audit log.
    pub request: RequestId,
    /// The client's address, behind trusted proxies where there are any.
    pub address: Option<IpAddr>,
    /// `User-Agent`, at most 256 bytes.
    pub user_agent: Option<String>,
}
