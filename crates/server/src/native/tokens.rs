//! Tokens: granted for a password or a refresh token, made for others, revoked.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{session, token};
use doorward_core::error::{Error, Result, codes};
use doorward_core::id::UserId;
use doorward_core::identity::sessions::Login;
use doorward_core::principal::Principal;
use doorward_core::secret::SecretText;
use doorward_core::tokens::issue::Subject;
use doorward_core::tokens::model::Revoked;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{oauth, views};
use crate::http::respond::{Answer, json_answer, no_content};
use crate::request::Request;

/// RFC 6749 §4.3.2 and §6. Unknown members are ignored, as §3.2 asks.
#[derive(Deserialize)]
struct Grant {
    grant_type: Option<String>,
    username: Option<String>,
    password: Option<SecretText>,
    refresh_token: Option<SecretText>,
    client_id: Option<String>,
    scope: Option<String>,
    source: Option<String>,
    device: Option<String>,
}

/// `POST /v1/token`, as JSON or as a form.
pub(super) async fn grant(request: Request) -> Result<Answer> {
    exchange(request).await.map_err(oauth::named)
}

async fn exchange(mut request: Request) -> Result<Answer> {
    let body: Grant = request.json_or_form().await?;
    let engine = &request.engine;
    let missing = |name: &str| Error::new(codes::BAD_FIELD).message(format!("`{name}` is missing."));
    let granted = match body.grant_type.as_deref() {
        Some("password") => {
            let login = Login {
                login: body.username.ok_or_else(|| missing("username"))?,
                password: body.password.ok_or_else(|| missing("password"))?,
                client: body.client_id,
                scope: body.scope,
                source: body.source.or_else(|| Some("password".to_owned())),
                device: body.device,
            };
            let permit = request.permit::<session::Login>(Target::any())?;
            engine.sessions().login(permit, login).await?
        }
        Some("refresh_token") => {
            let presented = body.refresh_token.ok_or_else(|| missing("refresh_token"))?;
            let permit = request.permit::<token::Refresh>(Target::any())?;
            engine.sessions().refresh(permit, &presented, body.client_id.as_deref()).await?
        }
        Some(_) => return Err(Error::new(codes::UNSUPPORTED_GRANT)),
        None => return Err(missing("grant_type")),
    };
    Ok(json_answer(StatusCode::OK, &views::granted(&granted)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewToken {
    user_id: String,
    #[serde(default)]
    claims: Map<String, Value>,
    expires_in: Option<i64>,
    scope: Option<String>,
}

/// `POST /v1/tokens`: a token for somebody else.
pub(super) async fn issue(mut request: Request) -> Result<Answer> {
    let engine = request.engine.clone();
    let (permit, body) = request.permit_with_json::<token::Issue, NewToken>(Target::any()).await?;
    let NewToken { user_id, claims, expires_in, scope } = body;
    let subject = Subject { subject: user_id, scope, claims, ttl_s: expires_in, ..Subject::default() };
    let issued = engine.tokens().issue(permit, &request.site.mount.tokens, subject).await?;
    let view = json!({
        "access_token": issued.token.expose(),
        "token_type": "Bearer",
        "expires_in": issued.expires_in_s,
        "jti": issued.id,
    });
    Ok(json_answer(StatusCode::CREATED, &view))
}

/// What to revoke; exactly one member. None at all means the token that asks.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Revocation {
    jti: Option<String>,
    session_id: Option<String>,
    user_id: Option<String>,
    principal: Option<String>,
    all: Option<bool>,
}

impl Revocation {
    fn is_own(&self) -> bool {
        matches!(self, Self { jti: None, session_id: None, user_id: None, principal: None, all: None })
    }

    fn what(self) -> Result<Revoked> {
        let user = |id: String| Revoked::Principal(Principal::local(&UserId::from(id)).owner_key());
        match self {
            Self { jti: Some(jti), session_id: None, user_id: None, principal: None, all: None } => {
                Ok(Revoked::Token(jti))
            }
            Self { jti: None, session_id: Some(id), user_id: None, principal: None, all: None } => {
                Ok(Revoked::Session(id))
            }
            Self { jti: None, session_id: None, user_id: Some(id), principal: None, all: None } => {
                Ok(user(id))
            }
            Self { jti: None, session_id: None, user_id: None, principal: Some(key), all: None } => {
                Ok(Revoked::Principal(key))
            }
            Self { jti: None, session_id: None, user_id: None, principal: None, all: Some(true) } => {
                Ok(Revoked::All)
            }
            _ => Err(Error::new(codes::BAD_FIELD)
                .message("Name one of `jti`, `session_id`, `user_id`, `principal`, or `\"all\": true`.")),
        }
    }
}

/// `POST /v1/tokens/revoke`: one's own token with an empty body, anybody's for administrators.
pub(super) async fn revoke(mut request: Request) -> Result<Answer> {
    let engine = request.engine.clone();
    // Which leave is needed depends on the body; whoever has neither is told so before what is wrong with the body.
    let body = request.json::<Revocation>().await;
    if body.as_ref().is_ok_and(Revocation::is_own) {
        let permit = request.permit::<token::Revoke>(Target::any())?;
        engine.tokens().revoke_own(permit).await?;
        return Ok(no_content());
    }
    let permit = request.permit::<token::RevokeAny>(Target::any())?;
    let what = match body.and_then(Revocation::what) {
        Ok(what) => what,
        Err(error) => return permit.close(Err(error)),
    };
    engine.tokens().revoke_any(permit, what).await?;
    Ok(no_content())
}
