//! What OAuth clients and resource servers ask about tokens: introspection (RFC 7662) and revocation (RFC 7009).
//!
//! A refusal is a problem like all of `/v1`, and holds the members of RFC 6749 §5.2 too: `error` is what an OAuth client
//! looks for, and without it takes a refusal for a token.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::token;
use doorward_core::error::{Error, Kind, Result, codes};
use doorward_core::secret::SecretText;
use doorward_core::tokens::Facts;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::http::respond::{Answer, json_answer};
use crate::request::Request;

/// RFC 7662 §2.1 and RFC 7009 §2.1. `token_type_hint` is a hint: the token itself says what it is.
#[derive(Deserialize)]
struct Presented {
    token: Option<SecretText>,
    client_id: Option<String>,
}

async fn presented(request: &mut Request) -> Result<(SecretText, Option<String>)> {
    let body: Presented = request.json_or_form().await?;
    let missing = || Error::new(codes::BAD_FIELD).message("`token` is missing.");
    Ok((body.token.ok_or_else(missing)?, body.client_id))
}

/// `POST /v1/introspect`.
pub(super) async fn introspect(mut request: Request) -> Result<Answer> {
    let permit = request.permit::<token::Introspect>(Target::any())?;
    let engine = request.engine.clone();
    let text = match presented(&mut request).await {
        Ok((text, _)) => text,
        Err(error) => return permit.close(Err(named(error))),
    };
    let facts = engine.tokens().introspect(permit, text.expose()).await?;
    Ok(json_answer(StatusCode::OK, &Value::Object(described(facts))))
}

/// `POST /v1/revoke`: whoever has a token may end it. What is no token of ours is answered alike (RFC 7009 §2.2).
pub(super) async fn revoke(mut request: Request) -> Result<Answer> {
    let permit = request.permit::<token::Surrender>(Target::any())?;
    let engine = request.engine.clone();
    let (text, client) = match presented(&mut request).await {
        Ok(read) => read,
        Err(error) => return permit.close(Err(named(error))),
    };
    engine.tokens().surrender(permit, text.expose(), client.as_deref()).await.map_err(named)?;
    Ok(json_answer(StatusCode::OK, &json!({})))
}

/// RFC 7662 §2.2.
fn described(facts: Option<Facts>) -> Map<String, Value> {
    let Some(Facts { access, username, client, claims, .. }) = facts else {
        return Map::from_iter([("active".to_owned(), false.into())]);
    };
    let mut shown = claims;
    shown.insert("active".into(), true.into());
    shown.insert("token_type".into(), if access { "Bearer" } else { "refresh_token" }.into());
    for (name, value) in [("username", username), ("client_id", client)] {
        if let Some(value) = value {
            shown.insert(name.into(), value.into());
        }
    }
    shown
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
