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

use doorward_core::agents::items::names::{Namespace, Pattern};
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
use super::{STAMP, exchange, pass, told};
use crate::gateway::{Buffered, look_at, search_for, unusable};
use crate::http::respond::{Answer, json_answer, no_content};
use crate::request::Request;

/// The member of an item's value that holds what handlers wrote about it.
const METADATA: &str = "doorward_metadata";
/// How many items are asked for at once.
const PART: u32 = 100;
/// Most of the server's items that are looked at for one list, and most bytes that are told at once.
const MAX_ROWS: u32 = 10_000;
const MAX_BYTES: usize = 8 << 20;

const ITEMS: &str = "/store/items";
const SEARCH: &str = "/store/items/search";

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

/// What the server can be asked for beside what the client asks.
fn narrowed(grant: &Grant, filter: Option<&Value>) -> Value {
    let mut filter = match filter {
        Some(Value::Object(members)) => members.clone(),
        _ => Map::new(),
    };
    if let (None, Filter::Owner(owner)) = (grant.condition(), grant.filter()) {
        filter.insert(STAMP.to_owned(), owner.as_str().into());
    }
    if filter.is_empty() { Value::Null } else { Value::Object(filter) }
}

/// Hands over each of the server's items that leave reaches, as its owner sees it, until no more are wanted.
async fn each(
    request: &Request,
    grant: &Grant,
    mut body: Value,
    mut wanted: impl FnMut(Value) -> bool,
) -> Result<Option<Buffered>> {
    let mut at = 0;
    while at < MAX_ROWS {
        body["limit"] = PART.into();
        body["offset"] = at.into();
        let answer = search_for(request, grant, SEARCH.to_owned(), &body).await?;
        if answer.status != StatusCode::OK {
            return Ok(Some(answer));
        }
        let Some(Value::Array(items)) = answer.json()?.get_mut("items").map(Value::take) else {
            return Err(unusable("the list of items is none"));
        };
        let rows = items.len();
        for item in items {
            if let Some(item) = seen(grant, item)?
                && !wanted(item)
            {
                return Ok(None);
            }
        }
        if rows < PART as usize {
            return Ok(None);
        }
        at += PART;
    }
    let text = "This search looks at too many items; ask for fewer.";
    Err(Error::new(codes::BAD_FILTER).message(text))
}

/// `POST /store/items/search`
pub(crate) async fn search(mut request: Request) -> Result<Answer> {
    request.may::<store::Search>()?;
    let body = Body::read(&mut request).await?;
    let grant = admitted::<store::Search>(&request, own::search_value(&body)?).await?;
    let came = async {
        let search = own::search_amended(&grant)?;
        let asked = json!({
            "namespace_prefix": search.under.labels(),
            "filter": narrowed(&grant, grant.amended().get("filter")),
            "query": grant.amended().get("query"),
            "refresh_ttl": false,
        });
        let (mut found, mut skip, mut room) = (Vec::new(), search.offset, MAX_BYTES);
        let refused = each(&request, &grant, asked, |item| {
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

/// `POST /store/namespaces`
pub(crate) async fn namespaces(mut request: Request) -> Result<Answer> {
    request.may::<store::ListNamespaces>()?;
    let body = Body::read(&mut request).await?;
    let grant = admitted::<store::ListNamespaces>(&request, own::namespaces_value(&body)?).await?;
    let search = match own::namespaces_amended(&grant) {
        Ok(search) => search,
        Err(error) => return grant.close(Err(error)),
    };
    if grant.condition().is_none() && *grant.filter() == Filter::Everything {
        let some = |pattern: &Pattern| (!pattern.labels().is_empty()).then(|| pattern.labels().to_vec());
        let mut asked = json!({ "limit": search.limit, "offset": search.offset });
        let members = [
            ("prefix", json!(some(&search.prefix))),
            ("suffix", json!(some(&search.suffix))),
            ("max_depth", json!(search.max_depth)),
        ];
        for (name, value) in members.into_iter().filter(|(_, value)| !value.is_null()) {
            asked[name] = value;
        }
        return pass(&request, grant, Method::POST, "/store/namespaces".to_owned(), Some(asked)).await;
    }
    let came = async {
        // The server's own list does not tell whose they are; their items do.
        let prefix = search.prefix.fixed();
        let asked = json!({ "namespace_prefix": prefix.labels(), "filter": narrowed(&grant, None), "refresh_ttl": false });
        let mut found = std::collections::BTreeSet::new();
        let refused = each(&request, &grant, asked, |item| {
            let labels = item["namespace"].as_array().into_iter().flatten().filter_map(Value::as_str);
            if let Ok(namespace) = Namespace::new(labels)
                && search.prefix.begins(&namespace)
                && search.suffix.ends(&namespace)
            {
                found.insert(namespace.cut(search.max_depth));
            }
            true
        });
        Ok(match refused.await? {
            Some(refused) => refused.into_answer(),
            None => {
                let part = found.iter().skip(search.offset).take(search.limit);
                json_answer(
                    StatusCode::OK,
                    &json!({ "namespaces": part.map(Namespace::labels).collect::<Vec<_>>() }),
                )
            }
        })
    };
    let came = came.await;
    told(grant, came).await
}
