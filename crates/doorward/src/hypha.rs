//! What a mount that speaks Hypha has of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use doorward_core::secret::SecretText;
use doorward_core::tokens::Keys;
use doorward_protocols::jose::{Algorithm, KeyError, KeySet, SecretRule, SigningKey};

use crate::config::{Config, Mount, Problem, SurfaceKind};
use crate::secrets::{Weakness, weakness};

/// The variables that hold the secret, as Hypha knows them: the first that is set counts.
pub(crate) const VARIABLES: [&str; 2] = ["HYPHA_JWT_SECRET", "JWT_SECRET"];
/// Who servers that share a secret say made their tokens, unless `tokens.issuer` says otherwise. An address would differ from one to the
/// other.
pub(crate) const SHARED_ISSUER: &str = "doorward";
/// Whom their tokens are for.
pub(crate) const SHARED_AUDIENCE: &str = "hypha";
/// Life of a token that names none, in seconds (Hypha 0.21.137).
pub(crate) const TOKEN_LIFE_S: i64 = 3_600;
/// Longest life where the mount says nothing: that of Hypha's reconnection tokens, in seconds.
pub(crate) const LONGEST_LIFE_S: i64 = 172_800;

/// Whether a mount does.
pub(crate) fn speaks(mount: &Mount) -> bool {
    mount.surface == SurfaceKind::Hypha
}

/// A secret of the operator's that a mount's tokens are signed with: who else has it takes them, and is taken.
pub(crate) struct SharedSecret {
    /// Signs and verifies, with HS256.
    pub(crate) keys: Keys,
    /// Where it came from: a variable's name, or the mount's setting.
    pub(crate) origin: String,
    /// Why it could be guessed, if it could.
    pub(crate) weak: Option<Weakness>,
}

/// The secrets of the mounts that have one, by mount.
pub(crate) type SharedSecrets = BTreeMap<String, SharedSecret>;

/// Finds them: the mount's own, or else the environment's.
///
/// # Errors
/// What cannot be used, without the secret.
pub(crate) fn secrets(
    config: &Config,
    environment: &dyn Fn(&str) -> Option<String>,
    problems: &mut Vec<Problem>,
) -> SharedSecrets {
    let mut found = SharedSecrets::new();
    for mount in config.mounts.iter().filter(|mount| speaks(mount)) {
        let given = of_mount(mount).or_else(|| of_environment(environment));
        match given.map(|(origin, text)| shared(origin, &text)) {
            None => {}
            Some(Ok(secret)) => {
                found.insert(mount.name.clone(), secret);
            }
            Some(Err(problem)) => problems.push(problem),
        }
    }
    found
}

fn of_mount(mount: &Mount) -> Option<(String, SecretText)> {
    let setting = if mount.jwt_secret_file.is_some() { "jwt_secret_file" } else { "jwt_secret" };
    Some((format!("mounts.{}.{setting}", mount.name), mount.jwt_secret.clone()?))
}

/// A variable that is set to nothing is not set, as everywhere with these two.
fn of_environment(environment: &dyn Fn(&str) -> Option<String>) -> Option<(String, SecretText)> {
    VARIABLES.iter().find_map(|name| {
        let text = environment(name).filter(|text| !text.trim().is_empty())?;
        Some(((*name).to_owned(), SecretText::new(text)))
    })
}

fn shared(origin: String, text: &SecretText) -> Result<SharedSecret, Problem> {
    let secret = text.expose().as_bytes();
    let keys = || -> Result<Keys, KeyError> {
        let signer = SigningKey::from_secret(secret, Algorithm::HS256, None, SecretRule::Compat)?;
        let verify =
            KeySet::new([signer.verifying_key()]).map(Arc::new).expect("one key has no other of its id");
        Ok(Keys::Fixed { signer: Some(Arc::new(signer)), verify })
    };
    let keys = keys().map_err(|error| {
        let mend = "give a random text, such as: openssl rand -hex 32";
        Problem::of(origin.as_str(), format!("it cannot be used with HS256: {error}"), mend)
    })?;
    Ok(SharedSecret { keys, weak: weakness(secret, Algorithm::HS256.hash_bytes()), origin })
}

/// Longest life of a token made through the mount.
pub(crate) fn longest_life_s(mount: &Mount) -> i64 {
    mount.max_token_life_s.unwrap_or(LONGEST_LIFE_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hyphas_own_variable_counts_before_the_common_one() {
        let both = |name: &str| match name {
            "HYPHA_JWT_SECRET" => Some("own".to_owned()),
            "JWT_SECRET" => Some("common".to_owned()),
            _ => None,
        };
        let common = |name: &str| Some(if name == "JWT_SECRET" { "common" } else { " " }.to_owned());
        let of = |environment: &dyn Fn(&str) -> Option<String>| {
            of_environment(environment).map(|(origin, text)| (origin, text.expose().to_owned()))
        };
        assert_eq!(of(&both), Some(("HYPHA_JWT_SECRET".into(), "own".into())));
        assert_eq!(of(&common), Some(("JWT_SECRET".into(), "common".into())));
        assert_eq!(of(&|_| None), None);
    }

    #[test]
    fn a_secret_that_could_be_guessed_is_known_as_one() {
        let read = |text: &str| shared("JWT_SECRET".into(), &SecretText::from(text));
        let weak = |text: &str| read(text).is_ok_and(|secret| secret.weak.is_some());
        assert!(weak("your-secret-key") && weak("short-1x"));
        let strong = "c2f1b4d09e7a65830f4cd1e2a98b7766554c3b2a1f0e9d8c7b6a594837261504";
        assert!(read(strong).is_ok_and(|secret| secret.weak.is_none()));
        assert!(read("").is_err(), "no secret at all");
    }
}
