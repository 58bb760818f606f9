//! JSON bodies, member by member, with refusals in the words of the platform's schema.

use doorward_core::error::{Error, Result, codes};
use serde_json::{Map, Value};

use crate::http::extract::json_body;
use crate::request::Request;

/// A body that was read: an object.
pub(super) struct Body(pub(super) Map<String, Value>);

fn refused(text: String) -> Error {
    Error::new(codes::BAD_FIELD).message(text)
}

/// The refusal of a member's value.
pub(super) fn bad(name: &str, what: &str) -> Error {
    refused(format!("`{name}` {what}"))
}

impl Body {
    /// Reads a body. Whatever its content type says, it is JSON, and there has to be one.
    ///
    /// # Errors
    /// `bad_json`, `too_large`.
    pub(super) async fn read(request: &mut Request) -> Result<Self> {
        let bytes = request.bytes().await?;
        if bytes.is_empty() {
            return Err(Error::new(codes::BAD_JSON).message("Invalid JSON in request body"));
        }
        Ok(Self(json_body(&bytes)?))
    }

    /// What a member is, unless it is absent.
    pub(super) fn member(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    fn wrong(&self, name: &str, kind: &str) -> Error {
        let given = self.member(name).map(Value::to_string).unwrap_or_default();
        let shown: String = given.chars().take(64).collect();
        refused(format!(
            "{shown} is not of type \"{kind}\"\n\nFailed validating \"type\" in schema[\"properties\"][\"{name}\"]"
        ))
    }

    /// A text.
    ///
    /// # Errors
    /// `bad_field` for another type.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>> {
        match self.member(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(name, "string")),
        }
    }

    /// An object.
    ///
    /// # Errors
    /// `bad_field` for another type.
    pub(super) fn object(&self, name: &str) -> Result<Option<&Map<String, Value>>> {
        match self.member(name) {
            None => Ok(None),
            Some(Value::Object(members)) => Ok(Some(members)),
            Some(_) => Err(self.wrong(name, "object")),
        }
    }

    /// As [`Body::object`], where `null` means nothing too.
    ///
    /// # Errors
    /// As there.
    pub(super) fn maybe_object(&self, name: &str) -> Result<Option<&Map<String, Value>>> {
        if self.member(name) == Some(&Value::Null) { Ok(None) } else { self.object(name) }
    }

    /// A whole number within bounds, both included.
    ///
    /// # Errors
    /// `bad_field` for another type or a number beyond them.
    pub(super) fn whole(&self, name: &str, least: u32, most: u32) -> Result<Option<u32>> {
        let Some(given) = self.member(name) else { return Ok(None) };
        let Some(number) = given.as_i64() else { return Err(self.wrong(name, "integer")) };
        let bound = if number < i64::from(least) {
            format!("{number} is less than the minimum of {least}")
        } else if number > i64::from(most) {
            format!("{number} is greater than the maximum of {most}")
        } else {
            return Ok(u32::try_from(number).ok());
        };
        Err(refused(format!("{bound}\n\nOn instance[\"{name}\"]")))
    }

    /// A boolean.
    ///
    /// # Errors
    /// `bad_field` for another type.
    pub(super) fn flag(&self, name: &str) -> Result<bool> {
        match self.member(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.wrong(name, "boolean")),
        }
    }

    /// One of some words.
    ///
    /// # Errors
    /// `bad_field` naming them.
    pub(super) fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>> {
        let Some(given) = self.text(name)? else { return Ok(None) };
        match words.iter().find(|(word, _)| *word == given) {
            Some((_, meant)) => Ok(Some(*meant)),
            None => {
                let known: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
                let shown: String = given.chars().take(64).collect();
                Err(refused(format!("\"{shown}\" is not one of {}", known.join(" or "))))
            }
        }
    }

    /// A list of texts.
    ///
    /// # Errors
    /// `bad_field` for another type.
    pub(super) fn texts(&self, name: &str) -> Result<Option<Vec<&str>>> {
        match self.member(name) {
            None => Ok(None),
            Some(Value::Array(items)) => {
                let all: Option<Vec<_>> = items.iter().map(Value::as_str).collect();
                all.map(Some).ok_or_else(|| bad(name, "is a list of texts"))
            }
            Some(_) => Err(self.wrong(name, "array")),
        }
    }

    /// Refuses members that the real server acts on and this one cannot: silence would be a false promise.
    ///
    /// # Errors
    /// `bad_field` naming the first that is there and says something.
    pub(super) fn cannot(&self, names: &[&str]) -> Result<()> {
        match names.iter().find(|name| self.member(name).is_some_and(says_something)) {
            None => Ok(()),
            Some(name) => Err(bad(name, UNSUPPORTED)),
        }
    }
}

/// What is said of a member that only a graph of one's own could heed.
pub(super) const UNSUPPORTED: &str = "is not supported by the embedded agent server";

/// Whether a member asks for anything.
pub(super) fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        _ => true,
    }
}
