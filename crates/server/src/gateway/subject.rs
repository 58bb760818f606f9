//! Which resource a request is about: from its path and from its body, and never two.

use bytes::Bytes;
use doorward_core::error::{Error, Result, codes};
use doorward_core::id::MAX_ID_BYTES;
use serde_json::{Map, Value};

use crate::http::extract::{Media, json_body, media};
use crate::request::Request;

/// A kind of resource that an upstream keeps, and where its routes name it.
#[derive(Debug)]
pub(crate) struct Resource {
    /// The kind, as ownership is kept.
    pub(crate) kind: &'static str,
    /// The `{name}` in path patterns.
    pub(crate) param: &'static str,
    /// Members of a JSON body that name it, each a path from the root. All that are present must agree.
    pub(crate) members: &'static [&'static [&'static str]],
    /// Where an id made up here is put.
    pub(crate) insert_at: &'static [&'static str],
    /// The object in a body whose members the upstream owns, and those members.
    pub(crate) reserved: &'static Reserved,
    /// The list in the answer of a list route, as a path from the root, and the id in each item.
    pub(crate) listed_at: &'static [&'static str],
    pub(crate) listed_id: &'static str,
    /// The path that, with an id behind it, shows one, and where in the answer it is null if there is none.
    pub(crate) probed_under: &'static str,
    pub(crate) probed_at: &'static [&'static str],
}

/// What a client may not say about itself.
#[derive(Debug)]
pub(crate) struct Reserved {
    pub(crate) within: &'static str,
    pub(crate) names: &'static [&'static str],
    pub(crate) prefix: char,
}

impl Resource {
    /// The refusal of a request that should name one and does not.
    pub(crate) fn missing(&self) -> Error {
        Error::new(codes::BAD_FIELD).message(format!("`{}` is missing.", self.name()))
    }

    fn name(&self) -> &'static str {
        self.insert_at.last().copied().unwrap_or(self.kind)
    }
}

/// A JSON body: as it came while nothing is changed, so that numbers keep their spelling.
pub(crate) struct JsonBody {
    original: Option<Bytes>,
    tree: Map<String, Value>,
    changed: bool,
}

impl JsonBody {
    /// No body at all.
    pub(crate) fn none() -> Self {
        Self { original: None, tree: Map::new(), changed: false }
    }

    /// Reads a JSON object strictly and takes out what a client may not say.
    ///
    /// # Errors
    /// `bad_json`, `too_large`, `unsupported_media_type`.
    pub(crate) async fn read(request: &mut Request, resource: &Resource) -> Result<Self> {
        let bytes = request.bytes().await?;
        if bytes.is_empty() {
            return Ok(Self::none());
        }
        if media(&request.headers)? != Media::Json {
            return Err(Error::new(codes::UNSUPPORTED_MEDIA));
        }
        Self::of(bytes, resource)
    }

    /// As [`JsonBody::read`], of what came as a message.
    ///
    /// # Errors
    /// `bad_json`.
    pub(crate) fn of(bytes: Bytes, resource: &Resource) -> Result<Self> {
        let mut body = Self { tree: json_body(&bytes)?, original: Some(bytes), changed: false };
        body.drop_reserved(resource.reserved);
        Ok(body)
    }

    /// Takes out ids that only mean "a new one".
    pub(crate) fn drop_fresh(&mut self, resource: &Resource, words: &[&str]) {
        for member in resource.members {
            let Some((last, path)) = member.split_last() else { continue };
            let within = path.iter().try_fold(&mut self.tree, |within, name| match within.get_mut(*name) {
                Some(Value::Object(inner)) => Some(inner),
                _ => None,
            });
            let Some(within) = within else { continue };
            let fresh = |id: &Value| id.as_str().is_some_and(|id| words.contains(&id.trim()));
            if within.get(*last).is_some_and(fresh) {
                within.remove(*last);
                self.changed = true;
            }
        }
    }

    pub(crate) fn is_present(&self) -> bool {
        self.original.is_some() || self.changed
    }

    fn drop_reserved(&mut self, reserved: &Reserved) {
        let Some(Value::Object(members)) = self.tree.get_mut(reserved.within) else { return };
        let before = members.len();
        members
            .retain(|name, _| !name.starts_with(reserved.prefix) && !reserved.names.contains(&name.as_str()));
        self.changed |= members.len() != before;
    }

    /// A member of the body.
    pub(crate) fn member(&self, name: &str) -> Option<&Value> {
        self.tree.get(name)
    }

    /// The body as a tree.
    pub(crate) fn into_value(self) -> Value {
        Value::Object(self.tree)
    }

    fn at(&self, path: &[&str]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.tree.get(*first)?, |value, name| value.get(name))
    }

    /// Puts an id where the upstream looks for it.
    pub(crate) fn insert(&mut self, resource: &Resource, id: &str) {
        self.changed = true;
        let mut within = &mut self.tree;
        let Some((last, path)) = resource.insert_at.split_last() else { return };
        for name in path {
            let inner = within.entry((*name).to_owned()).or_insert_with(|| Value::Object(Map::new()));
            if !inner.is_object() {
                *inner = Value::Object(Map::new());
            }
            let Value::Object(members) = inner else { return };
            within = members;
        }
        within.insert((*last).to_owned(), Value::String(id.to_owned()));
    }

    /// The bytes to send.
    pub(crate) fn into_bytes(self) -> Option<Bytes> {
        if self.changed { Some(Value::Object(self.tree).to_string().into()) } else { self.original }
    }
}

/// The id a request names in its path and body; `None` if nowhere.
///
/// # Errors
/// `not_found` for a path that cannot name anything; `bad_field` when a body's id has another type or spelling than
/// ours, or when two differ.
pub(crate) fn named(request: &Request, resource: &Resource, body: &JsonBody) -> Result<Option<String>> {
    let in_path = if resource.param.is_empty() { None } else { request.param(resource.param).ok() };
    if request.has_param(resource.param) && in_path.is_none_or(|id| !is_plain(id)) {
        return Err(Error::new(codes::NOT_FOUND));
    }
    let mut found = in_path.map(str::to_owned);
    for member in resource.members {
        let refuse =
            |what: &str| Error::new(codes::BAD_FIELD).message(format!("`{}` {what}.", member.join(".")));
        let id = match body.at(member) {
            None | Some(Value::Null) => continue,
            Some(Value::String(id)) if is_plain(id) => id,
            Some(_) => return Err(refuse("is not a plain text of 1 to 128 bytes")),
        };
        match &found {
            Some(other) if other != id => return Err(refuse("differs from the id named elsewhere")),
            _ => found = Some(id.clone()),
        }
    }
    Ok(found)
}

/// Whether an id has one spelling, and can stand in a path: upstreams trim white space and read other types as text.
fn is_plain(id: &str) -> bool {
    let fits = !id.is_empty() && id.len() <= MAX_ID_BYTES && id != "." && id != "..";
    fits && id.trim() == id && !id.chars().any(|c| c.is_control() || c == '/' || c == '\\')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    static THREAD: Resource = Resource {
        kind: "thread",
        param: "id",
        members: &[&["thread_id"], &["config", "thread_id"]],
        insert_at: &["config", "thread_id"],
        reserved: &Reserved { within: "config", names: &["user_id"], prefix: '_' },
        listed_at: &[],
        listed_id: "thread_id",
        probed_under: "/threads/",
        probed_at: &["thread"],
    };

    fn body(value: Value) -> JsonBody {
        let Value::Object(tree) = value else { panic!("an object") };
        JsonBody { original: Some(Bytes::from_static(b"original")), tree, changed: false }
    }

    #[test]
    fn an_untouched_body_is_sent_as_it_came() {
        let mut untouched = body(json!({"config": {"a": 1}}));
        untouched.drop_reserved(THREAD.reserved);
        assert_eq!(untouched.into_bytes().unwrap(), "original");
    }

    #[test]
    fn what_a_client_may_not_say_is_taken_out_and_the_id_put_in() {
        let mut changed =
            body(json!({"config": {"user_id": "mallory", "_node": 1, "own": 2}, "user_id": "kept"}));
        changed.drop_reserved(THREAD.reserved);
        changed.insert(&THREAD, "t1");
        let sent: Value = serde_json::from_slice(&changed.into_bytes().unwrap()).unwrap();
        assert_eq!(sent, json!({"config": {"own": 2, "thread_id": "t1"}, "user_id": "kept"}));
        let mut odd = body(json!({"config": null}));
        odd.insert(&THREAD, "t1");
        assert_eq!(odd.tree, *json!({"config": {"thread_id": "t1"}}).as_object().unwrap());
    }

    #[test]
    fn words_for_a_new_one_are_no_ids() {
        for (given, expected) in [
            (json!({"config": {"thread_id": "new", "a": 1}}), json!({"config": {"a": 1}})),
            (json!({"config": {"thread_id": " new "}, "thread_id": ""}), json!({"config": {}})),
            (json!({"config": {"thread_id": "t1"}}), json!({"config": {"thread_id": "t1"}})),
            (json!({"config": "new"}), json!({"config": "new"})),
        ] {
            let mut body = body(given);
            body.drop_fresh(&THREAD, &["", "new"]);
            assert_eq!(Value::Object(body.tree), expected);
        }
    }

    #[test]
    fn ids_have_one_spelling() {
        for (id, plain) in
            [("t", true), ("Zoë", true), ("a b", true), ("", false), (" t", false), ("t\u{a0}", false)]
        {
            assert_eq!(is_plain(id), plain, "{id:?}");
        }
        for id in [".", "..", "a/b", "a\\b"] {
            assert!(!is_plain(id), "{id}");
        }
        assert!(!is_plain("t\0") && !is_plain(&"x".repeat(129)));
    }
}
