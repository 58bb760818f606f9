//! Searching and counting threads and assistants of the server.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{Action, assistant, thread};
use doorward_core::authz::custom::Asked;
use doorward_core::error::Result;
use doorward_core::operation::Grant;
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::super::body::{Body, bad, says_something};
use super::super::threads as own;
use super::listing::{Columns, Listed, Wanted, listed};
use super::{ASSISTANT, Kind, THREAD, told};
use crate::http::respond::{Answer, json_answer};
use crate::request::Request;

static TOTAL: HeaderName = HeaderName::from_static("x-pagination-total");
static NEXT: HeaderName = HeaderName::from_static("x-pagination-next");

/// Furthest into a list that `offset` reaches, and most that is counted.
const MOST: u32 = 10_000;

/// A list of the server.
struct List {
    kind: &'static Kind,
    path: &'static str,
    /// Members of a search that handlers are shown.
    shown: &'static [&'static str],
}

static THREADS: List = List { kind: &THREAD, path: "/threads/search", shown: &["values", "status"] };
static ASSISTANTS: List = List { kind: &ASSISTANT, path: "/assistants/search", shown: &["graph_id"] };

async fn found<A: Action>(
    request: &mut Request,
    list: &'static List,
    counting: bool,
) -> Result<(Grant, Result<Listed>, u32, Option<Vec<String>>)> {
    request.may::<A>()?;
    let body = Body::read(request).await?;
    let limit = if counting { MOST } else { body.whole("limit", 1, 1000)?.unwrap_or(10) };
    let offset = if counting { 0 } else { body.whole("offset", 0, MOST)?.unwrap_or(0) };
    let metadata = body.maybe_object("metadata")?.cloned().unwrap_or_default();
    let columns = body.texts("select")?.filter(|columns| !columns.is_empty() && !counting);
    let columns: Option<Vec<String>> = columns.map(|all| all.into_iter().map(str::to_owned).collect());
    let mut value = own::object(json!({
        "metadata": metadata,
        "limit": if counting { 0 } else { limit },
        "offset": offset,
    }));
    for name in list.shown {
        value.insert((*name).to_owned(), body.member(name).cloned().unwrap_or_default());
    }
    let asked = Asked { value, uuids: &[] };
    let grant = request.permit_asking::<A>(Target::any(), asked).await?.into_grant();
    let mut asked_for = body.0;
    asked_for.remove("select");
    let by_values = asked_for.get("values").is_some_and(says_something);
    let shown = match (&columns, counting) {
        (_, true) => Columns::None,
        (None, _) => Columns::All,
        (Some(columns), _) => {
            let mut all = columns.clone();
            for needed in [list.kind.id, "metadata"] {
                if !all.iter().any(|column| column == needed) {
                    all.push(needed.to_owned());
                }
            }
            Columns::Some(all)
        }
    };
    let wanted =
        Wanted { body: asked_for, metadata: own::amended_metadata(&grant), offset, limit, columns: shown };
    let came = match listed(request, &grant, (list.kind, list.path), wanted).await {
        // Of a thread that has none yet, langgraph-api 0.16.7 with its store in memory fails over the question.
        Ok(Listed::Refused(refused)) if by_values && refused.status.is_server_error() => {
            Err(bad("values", "is not what the agent server can search by; ask for metadata"))
        }
        came => came,
    };
    Ok((grant, came, offset, columns))
}

async fn searched<A: Action>(mut request: Request, list: &'static List) -> Result<Answer> {
    let (grant, came, offset, columns) = found::<A>(&mut request, list, false).await?;
    let came = came.map(|listed| match listed {
        Listed::Refused(refused) => refused.into_answer(),
        Listed::Found(items, more) => {
            let count = u32::try_from(items.len()).unwrap_or(u32::MAX);
            let items: Vec<Value> =
                items.into_iter().map(|item| selected(item, columns.as_deref())).collect();
            let mut answer = json_answer(StatusCode::OK, &items);
            let known = offset + count + u32::from(more);
            answer.headers_mut().insert(TOTAL.clone(), HeaderValue::from(known));
            if more {
                answer.headers_mut().insert(NEXT.clone(), HeaderValue::from(offset + count));
            }
            answer
        }
    });
    told(grant, came).await
}

/// An item with the columns that were asked for.
fn selected(item: Value, columns: Option<&[String]>) -> Value {
    match (item, columns) {
        (Value::Object(mut members), Some(columns)) => {
            members.retain(|name, _| columns.contains(name));
            Value::Object(members)
        }
        (item, _) => item,
    }
}

async fn counted<A: Action>(mut request: Request, list: &'static List) -> Result<Answer> {
    let (grant, came, ..) = found::<A>(&mut request, list, true).await?;
    let came = came.map(|listed| match listed {
        Listed::Refused(refused) => refused.into_answer(),
        Listed::Found(items, _) => json_answer(StatusCode::OK, &items.len()),
    });
    told(grant, came).await
}

/// `POST /threads/search`
pub(crate) async fn threads(request: Request) -> Result<Answer> {
    searched::<thread::List>(request, &THREADS).await
}

/// `POST /threads/count`
pub(crate) async fn count_threads(request: Request) -> Result<Answer> {
    counted::<thread::List>(request, &THREADS).await
}

/// `POST /assistants/search`
pub(crate) async fn assistants(request: Request) -> Result<Answer> {
    searched::<assistant::List>(request, &ASSISTANTS).await
}

/// `POST /assistants/count`
pub(crate) async fn count_assistants(request: Request) -> Result<Answer> {
    counted::<assistant::List>(request, &ASSISTANTS).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_that_were_added_to_look_at_them_are_not_shown() {
        let item = json!({"thread_id": "t", "metadata": {"owner": "ann"}, "status": "idle"});
        let shown = selected(item.clone(), Some(&["status".to_owned()]));
        assert_eq!(shown, json!({"status": "idle"}));
        assert_eq!(selected(item.clone(), None), item);
    }
}
