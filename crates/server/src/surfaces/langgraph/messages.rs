//! Messages in LangChain's form (langchain-core 1.8).

use doorward_core::agents::model::{Message, MessageRole};
use doorward_core::agents::threads::NewMessage;
use doorward_core::error::{Error, Result, codes};
use doorward_core::id::MessageId;
use serde_json::{Map, Value, json};

/// Where what the platform keeps of a message beside role and content stands in our metadata.
const KEPT: &str = "langchain";

fn bad(text: &str) -> Error {
    Error::new(codes::BAD_FIELD).message(text)
}

fn role(word: &str) -> Option<MessageRole> {
    match word {
        "developer" => Some(MessageRole::System),
        "function" => Some(MessageRole::Tool),
        other => MessageRole::parse(other),
    }
}

/// Reads what an input says: `messages` as a list or a single one, each an object, a text, or a pair of role and text.
///
/// # Errors
/// `bad_field` for what is no message.
pub(super) fn read(given: Option<&Value>) -> Result<Vec<NewMessage>> {
    match given {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => items.iter().map(one).collect(),
        Some(single) => Ok(vec![one(single)?]),
    }
}

fn one(given: &Value) -> Result<NewMessage> {
    let plain = |role, content: &Value| NewMessage { role, content: content.clone(), metadata: Map::new() };
    match given {
        Value::String(_) => Ok(plain(MessageRole::User, given)),
        Value::Array(pair) => match pair.as_slice() {
            [Value::String(word), content] => Ok(plain(known(word)?, content)),
            _ => Err(bad("A message is an object, a text, or a pair of role and content.")),
        },
        Value::Object(members) => {
            let word = members.get("role").or_else(|| members.get("type")).and_then(Value::as_str);
            let (Some(word), Some(content)) = (word, members.get("content")) else {
                return Err(bad("Message dict must contain 'role' and 'content' keys."));
            };
            let mut kept = members.clone();
            for ours in ["role", "type", "content"] {
                kept.remove(ours);
            }
            let mut metadata = Map::new();
            if !kept.is_empty() {
                metadata.insert(KEPT.to_owned(), Value::Object(kept));
            }
            Ok(NewMessage { role: known(word)?, content: content.clone(), metadata })
        }
        _ => Err(bad("A message is an object, a text, or a pair of role and content.")),
    }
}

fn known(word: &str) -> Result<MessageRole> {
    role(word).ok_or_else(|| {
        let shown: String = word.chars().take(64).collect();
        bad(&format!(
            "Unexpected message type: '{shown}'. Use one of 'human', 'user', 'ai', 'assistant', 'function', 'tool', \
             'system', or 'developer'."
        ))
    })
}

/// The id that clients know a message by.
pub(super) fn id_of(message: &Message) -> String {
    let kept = message.metadata.get(KEPT).and_then(|kept| kept.get("id")).and_then(Value::as_str);
    match (kept, message.role) {
        (Some(id), _) => id.to_owned(),
        (None, MessageRole::Assistant) => answer_id(&message.id),
        (None, _) => uuid_of(&message.id),
    }
}

/// The id of an answer, known before it is whole.
pub(super) fn answer_id(id: &MessageId) -> String {
    format!("lc_run--{}", uuid_of(id))
}

/// Our id without its prefix, as the UUID that it is.
pub(super) fn uuid_of(id: &MessageId) -> String {
    let text = id.as_str();
    let hex = text.rsplit_once('_').map_or(text, |(_, hex)| hex);
    super::ids::parse(hex).map_or_else(|| hex.to_owned(), |uuid| uuid.to_string())
}

/// A message as the platform shows it.
pub(super) fn view(message: &Message) -> Value {
    let kind = match message.role {
        MessageRole::User => "human",
        MessageRole::Assistant => "ai",
        MessageRole::System => "system",
        MessageRole::Tool => "tool",
    };
    let kept = message.metadata.get(KEPT).and_then(Value::as_object);
    let member = |name: &str| kept.and_then(|kept| kept.get(name)).cloned();
    let mut shown = json!({
        "content": message.content,
        "additional_kwargs": member("additional_kwargs").unwrap_or_else(|| json!({})),
        "response_metadata": member("response_metadata").unwrap_or_else(|| json!({})),
        "type": kind,
        "name": member("name"),
        "id": id_of(message),
    });
    let extra: &[(&str, Value)] = match message.role {
        MessageRole::Assistant => {
            &[("tool_calls", json!([])), ("invalid_tool_calls", json!([])), ("usage_metadata", Value::Null)]
        }
        MessageRole::Tool => {
            &[("tool_call_id", Value::Null), ("artifact", Value::Null), ("status", json!("success"))]
        }
        MessageRole::User | MessageRole::System => &[],
    };
    for (name, usual) in extra {
        shown[*name] = member(name).unwrap_or_else(|| usual.clone());
    }
    shown
}

/// All of them.
pub(super) fn views<'m>(messages: impl IntoIterator<Item = &'m Message>) -> Value {
    Value::Array(messages.into_iter().map(view).collect())
}

/// A piece of an answer, or its empty last one.
pub(super) fn chunk(id: &str, text: &str, is_last: bool) -> Value {
    json!({
        "content": text,
        "additional_kwargs": {},
        "response_metadata": {},
        "type": "AIMessageChunk",
        "name": null,
        "id": id,
        "tool_calls": [],
        "invalid_tool_calls": [],
        "usage_metadata": null,
        "tool_call_chunks": [],
        "chunk_position": if is_last { json!("last") } else { Value::Null },
    })
}

/// An answer as far as it has come.
pub(super) fn partial(id: &str, text: &str) -> Value {
    json!({
        "content": text,
        "additional_kwargs": {},
        "response_metadata": {},
        "type": "ai",
        "name": null,
        "id": id,
        "tool_calls": [],
        "invalid_tool_calls": [],
        "usage_metadata": null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_message_is_read() {
        let given = json!([
            {"role": "user", "content": "one"},
            {"type": "human", "content": "two", "id": "m2", "name": "ann"},
            {"type": "human", "content": [{"type": "text", "text": "three"}]},
            ["assistant", "four"],
            "five",
        ]);
        let said = read(Some(&given)).expect("messages");
        let roles: Vec<_> = said.iter().map(|new| new.role).collect();
        use MessageRole::{Assistant, User};
        assert_eq!(roles, [User, User, User, Assistant, User]);
        assert_eq!(said[1].metadata[KEPT], json!({"id": "m2", "name": "ann"}));
        assert!(read(None).expect("none").is_empty());
        assert_eq!(read(Some(&json!("plain"))).expect("one").len(), 1);
        for wrong in
            [json!(5), json!([["user"]]), json!({"role": "user"}), json!([{"role": "bogus", "content": ""}])]
        {
            assert!(read(Some(&wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_a_client_says_of_a_message_comes_back() {
        let message = Message {
            id: MessageId::from("msg_01a222974ae676419a6598e0d458dfcc"),
            thread: "t".into(),
            role: MessageRole::User,
            content: "hi".into(),
            metadata: json!({KEPT: {"id": "mine", "name": "ann"}}).as_object().cloned().expect("an object"),
            run: None,
            created_at_ms: 0,
        };
        let shown = view(&message);
        assert_eq!(
            (&shown["id"], &shown["name"], &shown["type"]),
            (&json!("mine"), &json!("ann"), &json!("human"))
        );
        let answer = Message { role: MessageRole::Assistant, metadata: Map::new(), ..message };
        assert_eq!(view(&answer)["id"], "lc_run--01a22297-4ae6-7641-9a65-98e0d458dfcc");
    }
}
