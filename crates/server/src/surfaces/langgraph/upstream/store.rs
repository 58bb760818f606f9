//! The server's store, whose own handlers' filters it would not look at on most routes.
//!
//! ```text
//! put ─► look: is one of that name there, and not the caller's? ─ yes ─► 409
//!                                                               └ no ──► put, with whose it is in its value
//! get, search, namespaces ─► asked of the server, each item looked at here, what is not the caller's left out
//! ```
//! Whose an item is stands in its value, as it stands in the metadata of a thread: nothing else of an item can hold it. Clients never see
//! those members. What a graph keeps by itself has none: a handler that goes by namespaces reaches it, or one that goes by what the graph
//! wrote.
//!
//! What a client wants of values is compared here, with what it reaches and nothing else: a server that compared everybody's would tell by
//! its answers, their size and their time what others keep.

use std::collections::BTreeSet;

use doorward_core::agents::items::NamespaceSearch;
use doorward_core::agents::items::names::Namespace;
use doorward_core::agents::items::wanted::Wanted;
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{Action, store};
use doorward_core::authz::filter::Filter;
use doorward_core::error::{Error, Result, codes};
use doorward_core::operation::Grant;
use http::{Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::super::body::Body;
use super::super::store as own;
use super::{STAMP, exchange, told};
use crate::gateway::{Buffered, MAX_UNDERSTOOD_BYTES, look_at, own_request, send, unusable};
use crate::http::respond::{Answer, json_answer, no_content};
use crate::request::Request;

/// The member of an item's value that holds what handlers wrote about it.
const METADATA: &str = "doorward_metadata";
/// Most of the server's rows that are looked at for one list, and most bytes that are told at once. Only the number counts, never what
/// others' rows hold.
const MAX_ROWS: u32 = 10_000;
const MAX_BYTES: usize = 8 << 20;

const ITEMS: &str = "/store/items";

/// A list of the server's, read in parts.
struct List {
    path: &'static str,
    /// The member of its answer that holds the rows.
    rows: &'static str,
    /// How many are asked for at once: so many of the largest that may be kept fit into an answer that is read whole.
    part: u32,
}

static SEARCH: List = List { path: "/store/items/search", rows: "items", part: 30 };
static NAMESPACES: List = List { path: "/store/namespaces", rows: "namespaces", part: 1_000 };

/// A part of a list.
enum Part {
    Rows(Vec<Value>),
    /// More than is read whole.
    TooLarge,
    /// What the server says instead.
    Refused(Buffered),
}

/// Whether leave reaches an item with this value: what handlers wrote stands over what clients and graphs did.
fn reaches(grant: &Grant, value: &Map<String, Value>) -> bool {
    let owner = value.get(STAMP).and_then(Value::as_str).unwrap_or_default();
    let mut seen = value.clone();
    seen.remove(STAMP);
    if let Some(Value::Object(metadata)) = seen.remove(METADATA) {
        seen.extend(metadata);
    }
    grant.reaches("", owner, &seen)
}

/// An item as its owner sees it; `None` where leave does not reach it.
fn seen(grant: &Grant, mut item: Value) -> Result<Option<Value>> {
    let Some(Value::Object(value)) = item.get_mut("value") else {
        return Err(unusable("an item of the upstream has no value"));
    };
    if !reaches(grant, value) {
        return Ok(None);
    }
    value.remove(STAMP);
    value.remove(METADATA);
    Ok(Some(item))
}

async fn admitted<A: Action>(request: &Request, value: Value) -> Result<Grant> {
    Ok(request.permit_asking::<A>(Target::any(), own::asked(value)).await?.into_grant())
}

/// The item of this name, whoever it belongs to.
async fn there(
    request: &Request,
    grant: &Grant,
    at: &(Namespace, String),
    refresh: bool,
) -> Result<Option<Value>> {
    let spelled = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let namespace = at.0.labels().join(".");
    let query = format!("namespace={}&key={}&refresh_ttl={refresh}", spelled(&namespace), spelled(&at.1));
    let found = look_at(request, grant, ITEMS.to_owned(), query).await?;
    match (found.status, found.json()?) {
        (StatusCode::OK, Value::Null) => Ok(None),
        (StatusCode::OK, item) => Ok(Some(item)),
        _ => Err(unusable("the upstream does not say whether it has the item")),
    }
}

/// `PUT /store/items`
pub(crate) async fn put(mut request: Request) -> Result<Answer> {
    request.may::<store::Write>()?;
    let body = Body::read(&mut request).await?;
    let grant = admitted::<store::Write>(&request, own::put_value(&body)?).await?;
    let came = placed(&request, &grant).await;
    told(grant, came).await
}

async fn placed(request: &Request, grant: &Grant) -> Result<Answer> {
    let new = own::put_amended(grant)?;
    new.check()?;
    let (at, mut value) = ((new.namespace, new.key), new.value);
    value.insert(STAMP.to_owned(), grant.auth().principal.owner_key().into());
    value.insert(METADATA.to_owned(), Value::Object(new.metadata));
    if !reaches(grant, &value) {
        return Err(doorward_core::agents::items::unreadable());
    }
    let _turn = request.engine.agents().changing.turn(&format!("{}{}", at.0.place(), at.1)).await;
    if let Some(taken) = there(request, grant, &at, false).await?
        && seen(grant, taken)?.is_none()
    {
        return Err(Error::new(codes::CONFLICT)
            .message("Conflict")
            .operator("it is somebody else's upstream"));
    }
    let amended = |name: &str| grant.amended().get(name).cloned().unwrap_or_default();
    let body = json!({
        "namespace": at.0.labels(),
        "key": at.1,
        "value": value,
        "index": amended("index"),
        "ttl": amended("ttl"),
    });
    Ok(exchange(request, grant, Method::PUT, ITEMS.to_owned(), Some(&body)).await?.into_answer())
}

/// `GET /store/items`
pub(crate) async fn get(request: Request) -> Result<Answer> {
    let grant = admitted::<store::Read>(&request, own::get_value(&request)?).await?;
    let came = async {
        let at = own::named_amended(&grant)?;
        let mut found = reached(&request, &grant, &at, false).await?;
        // Only a look at what is one's own puts off its end.
        if found.is_some() && own::refreshes(&grant) {
            found = reached(&request, &grant, &at, true).await?;
        }
        Ok(json_answer(StatusCode::OK, &found.unwrap_or_default()))
    };
    let came = came.await;
    told(grant, came).await
}

async fn reached(
    request: &Request,
    grant: &Grant,
    at: &(Namespace, String),
    refresh: bool,
) -> Result<Option<Value>> {
    match there(request, grant, at, refresh).await? {
        Some(item) => seen(grant, item),
        None => Ok(None),
    }
}

/// `DELETE /store/items`
pub(crate) async fn delete(mut request: Request) -> Result<Answer> {
    request.may::<store::Delete>()?;
    let body = Body::read(&mut request).await?;
    let grant = admitted::<store::Delete>(&request, own::delete_value(&body)?).await?;
    let came = async {
        let at = own::named_amended(&grant)?;
        let _turn = request.engine.agents().changing.turn(&format!("{}{}", at.0.place(), at.1)).await;
        if reached(&request, &grant, &at, false).await?.is_none() {
            return Ok(no_content());
        }
        let body = json!({ "namespace": at.0.labels(), "key": at.1 });
        let gone = exchange(&request, &grant, Method::DELETE, ITEMS.to_owned(), Some(&body)).await?;
        Ok(gone.into_answer())
    };
    let came = came.await;
    told(grant, came).await
}

/// What of leave the server can be asked for.
fn narrowed(grant: &Grant) -> Option<Value> {
    match (grant.condition(), grant.filter()) {
        (None, Filter::Owner(owner)) => Some(json!({ STAMP: owner })),
        _ => None,
    }
}

/// Whether a namespace stands under another: label by label. Some stores look for a prefix letter by letter, and find what is under
/// `user-10` for `user-1`.
fn is_under(namespace: &Value, under: &Namespace) -> bool {
    let labels = namespace.as_array().map(Vec::as_slice).unwrap_or_default();
    let under = under.labels();
    under.len() <= labels.len() && under.iter().zip(labels).all(|(wanted, label)| label == wanted)
}

async fn part(request: &Request, grant: &Grant, list: &List, body: &Value, limit: u32) -> Result<Part> {
    let body = Some(body.to_string().into_bytes());
    let outbound = own_request(request, grant, Method::POST, list.path.to_owned(), body);
    let arrival = send(request, grant, None, outbound).await?;
    let has_length = arrival.has_at_most(u64::MAX);
    if has_length && !arrival.has_at_most(MAX_UNDERSTOOD_BYTES as u64) {
        return Ok(Part::TooLarge);
    }
    let answer = match arrival.read().await {
        Ok(answer) => answer,
        // Without a length it shows while it is read.
        Err(_) if !has_length && limit > 1 => return Ok(Part::TooLarge),
        Err(error) => return Err(error),
    };
    if answer.status != StatusCode::OK {
        return Ok(Part::Refused(answer));
    }
    match answer.json()?.get_mut(list.rows).map(Value::take) {
        Some(Value::Array(rows)) => Ok(Part::Rows(rows)),
        _ => Err(unusable("the list is none")),
    }
}

/// Hands over each row of a list until no more are wanted. The server's own refusal is handed back.
async fn each(
    request: &Request,
    grant: &Grant,
    list: &List,
    mut body: Value,
    mut wanted: impl FnMut(Value) -> Result<bool>,
) -> Result<Option<Buffered>> {
    let (mut at, mut limit) = (0, list.part);
    while at < MAX_ROWS {
        body["limit"] = limit.into();
        body["offset"] = at.into();
        let rows = match part(request, grant, list, &body, limit).await? {
            Part::Rows(rows) => rows,
            Part::Refused(answer) => return Ok(Some(answer)),
            Part::TooLarge if limit > 1 => {
                limit /= 2;
                continue;
            }
            // What is too large to be looked at by itself is nobody's; it does not hide what comes behind it.
            Part::TooLarge => {
                at += 1;
                continue;
            }
        };
        let is_last = rows.len() < limit as usize;
        for row in rows {
            if !wanted(row)? {
                return Ok(None);
            }
        }
        if is_last {
            return Ok(None);
        }
        at += limit;
        limit = (limit * 2).min(list.part);
    }
    let text = "There is too much under this namespace to look through; ask for one further in.";
    Err(Error::new(codes::BAD_FILTER).message(text))
}

/// Hands over each item under a namespace that leave reaches and that is like this, as its owner sees it.
async fn each_item(
    request: &Request,
    grant: &Grant,
    (under, like): (&Namespace, &Wanted),
    query: Option<&Value>,
    mut wanted: impl FnMut(Value) -> bool,
) -> Result<Option<Buffered>> {
    let mut asked = json!({ "namespace_prefix": under.labels(), "refresh_ttl": false });
    // LangGraph's server in JavaScript takes no `null` for a member that says nothing.
    let query = query.filter(|query| !query.is_null()).cloned();
    for (name, value) in [("filter", narrowed(grant)), ("query", query)] {
        if let Some(value) = value {
            asked[name] = value;
        }
    }
    each(request, grant, &SEARCH, asked, |item| {
        if !is_under(&item["namespace"], under) {
            return Ok(true);
        }
        let Some(item) = seen(grant, item)? else { return Ok(true) };
        let is_like = item["value"].as_object().is_some_and(|value| like.matches(value));
        Ok(!is_like || wanted(item))
    })
    .await
}

/// `POST /store/items/search`
pub(crate) async fn search(mut request: Request) -> Result<Answer> {
    request.may::<store::Search>()?;
    let body = Body::read(&mut request).await?;
    let grant = admitted::<store::Search>(&request, own::search_value(&body)?).await?;
    let came = async {
        let search = own::search_amended(&grant)?;
        let (like, query) = ((&search.under, &search.wanted), grant.amended().get("query"));
        let (mut found, mut skip, mut room) = (Vec::new(), search.offset, MAX_BYTES);
        let refused = each_item(&request, &grant, like, query, |item| {
            if skip > 0 {
                skip -= 1;
                return true;
            }
            room = room.saturating_sub(item.to_string().len());
            found.push(item);
            found.len() < search.limit as usize && room > 0
        });
        Ok(match refused.await? {
            Some(refused) => refused.into_answer(),
            None => json_answer(StatusCode::OK, &json!({ "items": found })),
        })
    };
    let came = came.await;
    told(grant, came).await
}

/// A namespace of the server's as it is told, if it begins and ends as was asked for.
fn listed(search: &NamespaceSearch, namespace: &Value) -> Option<Namespace> {
    let labels: Option<Vec<_>> = namespace.as_array()?.iter().map(Value::as_str).collect();
    let namespace = Namespace::new(labels?).ok()?;
    let is_asked = search.prefix.begins(&namespace) && search.suffix.ends(&namespace);
    is_asked.then(|| namespace.cut(search.max_depth))
}

/// The server's own list, for whom everything in it is. It is cut off here: shorter ones could not be compared with what was asked for.
async fn all_namespaces(
    request: &Request,
    grant: &Grant,
    search: &NamespaceSearch,
    found: &mut Vec<Namespace>,
) -> Result<Option<Buffered>> {
    let mut asked = json!({});
    for (name, pattern) in [("prefix", &search.prefix), ("suffix", &search.suffix)] {
        if !pattern.labels().is_empty() {
            asked[name] = json!(pattern.labels());
        }
    }
    let mut known = BTreeSet::new();
    each(request, grant, &NAMESPACES, asked, |namespace| {
        let new = listed(search, &namespace).filter(|namespace| known.insert(namespace.clone()));
        found.extend(new);
        Ok(found.len() < search.offset + search.limit)
    })
    .await
}

/// Those in which there are items that leave reaches: the server's own list does not tell whose they are.
async fn own_namespaces(
    request: &Request,
    grant: &Grant,
    search: &NamespaceSearch,
    found: &mut Vec<Namespace>,
) -> Result<Option<Buffered>> {
    let mut known = BTreeSet::new();
    let like = (&search.prefix.fixed(), &Wanted::default());
    let refused = each_item(request, grant, like, None, |item| {
        known.extend(listed(search, &item["namespace"]));
        true
    });
    let refused = refused.await?;
    found.extend(known);
    Ok(refused)
}

/// `POST /store/namespaces`
pub(crate) async fn namespaces(mut request: Request) -> Result<Answer> {
    request.may::<store::ListNamespaces>()?;
    let body = Body::read(&mut request).await?;
    let grant = admitted::<store::ListNamespaces>(&request, own::namespaces_value(&body)?).await?;
    let came = async {
        let search = own::namespaces_amended(&grant, &body)?;
        let mut found = Vec::new();
        let refused = if grant.condition().is_none() && *grant.filter() == Filter::Everything {
            all_namespaces(&request, &grant, &search, &mut found).await?
        } else {
            own_namespaces(&request, &grant, &search, &mut found).await?
        };
        let part = found.iter().skip(search.offset).take(search.limit).map(Namespace::labels);
        Ok(match refused {
            Some(refused) => refused.into_answer(),
            None => json_answer(StatusCode::OK, &json!({ "namespaces": part.collect::<Vec<_>>() })),
        })
    };
    let came = came.await;
    told(grant, came).await
}

#[cfg(test)]
mod tests {
    use doorward_core::agents::items::names::Pattern;

    use super::*;

    #[test]
    fn a_label_is_whole() {
        let under = |labels: &[&str]| Namespace::new(labels.iter().copied()).expect("a namespace");
        for (namespace, labels, expected) in [
            (json!(["user-1", "notes"]), &["user-1"][..], true),
            (json!(["user-1"]), &["user-1"], true),
            (json!(["user-1"]), &[], true),
            (json!(["user-10"]), &["user-1"], false),
            (json!(["user-1"]), &["user-1", "notes"], false),
            (json!([1]), &["1"], false),
            (json!("user-1"), &["user-1"], false),
            (Value::Null, &["user-1"], false),
        ] {
            assert_eq!(is_under(&namespace, &under(labels)), expected, "{namespace} {labels:?}");
        }
        let search = |prefix: &[&str], suffix: &[&str], max_depth| NamespaceSearch {
            prefix: Pattern::new(under(prefix)),
            suffix: Pattern::new(under(suffix)),
            max_depth,
            offset: 0,
            limit: 1,
        };
        let namespace = json!(["user-1", "notes"]);
        for (search, expected) in [
            (search(&["user-1"], &[], None), Some(under(&["user-1", "notes"]))),
            (search(&["*"], &["notes"], Some(1)), Some(under(&["user-1"]))),
            (search(&["user"], &[], None), None),
            (search(&["user-1"], &["otes"], None), None),
        ] {
            assert_eq!(listed(&search, &namespace), expected);
        }
        assert_eq!(listed(&search(&[], &[], None), &json!(["a", 1])), None);
    }
}
