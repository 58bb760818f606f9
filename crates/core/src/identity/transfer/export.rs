//! Taking accounts out.

use crate::authz::catalogue::user;
use crate::error::{Error, Result};
use crate::identity::hashes::IMPORTED;
use crate::identity::model::User;
use crate::identity::users::Users;
use crate::operation::Permit;
use crate::ports::store::Page;
use crate::secret::SecretText;

/// How many accounts are in memory at once.
const PAGE: u32 = 200;

/// The hash of an account's password.
pub struct OutgoingPassword {
    /// As `identity::hashes::ForeignHash::read` takes it.
    pub hash: SecretText,
    /// Whether it is of the password's normal form (NFKC), as ours are.
    pub normalized: bool,
}

/// An account on its way out.
pub struct Outgoing {
    /// The account.
    pub user: User,
    /// Its password's hash, where hashes were asked for and it has one.
    pub password: Option<OutgoingPassword>,
}

impl Users<'_> {
    /// Hands over every account in the order of ids, with the hashes of their passwords if they are asked for. `each` says whether to go on.
    /// Sessions, keys and what providers say stay here.
    ///
    /// # Errors
    /// The store's.
    pub async fn export(
        &self,
        permit: Permit<user::Export>,
        with_hashes: bool,
        mut each: impl FnMut(Outgoing) -> bool,
    ) -> Result<()> {
        let walked = async {
            let mut after = None;
            loop {
                let page = self.engine.store().users(Page { after: after.take(), limit: PAGE }).await?;
                let whole = page.len() >= PAGE as usize;
                after = page.last().map(|user| user.id.to_string());
                for user in page {
                    let stored = match with_hashes {
                        true => self.engine.store().password(&user.id).await?,
                        false => None,
                    };
                    let password = stored.map(|stored| match stored.strip_prefix(IMPORTED) {
                        Some(hash) => OutgoingPassword { hash: hash.into(), normalized: false },
                        None => OutgoingPassword { hash: stored.as_str().into(), normalized: true },
                    });
                    if !each(Outgoing { user, password }) {
                        return Ok(());
                    }
                }
                if !whole {
                    return Ok::<(), Error>(());
                }
            }
        };
        let walked = walked.await;
        permit.close(walked)
    }
}
