//! Whether the mail server and the directory take connections. Nobody logs in there.

use super::{Check, Examined, Finding};
use crate::doctor::reach::connects;

pub(super) static CHECK: Check =
    Check { name: "neighbours", needs_store: false, run: |examined| Box::pin(run(examined)) };

async fn run(examined: &Examined) -> Vec<Finding> {
    let config = &examined.setup.config;
    let (mail, ldap) = (&config.mail, &config.ldap);
    let named = [("mail server", &mail.host, mail.port), ("directory", &ldap.host, ldap.port)];
    let mut found = Vec::new();
    for (what, host, port) in named {
        let Some(host) = host else { continue };
        found.push(match connects(host, port).await {
            Ok(()) => CHECK.ok(format!("the {what} {host}:{port} takes connections")),
            Err(why) => CHECK.problem(
                format!("the {what} {host}:{port} takes no connection: {why}"),
                "look at its address and port, and at what stands between",
            ),
        });
    }
    found
}
