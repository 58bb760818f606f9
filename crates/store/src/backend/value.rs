//! Values that go into statements.

use std::borrow::Cow;

use doorward_core::id::{
    ApiKeyId, FamilyId, IdentityId, KeyId, MessageId, NodeId, RequestId, RunId, SessionId, ThreadId, UserId,
};

/// A typed value: what a placeholder stands for.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// Nothing.
    Null,
    /// BIGINT, and SMALLINT where the column is one.
    BigInt(i64),
    /// DOUBLE PRECISION.
    Double(f64),
    /// TEXT.
    Text(Cow<'a, str>),
    /// BYTEA.
    Bytes(Cow<'a, [u8]>),
}

impl Value<'_> {
    /// The same value without borrows, to cross to another thread.
    #[must_use]
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::BigInt(n) => Value::BigInt(n),
            Self::Double(n) => Value::Double(n),
            Self::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Self::Bytes(bytes) => Value::Bytes(Cow::Owned(bytes.into_owned())),
        }
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::BigInt(number)
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Self::BigInt(number.into())
    }
}

impl From<bool> for Value<'_> {
    fn from(flag: bool) -> Self {
        Self::BigInt(flag.into())
    }
}

impl From<f64> for Value<'_> {
    fn from(number: f64) -> Self {
        Self::Double(number)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(Cow::Borrowed(bytes))
    }
}

impl From<Vec<u8>> for Value<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(Cow::Owned(bytes))
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

macro_rules! ids {
    ($($id:ty),*) => {$(
        impl<'a> From<&'a $id> for Value<'a> {
            fn from(id: &'a $id) -> Self {
                Self::Text(Cow::Borrowed(id.as_str()))
            }
        }
    )*};
}

ids!(ApiKeyId, IdentityId, FamilyId, KeyId, MessageId, NodeId, RequestId, RunId, SessionId, ThreadId, UserId);

/// A list of owned values: `owned![a, b, c]`.
macro_rules! owned {
    ($($value:expr),* $(,)?) => {
        vec![$($crate::backend::Value::from($value).into_owned()),*]
    };
}
pub(crate) use owned;
