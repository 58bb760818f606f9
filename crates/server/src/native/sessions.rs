//! Stays: listed, and ended one, all or all others.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{session, token};
use doorward_core::error::{Error, Result, codes};
use doorward_core::id::SessionId;
use doorward_core::identity::sessions::Which;
use doorward_core::principal::Principal;
use http::StatusCode;
use serde_json::{Value, json};

use super::users::own;
use super::views;
use crate::http::respond::{Answer, json_answer, no_content};
use crate::request::Request;

/// `POST /v1/logout`: ends the session of the credential, or the token itself where it has no session.
pub(super) async fn logout(request: Request) -> Result<Answer> {
    end_own(&request).await?;
    Ok(no_content())
}

/// Ends what the caller came with, for the log-out of every surface.
pub(crate) async fn end_own(request: &Request) -> Result<()> {
    let auth = &request.call()?.auth;
    match (&auth.session, auth.principal.user_id()) {
        (Some(id), Some(user)) => {
            let owner = auth.principal.owner_key();
            let permit = request.permit::<session::End>(Target::owned(id.as_str(), &owner))?;
            request.engine.sessions().end(permit, &user, Which::One(id.clone())).await?;
        }
        _ => {
            let permit = request.permit::<token::Revoke>(Target::any())?;
            request.engine.tokens().revoke_own(permit).await?;
        }
    }
    Ok(())
}

/// `GET /v1/sessions`
pub(super) async fn list(request: Request) -> Result<Answer> {
    let (user, owner) = own(&request)?;
    let permit = request.permit::<session::Read>(Target::owned(user.as_str(), &owner))?;
    let current = request.call()?.auth.session.clone();
    let sessions = request.engine.sessions().list(permit, &user).await?;
    let shown: Vec<Value> =
        sessions.iter().map(|one| views::session(one, Some(&one.id) == current.as_ref())).collect();
    Ok(json_answer(StatusCode::OK, &json!({ "sessions": shown })))
}

/// `DELETE /v1/sessions`, with `?keep=current` all but the one that asks.
pub(super) async fn end_all(request: Request) -> Result<Answer> {
    let (user, owner) = own(&request)?;
    let permit = request.permit::<session::End>(Target::owned(user.as_str(), &owner))?;
    let which = match (request.query(), &request.call()?.auth.session) {
        (Err(error), _) => return permit.close(Err(error)),
        (Ok(query), current) => match (query.text("keep"), current) {
            (None, _) => Which::All,
            (Some("current"), Some(current)) => Which::Others(current.clone()),
            (Some("current"), None) => {
                let message = "This credential has no session that could be kept.";
                return permit.close(Err(Error::new(codes::BAD_REQUEST).message(message)));
            }
            (Some(_), _) => {
                return permit
                    .close(Err(Error::new(codes::BAD_FIELD).message("`keep` may only be `current`.")));
            }
        },
    };
    let ended = request.engine.sessions().end(permit, &user, which).await?;
    Ok(json_answer(StatusCode::OK, &json!({ "ended": ended })))
}

/// `DELETE /v1/sessions/{id}`
pub(super) async fn end(request: Request) -> Result<Answer> {
    let id = SessionId::from(request.param("id")?);
    let (user, permit) = match request.engine.sessions().owner(&id).await {
        Ok(user) => {
            let owner = Principal::local(&user).owner_key();
            let permit = request.permit::<session::End>(Target::owned(id.as_str(), &owner))?;
            (user, permit)
        }
        // Whoever may not ask is told so before being told that there is no such session.
        Err(error) => return request.permit::<session::End>(Target::named(id.as_str()))?.close(Err(error)),
    };
    request.engine.sessions().end(permit, &user, Which::One(id)).await?;
    Ok(no_content())
}
