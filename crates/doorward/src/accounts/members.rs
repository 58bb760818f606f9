//! The members of a row, taken one after the other. `null` is as good as absent, and so is an empty text: that is how tables say nothing.

use doorward_core::clock::from_rfc3339;
use doorward_protocols::json::{self, Limits};
use serde_json::{Map, Value};

use super::Fault;

/// Longest row: both of an account's metadata at their longest, sixteen-fold.
pub(super) const MAX_ROW_BYTES: usize = 256 << 10;
/// Rows are strict JSON, as deep as a request's body may be.
const LIMITS: Limits = Limits { max_bytes: MAX_ROW_BYTES, max_depth: Limits::STRANGER.max_depth };

/// The members of a row that nobody has asked for yet.
#[derive(Debug)]
pub(super) struct Members(Map<String, Value>);

impl Members {
    /// Reads a row.
    pub(super) fn read(row: &[u8]) -> Result<Self, Fault> {
        match json::parse(row, LIMITS) {
            Ok(Value::Object(members)) => Ok(Self(members)),
            Ok(_) => Err(Fault::new("json_shape", "An account is an object.")),
            Err(error) => Err(Fault::new(error.code(), format!("{error}."))),
        }
    }

    /// Of an object inside of a row.
    pub(super) fn of(members: Map<String, Value>) -> Self {
        Self(members)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    /// A text.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Fault> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
            Some(_) => Err(Fault::field(name, "is a text.")),
        }
    }

    /// An id: some tables number their rows.
    pub(super) fn id(&mut self, name: &str) -> Result<Option<String>, Fault> {
        match self.take(name) {
            Some(Value::Number(number)) if number.is_u64() => Ok(Some(number.to_string())),
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
            Some(_) => Err(Fault::field(name, "is a text or a number.")),
        }
    }

    /// Whether something is so; absent, it is not. Some databases write 0 and 1.
    pub(super) fn flag(&mut self, name: &str) -> Result<bool, Fault> {
        match self.take(name) {
            None => Ok(false),
            Some(Value::Bool(is)) => Ok(is),
            Some(Value::Number(number)) if number.as_u64().is_some_and(|n| n < 2) => {
                Ok(number.as_u64() == Some(1))
            }
            Some(_) => Err(Fault::field(name, "is true or false.")),
        }
    }

    /// An object; absent, an empty one.
    pub(super) fn object(&mut self, name: &str) -> Result<Map<String, Value>, Fault> {
        match self.take(name) {
            None => Ok(Map::new()),
            Some(Value::Object(members)) => Ok(members),
            Some(_) => Err(Fault::field(name, "is an object.")),
        }
    }

    /// Milliseconds since the epoch, between the years 1900 and 9999.
    pub(super) fn millis(&mut self, name: &str) -> Result<Option<i64>, Fault> {
        const YEARS: std::ops::Range<i64> = -2_208_988_800_000..253_402_300_800_000;
        match self.take(name) {
            None => Ok(None),
            Some(value) => match value.as_i64().filter(|at_ms| YEARS.contains(at_ms)) {
                Some(at_ms) => Ok(Some(at_ms)),
                None => Err(Fault::field(name, "is a moment in milliseconds since 1970.")),
            },
        }
    }

    /// A moment as RFC 3339 and databases write it.
    pub(super) fn moment(&mut self, name: &str) -> Result<Option<i64>, Fault> {
        let wrong = || Fault::field(name, "is a moment like 2026-11-25T00:44:43Z.");
        self.text(name)?.map(|text| from_rfc3339(&text).ok_or_else(wrong)).transpose()
    }

    /// Role names: an array, or the text of one, as a text column keeps it.
    pub(super) fn roles(&mut self, name: &str) -> Result<Vec<String>, Fault> {
        let wrong = || Fault::field(name, "is an array of texts, or such an array written as a text.");
        let value = match self.take(name) {
            None => return Ok(Vec::new()),
            Some(Value::String(text)) if text.is_empty() => return Ok(Vec::new()),
            Some(Value::String(text)) => json::parse(text.as_bytes(), LIMITS).map_err(|_| wrong())?,
            Some(value) => value,
        };
        let Value::Array(all) = value else { return Err(wrong()) };
        all.into_iter()
            .map(|one| match one {
                Value::String(role) => Ok(role),
                _ => Err(wrong()),
            })
            .collect()
    }

    /// Refuses what nobody has asked for, so that a slip of the pen is seen.
    pub(super) fn nothing_else(self) -> Result<(), Fault> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => {
                let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
                Err(Fault::field(&shown, "is no member of an account."))
            }
        }
    }
}
