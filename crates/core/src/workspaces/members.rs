//! Members: who beside its owner may be in a workspace that stays.
//!
//! ```text
//! share ─► members of the row, each with a handle of its own ─► as_member: one more source of `given` ─► the decision
//!        └ who is a member no more: the handle is revoked ─► tokens made of the membership, and connections, end
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use super::model::{MOST_MEMBERS, Member, Workspace};
use super::service::TRIES;
use super::{Permission, Workspaces, names};
use crate::authz::catalogue::workspace;
use crate::authz::filter::Filter;
use crate::error::{Error, Result, codes};
use crate::id::TokenId;
use crate::operation::{Grant, Permit};
use crate::ports::store::{Page, Write};
use crate::ports::{Conflict, StoreError};
use crate::principal::Principal;
use crate::tokens::model::{Revocation, Revoked};
use crate::tokens::revoke::revoke_writes;

/// What a list of members is kept under for queries.
pub const LABEL: &str = "member";

impl Workspaces<'_> {
    /// The members as they are to be. Whoever reaches as far as before keeps the handle; whoever owns it needs no place in the list.
    pub(super) fn joined(
        &self,
        seen: &BTreeMap<String, Member>,
        wanted: &BTreeMap<String, Permission>,
        owners: &[&str],
    ) -> Result<BTreeMap<String, Member>> {
        let bad = |message: String| Error::new(codes::BAD_FIELD).message(message);
        if let Some(odd) = wanted.keys().find(|name| !names::is_member(name)) {
            let shown: String = odd.chars().take(64).collect();
            let message = format!(
                "members: {shown:?} is no user's id; addresses are none, since anybody can claim one."
            );
            return Err(bad(message));
        }
        let wanted = wanted.iter().filter(|(name, _)| !owners.contains(&name.as_str()));
        let joined: BTreeMap<String, Member> = wanted
            .map(|(name, permission)| {
                let kept = seen.get(name).filter(|member| member.permission == *permission);
                let member = kept.cloned().unwrap_or_else(|| Member {
                    permission: *permission,
                    handle: TokenId::new(self.engine.clock(), self.engine.random()).as_str().into(),
                });
                (name.clone(), member)
            })
            .collect();
        if joined.len() > MOST_MEMBERS {
            return Err(bad(format!("members: a workspace has at most {MOST_MEMBERS}.")));
        }
        Ok(joined)
    }

    /// Says who else may be in a workspace, in place of what was said before. What was made of a membership that ends, or that reaches
    /// differently now, ends with it: tokens and connections.
    ///
    /// # Errors
    /// `not_found`; `bad_field` for what is nobody's id, and for more than 100.
    pub async fn share(
        &self,
        mut permit: Permit<workspace::Share>,
        id: &str,
        members: &BTreeMap<String, Permission>,
    ) -> Result<Workspace> {
        for _ in 0..TRIES {
            let prepared = async {
                let seen = self.reached(&permit, id).await?;
                let owner = Principal::of_owner_key(&seen.owner);
                let owner = owner.map(|owner| names::member(&owner, &permit.mount().tokens.authority));
                let owners: Vec<&str> =
                    seen.owner_ids.iter().map(String::as_str).chain(owner.as_deref()).collect();
                let members = self.joined(&seen.members, members, &owners)?;
                Ok((seen.clone(), Workspace { members, ..seen }))
            };
            let (seen, to) = match prepared.await {
                Ok(prepared) => prepared,
                Err(error) => return permit.close(Err(error)),
            };
            permit.name_resource(&to.id);
            let mut writes = self.ended(&permit, &seen, Some(&to));
            writes.push(Write::ChangeWorkspace { to: Box::new(to.clone()), seen: Box::new(seen) });
            match permit.attempt(writes).await {
                Ok(()) => return Ok(to),
                Err(StoreError::Conflict(Conflict::Stale)) => {}
                Err(error) => return permit.close(Err(error.into())),
            }
        }
        permit.close(Err(Error::new(codes::CONFLICT)))
    }

    /// Revokes what hangs on memberships that are no more.
    pub(super) fn ended(&self, grant: &Grant, seen: &Workspace, to: Option<&Workspace>) -> Vec<Write> {
        let at_ms = self.engine.now_ms();
        let until_ms = self.remembered_until_ms(grant, at_ms);
        let stays = |handle: &Arc<str>| {
            to.is_some_and(|to| to.members.values().any(|member| member.handle == *handle))
        };
        let ended = seen.members.values().filter(|member| !stays(&member.handle));
        ended
            .flat_map(|member| {
                let revoked = Revoked::Token(member.handle.to_string());
                revoke_writes(Revocation { revoked, at_ms, until_ms })
            })
            .collect()
    }

    /// The workspaces that somebody is a member of, in the order of their ids; at most 200. For deciding, as [`Workspaces::find`].
    ///
    /// # Errors
    /// The store's.
    pub async fn shared_with(&self, principal: &Principal, authority: &str) -> Result<Vec<Workspace>> {
        let filter = Filter::Contains(LABEL.to_owned(), names::member(principal, authority));
        Ok(self.engine.store().workspaces(&filter, Page { after: None, limit: 200 }).await?)
    }
}
