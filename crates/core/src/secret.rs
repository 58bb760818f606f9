//! Secret bytes and texts that cannot be printed, serialised or compared with `==`.

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// A value that must not leak: no `Debug`, `Display` or `Serialize`; wiped when dropped.
pub struct Secret<T: Zeroize>(T);

/// Secret text, such as a password or a presented token.
pub type SecretText = Secret<String>;
/// Secret bytes, such as key material.
pub type SecretBytes = Secret<Vec<u8>>;

impl<T: Zeroize> Secret<T> {
    /// Takes ownership of the secret.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// Shows the secret to the one place that needs it. Call sites are easy to find by this name.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize + AsRef<[u8]>> Secret<T> {
    /// Compares in time that depends on the lengths alone.
    pub fn matches(&self, other: &[u8]) -> bool {
        self.0.as_ref().ct_eq(other).into()
    }
}

impl<T: Zeroize + Clone> Clone for Secret<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl From<&str> for SecretText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl<'de> serde::Deserialize<'de> for SecretText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}
