//! What a model server says: chunks of a chat completion, `[DONE]`, errors (OpenAI's API reference, "The chat completion chunk object").
//!
//! An answer is whole when it names its finish reason and `[DONE]` follows. Members that nobody reads here may be anything: servers add their
//! own.

use doorward_core::agents::runner::Fault;
use doorward_protocols::event_stream::Event;
use doorward_protocols::json::{self, JsonError, Limits};
use serde::Deserialize;
use serde_json::Value;

/// Longest code of an error that is logged.
const MAX_NAME_BYTES: usize = 64;

/// What an event means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing for whoever hears the run.
    Nothing,
    /// More text.
    Text(String),
    /// The answer is whole.
    Done,
}

/// A chunk, as far as it is read.
#[derive(Deserialize)]
struct Chunk {
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Value,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: u64,
    #[serde(default)]
    delta: Option<Delta>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    #[serde(default)]
    content: Option<String>,
    /// Said instead of an answer, and to be heard like one.
    #[serde(default)]
    refusal: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<Value>>,
}

/// The answer so far.
#[derive(Default)]
pub(super) struct Answer {
    finish_reason: Option<String>,
    usage: Value,
}

impl Answer {
    /// Takes an event.
    ///
    /// # Errors
    /// The server's own error; what is no chunk; an answer that is not whole.
    pub(super) fn take(&mut self, event: &Event) -> Result<Step, (Fault, String)> {
        let bad = |what: &str| Err((Fault::BadAnswer, what.to_owned()));
        if event.data.trim_ascii() == b"[DONE]" {
            return self.done();
        }
        // Events are bounded where they are cut.
        let limits = Limits { max_bytes: usize::MAX, ..Limits::STRANGER };
        let no_json = |error: JsonError| (Fault::BadAnswer, format!("an event is refused: {}", error.code()));
        let said = json::parse(&event.data, limits).map_err(no_json)?;
        if event.name == b"error" || said.get("error").is_some_and(|error| !error.is_null()) {
            return Err((Fault::Failed, format!("it tells of an error in its answer: {}", named(&said))));
        }
        let Ok(chunk) = serde_json::from_value::<Chunk>(said) else {
            return bad("an event is no chunk of a chat completion");
        };
        if chunk.usage.is_object() {
            self.usage = chunk.usage;
        }
        let choice = match chunk.choices.len() {
            0 => return Ok(Step::Nothing),
            1 => chunk.choices.into_iter().next().filter(|choice| choice.index == 0),
            _ => None,
        };
        let Some(choice) = choice else { return bad("it answers more than once") };
        let delta = choice.delta.unwrap_or(Delta { content: None, refusal: None, tool_calls: None });
        if delta.tool_calls.is_some_and(|calls| !calls.is_empty()) {
            return bad("it calls a tool, and none was offered");
        }
        let text = [delta.content, delta.refusal].into_iter().flatten().collect::<String>();
        if self.finish_reason.is_some() && !text.is_empty() {
            return bad("it goes on after its finish reason");
        }
        if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
            self.finish_reason = Some(reason);
        }
        Ok(if text.is_empty() { Step::Nothing } else { Step::Text(text) })
    }

    fn done(&self) -> Result<Step, (Fault, String)> {
        match self.finish_reason.as_deref() {
            None => Err((Fault::Exited, "[DONE] without a finish reason".to_owned())),
            Some("length") => Err((
                Fault::TooLong,
                "it reached model.max_output_tokens, or the model's own limit".to_owned(),
            )),
            Some("content_filter") => Err((Fault::Failed, "the server's filter stopped it".to_owned())),
            Some("tool_calls" | "function_call") => {
                Err((Fault::BadAnswer, "it calls a tool, and none was offered".to_owned()))
            }
            Some(_) => Ok(Step::Done),
        }
    }

    /// How many tokens were read and written, if the server says so.
    pub(super) fn usage(&self) -> (Option<u64>, Option<u64>) {
        let count = |name: &str| self.usage.get(name).and_then(Value::as_u64);
        (count("prompt_tokens"), count("completion_tokens"))
    }
}

/// What an answer that is no success means.
pub(super) fn refused(
    status: u16,
    media_type: &str,
    retry_after: Option<&str>,
    body: &[u8],
) -> (Fault, String) {
    let said = json::parse(body, Limits::STRANGER).ok();
    let code = said.as_ref().and_then(|said| said.get("error")?.get("code")?.as_str());
    let (fault, mend) = match (status, code) {
        (_, Some("context_length_exceeded")) | (413, _) => {
            (Fault::InputTooLong, "; lower model.max_input_bytes")
        }
        (300..=399, _) => (Fault::Failed, "; it redirects, which is not followed: correct model.base_url"),
        (401 | 403, _) => (Fault::Failed, "; it does not take the key"),
        (404, _) => (Fault::Failed, "; correct model.name or model.base_url"),
        (429 | 503 | 529, _) => (Fault::Busy, ""),
        _ => (Fault::Failed, ""),
    };
    let later = retry_after.map(|when| format!(", Retry-After {when}")).unwrap_or_default();
    let told = match &said {
        Some(said) => named(said).to_owned(),
        None if body.is_empty() => "nothing more".to_owned(),
        None => format!("no JSON but {media_type:?}"),
    };
    (fault, format!("it answers {status}{later}{mend}: {told}"))
}

/// What an error is called, where that is a name: its text may repeat what people wrote, and the rest of a body is nobody's business.
fn named(said: &Value) -> &str {
    let error = said.get("error").unwrap_or(said);
    let is_name = |text: &&str| {
        !text.is_empty()
            && text.len() <= MAX_NAME_BYTES
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
    };
    let name = |member: &str| error.get(member).and_then(Value::as_str).filter(is_name);
    name("code").or_else(|| name("type")).unwrap_or("it names no code")
}

/// An error's own text, in one of the shapes that servers have.
pub(super) fn words(body: &[u8]) -> Option<String> {
    let said = json::parse(body, Limits::STRANGER).ok()?;
    let error = said.get("error").unwrap_or(&said);
    let text = |name: &str| error.get(name).and_then(Value::as_str);
    error.as_str().or_else(|| text("message")).or_else(|| text("detail")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(data: &str) -> Event {
        Event { name: Vec::new(), data: data.as_bytes().to_vec() }
    }

    /// Everything that is said up to the end, and how it ends.
    fn heard(events: &[&str]) -> (String, Result<(), Fault>) {
        let mut answer = Answer::default();
        let mut text = String::new();
        for data in events {
            match answer.take(&event(data)) {
                Ok(Step::Nothing) => {}
                Ok(Step::Text(more)) => text.push_str(&more),
                Ok(Step::Done) => return (text, Ok(())),
                Err((fault, _)) => return (text, Err(fault)),
            }
        }
        unreachable!("neither whole nor refused: {events:?}")
    }

    type Texts = &'static [&'static str];

    const ROLE: &str = r#"{"id":"x","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null}"#;
    const HEL: &str = r#"{"choices":[{"index":0,"delta":{"content":"Hel"},"finish_reason":null}]}"#;
    const LO: &str = r#"{"choices":[{"index":0,"delta":{"content":"lo"}}],"more":{"of":"its own"}}"#;
    const STOP: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    const USAGE: &str =
        r#"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}"#;

    #[test]
    fn an_answer_is_whole_with_its_finish_reason_and_done() {
        let whole = ("Hello".to_owned(), Ok(()));
        assert_eq!(heard(&[ROLE, HEL, LO, STOP, USAGE, "[DONE]"]), whole);
        assert_eq!(heard(&[HEL, LO, STOP, " [DONE] "]), whole);
        let last = r#"{"choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":"stop"}]}"#;
        assert_eq!(heard(&[HEL, last, "[DONE]"]), whole, "in one event");
        let refusal = r#"{"choices":[{"index":0,"delta":{"refusal":"No."},"finish_reason":"stop"}]}"#;
        assert_eq!(heard(&[refusal, "[DONE]"]), ("No.".to_owned(), Ok(())));
        let mut answer = Answer::default();
        answer.take(&event(USAGE)).expect("a chunk");
        assert_eq!(answer.usage(), (Some(7), Some(2)));
        let odd = r#"{"choices":[],"usage":{"prompt_tokens":"many","completion_tokens":-1}}"#;
        answer.take(&event(odd)).expect("a chunk");
        assert_eq!(answer.usage(), (None, None));
    }

    #[test]
    fn what_is_no_answer_or_not_whole_has_its_fault() {
        let cases: &[(&str, Texts, Fault)] = &[
            ("done at once", &["[DONE]"], Fault::Exited),
            ("no finish reason", &[HEL, "[DONE]"], Fault::Exited),
            ("no JSON", &[HEL, "hello"], Fault::BadAnswer),
            ("cut", &[r#"{"choices":["#], Fault::BadAnswer),
            ("a list", &["[]"], Fault::BadAnswer),
            ("another thing", &[r#"{"object":"text"}"#], Fault::BadAnswer),
            ("a number for a text", &[r#"{"choices":[{"delta":{"content":1}}]}"#], Fault::BadAnswer),
            ("a member twice", &[r#"{"choices":[],"choices":[]}"#], Fault::BadAnswer),
            ("half a letter", &[r#"{"choices":[{"delta":{"content":"\ud83d"}}]}"#], Fault::BadAnswer),
            ("another choice", &[r#"{"choices":[{"index":1,"delta":{"content":"x"}}]}"#], Fault::BadAnswer),
            (
                "two choices",
                &[r#"{"choices":[{"index":0,"delta":{}},{"index":1,"delta":{}}]}"#],
                Fault::BadAnswer,
            ),
            ("text after its end", &[STOP, HEL], Fault::BadAnswer),
            (
                "a tool",
                &[r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c"}]}}]}"#],
                Fault::BadAnswer,
            ),
            (
                "tools as its reason",
                &[r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#, "[DONE]"],
                Fault::BadAnswer,
            ),
            (
                "cut at the limit",
                &[HEL, r#"{"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}"#, "[DONE]"],
                Fault::TooLong,
            ),
            (
                "filtered",
                &[r#"{"choices":[{"index":0,"delta":{},"finish_reason":"content_filter"}]}"#, "[DONE]"],
                Fault::Failed,
            ),
            ("its own error", &[HEL, r#"{"error":{"message":"out of memory"}}"#], Fault::Failed),
        ];
        for (name, events, expected) in cases {
            assert_eq!(heard(events).1, Err(*expected), "{name}");
        }
        let named = Event { name: b"error".to_vec(), data: br#"{"message":"overloaded"}"#.to_vec() };
        let (fault, detail) = Answer::default().take(&named).expect_err("an error");
        assert_eq!(
            (fault, detail.as_str()),
            (Fault::Failed, "it tells of an error in its answer: it names no code")
        );
        let twice = event(r#"{"choices":[],"what people wrote":1,"what people wrote":2}"#);
        let (_, detail) = Answer::default().take(&twice).expect_err("no JSON of ours");
        assert!(!detail.contains("wrote"), "{detail}");
        let deep = "[".repeat(100_000);
        assert_eq!(heard(&[&deep]).1, Err(Fault::BadAnswer));
    }

    #[test]
    fn a_refusal_tells_the_operator_what_to_mend_and_nothing_that_people_wrote() {
        let open_ai = r#"{"error":{"message":"Unknown model","type":"invalid_request_error","code":"model_not_found"}}"#;
        let long = r#"{"error":{"message":"too many tokens","code":"context_length_exceeded"}}"#;
        let cases: &[(u16, &str, &str, Fault, Texts)] = &[
            (404, open_ai, "application/json", Fault::Failed, &["model.name", ": model_not_found"]),
            (400, long, "application/json", Fault::InputTooLong, &["model.max_input_bytes"]),
            (401, r#"{"error":"no"}"#, "application/json", Fault::Failed, &["does not take the key"]),
            (400, r#"{"message":"odd","type":"BadRequestError"}"#, "", Fault::Failed, &[": BadRequestError"]),
            (422, r#"{"detail":"odd"}"#, "application/json", Fault::Failed, &["422", "names no code"]),
            (400, r#"{"error":{"code":"an odd one","type":"t"}}"#, "", Fault::Failed, &[": t"]),
            (400, r#"{"code":"odd\u001b[31m"}"#, "", Fault::Failed, &["names no code"]),
            (307, "", "", Fault::Failed, &["model.base_url"]),
            (429, "{}", "application/json", Fault::Busy, &["Retry-After 7"]),
            (503, "", "", Fault::Busy, &["503"]),
            (529, "{}", "", Fault::Busy, &["529"]),
            (500, "<h1>Oh</h1>", "text/html", Fault::Failed, &["no JSON but \"text/html\""]),
        ];
        for (status, body, media_type, fault, parts) in cases {
            let (found, detail) = refused(*status, media_type, Some("7"), body.as_bytes());
            assert_eq!(found, *fault, "{status}: {detail}");
            assert!(parts.iter().all(|part| detail.contains(part)), "{detail}");
            let written = ["<h1>", "odd", "Unknown", "too many"];
            assert!(!written.iter().any(|part| detail.contains(part)), "{detail}");
        }
    }
}
