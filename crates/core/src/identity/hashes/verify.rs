//! Whether a password is the one that a hash was made of.

use std::num::NonZeroU32;

use argon2::Argon2;
use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::pbkdf2;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{Argon2Hash, ForeignHash, Kind, OUTPUT, Prf, SaltPlace};

/// As much of a password as bcrypt looks at.
const BCRYPT_BYTES: usize = 72;

impl ForeignHash {
    /// Whether the hash was made of `password`, as it was typed: nobody else's system knows of our normal form. Takes as long as the hash
    /// costs, so it belongs into the hashing pool.
    pub(crate) fn matches(&self, password: &[u8]) -> bool {
        // bcrypt ends at a zero byte and HMAC pads with them: to both, a password with some behind it is the one without.
        self.made_of(password) & !password.contains(&0)
    }

    fn made_of(&self, password: &[u8]) -> bool {
        match &self.0 {
            Kind::Argon2(hash) => argon2_matches(hash, password),
            Kind::Bcrypt { cost, salt, output } => {
                // Its beginning, and behind it a zero byte if there is room for one.
                let taken = password.len().min(BCRYPT_BYTES);
                let mut cut = Zeroizing::new([0; BCRYPT_BYTES]);
                cut[..taken].copy_from_slice(&password[..taken]);
                let whole = &cut[..(taken + 1).min(BCRYPT_BYTES)];
                let made = Zeroizing::new(bcrypt::bcrypt(*cost, *salt, whole));
                bool::from(made[..output.len()].ct_eq(output))
            }
            Kind::Scrypt { log_n, r, p, salt, output } => {
                let Ok(params) = scrypt::Params::new(*log_n, *r, *p) else { return false };
                let mut made = Zeroizing::new(vec![0; output.len()]);
                scrypt::scrypt(password, salt, &params, &mut made).is_ok() && bool::from(made.ct_eq(output))
            }
            Kind::Pbkdf2 { prf, rounds, salt, output } => {
                let algorithm = match prf {
                    Prf::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
                    Prf::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
                    Prf::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
                };
                let Some(rounds) = NonZeroU32::new(*rounds) else { return false };
                pbkdf2::verify(algorithm, rounds, salt, password, output).is_ok()
            }
            Kind::Sha256 { place, salt, output } => {
                bool::from(salted(password, salt, *place).as_ref().ct_eq(output))
            }
            Kind::Under { place, salt, over } => {
                argon2_matches(over, salted(password, salt, *place).as_ref())
            }
        }
    }
}

fn argon2_matches(hash: &Argon2Hash, password: &[u8]) -> bool {
    debug_assert!(OUTPUT.contains(&hash.output.len()), "the reader bounds it");
    let argon2 = Argon2::new(hash.algorithm, hash.version, hash.params.clone());
    let mut made = Zeroizing::new(vec![0; hash.output.len()]);
    argon2.hash_password_into(password, &hash.salt, &mut made).is_ok() && bool::from(made.ct_eq(&hash.output))
}

fn salted(password: &[u8], salt: &[u8], place: SaltPlace) -> impl AsRef<[u8]> {
    let mut context = Context::new(&SHA256);
    let (first, second) = match place {
        SaltPlace::Before => (salt, password),
        SaltPlace::Behind => (password, salt),
    };
    context.update(first);
    context.update(second);
    context.finish()
}
