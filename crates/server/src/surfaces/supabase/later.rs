//! What waits for its own ways of logging in: providers, single sign-on, second factors. Refused in the platform's own words, so that
//! clients say something true.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{service, user};
use doorward_core::error::Result;

use super::style::Fault;
use crate::http::respond::Answer;
use crate::request::Request;

/// `GET /authorize`
pub(super) async fn authorize(request: Request) -> Result<Answer> {
    let message = "Unsupported provider: provider is not enabled";
    anybody(&request, Fault::new(400, "validation_failed", message))
}

/// `POST /sso`
pub(super) async fn sso(request: Request) -> Result<Answer> {
    anybody(&request, Fault::new(404, "saml_provider_disabled", "SAML 2.0 is disabled"))
}

/// `POST /factors`
pub(super) async fn enroll(request: Request) -> Result<Answer> {
    let message = "MFA enroll is disabled for TOTP";
    somebody(&request, Fault::new(422, "mfa_totp_enroll_not_enabled", message))
}

/// `DELETE /factors/{id}` and what is asked of one.
pub(super) async fn factor(request: Request) -> Result<Answer> {
    let message = "Factor not found";
    somebody(&request, Fault::new(404, "mfa_factor_not_found", message))
}

/// `GET /user/identities/authorize`, `DELETE /user/identities/{id}`
pub(super) async fn linking(request: Request) -> Result<Answer> {
    somebody(&request, Fault::new(404, "manual_linking_disabled", "Manual linking is disabled"))
}

fn anybody(request: &Request, fault: Fault<'static>) -> Result<Answer> {
    request.permit::<service::Ping>(Target::any())?.close(Ok(fault.answer(request.about())))
}

fn somebody(request: &Request, fault: Fault<'static>) -> Result<Answer> {
    request.permit::<user::Read>(Target::any())?.close(Ok(fault.answer(request.about())))
}
