//! The keys that a verifier trusts, and which of them answers to a header.

use std::collections::HashMap;
use std::sync::Arc;

use super::error::TokenError;
use super::header::Header;
use super::key::VerifyingKey;

/// Most keys without an id: each could cost a signature check per token.
pub const MAX_KEYS_WITHOUT_KID: usize = 16;

/// So few keys are searched one by one.
const FEW: usize = 8;

/// Why keys do not make a set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Two keys have the same id.
    #[error("two keys share the kid {0:?}")]
    DuplicateKid(String),
    /// More than 16 keys without an id.
    #[error("more than {MAX_KEYS_WITHOUT_KID} keys without a kid")]
    TooManyWithoutKid,
}

/// Verifying keys by id, and those without one, newest first.
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    by_kid: HashMap<String, Arc<VerifyingKey>>,
    /// The keys of `by_kid` once more, if they are few.
    few: Vec<Arc<VerifyingKey>>,
    without_kid: Vec<Arc<VerifyingKey>>,
}

/// The keys to try for one token.
pub(super) enum Candidates<'a> {
    One(&'a Arc<VerifyingKey>),
    Several(&'a [Arc<VerifyingKey>]),
}

impl KeySet {
    /// A set of keys, newest first.
    ///
    /// # Errors
    /// [`KeySetError`].
    pub fn new(keys: impl IntoIterator<Item = VerifyingKey>) -> Result<Self, KeySetError> {
        let mut set = Self::default();
        for key in keys.into_iter().map(Arc::new) {
            match key.kid().map(str::to_owned) {
                None if set.without_kid.len() == MAX_KEYS_WITHOUT_KID => {
                    return Err(KeySetError::TooManyWithoutKid);
                }
                None => set.without_kid.push(key),
                Some(kid) if set.by_kid.contains_key(&kid) => return Err(KeySetError::DuplicateKid(kid)),
                Some(kid) => {
                    set.by_kid.insert(kid, key);
                }
            }
        }
        if set.by_kid.len() <= FEW {
            set.few = set.by_kid.values().cloned().collect();
        }
        Ok(set)
    }

    /// Whether there is no key at all.
    pub fn is_empty(&self) -> bool {
        self.by_kid.is_empty() && self.without_kid.is_empty()
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.by_kid.len() + self.without_kid.len()
    }

    /// The key with this id.
    pub fn get(&self, kid: &str) -> Option<&Arc<VerifyingKey>> {
        // A ring holds two or three keys: comparing them costs less than hashing a stranger's text.
        if self.few.is_empty() {
            self.by_kid.get(kid)
        } else {
            self.few.iter().find(|key| key.kid() == Some(kid))
        }
    }

    /// Every key, in no particular order but that keys without an id come last, newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<VerifyingKey>> {
        self.by_kid.values().chain(&self.without_kid)
    }

    /// A known `kid` selects its key alone. An unknown or absent one selects the keys without an id, whose
    /// owner never named them; they are still held to their algorithm.
    pub(super) fn candidates(&self, header: &Header<'_>) -> Result<Candidates<'_>, TokenError> {
        match header.kid.as_deref().and_then(|kid| self.get(kid)) {
            Some(key) => Ok(Candidates::One(key)),
            None if self.without_kid.is_empty() => Err(TokenError::UnknownKey),
            None => Ok(Candidates::Several(&self.without_kid)),
        }
    }
}
