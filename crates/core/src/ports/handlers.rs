//! User code: functions that run out of process and are asked who somebody is, or what they may do.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::Value;

/// A refusal in the handler's own words.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Refused {
    /// The status, 400 to 599.
    pub status: u16,
    /// What the client is told.
    pub detail: Value,
    /// Headers that go with it; not checked yet.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandlerFault {
    /// The handler refuses.
    Refused(Refused),
    /// It answered something that the platform does not know: the text names the expected shape.
    Invalid(String),
    /// It raised something that is no refusal. For the log, what and where.
    Raised(String),
    /// Nothing was answered: it crashed, took too long, or has too much to do. For the log, why.
    Away(String),
}

/// What user code may ask us. Nothing of user code is among what answers.
pub trait BuiltIns: Send + Sync {
    /// Answers a question, or says why there is no answer now.
    fn ask<'a>(&'a self, function: &'a str, with: Value) -> BoxFuture<'a, Result<Value, String>>;
}

/// A question that is asked in one go with the one before it, and only if that one is answered.
#[derive(Debug)]
pub struct Then {
    /// Which function.
    pub function: &'static str,
    /// What it is asked, an object.
    pub with: Value,
    /// Members of the answer before that go into it.
    pub take: &'static [&'static str],
}

/// What came of a call, and what came of the one behind it where that was asked.
pub type Both = (Result<Value, HandlerFault>, Option<Result<Value, HandlerFault>>);

/// The functions of one file.
pub trait Handlers: Send + Sync {
    /// What the log calls them.
    fn name(&self) -> &str;

    /// How many calls may be under way at once.
    fn places(&self) -> usize;

    /// Whether who somebody is depends on the Authorization header and on nothing else of a request, so that an answer may be
    /// remembered; with a number that changes when the file is loaded anew.
    fn by_authorization(&self) -> Option<u64> {
        None
    }

    /// Who answers what the file's functions ask. Said once.
    fn answer_with(&self, _built_ins: Arc<dyn BuiltIns>) {}

    /// Asks a function. Waits no longer than the handler's own limit.
    fn call<'a>(&'a self, function: &'static str, with: Value) -> BoxFuture<'a, Result<Value, HandlerFault>>;

    /// Asks a function and another after it, each as [`Handlers::call`] does, but wakes the process once. Who cannot do that asks the
    /// first alone.
    fn call_then<'a>(&'a self, function: &'static str, with: Value, _then: Then) -> BoxFuture<'a, Both> {
        Box::pin(async move { (self.call(function, with).await, None) })
    }
}
