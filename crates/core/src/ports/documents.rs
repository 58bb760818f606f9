//! The port of what the embedded agent server keeps beside threads.

use super::StoreFuture;
use super::store::ThreadOrder;
use crate::agents::document::{Document, Kind};
use crate::authz::filter::Filter;

/// Where a document stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Exactly here.
    At(String),
    /// Here or further in.
    Under(String),
}

/// Which documents are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentQuery {
    /// Where; everywhere if absent.
    pub place: Option<Place>,
    /// What they are called there; anything if absent.
    pub name: Option<String>,
    /// In which order; the id makes it whole.
    pub by: ThreadOrder,
    /// Smallest first.
    pub ascending: bool,
    /// How many to leave out first.
    pub offset: u32,
    /// How many to find at most.
    pub limit: u32,
}

/// Documents: items of the store, assistants, crons.
pub trait Documents: Send + Sync {
    /// The document of this kind and id on this mount, if the filter lets it through.
    fn document<'a>(
        &'a self,
        mount: &'a str,
        kind: Kind,
        id: &'a str,
        filter: &'a Filter,
    ) -> StoreFuture<'a, Option<Document>>;
    /// Documents of this kind on this mount that the filter lets through.
    fn documents<'a>(
        &'a self,
        mount: &'a str,
        kind: Kind,
        filter: &'a Filter,
        query: &'a DocumentQuery,
    ) -> StoreFuture<'a, Vec<Document>>;
    /// Documents of this kind on this mount that are due, the longest due first.
    fn due_documents<'a>(
        &'a self,
        mount: &'a str,
        kind: Kind,
        now_ms: i64,
        limit: u32,
    ) -> StoreFuture<'a, Vec<Document>>;
}
