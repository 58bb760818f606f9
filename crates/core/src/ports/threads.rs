//! Threads, messages and runs of the embedded agent server, as the store is asked for them.

use super::StoreFuture;
use super::store::Page;
use crate::agents::model::{Message, Run, RunStatus, Thread};
use crate::authz::filter::Filter;
use crate::id::{MessageId, RunId, ThreadId};

/// What threads are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThreadOrder {
    /// Their id.
    Id,
    /// When they were made.
    CreatedAt,
    /// When they last changed.
    UpdatedAt,
}

/// An order of threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadSort {
    /// By what.
    pub by: ThreadOrder,
    /// Smallest first.
    pub ascending: bool,
}

/// Where a thread stands in an order; what comes after it is asked for by this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadPlace {
    /// What the order goes by, in milliseconds since the epoch; 0 where that is the id alone.
    pub at_ms: i64,
    /// Which of those that stand equal.
    pub id: ThreadId,
}

/// Threads that are looked for, in an order of choice.
#[derive(Debug, Clone, Copy)]
pub struct ThreadQuery<'a> {
    /// The mount they belong to.
    pub mount: &'a str,
    /// Which of them.
    pub filter: &'a Filter,
    /// In which order.
    pub sort: ThreadSort,
    /// Those after this one alone.
    pub after: Option<&'a ThreadPlace>,
    /// How many to leave out first.
    pub offset: u32,
    /// How many at most.
    pub limit: u32,
}

/// What is known of a thread without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadHead {
    /// Which one, and where in the order that was asked for.
    pub place: ThreadPlace,
    /// The status of its newest run, where it has one and that was asked for.
    pub newest: Option<RunStatus>,
}

/// Threads, messages and runs of the embedded agent server.
pub trait Threads: Send + Sync {
    /// The thread with this id on this mount, if the filter lets it through.
    fn thread<'a>(
        &'a self,
        mount: &'a str,
        id: &'a ThreadId,
        filter: &'a Filter,
    ) -> StoreFuture<'a, Option<Thread>>;
    /// Threads of this mount that the filter lets through, newest first; `page.after` is the last id seen.
    fn threads<'a>(&'a self, mount: &'a str, filter: &'a Filter, page: Page) -> StoreFuture<'a, Vec<Thread>>;
    /// Threads in an order of choice.
    fn sorted_threads<'a>(&'a self, query: &'a ThreadQuery<'a>) -> StoreFuture<'a, Vec<Thread>>;
    /// The heads of these threads; `with_newest` tells their newest runs too.
    fn thread_heads<'a>(
        &'a self,
        query: &'a ThreadQuery<'a>,
        with_newest: bool,
    ) -> StoreFuture<'a, Vec<ThreadHead>>;
    /// Messages of a thread in order.
    fn messages<'a>(&'a self, thread: &'a ThreadId, page: Page) -> StoreFuture<'a, Vec<Message>>;
    /// The newest messages of a thread, of those `before` this id where one is given; at most `limit`, in order.
    fn newest_messages<'a>(
        &'a self,
        thread: &'a ThreadId,
        before: Option<&'a MessageId>,
        limit: u32,
    ) -> StoreFuture<'a, Vec<Message>>;
    /// One message.
    fn message<'a>(&'a self, thread: &'a ThreadId, id: &'a MessageId) -> StoreFuture<'a, Option<Message>>;
    /// Runs of a thread, newest first.
    fn runs<'a>(&'a self, thread: &'a ThreadId, page: Page) -> StoreFuture<'a, Vec<Run>>;
    /// The newest run of each of these threads that has one, in no order, without what it was asked for.
    fn newest_runs<'a>(&'a self, threads: &'a [ThreadId]) -> StoreFuture<'a, Vec<Run>>;
    /// One run.
    fn run<'a>(&'a self, thread: &'a ThreadId, id: &'a RunId) -> StoreFuture<'a, Option<Run>>;
}
