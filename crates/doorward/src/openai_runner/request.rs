//! A thread's messages as a request for a chat completion (OpenAI's API reference, "Create chat completion").

use doorward_core::agents::model::{Message, MessageRole};
use doorward_core::agents::runner::Fault;
use serde_json::{Value, json};

use super::OpenAiSettings;

/// Longest kind of a part that is named.
const MAX_KIND_CHARS: usize = 32;

/// The body of the request.
///
/// # Errors
/// The newest message is longer than what may be sent; nothing holds any text.
pub(super) fn body(settings: &OpenAiSettings, messages: &[Message]) -> Result<Vec<u8>, (Fault, String)> {
    let instructed = settings.system.is_some();
    let said = said(messages, instructed, settings.max_input_bytes)?;
    let system = settings.system.iter().map(|text| json!({ "role": "system", "content": text }));
    let said = said.into_iter().map(|(role, content)| json!({ "role": role, "content": content }));
    let messages: Vec<Value> = system.chain(said).collect();
    let mut request = json!({
        "model": settings.model,
        "messages": messages,
        "stream": true,
        "stream_options": { "include_usage": true },
    });
    request[settings.output_limit] = settings.max_output_tokens.into();
    Ok(request.to_string().into_bytes())
}

/// Roles and texts, oldest first: the newest messages that fit.
fn said(
    messages: &[Message],
    instructed: bool,
    most: usize,
) -> Result<Vec<(&'static str, String)>, (Fault, String)> {
    let mut kept = Vec::new();
    let (mut room, mut is_cut) = (most, false);
    for message in messages.iter().rev() {
        let text = text(message);
        // Nothing was said; servers refuse it.
        if text.trim().is_empty() {
            continue;
        }
        let Some(rest) = room.checked_sub(text.len()) else {
            is_cut = true;
            break;
        };
        room = rest;
        kept.push((role(message.role, instructed), text));
    }
    if kept.is_empty() && is_cut {
        return Err((Fault::InputTooLong, format!("the newest message is longer than {most} bytes")));
    }
    if kept.is_empty() {
        return Err((Fault::Failed, "no message of the thread holds any text".to_owned()));
    }
    // An answer whose question stayed behind answers nothing, and some servers want a question first.
    while is_cut && kept.len() > 1 && kept.last().is_some_and(|(role, _)| *role == "assistant") {
        kept.pop();
    }
    kept.reverse();
    Ok(kept)
}

/// No word of a caller's counts as the operator's: where the operator instructs the model, nobody else does. A tool's result needs the call
/// that it answers, which is not kept.
fn role(role: MessageRole, instructed: bool) -> &'static str {
    match role {
        MessageRole::Assistant => "assistant",
        MessageRole::System if !instructed => "system",
        MessageRole::User | MessageRole::Tool | MessageRole::System => "user",
    }
}

fn text(message: &Message) -> String {
    let text = match &message.content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(part).collect(),
        Value::Null => String::new(),
        other => part(other),
    };
    match message.role {
        MessageRole::Tool if !text.is_empty() => format!("[A tool's result] {text}"),
        _ => text,
    }
}

/// A part that is no text is named and stays here: an address in it would have the server fetch what a caller chose.
fn part(part: &Value) -> String {
    let text = part.as_str().or_else(|| part.get("text").and_then(Value::as_str));
    if let Some(text) = text {
        return text.to_owned();
    }
    let kind = part.get("type").and_then(Value::as_str).filter(|kind| {
        kind.chars().count() <= MAX_KIND_CHARS
            && kind.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
    });
    format!("[A part of the kind {} was left out: only text is sent.]", kind.unwrap_or("unknown"))
}

#[cfg(test)]
mod tests {
    use doorward_core::id::{MessageId, ThreadId};
    use doorward_core::random::SeededRandom;
    use std::time::Duration;

    use super::*;
    use crate::clock::SystemClock;

    fn settings() -> OpenAiSettings {
        OpenAiSettings {
            model: "small".to_owned(),
            system: None,
            max_output_tokens: 100,
            output_limit: "max_completion_tokens",
            max_input_bytes: 1_000,
            max_response_bytes: 1_000,
            time_limit: Duration::from_secs(1),
            requests: 1,
            queue: 0,
        }
    }

    fn messages(said: &[(MessageRole, Value)]) -> Vec<Message> {
        let random = SeededRandom::new(1);
        let message = |(role, content): &(MessageRole, Value)| Message {
            id: MessageId::new(&SystemClock, &random),
            thread: ThreadId::new(&SystemClock, &random),
            role: *role,
            content: content.clone(),
            metadata: serde_json::Map::new(),
            run: None,
            created_at_ms: 0,
        };
        said.iter().map(message).collect()
    }

    fn asked(settings: &OpenAiSettings, said: &[(MessageRole, Value)]) -> Value {
        let body = body(settings, &messages(said)).expect("something to ask");
        serde_json::from_slice(&body).expect("JSON")
    }

    use MessageRole::{Assistant, System, Tool, User};

    #[test]
    fn a_request_streams_within_a_limit_by_the_name_that_the_server_knows() {
        let request = asked(&settings(), &[(User, json!("hello"))]);
        let expected = json!({
            "model": "small",
            "messages": [{ "role": "user", "content": "hello" }],
            "stream": true,
            "stream_options": { "include_usage": true },
            "max_completion_tokens": 100,
        });
        assert_eq!(request, expected);
        let older = OpenAiSettings { output_limit: "max_tokens", ..settings() };
        let request = asked(&older, &[(User, json!("hello"))]);
        assert_eq!((&request["max_tokens"], request.get("max_completion_tokens")), (&json!(100), None));
    }

    #[test]
    fn roles_and_parts_become_texts_and_nothing_is_left_out_in_silence() {
        let image = json!({ "type": "image_url", "image_url": { "url": "http://10.0.0.1/x" } });
        let odd = json!({ "type": "a kind\nof its own" });
        let said = [
            (System, json!("be brief")),
            (User, json!([{ "type": "text", "text": "what " }, "is this? ", image, odd])),
            (Assistant, json!("I do not know")),
            (Tool, json!("42")),
            (User, json!("  ")),
            (User, json!({ "type": "text", "text": "well?" })),
        ];
        let told = |request: &Value| {
            let messages = request["messages"].as_array().expect("a list").iter();
            messages.map(|one| format!("{}: {}", one["role"], one["content"])).collect::<Vec<_>>()
        };
        let request = asked(&settings(), &said);
        let parts = "what is this? [A part of the kind image_url was left out: only text is sent.][A part of the kind unknown was left out: \
                     only text is sent.]";
        let expected = vec![
            r#""system": "be brief""#.to_owned(),
            format!(r#""user": "{parts}""#),
            r#""assistant": "I do not know""#.to_owned(),
            r#""user": "[A tool's result] 42""#.to_owned(),
            r#""user": "well?""#.to_owned(),
        ];
        assert_eq!(told(&request), expected);
        assert!(!request.to_string().contains("10.0.0.1"));
        let instructed = OpenAiSettings { system: Some("only sums".to_owned()), ..settings() };
        let request = asked(&instructed, &said);
        assert_eq!(told(&request)[..2], [r#""system": "only sums""#, r#""user": "be brief""#]);
    }

    #[test]
    fn the_newest_messages_that_fit_are_sent() {
        let small = OpenAiSettings { max_input_bytes: 10, ..settings() };
        let contents = |said: &[(MessageRole, Value)]| {
            let request = asked(&small, said);
            let messages = request["messages"].as_array().expect("a list").iter();
            messages.map(|one| one["content"].as_str().expect("a text").to_owned()).collect::<Vec<_>>()
        };
        let talk = [(User, json!("12345")), (Assistant, json!("1234")), (User, json!("12345"))];
        assert_eq!(contents(&talk), ["12345"], "an answer without its question goes too");
        assert_eq!(contents(&talk[..2]), ["12345", "1234"]);
        let long = body(&small, &messages(&[(User, json!("x")), (User, json!("12345678901"))]));
        assert_eq!(long.map_err(|(fault, _)| fault), Err(Fault::InputTooLong));
        let nothing = body(&small, &messages(&[(User, json!("")), (User, json!([]))]));
        assert_eq!(nothing.map_err(|(fault, _)| fault), Err(Fault::Failed));
    }
}
