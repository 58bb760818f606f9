//! Values of frames that the server itself has to understand, and what is wanted of them.

use rmpv::Value;

use super::scan::{Cursor, FrameError};

/// Deepest value that is taken.
pub const MAX_DEPTH: usize = 32;
/// Most values in one, those within counted: one takes forty bytes or so, whatever it says.
pub const MAX_VALUES: u64 = 100_000;

/// Reads one value and nothing behind it.
///
/// # Errors
/// [`FrameError`].
pub fn read(bytes: &[u8]) -> Result<Value, FrameError> {
    let (value, rest) = read_first(bytes)?;
    if rest.is_empty() { Ok(value) } else { Err(FrameError::TooMuch) }
}

/// Reads the first value; the answer has what is behind it.
///
/// # Errors
/// [`FrameError`].
pub fn read_first(bytes: &[u8]) -> Result<(Value, &[u8]), FrameError> {
    let mut cursor = Cursor::new(bytes);
    if cursor.skip()? > MAX_VALUES {
        return Err(FrameError::TooMuch);
    }
    let (mut first, rest) = bytes.split_at(cursor.at);
    let value =
        rmpv::decode::read_value_with_max_depth(&mut first, MAX_DEPTH).map_err(|_| FrameError::TooMuch)?;
    Ok((value, rest))
}

/// A value's bytes.
#[must_use]
pub fn write(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write_to(&mut out, value);
    out
}

/// Adds a value's bytes.
pub fn write_to(out: &mut Vec<u8>, value: &Value) {
    rmpv::encode::write_value(out, value).expect("a vector takes everything");
}

/// A map with texts as keys.
#[must_use]
pub fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Map(entries.into_iter().map(|(key, value)| (Value::from(key), value)).collect())
}

/// What a map says under this name.
#[must_use]
pub fn get<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    let entries = value.as_map()?;
    entries.iter().find(|(key, _)| key.as_str() == Some(name)).map(|(_, value)| value)
}

/// Says a thing in a map, in place of what it said before.
pub fn set(value: &mut Value, name: &str, said: Value) {
    let Value::Map(entries) = value else { return };
    match entries.iter_mut().find(|(key, _)| key.as_str() == Some(name)) {
        Some((_, place)) => *place = said,
        None => entries.push((name.into(), said)),
    }
}

/// JSON as MessagePack.
#[must_use]
pub fn from_json(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(bool) => (*bool).into(),
        serde_json::Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(whole), _, _) => whole.into(),
            (None, Some(whole), _) => whole.into(),
            (None, None, float) => float.unwrap_or(f64::NAN).into(),
        },
        serde_json::Value::String(text) => text.as_str().into(),
        serde_json::Value::Array(items) => Value::Array(items.iter().map(from_json).collect()),
        serde_json::Value::Object(entries) => {
            Value::Map(entries.iter().map(|(key, value)| (key.as_str().into(), from_json(value))).collect())
        }
    }
}

/// MessagePack as JSON; the error names what JSON has no words for.
///
/// # Errors
/// What it is that is no JSON.
pub fn to_json(value: &Value) -> Result<serde_json::Value, &'static str> {
    Ok(match value {
        Value::Nil => serde_json::Value::Null,
        Value::Boolean(bool) => (*bool).into(),
        Value::Integer(whole) => match (whole.as_u64(), whole.as_i64()) {
            (Some(whole), _) => whole.into(),
            (None, Some(whole)) => whole.into(),
            (None, None) => serde_json::Value::Null,
        },
        Value::F32(float) => {
            serde_json::Number::from_f64(f64::from(*float)).ok_or("a number that is none")?.into()
        }
        Value::F64(float) => serde_json::Number::from_f64(*float).ok_or("a number that is none")?.into(),
        Value::String(text) => text.as_str().ok_or("a text that is no UTF-8")?.into(),
        Value::Binary(_) => return Err("bytes"),
        Value::Ext(..) => return Err("an extension type"),
        Value::Array(items) => items.iter().map(to_json).collect::<Result<Vec<_>, _>>()?.into(),
        Value::Map(entries) => {
            let mut object = serde_json::Map::with_capacity(entries.len());
            for (key, value) in entries {
                let key = match key {
                    Value::String(text) => text.as_str().ok_or("a text that is no UTF-8")?.to_owned(),
                    Value::Integer(whole) => whole.to_string(),
                    _ => return Err("a key that is no text"),
                };
                object.insert(key, to_json(value)?);
            }
            object.into()
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_too_deep_or_too_many_are_refused_before_anything_is_made_of_them() {
        let deep = [vec![0x91; MAX_DEPTH + 1], vec![0xc0]].concat();
        assert_eq!(read(&deep), Err(FrameError::TooMuch));
        let many = [&[0xdd][..], &100_001u32.to_be_bytes(), &vec![0xc0; 100_001]].concat();
        assert_eq!(read(&many), Err(FrameError::TooMuch));
        assert_eq!(read(&[0xdd, 0xff, 0xff, 0xff, 0xff]), Err(FrameError::Truncated));
        assert_eq!(read(&[0xc0, 0xc0]), Err(FrameError::TooMuch));
        assert_eq!(read(&[0x91, 0x01]), Ok(Value::Array(vec![1.into()])));
    }

    #[test]
    fn json_comes_back_as_it_went() {
        let json =
            serde_json::json!({"a": [1, -2, 1.5, null, true, "text"], "b": {"c": {}}, "big": u64::MAX});
        assert_eq!(to_json(&from_json(&json)), Ok(json));
        assert_eq!(to_json(&Value::Binary(vec![1])), Err("bytes"));
        assert_eq!(to_json(&Value::F64(f64::NAN)), Err("a number that is none"));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(value) = read(&bytes) {
                prop_assert!(read(&write(&value)).is_ok());
            }
        }
    }
}
