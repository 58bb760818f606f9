//! Whether a server answers where one should, and on this store.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use doorward_core::tokens::Keys;

use super::{Check, Examined, Finding};
use crate::cli::Inside;
use crate::doctor::reach::{connects, get, key_ids};
use crate::running::reachable;

pub(super) static CHECK: Check = Check { name: "listeners", run: |examined| Box::pin(run(examined)) };

/// Where keys are published, below the native mount.
pub(super) const KEYS: &str = "/.well-known/jwks.json";

async fn run(examined: &Examined) -> Vec<Finding> {
    let config = &examined.setup.config;
    let native = config.mounts.first();
    let keys_at = native.map_or(config.server.listen, |mount| mount.listen.unwrap_or(config.server.listen));
    let own = config.mounts.iter().filter_map(|mount| mount.listen);
    let addresses: BTreeSet<SocketAddr> = std::iter::once(config.server.listen).chain(own).collect();
    let mut found = Vec::new();
    // Port 0 is wherever the system put it, and the ready file says where.
    for address in addresses.into_iter().filter(|address| address.port() != 0) {
        let address = reachable(address);
        if let Err(why) = connects(&address.ip().to_string(), address.port()).await {
            let mend = "start the server, unless it is meant to be stopped";
            found.push(CHECK.warning(format!("nothing answers at {address}: {why}"), mend));
        } else if address != reachable(keys_at) {
            found.push(CHECK.ok(format!("{address} takes connections")));
        } else if config.server.tls.is_some() {
            found.push(
                CHECK.ok(format!("{address} takes connections; who answers is seen at server.public_url")),
            );
        } else {
            let prefix = native.map_or("", |mount| mount.prefix.as_str());
            found.push(whose(examined, address, &format!("http://{address}{prefix}{KEYS}")).await);
        }
    }
    found
}

async fn whose(examined: &Examined, address: SocketAddr, url: &str) -> Finding {
    let reply = match get(examined, url).await {
        Ok(reply) => reply,
        Err(why) => {
            let what = format!("something listens at {address} and gives no answer: {why}");
            return CHECK.problem(what, "look at the server's log; another program may have taken the port");
        }
    };
    let answered = key_ids(&reply.body).filter(|_| reply.is_success());
    match (answered, examined.inside.as_ref().map(published)) {
        (None, _) => CHECK.problem(
            format!("what answers at {address} is not a doorward server with this configuration"),
            "look at what listens there",
        ),
        (Some(there), Some(ours)) if there == ours => {
            CHECK.ok(format!("a server answers at {address}, with the keys of this store"))
        }
        (Some(_), Some(_)) => CHECK.problem(
            format!("a server answers at {address}, with the keys of another store"),
            "give --config of that server, or restart it if the store was restored",
        ),
        (Some(_), None) => CHECK.ok(format!("a server answers at {address}")),
    }
}

/// The ids of the keys that the native mount publishes.
pub(super) fn published(inside: &Inside) -> BTreeSet<String> {
    let native = inside.assembled.mounts.first().expect("a native mount is always there");
    let keys = match &native.mount.tokens.keys {
        Keys::Ring(ring) => ring.public_keys(),
        Keys::Fixed { verify, .. } => verify.iter().filter_map(|key| key.to_public_jwk()).collect(),
    };
    let text = serde_json::json!({ "keys": keys }).to_string();
    key_ids(text.as_bytes()).unwrap_or_default()
}
