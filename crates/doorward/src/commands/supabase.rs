//! `doorward supabase`: what clients of Supabase's routes need to be told.

use clap::{Args, Parser, Subcommand};
use serde_json::{Value, json};

use crate::cli::{Descriptor, Failure, Inside, Output, Run, StoreOptions, Surroundings, inside, table};
use crate::supabase;

/// The row of the table of commands.
pub(super) const COMMAND: Descriptor = Descriptor::of::<Supabase>("supabase");

/// Show the keys that Supabase's clients send
#[derive(Parser)]
#[command(
    name = "supabase",
    after_help = "\
Clients send the anon key in the header apikey, servers of yours the service key. Neither says who somebody is.

Examples:
  doorward supabase keys
  doorward supabase keys --json"
)]
struct Supabase {
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
    /// Show the anon key and the service key of each mount that speaks Supabase
    #[command(after_help = "Example:\n  doorward supabase keys --config doorward.toml")]
    Keys {
        #[command(flatten)]
        common: Common,
    },
}

impl Run for Supabase {
    fn run(self, surroundings: &Surroundings) -> Result<(), Failure> {
        let What::Keys { common } = self.what;
        let found =
            inside(&common.store, surroundings, async |inside: &Inside| supabase::keys(&inside.assembled))?;
        if found.is_empty() {
            let mend = "write [mounts.supabase] into the configuration";
            return Err(Failure::refused("no mount speaks Supabase", mend));
        }
        let shown: Vec<Value> = found
            .iter()
            .map(|(mount, keys)| {
                json!({ "mount": mount, "anon_key": keys.anon.expose(), "service_key": keys.service.expose() })
            })
            .collect();
        common.output.answer(&shown, || {
            let rows: Vec<_> = found
                .iter()
                .flat_map(|(mount, keys)| {
                    [("anon", &keys.anon), ("service", &keys.service)]
                        .map(|(role, key)| vec![mount.clone(), role.to_owned(), key.expose().clone()])
                })
                .collect();
            table(&["mount", "role", "key"], &rows)
        })
    }
}
