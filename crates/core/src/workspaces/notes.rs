//! What is noted of a workspace under names: settings for the programs in it, sealed, and what its owner wants to find again.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Workspaces;
use crate::authz::catalogue::workspace;
use crate::error::{Error, Result, codes};
use crate::identity::validate;
use crate::operation::{Grant, Permit};
use crate::ports::store::{NoteKind, Write};
use crate::ports::{Conflict, StoreError};
use crate::secret::SecretText;

/// Most settings, and most bookmarks, of one workspace.
const MOST_NOTES: u32 = 200;
/// Longest name of either, and longest value of a setting, in bytes.
const MAX_NAME_BYTES: usize = 128;
/// Longest value of a setting, in bytes.
const MAX_VALUE_BYTES: usize = 8 << 10;
/// What settings are sealed for.
const PURPOSE: &str = "workspace env";

fn name(text: &str) -> Result<()> {
    if (1..=MAX_NAME_BYTES).contains(&text.len()) && !text.chars().any(char::is_control) {
        return Ok(());
    }
    let message = format!("key: 1 to {MAX_NAME_BYTES} bytes without control characters.");
    Err(Error::new(codes::BAD_FIELD).message(message))
}

impl Workspaces<'_> {
    async fn note(
        &self,
        mut grant: Grant,
        (id, owner): (&str, &str),
        (kind, name): (NoteKind, &str),
        value: Result<Option<Vec<u8>>>,
    ) -> Result<()> {
        grant.name_resource(id);
        let value = match grant.must_reach(id, owner).and(value) {
            Ok(value) => value,
            Err(error) => return grant.close(Err(error)),
        };
        let (workspace, owner, name) = (id.to_owned(), owner.to_owned(), name.to_owned());
        let write = Write::SetNote { workspace, owner, kind, name, value, most: MOST_NOTES };
        match grant.attempt(vec![write]).await {
            Ok(()) => Ok(()),
            Err(StoreError::Conflict(Conflict::TooMany)) => {
                let message = format!("A workspace keeps at most {MOST_NOTES} of these.");
                grant.close(Err(Error::new(codes::BAD_FIELD).message(message)))
            }
            Err(error) => grant.close(Err(error.into())),
        }
    }

    /// Keeps a setting for the programs in a workspace, sealed; without a value it is forgotten.
    ///
    /// # Errors
    /// `bad_field` for names and values that are too long, and for more than 200; `not_found`.
    pub async fn set_env(
        &self,
        permit: Permit<workspace::Manage>,
        (id, owner): (&str, &str),
        key: &str,
        value: Option<&SecretText>,
    ) -> Result<()> {
        let sealed = || {
            name(key)?;
            let Some(value) = value else { return Ok(None) };
            if value.expose().len() > MAX_VALUE_BYTES {
                let message = format!("value: at most {MAX_VALUE_BYTES} bytes.");
                return Err(Error::new(codes::BAD_FIELD).message(message));
            }
            let sealer = self.engine.sealer();
            sealer.seal(self.engine.random(), id, PURPOSE, key, value.expose().as_bytes()).map(Some)
        };
        self.note(permit.into_grant(), (id, owner), (NoteKind::Env, key), sealed()).await
    }

    /// The settings for the programs in a workspace.
    ///
    /// # Errors
    /// `not_found` for what the leave does not reach; `wrong_master_key`; the store's.
    pub async fn env(
        &self,
        permit: Permit<workspace::Manage>,
        (id, owner): (&str, &str),
    ) -> Result<BTreeMap<String, SecretText>> {
        let read = async {
            permit.must_reach(id, owner)?;
            let notes = self.engine.store().notes(id, NoteKind::Env).await?;
            let opened = notes.into_iter().map(|(key, sealed)| {
                let plain = self.engine.sealer().open_bound(id, PURPOSE, &key, &sealed)?;
                let text = std::str::from_utf8(plain.expose()).map(|text| SecretText::new(text.to_owned()));
                Ok((key, text.map_err(|_| Error::new(codes::INTERNAL).operator("a setting is no text"))?))
            });
            opened.collect()
        };
        let read = read.await;
        permit.close(read)
    }

    /// Keeps a bookmark in a workspace; without a value it is forgotten.
    ///
    /// # Errors
    /// As [`Workspaces::set_env`].
    pub async fn bookmark(
        &self,
        permit: Permit<workspace::Manage>,
        (id, owner): (&str, &str),
        key: &str,
        item: Option<&Map<String, Value>>,
    ) -> Result<()> {
        let written = || {
            name(key)?;
            let Some(item) = item else { return Ok(None) };
            validate::metadata("item", item)?;
            let text =
                serde_json::to_vec(item).map_err(|error| Error::new(codes::INTERNAL).caused_by(error))?;
            Ok(Some(text))
        };
        self.note(permit.into_grant(), (id, owner), (NoteKind::Bookmark, key), written()).await
    }

    /// The bookmarks of a workspace, by their names.
    ///
    /// # Errors
    /// `not_found` for what the leave does not reach; the store's.
    pub async fn bookmarks(
        &self,
        permit: Permit<workspace::Read>,
        (id, owner): (&str, &str),
    ) -> Result<Vec<Value>> {
        let read = async {
            permit.must_reach(id, owner)?;
            let notes = self.engine.store().notes(id, NoteKind::Bookmark).await?;
            Ok(notes.iter().filter_map(|(_, item)| serde_json::from_slice(item).ok()).collect())
        };
        let read = read.await;
        permit.close(read)
    }
}
