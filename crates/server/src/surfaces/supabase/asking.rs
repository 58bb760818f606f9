//! Letters, asked for. The answer is the same whoever has the address.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::login;
use doorward_core::error::{Error, Result, codes};
use doorward_core::identity::proofs::{Entering, Links, Purpose};
use doorward_core::operation::Permit;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::links;
use super::style::{Fault, NO_PHONES};
use crate::http::respond::{Answer, json_answer};
use crate::request::Request;

/// What clients send; members we know nothing of are theirs (captcha).
#[derive(Deserialize)]
struct Asking {
    email: Option<String>,
    phone: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    create_user: Option<bool>,
    data: Option<Map<String, Value>>,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
}

impl Asking {
    fn is_by_phone(&self) -> bool {
        self.phone.as_deref().is_some_and(|phone| !phone.is_empty())
    }
}

/// `POST /recover`
pub(super) async fn recover(mut request: Request) -> Result<Answer> {
    let body: Asking = request.json().await?;
    let (permit, email, links) = begin(&request, &body)?;
    request.engine.proofs().ask(permit, Purpose::Recovery, &email, &links).await?;
    Ok(asked())
}

/// `POST /otp`: a link and digits to log in with; for an address that is new, an account first, unless `create_user` says no.
pub(super) async fn otp(mut request: Request) -> Result<Answer> {
    let body: Asking = request.json().await?;
    enter(&request, body).await
}

/// `POST /magiclink`: as `/otp`, from before it.
pub(super) async fn magic_link(mut request: Request) -> Result<Answer> {
    let body: Asking = request.json().await?;
    enter(&request, Asking { create_user: Some(true), ..body }).await
}

async fn enter(request: &Request, body: Asking) -> Result<Answer> {
    if body.is_by_phone() {
        return Ok(Fault::of(NO_PHONES).answer(request.about()));
    }
    let (permit, email, links) = begin(request, &body)?;
    let make = body.create_user.unwrap_or(true);
    let entering = Entering { address: &email, make, user_metadata: body.data.unwrap_or_default() };
    request.engine.proofs().enter(permit, entering, &links).await?;
    Ok(asked())
}

/// `POST /resend`: the letter of a sign-up or of a move, once more.
pub(super) async fn resend(mut request: Request) -> Result<Answer> {
    let body: Asking = request.json().await?;
    match body.kind.as_deref() {
        Some("signup") if !body.is_by_phone() => {
            let (permit, email, links) = begin(&request, &body)?;
            request.engine.proofs().ask(permit, Purpose::SignUp, &email, &links).await?;
        }
        Some("email_change") if !body.is_by_phone() => {
            let (permit, email, links) = begin(&request, &body)?;
            request.engine.proofs().ask_again_to_move(permit, &email, &links).await?;
        }
        Some("signup" | "email_change" | "sms" | "phone_change") if body.is_by_phone() => {
            return Ok(Fault::of(NO_PHONES).answer(request.about()));
        }
        _ => {
            let message = "Missing or unsupported type: signup and email_change are sent again";
            return Ok(Fault::new(400, "validation_failed", message).answer(request.about()));
        }
    }
    Ok(asked())
}

/// `GET /reauthenticate`: digits to the caller's own address, shown as `nonce` where a password is changed.
pub(super) async fn reauthenticate(request: Request) -> Result<Answer> {
    let links = links::of(&request)?;
    if request.call()?.auth.is_anonymous() {
        return Err(Error::new(codes::CREDENTIALS_MISSING));
    }
    let permit = request.permit::<login::Begin>(Target::any())?;
    request.engine.proofs().ask_nonce(permit, &links).await?;
    Ok(asked())
}

fn begin(request: &Request, asked: &Asking) -> Result<(Permit<login::Begin>, String, Links)> {
    let links =
        links::asked(request, asked.code_challenge.as_deref(), asked.code_challenge_method.as_deref())?;
    let permit = request.permit::<login::Begin>(Target::any())?;
    match &asked.email {
        Some(email) => Ok((permit, email.clone(), links)),
        None => {
            let missing = Error::new(codes::BAD_FIELD).message("An email address is required");
            permit.close(Err(missing))
        }
    }
}

fn asked() -> Answer {
    json_answer(StatusCode::OK, &json!({}))
}
