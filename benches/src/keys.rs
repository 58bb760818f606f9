//! One key per algorithm family, ours and bare, over the same bytes.

use aws_lc_rs::signature::{self, UnparsedPublicKey};
use aws_lc_rs::{hmac, signature::ParsedPublicKey};
use doorward_protocols::jose::{Algorithm, SecretRule, SigningKey, sign_compact};
use serde_json::json;

pub(crate) const NOW_S: i64 = 1_800_000_000;

/// The algorithms that figures are promised for.
pub(crate) const ALGORITHMS: [Algorithm; 4] =
    [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

/// A key in the forms that the peers take.
pub(crate) struct Key {
    pub(crate) signing: SigningKey,
    pub(crate) stored: Vec<u8>,
}

/// A fresh key.
pub(crate) fn key(algorithm: Algorithm) -> Key {
    let (signing, stored) = SigningKey::generate(algorithm).expect("the provider generates");
    Key { signing: signing.with_kid(Some("sig_bench".into())), stored: stored.expose().to_vec() }
}

/// An access token as Doorward makes it.
pub(crate) fn token(key: &Key) -> String {
    let claims = json!({
        "iss": "doorward", "sub": "usr_01a3185c50007dbdb2ea07431b4790e9", "aud": "doorward",
        "exp": NOW_S + 3_600, "iat": NOW_S, "jti": "tok_01a3185c50007dbdb2ea07431b4790e9",
        "sid": "ses_01a3185c50007dbdb2ea07431b4790e9", "roles": ["user"],
    });
    sign_compact(&key.signing, "JWT", &claims).expect("signs")
}

/// The bare operation that verifies: parsed keys, ready signature bytes.
pub(crate) enum Bare {
    Hmac(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

impl Bare {
    pub(crate) fn of(key: &Key) -> Self {
        let public = |algorithm: &'static dyn signature::VerificationAlgorithm, bytes: &[u8]| {
            let parsed = UnparsedPublicKey::new(algorithm, bytes).parse();
            Self::Public(parsed.expect("our own public key"))
        };
        use aws_lc_rs::signature::KeyPair as _;
        match key.signing.algorithm() {
            Algorithm::HS256 => Self::Hmac(Box::new(hmac::Key::new(hmac::HMAC_SHA256, &key.stored))),
            Algorithm::RS256 => {
                let pair = signature::RsaKeyPair::from_pkcs8(&key.stored).expect("ours");
                public(&signature::RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref())
            }
            Algorithm::ES256 => {
                let form = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
                let pair = signature::EcdsaKeyPair::from_pkcs8(form, &key.stored).expect("ours");
                public(&signature::ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref())
            }
            _ => {
                let pair = signature::Ed25519KeyPair::from_pkcs8(&key.stored).expect("ours");
                public(&signature::ED25519, pair.public_key().as_ref())
            }
        }
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Hmac(key) => hmac::verify(key, message, signature).is_ok(),
            Self::Public(key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

/// An HMAC key from the same secret as another, for what needs a second copy.
pub(crate) fn hmac_copy(key: &Key) -> SigningKey {
    SigningKey::from_secret(&key.stored, Algorithm::HS256, None, SecretRule::Strict).expect("long enough")
}
