//! Events that clients note of themselves: the last thousand of a workspace, while somebody is in it.

use std::collections::{BTreeMap, VecDeque};

use doorward_core::authz::catalogue::workspace;
use doorward_protocols::hypha::value;
use rmpv::Value;

use crate::args::wrong;
use crate::fault::Fault;
use crate::provided::Asked;

/// Most events of a workspace, most bytes of what they say, and of one.
const MOST: usize = 1_000;
const MOST_BYTES: usize = 256 << 10;
const MOST_OF_ONE: usize = 4 << 10;
/// Longest kind, in bytes.
const MAX_KIND_BYTES: usize = 128;

/// What was noted in a workspace, oldest first.
#[derive(Default)]
pub(crate) struct Diary {
    events: VecDeque<Event>,
    bytes: usize,
    last: u64,
}

struct Event {
    id: u64,
    kind: String,
    user: String,
    at_ms: i64,
    data: Value,
    bytes: usize,
}

impl Diary {
    fn note(&mut self, kind: String, user: String, at_ms: i64, data: Value) {
        let bytes = kind.len() + user.len() + value::write(&data).len();
        self.last += 1;
        self.bytes += bytes;
        self.events.push_back(Event { id: self.last, kind, user, at_ms, data, bytes });
        while self.events.len() > MOST || self.bytes > MOST_BYTES {
            self.bytes -= self.events.pop_front().map_or(self.bytes, |oldest| oldest.bytes);
        }
    }
}

pub(super) async fn log(asked: Asked) -> Result<Value, Fault> {
    let kind = asked.args.needed_text("event_type")?;
    if kind.is_empty() || kind.len() > MAX_KIND_BYTES || kind.contains(|c: char| c == ' ' || c.is_control()) {
        return Err(Fault::assertion("Event type must not contain spaces, and takes 1 to 128 bytes"));
    }
    let data = asked.args.map("data")?;
    if value::write(&data).len() > MOST_OF_ONE {
        return Err(wrong("data", "at most 4 KiB"));
    }
    asked.may::<workspace::Use>(&asked.peer.room)?;
    let user = asked.peer.user.id.clone();
    let at_ms = asked.hub.engine().now_ms();
    asked.peer.room.diary.lock().note(kind.to_owned(), user, at_ms, data);
    Ok(Value::Nil)
}

/// The caller's own events that are asked for; others' are theirs.
fn found<T>(asked: &Asked, each: impl Fn(&Event) -> T) -> Result<Vec<T>, Fault> {
    let kind = asked.args.text("event_type")?;
    let moment = |name: &str| Ok::<_, Fault>(asked.args.number(name)?.map(|seconds| seconds * 1000.0));
    let (start, end) = (moment("start_time")?, moment("end_time")?);
    asked.may::<workspace::Read>(&asked.peer.room)?;
    let diary = asked.peer.room.diary.lock();
    let meant = |event: &&Event| {
        let at = event.at_ms as f64;
        event.user == asked.peer.user.id
            && kind.is_none_or(|kind| kind == event.kind)
            && start.is_none_or(|start| at >= start)
            && end.is_none_or(|end| at <= end)
    };
    Ok(diary.events.iter().filter(meant).map(each).collect())
}

pub(super) async fn list(asked: Asked) -> Result<Value, Fault> {
    let workspace = &*asked.peer.room.id;
    let shown = |event: &Event| {
        value::map([
            ("id", event.id.into()),
            ("event_type", event.kind.as_str().into()),
            ("workspace", workspace.into()),
            ("user_id", event.user.as_str().into()),
            ("timestamp", (event.at_ms as f64 / 1000.0).into()),
            ("data", event.data.clone()),
        ])
    };
    Ok(Value::Array(found(&asked, shown)?))
}

pub(super) async fn stats(asked: Asked) -> Result<Value, Fault> {
    let mut counts = BTreeMap::<String, u64>::new();
    for kind in found(&asked, |event| event.kind.clone())? {
        *counts.entry(kind).or_default() += 1;
    }
    let shown =
        |(kind, count): (String, u64)| value::map([("event_type", kind.into()), ("count", count.into())]);
    Ok(Value::Array(counts.into_iter().map(shown).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diary_forgets_the_oldest_and_never_grows() {
        let mut diary = Diary::default();
        for n in 0..3_000 {
            diary.note("k".into(), "u".into(), n, Value::Map(Vec::new()));
        }
        assert_eq!((diary.events.len(), diary.events[0].id), (MOST, 2_001));
        for n in 0..200 {
            diary.note("k".into(), "u".into(), n, value::map([("t", "x".repeat(4_000).into())]));
        }
        assert!(diary.bytes <= MOST_BYTES && diary.events.len() < 70);
        assert_eq!(diary.bytes, diary.events.iter().map(|event| event.bytes).sum::<usize>());
    }
}
