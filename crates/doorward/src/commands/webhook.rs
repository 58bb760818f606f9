//! `doorward webhook`: what waits for receivers, and whether they answer.

use clap::{Args, Parser, Subcommand};
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::webhook;
use serde_json::json;

use crate::cli::{
    Descriptor, Failure, Inside, Output, Run, StoreOptions, Surroundings, inside, moment, table,
};

/// The row of the table of commands.
pub(super) const COMMAND: Descriptor = Descriptor::of::<Webhooks>("webhook");

/// See what waits for webhooks, test them, and have them told again
#[derive(Parser)]
#[command(
    name = "webhook",
    after_help = "\
Webhooks are configured in [webhooks.NAME]. Events that were not taken are tried again after 2 s, 4 s, 8 s … up to an hour
apart, until give_up_after_s.

Examples:
  doorward webhook list
  doorward webhook test audit
  doorward webhook retry audit"
)]
struct Webhooks {
    #[command(subcommand)]
    what: What,
}

#[derive(Args)]
struct Common {
    #[command(flatten)]
    store: StoreOptions,
    #[command(flatten)]
    output: Output,
}

#[derive(Subcommand)]
enum What {
    /// List webhooks with what waits for each
    #[command(after_help = "Example:\n  doorward webhook list --config doorward.toml --json")]
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Send a webhook.test event now, once, and say what was answered
    #[command(after_help = "Example:\n  doorward webhook test audit")]
    Test {
        /// The webhook's name
        name: String,
        #[command(flatten)]
        common: Common,
    },
    /// Have everything that waits for a webhook tried now, by the running server
    #[command(after_help = "Example:\n  doorward webhook retry audit")]
    Retry {
        /// The webhook's name
        name: String,
        #[command(flatten)]
        common: Common,
    },
}

impl Run for Webhooks {
    fn run(self, surroundings: &Surroundings) -> Result<(), Failure> {
        match self.what {
            What::List { common } => list(&common, surroundings),
            What::Test { name, common } => test(&name, &common, surroundings),
            What::Retry { name, common } => retry(&name, &common, surroundings),
        }
    }
}

fn list(common: &Common, surroundings: &Surroundings) -> Result<(), Failure> {
    let found = inside(&common.store, surroundings, async |inside: &Inside| {
        let engine = &inside.assembled.engine;
        let waiting = engine.deliveries().waiting(inside.permit::<webhook::Read>(Target::any())?).await?;
        let mut rows = Vec::new();
        for webhook in engine.webhooks() {
            let own = waiting.iter().find(|row| row.webhook == webhook.name);
            rows.push(json!({
                "name": webhook.name, "url": webhook.url, "configured": true,
                "events": webhook.events.iter().map(|def| def.name).collect::<Vec<_>>(),
                "waiting": own.map_or(0, |row| row.waiting), "oldest_at_ms": own.map(|row| row.oldest_at_ms),
                "attempts": own.map_or(0, |row| row.attempts),
            }));
        }
        for row in
            waiting.iter().filter(|row| engine.webhooks().iter().all(|known| known.name != row.webhook))
        {
            rows.push(json!({
                "name": row.webhook, "configured": false, "waiting": row.waiting,
                "oldest_at_ms": row.oldest_at_ms, "attempts": row.attempts,
            }));
        }
        Ok(rows)
    })?;
    common.output.answer(&found, || {
        if found.is_empty() {
            return "There are no webhooks; [webhooks.NAME] in the configuration makes one.".to_owned();
        }
        let text =
            |row: &serde_json::Value, name: &str| row[name].as_str().unwrap_or("(not configured)").to_owned();
        let rows: Vec<_> = found
            .iter()
            .map(|row| {
                vec![
                    text(row, "name"),
                    text(row, "url"),
                    row["waiting"].to_string(),
                    row["oldest_at_ms"].as_i64().map_or_else(|| "-".to_owned(), moment),
                    row["attempts"].to_string(),
                ]
            })
            .collect();
        table(&["name", "url", "waiting", "oldest", "attempts"], &rows)
    })
}

fn test(name: &str, common: &Common, surroundings: &Surroundings) -> Result<(), Failure> {
    let status = inside(&common.store, surroundings, async |inside: &Inside| {
        let permit = inside.permit::<webhook::Send>(Target::any())?;
        let status = inside
            .assembled
            .engine
            .deliveries()
            .test(permit, name)
            .await
            .map_err(|error| unknown(name, error))?;
        if (200..300).contains(&status) {
            return Ok(status);
        }
        Err(Failure::refused(
            format!("the webhook answered {status}"),
            "look at the receiver's log; 401 and 403 mostly mean another secret",
        ))
    })?;
    common.output.answer(&json!({ "webhook": name, "status": status }), || format!("Taken: {status}."))
}

fn retry(name: &str, common: &Common, surroundings: &Surroundings) -> Result<(), Failure> {
    let waiting = inside(&common.store, surroundings, async |inside: &Inside| {
        let permit = inside.permit::<webhook::Send>(Target::any())?;
        inside.assembled.engine.deliveries().retry(permit, name).await.map_err(|error| unknown(name, error))
    })?;
    common.output.answer(&json!({ "webhook": name, "waiting": waiting }), || match waiting {
        0 => "Nothing waits.".to_owned(),
        1 => "One event is due now; a running server sends it at once.".to_owned(),
        more => format!("{more} events are due now; a running server sends them at once."),
    })
}

fn unknown(name: &str, error: doorward_core::error::Error) -> Failure {
    if error.is(doorward_core::error::codes::NOT_FOUND) {
        let mend = "`doorward webhook list` shows which there are; what waits for one that is not configured any more is cleared out \
                    30 days after it happened";
        return Failure::refused(format!("there is no webhook {name:?} in the configuration"), mend);
    }
    error.into()
}
