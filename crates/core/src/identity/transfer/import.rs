//! Taking an account in.

use serde_json::{Map, Value};

use super::origin::{self, Origin};
use crate::authz::catalogue::user;
use crate::error::{Error, Result, codes};
use crate::id::UserId;
use crate::identity::hashes::ForeignHash;
use crate::identity::model::User;
use crate::identity::users::{NewUser, Users};
use crate::operation::{Grant, Permit};
use crate::ports::StoreError;
use crate::ports::store::{Conflict, Write};

/// An account as another system describes it.
pub struct Incoming {
    /// What it is called there.
    pub origin: Origin,
    /// Whether the origin is noted in the administrators' metadata. Not of an export of ours, which holds it as it was.
    pub note_origin: bool,
    /// User name; this or an e-mail address is needed.
    pub username: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Whether the other system says that somebody proved the address to be theirs, and when, if it says so.
    pub email_confirmed: Option<Option<i64>>,
    /// What to call the person.
    pub display_name: Option<String>,
    /// Roles as they are called here; `user` if empty.
    pub roles: Vec<String>,
    /// What the user may write about itself.
    pub user_metadata: Map<String, Value>,
    /// What only an administrator may write.
    pub admin_metadata: Map<String, Value>,
    /// A disabled account cannot log in.
    pub disabled: bool,
    /// When it was made there.
    pub created_at_ms: Option<i64>,
    /// Its password's hash; an account without one cannot log in by password.
    pub password: Option<IncomingPassword>,
}

/// The hash of an imported account's password.
#[derive(Debug, Clone)]
pub enum IncomingPassword {
    /// Made by another system, of the password as it was typed.
    Foreign(ForeignHash),
    /// argon2id made by Doorward, of the password's normal form (NFKC).
    Ours(OurHash),
}

/// A PHC string of our own, which [`IncomingPassword::ours`] has looked at. Says nothing of itself.
#[derive(Clone)]
pub struct OurHash(String);

impl std::fmt::Debug for OurHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OurHash")
    }
}

impl IncomingPassword {
    /// A hash that a Doorward made.
    ///
    /// # Errors
    /// `hash_malformed`, `hash_unsupported` if it is none; `hash_too_costly`.
    pub fn ours(text: &str) -> Result<Self> {
        let read = ForeignHash::read(text)?;
        match read.to_text() {
            Some(phc) if phc.starts_with("$argon2id$v=19$") => Ok(Self::Ours(OurHash(phc))),
            _ => Err(Error::new(codes::HASH_UNSUPPORTED)),
        }
    }
}

/// Whether accounts may come as administrators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Administrators {
    /// They are refused.
    Refused,
    /// They were asked for.
    Taken,
}

/// What became of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Imported {
    /// It is there now; or would be.
    Made(UserId),
    /// It came before, and nothing changed.
    AlreadyThere(UserId),
}

impl Users<'_> {
    /// Takes an account in: all of it in one transaction, or nothing. An account that is there is never changed.
    ///
    /// # Errors
    /// `bad_field`, `unknown_role`, `administrator_unasked`, `email_taken`, `username_taken`, `id_taken`, `hashing_busy`; the store's.
    pub async fn import(
        &self,
        mut permit: Permit<user::Create>,
        incoming: Incoming,
        administrators: Administrators,
    ) -> Result<Imported> {
        let prepared = async {
            let (user, password, there) = self.incoming(&permit, incoming, administrators).await?;
            // Last what costs: a bare hash is put under argon2id.
            let phc = match password {
                Some(IncomingPassword::Foreign(hash)) if !there => {
                    Some(self.engine.hashing().keep(self.engine.random(), hash).await?)
                }
                Some(IncomingPassword::Ours(OurHash(phc))) => Some(phc),
                _ => None,
            };
            Ok::<_, Error>((user, phc, there))
        };
        let (user, phc, there) = match prepared.await {
            Ok(prepared) => prepared,
            Err(error) => return permit.close(Err(error)),
        };
        permit.name_resource(user.id.as_str());
        if there {
            // Nothing was made, and the log says so.
            let unmade = Error::new(codes::ID_TAKEN).by_rule("already_there");
            let _ = permit.close(Err::<(), _>(unmade));
            return Ok(Imported::AlreadyThere(user.id));
        }
        let (id, at_ms) = (user.id.clone(), user.updated_at_ms);
        let mut writes = vec![Write::InsertUser(user)];
        writes.extend(phc.map(|phc| Write::SetPassword { user: id.clone(), phc, at_ms }));
        match permit.commit(writes).await {
            Ok(()) => Ok(Imported::Made(id)),
            // Between looking and writing somebody took it.
            Err(StoreError::Conflict(Conflict::Exists)) => Err(Error::new(codes::ID_TAKEN)),
            Err(error) => Err(error.into()),
        }
    }

    /// What would become of an account if it were imported now. Changes nothing.
    ///
    /// # Errors
    /// As [`Users::import`].
    pub async fn foresee_import(
        &self,
        permit: Permit<user::List>,
        incoming: Incoming,
        administrators: Administrators,
    ) -> Result<Imported> {
        let seen = self.incoming(&permit, incoming, administrators).await;
        permit.close(seen.map(|(user, _, there)| match there {
            true => Imported::AlreadyThere(user.id),
            false => Imported::Made(user.id),
        }))
    }

    /// The account, the hash of its password, and whether exactly this account is there.
    async fn incoming(
        &self,
        grant: &Grant,
        incoming: Incoming,
        administrators: Administrators,
    ) -> Result<(User, Option<IncomingPassword>, bool)> {
        let Incoming { origin, note_origin, mut admin_metadata, password, .. } = incoming;
        if origin.id.is_empty() || origin.id.len() > origin::MAX_BYTES {
            let message = format!("id: 1 to {} bytes.", origin::MAX_BYTES);
            return Err(Error::new(codes::BAD_FIELD).message(message));
        }
        if note_origin {
            admin_metadata.insert(origin::MEMBER.to_owned(), origin.noted());
        }
        let new = NewUser {
            email: incoming.email,
            username: incoming.username,
            password: None,
            display_name: incoming.display_name,
            user_metadata: incoming.user_metadata,
            roles: incoming.roles,
            admin_metadata,
            ..NewUser::default()
        };
        // 1. The rules that hold for every account.
        let (mut user, _) = self.prepare(grant.mount(), new, None).await?;
        // 2. Who may do everything is not made in passing.
        if administrators == Administrators::Refused && self.engine.reaches_far(&user.roles) {
            return Err(Error::new(codes::ADMINISTRATOR_UNASKED));
        }
        user.id = origin.user_id();
        let confirmed = incoming.email_confirmed.filter(|_| user.email.is_some());
        user.email_confirmed_at_ms = confirmed.map(|at_ms| at_ms.unwrap_or(user.created_at_ms));
        user.disabled = incoming.disabled;
        user.created_at_ms = incoming.created_at_ms.unwrap_or(user.created_at_ms);
        // 3. Nobody who is here is touched, and what came before is recognised.
        let there = self.came_before(&user).await?;
        Ok((user, password, there))
    }

    /// Whether exactly this account is there.
    ///
    /// # Errors
    /// `id_taken`, `email_taken`, `username_taken` if another one is in the way.
    async fn came_before(&self, user: &User) -> Result<bool> {
        let store = self.engine.store();
        if let Some(there) = store.user(&user.id).await? {
            let same = there.email == user.email && there.username == user.username;
            return if same { Ok(true) } else { Err(Error::new(codes::ID_TAKEN)) };
        }
        for (name, code) in [(&user.email, codes::EMAIL_TAKEN), (&user.username, codes::USERNAME_TAKEN)] {
            if let Some(name) = name
                && store.user_by_login(name).await?.is_some()
            {
                return Err(Error::new(code));
            }
        }
        Ok(false)
    }
}
