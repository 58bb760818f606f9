//! Asking: a code into the store, a letter on its way.

use super::Proofs;
use super::code::{self, Bound, Made, Purpose};
use crate::authz::Target;
use crate::authz::catalogue::{login, user};
use crate::error::{Error, Result, codes};
use crate::forms;
use crate::id::UserId;
use crate::identity::model::User;
use crate::identity::users::NewUser;
use crate::identity::validate;
use crate::mail::letters;
use crate::operation::{Call, Permit};
use crate::ports::{Conflict, StoreError};
use crate::secret::SecretText;

/// One letter to an address in this time: nobody's mailbox is flooded from here.
const PAUSE_MS: i64 = 60_000;

/// Where a letter's link leads.
#[derive(Debug, Clone)]
pub struct Links {
    /// What takes the proof, without a query, such as `https://auth.example/supabase/auth/v1/verify`.
    pub verify: String,
    /// The server's own root, such as `https://auth.example/`.
    pub own: String,
    /// Where somebody wants to go in the end; believed only as far as the mount's [`super::Redirects`] let.
    pub wanted: Option<String>,
}

/// What asking came to. It does not say whether there is an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// When.
    pub at_ms: i64,
}

impl Proofs<'_> {
    /// Makes an account whose address has to be proven, and writes to it. An address that has an account already costs and answers the
    /// same: what comes back is an account that was never made; and its holder is written to if it is not proven yet.
    ///
    /// # Errors
    /// As [`crate::identity::users::Users::sign_up`], but for `email_taken`.
    pub async fn sign_up(
        &self,
        mut permit: Permit<user::SignUp>,
        new: NewUser,
        links: &Links,
    ) -> Result<(User, Asked)> {
        let prepared = self.engine.users().sign_up_writes(&permit, new).await.and_then(|(user, writes)| {
            let address = user
                .email
                .clone()
                .ok_or_else(|| Error::new(codes::BAD_FIELD).message("email: is needed."))?;
            Ok((user, address, writes))
        });
        let (user, address, mut writes) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return permit.close(Err(error)),
        };
        let asked = Asked { at_ms: self.engine.now_ms() };
        let call = permit.call().clone();
        let Made { token, digits, writes: codes } = self.made(Purpose::SignUp, &user.id, &address);
        writes.extend(codes);
        permit.name_resource(user.id.as_str());
        match permit.attempt(writes).await {
            Ok(()) => {
                let _counted = self.is_soon(&address).await;
                let letter = Letter { purpose: Purpose::SignUp, address: &address, again: false };
                self.write_to(&call, &letter, (token.expose(), digits.expose()), links);
            }
            Err(StoreError::Conflict(Conflict::EmailTaken)) => {
                let taken: Result<()> = permit.close(Err(Error::new(codes::EMAIL_TAKEN)));
                drop(taken);
                if self.is_soon(&address).await.is_none() {
                    let permit = call.permit::<login::Begin>(Target::any())?;
                    self.ask_holder(permit, Purpose::SignUp, &address, links).await?;
                }
            }
            Err(error) => return permit.close(Err(error.into())),
        }
        Ok((user, asked))
    }

    /// Writes to an address, if it is an account's: to log in without the password, or once more to confirm it. Whether it is one, nobody
    /// is told.
    ///
    /// # Errors
    /// `bad_field` for what is no address; `mail_too_soon` for one that was written to in the last minute.
    pub async fn ask(
        &self,
        permit: Permit<login::Begin>,
        purpose: Purpose,
        address: &str,
        links: &Links,
    ) -> Result<Asked> {
        let asked = Asked { at_ms: self.engine.now_ms() };
        let address = match validate::email(address) {
            Ok(address) => address,
            Err(error) => return permit.close(Err(error)),
        };
        if let Some(soon) = self.is_soon(&address).await {
            return permit.close(Err(soon));
        }
        self.ask_holder(permit, purpose, &address, links).await?;
        Ok(asked)
    }

    /// Writes to an address that an account's owner wants to have instead of the present one.
    ///
    /// # Errors
    /// `bad_field`; `email_taken`; `mail_too_soon`; `login_too_old`, `bad_credentials` unless the owner has just logged in or shows the
    /// current password; `not_found` for somebody else's account.
    pub async fn ask_new_address(
        &self,
        mut permit: Permit<login::Begin>,
        (user, current_password): (&UserId, Option<&SecretText>),
        address: &str,
        links: &Links,
    ) -> Result<Asked> {
        let asked = Asked { at_ms: self.engine.now_ms() };
        let checked = async {
            let own = permit.auth().principal.user_id().as_ref() == Some(user);
            if !own {
                return Err(Error::new(codes::NOT_FOUND));
            }
            self.engine.owner_proven(&permit, current_password).await?;
            let address = validate::email(address)?;
            if self.engine.store().user_by_login(&address).await?.is_some_and(|other| other.id != *user) {
                return Err(Error::new(codes::EMAIL_TAKEN));
            }
            match self.is_soon(&address).await {
                Some(soon) => Err(soon),
                None => Ok(address),
            }
        };
        let address = match checked.await {
            Ok(address) => address,
            Err(error) if error.is(codes::BAD_CREDENTIALS) => return Err(permit.refuse(error).await),
            Err(error) => return permit.close(Err(error)),
        };
        let call = permit.call().clone();
        let Made { token, digits, writes } = self.made(Purpose::EmailChange, user, &address);
        permit.name_resource(user.as_str());
        permit.commit(writes).await?;
        let letter = Letter { purpose: Purpose::EmailChange, address: &address, again: false };
        self.write_to(&call, &letter, (token.expose(), digits.expose()), links);
        Ok(asked)
    }

    async fn ask_holder(
        &self,
        mut permit: Permit<login::Begin>,
        purpose: Purpose,
        address: &str,
        links: &Links,
    ) -> Result<()> {
        let found = match self.engine.store().user_by_login(address).await {
            Ok(found) => found,
            Err(error) => return permit.close(Err(error.into())),
        };
        let wanted = |user: &User| {
            user.email.as_deref() == Some(address)
                && !user.disabled
                && (purpose != Purpose::SignUp || user.email_confirmed_at_ms.is_none())
        };
        let Some(user) = found.filter(wanted) else { return permit.close(Ok(())) };
        let call = permit.call().clone();
        let Made { token, digits, writes } = self.made(purpose, &user.id, address);
        permit.name_resource(user.id.as_str());
        permit.commit(writes).await?;
        let letter = Letter { purpose, address, again: true };
        self.write_to(&call, &letter, (token.expose(), digits.expose()), links);
        Ok(())
    }

    fn made(&self, purpose: Purpose, user: &UserId, address: &str) -> Made {
        let bound = Bound { purpose, user, address };
        code::make(self.engine.proof_key(), self.engine.random(), bound, self.engine.now_ms())
    }

    /// The refusal, where an address was written to within the last minute. Counted by the address, whoever has it.
    async fn is_soon(&self, address: &str) -> Option<Error> {
        let now_ms = self.engine.now_ms();
        let hit = self.engine.shared().hit(&format!("mail:{address}"), 1, PAUSE_MS, now_ms).get().await;
        let left_s = u32::try_from((hit.ends_at_ms - now_ms + 999) / 1000).unwrap_or(60);
        hit.exceeded.then(|| {
            let message = format!("For security purposes, you can only request this after {left_s} seconds.");
            Error::new(codes::MAIL_TOO_SOON).message(message).retry_after_s(left_s)
        })
    }

    fn write_to(&self, call: &Call, letter: &Letter<'_>, secrets: (&str, &str), links: &Links) {
        let ((token, digits), Letter { purpose, address, again }) = (secrets, *letter);
        let rules = call.mount.email.clone().unwrap_or_default();
        let go_to = rules.redirects.choose(links.wanted.as_deref(), &links.own);
        let query = forms::pairs(&[("token", token), ("type", purpose.as_str()), ("redirect_to", &go_to)]);
        let link = format!("{}?{query}", links.verify);
        // Whoever types digits says the address; that of a change is no account's yet, so only its link works.
        let digits = (purpose != Purpose::EmailChange).then_some(digits);
        self.engine.post().take(self.engine, letters::asking(purpose, address, &link, digits, again));
    }
}

/// What a letter is about.
#[derive(Clone, Copy)]
struct Letter<'a> {
    purpose: Purpose,
    address: &'a str,
    /// Whether the account was there before it was asked for.
    again: bool,
}
