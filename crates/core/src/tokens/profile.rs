//! What a mount's tokens look like.

use std::sync::Arc;

use doorward_protocols::jose::{Expect, KeySet, SigningKey, TokenError, Verified, verify_token};

use super::keys::KeyRing;
use crate::error::{Error, Result, codes};

/// The keys of a profile.
#[derive(Clone)]
pub enum Keys {
    /// Ours: made, sealed and rotated by Doorward.
    Ring(Arc<KeyRing>),
    /// The operator's, from configuration: the first signs if its private half is there, all verify.
    Fixed {
        /// Signs, if there is a private half.
        signer: Option<Arc<SigningKey>>,
        /// Verifies.
        verify: Arc<KeySet>,
    },
}

impl Keys {
    /// The key that signs now.
    ///
    /// # Errors
    /// `bad_request` when only public halves are configured.
    pub fn signer(&self) -> Result<Arc<SigningKey>> {
        match self {
            Self::Ring(ring) => Ok(ring.signer()),
            Self::Fixed { signer: Some(signer), .. } => Ok(Arc::clone(signer)),
            Self::Fixed { signer: None, .. } => Err(Error::new(codes::CANNOT_SIGN)),
        }
    }

    /// The keys that verify now.
    #[must_use]
    pub fn verifying(&self) -> Arc<KeySet> {
        match self {
            Self::Ring(ring) => ring.verifying(),
            Self::Fixed { verify, .. } => Arc::clone(verify),
        }
    }
}

/// For [`RefreshRules::reuse_window_ms`].
pub const ALWAYS: i64 = i64::MAX;

/// How refresh tokens live (RFC 9700 §4.14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshRules {
    /// A refresh token stops working when unused for this long.
    pub ttl_ms: i64,
    /// The family ends after this long however often it is used.
    pub absolute_ms: i64,
    /// A repeat of the last exchange within this time gets the same successor; 0 switches that off, [`ALWAYS`] allows it for as long
    /// as nobody used the successor.
    pub reuse_window_ms: i64,
    /// A token that was overtaken by several exchanges gets the present one within this time of the last of them, as Supabase's clients
    /// expect; 0, as a rule, ends the family.
    pub overtaken_window_ms: i64,
    /// Whether each exchange replaces the token. Without it one token works until it expires, and answers name no
    /// successor; a stolen one is then only found when its session is ended.
    pub rotation: bool,
    /// What a refresh token looks like to the client.
    pub form: RefreshForm,
}

/// What a refresh token looks like to the client. Either way it is worth what its family is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshForm {
    /// An opaque text.
    Opaque,
    /// A JWT with `token_type: "refresh"`, for clients that look inside. Its `typ` keeps it from passing for an
    /// access token.
    Jwt,
}

impl Default for RefreshRules {
    /// 30 days sliding, 90 days at most, 10 seconds, rotating, opaque.
    fn default() -> Self {
        const DAY_MS: i64 = 86_400_000;
        Self {
            ttl_ms: 30 * DAY_MS,
            absolute_ms: 90 * DAY_MS,
            reuse_window_ms: 10_000,
            overtaken_window_ms: 0,
            rotation: true,
            form: RefreshForm::Opaque,
        }
    }
}

/// What tokens of a log-in say of the user, beside `roles`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PersonClaims {
    /// Nothing.
    Roles,
    /// The name, as `username`.
    Name,
    /// Address, metadata and the way of the log-in, as Supabase says them (`docs/surfaces/supabase.md`).
    Supabase,
}

/// What a mount's tokens look like.
#[derive(Clone)]
pub struct TokenProfile {
    /// Who vouches for the subjects of these tokens ([`crate::principal::Principal::authority`]).
    pub authority: Arc<str>,
    /// `iss`.
    pub issuer: Option<Arc<str>>,
    /// `aud`.
    pub audience: Option<Arc<str>>,
    /// The claim that names the subject: `sub`, or another beside it.
    pub identity_claim: Arc<str>,
    /// The header's `typ`: `at+jwt` (RFC 9068) for ours.
    pub typ: &'static str,
    /// Sign and verify.
    pub keys: Keys,
    /// Life of an access token, in seconds.
    pub access_ttl_s: i64,
    /// Longest life of a token made on request, in seconds.
    pub max_ttl_s: i64,
    /// Refresh tokens.
    pub refresh: RefreshRules,
    /// What tokens of a log-in say of the user.
    pub claims: PersonClaims,
}

/// How far the clocks of two of our own processes may differ. Expiry is exact all the same: it was promised.
const LEEWAY_S: i64 = 30;

/// What a token of our own has to say.
pub struct Wanted<'w> {
    /// `iss`; `None` where our tokens have none.
    pub issuer: Option<&'w [String]>,
    /// `aud`; `None` where our tokens have none.
    pub audience: Option<&'w [String]>,
    /// The header's `typ`.
    pub typ: &'w str,
}

/// Verifies a token that we made. Whether it was revoked is for the caller.
///
/// # Errors
/// The first check that fails.
pub fn verify_own(
    text: &str,
    keys: &KeySet,
    wanted: &Wanted<'_>,
    now_ms: i64,
) -> Result<Verified, TokenError> {
    let now_s = now_ms.div_euclid(1000);
    let expect = Expect {
        now_s,
        leeway_s: LEEWAY_S,
        issuer: wanted.issuer,
        audience: wanted.audience,
        types: &[wanted.typ],
        required: &["sub", "jti", "iat"],
        ..Expect::default()
    };
    let verified = verify_token(text, keys, &expect)?;
    match verified.claims.exp {
        Some(exp) if now_s >= exp => Err(TokenError::Expired),
        _ => Ok(verified),
    }
}

impl TokenProfile {
    /// Verifies a token that this profile made, of this `typ`.
    ///
    /// # Errors
    /// As [`verify_own`].
    pub fn verify(&self, typ: &str, text: &str, now_ms: i64) -> Result<Verified, TokenError> {
        let one = |text: &Option<Arc<str>>| text.as_deref().map(|text| vec![text.to_owned()]);
        let (issuer, audience) = (one(&self.issuer), one(&self.audience));
        let wanted = Wanted { issuer: issuer.as_deref(), audience: audience.as_deref(), typ };
        verify_own(text, &self.keys.verifying(), &wanted, now_ms)
    }
}
