//! Taking a proof: whoever shows it is logged in, and the address is theirs.

use super::code::{self, Bound, DIGITS, LINK, Purpose, Token};
use super::flow::Challenge;
use super::{Proofs, moving};
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
use crate::secret::SecretText;

/// Tries of digits for one account in [`TRIES_MS`]; with the last one the digits end, and the link lives on.
const TRIES: u32 = 5;
const TRIES_MS: i64 = 600_000;

/// What somebody shows.
pub enum Shown<'a> {
    /// A link's token.
    Link(&'a str),
    /// A link's token, opened by a browser: one of a flow gets a code for who began it, instead of a session.
    Opened(&'a str),
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
    /// Whether the proof itself says the address, which the account does not know yet.
    names_another: bool,
    what: &'static str,
    secret: String,
    /// Who is to get the session, if not whoever shows the proof.
    challenge: Option<Challenge>,
}

/// What a proof came to.
pub enum Arrived {
    /// Whoever showed it is logged in.
    In(Box<Granted>),
    /// Whoever began the flow may log in with this code, by [`Proofs::exchange`].
    Code(SecretText),
    /// One holder has agreed to a move that needs the other one too.
    Half,
}

/// How often a proof is tried again when the account changed meanwhile.
const ROUNDS: u32 = 4;

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
    ) -> Result<Arrived> {
        let call = permit.call().clone();
        let mut permit = Some(permit);
        for _ in 0..ROUNDS {
            let leave = match permit.take() {
                Some(permit) => permit,
                None => call.permit::<session::Login>(Target::any())?,
            };
            match self.arrive_once(leave, purposes, shown).await {
                // Both holders at once, or the account changed: what was shown is not spent yet.
                Err(error) if error.is(codes::CONFLICT) => {}
                other => return other,
            }
        }
        Err(Error::new(codes::CONFLICT))
    }

    async fn arrive_once(
        &self,
        mut permit: Permit<session::Login>,
        purposes: &[Purpose],
        shown: &Shown<'_>,
    ) -> Result<Arrived> {
        let call = permit.call().clone();
        let confirms = permit.mount().email.as_ref().is_some_and(|rules| rules.confirm);
        let found = async {
            let claimed = self.claimed(shown).await?;
            let purpose = self.purpose(&claimed, purposes).await?;
            let (whose, what) = (claimed.user.id.clone(), claimed.what);
            let challenge = claimed.challenge.clone();
            let first = confirms && claimed.user.email_confirmed_at_ms.is_none();
            let mut proven = self.proven(claimed, purpose, confirms)?;
            if first
                && purpose.is_from_outside()
                && let Proven::Whole(user, writes) = &mut proven
            {
                writes.extend(self.ways_in_of_before(&user.id).await?);
            }
            Ok::<_, Error>((whose, what, challenge, purpose, proven))
        };
        let (whose, what, challenge, purpose, proven) = match found.await {
            Ok(found) => found,
            Err(error) if error.code().kind == Kind::Unauthenticated => {
                return Err(permit.refuse(error).await);
            }
            Err(error) => return permit.close(Err(error)),
        };
        let done = match proven {
            Proven::Half(writes) => {
                permit.name_resource(whose.as_str());
                permit.commit(writes).await.map(|()| Arrived::Half).map_err(Error::from)
            }
            Proven::Whole(user, mut writes) => match challenge {
                None => self.begin(permit, purpose, what, *user, writes).await,
                Some(challenge) => {
                    let (code, write) = self.flow_code(&permit, &user.id, source(purpose, what), challenge);
                    writes.push(write);
                    permit.name_resource(whose.as_str());
                    permit.commit(writes).await.map(|()| Arrived::Code(code)).map_err(Error::from)
                }
            },
        };
        match done {
            Err(error) if error.is(codes::CODE_SPENT) => {
                if what == DIGITS {
                    self.count_wrong_digits(&whose, purpose).await?;
                }
                // A guess, counted like every other one.
                Err(call.permit::<session::Login>(Target::any())?.refuse(error).await)
            }
            other => other,
        }
    }

    async fn begin(
        &self,
        permit: Permit<session::Login>,
        purpose: Purpose,
        what: &str,
        user: User,
        writes: Vec<Write>,
    ) -> Result<Arrived> {
        let client = match client_of(None, &permit.call().origin) {
            Ok(client) => client,
            Err(error) => return permit.close(Err(error)),
        };
        let arrival = Arrival {
            user,
            method: "mail",
            source: Some(source(purpose, what).to_owned()),
            device: None,
            writes,
            refusal: codes::LOGIN_REFUSED,
            typed: None,
            renewal: None,
        };
        match self.engine.sessions().begin(permit, arrival, Keep::Tokens { client, scope: None }).await? {
            (_, Some(granted)) => Ok(Arrived::In(Box::new(granted))),
            (_, None) => Err(Error::new(codes::INTERNAL).operator("a log-in for tokens made none")),
        }
    }

    /// What ends when somebody proves for the first time that the address of an account is theirs, and did not make it: whoever did must
    /// keep no way in.
    async fn ways_in_of_before(&self, user: &UserId) -> Result<Vec<Write>> {
        let mut writes = self.engine.sessions().end_writes(user, None).await?;
        for identity in self.engine.store().identities_of(user).await? {
            writes.push(Write::DeleteIdentity { id: identity.id, user: user.clone() });
        }
        writes.extend(self.engine.api_keys().end_writes(user).await?);
        // And what goes on without them, as crons do: whoever made those has to vouch for them anew.
        writes.extend(self.engine.users().end_what_began_before(user));
        Ok(writes)
    }

    async fn claimed(&self, shown: &Shown<'_>) -> Result<Claimed> {
        let none = || Error::new(codes::CODE_SPENT);
        let (mut names_another, mut flow) = (false, None);
        let (user, address, what, secret) = match shown {
            Shown::Link(token) | Shown::Opened(token) => {
                let Token { user: id, secret, address, challenge } = code::read(token).ok_or_else(none)?;
                flow = challenge.filter(|_| matches!(shown, Shown::Opened(_)));
                let user = self.engine.store().user(&id).await?.ok_or_else(none)?;
                names_another = address.is_some();
                let address = address.or_else(|| user.email.clone()).ok_or_else(none)?;
                (user, address, LINK, secret)
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
        if user.is_kept_out(self.engine.now_ms()) {
            return Err(Error::new(codes::USER_DISABLED));
        }
        if self.engine.is_of_directory(&user.id).await? {
            return Err(none());
        }
        Ok(Claimed { user, address, names_another, what, secret, challenge: flow })
    }

    /// For which of the purposes there is something to be proven at all.
    async fn purpose(&self, claimed: &Claimed, purposes: &[Purpose]) -> Result<Purpose> {
        let now_ms = self.engine.now_ms();
        let fitting = |purpose: &&Purpose| (**purpose == Purpose::EmailChange) == claimed.names_another;
        for purpose in purposes.iter().filter(fitting) {
            let stored = purpose.stored(claimed.what, &claimed.user.id);
            if self.engine.store().any_code(&stored, now_ms).await? {
                return Ok(*purpose);
            }
        }
        Err(Error::new(codes::CODE_SPENT))
    }

    /// The account as it is afterwards, and the writes that spend the proof and make it so.
    ///
    /// # Errors
    /// `code_spent` where the account is on no way to that address.
    fn proven(&self, claimed: Claimed, purpose: Purpose, confirms: bool) -> Result<Proven> {
        let Claimed { mut user, address, what, secret, .. } = claimed;
        let now_ms = self.engine.now_ms();
        let hash =
            Bound { purpose, user: &user.id, address: &address }.hash(self.engine.proof_key(), what, &secret);
        let mut writes = vec![Write::SpendCode { purpose: purpose.stored(what, &user.id), hash, now_ms }];
        let moves = matches!(purpose, Purpose::EmailChange | Purpose::EmailChangeCurrent);
        if moves {
            let whole = moving::agree(&mut user, purpose, &address);
            if !whole.ok_or_else(|| Error::new(codes::CODE_SPENT))? {
                writes.extend(code::end_writes(purpose, &user.id));
                writes.extend(changed(&mut user, now_ms));
                return Ok(Proven::Half(writes));
            }
        } else if user.email_confirmed_at_ms.is_none() && confirms && purpose.is_from_outside() {
            // Whoever signed up with somebody else's address must not keep a password of the account.
            writes.push(Write::DropPassword { user: user.id.clone() });
        }
        // Either way of proving ends the other, and every other letter.
        writes.extend(code::end_all_writes(&user.id));
        if moves || user.email_confirmed_at_ms.is_none() || user.anonymous {
            user.email_confirmed_at_ms = Some(now_ms);
            user.anonymous = false;
            writes.extend(changed(&mut user, now_ms));
        }
        Ok(Proven::Whole(Box::new(user), writes))
    }

    pub(super) async fn may_try(&self, user: &UserId) -> bool {
        let key = format!("mail-digits:{user}");
        !self.engine.shared().hit(&key, TRIES, TRIES_MS, self.engine.now_ms()).get().await.exceeded
    }

    /// Ends the digits when the last try was wrong, in every process and for good: six digits are few.
    pub(crate) async fn count_wrong_digits(&self, user: &UserId, purpose: Purpose) -> Result<()> {
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

/// What a proof makes of an account.
enum Proven {
    /// It is logged in to.
    Whole(Box<User>, Vec<Write>),
    /// One of two has agreed.
    Half(Vec<Write>),
}

/// The way of login, as a session says it.
fn source(purpose: Purpose, what: &str) -> &'static str {
    match purpose {
        Purpose::SignUp => "email/signup",
        Purpose::MagicLink if what == DIGITS => "otp",
        other => other.as_str(),
    }
}

fn changed(user: &mut User, now_ms: i64) -> [Write; 2] {
    user.updated_at_ms = now_ms;
    user.version += 1;
    [Write::UpdateUser(user.clone()), Write::Announce(Change::User(user.id.clone()))]
}
