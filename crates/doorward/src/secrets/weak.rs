//! Whether a shared secret could be guessed: samples from documents, words, patterns, and too few bytes.
//!
//! `serve` refuses a weak secret, `dev` warns. Anybody who guesses an HMAC secret can sign any token with it.

use std::fmt;

/// Why a secret is weak. Says nothing of the secret but its length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Weakness {
    /// It stands in documents and sample code.
    Sample,
    /// It is made of words that every guessing list begins with.
    Words,
    /// It repeats itself, counts, or uses very few different characters.
    Pattern,
    /// It has fewer bytes than the hash it keys (RFC 7518 §3.2).
    Short {
        /// How many it has.
        actual_bytes: usize,
        /// How many it needs.
        needed_bytes: usize,
    },
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sample => f.write_str("it is a sample from a document"),
            Self::Words => f.write_str("it is made of words that every guessing list begins with"),
            Self::Pattern => f.write_str("it repeats itself or follows a pattern"),
            Self::Short { actual_bytes, needed_bytes } => {
                write!(f, "it has {actual_bytes} bytes and needs {needed_bytes}")
            }
        }
    }
}

/// Phrases of documents and default configurations; letters and digits only, lower case.
const SAMPLES: &[&str] = &[
    "yoursecretkey",
    "yoursecret",
    "yoursupersecret",
    "yourjwtsecret",
    "your256bitsecret",
    "your384bitsecret",
    "your512bitsecret",
    "yourclientsecret",
    "yoursigningkey",
    "yourprivatekey",
    "asecurelygeneratedsecret",
    "supersecretjwttoken",
    "changeme",
    "changethis",
    "changeinproduction",
    "replaceme",
    "replacethis",
    "replacewith",
    "donotuseinproduction",
    "notforproduction",
    "insertyour",
    "putyour",
    "secrethere",
    "keyhere",
    "secretkeyshouldbe",
    "thisisasecret",
    "thisismysecret",
    "thisisnotasecret",
    "keyboardcat",
    "shhhhh",
    "correcthorsebatterystaple",
    "loremipsum",
    // FastAPI's tutorial.
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
];

/// Words that alone, or joined with each other and with digits, make no secret. Longer ones first.
const WORDS: &[&str] = &[
    "development",
    "production",
    "agentflow",
    "authentication",
    "doorward",
    "password",
    "passphrase",
    "insecure",
    "localhost",
    "signing",
    "default",
    "example",
    "private",
    "testing",
    "session",
    "langgraph",
    "supabase",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwerty",
    "letmein",
    "welcome",
    "dragon",
    "monkey",
    "secret",
    "server",
    "access",
    "sample",
    "string",
    "refresh",
    "passwd",
    "public",
    "staging",
    "random",
    "secure",
    "admin",
    "token",
    "hypha",
    "super",
    "local",
    "hmac",
    "hello",
    "world",
    "value",
    "muxi",
    "dummy",
    "debug",
    "auth",
    "test",
    "prod",
    "root",
    "pass",
    "user",
    "your",
    "demo",
    "temp",
    "code",
    "foobar",
    "jwt",
    "key",
    "dev",
    "app",
    "api",
    "foo",
    "bar",
    "baz",
    "top",
    "very",
    "the",
    "for",
    "and",
    "this",
    "not",
    "bit",
    "my",
    "is",
    "an",
    "a",
];

/// Letters that must remain when the words are gone.
const LEAST_REMAINING: usize = 8;
/// Different bytes a secret needs; hex of 16 random bytes has fewer only once in millions.
const LEAST_DIFFERENT: usize = 8;

/// Why `secret` is weak as an HMAC key whose hash has `needed_bytes`; `None` when nothing speaks against it.
#[must_use]
pub fn weakness(secret: &[u8], needed_bytes: usize) -> Option<Weakness> {
    let folded: String = secret
        .iter()
        .filter(|byte| byte.is_ascii_alphanumeric())
        .map(|byte| char::from(byte.to_ascii_lowercase()))
        .collect();
    if SAMPLES.iter().any(|sample| folded.contains(sample)) {
        return Some(Weakness::Sample);
    }
    if is_words(&folded, secret) {
        return Some(Weakness::Words);
    }
    if is_pattern(secret) {
        return Some(Weakness::Pattern);
    }
    (secret.len() < needed_bytes).then_some(Weakness::Short { actual_bytes: secret.len(), needed_bytes })
}

/// Whether little remains when known words and digits are taken out.
fn is_words(folded: &str, secret: &[u8]) -> bool {
    // Bytes outside letters and digits are mostly separators; a binary secret has many and is not words.
    if secret.len() > 2 * folded.len() {
        return false;
    }
    let mut remaining = folded.to_owned();
    let mut found = false;
    for word in WORDS.iter().filter(|word| word.len() > 2) {
        if remaining.contains(word) {
            found = true;
            remaining = remaining.replace(word, " ");
        }
    }
    let letters: usize = remaining
        .split(|c: char| !c.is_ascii_lowercase())
        .filter(|piece| !WORDS.contains(piece))
        .map(str::len)
        .sum();
    let digits = remaining.bytes().filter(u8::is_ascii_digit).count();
    found && letters + digits / 2 < LEAST_REMAINING
}

/// Whether the bytes repeat with a short period, count up or down, or hardly differ.
fn is_pattern(secret: &[u8]) -> bool {
    if secret.is_empty() {
        return false;
    }
    let different = secret.iter().collect::<std::collections::BTreeSet<_>>().len();
    if different < LEAST_DIFFERENT.min(secret.len()) {
        return true;
    }
    let repeats =
        (1..=secret.len() / 2).any(|period| secret[period..].iter().eq(&secret[..secret.len() - period]));
    let steps = secret.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) <= 1).count();
    repeats || (secret.len() > 3 && steps * 4 >= (secret.len() - 1) * 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(secret: &str) -> Option<Weakness> {
        weakness(secret.as_bytes(), 32)
    }

    #[test]
    fn samples_of_documents_are_known_in_every_dress() {
        for sample in [
            "your-secret-key",
            "YOUR_SECRET_KEY",
            "your-super-secret-key-change-in-production",
            "your-256-bit-secret",
            "super-secret-jwt-token-with-at-least-32-characters-long",
            "a-string-secret-at-least-256-bits-long-changeme",
            "changeme",
            "please-replace-me-with-something-long-and-random",
            "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
        ] {
            assert_eq!(judged(sample), Some(Weakness::Sample), "{sample}");
        }
    }

    #[test]
    fn words_alone_are_no_secret_however_many() {
        for words in [
            "secret",
            "test-secret",
            "my-jwt-secret-key",
            "password123",
            "development-secret-key-2026",
            "supersecretsupersecretsupersecret",
        ] {
            assert_eq!(judged(words), Some(Weakness::Words), "{words}");
        }
    }

    #[test]
    fn patterns_are_no_secret_however_long() {
        for pattern in [
            "a".repeat(64),
            "ab".repeat(32),
            "0123456789abcdef".repeat(4),
            "0123456789".to_owned() + "abcdefghijklmnopqrstuvwxyz",
            "xK9#".repeat(16),
        ] {
            assert_eq!(judged(&pattern), Some(Weakness::Pattern), "{pattern}");
        }
        assert_eq!(weakness(&[0; 32], 32), Some(Weakness::Pattern));
    }

    #[test]
    fn a_short_secret_says_how_many_bytes_it_needs() {
        assert_eq!(judged("kT8#vQ2!zR5"), Some(Weakness::Short { actual_bytes: 11, needed_bytes: 32 }));
        assert_eq!(judged(""), Some(Weakness::Short { actual_bytes: 0, needed_bytes: 32 }));
    }

    #[test]
    fn random_secrets_pass_in_every_usual_encoding() {
        for secret in [
            "Zx3vN7qKfP0sWm4tYbL9uRcHgE2jAo6dVi8nXkTlQy5w",
            "8f14e45fceea167a5a36dedd4bea2543c9f0f895fb98ab9159f51fd0297e236d",
            "dGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyIGl0",
            "compat-suite-secret-0123456789-abcdefghijklmnop",
            "b3e1a9c07d5f42868c1e0b7a9d3f5c21",
        ] {
            assert_eq!(judged(secret), None, "{secret}");
        }
        let binary: Vec<u8> = (0_u8..32).map(|n| n.wrapping_mul(97).wrapping_add(13)).collect();
        assert_eq!(weakness(&binary, 32), None);
    }
}
