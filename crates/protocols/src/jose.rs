//! JOSE: signed tokens and their keys (RFC 7515 JWS, 7517 JWK, 7518 algorithms, 7519 JWT, 7638, 7797, 8037,
//! 8725).
//!
//! A key is bound to exactly one algorithm when it is read, so a token can never choose how it is verified;
//! keys are parsed once and kept parsed. Credentials go through [`verify::verify_token`] alone, which knows
//! only the compact form; the other forms of JWS live in [`jws_json`] and are reached by name.
//!
//! ```text
//!  PEM · secret · JWK · PKCS#8 ─► SigningKey ─► sign_compact
//!                               └► VerifyingKey ─► KeySet ─► verify_token ─► Verified { claims }
//! ```

pub mod alg;
pub mod claims;
mod der;
pub mod error;
pub mod header;
pub mod jwk;
pub mod jwks;
pub mod jws;
pub mod jws_json;
pub mod key;
pub mod key_set;
pub mod pem;
mod rsa;
pub mod secret;
pub mod signing;
pub mod verify;

pub use alg::Algorithm;
pub use claims::Claims;
pub use error::{KeyError, TokenError};
pub use header::{Header, HeaderError, HeaderPolicy};
pub use jwk::Jwk;
pub use jwks::JwkSet;
pub use jws::{Compact, sign_compact};
pub use key::{SecretRule, VerifyingKey};
pub use key_set::{KeySet, KeySetError};
pub use secret::SecretBytes;
pub use signing::SigningKey;
pub use verify::{Expect, Verified, claimed_issuer, verify_token};
