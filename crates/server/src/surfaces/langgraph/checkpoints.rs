//! A thread's past as the platform tells it: three checkpoints for each run (before its input, after it, after the answer) and one for
//! each change from outside. They are worked out from the messages, which is all that the embedded agent keeps.

use doorward_core::agents::model::{Message, MessageRole, Run, Thread};
use serde_json::{Map, Value, json};

use super::{ids, messages, views};

/// The graph's one node.
#[derive(Clone, Copy)]
pub(super) struct Node<'n> {
    pub(super) name: &'n str,
    pub(super) graph: &'n str,
}

/// One moment of a thread.
pub(super) struct Checkpoint<'m> {
    pub(super) id: String,
    parent: Option<String>,
    at_ms: i64,
    step: i64,
    source: &'static str,
    run: Option<String>,
    /// How many of the thread's messages there were.
    seen: usize,
    next: Option<&'static str>,
    answer: Option<&'m Message>,
    failed: Option<String>,
}

/// What comes next before a run's input is taken in, and then.
const START: &str = "__start__";
const NODE: &str = "";

/// A checkpoint's id: the message it stands at, with the kind of checkpoint in its last digits.
fn id(message: &Message, kind: u8) -> String {
    let text = messages::uuid_of(&message.id);
    let Some(uuid) = ids::parse(&text) else { return text };
    let mut bytes = uuid.into_bytes();
    // RFC 9562 §5.6: the platform's are version 6, which sort by time as well.
    bytes[6] = bytes[6] & 0x0F | 0x60;
    bytes[15] ^= kind;
    uuid::Uuid::from_bytes(bytes).to_string()
}

/// Every checkpoint, oldest first. `newest` is the thread's newest run.
pub(super) fn of<'m>(all: &'m [Message], newest: Option<&Run>) -> Vec<Checkpoint<'m>> {
    let mut found: Vec<Checkpoint<'m>> = Vec::new();
    let mut at = 0;
    while at < all.len() {
        let first = &all[at];
        let run = first.run.as_ref();
        let input = all[at..].iter().take_while(|one| one.run.as_ref() == run && !is_answer(one)).count();
        let after_input = at + input;
        let answer =
            all.get(after_input).filter(|one| run.is_some() && is_answer(one) && one.run.as_ref() == run);
        let parent = found.last().map(|last| last.id.clone());
        let step = found.last().map_or(-1, |last| last.step + 1);
        let plain = |kind, seen, parent, step| Checkpoint {
            id: id(first, kind),
            parent,
            at_ms: first.created_at_ms,
            step,
            source: "loop",
            run: run.map(|id| id.as_str().to_owned()),
            seen,
            next: None,
            answer: None,
            failed: None,
        };
        if run.is_none() {
            let end = at + input.max(1);
            found.push(Checkpoint { source: "update", ..plain(3, end, parent, step) });
            at = end;
            continue;
        }
        let before = Checkpoint { source: "input", next: Some(START), ..plain(0, at, parent, step) };
        let taken = plain(1, after_input, Some(before.id.clone()), step + 1);
        let failed = newest
            .filter(|newest| run == Some(&newest.id) && answer.is_none())
            .and_then(|newest| newest.error.clone());
        let taken = Checkpoint { next: Some(NODE), answer, failed, ..taken };
        let last = answer.map(|answer| Checkpoint {
            at_ms: answer.created_at_ms,
            ..plain(2, after_input + 1, Some(taken.id.clone()), step + 2)
        });
        at = after_input + usize::from(answer.is_some());
        found.push(before);
        found.push(taken);
        found.extend(last);
    }
    found
}

fn is_answer(message: &Message) -> bool {
    message.role == MessageRole::Assistant && message.run.is_some()
}

/// The members of a state that are no messages, with the messages.
pub(super) fn values(thread: &Thread, all: &[Message]) -> Value {
    let mut values = thread.state.clone();
    values.insert("messages".to_owned(), messages::views(all));
    Value::Object(values)
}

/// The state of a thread in which nothing happened yet, or of a checkpoint that there is not.
pub(super) fn empty(thread: &Thread, asked: Option<&str>) -> Value {
    let checkpoint = asked.map(|id| json!({ "checkpoint_id": id, "thread_id": thread.id }));
    json!({
        "values": {},
        "next": [],
        "tasks": [],
        "metadata": null,
        "created_at": null,
        "checkpoint": checkpoint,
        "parent_checkpoint": null,
        "interrupts": [],
        "checkpoint_id": asked,
        "parent_checkpoint_id": null,
    })
}

impl Checkpoint<'_> {
    fn named(&self, thread: &Thread) -> Value {
        reference(thread, &self.id)
    }

    /// The platform's state at this moment.
    pub(super) fn view(&self, thread: &Thread, all: &[Message], node: Node<'_>) -> Value {
        let values =
            if self.seen == 0 { json!({ "messages": [] }) } else { values(thread, &all[..self.seen]) };
        let next: Vec<&str> =
            self.next.map(|next| if next == NODE { node.name } else { next }).into_iter().collect();
        let tasks: Vec<Value> = next.iter().map(|name| self.task(name, all)).collect();
        json!({
            "values": values,
            "next": next,
            "tasks": tasks,
            "metadata": self.metadata(thread, node),
            "created_at": views::moment(self.at_ms),
            "checkpoint": self.named(thread),
            "parent_checkpoint": self.parent.as_ref().map(|parent| reference(thread, parent)),
            "interrupts": [],
            "checkpoint_id": self.id,
            "parent_checkpoint_id": self.parent,
        })
    }

    fn task(&self, name: &str, all: &[Message]) -> Value {
        let result = if name == START {
            let said = &all[self.seen..];
            let said =
                said.iter().take_while(|one| one.run.as_ref().map(|run| run.as_str()) == self.run.as_deref());
            Some(json!({ "messages": messages::views(said.filter(|one| !is_answer(one))) }))
        } else {
            self.answer.map(|answer| json!({ "messages": [messages::view(answer)] }))
        };
        json!({
            "id": self.id,
            "name": name,
            "path": ["__pregel_pull", name],
            "error": self.failed,
            "interrupts": [],
            "checkpoint": null,
            "state": null,
            "result": result,
        })
    }

    /// The same words that the platform has, but for who it was: that is no business of whoever may read a thread.
    fn metadata(&self, thread: &Thread, node: Node<'_>) -> Value {
        let mut metadata: Map<String, Value> = thread.metadata.clone();
        let more = json!({
            "graph_id": node.graph,
            "assistant_id": ids::assistant_of(node.graph).to_string(),
            "created_by": "system",
            "thread_id": thread.id,
            "source": self.source,
            "step": self.step,
            "parents": {},
        });
        metadata.extend(more.as_object().cloned().unwrap_or_default());
        if let Some(run) = &self.run {
            metadata.insert("run_id".to_owned(), run.as_str().into());
            metadata.insert("run_attempt".to_owned(), 1.into());
        }
        Value::Object(metadata)
    }
}

/// How a checkpoint is named.
pub(super) fn reference(thread: &Thread, id: &str) -> Value {
    json!({ "checkpoint_id": id, "thread_id": thread.id, "checkpoint_ns": "" })
}

#[cfg(test)]
mod tests {
    use doorward_core::id::RunId;

    use super::*;

    fn message(number: u8, role: MessageRole, run: Option<&str>) -> Message {
        Message {
            id: format!("msg_01a222974ae676419a6598e0d458df{number:02x}").into(),
            thread: "t".into(),
            role,
            content: "x".into(),
            metadata: Map::new(),
            run: run.map(RunId::from),
            created_at_ms: i64::from(number),
        }
    }

    #[test]
    fn a_run_leaves_three_checkpoints_and_one_that_failed_two() {
        let all = [
            message(0x10, MessageRole::User, Some("r1")),
            message(0x20, MessageRole::Assistant, Some("r1")),
            message(0x30, MessageRole::User, None),
            message(0x40, MessageRole::User, Some("r2")),
            message(0x50, MessageRole::User, Some("r2")),
        ];
        let found = of(&all, None);
        let told: Vec<_> = found.iter().map(|one| (one.step, one.source, one.seen, one.next)).collect();
        assert_eq!(
            told,
            [
                (-1, "input", 0, Some(START)),
                (0, "loop", 1, Some(NODE)),
                (1, "loop", 2, None),
                (2, "update", 3, None),
                (3, "input", 3, Some(START)),
                (4, "loop", 5, Some(NODE)),
            ]
        );
        for pair in found.windows(2) {
            assert_eq!(pair[1].parent.as_ref(), Some(&pair[0].id));
        }
        let ids: std::collections::HashSet<_> = found.iter().map(|one| &one.id).collect();
        assert_eq!(ids.len(), found.len());
    }
}
