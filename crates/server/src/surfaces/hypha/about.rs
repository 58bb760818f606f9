//! What the server says of itself.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::service;
use doorward_core::error::Result;
use http::StatusCode;
use serde_json::json;

use super::{caller, fault, hub, tenant};
use crate::http::respond::{Answer, json_answer};
use crate::request::Request;

/// `GET /health` and its two siblings.
pub(super) async fn health(request: Request) -> Result<Answer> {
    let permit = request.permit::<service::Ping>(Target::any())?;
    permit.close(Ok(json_answer(StatusCode::OK, &json!({ "status": "ok" }))))
}

/// `GET /assets/config.json`: who is asking, and where things are.
pub(super) async fn config(request: Request) -> Result<Answer> {
    let hub = hub(&request)?;
    let call = caller::of(&request).await?;
    let own = hub.own_workspace(&call);
    let visit = match hub.visit(call, &own).await {
        Ok(visit) => visit,
        Err(error) => return Ok(fault::answer(&error)),
    };
    let tenant = tenant::of(&request);
    let view = json!({
        "user": visit.user().to_json(),
        "server_id": hub.server_id(),
        "hypha_version": hub.version(),
        "public_base_url": hub.base_url(),
        "local_base_url": hub.base_url(),
        "login_service_url": format!("{}/public/services/hypha-login", hub.base_url()),
        "auth0_client_id": tenant.map(|tenant| &*tenant.client_id),
        "auth0_domain": tenant.map(|tenant| &*tenant.domain),
        "auth0_audience": tenant.map(|tenant| &*tenant.audience),
        "auth0_issuer": tenant.map(|tenant| tenant.issuer.as_deref().unwrap_or(tenant.authority())),
    });
    Ok(json_answer(StatusCode::OK, &view))
}
