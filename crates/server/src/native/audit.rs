//! The audit log, read.

use doorward_core::audit::Outcome;
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::audit;
use doorward_core::error::{Error, Result, codes};
use doorward_core::ports::store::AuditQuery;
use http::StatusCode;
use serde_json::json;

use super::listing;
use crate::http::pairs::Pairs;
use crate::http::respond::{Answer, json_answer};
use crate::request::Request;

fn asked(query: &Pairs) -> Result<AuditQuery> {
    let bad = |what: &str| Error::new(codes::BAD_FIELD).message(format!("`{what}` cannot be understood."));
    let since_ms =
        query.text("since_ms").map(|text| text.parse().map_err(|_| bad("since_ms"))).transpose()?;
    let outcome =
        query.text("outcome").map(|text| Outcome::parse(text).ok_or_else(|| bad("outcome"))).transpose()?;
    Ok(AuditQuery {
        since_ms,
        outcome,
        principal: query.text("principal").map(str::to_owned),
        action: query.text("action").map(str::to_owned),
        limit: listing::page(query)?.limit,
    })
}

/// `GET /v1/audit`: the newest lines that match, newest first.
pub(super) async fn list(request: Request) -> Result<Answer> {
    let permit = request.permit::<audit::Read>(Target::any())?;
    let query = match request.query().and_then(|query| asked(&query)) {
        Ok(query) => query,
        Err(error) => return permit.close(Err(error)),
    };
    let entries = request.engine.audit().list(permit, query).await?;
    Ok(json_answer(StatusCode::OK, &json!({ "entries": entries })))
}
