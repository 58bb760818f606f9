//! Signing keys in files of the operator's own: PEM, a JWK, a JWK set, or a bare secret.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use doorward_core::tokens::Keys;
use doorward_protocols::encoding::base64url_decode;
use doorward_protocols::jose::{
    Algorithm, Jwk, JwkSet, KeyError, KeySet, SecretRule, SigningKey, VerifyingKey,
};
use doorward_protocols::json::{self, Limits};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{Weakness, weakness};
use crate::config::Problem;

/// Largest file that is read.
const MAX_BYTES: u64 = 256 << 10;
const JWK_LIMITS: Limits = Limits { max_bytes: MAX_BYTES as usize, max_depth: Limits::DEEPEST };

/// A key as far as the file holds it.
enum Found {
    Signs(SigningKey),
    Verifies(VerifyingKey),
}

/// Reads the files, newest first: the first key of the first file signs, all verify. A key without an id of its own is
/// called by its file's name.
///
/// # Errors
/// Which file cannot be used and why; a first key that cannot sign; two keys of one id.
pub fn read(files: &[PathBuf], algorithm: Algorithm) -> Result<Keys, Problem> {
    let mut found = Vec::new();
    for file in files {
        let refused = |why: String| {
            let mend =
                "give PEM, a JWK, a JWK set or a secret for tokens.algorithm, readable by Doorward alone";
            Problem::of("tokens.key_files", format!("{}: {why}", file.display()), mend)
        };
        let text = content(file).map_err(|error| refused(error.to_string()))?;
        let name = file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        found.extend(keys_of(&text, algorithm, name).map_err(|error| refused(error.to_string()))?);
    }
    let verify = KeySet::new(found.iter().map(|key| match key {
        Found::Signs(key) => key.verifying_key(),
        Found::Verifies(key) => key.clone(),
    }))
    .map_err(|error| Problem::of("tokens.key_files", error.to_string(), "give each key an id of its own"))?;
    let signer = match found.into_iter().next() {
        Some(Found::Signs(key)) => Some(Arc::new(key)),
        _ => {
            return Err(Problem::of(
                "tokens.key_files",
                "the first key has no private half, so nothing could be signed",
                "put the file with the private key first",
            ));
        }
    };
    Ok(Keys::Fixed { signer, verify: Arc::new(verify) })
}

/// Why the shared secrets in a file are weak: the file as a whole, or each symmetric JWK in it. What cannot be read or is
/// no key is for [`read`] to refuse.
#[must_use]
pub fn weaknesses(file: &Path, algorithm: Algorithm) -> Vec<Weakness> {
    let Ok(text) = content(file) else { return Vec::new() };
    let trimmed = text.trim();
    if !trimmed.starts_with('{') {
        let symmetric = algorithm.is_symmetric();
        return symmetric
            .then(|| weakness(trimmed.as_bytes(), algorithm.hash_bytes()))
            .flatten()
            .into_iter()
            .collect();
    }
    let Ok(document) = json::parse(trimmed.as_bytes(), JWK_LIMITS) else { return Vec::new() };
    let several = document.get("keys").and_then(Value::as_array);
    let keys = several.map_or(std::slice::from_ref(&document), Vec::as_slice);
    let secrets = keys.iter().filter_map(|key| key.get("k").and_then(Value::as_str));
    let secrets = secrets.filter_map(|text| base64url_decode(text.as_bytes()).ok().map(Zeroizing::new));
    // Whether it is long enough depends on the key's own algorithm and is judged where the key is made.
    secrets.filter_map(|secret| weakness(&secret, 0)).collect()
}

fn content(file: &Path) -> std::io::Result<Zeroizing<String>> {
    if std::fs::metadata(file)?.len() > MAX_BYTES {
        return Err(std::io::Error::other("it is too large to be a key"));
    }
    std::fs::read_to_string(file).map(Zeroizing::new)
}

fn keys_of(text: &str, algorithm: Algorithm, name: Option<String>) -> Result<Vec<Found>, KeyError> {
    let trimmed = text.trim();
    if trimmed.starts_with('{') {
        if let Ok(set) = JwkSet::parse(trimmed.as_bytes()) {
            return set.keys().iter().map(|jwk| of_jwk(jwk, algorithm, None)).collect();
        }
        return Ok(vec![of_jwk(&Jwk::parse(trimmed.as_bytes())?, algorithm, name)?]);
    }
    if algorithm.is_symmetric() {
        let key = SigningKey::from_secret(trimmed.as_bytes(), algorithm, name, SecretRule::Strict)?;
        return Ok(vec![Found::Signs(key)]);
    }
    // A key of another kind than the configured one is what a change of algorithm leaves behind.
    let others = [Algorithm::ES256, Algorithm::ES384, Algorithm::ES512, Algorithm::EdDSA, Algorithm::RS256];
    let first = of_pem(trimmed, algorithm, name.clone());
    let found = others.into_iter().fold(first, |found, other| match found {
        Err(KeyError::WrongKeyForAlgorithm(_)) => of_pem(trimmed, other, name.clone()),
        known => known,
    });
    found.map(|key| vec![key])
}

fn of_pem(text: &str, algorithm: Algorithm, name: Option<String>) -> Result<Found, KeyError> {
    match SigningKey::from_pem(text, algorithm, name.clone()) {
        Ok(key) => Ok(Found::Signs(key)),
        Err(KeyError::NotPrivate) => VerifyingKey::from_pem(text, algorithm, name).map(Found::Verifies),
        Err(error) => Err(error),
    }
}

/// A JWK says its own algorithm, or else the configuration does.
fn of_jwk(jwk: &Jwk, algorithm: Algorithm, name: Option<String>) -> Result<Found, KeyError> {
    let algorithm = jwk.algorithm()?.unwrap_or(algorithm);
    let named = |kid: Option<&str>| kid.map(str::to_owned).or(name);
    match SigningKey::from_jwk_as(jwk, algorithm) {
        Ok(key) => {
            let kid = named(key.kid());
            Ok(Found::Signs(key.with_kid(kid)))
        }
        Err(KeyError::NotPrivate) => {
            let key = VerifyingKey::from_jwk_as(jwk, algorithm)?;
            let kid = named(key.kid());
            Ok(Found::Verifies(key.with_kid(kid)))
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kids(keys: &Keys) -> Vec<String> {
        let mut kids: Vec<_> =
            keys.verifying().iter().filter_map(|key| key.kid().map(str::to_owned)).collect();
        kids.sort();
        kids
    }

    fn write(home: &Path, name: &str, text: &str) -> PathBuf {
        let path = home.join(name);
        std::fs::write(&path, text).expect("written");
        path
    }

    #[test]
    fn every_kind_of_file_is_read_and_the_first_signs() {
        let home = tempfile::tempdir().expect("a directory");
        let pair = rcgen::KeyPair::generate().expect("an ES256 key");
        let private = write(home.path(), "new.pem", &pair.serialize_pem());
        let public = write(home.path(), "old.pem", &pair.public_key_pem());
        let jwk = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"set-1","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;
        let set = write(home.path(), "set.json", jwk);
        let keys = read(&[private.clone(), public.clone(), set], Algorithm::ES256).expect("good files");
        assert_eq!(kids(&keys), ["new", "old", "set-1"]);
        assert_eq!(keys.signer().expect("the first is private").kid(), Some("new"));
        assert!(read(&[public, private], Algorithm::ES256).is_err(), "a public key cannot sign");
        let secret = write(home.path(), "hmac.txt", "0123456789abcdef0123456789abcdef0123456789abcdef\n");
        assert_eq!(kids(&read(&[secret], Algorithm::HS256).expect("a secret")), ["hmac"]);
    }

    #[test]
    fn a_weak_shared_secret_is_found_in_every_kind_of_file() {
        let home = tempfile::tempdir().expect("a directory");
        let sample = "change-me-change-me-change-me-change-me-1";
        let encoded = doorward_protocols::encoding::base64url_encode(sample.as_bytes());
        let jwk = format!(r#"{{"kty":"oct","alg":"HS256","k":"{encoded}"}}"#);
        for (name, text, weak) in [
            ("bare", sample.to_owned(), 1),
            ("pattern", "a".repeat(40), 1),
            ("jwk", jwk.clone(), 1),
            ("set", format!(r#"{{"keys":[{jwk}]}}"#), 1),
            ("good", "Zx3vN7qKfP0sWm4tYbL9uRcHgE2jAo6dVi8nXkTlQy5w".to_owned(), 0),
        ] {
            let path = write(home.path(), name, &text);
            assert_eq!(weaknesses(&path, Algorithm::HS256).len(), weak, "{name}");
        }
        let pem = write(home.path(), "pem", "-----BEGIN PRIVATE KEY-----");
        assert!(weaknesses(&pem, Algorithm::ES256).is_empty(), "no shared secret");
    }

    #[test]
    fn what_cannot_be_a_key_names_its_file() {
        let home = tempfile::tempdir().expect("a directory");
        for (name, text, algorithm) in [
            ("absent.pem", None, Algorithm::ES256),
            ("empty.pem", Some(""), Algorithm::ES256),
            ("text.pem", Some("no key"), Algorithm::ES256),
            ("short.txt", Some("short"), Algorithm::HS256),
            ("bad.json", Some("{\"kty\":\"EC\"}"), Algorithm::ES256),
        ] {
            let path = text.map_or(home.path().join(name), |text| write(home.path(), name, text));
            let error = read(&[path], algorithm).err().expect("refused").to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
