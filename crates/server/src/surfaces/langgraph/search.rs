//! `POST /threads/search` and `/threads/count`.

use doorward_core::agents::search::{Found, Search, Standing, ThreadStatus};
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::thread;
use doorward_core::authz::custom::Asked;
use doorward_core::error::Result;
use doorward_core::operation::Permit;
use doorward_core::ports::store::{ThreadOrder, ThreadSort};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::body::{Body, bad};
use super::budget::Budget;
use super::{checkpoints, ids, threads, views};
use crate::http::respond::{Answer, json_answer};
use crate::request::Request;

static TOTAL: HeaderName = HeaderName::from_static("x-pagination-total");
static NEXT: HeaderName = HeaderName::from_static("x-pagination-next");

/// Most ids that are asked for at once.
const MAX_IDS: usize = 100;
/// Furthest into a list that `offset` reaches.
const MAX_OFFSET: u32 = 10_000;

const STATUSES: &[(&str, ThreadStatus)] = &[
    ("idle", ThreadStatus::Idle),
    ("busy", ThreadStatus::Busy),
    ("interrupted", ThreadStatus::Interrupted),
    ("error", ThreadStatus::Error),
];

const COLUMNS: &[&str] = &[
    "thread_id",
    "created_at",
    "updated_at",
    "state_updated_at",
    "metadata",
    "status",
    "config",
    "values",
    "interrupts",
];

struct Wanted {
    search: Search,
    columns: Option<Vec<String>>,
}

fn read(body: &Body) -> Result<Wanted> {
    body.cannot(&["values", "extract"])?;
    let mut named = body.texts("ids")?.unwrap_or_default().into_iter();
    if named.len() > MAX_IDS {
        return Err(bad("ids", "holds at most 100"));
    }
    let named = named.try_fold(Vec::new(), |mut all, id| {
        all.push(ids::thread(id)?);
        Ok::<_, doorward_core::Error>(all)
    })?;
    let by = body.word(
        "sort_by",
        &[
            ("thread_id", ThreadOrder::Id),
            ("created_at", ThreadOrder::CreatedAt),
            ("updated_at", ThreadOrder::UpdatedAt),
            ("state_updated_at", ThreadOrder::UpdatedAt),
        ],
    )?;
    let ascending = body.word("sort_order", &[("asc", true), ("desc", false)])?;
    let columns = body.texts("select")?.filter(|columns| !columns.is_empty());
    if let Some(unknown) = columns.iter().flatten().find(|column| !COLUMNS.contains(column)) {
        return Err(bad(
            "select",
            &format!("has no column {:?}", unknown.chars().take(64).collect::<String>()),
        ));
    }
    Ok(Wanted {
        search: Search {
            metadata: body.object("metadata")?.cloned().unwrap_or_default(),
            ids: named,
            status: body.word("status", STATUSES)?,
            // An order without what to order by is none, as there.
            sort: ThreadSort {
                by: by.unwrap_or(ThreadOrder::UpdatedAt),
                ascending: by.is_some() && ascending.unwrap_or(false),
            },
            offset: body.whole("offset", 0, MAX_OFFSET)?.unwrap_or(0),
            limit: body.whole("limit", 1, 1000)?.unwrap_or(10),
        },
        columns: columns.map(|columns| columns.into_iter().map(str::to_owned).collect()),
    })
}

/// Leave to search, and what is searched for once the handlers have had their say about the metadata.
async fn admitted(request: &mut Request, counting: bool) -> Result<(Permit<thread::List>, Wanted)> {
    request.may::<thread::List>()?;
    let body = Body::read(request).await?;
    let mut wanted = read(&body)?;
    let search = &wanted.search;
    let value = json!({
        "metadata": search.metadata,
        "values": {},
        "status": search.status.map(ThreadStatus::as_str),
        "limit": if counting { 0 } else { search.limit },
        "offset": search.offset,
    });
    let asked = Asked { value: threads::object(value), uuids: &[] };
    let permit = request.permit_asking::<thread::List>(Target::any(), asked).await?;
    wanted.search.metadata = threads::amended_metadata(&permit);
    Ok((permit, wanted))
}

/// `POST /threads/search`
pub(super) async fn search(mut request: Request) -> Result<Answer> {
    let (permit, Wanted { search, columns }) = admitted(&mut request, false).await?;
    let offset = search.offset;
    let shows = |column: &str| columns.as_ref().is_none_or(|all| all.iter().any(|one| one == column));
    let Found { threads: found, mut more } = request.engine.threads().search(permit, search).await?;
    let (mut shown, mut budget): (Vec<Value>, _) = (Vec::new(), Budget::new());
    for standing in &found {
        let values = if shows("values") { values(&request, standing).await? } else { Value::Null };
        let mut view = views::thread(standing, values);
        if columns.is_some() {
            view.retain(|name, _| shows(name));
        }
        let view = Value::Object(view);
        if !budget.takes(&view, shown.is_empty()) {
            more = true;
            break;
        }
        shown.push(view);
    }
    let count = u32::try_from(shown.len()).unwrap_or(u32::MAX);
    let mut answer = json_answer(StatusCode::OK, &shown);
    // What the platform calls the total: how far the list is known to reach.
    let known = offset + count + u32::from(more);
    answer.headers_mut().insert(TOTAL.clone(), HeaderValue::from(known));
    if more {
        answer.headers_mut().insert(NEXT.clone(), HeaderValue::from(offset + count));
    }
    Ok(answer)
}

/// `POST /threads/count`
pub(super) async fn count(mut request: Request) -> Result<Answer> {
    let (permit, wanted) = admitted(&mut request, true).await?;
    let count = request.engine.threads().count(permit, wanted.search).await?;
    Ok(json_answer(StatusCode::OK, &count))
}

/// The state of a thread that a search has found; `null` where nothing has happened in it.
pub(super) async fn values(request: &Request, standing: &Standing) -> Result<Value> {
    let all = request.engine.threads().shown_messages(&standing.thread).await?;
    let nothing = all.is_empty() && standing.thread.state.is_empty();
    Ok(if nothing { Value::Null } else { checkpoints::values(&standing.thread, &all) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_searched_for_is_bounded_and_known() {
        let body = |value: Value| Body(value.as_object().cloned().unwrap_or_default());
        for wrong in [
            json!({"limit": 0}),
            json!({"limit": 1001}),
            json!({"limit": "5"}),
            json!({"limit": null}),
            json!({"offset": -1}),
            json!({"offset": 10_001}),
            json!({"status": "bogus"}),
            json!({"ids": ["x"]}),
            json!({"ids": [5]}),
            json!({"metadata": "x"}),
            json!({"sort_by": "owner"}),
            json!({"select": ["bogus"]}),
            json!({"values": {"messages": []}}),
            json!({"extract": {"a": "values.b"}}),
        ] {
            assert!(read(&body(wrong.clone())).is_err(), "{wrong}");
        }
        let plain = read(&body(json!({"sort_order": "asc"}))).expect("a search").search;
        assert_eq!((plain.limit, plain.offset, plain.sort.ascending), (10, 0, false));
    }
}
