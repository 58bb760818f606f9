//! What OAuth clients and resource servers ask about tokens: introspection (RFC 7662) and revocation (RFC 7009).
//!
//! A refusal is a problem like all of `/v1`, and holds the members of RFC 6749 §5.2 too: `error` is what an OAuth client
//! looks for, and without it takes a refusal for a token.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::token;
use doorward_core::error::{Error, Kind, Result, codes};
use doorward_core::secret::SecretText;
use doorward_core::tokens::Facts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::tags;
use crate::http::respond::Answer;
use crate::openapi::{Described, Hidden};
use crate::request::Request;

/// RFC 7662 §2.1 and RFC 7009 §2.1. `token_type_hint` is a hint: the token itself says what it is.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "PresentedToken")]
pub(super) struct Presented {
    /// An access token or a refresh token.
    #[schemars(with = "Hidden")]
    token: Option<SecretText>,
    /// Which client it was given to, where it says.
    client_id: Option<String>,
}

/// What a token is worth (RFC 7662 §2.2); of one that is worth nothing, only that.
#[derive(Serialize, JsonSchema)]
pub(super) struct Introspected {
    active: bool,
    /// `Bearer`, or `refresh_token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    /// Its claims.
    #[serde(flatten)]
    claims: Map<String, Value>,
}

/// It is done, whatever it was.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SurrenderedToken")]
pub(super) struct Revoked {}

pub(super) static INTROSPECT: Described<Presented, Introspected> =
    Described::new("introspectToken", &tags::TOKENS, "What a token that Doorward made is worth (RFC 7662)")
        .notes("One's own; anybody's with an administrator's credential.")
        .takes_forms(r#"{"token": "eyJhbGciOiJFUzI1NiJ9.e30.c2ln"}"#)
        .answers(200);

pub(super) static REVOKE: Described<Presented, Revoked> =
    Described::new("surrenderToken", &tags::TOKENS, "End a token (RFC 7009)")
        .notes("Whoever has it may. It is the same answer whether or not it was one. A refresh token takes its session along.")
        .for_anybody()
        .takes_forms(r#"{"token": "eyJhbGciOiJFUzI1NiJ9.e30.c2ln"}"#)
        .answers(200)
        .refuses(&[codes::WRONG_CLIENT, codes::CONFLICT]);

fn presented(body: Presented) -> Result<(SecretText, Option<String>)> {
    let missing = || Error::new(codes::BAD_FIELD).message("`token` is missing.");
    Ok((body.token.ok_or_else(missing)?, body.client_id))
}

/// `POST /v1/introspect`.
pub(super) async fn introspect(mut request: Request) -> Result<Answer> {
    let permit = request.permit::<token::Introspect>(Target::any())?;
    let engine = request.engine.clone();
    let text = match INTROSPECT.read(&mut request).await.and_then(presented) {
        Ok((text, _)) => text,
        Err(error) => return permit.close(Err(named(error))),
    };
    let facts = engine.tokens().introspect(permit, text.expose()).await?;
    Ok(INTROSPECT.answer(&described(facts)))
}

/// `POST /v1/revoke`: whoever has a token may end it. What is no token of ours is answered alike (RFC 7009 §2.2).
pub(super) async fn revoke(mut request: Request) -> Result<Answer> {
    let permit = request.permit::<token::Surrender>(Target::any())?;
    let engine = request.engine.clone();
    let (text, client) = match REVOKE.read(&mut request).await.and_then(presented) {
        Ok(read) => read,
        Err(error) => return permit.close(Err(named(error))),
    };
    engine.tokens().surrender(permit, text.expose(), client.as_deref()).await.map_err(named)?;
    Ok(REVOKE.answer(&Revoked {}))
}

/// RFC 7662 §2.2.
fn described(facts: Option<Facts>) -> Introspected {
    let Some(Facts { access, username, client, mut claims, .. }) = facts else {
        let claims = Map::new();
        return Introspected { active: false, token_type: None, username: None, client_id: None, claims };
    };
    // What is said here is said once, whatever its maker put into it.
    claims.retain(|name, _| {
        let known = name == "username" && username.is_some() || name == "client_id" && client.is_some();
        !known && name != "active" && name != "token_type"
    });
    let token_type = Some(if access { "Bearer" } else { "refresh_token" });
    Introspected { active: true, token_type, username, client_id: client, claims }
}

/// An error as an OAuth client reads it.
pub(super) fn named(error: Error) -> Error {
    let name = match error.code().name {
        "bad_credentials"
        | "user_disabled"
        | "session_ended"
        | "refresh_token_invalid"
        | "refresh_token_reused"
        | "not_a_refresh_token" => "invalid_grant",
        "unsupported_grant_type" => "unsupported_grant_type",
        "unknown_scope" => "invalid_scope",
        "wrong_client" => "unauthorized_client",
        _ => match error.code().kind {
            Kind::Invalid | Kind::TooLarge | Kind::Unsupported => "invalid_request",
            Kind::Limited | Kind::Unavailable => "temporarily_unavailable",
            _ => return error,
        },
    };
    error.as_oauth(name)
}
