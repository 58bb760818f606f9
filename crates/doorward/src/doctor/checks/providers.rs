//! Whether those answer who vouch for people and tokens.

use doorward_core::ports::{Ask, Outbound};
use futures_util::future::join_all;
use serde_json::Value;

use super::{Check, Examined, Finding};
use crate::others::way_out;

pub(super) static CHECK: Check =
    Check { name: "providers", needs_store: false, run: |examined| Box::pin(run(examined)) };

/// What is asked, and what is expected of the answer.
enum Expected {
    /// The description of an issuer, which has to be its own.
    Issuer(String),
    /// A set of keys.
    Keys,
    /// Any answer at all.
    Anything,
}

async fn run(examined: &Examined) -> Vec<Finding> {
    let config = &examined.setup.config;
    let mut asked = Vec::new();
    for (name, provider) in &config.providers {
        let section = format!("providers.{name}");
        asked.push(match &provider.issuer {
            Some(issuer) => description(section, issuer),
            None => (section, provider.endpoints.token_url.clone(), Expected::Anything),
        });
    }
    for (name, issuer) in &config.issuers {
        let section = format!("issuers.{name}");
        asked.push(match &issuer.jwks_url {
            Some(url) => (section, url.clone(), Expected::Keys),
            None => description(section, &issuer.issuer),
        });
    }
    if asked.is_empty() {
        return Vec::new();
    }
    // The way of the server itself, with what it lets out.
    match way_out(config) {
        Ok(client) => join_all(asked.iter().map(|one| ask(&client, one))).await,
        Err(failure) => vec![CHECK.problem(failure.what, failure.mend)],
    }
}

fn description(section: String, issuer: &str) -> (String, String, Expected) {
    let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    (section, url, Expected::Issuer(issuer.to_owned()))
}

async fn ask(client: &impl Outbound, (section, url, expected): &(String, String, Expected)) -> Finding {
    let origin = url.split('/').take(3).collect::<Vec<_>>().join("/");
    let reply = match client.send(Ask::get(url)).await {
        Ok(reply) => reply,
        Err(error) => {
            let mend = "look at the address, the network, and outbound.allow";
            return CHECK.problem(format!("{section}: {origin}: {error}"), mend);
        }
    };
    let said: Option<Value> = serde_json::from_slice(&reply.body).ok().filter(|_| reply.is_success());
    let fits = match expected {
        Expected::Anything => true,
        Expected::Keys => said.as_ref().is_some_and(|said| said["keys"].is_array()),
        Expected::Issuer(issuer) => said.as_ref().is_some_and(|said| said["issuer"] == issuer.as_str()),
    };
    if fits {
        return CHECK.ok(format!("{section}: {origin} answers"));
    }
    let what = match expected {
        Expected::Issuer(issuer) => {
            format!("{section}: {origin} does not describe {issuer} (status {})", reply.status)
        }
        _ => format!("{section}: {origin} gives no keys (status {})", reply.status),
    };
    CHECK.problem(what, "correct the issuer or the address: it has to be spelled as the issuer itself does")
}
