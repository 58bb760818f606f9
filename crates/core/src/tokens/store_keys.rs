//! The store's own secrets: made on first use, sealed, and the same in every process on it.

use aws_lc_rs::hmac;

use crate::engine::Parts;
use crate::error::{Error, Result, codes};
use crate::id::KeyId;
use crate::login::attempt::Tickets;
use crate::ports::store::Write;
use crate::ports::{Batch, Conflict, StoreError};
use crate::random::bytes;
use crate::secret::SecretBytes;
use crate::tokens::model::SealedKey;
use crate::tokens::seal::Sealer;

const RAW: &str = "raw";

/// One key for each use, so that nothing made for one is good for another.
pub(crate) struct StoreKeys {
    /// Hashes API keys.
    pub(crate) api_key_pepper: hmac::Key,
    /// Makes refresh tokens.
    pub(crate) refresh: hmac::Key,
    /// Makes cookies and their tokens.
    pub(crate) browser: hmac::Key,
    /// Hashes what letters hold.
    pub(crate) proof: hmac::Key,
    /// Makes the keys that clients name a mount by.
    pub(crate) project: hmac::Key,
    /// Seals log-ins under way.
    pub(crate) tickets: Tickets,
}

impl StoreKeys {
    pub(crate) async fn open(parts: &Parts, sealer: &Sealer) -> Result<Self> {
        let key = async |purpose| {
            let secret = raw_key(parts, sealer, purpose).await?;
            Ok::<_, Error>(hmac::Key::new(hmac::HMAC_SHA256, secret.expose()))
        };
        Ok(Self {
            api_key_pepper: key("pepper:api-key").await?,
            refresh: key("refresh").await?,
            browser: key("browser").await?,
            proof: key("mail-proof").await?,
            project: key("project-keys").await?,
            tickets: Tickets::new(&raw_key(parts, sealer, "login").await?)?,
        })
    }
}

/// A secret of the store's own, made on first use. Of two processes that do so at once, one wins.
async fn raw_key(parts: &Parts, sealer: &Sealer, purpose: &str) -> Result<SecretBytes> {
    for _ in 0..2 {
        if let Some(row) = parts.store.sealed_keys(purpose).await?.first() {
            return sealer.open(row);
        }
        let id = KeyId::new(&*parts.clock, &*parts.random);
        let secret = SecretBytes::new(bytes::<32>(&*parts.random).to_vec());
        let sealed = sealer.seal(&*parts.random, id.as_str(), purpose, RAW, secret.expose())?;
        let row = SealedKey {
            id,
            purpose: purpose.to_owned(),
            algorithm: RAW.to_owned(),
            sealed,
            created_at_ms: parts.clock.now_ms(),
            retired_at_ms: None,
        };
        match parts.store.commit(Batch::durable(vec![Write::InsertFirstSealedKey(row)])).await {
            Ok(()) => return Ok(secret),
            Err(StoreError::Conflict(Conflict::Exists)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::new(codes::INTERNAL).operator(format!("the key {purpose} appeared and disappeared")))
}
