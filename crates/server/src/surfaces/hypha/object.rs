//! A service that a client handed out: its members, and calling one.

use std::time::Duration;

use doorward_hub::{Conversation, Fault, Visit};
use doorward_protocols::hypha::value;
use rmpv::Value;

/// How long a call over plain HTTP may take, while the client shows that it works on it.
pub(super) const CALL_WITHIN: Duration = Duration::from_secs(300);

/// Something of a client's that can be called.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Callable {
    /// `workspace/client`.
    pub(super) target: String,
    pub(super) method: String,
}

impl Callable {
    /// Reads one; `None` for what is a plain value. `kind` is `method` or `generator`.
    pub(super) fn read(value: &Value, kind: &str) -> Option<Self> {
        let text = |name: &str| value::get(value, name).and_then(Value::as_str).map(str::to_owned);
        (text("_rtype").as_deref() == Some(kind))
            .then(|| Some(Self { target: text("_rtarget")?, method: text("_rmethod")? }))
            .flatten()
    }

    /// Calls it.
    pub(super) async fn call(
        &self,
        visit: &Visit,
        args: Vec<Value>,
        named: Option<Vec<(Value, Value)>>,
    ) -> Result<Value, Fault> {
        self.begin(visit, |_| (args, named)).await?.returned(CALL_WITHIN).await
    }

    /// Begins a call.
    pub(super) async fn begin(
        &self,
        visit: &Visit,
        args: impl FnOnce(&str) -> (Vec<Value>, Option<Vec<(Value, Value)>>),
    ) -> Result<Conversation, Fault> {
        visit.begin(&self.target, &self.method, args).await
    }
}

/// The member of an object that a dotted name means.
pub(super) fn member<'v>(object: &'v Value, path: &str) -> Option<&'v Value> {
    let mut found = object;
    for name in path.split('.') {
        found = match found {
            Value::Array(items) => items.get(name.parse::<usize>().ok()?)?,
            map => value::get(map, name)?,
        };
    }
    Some(found)
}
