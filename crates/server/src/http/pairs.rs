//! Queries and forms: `application/x-www-form-urlencoded` (WHATWG URL §5), bounded and without repetitions.

use doorward_core::error::{Code, Error, Result, codes};
use percent_encoding::percent_decode;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Most pairs in one query or form.
const MAX_PAIRS: usize = 64;

/// Names and values, each name once.
#[derive(Default)]
pub(crate) struct Pairs(Map<String, Value>);

impl Pairs {
    /// Reads a query string.
    ///
    /// # Errors
    /// `bad_request` for repeated names, broken escapes, text that is not UTF-8, or too many pairs.
    pub(crate) fn query(text: &str) -> Result<Self> {
        parse(text.as_bytes(), codes::BAD_REQUEST)
    }

    /// Reads a form body.
    ///
    /// # Errors
    /// As [`Pairs::query`].
    pub(crate) fn form(bytes: &[u8]) -> Result<Self> {
        parse(bytes, codes::BAD_REQUEST)
    }

    /// All of them.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
    }

    /// A value as text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// A value as a whole number.
    ///
    /// # Errors
    /// `bad_field` when it is none.
    pub(crate) fn number(&self, name: &'static str) -> Result<Option<u32>> {
        let bad = |_| Error::new(codes::BAD_FIELD).message(format!("`{name}` is not a whole number."));
        self.text(name).map(|text| text.parse().map_err(bad)).transpose()
    }

    /// Reads all of it as `T`, whose members are texts.
    ///
    /// # Errors
    /// `bad_field` naming what is missing.
    pub(crate) fn into_typed<T: DeserializeOwned>(self) -> Result<T> {
        serde_json::from_value(Value::Object(self.0)).map_err(|error| {
            // Only "missing field" is sure to hold nothing of the input.
            let text = error.to_string();
            let shown =
                if text.starts_with("missing field") { text } else { "a field has the wrong form".into() };
            Error::new(codes::BAD_FIELD).message(format!("The form cannot be used: {shown}."))
        })
    }
}

fn parse(bytes: &[u8], code: &'static Code) -> Result<Pairs> {
    let refuse = |what: &str| Error::new(code).message(format!("The query or form {what}."));
    let mut pairs = Map::new();
    for pair in bytes.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let name = decode(&pair[..at]).ok_or_else(|| refuse("holds a broken escape"))?;
        let value =
            decode(pair.get(at + 1..).unwrap_or_default()).ok_or_else(|| refuse("holds a broken escape"))?;
        if pairs.len() == MAX_PAIRS {
            return Err(refuse("has more than 64 members"));
        }
        if pairs.insert(name, Value::String(value)).is_some() {
            return Err(refuse("names a member twice"));
        }
    }
    Ok(Pairs(pairs))
}

fn decode(bytes: &[u8]) -> Option<String> {
    let whole = bytes.iter().enumerate().all(|(at, byte)| {
        *byte != b'%'
            || bytes.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    let spaced: Vec<u8> = bytes.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let decoded = percent_decode(&spaced).decode_utf8().ok()?.into_owned();
    (whole && !decoded.contains('\0')).then_some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_once_and_named_once() {
        let pairs = Pairs::query("a=1&b=x+y%26z&c&=e&d=%C3%A9").unwrap();
        assert_eq!(pairs.number("a").unwrap(), Some(1));
        assert_eq!((pairs.text("b"), pairs.text("c"), pairs.text("d")), (Some("x y&z"), Some(""), Some("é")));
        assert!(pairs.number("b").is_err_and(|error| error.is(codes::BAD_FIELD)));
        for (name, text) in [
            ("twice", "a=1&a=1"),
            ("twice, escaped", "a=1&%61=2"),
            ("broken escape", "a=%4"),
            ("no hexadecimal", "a=%zz"),
            ("not UTF-8", "a=%ff"),
            ("NUL", "a=%00"),
        ] {
            assert!(Pairs::query(text).is_err_and(|error| error.is(codes::BAD_REQUEST)), "{name}");
        }
        let many: Vec<String> = (0..65).map(|n| format!("n{n}=")).collect();
        assert!(Pairs::form(many.join("&").as_bytes()).is_err());
    }

    #[test]
    fn typed_forms_never_echo_values() {
        #[derive(Debug, serde::Deserialize)]
        #[expect(dead_code, reason = "only its shape matters")]
        struct Login {
            username: String,
            age: u32,
        }
        let text =
            Pairs::form(b"age=hunter2&username=u").unwrap().into_typed::<Login>().unwrap_err().to_string();
        assert!(!text.contains("hunter2"), "{text}");
        let text = Pairs::form(b"username=u").unwrap().into_typed::<Login>().unwrap_err().to_string();
        assert!(text.contains("missing field"), "{text}");
    }
}
