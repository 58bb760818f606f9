//! Lists of the server, of which a caller sees what is the caller's: narrowed by what the server can be asked for, filtered exactly
//! here, counted anew.

use doorward_core::authz::filter::Filter;
use doorward_core::error::{Error, Result, codes};
use doorward_core::operation::Grant;
use http::{Method, StatusCode};
use serde_json::{Map, Value};

use super::{Kind, STAMP, exchange, reaches};
use crate::gateway::{Buffered, unusable};
use crate::request::Request;

/// How many things are asked for at once.
const PART: u32 = 100;
/// Most of the server's things that are looked at for one list.
const MAX_ROWS: u32 = 10_000;

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
                return Ok(Listed::Found(found, true));
            } else {
                found.push(item);
            }
        }
        if rows < PART as usize {
            return Ok(Listed::Found(found, false));
        }
        at += PART;
    }
    let text = "This search looks at too many things; ask for more of their metadata.";
    Err(Error::new(codes::BAD_FILTER).message(text))
}
