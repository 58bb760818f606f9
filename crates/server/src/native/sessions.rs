//! Stays: listed, and ended one, all or all others.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{session, token};
use doorward_core::error::{Error, Result, codes};
use doorward_core::id::SessionId;
use doorward_core::identity::sessions::Which;
use doorward_core::principal::Principal;
use schemars::JsonSchema;
use serde::Serialize;

use super::users::own;
use super::{tags, views};
use crate::http::respond::Answer;
use crate::openapi::{Described, Nothing, Parameter, Values};
use crate::request::Request;

pub(super) static LOGOUT: Described =
    Described::new("logOut", &tags::ENTRY, "End the session with its tokens")
        .notes("A token without a session is revoked by itself.")
        .refuses(&[codes::CONFLICT]);

/// `POST /v1/logout`: ends the session of the credential, or the token itself where it has no session.
pub(super) async fn logout(request: Request) -> Result<Answer> {
    end_own(&request).await?;
    Ok(LOGOUT.done())
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

/// Sessions.
#[derive(Serialize, JsonSchema)]
pub(super) struct Sessions {
    sessions: Vec<views::Session>,
}

pub(super) static LIST: Described<Nothing, Sessions> =
    Described::new("listSessions", &tags::SESSIONS, "One's sessions, and which one asks").answers(200);

/// `GET /v1/sessions`
pub(super) async fn list(request: Request) -> Result<Answer> {
    let (user, owner) = own(&request)?;
    let permit = request.permit::<session::Read>(Target::owned(user.as_str(), &owner))?;
    let current = request.call()?.auth.session.clone();
    let sessions = request.engine.sessions().list(permit, &user).await?;
    let shown = sessions.iter().map(|one| views::Session::new(one, Some(&one.id) == current.as_ref()));
    Ok(LIST.answer(&Sessions { sessions: shown.collect() }))
}

/// How many sessions ended.
#[derive(Serialize, JsonSchema)]
pub(super) struct EndedSessions {
    ended: usize,
}

pub(super) static END_ALL: Described<Nothing, EndedSessions> =
    Described::new("endSessions", &tags::SESSIONS, "End one's sessions")
        .parameters(&[Parameter::query(
            "keep",
            Values::OneOf(&["current"]),
            "All others but the one that asks.",
        )])
        .answers(200)
        .refuses(&[codes::CONFLICT]);

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
    Ok(END_ALL.answer(&EndedSessions { ended }))
}

pub(super) static END: Described =
    Described::new("endSession", &tags::SESSIONS, "End a session").refuses(&[codes::CONFLICT]);

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
    Ok(END.done())
}
