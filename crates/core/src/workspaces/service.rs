//! Workspaces that stay, as a service.

use std::collections::BTreeMap;

use super::model::{
    MAX_DESCRIPTION_CHARS, MAX_NAME_CHARS, MOST_OF_ONE, NewWorkspace, Workspace, WorkspaceChanges,
};
use super::names;
use crate::authz::catalogue::workspace;
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::id::MAX_ID_BYTES;
use crate::identity::validate;
use crate::limits::failures::counter_of;
use crate::operation::{Grant, Permit};
use crate::ports::store::{Page, Write};
use crate::ports::{Conflict, StoreError};
use crate::principal::PrincipalKind;
use crate::tokens::held::AFTER_END_S;
use crate::tokens::model::{Revocation, Revoked};
use crate::tokens::revoke::{end_of_workspace_ms, revoke_writes};

/// How often a change is tried that others get before.
pub(super) const TRIES: usize = 8;

/// How many workspaces one may make and remove, in which time: each of them ends what was given in it, which is kept for days.
const MOST_ACTS: u32 = 60;
const ACTS_WITHIN_MS: i64 = 60_000;

/// Workspaces as a service.
pub struct Workspaces<'e> {
    pub(super) engine: &'e Engine,
}

fn not_found() -> Error {
    Error::new(codes::NOT_FOUND)
}

fn exists(id: &str) -> Error {
    Error::new(codes::WORKSPACE_EXISTS).message(format!("Workspace already exists: {id}"))
}

/// One may go on after that.
fn too_soon(left_ms: i64) -> Error {
    let left_s = u32::try_from(left_ms.saturating_add(999) / 1000).unwrap_or(60).max(1);
    let message = format!("Workspaces are made and removed too often: try again in {left_s} s.");
    Error::new(codes::RATE_LIMITED).message(message).retry_after_s(left_s)
}

fn description(text: &str) -> Result<String> {
    // Line ends are welcome here; whatever else steers a terminal is not.
    let steers = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    if text.chars().count() > MAX_DESCRIPTION_CHARS || text.chars().any(steers) {
        let message =
            format!("description: at most {MAX_DESCRIPTION_CHARS} characters, and no control characters.");
        return Err(Error::new(codes::BAD_FIELD).message(message));
    }
    Ok(text.to_owned())
}

impl Workspaces<'_> {
    /// The workspace with this id, for deciding: it is shown to nobody by this. `None` for one there is not, and for one that the hub
    /// keeps in memory alone.
    ///
    /// # Errors
    /// The store's.
    pub async fn find(&self, id: &str) -> Result<Option<Workspace>> {
        if !names::is_id(id) {
            return Ok(None);
        }
        Ok(self.engine.store().workspace(id).await?)
    }

    /// The id of the own workspace of whoever was given this leave.
    fn own(grant: &Grant) -> String {
        names::own(&grant.auth().principal, &grant.mount().tokens.authority)
    }

    fn made(&self, grant: &Grant, new: &NewWorkspace) -> Result<Workspace> {
        if !names::can_be_made(&new.id) && new.id != Self::own(grant) {
            let message = format!(
                "Workspace id: up to {MAX_ID_BYTES} of a-z, 0-9, '-' and '|', with a hyphen, and not ws-user-…"
            );
            return Err(Error::new(codes::BAD_FIELD).message(message));
        }
        let name = new.name.as_deref().unwrap_or(&new.id);
        validate::metadata("details", &new.details)?;
        let principal = &grant.auth().principal;
        Ok(Workspace {
            id: new.id.clone(),
            name: validate::label("name", name, MAX_NAME_CHARS)?,
            description: description(&new.description)?,
            owner: principal.owner_key(),
            owner_ids: vec![principal.subject.to_string()],
            persistent: new.persistent,
            created_at_ms: self.engine.now_ms(),
            details: new.details.clone(),
            members: self.joined(&BTreeMap::new(), &new.members, &[&*principal.subject])?,
        })
    }

    /// Counts somebody who makes or removes one. Whoever acts for another counts as that one, and visitors of one network together: each of
    /// them is somebody new whenever they like.
    async fn count_act(&self, grant: &Grant) -> Result<()> {
        let auth = grant.auth();
        let by = auth.actors.last().unwrap_or(&auth.principal);
        let whose = match by.kind {
            PrincipalKind::Anonymous => counter_of(grant.call().origin.address),
            _ => by.owner_key(),
        };
        let now_ms = self.engine.now_ms();
        let key = format!("workspaces:{whose}");
        let hit = self.engine.shared().hit(&key, MOST_ACTS, ACTS_WITHIN_MS, now_ms).get().await;
        if hit.exceeded {
            return Err(too_soon(hit.ends_at_ms.saturating_sub(now_ms)));
        }
        Ok(())
    }

    /// How long it takes until a workspace of this name can be ended or made anew: some of a second, where both were done a moment ago.
    #[must_use]
    pub fn pause_ms(&self, id: &str) -> i64 {
        end_of_workspace_ms(self.engine, &Revoked::Workspace(id.to_owned())).err().unwrap_or(0)
    }

    /// Gives one of the caller's that does not stay, and that is there now, what a new one would have. It goes on: nothing that was given in
    /// it ends.
    ///
    /// # Errors
    /// `bad_field`; `rate_limited`; `workspace_exists` for one that stays.
    pub async fn create_over(
        &self,
        mut permit: Permit<workspace::Create>,
        new: NewWorkspace,
    ) -> Result<Workspace> {
        permit.name_resource(&new.id.chars().take(MAX_ID_BYTES).collect::<String>());
        let prepared = async {
            let made = self.made(&permit, &new)?;
            self.count_act(&permit).await?;
            match made.persistent || self.find(&made.id).await?.is_some() {
                true => Err(exists(&made.id)),
                false => Ok(made),
            }
        };
        match prepared.await {
            Ok(made) => permit.commit(Vec::new()).await.map(|()| made).map_err(Into::into),
            Err(error) => permit.close(Err(error)),
        }
    }

    /// Makes a workspace of the caller's. One that does not stay is judged and noted in the audit log, and kept by whoever asked. With
    /// `overwrite`, one that the caller owns is given what the new one has; it stays whose it was.
    ///
    /// # Errors
    /// `bad_field`; `workspace_exists`; `too_many_workspaces` beyond 100 of one owner; `not_found` for overwriting somebody else's;
    /// `rate_limited` for many in a minute, or one name several times in a second.
    pub async fn create(
        &self,
        mut permit: Permit<workspace::Create>,
        new: NewWorkspace,
        overwrite: bool,
    ) -> Result<Workspace> {
        permit.name_resource(&new.id.chars().take(MAX_ID_BYTES).collect::<String>());
        let made = match self.made(&permit, &new) {
            Ok(made) => made,
            Err(error) => return permit.close(Err(error)),
        };
        if let Err(error) = self.count_act(&permit).await {
            return permit.close(Err(error));
        }
        for _ in 0..TRIES {
            let prepared = async {
                Ok(match self.engine.store().workspace(&made.id).await? {
                    None => {
                        // What was given in one of this name that is no more is nothing here.
                        let mut writes = self.anew(&permit, &made.id)?;
                        if made.persistent {
                            let workspace = made.clone();
                            writes.push(Write::InsertWorkspace { workspace, most: MOST_OF_ONE });
                        }
                        (made.clone(), writes)
                    }
                    Some(_) if !overwrite => return Err(exists(&made.id)),
                    Some(seen) => {
                        permit.must_reach(&seen.id, &seen.owner)?;
                        if !made.persistent {
                            let message = "persistent: this workspace stays; delete it first.";
                            return Err(Error::new(codes::BAD_FIELD).message(message));
                        }
                        let to = Workspace {
                            owner: seen.owner.clone(),
                            owner_ids: seen.owner_ids.clone(),
                            created_at_ms: seen.created_at_ms,
                            // Who may be in it is said by `share` alone.
                            members: seen.members.clone(),
                            ..made.clone()
                        };
                        let write = Write::ChangeWorkspace { to: Box::new(to.clone()), seen: Box::new(seen) };
                        (to, vec![write])
                    }
                })
            };
            let (workspace, writes) = match prepared.await {
                Ok(prepared) => prepared,
                Err(error) => return permit.close(Err(error)),
            };
            match permit.attempt(writes).await {
                Ok(()) => return Ok(workspace),
                // Somebody made, changed or removed it meanwhile: look again.
                Err(StoreError::Conflict(Conflict::Stale | Conflict::Exists)) => {}
                Err(error) => return permit.close(Err(error.into())),
            }
        }
        permit.close(Err(Error::new(codes::CONFLICT)))
    }

    /// Ends what was given in earlier workspaces of a name that anybody can make. One's own is nobody else's later.
    fn anew(&self, grant: &Grant, id: &str) -> Result<Vec<Write>> {
        if names::is_own(id) { Ok(Vec::new()) } else { self.outlived(grant, id) }
    }

    /// Ends what others were given in a workspace up to now.
    fn outlived(&self, grant: &Grant, id: &str) -> Result<Vec<Write>> {
        let revoked = Revoked::Workspace(id.to_owned());
        let at_ms = end_of_workspace_ms(self.engine, &revoked).map_err(too_soon)?;
        let until_ms = self.remembered_until_ms(grant, at_ms);
        Ok(revoke_writes(Revocation { until_ms, revoked, at_ms }).into())
    }

    /// Until when it has to be known that what tokens are made of has ended.
    pub(super) fn remembered_until_ms(&self, grant: &Grant, at_ms: i64) -> i64 {
        let longest_s = grant.mount().tokens.max_ttl_s.saturating_add(AFTER_END_S);
        at_ms.saturating_add(longest_s.saturating_mul(1000))
    }

    /// The workspaces that stay and that the caller owns or was given, in the order of their ids; at most 200.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(&self, permit: Permit<workspace::List>, page: Page) -> Result<Vec<Workspace>> {
        let page = Page { limit: page.limit.clamp(1, 200), ..page };
        let found = self.engine.store().workspaces(permit.filter(), page).await;
        permit.close(found.map_err(Into::into))
    }

    /// One that stays, if the leave reaches it.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn get(&self, permit: Permit<workspace::Read>, id: &str) -> Result<Workspace> {
        let found = self.reached(&permit, id).await;
        permit.close(found)
    }

    pub(super) async fn reached(&self, grant: &Grant, id: &str) -> Result<Workspace> {
        let found = self.find(id).await?.ok_or_else(not_found)?;
        grant.must_reach(&found.id, &found.owner)?;
        Ok(found)
    }

    /// Changes what a workspace is shown as.
    ///
    /// # Errors
    /// `not_found`, `bad_field`.
    pub async fn update(
        &self,
        mut permit: Permit<workspace::Manage>,
        id: &str,
        changes: WorkspaceChanges,
    ) -> Result<Workspace> {
        for _ in 0..TRIES {
            let prepared = async {
                let seen = self.reached(&permit, id).await?;
                let mut to = seen.clone();
                if let Some(name) = &changes.name {
                    to.name = validate::label("name", name, MAX_NAME_CHARS)?;
                }
                if let Some(text) = &changes.description {
                    to.description = description(text)?;
                }
                for (name, value) in changes.details.iter().flatten() {
                    if value.is_null() {
                        to.details.remove(name);
                    } else {
                        to.details.insert(name.clone(), value.clone());
                    }
                }
                validate::metadata("details", &to.details)?;
                Ok((seen, to))
            };
            let (seen, to) = match prepared.await {
                Ok(prepared) => prepared,
                Err(error) => return permit.close(Err(error)),
            };
            permit.name_resource(&to.id);
            let write = Write::ChangeWorkspace { to: Box::new(to.clone()), seen: Box::new(seen) };
            match permit.attempt(vec![write]).await {
                Ok(()) => return Ok(to),
                Err(StoreError::Conflict(Conflict::Stale)) => {}
                Err(error) => return permit.close(Err(error.into())),
            }
        }
        permit.close(Err(Error::new(codes::CONFLICT)))
    }

    /// Removes everything that is kept in a workspace that is no row of its own, such as somebody's own one.
    ///
    /// # Errors
    /// `not_found` for what the leave does not reach; `conflict` for one that has become a row; `rate_limited`; the store's.
    pub async fn empty(&self, mut permit: Permit<workspace::Delete>, id: &str, owner: &str) -> Result<()> {
        permit.name_resource(id);
        if let Err(error) = permit.must_reach(id, owner) {
            return permit.close(Err(error));
        }
        let counted = self.count_act(&permit).await;
        let mut writes = match counted.and_then(|()| self.outlived(&permit, id)) {
            Ok(writes) => writes,
            Err(error) => return permit.close(Err(error)),
        };
        writes.push(Write::EmptyWorkspace { id: id.to_owned() });
        match permit.commit(writes).await {
            // Somebody made it one that stays meanwhile, and put things in it.
            Err(StoreError::Conflict(Conflict::Exists)) => Err(Error::new(codes::CONFLICT)),
            other => Ok(other?),
        }
    }

    /// Removes a workspace that stays. Who is in it, and what they offer, is the hub's to end.
    ///
    /// # Errors
    /// `not_found`; `rate_limited`.
    pub async fn delete(&self, mut permit: Permit<workspace::Delete>, id: &str) -> Result<()> {
        let found = match self.reached(&permit, id).await {
            Ok(found) => found,
            Err(error) => return permit.close(Err(error)),
        };
        permit.name_resource(&found.id);
        let counted = self.count_act(&permit).await;
        let outlived = match counted.and_then(|()| self.outlived(&permit, &found.id)) {
            Ok(writes) => writes,
            Err(error) => return permit.close(Err(error)),
        };
        let mut writes = self.ended(&permit, &found, None);
        writes.extend(outlived);
        writes.push(Write::DeleteWorkspace { id: found.id, owner: found.owner });
        match permit.commit(writes).await {
            Err(StoreError::Conflict(Conflict::Missing)) => Err(not_found()),
            other => Ok(other?),
        }
    }
}

impl Engine {
    /// Workspaces that stay.
    #[must_use]
    pub fn workspaces(&self) -> Workspaces<'_> {
        Workspaces { engine: self }
    }

    /// Whose a workspace is, where that is known without the hub: the own one of `principal`, or one that stays. For [`crate::authz::Target::owner`].
    ///
    /// # Errors
    /// The store's.
    pub async fn workspace_owner(
        &self,
        principal: &crate::principal::Principal,
        authority: &str,
        id: &str,
    ) -> Result<Option<String>> {
        if id == names::own(principal, authority) {
            return Ok(Some(principal.owner_key()));
        }
        Ok(self.workspaces().find(id).await?.map(|workspace| workspace.owner))
    }
}
