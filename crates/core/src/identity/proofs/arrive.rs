//! Taking a proof: whoever shows it is logged in, and the address is theirs.

use super::Proofs;
use super::code::{self, Bound, DIGITS, LINK, Purpose};
use crate::authz::Target;
use crate::authz::catalogue::session;
use crate::error::{Error, Kind, Result, codes};
use crate::id::UserId;
use crate::identity::model::User;
use crate::identity::sessions::{Arrival, Granted, Keep, client_of};
use crate::identity::validate::fold;
use crate::operation::Permit;
use crate::ports::Batch;
use crate::ports::store::{Change, Write};

/// Tries of digits for one account in [`TRIES_MS`]; with the last one the digits end, and the link lives on.
const TRIES: u32 = 5;
const TRIES_MS: i64 = 600_000;

/// What somebody shows.
pub enum Shown<'a> {
    /// A link's token.
    Link(&'a str),
    /// Digits, and the address they were sent to.
    Digits {
        /// The address as typed.
        address: &'a str,
        /// The digits as typed.
        digits: &'a str,
    },
}

/// Whose proof it is said to be, and what to look for in the store.
struct Claimed {
    user: User,
    address: String,
    what: &'static str,
    secret: String,
}

impl Proofs<'_> {
    /// Logs in whoever shows a proof for one of these purposes, and confirms the address. A proof works once.
    ///
    /// # Errors
    /// `code_spent` for whatever is none: used, too old, somebody else's, never sent; `user_disabled`; `email_taken` where somebody else
    /// has the new address by now; `login_refused`; `too_many_failures`.
    pub async fn arrive(
        &self,
        permit: Permit<session::Login>,
        purposes: &[Purpose],
        shown: &Shown<'_>,
    ) -> Result<Granted> {
        let call = permit.call().clone();
        let found = async {
            let claimed = self.claimed(shown).await?;
            let purpose = self.purpose(&claimed, purposes).await?;
            Ok::<_, Error>((claimed, purpose))
        };
        let (claimed, purpose) = match found.await {
            Ok(found) => found,
            Err(error) if error.code().kind == Kind::Unauthenticated => {
                return Err(permit.refuse(error).await);
            }
            Err(error) => return permit.close(Err(error)),
        };
        let client = match client_of(None, &call.origin) {
            Ok(client) => client,
            Err(error) => return permit.close(Err(error)),
        };
        let (whose, what) = (claimed.user.id.clone(), claimed.what);
        let (user, writes) = self.proven(claimed, purpose);
        let arrival = Arrival {
            user,
            method: "mail",
            source: Some(
                match purpose {
                    Purpose::SignUp => "email/signup",
                    Purpose::Recovery => "recovery",
                    Purpose::EmailChange => "email_change",
                }
                .to_owned(),
            ),
            device: None,
            writes,
            refusal: codes::LOGIN_REFUSED,
            typed: None,
            rehash: None,
        };
        match self.engine.sessions().begin(permit, arrival, Keep::Tokens { client, scope: None }).await {
            Ok((_, Some(granted))) => Ok(granted),
            Ok((_, None)) => Err(Error::new(codes::INTERNAL).operator("a log-in for tokens made none")),
            Err(error) if error.is(codes::CODE_SPENT) => {
                if what == DIGITS {
                    self.count_wrong_digits(&whose, purpose).await?;
                }
                // A guess, counted like every other one.
                Err(call.permit::<session::Login>(Target::any())?.refuse(error).await)
            }
            Err(error) => Err(error),
        }
    }

    async fn claimed(&self, shown: &Shown<'_>) -> Result<Claimed> {
        let none = || Error::new(codes::CODE_SPENT);
        let (user, address, what, secret) = match shown {
            Shown::Link(token) => {
                let (id, secret, address) = code::read(token).ok_or_else(none)?;
                let user = self.engine.store().user(&id).await?.ok_or_else(none)?;
                let address = address.or_else(|| user.email.clone()).ok_or_else(none)?;
                (user, address, LINK, secret.to_owned())
            }
            Shown::Digits { address, digits } => {
                let well_formed = digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_digit());
                if address.len() > 254 || !well_formed {
                    return Err(none());
                }
                let address = fold(address);
                let user = self.engine.store().user_by_login(&address).await?.ok_or_else(none)?;
                if user.email.as_deref() != Some(&address) || !self.may_try(&user.id).await {
                    return Err(none());
                }
                (user, address, DIGITS, (*digits).to_owned())
            }
        };
        if user.disabled {
            return Err(Error::new(codes::USER_DISABLED));
        }
        Ok(Claimed { user, address, what, secret })
    }

    /// For which of the purposes there is something to be proven at all.
    async fn purpose(&self, claimed: &Claimed, purposes: &[Purpose]) -> Result<Purpose> {
        let now_ms = self.engine.now_ms();
        for purpose in purposes {
            let stored = purpose.stored(claimed.what, &claimed.user.id);
            if self.engine.store().any_code(&stored, now_ms).await? {
                return Ok(*purpose);
            }
        }
        Err(Error::new(codes::CODE_SPENT))
    }

    /// The account as it is afterwards, and the writes that spend the proof and make it so.
    fn proven(&self, claimed: Claimed, purpose: Purpose) -> (User, Vec<Write>) {
        let Claimed { mut user, address, what, secret } = claimed;
        let now_ms = self.engine.now_ms();
        let hash =
            Bound { purpose, user: &user.id, address: &address }.hash(self.engine.proof_key(), what, &secret);
        let mut writes = vec![Write::SpendCode { purpose: purpose.stored(what, &user.id), hash, now_ms }];
        // Either way of proving ends the other, and every other letter.
        writes.extend(code::end_all_writes(&user.id));
        if user.email_confirmed_at_ms.is_none() || user.email.as_deref() != Some(&address) {
            user.email = Some(address);
            user.email_confirmed_at_ms = Some(now_ms);
            user.updated_at_ms = now_ms;
            user.version += 1;
            writes.push(Write::UpdateUser(user.clone()));
            writes.push(Write::Announce(Change::User(user.id.clone())));
        }
        (user, writes)
    }

    async fn may_try(&self, user: &UserId) -> bool {
        let key = format!("mail-digits:{user}");
        !self.engine.shared().hit(&key, TRIES, TRIES_MS, self.engine.now_ms()).get().await.exceeded
    }

    /// Ends the digits when the last try was wrong, in every process and for good: six digits are few.
    async fn count_wrong_digits(&self, user: &UserId, purpose: Purpose) -> Result<()> {
        let key = format!("mail-digits:{user}");
        // A limit of 0 looks without counting.
        let tried = self.engine.shared().hit(&key, 0, TRIES_MS, self.engine.now_ms()).get().await.used;
        if tried >= TRIES {
            let drop = Write::DropCodes { purpose: purpose.stored(DIGITS, user) };
            self.engine.commit(Batch::durable(vec![drop])).await?;
        }
        Ok(())
    }
}
