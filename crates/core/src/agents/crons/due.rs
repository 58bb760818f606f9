//! Claiming crons that are due, and finding out as whom they run now.

use std::sync::Arc;

use super::maker::Maker;
use super::{Cron, Crons, Kept, shown};
use crate::agents::document::{Document, Kind};
use crate::authz::catalogue::{Action as _, run};
use crate::authz::filter::Filter;
use crate::error::{Error, Result, codes};
use crate::mount::Mount;
use crate::operation::Call;
use crate::ports::documents::DocumentQuery;
use crate::ports::store::Write;
use crate::ports::{Batch, Conflict, StoreError};

/// Most crons that are claimed at once.
pub const AT_ONCE: u32 = 32;
/// How many crons are looked at together for revocations, and in all.
const PART: u32 = 100;
const MAX_SWEPT: u32 = 20_000;
/// When a cron that cannot be read is looked at again.
const AGAIN_MS: i64 = 24 * 3_600_000;

/// A cron whose time was claimed: nobody else runs it for that time.
pub struct Due {
    /// The cron.
    pub cron: Cron,
    owner: String,
    maker: String,
}

impl Crons<'_> {
    /// Claims what is due on a mount, the longest due first, at most [`AT_ONCE`]; returns it with how much was looked at. The next time of
    /// each is written before it is given out.
    ///
    /// # Errors
    /// `revocations_unknown` while the store's news cannot be had: nothing is claimed then. The store's.
    pub async fn claim(&self, mount: &Mount) -> Result<(Vec<Due>, usize)> {
        self.engine.feed().fresh(self.engine.clock())?;
        let now_ms = self.engine.now_ms();
        let due = self.engine.store().due_documents(&mount.name, Kind::Cron, now_ms, AT_ONCE).await?;
        let (count, mut claimed) = (due.len(), Vec::new());
        for document in due {
            let (id, revision) = (document.id.clone(), document.revision);
            let (to, due) = match later(document, now_ms) {
                Ok(later) => later,
                Err(error) => {
                    tracing::error!(cron = %id, ?error, "a cron cannot be read");
                    let due_at_ms = now_ms.saturating_add(AGAIN_MS);
                    self.engine.commit(Batch::durable(vec![Write::DeferDocument { id, due_at_ms }])).await?;
                    continue;
                }
            };
            let claim = Write::ChangeDocument { to: Box::new(to), revision, most_bytes: u64::MAX };
            match self.engine.commit(Batch::durable(vec![claim])).await {
                Ok(()) => claimed.push(due),
                // Another process has it, or its owner has just changed or removed it.
                Err(StoreError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok((claimed, count))
    }

    /// The call in which a claimed cron runs: its maker's, as of now.
    ///
    /// # Errors
    /// The refusal of whoever may not come in any more. It is in the audit log by then; the cron of somebody who is gone is gone too, and one
    /// whose maker is kept out or was revoked is turned off.
    pub async fn caller(&self, mount: &Arc<Mount>, due: &Due) -> Result<Call> {
        let made = match Maker::open(self.engine, &due.cron.id, &due.maker) {
            Ok(maker) => maker.now(self.engine, &due.owner).await,
            Err(error) => Err(error),
        };
        let error = match made {
            Ok(auth) => return Ok(self.engine.system_call(mount, super::maker::METHOD).of(auth)),
            Err(error) => error,
        };
        let reason = error.operator_detail().unwrap_or(error.code().name).to_owned();
        self.not_begun(mount, due, &reason);
        if error.is(codes::TOKEN_INVALID) {
            self.forget(mount, &due.cron.id).await?;
        } else if is_kept_out(&error) {
            self.turn_off(mount, &due.cron.id).await?;
        }
        Err(error)
    }

    /// Says in the audit log that a claimed cron did not begin its run, and why.
    pub fn not_begun(&self, mount: &Arc<Mount>, due: &Due, reason: &str) {
        let call = self.engine.system_call(mount, super::maker::METHOD);
        call.note_not_begun(run::Create::DEF, (&due.owner, super::maker::METHOD), &due.cron.id, reason);
    }

    /// Whether there is a thread of this id, whosever it is.
    ///
    /// # Errors
    /// The store's.
    pub async fn has_thread(&self, mount: &Mount, id: &str) -> Result<bool> {
        let found = self.engine.store().thread(&mount.name, &id.into(), &Filter::Everything).await?;
        Ok(found.is_some())
    }

    /// Removes a cron whose thread or owner is gone.
    ///
    /// # Errors
    /// The store's.
    pub async fn forget(&self, mount: &Mount, id: &str) -> Result<()> {
        if self.engine.store().document(&mount.name, Kind::Cron, id, &Filter::Everything).await?.is_none() {
            return Ok(());
        }
        match self.engine.commit(Batch::durable(vec![Write::DeleteDocument(id.to_owned())])).await {
            Ok(()) | Err(StoreError::Conflict(Conflict::Missing)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Turns off the crons of a mount whose makers were revoked since: by when they are due the revocation may be forgotten. At most so
    /// many are looked at as there are for one search.
    ///
    /// # Errors
    /// The store's.
    pub async fn turn_off_revoked(&self, mount: &Mount) -> Result<()> {
        let mut query: DocumentQuery = super::all(None, PART);
        while query.offset < MAX_SWEPT {
            let store = self.engine.store();
            let part = store.documents(&mount.name, Kind::Cron, &Filter::Everything, &query).await?;
            for cron in &part {
                let maker = Kept::of(cron).and_then(|kept| Maker::open(self.engine, &cron.id, &kept.maker));
                if cron.due_at_ms.is_some() && maker.is_ok_and(|maker| maker.is_revoked(self.engine)) {
                    self.turn_off(mount, &cron.id).await?;
                }
            }
            if part.len() < PART as usize {
                break;
            }
            query.offset += PART;
        }
        Ok(())
    }

    /// Its owner may turn it on again, and vouches for it by that.
    async fn turn_off(&self, mount: &Mount, id: &str) -> Result<()> {
        let seen = self.engine.store().document(&mount.name, Kind::Cron, id, &Filter::Everything).await?;
        let Some(seen) = seen else { return Ok(()) };
        let revision = seen.revision;
        let kept = Kept { enabled: false, ..Kept::of(&seen)? };
        let to = Document { due_at_ms: None, body: kept.into_body()?, revision: revision + 1, ..seen };
        let off = Write::ChangeDocument { to: Box::new(to), revision, most_bytes: u64::MAX };
        match self.engine.commit(Batch::durable(vec![off])).await {
            // Changed meanwhile: it is looked at again when it is due.
            Ok(()) | Err(StoreError::Conflict(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether somebody may not come in any more, until they vouch for the cron anew.
fn is_kept_out(error: &Error) -> bool {
    let keys = [codes::KEY_INVALID, codes::KEY_REVOKED, codes::KEY_EXPIRED];
    error.is(codes::USER_DISABLED) || error.is(codes::TOKEN_REVOKED) || keys.iter().any(|code| error.is(code))
}

/// A document that is due as it is once this time is claimed.
fn later(document: Document, now_ms: i64) -> Result<(Document, Due)> {
    let mut kept = Kept::of(&document)?;
    // However many times have passed, the next one is ahead.
    kept.plan(now_ms)?;
    let (owner, maker) = (document.owner.clone(), kept.maker.clone());
    let cron = shown(&document)?;
    let to = Document {
        due_at_ms: kept.due_at_ms(),
        body: kept.into_body()?,
        revision: document.revision + 1,
        ..document
    };
    if to.due_at_ms.is_some_and(|due_ms| due_ms <= now_ms) {
        return Err(Error::new(codes::INTERNAL).operator("its next time is not ahead"));
    }
    Ok((to, Due { cron, owner, maker }))
}
