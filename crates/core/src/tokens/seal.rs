//! Secrets at rest: sealed under the master key (`docs/adr/0009`).

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::error::{Error, Result, codes};
use crate::random::{Random, bytes};
use crate::secret::SecretBytes;
use crate::tokens::model::SealedKey;

/// Length of the master key.
pub const MASTER_KEY_BYTES: usize = 32;

/// Seals and opens.
pub struct Sealer {
    key: LessSafeKey,
}

fn bound_to(id: &str, purpose: &str, algorithm: &str) -> Vec<u8> {
    let mut aad = b"doorward sealed key v1".to_vec();
    for part in [id, purpose, algorithm] {
        aad.extend_from_slice(&(part.len() as u64).to_be_bytes());
        aad.extend_from_slice(part.as_bytes());
    }
    aad
}

impl Sealer {
    /// A sealer under a master key of exactly 32 bytes.
    ///
    /// # Errors
    /// `wrong_master_key` for another length.
    pub fn new(master_key: &SecretBytes) -> Result<Self> {
        let key = UnboundKey::new(&AES_256_GCM, master_key.expose())
            .map_err(|_| Error::new(codes::WRONG_MASTER_KEY).message("The master key has to be 32 bytes."))?;
        Ok(Self { key: LessSafeKey::new(key) })
    }

    /// nonce ‖ ciphertext ‖ tag, bound to the row it is for, so that rows cannot be swapped.
    ///
    /// # Errors
    /// `internal` if the provider fails.
    pub fn seal(
        &self,
        random: &dyn Random,
        id: &str,
        purpose: &str,
        algorithm: &str,
        secret: &[u8],
    ) -> Result<Vec<u8>> {
        let nonce: [u8; NONCE_LEN] = bytes(random);
        let mut out = nonce.to_vec();
        let mut text = secret.to_vec();
        let tag = self
            .key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(bound_to(id, purpose, algorithm)),
                &mut text,
            )
            .map_err(|_| Error::new(codes::INTERNAL).operator("sealing failed"))?;
        out.extend_from_slice(&text);
        out.extend_from_slice(tag.as_ref());
        Ok(out)
    }

    /// What was sealed.
    ///
    /// # Errors
    /// `wrong_master_key` if it was sealed under another key, or tampered with.
    pub fn open(&self, row: &SealedKey) -> Result<SecretBytes> {
        self.open_bound(row.id.as_str(), &row.purpose, &row.algorithm, &row.sealed)
    }

    /// What was sealed for these.
    ///
    /// # Errors
    /// As [`Sealer::open`].
    pub fn open_bound(&self, id: &str, purpose: &str, algorithm: &str, sealed: &[u8]) -> Result<SecretBytes> {
        let wrong = || Error::new(codes::WRONG_MASTER_KEY).operator(format!("sealed for {purpose} {id}"));
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>().ok_or_else(wrong)?;
        let mut buffer = text.to_vec();
        let aad = Aad::from(bound_to(id, purpose, algorithm));
        let plain = self
            .key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), aad, &mut buffer)
            .map_err(|_| wrong())?
            .len();
        buffer.truncate(plain);
        Ok(SecretBytes::new(buffer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    fn row(sealed: Vec<u8>) -> SealedKey {
        SealedKey {
            id: "sig_1".into(),
            purpose: "sign:native".into(),
            algorithm: "ES256".into(),
            sealed,
            created_at_ms: 0,
            retired_at_ms: None,
        }
    }

    #[test]
    fn a_sealed_secret_opens_only_under_its_key_and_in_its_own_row() {
        let sealer = Sealer::new(&SecretBytes::new(vec![7; 32])).expect("32 bytes");
        let random = SeededRandom::new(1);
        let sealed = sealer.seal(&random, "sig_1", "sign:native", "ES256", b"secret").expect("sealed");
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert_eq!(sealer.open(&row(sealed.clone())).expect("opens").expose(), b"secret");
        let other = Sealer::new(&SecretBytes::new(vec![8; 32])).expect("32 bytes");
        assert!(other.open(&row(sealed.clone())).is_err_and(|e| e.is(codes::WRONG_MASTER_KEY)));
        assert!(
            sealer.open(&SealedKey { id: "sig_2".into(), ..row(sealed.clone()) }).is_err(),
            "another row"
        );
        assert!(sealer.open(&row(sealed[..sealed.len() - 1].to_vec())).is_err(), "cut short");
        assert!(sealer.open(&row(vec![1, 2, 3])).is_err(), "no nonce");
        assert!(Sealer::new(&SecretBytes::new(vec![7; 16])).is_err(), "short key");
    }
}
