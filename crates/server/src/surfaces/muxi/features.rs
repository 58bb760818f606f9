//! Routes for some roles. Who may is the decision function's; the words of a refusal are the document's.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{Action, dashboard as overview, feature};
use doorward_core::error::{Error, Kind, Result, codes};
use http::StatusCode;
use serde_json::{Value, json};

use crate::http::respond::{Answer, json_answer};
use crate::request::Request;

/// Shows `body` to whoever may do `A`; `role` is the least one that may without configuration.
fn shown<A: Action>(request: &Request, role: &str, body: &Value) -> Result<Answer> {
    let permit = request.permit::<A>(Target::any()).map_err(|error| match error.code().kind {
        Kind::Forbidden => Error::new(codes::FORBIDDEN).message(format!("Requires {role} role")),
        _ => error,
    })?;
    permit.close(Ok(json_answer(StatusCode::OK, body)))
}

/// `GET /features/basic`
pub(super) async fn basic(request: Request) -> Result<Answer> {
    shown::<feature::Basic>(&request, "user", &json!({ "features": ["chat", "search"] }))
}

/// `GET /features/premium`
pub(super) async fn premium(request: Request) -> Result<Answer> {
    let features = json!({ "features": ["chat", "search", "advanced_tools", "priority_support"] });
    shown::<feature::Premium>(&request, "premium", &features)
}

/// `GET /admin/dashboard`
pub(super) async fn dashboard(request: Request) -> Result<Answer> {
    shown::<overview::Read>(&request, "admin", &json!({ "admin": "dashboard" }))
}
