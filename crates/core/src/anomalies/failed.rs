//! Failed log-ins counted by how many *different* accounts and networks they touch, behind [`Shared`].
//!
//! A pair of network and account is counted once in a window; whoever counts it first adds one to both of its sides.

use std::net::IpAddr;

use super::Measures;
use crate::limits::failures::network_of;
use crate::ports::Shared;

/// Failures around a log-in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Different accounts that this network failed as.
    pub accounts_from_here: u32,
    /// Different networks that failed as this account.
    pub networks_at_account: u32,
    /// Whether this network had not failed as this account in this window.
    pub is_new: bool,
}

fn network(address: Option<IpAddr>) -> String {
    address.map_or_else(|| "unknown".to_owned(), |address| network_of(address).to_string())
}

/// Counts a failure.
pub(super) async fn note(
    shared: &dyn Shared,
    measures: &Measures,
    name: &str,
    address: Option<IpAddr>,
    now_ms: i64,
) -> Tally {
    let network = network(address);
    let count = async |key: String, limit| shared.hit(&key, limit, measures.window_ms, now_ms).get().await;
    let pair = count(format!("stuffing pair {network} {name}"), 1).await;
    let limit = if pair.exceeded { 0 } else { u32::MAX };
    Tally {
        accounts_from_here: count(format!("stuffing from {network}"), limit).await.used,
        networks_at_account: count(format!("stuffing at {name}"), limit).await.used,
        is_new: !pair.exceeded,
    }
}

/// Looks at the failures of a network without counting one.
pub(super) async fn peek(
    shared: &dyn Shared,
    measures: &Measures,
    address: Option<IpAddr>,
    now_ms: i64,
) -> Tally {
    let key = format!("stuffing from {}", network(address));
    let hit = shared.hit(&key, 0, measures.window_ms, now_ms).get().await;
    Tally { accounts_from_here: hit.used, ..Tally::default() }
}
