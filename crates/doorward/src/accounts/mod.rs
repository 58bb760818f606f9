//! Files of accounts: what `doorward user import` reads and `doorward user export` writes.
//!
//! ```text
//! a file ─ rows ─► one row of JSON at a time ─ members, a format ─► Incoming ─► core: Users::import
//! core: Users::export ─► export ─► lines that the format `users` reads
//! ```

mod export;
mod formats;
mod import;
mod members;
mod rows;

#[cfg(test)]
mod tests;

pub(crate) use export::{Export, export};
pub(crate) use import::{Import, import, role_names};

use doorward_core::error::Error;

/// Why a row is not taken: a code of `docs/reference/errors.md` or of `docs/reference/import.md`, and a sentence without values of the row.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fault {
    code: &'static str,
    message: String,
}

impl Fault {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    fn field(name: &str, what: &str) -> Self {
        Self::new("bad_field", format!("{name}: {what}"))
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::new(error.code().name, error.public_message())
    }
}

impl From<doorward_core::identity::hashes::HashFault> for Fault {
    fn from(fault: doorward_core::identity::hashes::HashFault) -> Self {
        Error::from(fault).into()
    }
}
