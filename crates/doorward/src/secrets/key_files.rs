//! Signing keys in files of the operator's own: PEM, a JWK, a JWK set, or a bare secret.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use doorward_core::tokens::Keys;
use doorward_protocols::jose::{
    Algorithm, Jwk, JwkSet, KeyError, KeySet, SecretRule, SigningKey, VerifyingKey,
};
use zeroize::Zeroizing;

use crate::cli::Failure;

/// Largest file that is read.
const MAX_BYTES: u64 = 256 << 10;

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
pub fn read(files: &[PathBuf], algorithm: Algorithm) -> Result<Keys, Failure> {
    let mut found = Vec::new();
    for file in files {
        let refused = |why: String| {
            let mend =
                "give PEM, a JWK, a JWK set or a secret for tokens.algorithm, readable by Doorward alone";
            Failure::refused(format!("tokens.key_files: {}: {why}", file.display()), mend)
        };
        let text = content(file).map_err(|error| refused(error.to_string()))?;
        let name = file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        found.extend(keys_of(&text, algorithm, name).map_err(|error| refused(error.to_string()))?);
    }
    let verify = KeySet::new(found.iter().map(|key| match key {
        Found::Signs(key) => key.verifying_key(),
        Found::Verifies(key) => key.clone(),
    }))
    .map_err(|error| {
        Failure::refused(format!("tokens.key_files: {error}"), "give each key an id of its own")
    })?;
    let signer = match found.into_iter().next() {
        Some(Found::Signs(key)) => Some(Arc::new(key)),
        _ => {
            return Err(Failure::refused(
                "tokens.key_files: the first key has no private half, so nothing could be signed",
                "put the file with the private key first",
            ));
        }
    };
    Ok(Keys::Fixed { signer, verify: Arc::new(verify) })
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
    match SigningKey::from_pem(trimmed, algorithm, name.clone()) {
        Ok(key) => Ok(vec![Found::Signs(key)]),
        Err(KeyError::NotPrivate) => {
            Ok(vec![Found::Verifies(VerifyingKey::from_pem(trimmed, algorithm, name)?)])
        }
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
