//! Logging in, refreshing, logging out.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{session, token};
use doorward_core::error::{Error, Result, codes};
use doorward_core::identity::sessions::{Login, Which};
use doorward_core::secret::SecretText;
use serde::Deserialize;

use super::style::Fault;
use super::views;
use crate::http::respond::{Answer, no_content};
use crate::native::end_own;
use crate::request::Request;

/// What clients send for either grant; members we know nothing of are theirs (captcha).
#[derive(Deserialize)]
struct Grant {
    email: Option<String>,
    phone: Option<String>,
    password: Option<SecretText>,
    refresh_token: Option<SecretText>,
    auth_code: Option<SecretText>,
    code_verifier: Option<SecretText>,
}

/// `POST /auth/v1/token?grant_type=password|refresh_token|pkce`
pub(super) async fn grant(mut request: Request) -> Result<Answer> {
    match exchange(&mut request).await {
        // Here nobody shows a token whose session could be missed: these are about what was sent.
        Err(error) if error.is(codes::USER_DISABLED) => {
            Ok(Fault::new(400, "user_banned", "User is banned").answer(request.about()))
        }
        Err(error) if error.is(codes::SESSION_ENDED) => {
            let message = "Invalid Refresh Token: Session Expired";
            Ok(Fault::new(400, "session_expired", message).answer(request.about()))
        }
        other => other,
    }
}

async fn exchange(request: &mut Request) -> Result<Answer> {
    let grant_type = request.query()?.text("grant_type").unwrap_or_default().to_owned();
    let body: Grant = request.json().await?;
    let engine = request.engine.clone();
    let missing = |name: &str| Error::new(codes::BAD_FIELD).message(format!("missing {name}"));
    let granted = match grant_type.as_str() {
        "password" => {
            if body.phone.as_deref().is_some_and(|phone| !phone.is_empty()) {
                let fault = Fault::new(422, "phone_provider_disabled", "Phone logins are disabled");
                return Ok(fault.answer(request.about()));
            }
            let login = Login {
                login: body.email.ok_or_else(|| missing("email or phone"))?,
                password: body.password.ok_or_else(|| missing("password"))?,
                client: None,
                scope: None,
                source: None,
                device: None,
            };
            let permit = request.permit::<session::Login>(Target::any())?;
            engine.sessions().login(permit, login).await?
        }
        "refresh_token" => {
            let presented = body.refresh_token.ok_or_else(|| missing("refresh_token"))?;
            let permit = request.permit::<token::Refresh>(Target::any())?;
            engine.sessions().refresh(permit, &presented, None).await?
        }
        "pkce" => {
            let given = |text: Option<SecretText>| text.filter(|text| !text.expose().is_empty());
            let (Some(code), Some(verifier)) = (given(body.auth_code), given(body.code_verifier)) else {
                let message = "invalid request: both auth code and code verifier should be non-empty";
                return Err(Error::new(codes::BAD_FIELD).message(message));
            };
            let permit = request.permit::<session::Login>(Target::any())?;
            engine.proofs().exchange(permit, code.expose(), &verifier).await?
        }
        // Nothing here begins what these would end.
        "id_token" => {
            let fault = Fault::new(400, "provider_disabled", "Provider is not enabled");
            return Ok(fault.answer(request.about()));
        }
        "web3" => {
            let fault = Fault::new(422, "web3_provider_disabled", "Web3 provider is disabled");
            return Ok(fault.answer(request.about()));
        }
        _ => {
            let fault = Fault::new(400, "invalid_credentials", "unsupported_grant_type");
            return Ok(fault.answer(request.about()));
        }
    };
    Ok(views::session(&granted, &request.site.mount))
}

/// `POST /auth/v1/logout?scope=global|local|others`: the tokens are refused from then on.
pub(super) async fn log_out(request: Request) -> Result<Answer> {
    let scope = request.query()?.text("scope").unwrap_or("global").to_owned();
    let auth = request.call()?.auth.clone();
    if !matches!(scope.as_str(), "global" | "local" | "others") {
        let fault = Fault::new(400, "validation_failed", "Unsupported logout scope");
        return Ok(fault.answer(request.about()));
    }
    let (Some(id), Some(user)) = (auth.session.clone(), auth.principal.user_id()) else {
        end_own(&request).await?;
        return Ok(no_content());
    };
    let owner = auth.principal.owner_key();
    let permit = request.permit::<session::End>(Target::owned(id.as_str(), &owner))?;
    let which = match scope.as_str() {
        "local" => Which::One(id),
        "others" => Which::Others(id),
        _ => Which::All,
    };
    request.engine.sessions().end(permit, &user, which).await?;
    Ok(no_content())
}
