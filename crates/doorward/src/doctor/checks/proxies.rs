//! Whether those who are believed about addresses are proxies.

use super::{Check, Examined, Finding};
use crate::refusals::is_loopback;

pub(super) static CHECK: Check =
    Check { name: "proxies", needs_store: false, run: |examined| Box::pin(run(examined)) };

/// Larger networks hold more than proxies.
const MANY: u64 = 4_096;

async fn run(examined: &Examined) -> Vec<Finding> {
    let server = &examined.setup.config.server;
    let mut found = Vec::new();
    for network in &server.trusted_proxies {
        let size = network.size();
        if size > MANY && !network.is_everybody() {
            let what = format!(
                "{network} is declared a proxy: each of its addresses can say where a request comes from"
            );
            found.push(
                CHECK.warning(what, "name the addresses of the proxies in server.trusted_proxies, no more"),
            );
        }
    }
    let behind = server.public_url.is_some() && server.tls.is_none() && is_loopback(server.listen);
    if behind && server.trusted_proxies.is_empty() {
        let what =
            "a proxy seems to stand before this server, and is not declared: everybody has its address";
        found.push(CHECK.warning(what, "name its address in server.trusted_proxies"));
    }
    found
}
