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
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{oauth, tags, views};
use crate::http::respond::Answer;
use crate::openapi::{Described, Hidden};
use crate::request::Request;

/// By what a token is asked for.
#[derive(JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "it stands for a text in the schema")]
enum GrantType {
    Password,
    RefreshToken,
}

/// RFC 6749 §4.3.2 and §6. Unknown members are ignored, as §3.2 asks.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Grant {
    #[schemars(with = "GrantType")]
    grant_type: Option<String>,
    /// User name or address, with `password`.
    username: Option<String>,
    #[schemars(with = "Option<Hidden>")]
    password: Option<SecretText>,
    /// The last one, with `refresh_token`.
    #[schemars(with = "Option<Hidden>")]
    refresh_token: Option<SecretText>,
    /// How the application calls itself: its refresh tokens are then good for no other.
    client_id: Option<String>,
    /// Scopes with spaces between; all that the roles allow unless it says otherwise.
    scope: Option<String>,
    /// The application, for the list of sessions.
    source: Option<String>,
    /// The device, for the list of sessions.
    device: Option<String>,
}

pub(super) static GRANT: Described<Grant, views::Granted> =
    Described::new("logIn", &tags::ENTRY, "A token for a password, or for a refresh token (RFC 6749)")
        .notes(
            "Members that are not known are passed over. Refusals have `error` and `error_description` too.",
        )
        .for_anybody()
        .takes_forms(r#"{"grant_type": "password", "username": "ada", "password": "correct horse battery"}"#)
        .answers(200)
        .refuses(&[
            codes::UNSUPPORTED_GRANT,
            codes::NOT_REFRESH,
            codes::UNKNOWN_SCOPE,
            codes::WRONG_CLIENT,
            codes::CANNOT_SIGN,
            codes::BAD_CREDENTIALS,
            codes::REFRESH_INVALID,
            codes::REFRESH_REUSED,
            codes::EMAIL_NOT_CONFIRMED,
            codes::LOGIN_REFUSED,
            codes::SIGN_UP_CLOSED,
            codes::CONFLICT,
            codes::HASHING_BUSY,
            codes::PROVIDER_UNAVAILABLE,
        ]);

/// `POST /v1/token`, as JSON or as a form.
pub(super) async fn grant(request: Request) -> Result<Answer> {
    exchange(request).await.map_err(oauth::named)
}

async fn exchange(mut request: Request) -> Result<Answer> {
    let body = GRANT.read(&mut request).await?;
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
    Ok(GRANT.answer(&(&granted).into()))
}

/// A token for somebody.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    /// Whose it is: its `sub`.
    user_id: String,
    /// What it says beside, at most 4 KiB.
    #[serde(default)]
    claims: Map<String, Value>,
    /// Seconds; as long as the mount's tokens live unless it says otherwise.
    #[schemars(range(min = 1))]
    expires_in: Option<i64>,
    /// Scopes with spaces between.
    scope: Option<String>,
}

/// A token that was made.
#[derive(Serialize, JsonSchema)]
pub(super) struct MadeToken {
    access_token: String,
    /// `Bearer`
    token_type: &'static str,
    /// Seconds.
    expires_in: i64,
    /// Its id, by which it can be revoked.
    jti: String,
}

pub(super) static ISSUE: Described<NewToken, MadeToken> =
    Described::new("makeToken", &tags::TOKENS, "Make a token for somebody")
        .takes(r#"{"user_id": "usr_1", "claims": {"team": "blue"}, "expires_in": 600, "scope": "read"}"#)
        .answers(201)
        .refuses(&[codes::UNKNOWN_SCOPE, codes::CANNOT_SIGN]);

/// `POST /v1/tokens`: a token for somebody else.
pub(super) async fn issue(mut request: Request) -> Result<Answer> {
    let engine = request.engine.clone();
    let (permit, body) = ISSUE.permit::<token::Issue>(&mut request, Target::any()).await?;
    let NewToken { user_id, claims, expires_in, scope } = body;
    let subject = Subject { subject: user_id, scope, claims, ttl_s: expires_in, ..Subject::default() };
    let issued = engine.tokens().issue(permit, &request.site.mount.tokens, subject).await?;
    Ok(ISSUE.answer(&MadeToken {
        access_token: issued.token.expose().clone(),
        token_type: "Bearer",
        expires_in: issued.expires_in_s,
        jti: issued.id.to_string(),
    }))
}

/// What to revoke; exactly one member. None at all means the token that asks.
#[derive(Deserialize, Default, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Revocation {
    /// One token.
    jti: Option<String>,
    /// The tokens of a session.
    session_id: Option<String>,
    /// All tokens of a user of ours.
    user_id: Option<String>,
    /// All tokens of a principal: authority and subject.
    principal: Option<String>,
    /// Everybody's tokens.
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

pub(super) static REVOKE: Described<Revocation> =
    Described::new("revokeTokens", &tags::TOKENS, "Revoke tokens")
        .notes("With an empty body the token that asks. Anything else needs an administrator's credential.")
        .takes(r#"{"user_id": "usr_1"}"#)
        .refuses(&[codes::CONFLICT]);

/// `POST /v1/tokens/revoke`: one's own token with an empty body, anybody's for administrators.
pub(super) async fn revoke(mut request: Request) -> Result<Answer> {
    let engine = request.engine.clone();
    // Which leave is needed depends on the body; whoever has neither is told so before what is wrong with the body.
    let body = REVOKE.read(&mut request).await;
    if body.as_ref().is_ok_and(Revocation::is_own) {
        let permit = request.permit::<token::Revoke>(Target::any())?;
        engine.tokens().revoke_own(permit).await?;
        return Ok(REVOKE.done());
    }
    let permit = request.permit::<token::RevokeAny>(Target::any())?;
    let what = match body.and_then(Revocation::what) {
        Ok(what) => what,
        Err(error) => return permit.close(Err(error)),
    };
    engine.tokens().revoke_any(permit, what).await?;
    Ok(REVOKE.done())
}
