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
            Some(owner) if grant.must_reach(&owner).is_ok() => Ok(()),
            None if *grant.filter() == Filter::Everything => Ok(()),
            _ => Err(hidden()),
        }
    }

    /// Claims for the caller what nobody owns yet.
    ///
    /// # Errors
    /// `not_found` for somebody else's.
    pub async fn claim(&self, grant: &Grant, resource: &str, id: &str) -> Result<Claim> {
        if id.is_empty() || id.len() > MAX_ID_BYTES {
            return Err(Error::new(codes::NOT_FOUND).operator("id"));
        }
        let mount = &grant.mount().name;
        match self.engine.store().owner_of(mount, resource, id).await? {
            Some(owner) if grant.must_reach(&owner).is_ok() => return Ok(Claim::Held),
            Some(_) => return Err(Denial::Owner.into()),
            None => {}
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
            Some(owner) if grant.must_reach(&owner).is_ok() => owner,
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
        let (owner, at_ms) = (Principal::system("gone").owner_key(), self.engine.now_ms());
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
        let owned =
            self.engine.store().owned_among(&grant.mount().name, resource, ids, &owner_of(grant)).await?;
        Ok(Some(owned.into_iter().collect()))
    }

    /// What the caller has claimed itself, newest first, at most 200.
    ///
    /// # Errors
    /// The store's.
    pub async fn mine(&self, grant: &Grant, resource: &str, limit: u32) -> Result<Vec<String>> {
        let mount = &grant.mount().name;
        Ok(self.engine.store().owned_by(mount, resource, &owner_of(grant), limit.min(200)).await?)
    }
}
