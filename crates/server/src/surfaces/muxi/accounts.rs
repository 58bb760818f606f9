//! Accounts and tokens: register, log in, refresh, log out, and who one is.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{session, token, user};
use doorward_core::error::{Error, Result, codes};
use doorward_core::identity::sessions::{Granted, Login, USERNAME_CLAIM};
use doorward_core::identity::users::NewUser;
use doorward_core::secret::SecretText;
use http::StatusCode;
use serde_json::{Value, json};

use super::fields;
use crate::http::respond::{Answer, json_answer};
use crate::native::end_own;
use crate::request::Request;

/// The name of the method that takes API keys, as calls carry it.
pub(super) const API_KEY: &str = "api_key";

fn of(granted: &Granted) -> Value {
    json!({
        "access_token": granted.access.token.expose(),
        "token_type": "bearer",
        "expires_in": granted.access.expires_in_s,
    })
}

fn with_refresh(granted: &Granted) -> Value {
    let mut view = of(granted);
    if let Some(refresh) = &granted.refresh {
        view["refresh_token"] = refresh.expose().as_str().into();
    }
    view
}

/// `POST /auth/register`: an account, and a first log-in.
pub(super) async fn register(mut request: Request) -> Result<Answer> {
    let [username, password, email] =
        match fields::json(&mut request, ["username", "password", "email"]).await? {
            Ok(read) => read,
            Err(answer) => return Ok(*answer),
        };
    let password = SecretText::new(password);
    let again = SecretText::new(password.expose().clone());
    let engine = &request.engine;
    let new = NewUser {
        email: Some(email),
        username: Some(username.clone()),
        password: Some(password),
        ..NewUser::default()
    };
    let permit = request.permit::<user::SignUp>(Target::any())?;
    engine.users().sign_up(permit, new).await?;
    let permit = request.permit::<session::Login>(Target::any())?;
    let login = Login {
        login: username,
        password: again,
        client: None,
        scope: None,
        source: Some("register".to_owned()),
        device: None,
    };
    let granted = engine.sessions().login(permit, login).await?;
    Ok(json_answer(StatusCode::OK, &of(&granted)))
}

async fn log_in(request: &mut Request) -> Result<fields::Read<Granted>> {
    let form = match fields::login(request).await? {
        Ok(form) => form,
        Err(answer) => return Ok(Err(answer)),
    };
    let permit = request.permit::<session::Login>(Target::any())?;
    let login = Login {
        login: form.username,
        password: SecretText::new(form.password),
        client: form.client,
        scope: form.scope,
        source: None,
        device: None,
    };
    Ok(Ok(request.engine.sessions().login(permit, login).await?))
}

/// `POST /auth/token`
pub(super) async fn token_pair(mut request: Request) -> Result<Answer> {
    Ok(match log_in(&mut request).await? {
        Ok(granted) => json_answer(StatusCode::OK, &with_refresh(&granted)),
        Err(answer) => *answer,
    })
}

/// `POST /token`: exactly two members.
pub(super) async fn token_alone(mut request: Request) -> Result<Answer> {
    Ok(match log_in(&mut request).await? {
        Ok(granted) => {
            let token = granted.access.token.expose();
            json_answer(StatusCode::OK, &json!({ "access_token": token, "token_type": "bearer" }))
        }
        Err(answer) => *answer,
    })
}

/// `POST /auth/refresh`
pub(super) async fn refresh(mut request: Request) -> Result<Answer> {
    let [presented] = match fields::json(&mut request, ["refresh_token"]).await? {
        Ok(read) => read,
        Err(answer) => return Ok(*answer),
    };
    let permit = request.permit::<token::Refresh>(Target::any())?;
    let granted = request.engine.sessions().refresh(permit, &SecretText::new(presented), None).await?;
    Ok(json_answer(StatusCode::OK, &with_refresh(&granted)))
}

/// `POST /auth/logout`: ends the session with its tokens, or the token itself where it has no session.
pub(super) async fn logout(request: Request) -> Result<Answer> {
    end_own(&request).await?;
    Ok(json_answer(StatusCode::OK, &json!({ "message": "Successfully logged out" })))
}

/// Refuses a token that does not name its user, as the document does. A key has no claims.
pub(super) fn must_name_user(request: &Request) -> Result<()> {
    let auth = &request.call()?.auth;
    if auth.is_anonymous() || auth.method == API_KEY || auth.claims.contains_key(USERNAME_CLAIM) {
        return Ok(());
    }
    Err(Error::new(codes::TOKEN_INVALID).operator("no username"))
}

/// `GET /users/me`
pub(super) async fn me(request: Request) -> Result<Answer> {
    must_name_user(&request)?;
    let principal = &request.call()?.auth.principal;
    let Some(id) = principal.user_id() else {
        // Nobody, or somebody without an account here: the decision says which.
        let permit = request.permit::<user::Read>(Target::any())?;
        return permit.close(Err(Error::new(codes::NOT_FOUND)));
    };
    let owner = principal.owner_key();
    let permit = request.permit::<user::Read>(Target::owned(id.as_str(), &owner))?;
    let found = request.engine.users().get(permit, &id).await?;
    let view = json!({ "username": found.username, "email": found.email, "user_id": found.id });
    Ok(json_answer(StatusCode::OK, &view))
}
