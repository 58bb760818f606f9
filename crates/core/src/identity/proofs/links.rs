//! Links that an administrator passes on, or has sent: GoTrue's `generate_link` and `invite`.

use serde_json::{Map, Value};

use super::Proofs;
use super::code::{Made, Purpose};
use super::write::{Letter, Links};
use crate::authz::catalogue::{Action as _, user};
use crate::error::{Error, Result, codes};
use crate::identity::model::User;
use crate::identity::users::NewUser;
use crate::identity::validate;
use crate::operation::{Call, Permit};
use crate::ports::store::{Change, Write};
use crate::secret::SecretText;

/// Whom a link is for, and what it opens.
pub struct LinkFor<'a> {
    /// What it opens.
    pub purpose: Purpose,
    /// The account's address as typed.
    pub email: &'a str,
    /// The address it is to have, for the two purposes of a move.
    pub new_email: Option<&'a str>,
    /// The password of an account that is made for it.
    pub password: Option<SecretText>,
    /// What such an account says of itself.
    pub user_metadata: Map<String, Value>,
    /// Whether the link is sent to its address, instead of being handed out.
    pub sent: bool,
}

/// What was made. It opens the account: whoever has it is its user.
pub struct MadeLink {
    /// The account.
    pub user: User,
    /// The link.
    pub link: SecretText,
    /// What the link holds.
    pub token: SecretText,
    /// The digits; empty where the account does not know their address yet.
    pub digits: SecretText,
    /// What it opens: for an address that had no account, a sign-up.
    pub purpose: Purpose,
    /// Where it leads in the end.
    pub go_to: String,
    /// When it was made.
    pub at_ms: i64,
}

impl Proofs<'_> {
    /// Makes a link. A sign-up, an invitation and a magic link make the account too, where there is none.
    ///
    /// # Errors
    /// `not_found` where there is no account; `email_taken` where a sign-up or an invitation is for an address that is proven, or a move
    /// to another's; `bad_field`, `weak_password`; `beyond_key`.
    pub async fn make_link(
        &self,
        mut permit: Permit<user::Administer>,
        wanted: LinkFor<'_>,
        links: &Links,
    ) -> Result<MadeLink> {
        let (call, at_ms) = (permit.call().clone(), self.engine.now_ms());
        let prepared = async {
            let (email, sent, asked) = (validate::email(wanted.email)?, wanted.sent, wanted.purpose);
            let new_email = wanted.new_email.map(validate::email).transpose()?;
            let (mut user, mut writes, purpose) = self.holder(&permit, &email, wanted).await?;
            let address = match (asked, new_email) {
                (Purpose::EmailChange | Purpose::EmailChangeCurrent, Some(new)) => {
                    self.not_anothers(&new, &user.id).await?;
                    // Links for both holders are asked for one after the other.
                    if user.moving.as_ref().is_none_or(|moving| moving.to != new) {
                        (user, writes) = self.moved(&permit, user, &new);
                    }
                    if asked == Purpose::EmailChange { new } else { email }
                }
                (Purpose::EmailChange | Purpose::EmailChangeCurrent, None) => {
                    return Err(Error::new(codes::BAD_FIELD).message("new_email: is needed."));
                }
                _ => email,
            };
            Ok((user, writes, purpose, address, sent))
        };
        let (user, mut writes, purpose, address, sent) = match prepared.await {
            Ok(prepared) => prepared,
            Err(error) => return permit.close(Err(error)),
        };
        let Made { token, digits, writes: codes } = self.made(purpose, &user.id, &address, links);
        writes.extend(codes);
        permit.name_resource(user.id.as_str());
        permit.commit(writes).await?;
        let (link, go_to) = self.link(&call, purpose, token.expose(), links);
        if sent {
            let letter = Letter { purpose, address: &address, again: true };
            self.write_to(&call, &letter, (token.expose(), digits.expose()), links);
        }
        let digits = if purpose == Purpose::EmailChange { SecretText::new(String::new()) } else { digits };
        Ok(MadeLink { user, link: SecretText::new(link), token, digits, purpose, go_to, at_ms })
    }

    /// The account of an address, made where that is wanted, and what the link then opens.
    async fn holder(
        &self,
        permit: &Permit<user::Administer>,
        email: &str,
        wanted: LinkFor<'_>,
    ) -> Result<(User, Vec<Write>, Purpose)> {
        let invited = wanted.purpose == Purpose::Invite;
        let new = matches!(wanted.purpose, Purpose::SignUp | Purpose::Invite);
        let now_ms = self.engine.now_ms();
        if let Some(mut user) = self.engine.store().user_by_login(email).await? {
            if user.email.as_deref() != Some(email) || user.is_kept_out(now_ms) {
                return Err(Error::new(codes::NOT_FOUND));
            }
            self.engine.within_key(permit, &user)?;
            if new && user.email_confirmed_at_ms.is_some() {
                return Err(Error::new(codes::EMAIL_TAKEN));
            }
            let mut writes = Vec::new();
            // The one that was given before may be anybody's.
            if let Some(password) = wanted.password.filter(|_| wanted.purpose == Purpose::SignUp) {
                let (mount, from) = (permit.mount(), permit.call().origin.address);
                writes.push(self.engine.users().password_write(mount, &user, &password, from).await?);
            }
            if invited {
                user.invited_at_ms = Some(now_ms);
                user.updated_at_ms = now_ms;
                user.version += 1;
                writes.push(Write::UpdateUser(user.clone()));
                writes.push(Write::Announce(Change::User(user.id.clone())));
            }
            return Ok((user, writes, wanted.purpose));
        }
        if !new && wanted.purpose != Purpose::MagicLink {
            return Err(Error::new(codes::NOT_FOUND));
        }
        let call: &Call = permit.call();
        // Whoever makes an account for somebody may do that too.
        call.may(user::Create::DEF)?;
        let account = NewUser {
            email: Some(email.to_owned()),
            password: wanted.password.filter(|_| !invited),
            user_metadata: wanted.user_metadata,
            invited_at_ms: invited.then_some(now_ms),
            ..NewUser::default()
        };
        let (user, writes) = self.engine.users().prepare(&call.mount, account, None).await?;
        Ok((user, writes, if invited { Purpose::Invite } else { Purpose::SignUp }))
    }
}
