//! The checks there are. To add one: a file here, a row in [`BUILTIN`], and a section of its name in `docs/doctor.md`.

mod address;
mod audit;
mod backups;
mod certificate;
mod clock;
pub(super) mod configuration;
mod descriptors;
mod disk;
mod files;
mod keys;
mod listeners;
mod neighbours;
mod providers;
mod proxies;
pub(super) mod store;
mod upstreams;
mod webhooks;

use futures_util::future::BoxFuture;

use super::{Examined, Finding};

/// A row of the table of checks.
pub(crate) struct Check {
    /// What it is called, which is also its section in `docs/doctor.md`.
    pub(crate) name: &'static str,
    /// Whether it waits for the store to be opened.
    pub(super) needs_store: bool,
    /// Looks. What cannot be looked at, because the store is not open or nothing is configured, gives nothing.
    pub(super) run: for<'e> fn(&'e Examined) -> BoxFuture<'e, Vec<Finding>>,
}

impl Check {
    /// Where the documentation tells of it.
    pub(crate) fn page(&self) -> String {
        format!("docs/doctor.md#{}", self.name)
    }
}

/// Every check, in the order of what they find.
pub(crate) static BUILTIN: &[&Check] = &[
    &configuration::CHECK,
    &files::CHECK,
    &certificate::CHECK,
    &store::CHECK,
    &disk::CHECK,
    &clock::CHECK,
    &audit::CHECK,
    &keys::CHECK,
    &backups::CHECK,
    &descriptors::CHECK,
    &listeners::CHECK,
    &address::CHECK,
    &proxies::CHECK,
    &upstreams::CHECK,
    &providers::CHECK,
    &neighbours::CHECK,
    &webhooks::CHECK,
];

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../../../../docs/doctor.md");

    #[test]
    fn every_check_has_its_section_and_every_section_its_check() {
        let sections: Vec<&str> = PAGE.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        let names: Vec<&str> = BUILTIN.iter().map(|check| check.name).collect();
        assert_eq!(sections, names, "in the same order");
    }
}
