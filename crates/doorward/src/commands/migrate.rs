//! `doorward migrate`: the store's schema.

use clap::{Args, Parser, Subcommand};
use doorward_core::clock::Clock as _;
use doorward_store::Options;
use serde_json::json;

use crate::cli::{Descriptor, Failure, Output, Run, StoreOptions, Surroundings};
use crate::clock::SystemClock;

/// The row of the table of commands.
pub(super) const COMMAND: Descriptor = Descriptor::of::<Migrate>("migrate");

/// Look at the store's schema and bring it up to date
///
/// A server brings its store up to date when it starts. These commands do so beforehand, and say what would happen.
#[derive(Parser)]
#[command(
    name = "migrate",
    after_help = "\
Examples:
  doorward migrate status
  doorward migrate apply --config /etc/doorward/doorward.toml"
)]
struct Migrate {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Say which migrations the store has not seen
    #[command(after_help = "Example:\n  doorward migrate status --json")]
    Status(Place),
    /// Apply them; stop servers of an older version first
    #[command(after_help = "Example:\n  doorward migrate apply --data-dir .doorward")]
    Apply(Place),
}

#[derive(Args)]
struct Place {
    #[command(flatten)]
    store: StoreOptions,
    #[command(flatten)]
    output: Output,
}

impl Run for Migrate {
    fn run(self, surroundings: &Surroundings) -> Result<(), Failure> {
        let (place, apply) = match self.what {
            What::Status(place) => (place, false),
            What::Apply(place) => (place, true),
        };
        let setup =
            if apply { place.store.setup_anew(surroundings)? } else { place.store.setup(surroundings)? };
        let address = setup.config.store.address();
        let failed = |error: doorward_core::ports::StoreError| {
            Failure::refused(error.to_string(), "use a version of doorward that knows this store")
        };
        let options = Options { now_ms: SystemClock.now_ms(), ..Options::default() };
        let found = if apply {
            doorward_store::migrate(address.expose(), &options)
        } else {
            doorward_store::pending(address.expose())
        };
        let rows: Vec<_> = found
            .map_err(failed)?
            .iter()
            .map(|migration| json!({ "version": migration.version, "name": migration.name }))
            .collect();
        let name = if apply { "applied" } else { "pending" };
        place.output.answer(&json!({ name: rows }), || match rows.len() {
            0 => "The store is up to date.".to_owned(),
            _ => rows.iter().map(|row| format!("{name} {}: {}\n", row["version"], row["name"])).collect(),
        })
    }
}
