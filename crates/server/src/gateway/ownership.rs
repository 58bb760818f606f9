//! Who owns what the upstream keeps. The first claim is atomic: of many who name an id at once, one gets it.

use doorward_core::authz::filter::{Filter, labels_of};
use doorward_core::engine::Engine;
use doorward_core::error::{Error, Result, codes};
use doorward_core::operation::Grant;
use doorward_core::ports::store::{Page, Write};
use doorward_core::ports::{Batch, Conflict, StoreError};
use doorward_core::random::bytes;
use serde_json::Map;

use crate::request::Request;

/// A resource that is the caller's.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    mount: String,
    kind: String,
    pub(crate) id: String,
    owner: String,
    /// Whether this request made it so.
    pub(crate) is_new: bool,
}

impl Claim {
    /// Gives the resource up. Never fails the request: a claim that stays only keeps others out.
    pub(crate) async fn release(self, engine: &Engine) {
        let Self { mount, kind, id, owner, .. } = self;
        let release = Write::ReleaseOwnership { mount, resource: kind, id, owner };
        if let Err(error) = engine.commit(Batch::durable(vec![release])).await {
            tracing::warn!(%error, "a claim could not be released");
        }
    }
}

/// An id that nobody has: random, since whoever knows an id could ask for it first.
pub(super) fn fresh_id(engine: &Engine) -> String {
    let mut random = bytes::<16>(engine.random());
    // RFC 9562 §5.4: agent servers expect the shape of a version 4 UUID.
    random[6] = random[6] & 0x0F | 0x40;
    random[8] = random[8] & 0x3F | 0x80;
    let hex: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// The caller's claim on a resource.
///
/// # Errors
/// `not_found` when the grant does not reach it: somebody else's and unowned are not told apart.
pub(super) async fn owned(request: &Request, grant: &Grant, kind: &str, id: &str) -> Result<Claim> {
    let owner = request.engine.store().owner_of(&grant.mount().name, kind, id).await?;
    let labels = labels_of(owner.as_deref().unwrap_or_default(), &Map::new());
    if !grant.filter().matches(&labels) {
        return Err(Error::new(codes::NOT_FOUND));
    }
    Ok(claim(grant, kind, id, owner.unwrap_or_default(), false))
}

/// The caller's claim on a resource, made now if nobody has one.
///
/// # Errors
/// `not_found` when it is somebody else's.
pub(super) async fn owned_or_claimed(request: &Request, grant: &Grant, kind: &str, id: &str) -> Result<Claim> {
    let mount = grant.mount().name.to_string();
    if request.engine.store().owner_of(&mount, kind, id).await?.is_some() {
        return owned(request, grant, kind, id).await;
    }
    let owner = grant.auth().principal.owner_key();
    let write = Write::ClaimOwnership {
        mount,
        resource: kind.to_owned(),
        id: id.to_owned(),
        owner: owner.clone(),
        at_ms: request.engine.now_ms(),
    };
    match request.engine.commit(Batch::durable(vec![write])).await {
        Ok(()) => Ok(claim(grant, kind, id, owner, true)),
        Err(StoreError::Conflict(Conflict::Owned)) => Err(Error::new(codes::NOT_FOUND)),
        Err(error) => Err(error.into()),
    }
}

fn claim(grant: &Grant, kind: &str, id: &str, owner: String, is_new: bool) -> Claim {
    Claim { mount: grant.mount().name.to_string(), kind: kind.to_owned(), id: id.to_owned(), owner, is_new }
}

/// Which of these ids the grant reaches.
///
/// # Errors
/// The store's.
pub(super) async fn visible(request: &Request, grant: &Grant, kind: &str, ids: &[String]) -> Result<Vec<String>> {
    if *grant.filter() == Filter::Everything {
        return Ok(ids.to_vec());
    }
    let (mount, owner) = (&grant.mount().name, grant.auth().principal.owner_key());
    if !grant.filter().matches(&labels_of(&owner, &Map::new())) {
        return Ok(Vec::new());
    }
    Ok(request.engine.store().owned_among(mount, kind, ids, &owner).await?)
}

/// The newest ids the caller claimed, whether the upstream knows them yet or not.
///
/// # Errors
/// The store's.
pub(crate) async fn owned_ids(request: &Request, grant: &Grant, kind: &str, limit: u32) -> Result<Vec<String>> {
    let (mount, owner) = (&grant.mount().name, grant.auth().principal.owner_key());
    let page = Page { after: None, limit };
    Ok(request.engine.store().owned_by(mount, kind, &owner, page).await?)
}
