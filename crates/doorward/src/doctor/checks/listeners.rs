//! Whether a server answers where one should, and on this store.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use doorward_core::tokens::Keys;

use super::certificate::own;
use super::{Check, Examined, Finding};
use crate::cli::Inside;
use crate::doctor::reach::{asked_over_tls, connects, get, key_ids};
use crate::running::reachable;

pub(super) static CHECK: Check =
    Check { name: "listeners", needs_store: true, run: |examined| Box::pin(run(examined)) };

/// Where keys are published, below the native mount.
pub(super) const KEYS: &str = "/.well-known/jwks.json";
/// Where a server says whether it takes requests.
const READY: &str = "/health/ready";
/// Within this a server has looked at its certificate again.
const NEXT_LOOK: Duration = Duration::from_secs(3);

async fn run(examined: &Examined) -> Vec<Finding> {
    let config = &examined.setup.config;
    let native = config.mounts.first();
    let keys_at = native.map_or(config.server.listen, |mount| mount.listen.unwrap_or(config.server.listen));
    let others = config.mounts.iter().filter_map(|mount| mount.listen);
    let addresses: BTreeSet<SocketAddr> = std::iter::once(config.server.listen).chain(others).collect();
    let mut found = Vec::new();
    // Port 0 is wherever the system put it, and the ready file says where.
    for address in addresses.into_iter().filter(|address| address.port() != 0) {
        let address = reachable(address);
        if let Err(why) = connects(&address.ip().to_string(), address.port()).await {
            let mend = "start the server, unless it is meant to be stopped";
            found.push(CHECK.warning(format!("nothing answers at {address}: {why}"), mend));
        } else if address != reachable(keys_at) {
            found.push(CHECK.ok(format!("{address} takes connections")));
        } else if let Some(files) = &config.server.tls {
            found.extend(over_tls(address, &files.certificate).await);
        } else {
            let prefix = native.map_or("", |mount| mount.prefix.as_str());
            found.push(whose(examined, address, &format!("http://{address}{prefix}{KEYS}")).await);
            let answer = get(examined, &format!("http://{address}{READY}")).await;
            found.extend(answer.ok().and_then(|reply| unready(address, reply.status)));
        }
    }
    found
}

/// Whether it shows the certificate of the file, and says that it is ready. Whose keys it publishes is asked at the public address.
async fn over_tls(address: SocketAddr, file: &Path) -> Vec<Finding> {
    let mut shown = asked_over_tls(address, READY).await;
    if let (Ok((certificate, _)), Ok(ours)) = (&shown, own(file))
        && *certificate != ours
    {
        // One that was just renewed is read by the server at its next look.
        tokio::time::sleep(NEXT_LOOK).await;
        shown = asked_over_tls(address, READY).await;
    }
    let (certificate, status) = match shown {
        Ok(shown) => shown,
        Err(why) => {
            return vec![CHECK.problem(
                format!("what listens at {address} does not speak TLS: {why}"),
                "look at the server's log; another program may have taken the port",
            )];
        }
    };
    let mut found = vec![match own(file) {
        Ok(ours) if certificate == ours => {
            CHECK.ok(format!("a server answers at {address}, with the certificate of {}", file.display()))
        }
        _ => CHECK.warning(
            format!("the server at {address} shows another certificate than {}", file.display()),
            "look in its log for why it keeps the old one, or restart it",
        ),
    }];
    match status {
        Ok(status) => found.extend(unready(address, status)),
        Err(why) => found.push(CHECK.problem(
            format!("the server at {address} does not say whether it is ready: {why}"),
            "look at the server's log; another program may have taken the port",
        )),
    }
    found
}

/// What a server says that answers and wants no requests.
fn unready(address: SocketAddr, status: u16) -> Option<Finding> {
    (status == 503).then(|| {
        CHECK.problem(
            format!("the server at {address} says that it is not ready"),
            "look at its log, and at what it answers there: docs/operations.md tells what each reason means",
        )
    })
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
    match (answered, examined.inside().await.map(published)) {
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
