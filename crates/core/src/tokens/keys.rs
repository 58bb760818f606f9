//! Rings of signing keys: the newest signs, all that are not retired verify.

use std::str::FromStr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use doorward_protocols::jose::{Algorithm, Jwk, KeySet, SecretRule, SigningKey};
use serde::Serialize;

use super::model::SealedKey;
use super::seal::Sealer;
use crate::authz::catalogue::signing_key;
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::id::KeyId;
use crate::operation::Permit;
use crate::ports::store::{Change, Write};
use crate::ports::{Conflict, StoreError};

/// A key without the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyInfo {
    /// The `kid`.
    pub id: KeyId,
    /// JOSE name.
    pub algorithm: String,
    /// When it was made.
    pub created_at_ms: i64,
    /// From when it no longer verifies.
    pub retired_at_ms: Option<i64>,
    /// Whether it signs.
    pub signs: bool,
}

struct State {
    signer: Arc<SigningKey>,
    verify: Arc<KeySet>,
    infos: Vec<KeyInfo>,
    public: Vec<Jwk>,
}

/// The keys of one purpose, such as `sign:native`.
pub struct KeyRing {
    purpose: String,
    state: ArcSwap<State>,
}

impl KeyRing {
    /// The key that signs now.
    #[must_use]
    pub fn signer(&self) -> Arc<SigningKey> {
        Arc::clone(&self.state.load().signer)
    }

    /// The keys that verify now.
    #[must_use]
    pub fn verifying(&self) -> Arc<KeySet> {
        Arc::clone(&self.state.load().verify)
    }

    /// The public halves of the keys that verify, newest first (RFC 7517 §5).
    #[must_use]
    pub fn public_keys(&self) -> Vec<Jwk> {
        self.state.load().public.clone()
    }

    /// What the ring is for.
    #[must_use]
    pub fn purpose(&self) -> &str {
        &self.purpose
    }

    /// Opens the ring, making its first key if there is none. Of two processes that do so at once, one wins.
    pub(crate) async fn open(engine: &Engine, purpose: &str, algorithm: Algorithm) -> Result<Self> {
        let mut rows = engine.store().sealed_keys(purpose).await?;
        if rows.is_empty() {
            let row = generate(engine, purpose, algorithm)?;
            let writes = vec![Write::InsertFirstSealedKey(row), Write::Announce(Change::Keys)];
            match engine.commit(crate::ports::Batch::durable(writes)).await {
                Ok(()) | Err(StoreError::Conflict(Conflict::Exists)) => {}
                Err(error) => return Err(error.into()),
            }
            rows = engine.store().sealed_keys(purpose).await?;
        }
        Ok(Self { purpose: purpose.to_owned(), state: ArcSwap::from_pointee(state(engine.sealer(), &rows)?) })
    }

    /// Makes a new key sign and no other verify: the writes for it, and the new key's id.
    pub(super) fn begin_anew(&self, engine: &Engine) -> Result<(Vec<Write>, KeyId)> {
        let state = self.state.load();
        let row = generate(engine, &self.purpose, state.signer.algorithm())?;
        let (id, at_ms) = (row.id.clone(), engine.now_ms());
        let retire = |info: &KeyInfo| Write::RetireSealedKey { id: info.id.clone(), at_ms };
        let live = state.infos.iter().filter(|info| info.retired_at_ms.is_none());
        let mut writes: Vec<Write> = live.map(retire).collect();
        writes.extend([Write::InsertSealedKey(row), Write::Announce(Change::Keys)]);
        Ok((writes, id))
    }

    /// Reads the ring again.
    pub(crate) async fn reload(&self, engine: &Engine) -> Result<()> {
        let rows = engine.store().sealed_keys(&self.purpose).await?;
        self.state.store(Arc::new(state(engine.sealer(), &rows)?));
        Ok(())
    }
}

fn generate(engine: &Engine, purpose: &str, algorithm: Algorithm) -> Result<SealedKey> {
    let id = KeyId::new(engine.ordered_clock(), engine.random());
    let (_, secret) =
        SigningKey::generate(algorithm).map_err(|error| Error::new(codes::INTERNAL).caused_by(error))?;
    let name = algorithm.name();
    let sealed = engine.sealer().seal(engine.random(), id.as_str(), purpose, name, secret.expose())?;
    Ok(SealedKey {
        id,
        purpose: purpose.to_owned(),
        algorithm: name.to_owned(),
        sealed,
        created_at_ms: engine.now_ms(),
        retired_at_ms: None,
    })
}

fn open_key(sealer: &Sealer, row: &SealedKey) -> Result<SigningKey> {
    let broken =
        |what: String| Error::new(codes::INTERNAL).operator(format!("signing key {}: {what}", row.id));
    let algorithm = Algorithm::from_str(&row.algorithm).map_err(|error| broken(error.to_string()))?;
    let secret = sealer.open(row)?;
    let kid = Some(row.id.as_str().to_owned());
    if algorithm.is_symmetric() {
        SigningKey::from_secret(secret.expose(), algorithm, kid, SecretRule::Strict)
    } else {
        SigningKey::from_pkcs8(secret.expose(), algorithm, kid)
    }
    .map_err(|error| broken(error.to_string()))
}

fn state(sealer: &Sealer, rows: &[SealedKey]) -> Result<State> {
    let mut signer = None;
    let mut verifying = Vec::new();
    let mut public = Vec::new();
    let mut infos = Vec::new();
    for row in rows {
        let live = row.retired_at_ms.is_none();
        let signs = live && signer.is_none();
        infos.push(KeyInfo {
            id: row.id.clone(),
            algorithm: row.algorithm.clone(),
            created_at_ms: row.created_at_ms,
            retired_at_ms: row.retired_at_ms,
            signs,
        });
        if !live {
            continue;
        }
        let key = open_key(sealer, row)?;
        verifying.push(key.verifying_key());
        public.extend(key.to_public_jwk());
        if signs {
            signer = Some(Arc::new(key));
        }
    }
    let signer = signer.ok_or_else(|| Error::new(codes::INTERNAL).operator("no signing key is live"))?;
    let verify = KeySet::new(verifying).map_err(|error| Error::new(codes::INTERNAL).caused_by(error))?;
    Ok(State { signer, verify: Arc::new(verify), infos, public })
}

/// Signing keys as a service.
pub struct SigningKeys<'e> {
    engine: &'e Engine,
}

impl<'e> SigningKeys<'e> {
    pub(crate) fn new(engine: &'e Engine) -> Self {
        Self { engine }
    }

    /// The keys of a ring, newest first, retired ones included.
    ///
    /// # Errors
    /// None now; the signature is that of every service.
    pub async fn list(&self, permit: Permit<signing_key::Read>, ring: &KeyRing) -> Result<Vec<KeyInfo>> {
        permit.close(Ok(ring.state.load().infos.clone()))
    }

    /// Makes a new key that signs from now on; the old ones go on verifying.
    ///
    /// # Errors
    /// The store's.
    pub async fn rotate(
        &self,
        permit: Permit<signing_key::Rotate>,
        ring: &KeyRing,
        algorithm: Option<Algorithm>,
    ) -> Result<KeyInfo> {
        let algorithm = algorithm.unwrap_or_else(|| ring.signer().algorithm());
        let row = generate(self.engine, &ring.purpose, algorithm)?;
        let info = KeyInfo {
            id: row.id.clone(),
            algorithm: row.algorithm.clone(),
            created_at_ms: row.created_at_ms,
            retired_at_ms: None,
            signs: true,
        };
        permit.commit(vec![Write::InsertSealedKey(row), Write::Announce(Change::Keys)]).await?;
        self.renew(ring).await?;
        Ok(info)
    }

    /// Ends a key: what it signed is refused from then on.
    ///
    /// # Errors
    /// `not_found` for an unknown or retired key; `conflict` for the key that signs: rotate first.
    pub async fn retire(
        &self,
        permit: Permit<signing_key::Retire>,
        ring: &KeyRing,
        id: &KeyId,
    ) -> Result<()> {
        let infos = ring.state.load().infos.clone();
        match infos.iter().find(|info| info.id == *id && info.retired_at_ms.is_none()) {
            None => return permit.close(Err(Error::new(codes::NOT_FOUND))),
            Some(info) if info.signs => {
                let message = "This key signs new tokens. Rotate first, then retire it.";
                return permit.close(Err(Error::new(codes::CONFLICT).message(message)));
            }
            Some(_) => {}
        }
        let at_ms = self.engine.now_ms();
        permit
            .commit(vec![Write::RetireSealedKey { id: id.clone(), at_ms }, Write::Announce(Change::Keys)])
            .await?;
        self.renew(ring).await
    }

    /// What was verified between the commit and this moment is forgotten with the keys it was verified by.
    async fn renew(&self, ring: &KeyRing) -> Result<()> {
        ring.reload(self.engine).await?;
        self.engine.memory().apply(&Change::Keys);
        Ok(())
    }
}
