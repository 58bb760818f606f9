//! Whether the address that clients use leads here.

use super::listeners::{KEYS, published};
use super::{Check, Examined, Finding};
use crate::doctor::reach::{get, key_ids};

pub(super) static CHECK: Check =
    Check { name: "address", needs_store: true, run: |examined| Box::pin(run(examined)) };

async fn run(examined: &Examined) -> Vec<Finding> {
    let config = &examined.setup.config;
    let Some(url) = config.server.public_url.as_deref() else { return Vec::new() };
    // A mount with a listener of its own is reached by whatever leads there.
    let Some(native) = config.mounts.first().filter(|mount| mount.listen.is_none()) else {
        return Vec::new();
    };
    vec![match get(examined, &format!("{url}{}{KEYS}", native.prefix)).await {
        Err(why) => CHECK.warning(
            format!("{url} gives no answer, asked from here: {why}"),
            "look at the name, the certificate and the proxy; ask from where clients are, if this machine may not reach it",
        ),
        Ok(reply) => match key_ids(&reply.body).filter(|_| reply.is_success()) {
            None => CHECK.problem(
                format!("{url} answers {} where keys should be, so it leads elsewhere", reply.status),
                "correct server.public_url, or what the proxy before it does",
            ),
            Some(there) => match examined.inside().await.map(published) {
                Some(ours) if ours != there => CHECK.problem(
                    format!("{url} leads to a server with other keys"),
                    "correct server.public_url, or what the proxy before it does",
                ),
                _ => CHECK.ok(format!("{url} leads here")),
            },
        },
    }]
}
