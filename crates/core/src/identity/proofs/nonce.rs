//! A code that is asked for while logged in, and shown with what needs a proof: GoTrue's reauthentication.

use super::Proofs;
use super::ask::Asked;
use super::code::{Bound, DIGITS, Made, Purpose};
use super::write::{Letter, Links};
use crate::authz::catalogue::login;
use crate::error::{Error, Result, codes};
use crate::identity::model::User;
use crate::identity::own_account::whole_owner;
use crate::operation::Permit;
use crate::ports::store::Write;
use crate::secret::SecretText;

impl Proofs<'_> {
    /// Writes six digits to the caller's own address.
    ///
    /// # Errors
    /// `bad_field` for an account without a proven address; `mail_too_soon`, `rate_limited`; `forbidden` for a credential that is less
    /// than a log-in.
    pub async fn ask_nonce(&self, mut permit: Permit<login::Begin>, links: &Links) -> Result<Asked> {
        let asked = Asked { at_ms: self.engine.now_ms() };
        let checked = async {
            let (id, _) = whole_owner(&permit)?;
            let user = self.engine.store().user(&id).await?.ok_or_else(|| Error::new(codes::NOT_FOUND))?;
            let missing = || {
                Error::new(codes::BAD_FIELD)
                    .message("Reauthentication requires the user to have an email or a phone number")
            };
            let address = user.email.ok_or_else(missing)?;
            self.may_write(&permit, &address).await.map(|address| (id, address))
        };
        let (id, address) = match checked.await {
            Ok(found) => found,
            Err(error) => return permit.close(Err(error)),
        };
        let call = permit.call().clone();
        let Made { token, digits, writes } = self.made(Purpose::Reauthentication, &id, &address, links);
        permit.name_resource(id.as_str());
        permit.commit(writes).await?;
        let letter = Letter { purpose: Purpose::Reauthentication, address: &address, again: false };
        self.write_to(&call, &letter, (token.expose(), digits.expose()), links);
        Ok(asked)
    }

    /// The write that spends a nonce: what it is shown with happens only if it is good.
    ///
    /// # Errors
    /// `code_spent` for what cannot be one, and after five tries.
    pub(crate) async fn nonce_write(&self, user: &User, nonce: &SecretText) -> Result<Write> {
        let spent = || Error::new(codes::CODE_SPENT);
        let text = nonce.expose();
        let well_formed = text.len() == 6 && text.bytes().all(|b| b.is_ascii_digit());
        let address = user.email.as_deref().filter(|_| well_formed).ok_or_else(spent)?;
        if !self.may_try(&user.id).await {
            return Err(spent());
        }
        let purpose = Purpose::Reauthentication;
        let hash = Bound { purpose, user: &user.id, address }.hash(self.engine.proof_key(), DIGITS, text);
        let now_ms = self.engine.now_ms();
        Ok(Write::SpendCode { purpose: purpose.stored(DIGITS, &user.id), hash, now_ms })
    }
}
