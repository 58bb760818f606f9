//! Lists of the upstream, of which a caller sees what is its own.

use doorward_core::error::Result;
use doorward_core::operation::Grant;
use http::StatusCode;
use serde_json::{Value, json};

use super::answer::{Arrival, Buffered};
use super::subject::Resource;
use super::unusable;
use crate::http::respond::{Answer, json_answer};
use crate::request::Request;

/// Most claims that are listed although the upstream does not list them.
const MAX_UNLISTED: u32 = 100;

/// Filters the list in an answer and closes the grant.
///
/// # Errors
/// `upstream_invalid` when the list is not where it should be: what cannot be filtered is not shown.
pub(super) async fn answer(
    request: &Request,
    resource: &Resource,
    grant: Grant,
    arrival: Arrival,
) -> Result<Answer> {
    let tree = match arrival.read().await {
        Ok(buffered) => filtered(request, resource, &grant, &buffered).await,
        Err(error) => Err(error),
    };
    grant.close(tree).map(|tree| json_answer(StatusCode::OK, &tree))
}

/// The answer's tree with the caller's items only.
///
/// # Errors
/// As [`answer`].
pub(crate) async fn filtered(
    request: &Request,
    resource: &Resource,
    grant: &Grant,
    buffered: &Buffered,
) -> Result<Value> {
    let mut tree = buffered.json()?;
    let list = resource.listed_at.iter().try_fold(&mut tree, |value, name| value.get_mut(*name));
    let Some(Value::Array(items)) = list else {
        return Err(unusable("the list is not where it should be"));
    };
    let id_of = |item: &Value| item.get(resource.listed_id).and_then(Value::as_str).map(str::to_owned);
    let Some(ids) = items.iter().map(id_of).collect::<Option<Vec<String>>>() else {
        return Err(unusable("a listed item has no id"));
    };
    let ownership = request.engine.ownership();
    if let Some(visible) = ownership.visible(grant, resource.kind, &ids).await? {
        items.retain(|item| id_of(item).is_some_and(|id| visible.contains(&id)));
    }
    // What was made here and not used yet is unknown upstream, and the caller's all the same.
    if request.query.is_none() {
        for id in ownership.mine(grant, resource.kind, MAX_UNLISTED).await? {
            if !ids.contains(&id) {
                items.push(json!({ resource.listed_id: id }));
            }
        }
    }
    Ok(tree)
}
