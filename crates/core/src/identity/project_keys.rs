//! The keys that clients name a mount by: Supabase's *anon* and *service* key.
//!
//! They are JWTs as Supabase makes them, because clients look inside, and are derived from a secret of the store, so that nothing is kept
//! and the command line can show them at any time. They are compared as whole texts and never parsed. The anon key is public by
//! design and says nothing of who somebody is; the service key is a program of the operator's, which administers accounts.

use aws_lc_rs::hmac;
use doorward_protocols::jose::{Algorithm, SecretRule, SigningKey, sign_compact};
use serde_json::json;

use crate::error::{Error, Result, codes};
use crate::secret::SecretText;

/// When every key says that it was made and that it ends, in seconds: the first second of 2026 and of 2100. Being derived, they have no
/// time of their own.
const MADE_S: i64 = 1_767_225_600;
const ENDS_S: i64 = 4_102_444_800;

/// What a key says its holder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProjectRole {
    /// A client of strangers.
    Anon,
    /// A server of the operator's.
    Service,
}

/// The keys of a mount.
pub struct ProjectKeys {
    /// For clients.
    pub anon: SecretText,
    /// For servers.
    pub service: SecretText,
}

impl ProjectKeys {
    /// A service key of another version is another key: whoever had the one before has nothing.
    pub(crate) fn derive(key: &hmac::Key, mount: &str, service_version: u32) -> Result<Self> {
        let secret = |version: u32| {
            let mut context = hmac::Context::with_key(key);
            context.update(b"doorward project key v1");
            context.update(mount.as_bytes());
            if version > 1 {
                // A mount's name has no NUL.
                context.update(&[0]);
                context.update(&version.to_be_bytes());
            }
            context.sign()
        };
        let failed = |error| Error::new(codes::INTERNAL).caused_by(error);
        let make = |role: &str, version: u32| {
            let signer =
                SigningKey::from_secret(secret(version).as_ref(), Algorithm::HS256, None, SecretRule::Strict);
            let signer = signer.map_err(failed)?;
            let claims =
                json!({ "iss": "supabase", "ref": mount, "role": role, "iat": MADE_S, "exp": ENDS_S });
            sign_compact(&signer, "JWT", &claims).map(SecretText::new).map_err(failed)
        };
        Ok(Self { anon: make("anon", 1)?, service: make("service_role", service_version)? })
    }

    /// Whose key this is. Both are compared, in time that depends on lengths alone.
    #[must_use]
    pub fn role_of(&self, text: &str) -> Option<ProjectRole> {
        let (anon, service) = (self.anon.matches(text.as_bytes()), self.service.matches(text.as_bytes()));
        match (anon, service) {
            (true, _) => Some(ProjectRole::Anon),
            (_, true) => Some(ProjectRole::Service),
            (false, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_same_each_time_and_of_one_mount_and_store() {
        let (key, other) = ([1; 32], [2; 32]);
        let of = |secret: &[u8; 32], mount| {
            ProjectKeys::derive(&hmac::Key::new(hmac::HMAC_SHA256, secret), mount, 1).expect("derived")
        };
        let mine = of(&key, "supabase");
        let newer =
            ProjectKeys::derive(&hmac::Key::new(hmac::HMAC_SHA256, &key), "supabase", 2).expect("derived");
        assert_eq!(newer.role_of(mine.anon.expose()), Some(ProjectRole::Anon), "clients keep theirs");
        assert_eq!(newer.role_of(mine.service.expose()), None, "a version that is over");
        assert_eq!(newer.role_of(newer.service.expose()), Some(ProjectRole::Service));
        assert_eq!(mine.role_of(of(&key, "supabase").anon.expose()), Some(ProjectRole::Anon));
        assert_eq!(mine.role_of(of(&key, "supabase").service.expose()), Some(ProjectRole::Service));
        for (name, foreign) in [
            ("another mount", of(&key, "other").anon.expose().clone()),
            ("another store", of(&other, "supabase").service.expose().clone()),
            ("cut short", mine.anon.expose()[1..].to_owned()),
            ("nothing", String::new()),
        ] {
            assert_eq!(mine.role_of(&foreign), None, "{name}");
        }
    }
}
