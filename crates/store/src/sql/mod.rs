//! Writes as steps and rows as aggregates; a file for each port of core.

mod api_keys;
mod artifacts;
mod audit;
mod changes;
mod codes;
mod deliveries;
mod documents;
mod families;
mod identities;
mod labels;
mod messages;
mod ownership;
mod revocations;
mod runs;
mod sealed_keys;
mod sessions;
mod stand_ins;
mod thread_search;
mod threads;
mod users;
mod workspaces;

use doorward_core::ports::store::{Batch, Commit};
use doorward_core::ports::{StoreError, StoreFuture, Write};

use crate::SqlStore;
use crate::backend::Step;

impl Commit for SqlStore {
    fn commit(&self, batch: Batch) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut all = Vec::with_capacity(batch.writes.len() * 2);
            for write in batch.writes {
                steps(write, &mut all)?;
            }
            self.backend.transact(all, batch.durability).await.map(drop)
        })
    }
}

/// What a write does, in order.
fn steps(write: Write, to: &mut Vec<Step>) -> Result<(), StoreError> {
    match write {
        Write::InsertUser(user) => users::insert(&user, to)?,
        Write::UpdateUser(user) => users::update(&user, to)?,
        Write::DeleteUser(id) => users::delete(&id, to),
        Write::DropPassword { user } => to.push(users::drop_password(&user)),
        Write::SetPassword { user, phc, at_ms } => to.push(users::set_password(&user, phc, at_ms)),
        Write::ExpectPassword { user, phc } => to.push(users::expect_password(&user, phc)),
        Write::ExpectAnotherHolder { role, but } => to.push(users::expect_another_holder(role, &but)),
        Write::InsertSession(session) => to.push(sessions::insert(session)),
        Write::EndSession { id, at_ms } => to.push(sessions::end(&id, at_ms)),
        Write::TouchSession { id, at_ms } => to.push(sessions::touch(&id, at_ms)),
        Write::InsertFamily(family) => to.push(families::insert(family)),
        Write::AdvanceFamily { id, from, at_ms, expires_at_ms } => {
            to.push(families::advance(&id, from, at_ms, expires_at_ms));
        }
        Write::EndFamily { id, at_ms } => to.push(families::end(&id, at_ms)),
        Write::EndFamiliesOfSession { session, at_ms } => {
            to.push(families::end_of_session(&session, at_ms));
        }
        Write::InsertIdentity(identity) => to.push(identities::insert(identity)),
        Write::TouchIdentity { id, user, at_ms } => to.push(identities::touch(&id, &user, at_ms)),
        Write::DeleteIdentity { id, user } => to.push(identities::delete(&id, &user)),
        Write::ExpectAnotherWayIn { user, but } => to.push(identities::expect_another_way_in(&user, &but)),
        Write::InsertApiKey(key) => to.push(api_keys::insert(key)?),
        Write::RevokeApiKey { id, at_ms } => to.push(api_keys::revoke(&id, at_ms)),
        Write::TouchApiKey { id, at_ms } => to.push(api_keys::touch(&id, at_ms)),
        Write::InsertSealedKey(key) => sealed_keys::insert(key, to),
        Write::InsertFirstSealedKey(key) => sealed_keys::insert_first(key, to),
        Write::RetireSealedKey { id, at_ms } => to.push(sealed_keys::retire(&id, at_ms)),
        Write::Revoke(revocation) => to.push(revocations::insert(&revocation)),
        Write::InsertCode { purpose, hash, expires_at_ms } => {
            to.push(codes::insert(purpose, hash, expires_at_ms));
        }
        Write::SpendCode { purpose, hash, now_ms } => to.push(codes::spend(purpose, hash, now_ms)),
        Write::DropCodes { purpose } => to.push(codes::drop_all(purpose)),
        Write::DropEveryCode { but, now_ms } => to.push(codes::drop_every(but, now_ms)),
        Write::InsertThread(thread) => threads::insert(&thread, to)?,
        Write::UpdateThread(thread) => threads::update(&thread, to)?,
        Write::DeleteThread(id) => threads::delete(&id, to),
        Write::InsertMessage(message) => to.push(messages::insert(&message)?),
        Write::DeleteMessage { thread, id } => to.push(messages::delete(&thread, &id)),
        Write::InsertRun(run) => to.push(runs::insert(run)?),
        Write::ChangeThread { to: changed, seen } => threads::change(&changed, &seen, to)?,
        Write::TouchThread { id, at_ms } => threads::touch(&id, at_ms, to),
        Write::BeginRun(id) => to.push(runs::begin(&id)),
        Write::DeleteRun { id, with_messages } => runs::delete(&id, with_messages, to),
        Write::FinishRun { id, status, error, at_ms } => to.push(runs::finish(&id, status, error, at_ms)),
        Write::InterruptRuns { at_ms } => to.push(runs::interrupt_all(at_ms)),
        Write::ClaimOwnership { mount, resource, id, owner, at_ms } => {
            to.push(ownership::claim(mount, resource, id, owner, at_ms));
        }
        Write::ReleaseOwnership { mount, resource, id, owner } => {
            to.push(ownership::release(mount, resource, id, owner));
        }
        Write::InsertWorkspace { workspace, most } => workspaces::insert(workspace, most, to)?,
        Write::ChangeWorkspace { to: changed, seen } => workspaces::change(*changed, *seen, to)?,
        Write::DeleteWorkspace { id, owner } => workspaces::delete(id, owner, to),
        Write::InsertArtifact { artifact, owner, most, most_bytes } => {
            artifacts::insert(*artifact, &owner, most, most_bytes, to)?;
        }
        Write::ChangeArtifact { to: changed, id, revision, most_bytes } => {
            artifacts::change(*changed, &id, revision, most_bytes, to)?;
        }
        Write::DeleteArtifact { workspace, alias, id, recursive } => {
            artifacts::delete(workspace, alias, id, recursive, to);
        }
        Write::CountViews { id, views } => to.push(artifacts::count_views(id, views)),
        Write::EmptyWorkspace { id } => artifacts::empty_own(&id, to),
        Write::SetNote { workspace, owner, kind, name, value, most } => {
            artifacts::set_note(artifacts::Note { workspace, owner, kind, name, value, most }, to);
        }
        Write::KeepStandIn { hash, kept } => to.push(stand_ins::keep(hash, kept)),
        Write::InsertDocument { document, most, most_bytes } => {
            documents::insert(&document, most, most_bytes, to)?;
        }
        Write::ChangeDocument { to: changed, revision, most_bytes } => {
            documents::change(&changed, revision, most_bytes, to)?;
        }
        Write::DeferDocument { id, due_at_ms } => to.push(documents::defer(id, due_at_ms)),
        Write::DeleteDocument(id) => documents::delete(id, to),
        Write::QueueDelivery(delivery) => to.push(deliveries::queue(delivery)),
        Write::LeaseDelivery { webhook, id, due_ms, until_ms } => {
            to.push(deliveries::lease(webhook, id, due_ms, until_ms));
        }
        Write::PostponeDelivery { webhook, id, attempts, due_ms } => {
            to.push(deliveries::postpone(webhook, id, attempts, due_ms));
        }
        Write::EndDelivery { webhook, id } => to.push(deliveries::end(webhook, id)),
        Write::HurryDeliveries { webhook, now_ms } => to.push(deliveries::hurry(webhook, now_ms)),
        Write::Audit { node, entry } => to.push(audit::append(&node, entry)),
        Write::Announce(change) => to.push(changes::announce(change)),
    }
    Ok(())
}

/// JSON as it is kept.
fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt(format!("a value is no JSON: {error}")))
}

/// A hash of 32 bytes as it comes back.
fn hash(bytes: &[u8]) -> Result<[u8; 32], StoreError> {
    bytes.try_into().map_err(|_| StoreError::Corrupt("a stored hash is not 32 bytes".into()))
}
