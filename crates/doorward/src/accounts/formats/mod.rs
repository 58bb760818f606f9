//! The kinds of files there are. To add one: a file here, and a row in [`BUILTIN`].

mod auth0;
mod hypha;
mod supabase;
pub(super) mod users;

use doorward_core::identity::transfer::Incoming;

use super::Fault;
use super::members::Members;

/// An account that was read, and what there was of it that has no place here.
pub(super) struct Account {
    pub(super) incoming: Incoming,
    /// Nouns, for the report: what is left behind is said.
    pub(super) left_behind: Vec<&'static str>,
}

/// A kind of file.
pub(super) struct Format {
    /// As it is typed.
    pub(super) name: &'static str,
    /// Whether a row with these members is of this kind. The first one of the table that says so is taken.
    pub(super) recognises: fn(&Members) -> bool,
    /// Reads a row.
    pub(super) read: fn(Members, now_ms: i64) -> Result<Account, Fault>,
}

/// Every format. The more peculiar its members, the earlier it stands.
pub(super) static BUILTIN: &[&Format] = &[&supabase::FORMAT, &auth0::FORMAT, &hypha::FORMAT, &users::FORMAT];
