//! Transactions as data.

use std::borrow::Cow;

use doorward_core::ports::{Conflict, StoreError};

use super::{Rows, Value};

/// A statement with its values and what must come of it.
#[derive(Clone)]
pub struct Statement {
    /// SQL with `$n` placeholders, each of `1..=params.len()` used at least once.
    pub sql: Cow<'static, str>,
    /// The values.
    pub params: Vec<Value<'static>>,
    /// What must come of it.
    pub expect: Expect,
}

/// What must come of a statement for the transaction to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Anything.
    Any,
    /// At least one row changed (or, of a query, came back); else this conflict.
    Row(Conflict),
}

/// Turns the rows of an earlier query into further statements.
///
/// A backend that retries a transaction calls it again, so it decides by the rows alone.
pub type Derive = Box<dyn Fn(&Rows) -> Result<Vec<Statement>, StoreError> + Send + Sync>;

/// A part of a transaction.
pub enum Step {
    /// Runs a statement.
    Run(Statement),
    /// Reads within the transaction, then runs what `derive` makes of the rows.
    Read {
        /// The query.
        query: Statement,
        /// What to run next.
        derive: Derive,
    },
}

impl Step {
    /// A statement that may change any number of rows.
    #[must_use]
    pub fn any(sql: &'static str, params: Vec<Value<'static>>) -> Self {
        Self::Run(Statement { sql: sql.into(), params, expect: Expect::Any })
    }

    /// A statement that must change a row, else `conflict`.
    #[must_use]
    pub fn row(sql: &'static str, params: Vec<Value<'static>>, conflict: Conflict) -> Self {
        Self::Run(Statement { sql: sql.into(), params, expect: Expect::Row(conflict) })
    }
}
