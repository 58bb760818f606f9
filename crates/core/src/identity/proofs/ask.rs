//! Asking: a code into the store, a letter on its way.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::Proofs;
use super::code::{Made, Purpose};
use super::write::{Letter, Links};
use crate::authz::Target;
use crate::authz::catalogue::{login, user};
use crate::error::{Error, Result, codes};
use crate::identity::model::User;
use crate::identity::password::Compared;
use crate::identity::users::NewUser;
use crate::mount::SignUp;
use crate::operation::Permit;
use crate::ports::store::Write;
use crate::ports::{Batch, Conflict, StoreError};
use crate::secret::SecretText;

/// What asking came to. It does not say whether there is an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// When.
    pub at_ms: i64,
}

/// Somebody who wants in by a letter.
pub struct Entering<'a> {
    /// The address as typed.
    pub address: &'a str,
    /// Whether an account is to be made where there is none.
    pub make: bool,
    /// What it is to say of itself then.
    pub user_metadata: Map<String, Value>,
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
        if let Some(many) = self.too_many(permit.call()).await {
            return permit.close(Err(many));
        }
        let typed = new.password.clone();
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
        let doubt = match self.doubted(&address, typed.as_ref(), permit.call().origin.address).await {
            Ok(doubt) => doubt,
            Err(error) => return permit.close(Err(error)),
        };
        let asked = Asked { at_ms: self.engine.now_ms() };
        let call = permit.call().clone();
        let Made { token, digits, writes: codes } = self.made(Purpose::SignUp, &user.id, &address, links);
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
                if let Some(write) = doubt {
                    self.engine.commit(Batch::durable(vec![write])).await?;
                }
                if self.is_soon(&address).await.is_none() {
                    let permit = call.permit::<login::Begin>(Target::any())?;
                    self.ask_holder(permit, Purpose::SignUp, &address, links).await?;
                }
            }
            Err(error) => return permit.close(Err(error.into())),
        }
        Ok((user, asked))
    }

    /// What ends the password of an account that waits to be confirmed, where somebody signs up for its address with another one: nobody
    /// knows yet whose it is, and the holder who opens the letter must not confirm a stranger's. It costs the same whether there is such an
    /// account.
    async fn doubted(
        &self,
        address: &str,
        typed: Option<&SecretText>,
        from: Option<IpAddr>,
    ) -> Result<Option<Write>> {
        let Some(typed) = typed else { return Ok(None) };
        let waiting = self.engine.store().user_by_login(address).await?;
        let waiting = waiting
            .filter(|user| user.email.as_deref() == Some(address) && user.email_confirmed_at_ms.is_none());
        let phc = match &waiting {
            Some(user) => self.engine.store().password(&user.id).await?,
            None => None,
        };
        let has_one = phc.is_some();
        let compared = self.engine.hashing().compare(typed, phc, from).await?;
        let doubted = waiting.filter(|_| has_one && compared == Compared::Wrong);
        Ok(doubted.map(|user| Write::DropPassword { user: user.id }))
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
        let address = match self.may_write(&permit, address).await {
            Ok(address) => address,
            Err(error) => return permit.close(Err(error)),
        };
        self.ask_holder(permit, purpose, &address, links).await?;
        Ok(asked)
    }

    /// Lets whoever holds an address in by a letter. An address that is nobody's gets an account first, where that is wanted and the
    /// mount's sign-up is open. The answer is the same for all of them.
    ///
    /// # Errors
    /// `bad_field` for what is no address; `mail_too_soon`, `rate_limited`.
    pub async fn enter(
        &self,
        permit: Permit<login::Begin>,
        entering: Entering<'_>,
        links: &Links,
    ) -> Result<Asked> {
        let asked = Asked { at_ms: self.engine.now_ms() };
        let checked = async {
            let address = self.may_write(&permit, entering.address).await?;
            Ok::<_, Error>((self.engine.store().user_by_login(&address).await?, address))
        };
        let (found, address) = match checked.await {
            Ok(checked) => checked,
            Err(error) => return permit.close(Err(error)),
        };
        let makes = found.is_none() && entering.make && permit.mount().sign_up == SignUp::Open;
        if !makes {
            self.ask_holder(permit, Purpose::MagicLink, &address, links).await?;
            return Ok(asked);
        }
        let call = permit.call().clone();
        permit.close(Ok(()))?;
        let mut permit = call.permit::<user::SignUp>(Target::any())?;
        let new = NewUser {
            email: Some(address.clone()),
            user_metadata: entering.user_metadata,
            ..NewUser::default()
        };
        let (user, mut writes) = match self.engine.users().prepare(&call.mount, new, None).await {
            Ok(prepared) => prepared,
            Err(error) => return permit.close(Err(error)),
        };
        let Made { token, digits, writes: codes } = self.made(Purpose::SignUp, &user.id, &address, links);
        writes.extend(codes);
        permit.name_resource(user.id.as_str());
        match permit.attempt(writes).await {
            Ok(()) => {
                let letter = Letter { purpose: Purpose::SignUp, address: &address, again: false };
                self.write_to(&call, &letter, (token.expose(), digits.expose()), links);
                Ok(asked)
            }
            // Somebody else was faster, and is written to.
            Err(StoreError::Conflict(Conflict::EmailTaken)) => permit.close(Ok(asked)),
            Err(error) => permit.close(Err(error.into())),
        }
    }

    pub(super) async fn ask_holder(
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
        let asked_at_ms = self.engine.now_ms();
        let wanted = |user: &User| {
            user.email.as_deref() == Some(address)
                && !user.is_kept_out(asked_at_ms)
                && (purpose != Purpose::SignUp || user.email_confirmed_at_ms.is_none())
        };
        let Some(user) = found.filter(wanted) else { return permit.close(Ok(())) };
        match self.engine.is_of_directory(&user.id).await {
            Ok(false) => {}
            // Who comes by the directory comes by it alone.
            Ok(true) => return permit.close(Ok(())),
            Err(error) => return permit.close(Err(error)),
        }
        let call = permit.call().clone();
        let Made { token, digits, writes } = self.made(purpose, &user.id, address, links);
        permit.name_resource(user.id.as_str());
        permit.commit(writes).await?;
        let letter = Letter { purpose, address, again: true };
        self.write_to(&call, &letter, (token.expose(), digits.expose()), links);
        Ok(())
    }
}
