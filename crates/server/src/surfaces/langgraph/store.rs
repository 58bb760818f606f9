//! The store: what agents and their users keep under namespaces.
//!
//! Handlers are asked as on the real server (`store.put`, `get`, `search`, `delete`, `list_namespaces`) and may change what is asked for in
//! place. Unlike there, their filter holds for every one of these, not for searches alone.

use doorward_core::agents::items::names::{Namespace, Pattern};
use doorward_core::agents::items::wanted::Wanted;
use doorward_core::agents::items::{
    Item, ItemSearch, Items, MAX_TTL_MINUTES, NamespaceSearch, NewItem, key as checked_key,
};
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::store;
use doorward_core::authz::custom::Asked;
use doorward_core::error::{Error, Result, codes};
use doorward_core::operation::Grant;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::body::{Body, bad};
use super::{threads, views};
use crate::http::respond::{Answer, json_answer, no_content};
use crate::request::Request;

/// Most of a list that is told at once, and furthest into it that `offset` reaches.
const MOST: u32 = 1_000;
const MAX_OFFSET: u32 = 10_000;

pub(super) fn asked(value: Value) -> Asked {
    Asked { value: threads::object(value), uuids: &[] }
}

/// A namespace as JSON; `null` is the root.
pub(super) fn namespace(value: Option<&Value>) -> Result<Namespace> {
    let refused = || Error::new(codes::BAD_FIELD).message("Namespace must be a list of labels");
    match value {
        None | Some(Value::Null) => Ok(Namespace::default()),
        Some(Value::Array(labels)) => {
            let labels: Option<Vec<_>> = labels.iter().map(Value::as_str).collect();
            Namespace::new(labels.ok_or_else(refused)?)
        }
        Some(_) => Err(refused()),
    }
}

/// The namespace under which a handler left a search or a list. `null` would be the root, and with it everybody's things: what a handler
/// did not know is no answer.
fn left(grant: &Grant, name: &str) -> Result<Namespace> {
    match grant.amended().get(name) {
        Some(Value::Array(_)) => namespace(grant.amended().get(name)),
        _ => {
            let text = "The authorization handler left no namespace that can be enforced.";
            let what = format!("it left value[{name:?}] without a list of labels");
            Err(Error::new(codes::HANDLER_FILTER).message(text).operator(what))
        }
    }
}

/// A namespace as it stands in a query: labels with a `.` between.
pub(super) fn dotted(text: &str) -> Result<Namespace> {
    Namespace::new(text.split('.'))
}

/// A key that a body or a query names.
pub(super) fn key(text: Option<&str>) -> Result<String> {
    let text = text.ok_or_else(|| bad("key", "is a required property"))?;
    checked_key(text).map(str::to_owned)
}

/// What a handler left of a member that has to be a text.
fn text_of<'g>(grant: &'g Grant, name: &str) -> Result<&'g str> {
    grant.amended().get(name).and_then(Value::as_str).ok_or_else(|| bad(name, "is a text"))
}

/// What a handler left of a member that has to be an object, or nothing.
fn object_of(grant: &Grant, name: &str) -> Result<Map<String, Value>> {
    match grant.amended().get(name) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(members)) => Ok(members.clone()),
        Some(_) => Err(bad(name, "is an object")),
    }
}

/// What a handler left of a number that has to be within bounds.
fn whole_of(grant: &Grant, name: &str, most: u32, otherwise: u32) -> Result<u32> {
    match grant.amended().get(name) {
        None | Some(Value::Null) => Ok(otherwise),
        Some(value) => {
            let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
            number
                .filter(|number| *number <= most)
                .ok_or_else(|| bad(name, &format!("is a number up to {most}")))
        }
    }
}

/// Minutes as milliseconds.
fn ttl_ms(value: Option<&Value>) -> Result<Option<i64>> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(None) };
    let minutes = value.as_f64().filter(|minutes| *minutes > 0.0 && *minutes <= f64::from(MAX_TTL_MINUTES));
    let minutes =
        minutes.ok_or_else(|| bad("ttl", &format!("is a number of minutes up to {MAX_TTL_MINUTES}")))?;
    #[expect(clippy::cast_possible_truncation, reason = "it was bounded just now")]
    Ok(Some(((minutes * 60_000.0) as i64).max(1)))
}

/// What is put, as the client says it.
pub(super) fn put_value(body: &Body) -> Result<Value> {
    namespace(body.member("namespace"))?.must_keep()?;
    let key = key(body.text("key")?)?;
    let value = body.object("value")?.ok_or_else(|| bad("value", "is a required property"))?;
    match body.member("index") {
        None | Some(Value::Null | Value::Bool(false)) => {}
        Some(Value::Array(paths)) if paths.iter().all(Value::is_string) => {}
        Some(_) => return Err(bad("index", "is false or a list of texts")),
    }
    ttl_ms(body.member("ttl"))?;
    Ok(json!({
        "namespace": body.member("namespace"),
        "key": key,
        "value": value,
        "index": body.member("index"),
        "ttl": body.member("ttl"),
    }))
}

/// What is put, as the handlers left it.
pub(super) fn put_amended(grant: &Grant) -> Result<NewItem> {
    Ok(NewItem {
        namespace: namespace(grant.amended().get("namespace"))?,
        key: text_of(grant, "key")?.to_owned(),
        value: object_of(grant, "value")?,
        metadata: object_of(grant, "metadata")?,
        ttl_ms: ttl_ms(grant.amended().get("ttl"))?,
    })
}

/// `PUT /store/items`
pub(super) async fn put(mut request: Request) -> Result<Answer> {
    request.may::<store::Write>()?;
    let body = Body::read(&mut request).await?;
    let asked = asked(put_value(&body)?);
    let permit = request.permit_asking::<store::Write>(Target::any(), asked).await?;
    match put_amended(&permit) {
        Ok(new) => Items::of(&request.engine).put(permit, new).await?,
        Err(error) => return permit.close(Err(error)),
    }
    Ok(no_content())
}

/// Which item is asked for, as handlers are shown it.
pub(super) fn get_value(request: &Request) -> Result<Value> {
    let query = request.query()?;
    let namespace = dotted(query.text("namespace").unwrap_or_default())?;
    let refresh = query.text("refresh_ttl").map(|text| text.eq_ignore_ascii_case("true"));
    Ok(json!({ "namespace": namespace.labels(), "key": key(query.text("key"))?, "refresh_ttl": refresh }))
}

/// Namespace and key, as the handlers left them.
pub(super) fn named_amended(grant: &Grant) -> Result<(Namespace, String)> {
    let named = namespace(grant.amended().get("namespace"))?;
    Ok((named, checked_key(text_of(grant, "key")?)?.to_owned()))
}

/// Whether a look puts off the end of what is looked at.
pub(super) fn refreshes(grant: &Grant) -> bool {
    grant.amended().get("refresh_ttl") != Some(&Value::Bool(false))
}

/// `GET /store/items`
pub(super) async fn get(request: Request) -> Result<Answer> {
    let asked = asked(get_value(&request)?);
    let permit = request.permit_asking::<store::Read>(Target::any(), asked).await?;
    let (namespace, key) = match named_amended(&permit) {
        Ok(named) => named,
        Err(error) => return permit.close(Err(error)),
    };
    let refresh = refreshes(&permit);
    let found = Items::of(&request.engine).get(permit, &namespace, &key, refresh).await?;
    Ok(json_answer(StatusCode::OK, &found.map_or(Value::Null, |item| Value::Object(view(&item)))))
}

fn view(item: &Item) -> Map<String, Value> {
    threads::object(json!({
        "namespace": item.namespace.labels(),
        "key": item.key,
        "value": item.value,
        "created_at": views::moment(item.created_at_ms),
        "updated_at": views::moment(item.updated_at_ms),
    }))
}

/// Which item is to go, as handlers are shown it.
pub(super) fn delete_value(body: &Body) -> Result<Value> {
    namespace(body.member("namespace"))?;
    Ok(json!({ "namespace": body.member("namespace").unwrap_or(&json!([])), "key": key(body.text("key")?)? }))
}

/// `DELETE /store/items`
pub(super) async fn delete(mut request: Request) -> Result<Answer> {
    request.may::<store::Delete>()?;
    let body = Body::read(&mut request).await?;
    let asked = asked(delete_value(&body)?);
    let permit = request.permit_asking::<store::Delete>(Target::any(), asked).await?;
    let (namespace, key) = match named_amended(&permit) {
        Ok(named) => named,
        Err(error) => return permit.close(Err(error)),
    };
    Items::of(&request.engine).delete(permit, &namespace, &key).await?;
    Ok(no_content())
}

/// What is searched for, as handlers are shown it.
pub(super) fn search_value(body: &Body) -> Result<Value> {
    let prefix = namespace(body.member("namespace_prefix"))?;
    let filter = body.maybe_object("filter")?;
    Wanted::parse(filter.unwrap_or(&Map::new()))?;
    let limit = body.whole("limit", 0, MOST)?.filter(|limit| *limit > 0).unwrap_or(10);
    Ok(json!({
        "namespace": prefix.labels(),
        "filter": filter,
        "limit": limit,
        "offset": body.whole("offset", 0, MAX_OFFSET)?.unwrap_or(0),
        "query": body.member("query"),
        "refresh_ttl": body.member("refresh_ttl"),
    }))
}

/// What is searched for, as the handlers left it.
pub(super) fn search_amended(grant: &Grant) -> Result<ItemSearch> {
    Ok(ItemSearch {
        under: left(grant, "namespace")?,
        wanted: Wanted::parse(&object_of(grant, "filter")?)?,
        offset: whole_of(grant, "offset", MAX_OFFSET, 0)?,
        limit: whole_of(grant, "limit", MOST, 10)?,
        refresh: refreshes(grant),
    })
}

/// `POST /store/items/search`
pub(super) async fn search(mut request: Request) -> Result<Answer> {
    request.may::<store::Search>()?;
    let body = Body::read(&mut request).await?;
    let asked = asked(search_value(&body)?);
    let permit = request.permit_asking::<store::Search>(Target::any(), asked).await?;
    if permit.amended().get("query").is_some_and(|query| !query.is_null()) {
        let text = "is not supported: nothing here is searched by its meaning. Leave it out, or use `filter`";
        return permit.close(Err(bad("query", text)));
    }
    let search = match search_amended(&permit) {
        Ok(search) => search,
        Err(error) => return permit.close(Err(error)),
    };
    let found = Items::of(&request.engine).search(permit, search).await?;
    let scored = |item: &Item| {
        let mut shown = view(item);
        shown.insert("score".to_owned(), Value::Null);
        shown
    };
    let items: Vec<_> = found.iter().map(scored).collect();
    Ok(json_answer(StatusCode::OK, &json!({ "items": items })))
}

/// How the namespaces begin or end that a client asks for, if it says so.
fn pattern<'b>(body: &'b Body, name: &str) -> Option<&'b Value> {
    body.member(name).filter(|value| value.as_array().is_some_and(|all| !all.is_empty()))
}

/// Which namespaces are listed, as handlers are shown it.
pub(super) fn namespaces_value(body: &Body) -> Result<Value> {
    for name in ["prefix", "suffix"] {
        namespace(body.member(name))?;
    }
    Ok(json!({
        "namespace": pattern(body, "prefix"),
        "suffix": pattern(body, "suffix"),
        "max_depth": if body.member("max_depth") == Some(&Value::Null) { None } else { body.whole("max_depth", 1, 1_000)? },
        "limit": body.whole("limit", 0, MOST)?.unwrap_or(100),
        "offset": body.whole("offset", 0, MAX_OFFSET)?.unwrap_or(0),
    }))
}

/// Which namespaces are listed, as the handlers left it.
pub(super) fn namespaces_amended(grant: &Grant, body: &Body) -> Result<NamespaceSearch> {
    let amended = |name, asked| {
        // `null` stands for all of them only where the client said so too, and no handler took it away.
        let is_untouched = grant.amended().get(name) == Some(&Value::Null) && pattern(body, asked).is_none();
        let labels = if is_untouched { Ok(Namespace::default()) } else { left(grant, name) };
        labels.map(Pattern::new)
    };
    Ok(NamespaceSearch {
        prefix: amended("namespace", "prefix")?,
        suffix: amended("suffix", "suffix")?,
        max_depth: match whole_of(grant, "max_depth", 1_000, 0)? {
            0 => None,
            depth => Some(depth as usize),
        },
        offset: whole_of(grant, "offset", MAX_OFFSET, 0)? as usize,
        limit: whole_of(grant, "limit", MOST, 100)? as usize,
    })
}

/// `POST /store/namespaces`
pub(super) async fn namespaces(mut request: Request) -> Result<Answer> {
    request.may::<store::ListNamespaces>()?;
    let body = Body::read(&mut request).await?;
    let asked = asked(namespaces_value(&body)?);
    let permit = request.permit_asking::<store::ListNamespaces>(Target::any(), asked).await?;
    let search = match namespaces_amended(&permit, &body) {
        Ok(search) => search,
        Err(error) => return permit.close(Err(error)),
    };
    let found = Items::of(&request.engine).namespaces(permit, search).await?;
    let found: Vec<_> = found.iter().map(Namespace::labels).collect();
    Ok(json_answer(StatusCode::OK, &json!({ "namespaces": found })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_and_searched_for_is_bounded_and_known() {
        let body = |value: Value| Body(value.as_object().cloned().unwrap_or_default());
        for wrong in [
            json!({}),
            json!({"namespace": ["a"], "key": "k"}),
            json!({"namespace": ["a"], "value": {}}),
            json!({"namespace": "a", "key": "k", "value": {}}),
            json!({"namespace": [], "key": "k", "value": {}}),
            json!({"namespace": ["langgraph"], "key": "k", "value": {}}),
            json!({"namespace": ["a.b"], "key": "k", "value": {}}),
            json!({"namespace": [1], "key": "k", "value": {}}),
            json!({"namespace": ["a"], "key": "", "value": {}}),
            json!({"namespace": ["a"], "key": "a\u{0}", "value": {}}),
            json!({"namespace": ["a"], "key": "x".repeat(513), "value": {}}),
            json!({"namespace": ["a"], "key": "k", "value": []}),
            json!({"namespace": ["a"], "key": "k", "value": {}, "index": true}),
            json!({"namespace": ["a"], "key": "k", "value": {}, "ttl": 0}),
            json!({"namespace": ["a"], "key": "k", "value": {}, "ttl": -1}),
            json!({"namespace": ["a"], "key": "k", "value": {}, "ttl": 1e300}),
            json!({"namespace": ["a"], "key": "k", "value": {}, "ttl": "5"}),
        ] {
            assert!(put_value(&body(wrong.clone())).is_err(), "{wrong}");
        }
        for wrong in [
            json!({"namespace_prefix": "a"}),
            json!({"namespace_prefix": [""]}),
            json!({"filter": []}),
            json!({"filter": {"a": {"$where": 1}}}),
            json!({"limit": 1_001}),
            json!({"limit": "x"}),
            json!({"offset": 10_001}),
        ] {
            assert!(search_value(&body(wrong.clone())).is_err(), "{wrong}");
        }
        assert_eq!(search_value(&body(json!({}))).expect("a search")["limit"], 10);
        assert_eq!(namespaces_value(&body(json!({"prefix": []}))).expect("a list")["namespace"], Value::Null);
    }

    #[test]
    fn minutes_are_kept_as_milliseconds() {
        for (minutes, expected) in [(json!(1), 60_000), (json!(0.5), 30_000), (json!(1e-9), 1)] {
            assert_eq!(ttl_ms(Some(&minutes)).expect("a time"), Some(expected), "{minutes}");
        }
        assert_eq!(ttl_ms(Some(&Value::Null)).expect("none"), None);
    }
}
