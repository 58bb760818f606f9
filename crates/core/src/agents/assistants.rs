//! Assistants: a graph of the embedded agent server with settings, in versions of which one counts.
//!
//! Those that each graph has by itself are nobody's and are not kept here.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::crons;
use super::document::{Document, Kind, Looked, each, sharing, visible};
use super::runs::stop_assistant_key;
use super::search::holds;
use super::threads::TRIES;
use crate::authz::catalogue::assistant;
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::identity::validate;
use crate::operation::{Grant, Permit};
use crate::ports::store::{ThreadOrder, Write};
use crate::ports::{Conflict, StoreError};

/// Most assistants of one owner, most bytes in them, and most versions and bytes of one.
const MAX_ASSISTANTS: u32 = 1_000;
const MAX_ASSISTANTS_BYTES: u64 = 32 << 20;
const MAX_VERSIONS: usize = 100;
const MAX_BYTES: usize = 256 << 10;
/// Most bytes of assistants that one search holds.
const MAX_FOUND_BYTES: usize = 8 << 20;

/// One version of an assistant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// Its number, from 1.
    pub version: i64,
    /// The graph it runs.
    pub graph: String,
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Its configuration.
    pub config: Map<String, Value>,
    /// What it hands to the graph.
    pub context: Map<String, Value>,
    /// What is attached.
    pub metadata: Map<String, Value>,
    /// When it was made.
    pub at_ms: i64,
}

/// An assistant: the version that counts, and when it was made and changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Assistant {
    /// Its id.
    pub id: String,
    /// The version that counts.
    pub version: Version,
    /// When it was made.
    pub created_at_ms: i64,
    /// When it last changed.
    pub updated_at_ms: i64,
}

/// What to change; absent members stay.
#[derive(Default)]
pub struct AssistantChanges {
    /// The graph it runs.
    pub graph: Option<String>,
    /// What people call it.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Replaces its configuration.
    pub config: Option<Map<String, Value>>,
    /// Replaces what it hands to the graph.
    pub context: Option<Map<String, Value>>,
    /// Merged into the metadata.
    pub metadata: Map<String, Value>,
}

/// What a search of assistants is for.
#[derive(Default)]
pub struct AssistantSearch {
    /// The graph they run.
    pub graph: Option<String>,
    /// A part of their name, in any case.
    pub name: Option<String>,
    /// What their metadata holds.
    pub metadata: Map<String, Value>,
}

impl AssistantSearch {
    /// Whether an assistant is what is looked for.
    #[must_use]
    pub fn is_for(&self, version: &Version) -> bool {
        let has_name = |part: &String| version.name.to_lowercase().contains(&part.to_lowercase());
        self.graph.as_ref().is_none_or(|graph| *graph == version.graph)
            && self.name.as_ref().is_none_or(has_name)
            && holds(&version.metadata, &self.metadata)
    }
}

/// What a document's body holds.
#[derive(Serialize, Deserialize)]
struct Kept {
    current: i64,
    versions: Vec<Version>,
}

impl Kept {
    fn of(document: &Document) -> Result<Self> {
        let damaged =
            |error| Error::new(codes::INTERNAL).operator(format!("an assistant cannot be read: {error}"));
        serde_json::from_value(Value::Object(document.body.clone())).map_err(damaged)
    }

    fn into_body(self) -> Result<Map<String, Value>> {
        let damaged = || Error::new(codes::INTERNAL).operator("an assistant is no object");
        let body = serde_json::to_value(self).ok().and_then(|body| body.as_object().cloned());
        let body = body.ok_or_else(damaged)?;
        if serde_json::to_string(&body).map_or(usize::MAX, |text| text.len()) > MAX_BYTES {
            let text = format!("An assistant may take {MAX_BYTES} bytes as JSON, all versions together.");
            return Err(Error::new(codes::BAD_FIELD).message(text));
        }
        Ok(body)
    }

    fn current(&self) -> Result<&Version> {
        let damaged = || Error::new(codes::INTERNAL).operator("an assistant has no version that counts");
        self.versions.iter().find(|one| one.version == self.current).ok_or_else(damaged)
    }
}

fn shown(document: &Document) -> Result<Assistant> {
    Ok(Assistant {
        id: document.id.clone(),
        version: Kept::of(document)?.current()?.clone(),
        created_at_ms: document.created_at_ms,
        updated_at_ms: document.updated_at_ms,
    })
}

fn checked(version: &Version) -> Result<()> {
    validate::label("name", &version.name, 200)?;
    if let Some(text) = version.description.as_ref().filter(|text| text.chars().count() > 2_000) {
        let text = format!("description: {} characters; it may have 2000.", text.chars().count());
        return Err(Error::new(codes::BAD_FIELD).message(text));
    }
    validate::metadata("metadata", &version.metadata)
}

/// Assistants as a service.
pub struct Assistants<'e> {
    engine: &'e Engine,
}

impl<'e> Assistants<'e> {
    /// The assistants that this engine keeps.
    #[must_use]
    pub fn of(engine: &'e Engine) -> Self {
        Self { engine }
    }

    /// Makes one; the caller owns it. Number and moment of the version are not heard.
    ///
    /// # Errors
    /// `bad_field`; `conflict` when its id is somebody's; `too_many_assistants`.
    pub async fn create(
        &self,
        mut permit: Permit<assistant::Create>,
        id: &str,
        first: Version,
    ) -> Result<Assistant> {
        let prepared = || {
            let now_ms = self.engine.now_ms();
            let first = Version { version: 1, at_ms: now_ms, ..first };
            checked(&first)?;
            Ok(Document {
                id: id.to_owned(),
                kind: Kind::Assistant,
                mount: permit.mount().name.to_string(),
                owner: permit.auth().principal.owner_key(),
                place: String::new(),
                name: id.to_owned(),
                sharing: sharing(&permit)?,
                metadata: first.metadata.clone(),
                body: Kept { current: 1, versions: vec![first] }.into_body()?,
                revision: 1,
                created_at_ms: now_ms,
                updated_at_ms: now_ms,
                due_at_ms: None,
            })
        };
        let document = match prepared() {
            Ok(document) => document,
            Err(error) => return permit.close(Err(error)),
        };
        permit.name_resource(id);
        let made = shown(&document);
        let write = Write::InsertDocument {
            document: Box::new(document),
            most: MAX_ASSISTANTS,
            most_bytes: MAX_ASSISTANTS_BYTES,
        };
        match permit.commit(vec![write]).await {
            Ok(()) => made,
            Err(error) => Err(refused(error)),
        }
    }

    /// One assistant.
    ///
    /// # Errors
    /// `not_found`, also for somebody else's.
    pub async fn get(&self, permit: Permit<assistant::Read>, id: &str) -> Result<Assistant> {
        let found = visible(self.engine, &permit, Kind::Assistant, id).await.and_then(|found| shown(&found));
        permit.close(found)
    }

    /// Its versions with this metadata, newest first.
    ///
    /// # Errors
    /// As [`Assistants::get`].
    pub async fn versions(
        &self,
        permit: Permit<assistant::Read>,
        id: &str,
        metadata: &Map<String, Value>,
    ) -> Result<Vec<Version>> {
        let found = async {
            let found = visible(self.engine, &permit, Kind::Assistant, id).await?;
            let mut versions = Kept::of(&found)?.versions;
            versions.retain(|one| permit.matches(&one.metadata) && holds(&one.metadata, metadata));
            versions.sort_by_key(|one| std::cmp::Reverse(one.version));
            Ok(versions)
        };
        let found = found.await;
        permit.close(found)
    }

    /// Everything that a search is for, newest first.
    ///
    /// # Errors
    /// `bad_filter` for a search that would have to look at too much.
    pub async fn list(
        &self,
        permit: Permit<assistant::List>,
        search: &AssistantSearch,
    ) -> Result<Vec<Assistant>> {
        let found = self.found(&permit, search).await;
        permit.close(found)
    }

    async fn found(&self, grant: &Grant, search: &AssistantSearch) -> Result<Vec<Assistant>> {
        let looked = Looked { place: None, name: None, by: ThreadOrder::CreatedAt, ascending: false };
        let (mut found, mut wrong, mut room) = (Vec::new(), None, MAX_FOUND_BYTES);
        each(self.engine, grant, Kind::Assistant, looked, |one| {
            match shown(&one) {
                Ok(one) if search.is_for(&one.version) => {
                    let size = serde_json::to_vec(&one.version).map_or(usize::MAX, |text| text.len());
                    room = room.saturating_sub(size);
                    found.push(one);
                }
                Ok(_) => {}
                Err(error) => wrong = Some(error),
            }
            wrong.is_none() && room > 0
        })
        .await?;
        if room == 0 {
            let text = "This search finds too much; ask for more of their metadata, or for one graph.";
            return Err(Error::new(codes::BAD_FILTER).message(text));
        }
        wrong.map_or(Ok(found), Err)
    }

    /// Changes one: a new version that counts from now on.
    ///
    /// # Errors
    /// `not_found`, `bad_field`; `conflict` for one of 100 versions.
    pub async fn update(
        &self,
        permit: Permit<assistant::Update>,
        id: &str,
        changes: AssistantChanges,
    ) -> Result<Assistant> {
        let now_ms = self.engine.now_ms();
        self.changed(permit, id, |kept| {
            if kept.versions.len() >= MAX_VERSIONS {
                let text = format!("An assistant has {MAX_VERSIONS} versions at most.");
                return Err(Error::new(codes::CONFLICT).message(text));
            }
            let newest = kept.versions.iter().map(|one| one.version).max().unwrap_or(0);
            let mut next = kept.current()?.clone();
            next.version = newest + 1;
            next.at_ms = now_ms;
            next.graph = changes.graph.clone().unwrap_or(next.graph);
            next.name = changes.name.clone().unwrap_or(next.name);
            next.description = changes.description.clone().or(next.description);
            next.config = changes.config.clone().unwrap_or(next.config);
            next.context = changes.context.clone().unwrap_or(next.context);
            next.metadata.extend(changes.metadata.clone());
            checked(&next)?;
            kept.current = next.version;
            kept.versions.push(next);
            Ok(())
        })
        .await
    }

    /// Lets an earlier version count.
    ///
    /// # Errors
    /// `not_found`, also for a version that there is not, or that the mount's handlers do not let the caller reach.
    pub async fn set_latest(
        &self,
        permit: Permit<assistant::Update>,
        id: &str,
        version: i64,
    ) -> Result<Assistant> {
        let condition = permit.condition().cloned();
        self.changed(permit, id, |kept| {
            let reached =
                |one: &&Version| condition.as_ref().is_none_or(|wanted| wanted.matches(&one.metadata));
            let found = kept.versions.iter().find(|one| one.version == version).filter(reached);
            if found.is_none() {
                let text = format!("Version {version} not found for assistant {id}");
                return Err(Error::new(codes::NOT_FOUND).message(text));
            }
            kept.current = version;
            Ok(())
        })
        .await
    }

    async fn changed(
        &self,
        mut permit: Permit<assistant::Update>,
        id: &str,
        change: impl Fn(&mut Kept) -> Result<()> + Send + Sync,
    ) -> Result<Assistant> {
        for _ in 0..TRIES {
            let prepared = async {
                let seen = visible(self.engine, &permit, Kind::Assistant, id).await;
                let gone = |error: Error| match error.is(codes::NOT_FOUND) {
                    true => error.message(format!("Assistant {id} not found")),
                    false => error,
                };
                let seen = seen.map_err(gone)?;
                let mut kept = Kept::of(&seen)?;
                change(&mut kept)?;
                let metadata = kept.current()?.metadata.clone();
                let to = Document {
                    metadata,
                    body: kept.into_body()?,
                    revision: seen.revision + 1,
                    updated_at_ms: self.engine.now_ms(),
                    ..seen.clone()
                };
                Ok((to, seen.revision))
            };
            let (to, revision) = match prepared.await {
                Ok(prepared) => prepared,
                Err(error) => return permit.close(Err(error)),
            };
            let made = shown(&to);
            let write =
                Write::ChangeDocument { to: Box::new(to), revision, most_bytes: MAX_ASSISTANTS_BYTES };
            match permit.attempt(vec![write]).await {
                Ok(()) => return made,
                Err(StoreError::Conflict(Conflict::Stale)) => {}
                Err(error) => return permit.close(Err(refused(error))),
            }
        }
        permit.close(Err(Error::new(codes::CONFLICT)))
    }

    /// Removes one with its versions and everybody's crons of it. Runs of it that go on in this process are stopped: those of its owner and
    /// of whoever removes it, as far as others' are nobody else's to stop.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn delete(&self, mut permit: Permit<assistant::Delete>, id: &str) -> Result<()> {
        for _ in 0..TRIES {
            let prepared = async {
                let found = visible(self.engine, &permit, Kind::Assistant, id).await?;
                let mut writes = crons::with_assistant(self.engine, &found.mount, id).await?;
                writes.push(Write::DeleteDocument(found.id));
                Ok((found.owner, writes))
            };
            let (owner, writes) = match prepared.await {
                Ok(prepared) => prepared,
                Err(error) => return permit.close(Err(error)),
            };
            match permit.attempt(writes).await {
                Ok(()) => {
                    let by = permit.auth().principal.owner_key();
                    for whose in [owner, by] {
                        self.engine.memory().live.end(stop_assistant_key(id, &whose));
                    }
                    return Ok(());
                }
                // It, or a cron of it, went a moment ago.
                Err(StoreError::Conflict(Conflict::Missing)) => {}
                Err(error) => return permit.close(Err(error.into())),
            }
        }
        permit.close(Err(Error::new(codes::CONFLICT)))
    }
}

fn refused(error: StoreError) -> Error {
    match error {
        StoreError::Conflict(Conflict::TooMany) => Error::new(codes::TOO_MANY_ASSISTANTS),
        StoreError::Conflict(Conflict::Exists) => Error::new(codes::CONFLICT),
        other => other.into(),
    }
}
