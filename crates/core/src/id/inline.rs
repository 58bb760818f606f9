//! The text of an id that is made with every request: where it stands, without a heap.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes of an id of ours: a prefix of three letters, `_` and 32 digits.
pub(super) const BYTES: usize = 36;

/// Text of an id; one from outside may be of any length.
#[derive(Clone)]
pub(super) struct Inline(Held);

#[derive(Clone)]
enum Held {
    /// ASCII.
    Here([u8; BYTES]),
    Elsewhere(Arc<str>),
}

impl Inline {
    /// Of what was spelled here.
    pub(super) fn of(ascii: [u8; BYTES]) -> Self {
        debug_assert!(ascii.is_ascii());
        Self(Held::Here(ascii))
    }

    /// Without a look at each byte, as making a text of them takes.
    pub(super) fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Held::Here(ascii) => ascii,
            Held::Elsewhere(text) => text.as_bytes(),
        }
    }
}

impl Deref for Inline {
    type Target = str;

    fn deref(&self) -> &str {
        match &self.0 {
            Held::Here(ascii) => std::str::from_utf8(ascii).expect("a prefix of ASCII and hex"),
            Held::Elsewhere(text) => text,
        }
    }
}

impl From<&str> for Inline {
    fn from(text: &str) -> Self {
        match text.as_bytes().try_into() {
            Ok(same) if text.is_ascii() => Self(Held::Here(same)),
            _ => Self(Held::Elsewhere(text.into())),
        }
    }
}

impl From<String> for Inline {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl PartialEq for Inline {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Inline {}

impl PartialOrd for Inline {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Inline {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (**self).cmp(&**other)
    }
}

impl Hash for Inline {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Debug for Inline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl Serialize for Inline {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self)
    }
}

impl<'d> Deserialize<'d> for Inline {
    fn deserialize<D: Deserializer<'d>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_any_length_is_the_same_wherever_it_is_held() {
        let ours = "req_0192f0c1b2c37abc8def0123456789ab";
        assert_eq!(ours.len(), BYTES);
        for text in [ours, "", "req_1", &"é".repeat(BYTES / 2), &ours.repeat(4)] {
            let [held, owned] = [Inline::from(text), Inline::from(text.to_owned())];
            assert_eq!((&*held, &*held.clone()), (text, text));
            assert_eq!(held, owned);
            let json = serde_json::to_string(&held).expect("text");
            assert_eq!(json, serde_json::to_string(text).expect("text"));
            assert_eq!(serde_json::from_str::<Inline>(&json).expect("text"), held);
        }
        assert!(Inline::from("req_1") < Inline::from(ours) || Inline::from(ours) < Inline::from("req_1"));
        assert_eq!(Inline::from("a").cmp(&Inline::from(ours)), "a".cmp(ours));
    }
}
