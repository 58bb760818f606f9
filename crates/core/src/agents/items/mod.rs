//! The store of the embedded agent server: what agents and their users keep under namespaces.
//!
//! ```text
//! put (user, notes) k ─ permit ─► of what the grant reaches there, one is called k? ─ yes ─► changed
//!                                                                                   └ no ──► made, the caller's
//! ```
//! What a grant does not reach does not exist: two callers who do not see each other's items each have their own `k`.

pub mod names;
pub mod wanted;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use self::names::{Namespace, Pattern};
use self::wanted::Wanted;
use super::document::{Document, Kind, Looked, VALUE, each, sharing};
use super::threads::TRIES;
use crate::authz::catalogue::store;
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::id::ItemId;
use crate::identity::validate;
use crate::operation::{Grant, Permit};
use crate::ports::documents::Place;
use crate::ports::store::{ThreadOrder, Write};
use crate::ports::{Batch, Conflict, StoreError};

/// Largest value, as JSON.
pub const MAX_VALUE_BYTES: usize = 256 << 10;
/// Longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 512;
/// Longest an item lives before it ends: ten years.
pub const MAX_TTL_MINUTES: u32 = 10 * 366 * 24 * 60;
/// Most items of one owner, and most bytes in them.
const MAX_ITEMS: u32 = 10_000;
const MAX_ITEMS_BYTES: u64 = 64 << 20;
/// After so many bytes of items no more of them are told in one answer.
const MAX_FOUND_BYTES: usize = 4 << 20;

/// The member of an item's document that says how long it lives after each look; its value stands in [`VALUE`].
const TTL: &str = "ttl_ms";

/// What is to be kept.
pub struct NewItem {
    /// Where.
    pub namespace: Namespace,
    /// Under which name.
    pub key: String,
    /// What.
    pub value: Map<String, Value>,
    /// What the mount's handlers wrote beside it. Clients neither see nor say it.
    pub metadata: Map<String, Value>,
    /// After how long it ends, counted from the last look at it.
    pub ttl_ms: Option<i64>,
}

/// What a search of items is for.
pub struct ItemSearch {
    /// Where, or further in.
    pub under: Namespace,
    /// What values have to be like.
    pub wanted: Wanted,
    /// How many to leave out first.
    pub offset: u32,
    /// How many to find at most.
    pub limit: u32,
    /// Whether to look at an item puts off its end.
    pub refresh: bool,
}

/// Which namespaces are listed.
pub struct NamespaceSearch {
    /// How they begin.
    pub prefix: Pattern,
    /// How they end.
    pub suffix: Pattern,
    /// Longer ones are cut off here, and told once.
    pub max_depth: Option<usize>,
    /// How many to leave out first.
    pub offset: usize,
    /// How many to list at most.
    pub limit: usize,
}

/// An item as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Where.
    pub namespace: Namespace,
    /// Under which name.
    pub key: String,
    /// What.
    pub value: Map<String, Value>,
    /// When it was made.
    pub created_at_ms: i64,
    /// When it last changed.
    pub updated_at_ms: i64,
}

impl Item {
    fn of(mut document: Document) -> Self {
        let value = match document.body.remove(VALUE) {
            Some(Value::Object(value)) => value,
            _ => Map::new(),
        };
        Self {
            namespace: Namespace::of_place(&document.place),
            key: document.name,
            value,
            created_at_ms: document.created_at_ms,
            updated_at_ms: document.updated_at_ms,
        }
    }
}

/// Items as a service.
pub struct Items<'e> {
    engine: &'e Engine,
}

fn bad(text: impl Into<String>) -> Error {
    Error::new(codes::BAD_FIELD).message(text)
}

/// A key that can name an item.
///
/// # Errors
/// `bad_field`.
pub fn key(text: &str) -> Result<&str> {
    if text.is_empty() || text.len() > MAX_KEY_BYTES || text.chars().any(char::is_control) {
        return Err(bad(format!("key: is a text of 1 to {MAX_KEY_BYTES} bytes without control characters.")));
    }
    Ok(text)
}

impl NewItem {
    /// Refuses what cannot be kept.
    ///
    /// # Errors
    /// `bad_field`.
    pub fn check(&self) -> Result<()> {
        self.namespace.must_keep()?;
        key(&self.key)?;
        let size = serde_json::to_string(&self.value).map_or(usize::MAX, |text| text.len());
        if size > MAX_VALUE_BYTES {
            return Err(bad(format!("value: may take {MAX_VALUE_BYTES} bytes as JSON.")));
        }
        validate::metadata("metadata", &self.metadata)
    }
}

/// The refusal of an item that its writer would not reach.
#[must_use]
pub fn unreadable() -> Error {
    let text = "What the handlers demand of an item, this one would not have: nobody could read it again.";
    Error::new(codes::FORBIDDEN).message(text).by_rule("condition")
}

impl<'e> Items<'e> {
    /// The items that this engine keeps.
    #[must_use]
    pub fn of(engine: &'e Engine) -> Self {
        Self { engine }
    }

    /// Every item of this name that the grant reaches, the caller's own first, then the oldest. One that has ended is among them.
    async fn called(&self, grant: &Grant, namespace: &Namespace, key: &str) -> Result<Option<Document>> {
        let looked = Looked {
            place: Some(Place::At(namespace.place())),
            name: Some(key.to_owned()),
            by: ThreadOrder::CreatedAt,
            ascending: true,
        };
        let own = grant.auth().principal.owner_key();
        let mut found: Option<Document> = None;
        each(self.engine, grant, Kind::Item, looked, |one| {
            let is_own = one.owner == own;
            if is_own || found.is_none() {
                found = Some(one);
            }
            !is_own
        })
        .await?;
        Ok(found)
    }

    /// Keeps an item, in the place of the one of its name.
    ///
    /// # Errors
    /// `bad_field`; `forbidden` for an item that the mount's handlers would not let its writer reach; `too_many_items`.
    pub async fn put(&self, mut permit: Permit<store::Write>, new: NewItem) -> Result<()> {
        if let Err(error) = new.check() {
            return permit.close(Err(error));
        }
        for _ in 0..TRIES {
            let (write, id) = match self.written(&permit, &new).await {
                Ok(prepared) => prepared,
                Err(error) => return permit.close(Err(error)),
            };
            permit.name_resource(&id);
            match permit.attempt(vec![write]).await {
                Ok(()) => return Ok(()),
                Err(StoreError::Conflict(Conflict::Stale | Conflict::Exists)) => {}
                Err(StoreError::Conflict(Conflict::TooMany)) => {
                    return permit.close(Err(Error::new(codes::TOO_MANY_ITEMS)));
                }
                Err(error) => return permit.close(Err(error.into())),
            }
        }
        permit.close(Err(Error::new(codes::CONFLICT)))
    }

    async fn written(&self, grant: &Grant, new: &NewItem) -> Result<(Write, String)> {
        let now_ms = self.engine.now_ms();
        let mut body = Map::from_iter([(VALUE.to_owned(), Value::Object(new.value.clone()))]);
        body.extend(new.ttl_ms.map(|ttl_ms| (TTL.to_owned(), ttl_ms.into())));
        let due_at_ms = new.ttl_ms.map(|ttl| now_ms.saturating_add(ttl));
        let seen = self.called(grant, &new.namespace, &new.key).await?;
        let mut document = match &seen {
            Some(seen) => seen.clone(),
            None => Document {
                id: ItemId::new(self.engine.clock(), self.engine.random()).as_str().to_owned(),
                kind: Kind::Item,
                mount: grant.mount().name.to_string(),
                owner: grant.auth().principal.owner_key(),
                place: new.namespace.place(),
                name: new.key.clone(),
                sharing: sharing(grant)?,
                metadata: Map::new(),
                body: Map::new(),
                revision: 0,
                created_at_ms: now_ms,
                updated_at_ms: now_ms,
                due_at_ms: None,
            },
        };
        if document.is_over(now_ms) {
            document.created_at_ms = now_ms;
        }
        let revision = document.revision;
        document = Document {
            metadata: new.metadata.clone(),
            body,
            revision: revision + 1,
            updated_at_ms: now_ms,
            due_at_ms,
            ..document
        };
        if !grant.matches(&document.seen()) {
            let text =
                "What the handlers demand of an item, this one would not have: nobody could read it again.";
            return Err(Error::new(codes::FORBIDDEN).message(text).by_rule("condition"));
        }
        let id = document.id.clone();
        let to = Box::new(document);
        let write = match seen {
            Some(_) => Write::ChangeDocument { to, revision, most_bytes: MAX_ITEMS_BYTES },
            None => Write::InsertDocument { document: to, most: MAX_ITEMS, most_bytes: MAX_ITEMS_BYTES },
        };
        Ok((write, id))
    }

    /// The item of this name; `None` for one that there is not, or not for the caller. `refresh` puts off its end.
    ///
    /// # Errors
    /// `bad_field`; the store's.
    pub async fn get(
        &self,
        mut permit: Permit<store::Read>,
        namespace: &Namespace,
        name: &str,
        refresh: bool,
    ) -> Result<Option<Item>> {
        let found = async {
            key(name)?;
            let found = self.called(&permit, namespace, name).await?;
            let found = found.filter(|one| !one.is_over(self.engine.now_ms()));
            if let Some(one) = found.as_ref().filter(|_| refresh) {
                self.defer(std::slice::from_ref(one)).await?;
            }
            Ok(found)
        };
        let found = found.await;
        if let Ok(Some(one)) = &found {
            permit.name_resource(&one.id);
        }
        permit.close(found.map(|found| found.map(Item::of)))
    }

    /// Puts off the end of items that were looked at.
    async fn defer(&self, seen: &[Document]) -> Result<()> {
        let now_ms = self.engine.now_ms();
        let later = |one: &Document| {
            let ttl_ms = one.body.get(TTL).and_then(Value::as_i64)?;
            Some(Write::DeferDocument { id: one.id.clone(), due_at_ms: now_ms.saturating_add(ttl_ms) })
        };
        let writes: Vec<_> = seen.iter().filter_map(later).collect();
        if !writes.is_empty() {
            // An end that comes too early is a look that is lost with the machine, no more.
            self.engine.commit(Batch::buffered(writes)).await?;
        }
        Ok(())
    }

    /// Forgets the item of this name; that there is none, or none of the caller's, is no error.
    ///
    /// # Errors
    /// `bad_field`; the store's.
    pub async fn delete(
        &self,
        mut permit: Permit<store::Delete>,
        namespace: &Namespace,
        name: &str,
    ) -> Result<()> {
        let found = match key(name) {
            Ok(_) => self.called(&permit, namespace, name).await,
            Err(error) => Err(error),
        };
        let id = match found {
            Ok(Some(found)) => found.id,
            Ok(None) => return permit.close(Ok(())),
            Err(error) => return permit.close(Err(error)),
        };
        permit.name_resource(&id);
        match permit.commit(vec![Write::DeleteDocument(id)]).await {
            // Somebody else was faster.
            Err(StoreError::Conflict(Conflict::Missing)) => Ok(()),
            other => Ok(other?),
        }
    }

    /// Items under a namespace, those that changed last first; after 4 MiB of them no more.
    ///
    /// # Errors
    /// `bad_filter` for a search that would have to look at too much; the store's.
    pub async fn search(&self, permit: Permit<store::Search>, search: ItemSearch) -> Result<Vec<Item>> {
        let found = async {
            let (mut found, mut skip, mut room) = (Vec::new(), search.offset, MAX_FOUND_BYTES);
            let now_ms = self.engine.now_ms();
            if search.limit == 0 {
                return Ok(found);
            }
            each(self.engine, &permit, Kind::Item, under(search.under.place()), |one| {
                if one.is_over(now_ms) || !one.value().is_some_and(|value| search.wanted.matches(value)) {
                    return true;
                }
                if skip > 0 {
                    skip -= 1;
                    return true;
                }
                room =
                    room.saturating_sub(serde_json::to_vec(&one.body).map_or(usize::MAX, |text| text.len()));
                found.push(one);
                found.len() < search.limit as usize && room > 0
            })
            .await?;
            if search.refresh {
                self.defer(&found).await?;
            }
            Ok(found)
        };
        let found = found.await;
        permit.close(found.map(|found| found.into_iter().map(Item::of).collect()))
    }

    /// Namespaces in which there are items that the caller may see, in order.
    ///
    /// # Errors
    /// As [`Items::search`].
    pub async fn namespaces(
        &self,
        permit: Permit<store::ListNamespaces>,
        search: NamespaceSearch,
    ) -> Result<Vec<Namespace>> {
        let mut all = BTreeSet::new();
        let now_ms = self.engine.now_ms();
        let looked = under(search.prefix.fixed().place());
        let found = each(self.engine, &permit, Kind::Item, looked, |one| {
            let namespace = Namespace::of_place(&one.place);
            if !one.is_over(now_ms) && search.prefix.begins(&namespace) && search.suffix.ends(&namespace) {
                all.insert(namespace.cut(search.max_depth));
            }
            true
        });
        let found = found.await;
        permit.close(found.map(|()| all.into_iter().skip(search.offset).take(search.limit).collect()))
    }
}

fn under(place: String) -> Looked {
    let place = (!place.is_empty()).then_some(Place::Under(place));
    Looked { place, name: None, by: ThreadOrder::UpdatedAt, ascending: false }
}
