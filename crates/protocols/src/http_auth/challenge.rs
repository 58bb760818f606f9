//! Building `WWW-Authenticate` values (RFC 9110 §11.6.1).

use super::is_token_byte;

/// A challenge under construction: a scheme and its parameters, in order.
///
/// ```
/// use doorward_protocols::http_auth::Challenge;
/// let value = Challenge::new("Bearer").param("realm", "a \"b\"").param("error", "invalid_token").build();
/// assert_eq!(value, r#"Bearer realm="a \"b\"", error="invalid_token""#);
/// ```
#[derive(Debug, Clone)]
pub struct Challenge {
    text: String,
    empty: bool,
}

impl Challenge {
    /// Starts a challenge of a scheme, which the code names, never a client.
    pub fn new(scheme: &'static str) -> Self {
        debug_assert!(scheme.bytes().all(is_token_byte));
        Self { text: scheme.to_owned(), empty: true }
    }

    /// Adds a parameter as a quoted string (RFC 9110 §5.6.4). Quotes and backslashes are escaped; whatever may
    /// not stand in a header at all (controls, non-ASCII) becomes `?`, so that a value can never end the
    /// header.
    #[must_use]
    pub fn param(mut self, name: &'static str, value: &str) -> Self {
        debug_assert!(name.bytes().all(is_token_byte));
        self.text.push_str(if self.empty { " " } else { ", " });
        self.empty = false;
        self.text.push_str(name);
        self.text.push_str("=\"");
        for character in value.chars() {
            match character {
                '"' | '\\' => self.text.extend(['\\', character]),
                ' '..='~' => self.text.push(character),
                _ => self.text.push('?'),
            }
        }
        self.text.push('"');
        self
    }

    /// The header value.
    pub fn build(self) -> String {
        self.text
    }
}
