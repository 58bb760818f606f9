//! Password hashes that other systems made: read when accounts are imported, verified until their owner's first log-in.
//!
//! ```text
//! import:  text ─ read ─► ForeignHash ─ Hashing::keep ─► "imported:" + its one spelling, in the place of our own hash
//! log-in:  "imported:…" ─ read ─► ForeignHash ─ matches ─► right: our own argon2id takes its place, with the session
//! ```
//!
//! What a hash costs is judged by [`ForeignHash::read`], so a hostile one is refused where it comes in: nobody's log-in can be made to
//! take minutes or gigabytes by what a file said. A single SHA-256 is never kept as it is: [`ForeignHash::under`] puts it under argon2id,
//! so that whoever takes the store finds nothing that is cheap to guess.

mod read;
mod verify;

#[cfg(test)]
mod tests;

pub use read::hex;

use std::fmt;

use argon2::{Algorithm, Params, Version};
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::error::{Code, Error, codes};
use crate::secret::SecretBytes;

/// What a stored hash of another system begins with; our own have nothing before them.
pub(crate) const IMPORTED: &str = "imported:";

/// Bounds of what a hash may cost, per check.
pub mod cost {
    /// bcrypt: from what the format allows to about a second.
    pub const BCRYPT: std::ops::RangeInclusive<u32> = 4..=14;
    /// Memory of argon2 and scrypt, in KiB.
    pub const MEMORY_KIB: u64 = 131_072;
    /// argon2: memory in KiB times passes.
    pub const ARGON2_WORK: u64 = 524_288;
    /// argon2: lanes.
    pub const ARGON2_LANES: u32 = 16;
    /// scrypt: the binary logarithm of N, at least. Below it is not a password hash but a toy.
    pub const SCRYPT_LOG_N: u8 = 10;
    /// scrypt: N · r · p.
    pub const SCRYPT_WORK: u64 = 1 << 22;
    /// PBKDF2: rounds (at least those of NIST SP 800-132 §5.2).
    pub const PBKDF2_ROUNDS: std::ops::RangeInclusive<u32> = 1_000..=2_000_000;
    /// PBKDF2: rounds times blocks of output.
    pub const PBKDF2_WORK: u64 = 4_000_000;
}

/// Longest text of a hash that is looked at.
const MAX_TEXT: usize = 1_024;
/// Longest salt.
const MAX_SALT: usize = 256;
/// How long what comes out may be.
const OUTPUT: std::ops::RangeInclusive<usize> = 16..=64;

/// Base64 as the many writers of hashes spell it: with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// bcrypt's own alphabet; some writers leave the spare bits of a salt as they came.
const BCRYPT64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::BCRYPT,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// Why a hash is not taken. Never holds any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashFault {
    /// Of a kind that is not known here.
    Unsupported,
    /// Of a known kind, but not as that kind is spelled.
    Malformed,
    /// It would take too long or too much memory to check.
    TooCostly,
    /// It would take too little: who has the hash has the password.
    TooWeak,
}

impl HashFault {
    /// The fault in the table of error codes.
    #[must_use]
    pub fn code(self) -> &'static Code {
        match self {
            Self::Unsupported => codes::HASH_UNSUPPORTED,
            Self::Malformed => codes::HASH_MALFORMED,
            Self::TooCostly => codes::HASH_TOO_COSTLY,
            Self::TooWeak => codes::HASH_TOO_WEAK,
        }
    }
}

impl From<HashFault> for Error {
    fn from(fault: HashFault) -> Self {
        Self::new(fault.code())
    }
}

/// Where a salt stands beside a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaltPlace {
    /// Before it.
    Before,
    /// Behind it.
    Behind,
}

/// The function inside PBKDF2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prf {
    /// HMAC-SHA-1.
    Sha1,
    /// HMAC-SHA-256.
    Sha256,
    /// HMAC-SHA-512.
    Sha512,
}

#[derive(Clone)]
struct Argon2Hash {
    algorithm: Algorithm,
    version: Version,
    params: Params,
    salt: Vec<u8>,
    output: Vec<u8>,
}

#[derive(Clone)]
enum Kind {
    Argon2(Argon2Hash),
    Bcrypt {
        cost: u32,
        salt: [u8; 16],
        output: [u8; 23],
    },
    Scrypt {
        log_n: u8,
        r: u32,
        p: u32,
        salt: Vec<u8>,
        output: Vec<u8>,
    },
    Pbkdf2 {
        prf: Prf,
        rounds: u32,
        salt: Vec<u8>,
        output: Vec<u8>,
    },
    /// A single SHA-256 over password and salt, as it comes: it is put under argon2id before it is kept.
    Sha256 {
        place: SaltPlace,
        salt: Vec<u8>,
        output: Vec<u8>,
    },
    /// argon2id over such a SHA-256.
    Under {
        place: SaltPlace,
        salt: Vec<u8>,
        over: Argon2Hash,
    },
}

/// A password hash that another system made, within the bounds of [`cost`].
#[derive(Clone)]
pub struct ForeignHash(Kind);

/// Says the kind, never the hash.
impl fmt::Debug for ForeignHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.0 {
            Kind::Argon2(_) => "argon2",
            Kind::Bcrypt { .. } => "bcrypt",
            Kind::Scrypt { .. } => "scrypt",
            Kind::Pbkdf2 { .. } => "pbkdf2",
            Kind::Sha256 { .. } => "sha256",
            Kind::Under { .. } => "sha256 under argon2id",
        };
        write!(f, "ForeignHash({kind})")
    }
}

impl ForeignHash {
    /// Whether checking it takes argon2id of ours already, so that nothing has to be added to take as long.
    pub(crate) fn costs_like_ours(&self) -> bool {
        matches!(self.0, Kind::Under { .. })
    }

    /// The bare SHA-256, to be hashed, and how the result is kept.
    pub(crate) fn under(
        &self,
    ) -> Option<(SecretBytes, impl FnOnce(&str) -> Result<Self, HashFault> + use<>)> {
        let Kind::Sha256 { place, salt, output } = &self.0 else { return None };
        let (place, salt) = (*place, salt.clone());
        Some((SecretBytes::new(output.clone()), move |phc: &str| {
            let Kind::Argon2(over) = Self::read(phc)?.0 else { return Err(HashFault::Malformed) };
            Ok(Self(Kind::Under { place, salt, over }))
        }))
    }
}
