//! The runner protocol, version 1 (`docs/reference/runner-protocol.md`): what an agent is told and what it may say.

use doorward_core::agents::model::Message;
use doorward_core::agents::runner::{Fault, RunInput};
use doorward_protocols::json::{self, Limits};
use serde::Deserialize;
use serde_json::json;

use doorward_handlers::lines::shown;

/// The version of the request.
const VERSION: u32 = 1;
/// Most bytes of an agent's own error that the log shows.
const SHOWN_BYTES: usize = 512;

/// What a line of the agent's means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// An empty line, or a message that says what was said.
    Nothing,
    /// More text.
    Text(String),
    /// The answer is whole.
    Done,
}

/// What an agent says, as it is written.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
enum Said {
    Token { text: String },
    Message { text: String },
    Error { code: String, message: String },
    Done {},
}

/// The one line an agent is told.
pub(super) fn request(input: &RunInput, messages: &[Message]) -> String {
    let messages: Vec<_> = messages
        .iter()
        .map(|message| json!({ "id": message.id, "role": message.role, "content": message.content }))
        .collect();
    let request = json!({
        "version": VERSION,
        "type": "run",
        "run_id": input.run,
        "thread_id": input.thread,
        "messages": messages,
        "config": { "user": input.user },
    });
    format!("{request}\n")
}

/// The answer so far.
#[derive(Default)]
pub(super) struct Answer {
    text: String,
}

impl Answer {
    /// Takes a line.
    ///
    /// # Errors
    /// The agent's own failure, or a line that is none of the protocol's.
    pub(super) fn take(&mut self, line: &[u8]) -> Result<Step, (Fault, String)> {
        if line.trim_ascii().is_empty() {
            return Ok(Step::Nothing);
        }
        // Lines are bounded where they are read.
        let limits = Limits { max_bytes: usize::MAX, ..Limits::STRANGER };
        let said = json::parse_as(line, limits).map_err(|error| (Fault::BadAnswer, error.to_string()))?;
        match said {
            Said::Token { text } => Ok(self.add(text)),
            Said::Message { text } => match text.strip_prefix(&*self.text) {
                Some(rest) => {
                    let rest = rest.to_owned();
                    Ok(self.add(rest))
                }
                None => {
                    Err((Fault::BadAnswer, "the message does not begin with the tokens before it".to_owned()))
                }
            },
            Said::Error { code, message } => {
                let mut what = format!("{code}: {message}").into_bytes();
                what.truncate(SHOWN_BYTES);
                Err((Fault::Failed, shown(&what)))
            }
            Said::Done {} => Ok(Step::Done),
        }
    }

    fn add(&mut self, text: String) -> Step {
        if text.is_empty() {
            return Step::Nothing;
        }
        self.text.push_str(&text);
        Step::Text(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_the_whole_answer_of_which_tokens_are_the_beginning() {
        let mut answer = Answer::default();
        let text = |text: &str| Ok(Step::Text(text.to_owned()));
        assert_eq!(answer.take(br#"{"type":"token","text":"Hel"}"#), text("Hel"));
        assert_eq!(answer.take(b" \r"), Ok(Step::Nothing));
        assert_eq!(answer.take(br#"{"type":"message","text":"Hello"}"#), text("lo"));
        assert_eq!(answer.take(br#"{"type":"message","text":"Hello"}"#), Ok(Step::Nothing));
        assert_eq!(answer.take(br#"{"type":"done"}"#), Ok(Step::Done));
        assert!(answer.take(br#"{"type":"message","text":"Bye"}"#).is_err());
    }

    #[test]
    fn what_is_none_of_the_protocols_is_refused() {
        let cases: &[(&str, &[u8])] = &[
            ("no JSON", b"hello"),
            ("cut", br#"{"type":"token""#),
            ("no type", br#"{"text":"x"}"#),
            ("an unknown type", br#"{"type":"think","text":"x"}"#),
            ("an unknown member", br#"{"type":"token","text":"x","more":1}"#),
            ("a number", br#"{"type":"token","text":1}"#),
            ("a member twice", br#"{"type":"token","text":"x","text":"y"}"#),
            ("no UTF-8", b"{\"type\":\"token\",\"text\":\"\xff\"}"),
            ("a list", b"[]"),
        ];
        for (name, line) in cases {
            let refused = Answer::default().take(line).map_err(|(fault, _)| fault);
            assert_eq!(refused, Err(Fault::BadAnswer), "{name}");
        }
    }
}
