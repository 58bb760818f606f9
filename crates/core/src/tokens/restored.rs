//! After a backup took the place of what was there: what had been ended since must not live again.
//!
//! Nobody knows any more what that was. So everything that was given out ends, and so do the keys that signed it: one of them may
//! have been retired because it was stolen.

use super::keys::KeyRing;
use super::model::{Revocation, Revoked};
use super::revoke::{FOR_LONG_MS, Tokens, moment_ms, revoke_writes};
use crate::authz::catalogue::backup;
use crate::error::Result;
use crate::id::KeyId;
use crate::login::SPENT;
use crate::operation::Permit;
use crate::ports::store::Write;

impl Tokens<'_> {
    /// Ends every token, session, refresh family, API key and one-time code that a restored store knows, and every key of `ring` but a
    /// new one, whose id comes back. Without a ring keys are files, which no backup holds.
    ///
    /// # Errors
    /// The store's.
    pub async fn begin_anew(
        &self,
        permit: Permit<backup::Restore>,
        ring: Option<&KeyRing>,
    ) -> Result<Option<KeyId>> {
        let engine = self.engine();
        let renewed = match ring.map(|ring| ring.begin_anew(engine)).transpose() {
            Ok(renewed) => renewed,
            Err(error) => return permit.close(Err(error)),
        };
        let at_ms = moment_ms(engine, &Revoked::All);
        let everything = Revocation { revoked: Revoked::All, at_ms, until_ms: at_ms + FOR_LONG_MS };
        let mut writes = Vec::from(revoke_writes(everything));
        // A letter's link that was used since would work once more. A used log-in stays used; one that was used since is older than
        // what ends here.
        writes.push(Write::DropEveryCode { but: SPENT.to_owned(), now_ms: engine.now_ms() });
        let id = renewed.map(|(own, id)| {
            writes.extend(own);
            id
        });
        permit.commit(writes).await?;
        if let Some(ring) = ring {
            ring.reload(engine).await?;
        }
        Ok(id)
    }

    /// Notes that a backup was restored as it was, with whatever was valid then.
    ///
    /// # Errors
    /// The store's.
    pub async fn go_on(&self, permit: Permit<backup::Restore>) -> Result<()> {
        Ok(permit.commit(Vec::new()).await?)
    }
}
