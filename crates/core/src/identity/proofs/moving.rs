//! Moving an account to another address: asked for by its owner, agreed to by the holders of the addresses.

use super::Proofs;
use super::ask::Asked;
use super::code::{Made, Purpose};
use super::write::{Letter, Links};
use crate::authz::catalogue::login;
use crate::error::{Error, Result, codes};
use crate::id::UserId;
use crate::identity::model::{Moving, User};
use crate::identity::validate;
use crate::operation::{Call, Grant, Permit};
use crate::ports::store::{Change, Write};
use crate::secret::SecretText;

impl Proofs<'_> {
    /// Writes to an address that an account's owner wants to have instead of the present one; where the mount wants it so, to the present
    /// one too.
    ///
    /// # Errors
    /// `bad_field`; `email_taken`; `mail_too_soon`, `rate_limited`; `login_too_old`, `bad_credentials` unless the owner has just logged in
    /// or shows the current password; `not_found` for somebody else's account; `conflict`.
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
            let account =
                self.engine.store().user(user).await?.ok_or_else(|| Error::new(codes::NOT_FOUND))?;
            let address = validate::email(address)?;
            // Counted first: whoever asks for one address after the other learns of few.
            if let Some(many) = self.too_many(permit.call()).await {
                return Err(many);
            }
            self.not_anothers(&address, user).await?;
            match self.is_soon(&address).await {
                Some(soon) => Err(soon),
                None => Ok((address, account)),
            }
        };
        let (address, account) = match checked.await {
            Ok(checked) => checked,
            Err(error) if error.is(codes::BAD_CREDENTIALS) => return Err(permit.refuse(error).await),
            Err(error) => return permit.close(Err(error)),
        };
        let call = permit.call().clone();
        let (account, mut writes) = self.moved(&permit, account, &address);
        let letters = self.letters_of_a_move(&account, links);
        writes.extend(letters.writes);
        permit.name_resource(user.as_str());
        permit.commit(writes).await?;
        self.send_move(&call, &letters.letters, links, &address);
        Ok(asked)
    }

    /// Writes once more to those who have not agreed to a move yet. `address` is the one that the account has. Whether there is such an
    /// account, nobody is told.
    ///
    /// # Errors
    /// `bad_field`, `mail_too_soon`, `rate_limited`.
    pub async fn ask_again_to_move(
        &self,
        mut permit: Permit<login::Begin>,
        address: &str,
        links: &Links,
    ) -> Result<Asked> {
        let asked = Asked { at_ms: self.engine.now_ms() };
        let found =
            async {
                let address = self.may_write(&permit, address).await?;
                Ok::<_, Error>(
                    self.engine.store().user_by_login(&address).await?.filter(|user| {
                        user.email.as_ref() == Some(&address) && !user.is_kept_out(asked.at_ms)
                    }),
                )
            };
        let account = match found.await {
            Ok(found) => found,
            Err(error) => return permit.close(Err(error)),
        };
        let Some((account, to)) =
            account.and_then(|user| Some((user.clone(), user.moving.as_ref()?.to.clone())))
        else {
            return permit.close(Ok(asked));
        };
        let call = permit.call().clone();
        let letters = self.letters_of_a_move(&account, links);
        permit.name_resource(account.id.as_str());
        permit.commit(letters.writes).await?;
        self.send_move(&call, &letters.letters, links, &to);
        Ok(asked)
    }

    /// A proof for each holder who has not agreed.
    fn letters_of_a_move(&self, account: &User, links: &Links) -> MoveLetters {
        let mut made = MoveLetters { letters: Vec::new(), writes: Vec::new() };
        let Some(moving) = &account.moving else { return made };
        let new = Some((Purpose::EmailChange, &moving.to)).filter(|_| !moving.new_agreed);
        let present = account.email.as_ref().filter(|_| moving.both && !moving.old_agreed);
        let present = present.map(|email| (Purpose::EmailChangeCurrent, email));
        for (purpose, to) in new.into_iter().chain(present) {
            let Made { token, digits, writes } = self.made(purpose, &account.id, to, links);
            made.writes.extend(writes);
            made.letters.push((purpose, to.clone(), token, digits));
        }
        made
    }

    fn send_move(
        &self,
        call: &Call,
        letters: &[(Purpose, String, SecretText, SecretText)],
        links: &Links,
        moving: &str,
    ) {
        for (purpose, to, token, digits) in letters {
            let letter = Letter { purpose: *purpose, address: to, again: false };
            self.write_moving(call, &letter, (token.expose(), digits.expose()), links, Some(moving));
        }
    }

    /// Refuses an address that is another account's.
    pub(super) async fn not_anothers(&self, address: &str, user: &UserId) -> Result<()> {
        match self.engine.store().user_by_login(address).await? {
            Some(other) if other.id != *user => Err(Error::new(codes::EMAIL_TAKEN)),
            _ => Ok(()),
        }
    }

    /// The account on its way to an address, with the writes that say so. Whoever agreed to another one has agreed to nothing here.
    pub(super) fn moved(&self, grant: &Grant, mut account: User, address: &str) -> (User, Vec<Write>) {
        let rules = grant.mount().email.clone().unwrap_or_default();
        let now_ms = self.engine.now_ms();
        account.moving = Some(Moving {
            to: address.to_owned(),
            asked_at_ms: now_ms,
            both: rules.both_agree && account.email.is_some(),
            old_agreed: false,
            new_agreed: false,
        });
        account.updated_at_ms = now_ms;
        account.version += 1;
        let changed = Change::User(account.id.clone());
        let writes = vec![Write::UpdateUser(account.clone()), Write::Announce(changed)];
        (account, writes)
    }
}

/// Letters of one move, each with its purpose, address, token and digits, and the writes that make them good.
struct MoveLetters {
    letters: Vec<(Purpose, String, SecretText, SecretText)>,
    writes: Vec<Write>,
}

/// Notes that a holder has agreed; whether the account has moved by that. `None` where nothing moves there.
pub(super) fn agree(user: &mut User, purpose: Purpose, address: &str) -> Option<bool> {
    let moving = user.moving.as_mut()?;
    match purpose {
        Purpose::EmailChange if moving.to == address => moving.new_agreed = true,
        Purpose::EmailChangeCurrent if user.email.as_deref() == Some(address) => moving.old_agreed = true,
        _ => return None,
    }
    let whole = moving.new_agreed && (moving.old_agreed || !moving.both);
    if whole {
        user.email = Some(moving.to.clone());
        user.moving = None;
    }
    Some(whole)
}
