//! Artifacts as a service.

use serde_json::{Map, Value};

use super::model::{
    self, Artifact, ArtifactChanges, ArtifactQuery, MAX_COMMENT_CHARS, MAX_CONFIG_BYTES, MAX_KIND_CHARS,
    MAX_MANIFEST_BYTES, MOST, MOST_BYTES, NewArtifact, Place,
};
use super::permissions::{self, Lent};
use crate::authz::Target;
use crate::authz::catalogue::{Action, artifact};
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::id::ArtifactId;
use crate::identity::validate;
use crate::operation::{Call, Permit};
use crate::ports::store::Write;
use crate::ports::{Batch, Conflict, StoreError};
use crate::workspaces::{Permission, names};

/// How often a change is tried that others get before.
const TRIES: usize = 8;
/// How many are read at once for a list, and how many bytes of manifests and settings one holds.
const AT_ONCE: u32 = 50;
const MAX_LIST_BYTES: usize = 4 << 20;
/// What one is unless its maker says so.
const GENERIC: &str = "generic";
/// What says of a setting that things are kept within.
const IS_COLLECTION: &str = "is_collection";

/// Artifacts as a service.
pub struct Artifacts<'e> {
    engine: &'e Engine,
}

/// Leave to do `A` with what was found, and with nothing else in its workspace.
pub struct Leave<A: Action> {
    permit: Permit<A>,
    workspace: String,
    owner: String,
    found: Option<Artifact>,
}

fn not_found() -> Error {
    Error::new(codes::NOT_FOUND)
}

fn kind(text: &str) -> Result<String> {
    validate::label("type", text, MAX_KIND_CHARS)
}

fn comment(text: &str) -> Result<String> {
    validate::label("comment", text, MAX_COMMENT_CHARS)
}

/// Settings as they are kept: checked, and without what is said of whoever made the thing.
fn settings(mut config: Map<String, Value>, maker: &str) -> Result<Map<String, Value>> {
    permissions::check(&config)?;
    if let Some(Value::Object(entries)) = config.get_mut("permissions") {
        entries.remove(maker);
    }
    model::bounded("config", &config, MAX_CONFIG_BYTES)?;
    Ok(config)
}

fn manifest(manifest: Map<String, Value>) -> Result<Map<String, Value>> {
    model::bounded("manifest", &manifest, MAX_MANIFEST_BYTES)?;
    Ok(manifest)
}

impl<A: Action> Leave<A> {
    /// What it was given for; for a new thing, what that is to be within.
    #[must_use]
    pub fn found(&self) -> Option<&Artifact> {
        self.found.as_ref()
    }

    /// Gives the leave back: the act is refused for a reason of the asker's own.
    ///
    /// # Errors
    /// `why`, always.
    pub fn refuse<T, E>(self, why: E) -> std::result::Result<T, E> {
        // What the line says is that nothing was done; the reason is the caller's.
        let _ = self.permit.close::<()>(Err(not_found()));
        Err(why)
    }

    fn name(&mut self, alias: &str) {
        let name = format!("{}/{alias}", self.workspace);
        self.permit.name_resource(&name);
    }
}

impl Artifacts<'_> {
    /// The artifact of this name, shown to nobody by this: for deciding, as [`crate::workspaces::Workspaces::find`].
    ///
    /// # Errors
    /// The store's.
    async fn find(&self, workspace: &str, alias: &str) -> Result<Option<Artifact>> {
        if !names::is_id(workspace) || !model::is_alias(alias) {
            return Ok(None);
        }
        Ok(self.engine.store().artifact(workspace, alias).await?)
    }

    /// Leave for `A` with the artifact called `alias`: by what the caller may in the workspace, where `within` is how far that is, or by what the
    /// artifact itself lends. Without an alias, with the workspace. The answer is the same whether there is such an artifact or not,
    /// to whoever may not know.
    ///
    /// # Errors
    /// `credentials_missing`, `scope_missing`, `forbidden`, `not_found`; the store's.
    pub async fn leave<A: Action>(
        &self,
        call: &Call,
        place: Place<'_>,
        within: Option<Permission>,
        alias: Option<&str>,
    ) -> Result<Leave<A>> {
        let found = match alias {
            Some(alias) => self.find(place.workspace, alias).await?,
            None => None,
        };
        let parent = match found.as_ref().and_then(|found| found.parent.as_deref()) {
            Some(parent) => self.find(place.workspace, parent).await?,
            None => None,
        };
        let authority = &call.mount.tokens.authority;
        let Lent(lent) = Lent::of(&call.auth, authority, A::DEF, (found.as_ref(), parent.as_ref()), within);
        let lent = lent.map(|permission| call.lent(place.workspace, permission));
        let target = Target::owned(place.workspace, place.owner);
        let permit = lent.as_ref().unwrap_or(call).permit::<A>(target)?;
        let (workspace, owner) = (place.workspace.to_owned(), place.owner.to_owned());
        Ok(Leave { permit, workspace, owner, found })
    }

    /// Keeps something new, within what the leave was given for. `made_for` is whose it is shown to be.
    ///
    /// # Errors
    /// `bad_field`; `artifact_exists`; `too_many_artifacts`; `not_found` when the workspace, or what it was to be within, is gone.
    pub async fn create(
        &self,
        mut leave: Leave<artifact::Create>,
        new: NewArtifact,
        made_for: &str,
    ) -> Result<Artifact> {
        let made = match self.made(&leave, new, made_for) {
            Ok(made) => made,
            Err(error) => return leave.permit.close(Err(error)),
        };
        leave.name(&made.alias);
        let mut writes = vec![Write::InsertArtifact {
            artifact: Box::new(made.clone()),
            owner: leave.owner.clone(),
            most: MOST,
            most_bytes: MOST_BYTES,
        }];
        // What holds others says so of itself.
        if let Some(parent) =
            leave.found.take().filter(|parent| parent.config.get(IS_COLLECTION) != Some(&true.into()))
        {
            let mut to = parent.clone();
            to.config.insert(IS_COLLECTION.to_owned(), true.into());
            to.revision += 1;
            writes.push(change(to, &parent));
        }
        match leave.permit.attempt(writes).await {
            Ok(()) => Ok(made),
            Err(error) => leave.permit.close(Err(match error {
                StoreError::Conflict(Conflict::Exists) => exists(&made.alias),
                StoreError::Conflict(Conflict::TooMany) => Error::new(codes::TOO_MANY_ARTIFACTS),
                StoreError::Conflict(Conflict::Missing) => not_found(),
                error => error.into(),
            })),
        }
    }

    fn made(&self, leave: &Leave<artifact::Create>, new: NewArtifact, made_for: &str) -> Result<Artifact> {
        leave.permit.must_reach(&leave.workspace, &leave.owner)?;
        // In the order they were made, which is the order they are listed in.
        let id = ArtifactId::new(self.engine.ordered_clock(), self.engine.random()).to_string();
        let grant = &leave.permit;
        let maker = names::member(&grant.auth().principal, &grant.mount().tokens.authority);
        if new.manifest.is_empty() {
            return Err(Error::new(codes::BAD_FIELD).message("Manifest must be provided."));
        }
        let kind = kind(new.kind.as_deref().unwrap_or(GENERIC))?;
        let mut config = settings(new.config, &maker)?;
        if kind == "collection" {
            config.insert(IS_COLLECTION.to_owned(), true.into());
        }
        let now_ms = self.engine.now_ms();
        Ok(Artifact {
            alias: model::alias(new.alias.as_deref().unwrap_or(&id))?,
            workspace: leave.workspace.clone(),
            parent: leave.found.as_ref().map(|parent| parent.alias.clone()),
            kind,
            manifest: manifest(new.manifest)?,
            config,
            comment: comment(new.comment.as_deref().unwrap_or("Initial version"))?,
            created_by: made_for.to_owned(),
            maker,
            created_at_ms: now_ms,
            changed_at_ms: now_ms,
            revision: 1,
            views: 0,
            id,
        })
    }

    /// The artifact; counted as a look at it unless `silent`.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn read(&self, mut leave: Leave<artifact::Read>, silent: bool) -> Result<Artifact> {
        let Some(found) = leave.found.take() else { return leave.permit.close(Err(not_found())) };
        leave.name(&found.alias);
        let reached = leave.permit.must_reach(&leave.workspace, &leave.owner);
        leave.permit.close(reached)?;
        Ok(self.seen(found, silent).await)
    }

    /// With how often it was looked at.
    async fn seen(&self, mut found: Artifact, silent: bool) -> Artifact {
        let views = self.engine.views();
        if silent {
            found.views += views.waiting(&found.id);
            return found;
        }
        let (count, writes) = views.count(&found.id, self.engine.now_ms());
        found.views += count;
        if !writes.is_empty()
            && let Err(error) = self.engine.commit(Batch::buffered(writes)).await
        {
            tracing::warn!(%error, "counts of looks at artifacts are lost");
        }
        found
    }

    /// Artifacts within one, or within none, in the order they were made, and how many there are in all.
    ///
    /// # Errors
    /// `not_found` for what there is not.
    pub async fn list(
        &self,
        mut leave: Leave<artifact::List>,
        query: ArtifactQuery,
        silent: bool,
    ) -> Result<(Vec<Artifact>, u64)> {
        let within = leave.found.take();
        if query.parent.as_deref() != within.as_ref().map(|within| within.alias.as_str()) {
            return leave.permit.close(Err(not_found()));
        }
        let done = async {
            leave.permit.must_reach(&leave.workspace, &leave.owner)?;
            let total = self.engine.store().count_artifacts(&leave.workspace, &query).await?;
            Ok((self.page(&leave.workspace, query).await?, total))
        };
        let done = done.await;
        let done = leave.permit.close(done)?;
        if let Some(within) = within {
            self.seen(within, silent).await;
        }
        Ok(done)
    }

    /// What a query is for, read a little at a time, and never more than an answer may hold.
    async fn page(&self, workspace: &str, mut query: ArtifactQuery) -> Result<Vec<Artifact>> {
        let mut wanted = query.limit.clamp(1, 1_000);
        let (mut all, mut size) = (Vec::new(), 0);
        while wanted > 0 {
            query.limit = wanted.min(AT_ONCE);
            let mut found = self.engine.store().artifacts(workspace, &query).await?;
            let last = found.len() < query.limit as usize;
            for one in &mut found {
                one.views += self.engine.views().waiting(&one.id);
                size += model::size(&one.manifest).saturating_add(model::size(&one.config));
            }
            if size > MAX_LIST_BYTES {
                let message = "limit: these are too many bytes for one answer; ask for fewer, with offset.";
                return Err(Error::new(codes::BAD_FIELD).message(message));
            }
            (wanted, query.offset) = (wanted - query.limit, query.offset + query.limit);
            all.extend(found);
            if last {
                break;
            }
        }
        Ok(all)
    }

    /// Changes an artifact.
    ///
    /// # Errors
    /// `not_found`, `bad_field`, `too_many_artifacts` when all of them would take too many bytes.
    pub async fn edit(&self, mut leave: Leave<artifact::Edit>, changes: ArtifactChanges) -> Result<Artifact> {
        let Some(mut seen) = leave.found.take() else { return leave.permit.close(Err(not_found())) };
        leave.name(&seen.alias);
        for _ in 0..TRIES {
            let to = match self.changed(&leave, &seen, &changes) {
                Ok(to) => to,
                Err(error) => return leave.permit.close(Err(error)),
            };
            match leave.permit.attempt(vec![change(to.clone(), &seen)]).await {
                Ok(()) => return Ok(self.seen(to, true).await),
                Err(StoreError::Conflict(Conflict::Stale)) => {}
                Err(StoreError::Conflict(Conflict::TooMany)) => {
                    return leave.permit.close(Err(Error::new(codes::TOO_MANY_ARTIFACTS)));
                }
                Err(error) => return leave.permit.close(Err(error.into())),
            }
            // Leave was given for this one as it was: its permissions may be others now, and its name another's.
            let again = match self.find(&leave.workspace, &seen.alias).await {
                Ok(Some(again)) if again.id == seen.id && again.config == seen.config => again,
                Ok(_) => return leave.permit.close(Err(Error::new(codes::CONFLICT))),
                Err(error) => return leave.permit.close(Err(error)),
            };
            seen = again;
        }
        leave.permit.close(Err(Error::new(codes::CONFLICT)))
    }

    fn changed(
        &self,
        leave: &Leave<artifact::Edit>,
        seen: &Artifact,
        changes: &ArtifactChanges,
    ) -> Result<Artifact> {
        leave.permit.must_reach(&leave.workspace, &leave.owner)?;
        let mut to = seen.clone();
        if let Some(said) = &changes.manifest {
            to.manifest = manifest(said.clone())?;
        }
        if let Some(said) = &changes.kind {
            to.kind = kind(said)?;
        }
        if let Some(said) = &changes.config {
            to.config = settings(said.clone(), &seen.maker)?;
            if seen.config.contains_key(IS_COLLECTION) {
                to.config.insert(IS_COLLECTION.to_owned(), true.into());
            }
        }
        if let Some(said) = &changes.comment {
            to.comment = comment(said)?;
        }
        to.changed_at_ms = self.engine.now_ms();
        to.revision += 1;
        Ok(to)
    }

    /// Removes an artifact, and with `recursive` everything within it.
    ///
    /// # Errors
    /// `not_found`; `artifact_not_empty`.
    pub async fn delete(&self, mut leave: Leave<artifact::Delete>, recursive: bool) -> Result<()> {
        let Some(found) = leave.found.take() else { return leave.permit.close(Err(not_found())) };
        leave.name(&found.alias);
        if let Err(error) = leave.permit.must_reach(&leave.workspace, &leave.owner) {
            return leave.permit.close(Err(error));
        }
        let write =
            Write::DeleteArtifact { workspace: found.workspace, alias: found.alias, id: found.id, recursive };
        match leave.permit.attempt(vec![write]).await {
            Ok(()) => Ok(()),
            Err(error) => leave.permit.close(Err(match error {
                StoreError::Conflict(Conflict::Owned) => Error::new(codes::ARTIFACT_NOT_EMPTY),
                StoreError::Conflict(Conflict::Missing) => not_found(),
                error => error.into(),
            })),
        }
    }
}

fn exists(alias: &str) -> Error {
    Error::new(codes::ARTIFACT_EXISTS).message(format!(
        "Artifact with alias '{alias}' already exists, please choose another alias or remove that one first."
    ))
}

fn change(to: Artifact, seen: &Artifact) -> Write {
    let (id, revision) = (seen.id.clone(), seen.revision);
    Write::ChangeArtifact { to: Box::new(to), id, revision, most_bytes: MOST_BYTES }
}

impl Engine {
    /// What is kept in workspaces.
    #[must_use]
    pub fn artifacts(&self) -> Artifacts<'_> {
        Artifacts { engine: self }
    }
}
