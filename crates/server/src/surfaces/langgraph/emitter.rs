//! What is heard of a run, as the platform's events, mode by mode (langgraph-api 0.16.7). The same run gives the same events to
//! whoever listens, so that a number is enough to go on from.

use std::sync::Arc;

use bytes::Bytes;
use doorward_core::agents::feed::Told;
use doorward_core::agents::model::{Message, Run, RunStatus};
use doorward_core::error::Result;
use doorward_core::id::MessageId;
use serde_json::{Map, Value, json};

use super::body::bad;
use super::{messages, views};

/// What a client wants to see of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// The whole state, after each step.
    Values,
    /// What each step changed.
    Updates,
    /// Messages as far as they have come.
    Messages,
    /// Messages piece by piece.
    MessagesTuple,
    /// What a graph says besides; this one says nothing.
    Custom,
}

impl Mode {
    const ALL: &'static [(&'static str, Self)] = &[
        ("values", Self::Values),
        ("updates", Self::Updates),
        ("messages", Self::Messages),
        ("messages-tuple", Self::MessagesTuple),
        ("custom", Self::Custom),
    ];
    /// What the real server has beside.
    const OTHERS: &'static [&'static str] = &["events", "debug", "tasks", "checkpoints", "lifecycle"];

    /// The word for it.
    pub(super) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, mode)| *mode == self).map_or("values", |(name, _)| name)
    }

    fn of(word: &str) -> Result<Self> {
        if let Some((_, mode)) = Self::ALL.iter().find(|(name, _)| *name == word) {
            return Ok(*mode);
        }
        let known: Vec<_> = Self::ALL.iter().map(|(name, _)| *name).collect();
        let known = known.join(", ");
        Err(match Self::OTHERS.contains(&word) {
            true => bad(
                "stream_mode",
                &format!("{word:?} is not told by the embedded agent server; it has {known}"),
            ),
            false => {
                let shown: String = word.chars().take(64).collect();
                bad("stream_mode", &format!("{shown:?} is none; there are {known}"))
            }
        })
    }

    /// Reads a mode or a list of them; none is `values`.
    ///
    /// # Errors
    /// `bad_field` for another type or word.
    pub(super) fn read(given: Option<&Value>) -> Result<Vec<Self>> {
        let mut modes = match given {
            None => Vec::new(),
            Some(Value::String(word)) => vec![Self::of(word)?],
            Some(Value::Array(words)) if words.len() <= 16 => {
                let word = |word: &Value| match word.as_str() {
                    Some(word) => Self::of(word),
                    None => Err(bad("stream_mode", "is a text or a list of texts")),
                };
                words.iter().map(word).collect::<Result<_>>()?
            }
            Some(_) => return Err(bad("stream_mode", "is a text or a list of texts")),
        };
        if modes.is_empty() {
            modes.push(Self::Values);
        }
        if modes.contains(&Self::MessagesTuple) {
            modes.retain(|mode| *mode != Self::Messages);
        }
        Ok(modes)
    }
}

/// One event.
#[derive(Debug, PartialEq)]
pub(super) struct Event {
    pub(super) name: &'static str,
    /// JSON.
    pub(super) data: String,
}

impl Event {
    /// On the wire: lines end as the platform's do, and only resumable streams number them.
    pub(super) fn bytes(&self, id: Option<&str>) -> Bytes {
        let id = id.map(|id| format!("id: {id}\r\n")).unwrap_or_default();
        format!("event: {}\r\ndata: {}\r\n{id}\r\n", self.name, self.data).into()
    }
}

/// Turns what is heard of a run into events.
pub(super) struct Emitter {
    run: Run,
    modes: Vec<Mode>,
    /// The graph's one node.
    node: String,
    /// What the state holds beside messages.
    state: Map<String, Value>,
    seen: Arc<Vec<Message>>,
    /// What was answered to them.
    answered: Option<Message>,
    /// The id of the answer, once the run has begun.
    answer: String,
    text: String,
    /// How much of the text the last `messages/partial` told.
    told: usize,
    /// What is said of each piece of a message, once it is known.
    about: Option<String>,
}

impl Emitter {
    pub(super) fn new(run: Run, modes: Vec<Mode>, node: String, state: Map<String, Value>) -> Self {
        Self {
            run,
            modes,
            node,
            state,
            seen: Arc::default(),
            answered: None,
            answer: String::new(),
            text: String::new(),
            told: 0,
            about: None,
        }
    }

    /// Exactly these two members: clients of SDK 0.1 unpack every event into two.
    pub(super) fn metadata(&self) -> Event {
        // In this order, byte for byte as the platform's. An id of ours needs no escaping.
        Event { name: "metadata", data: format!("{{\"run_id\":\"{}\",\"attempt\":1}}", self.run.id) }
    }

    fn wants(&self, mode: Mode) -> bool {
        self.modes.contains(&mode)
    }

    fn values(&self) -> Event {
        Event { name: "values", data: self.state().to_string() }
    }

    /// What is said of each piece of a message: made once, however many pieces there are.
    fn about(&mut self) -> &str {
        if self.about.is_none() {
            let kept = self.run.details.get("metadata").and_then(Value::as_object).cloned();
            let mut about = kept.unwrap_or_default();
            let more = json!({
                "run_attempt": 1,
                "thread_id": self.run.thread,
                "run_id": self.run.id,
                "langgraph_step": 1,
                "langgraph_node": self.node,
                "langgraph_triggers": [format!("branch:to:{}", self.node)],
                "langgraph_path": ["__pregel_pull", self.node],
                "langgraph_checkpoint_ns": format!("{}:{}", self.node, self.run.id),
            });
            about.extend(more.as_object().cloned().unwrap_or_default());
            self.about = Some(Value::Object(about).to_string());
        }
        self.about.as_deref().unwrap_or("{}")
    }

    /// The events for what was heard.
    pub(super) fn events(&mut self, told: &Told) -> Vec<Event> {
        match told {
            Told::Begun { messages: all, answer } => {
                self.begin(all, answer);
                if self.wants(Mode::Values) { vec![self.values()] } else { Vec::new() }
            }
            Told::Text(text) => self.piece(text),
            Told::Ended(run, answer) => self.end(run, answer.as_deref()),
        }
    }

    /// How many events there would be for what was heard.
    pub(super) fn count(&self, told: &Told) -> usize {
        let one = |mode| usize::from(self.wants(mode));
        match told {
            Told::Begun { .. } => one(Mode::Values),
            Told::Text(text) => {
                let partials = usize::from(self.is_due(text.len())) + usize::from(self.text.is_empty());
                partials * one(Mode::Messages) + one(Mode::MessagesTuple)
            }
            Told::Ended(run, answer) => {
                let rest = usize::from(self.told < self.text.len()) * one(Mode::Messages);
                let of_answer = rest + one(Mode::MessagesTuple) + one(Mode::Updates) + one(Mode::Values);
                usize::from(answer.is_some()) * of_answer + usize::from(run.status == RunStatus::Error)
            }
        }
    }

    /// Takes in what was heard without making events of it; says how many it would have been.
    pub(super) fn absorb(&mut self, told: &Told) -> usize {
        let count = self.count(told);
        match told {
            Told::Begun { messages: all, answer } => self.begin(all, answer),
            Told::Text(text) => {
                self.takes(text);
            }
            Told::Ended(_, answer) => self.answered = answer.as_deref().cloned(),
        }
        count
    }

    fn begin(&mut self, all: &Arc<Vec<Message>>, answer: &MessageId) {
        self.seen = Arc::clone(all);
        self.answer = messages::answer_id(answer);
    }

    /// Takes a piece in; whether the text so far is due to be told again. Each time all of it is, so it is told less and less often:
    /// whole answers would otherwise cost their length squared.
    fn takes(&mut self, text: &str) -> bool {
        let due = self.is_due(text.len());
        self.text.push_str(text);
        if due {
            self.told = self.text.len();
        }
        due
    }

    fn is_due(&self, more: usize) -> bool {
        let whole = self.text.len() + more;
        whole - self.told >= whole / 64
    }

    fn piece(&mut self, text: &str) -> Vec<Event> {
        let is_first = self.text.is_empty();
        let due = self.takes(text);
        let mut events = Vec::new();
        if self.wants(Mode::Messages) {
            if is_first {
                let id = Value::from(self.answer.as_str());
                let data = format!("{{{id}:{{\"metadata\":{}}}}}", self.about());
                events.push(Event { name: "messages/metadata", data });
            }
            if due {
                events.push(self.partial());
            }
        }
        if self.wants(Mode::MessagesTuple) {
            events.push(self.chunk(text, false));
        }
        events
    }

    fn partial(&self) -> Event {
        let data = json!([messages::partial(&self.answer, &self.text)]).to_string();
        Event { name: "messages/partial", data }
    }

    fn chunk(&mut self, text: &str, is_last: bool) -> Event {
        let chunk = messages::chunk(&self.answer, text, is_last);
        Event { name: "messages", data: format!("[{chunk},{}]", self.about()) }
    }

    fn end(&mut self, run: &Run, answer: Option<&Message>) -> Vec<Event> {
        let mut events = Vec::new();
        if let Some(answer) = answer {
            if self.wants(Mode::Messages) && self.told < self.text.len() {
                events.push(self.partial());
            }
            if self.wants(Mode::MessagesTuple) {
                events.push(self.chunk("", true));
            }
            if self.wants(Mode::Updates) {
                let mut update = Map::new();
                update.insert(self.node.clone(), json!({ "messages": [messages::view(answer)] }));
                events.push(Event { name: "updates", data: Value::Object(update).to_string() });
            }
            self.answered = Some(answer.clone());
            if self.wants(Mode::Values) {
                events.push(self.values());
            }
        }
        // A run that was stopped just ends, as there.
        if run.status == RunStatus::Error {
            events.push(Event { name: "error", data: views::failure(run).to_string() });
        }
        events
    }

    /// The state as it is now.
    pub(super) fn state(&self) -> Value {
        let mut values = self.state.clone();
        values.insert("messages".to_owned(), messages::views(self.seen.iter().chain(&self.answered)));
        Value::Object(values)
    }
}

#[cfg(test)]
mod tests {
    use doorward_core::agents::model::MessageRole;

    use super::*;

    fn run() -> Run {
        Run {
            id: "01a22295-d554-7715-bd80-71b66188f288".into(),
            thread: "t".into(),
            status: RunStatus::Success,
            error: None,
            created_at_ms: 0,
            finished_at_ms: None,
            details: Map::new(),
        }
    }

    fn message(role: MessageRole, text: &str) -> Message {
        Message {
            id: "msg_01a222974ae676419a6598e0d458dfcc".into(),
            thread: "t".into(),
            role,
            content: text.into(),
            metadata: Map::new(),
            run: None,
            created_at_ms: 0,
        }
    }

    fn names(modes: &[Mode]) -> Vec<&'static str> {
        let mut emitter = Emitter::new(run(), modes.to_vec(), "chatbot".into(), Map::new());
        let mut all = vec![emitter.metadata()];
        for told in [
            Told::Begun {
                messages: Arc::new(vec![message(MessageRole::User, "hi")]),
                answer: "msg_01a222974ae676419a6598e0d458dfcc".into(),
            },
            Told::Text("Echo: ".into()),
            Told::Text("hi".into()),
            Told::Ended(Box::new(run()), Some(Box::new(message(MessageRole::Assistant, "Echo: hi")))),
        ] {
            all.extend(emitter.events(&told));
        }
        all.into_iter().map(|event| event.name).collect()
    }

    #[test]
    fn each_mode_has_its_events() {
        assert_eq!(names(&[Mode::Values]), ["metadata", "values", "values"]);
        assert_eq!(names(&[Mode::Updates]), ["metadata", "updates"]);
        assert_eq!(
            names(&[Mode::Messages]),
            ["metadata", "messages/metadata", "messages/partial", "messages/partial"]
        );
        assert_eq!(names(&[Mode::MessagesTuple]), ["metadata", "messages", "messages", "messages"]);
        assert_eq!(names(&[Mode::Custom]), ["metadata"]);
    }

    #[test]
    fn what_is_absorbed_counts_as_what_is_told_and_costs_no_square() {
        let told = |pieces: usize| {
            let answer = "a ".repeat(pieces);
            let begun = Told::Begun { messages: Arc::new(Vec::new()), answer: "msg_1".into() };
            let ended =
                Told::Ended(Box::new(run()), Some(Box::new(message(MessageRole::Assistant, &answer))));
            let text = (0..pieces).map(|_| Told::Text("a ".into()));
            std::iter::once(begun).chain(text).chain([ended]).collect::<Vec<_>>()
        };
        for modes in [vec![Mode::Values], vec![Mode::Messages, Mode::Updates], vec![Mode::MessagesTuple]] {
            let new = || Emitter::new(run(), modes.clone(), "chatbot".into(), Map::new());
            let (mut one, mut other) = (new(), new());
            for told in told(300) {
                assert_eq!(one.events(&told).len(), other.absorb(&told), "{modes:?} {told:?}");
            }
        }
        let mut emitter = Emitter::new(run(), vec![Mode::Messages], "chatbot".into(), Map::new());
        let bytes: usize =
            told(100_000).iter().flat_map(|told| emitter.events(told)).map(|event| event.data.len()).sum();
        assert!(bytes < 30 << 20, "{bytes}");
    }

    #[test]
    fn modes_are_read_as_the_platform_does() {
        let read = |given: Value| Mode::read(Some(&given));
        assert_eq!(Mode::read(None).expect("default"), [Mode::Values]);
        assert_eq!(read(json!([])).expect("default"), [Mode::Values]);
        assert_eq!(read(json!(["messages", "messages-tuple"])).expect("modes"), [Mode::MessagesTuple]);
        for wrong in [json!("bogus"), json!(["values", "bogus"]), json!(null), json!(5), json!("debug")] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_event_is_written_as_the_platform_writes_it() {
        let event = Event { name: "metadata", data: "{\"run_id\":\"r\",\"attempt\":1}".to_owned() };
        assert_eq!(event.bytes(None), "event: metadata\r\ndata: {\"run_id\":\"r\",\"attempt\":1}\r\n\r\n");
        let numbered = event.bytes(Some("5-0"));
        assert!(numbered.ends_with(b"\r\nid: 5-0\r\n\r\n"), "{numbered:?}");
    }
}
