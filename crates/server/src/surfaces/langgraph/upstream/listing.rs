//! Lists of the server, of which a caller sees what is the caller's: narrowed by what the server can be asked for, filtered exactly
//! here, counted anew.

use doorward_core::authz::filter::Filter;
use doorward_core::error::{Error, Result, codes};
use doorward_core::operation::Grant;
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{Kind, STAMP, exchange, reaches};
use crate::gateway::{Buffered, search_for, unusable};
use crate::request::Request;

/// How many things are asked for at once.
const PART: u32 = 100;
/// Most of the server's things that are looked at for one list.
const MAX_ROWS: u32 = 10_000;

/// Most bytes of one list, about.
const MAX_BYTES: usize = 8 << 20;

/// What was found, or the server's own refusal.
pub(super) enum Listed {
    /// The caller's part, and whether there is more.
    Found(Vec<Value>, bool),
    /// What the server says instead.
    Refused(Buffered),
}

/// What a list is asked for.
pub(super) struct Wanted {
    /// The body as the client sent it, without `limit` and `offset`.
    pub(super) body: Map<String, Value>,
    /// The metadata that is searched for.
    pub(super) metadata: Map<String, Value>,
    pub(super) offset: u32,
    pub(super) limit: u32,
    pub(super) columns: Columns,
}

/// What is shown of each thing.
pub(super) enum Columns {
    /// Nothing: they are counted.
    None,
    /// These, id and metadata among them.
    Some(Vec<String>),
    /// Everything.
    All,
}

/// The metadata that the server is asked for: the client's, and what leave demands in any case. `None` when the two contradict each
/// other, so that there is nothing to find.
fn narrowed(grant: &Grant, wanted: &Map<String, Value>) -> Option<Map<String, Value>> {
    let mut metadata = wanted.clone();
    let stamp = match grant.filter() {
        Filter::Owner(owner) => Some((STAMP, Value::from(owner.as_str()))),
        _ => None,
    };
    let equalities = grant.condition().map(|condition| condition.equalities()).unwrap_or_default();
    // The server matches objects in part and `null` never: such demands are left to the exact filter here.
    let exact = |value: &&Value| !value.is_null() && !value.is_object();
    let demanded = equalities.into_iter().map(|(name, value)| (name, value.clone()));
    for (name, value) in demanded.chain(stamp).filter(|(_, value)| exact(&value)) {
        match metadata.get(name) {
            Some(other) if *other != value => return None,
            _ => metadata.insert(name.to_owned(), value),
        };
    }
    Some(metadata)
}

/// Reads the server's list until the caller's part of it is whole.
pub(super) async fn listed(
    request: &Request,
    grant: &Grant,
    (kind, path): (&Kind, &'static str),
    wanted: Wanted,
) -> Result<Listed> {
    let Some(metadata) = narrowed(grant, &wanted.metadata) else {
        return Ok(Listed::Found(Vec::new(), false));
    };
    let mut body = wanted.body;
    body.insert("metadata".to_owned(), Value::Object(metadata));
    if kind.searched_at.is_some() {
        // Whose they are stands in the metadata; what they hold is asked for once it is known who may see it.
        body.insert("select".to_owned(), json!([kind.id, "metadata"]));
    }
    let (mut found, mut skip, mut at) = (Vec::new(), wanted.offset, 0);
    while at < MAX_ROWS {
        body.insert("limit".to_owned(), PART.into());
        body.insert("offset".to_owned(), at.into());
        let asked = Value::Object(body.clone());
        let answer = exchange(request, grant, Method::POST, path.to_owned(), Some(&asked)).await?;
        if answer.status != StatusCode::OK {
            return Ok(Listed::Refused(answer));
        }
        let Value::Array(items) = answer.json()? else { return Err(unusable("the list is none")) };
        let rows = items.len();
        for item in items {
            if !reaches(grant, kind, &item)? {
                continue;
            }
            if skip > 0 {
                skip -= 1;
            } else if found.len() >= wanted.limit as usize {
                return whole(request, grant, (kind, path), (found, true), wanted.columns).await;
            } else {
                found.push(item);
            }
        }
        if rows < PART as usize {
            return whole(request, grant, (kind, path), (found, false), wanted.columns).await;
        }
        at += PART;
    }
    let text = "This search looks at too many things; ask for more of their metadata.";
    Err(Error::new(codes::BAD_FILTER).message(text))
}

/// The things that were found with what was asked for of them, a few at a time: others' may be large, and so may these.
async fn whole(
    request: &Request,
    grant: &Grant,
    (kind, path): (&Kind, &'static str),
    (found, more): (Vec<Value>, bool),
    columns: Columns,
) -> Result<Listed> {
    const FEW: usize = 8;
    let select = match columns {
        Columns::None => return Ok(Listed::Found(found, more)),
        _ if kind.searched_at.is_none() => return Ok(Listed::Found(found, more)),
        Columns::All => None,
        Columns::Some(columns) => Some(columns),
    };
    let id_of = |thing: &Value| thing.get(kind.id).and_then(Value::as_str).map(str::to_owned);
    let ids: Vec<String> = found.iter().filter_map(id_of).collect();
    let mut things = Vec::with_capacity(ids.len());
    let mut room = MAX_BYTES;
    for few in ids.chunks(FEW) {
        let mut asked = json!({ "ids": few, "limit": few.len() });
        if let Some(select) = &select {
            asked["select"] = json!(select);
        }
        let answer = search_for(request, grant, path.to_owned(), &asked).await?;
        let (StatusCode::OK, Value::Array(items)) = (answer.status, answer.json()?) else {
            return Ok(Listed::Refused(answer));
        };
        // In the order of the search; one that has gone meanwhile is left out, one that is no longer the caller's too.
        for id in few {
            let Some(item) = items.iter().find(|item| id_of(item).as_ref() == Some(id)) else { continue };
            if reaches(grant, kind, item)? {
                things.push(item.clone());
            }
        }
        room = room.saturating_sub(answer.body.len());
        if room == 0 {
            return Ok(Listed::Found(things, true));
        }
    }
    Ok(Listed::Found(things, more))
}
