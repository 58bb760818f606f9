//! Who owns what an upstream keeps, for upstreams that keep no owner themselves.
//!
//! The first claim wins, atomically. A claim made for a request that the upstream then refused is given back.

use std::collections::HashSet;

use crate::authz::Denial;
use crate::authz::filter::Filter;
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::id::MAX_ID_BYTES;
use crate::operation::Grant;
use crate::ports::store::Write;
use crate::ports::{Batch, Conflict, StoreError};
use crate::principal::Principal;

/// Ownership as a service. Every call carries the grant of the operation it is part of.
pub struct Ownership<'e> {
    engine: &'e Engine,
}

/// What a claim came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It is new: give it back if the upstream refuses.
    Made,
    /// It was the caller's already.
    Held,
}

fn owner_of(grant: &Grant) -> String {
    grant.auth().principal.owner_key()
}

/// What owns the things that are gone ([`Ownership::bury`]).
fn gone() -> String {
    Principal::system("gone").owner_key()
}

/// Whether the grant reaches a thing of this owner. What is gone stays hidden from who may reach it by its name.
fn reaches(grant: &Grant, id: &str, owner: &str) -> bool {
    grant.must_reach(id, owner).is_ok() && (*grant.filter() == Filter::Everything || owner != gone())
}

impl<'e> Ownership<'e> {
    pub(crate) fn new(engine: &'e Engine) -> Self {
        Self { engine }
    }

    /// Refuses what belongs to somebody else or to nobody.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn check(&self, grant: &Grant, resource: &str, id: &str) -> Result<()> {
        let hidden = || Error::from(Denial::Owner);
        if id.is_empty() || id.len() > MAX_ID_BYTES {
            return Err(hidden());
        }
        match self.engine.store().owner_of(&grant.mount().name, resource, id).await? {
            Some(owner) if reaches(grant, id, &owner) => Ok(()),
            None if *grant.filter() == Filter::Everything => Ok(()),
            _ => Err(hidden()),
        }
    }

    /// Claims for the caller what nobody owns yet.
    ///
    /// # Errors
    /// `not_found` for somebody else's, and for callers who may have none.
    pub async fn claim(&self, grant: &Grant, resource: &str, id: &str) -> Result<Claim> {
        if id.is_empty() || id.len() > MAX_ID_BYTES {
            return Err(Error::new(codes::NOT_FOUND).operator("id"));
        }
        let mount = &grant.mount().name;
        match self.engine.store().owner_of(mount, resource, id).await? {
            Some(owner) if reaches(grant, id, &owner) => return Ok(Claim::Held),
            Some(_) => return Err(Denial::Owner.into()),
            // Who may reach single things of others alone has no things of their own.
            None => grant.must_reach("", &owner_of(grant))?,
        }
        let write = Write::ClaimOwnership {
            mount: mount.to_string(),
            resource: resource.to_owned(),
            id: id.to_owned(),
            owner: owner_of(grant),
            at_ms: self.engine.now_ms(),
        };
        match self.engine.commit(Batch::durable(vec![write])).await {
            Ok(()) => Ok(Claim::Made),
            Err(StoreError::Conflict(Conflict::Owned)) => Err(Denial::Owner.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives a claim of the caller back: the upstream refused, or the thing is gone.
    ///
    /// # Errors
    /// The store's.
    pub async fn release(&self, grant: &Grant, resource: &str, id: &str) -> Result<()> {
        let mount = &grant.mount().name;
        let owner = match self.engine.store().owner_of(mount, resource, id).await? {
            Some(owner) if reaches(grant, id, &owner) => owner,
            _ => return Ok(()),
        };
        let write = Write::ReleaseOwnership {
            mount: mount.to_string(),
            resource: resource.to_owned(),
            id: id.to_owned(),
            owner,
        };
        Ok(self.engine.commit(Batch::durable(vec![write])).await?)
    }

    /// Marks a thing as gone: nobody's, and nobody's to claim again. An upstream may keep what it was told to delete,
    /// and whoever named the id next would find it.
    ///
    /// # Errors
    /// The store's.
    pub async fn bury(&self, grant: &Grant, resource: &str, id: &str) -> Result<()> {
        let mount = &grant.mount().name;
        let (mount, resource, id) = (mount.to_string(), resource.to_owned(), id.to_owned());
        let mut writes = Vec::new();
        if let Some(owner) = self.engine.store().owner_of(&mount, &resource, &id).await? {
            let (mount, resource, id) = (mount.clone(), resource.clone(), id.clone());
            writes.push(Write::ReleaseOwnership { mount, resource, id, owner });
        }
        let (owner, at_ms) = (gone(), self.engine.now_ms());
        writes.push(Write::ClaimOwnership { mount, resource, id, owner, at_ms });
        Ok(self.engine.commit(Batch::durable(writes)).await?)
    }

    /// Which of these ids the grant reaches; `None` is all of them.
    ///
    /// # Errors
    /// The store's.
    pub async fn visible(
        &self,
        grant: &Grant,
        resource: &str,
        ids: &[String],
    ) -> Result<Option<HashSet<String>>> {
        if *grant.filter() == Filter::Everything {
            return Ok(None);
        }
        let (store, mount) = (self.engine.store(), &grant.mount().name);
        let own = owner_of(grant);
        let mut visible = HashSet::new();
        if grant.must_reach("", &own).is_ok() {
            visible.extend(store.owned_among(mount, resource, ids, &own).await?);
        }
        // Those that a role names are few; nobody's things stay hidden all the same.
        for id in ids.iter().filter(|id| grant.must_reach(id, "").is_ok()) {
            if store.owner_of(mount, resource, id).await?.is_some_and(|owner| reaches(grant, id, &owner)) {
                visible.insert(id.clone());
            }
        }
        Ok(Some(visible))
    }

    /// What the caller has claimed itself, newest first, at most 200.
    ///
    /// # Errors
    /// The store's.
    pub async fn mine(&self, grant: &Grant, resource: &str, limit: u32) -> Result<Vec<String>> {
        let (mount, own) = (&grant.mount().name, owner_of(grant));
        if grant.must_reach("", &own).is_err() {
            return Ok(Vec::new());
        }
        Ok(self.engine.store().owned_by(mount, resource, &own, limit.min(200)).await?)
    }
}
