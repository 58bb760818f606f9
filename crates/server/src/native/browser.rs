//! `/v1/session`: the session that a browser keeps in a cookie.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::session;
use doorward_core::error::{Error, Result, codes};
use doorward_core::identity::browser::Provenance;
use doorward_core::identity::sessions::Login;
use doorward_core::secret::SecretText;
use http::StatusCode;
use http::header::SET_COOKIE;
use serde::Deserialize;
use serde_json::json;

use super::sessions::end_own;
use crate::http::browser::{forget, keep, own_origin, says_origin};
use crate::http::respond::{Answer, json_answer, no_content};
use crate::request::Request;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    username: String,
    password: SecretText,
    source: Option<String>,
    device: Option<String>,
}

/// `POST /v1/session`: logs in and leaves the cookie. Only for pages of our own origin: another site's must not be able to
/// log its visitors in as somebody it chose.
pub(super) async fn begin(mut request: Request) -> Result<Answer> {
    if !request.site.cookies {
        return Err(Error::new(codes::NO_COOKIES));
    }
    let own = own_origin(&request.headers, request.site.public_origin.as_deref());
    let says_origin = says_origin(&request.headers);
    let provenance = Provenance { own_origin: own, says_origin, csrf_token: None, needs_token: false };
    request.call()?.made_by_own_page(provenance)?;
    let body: Credentials = request.json().await?;
    let login = Login {
        login: body.username,
        password: body.password,
        client: None,
        scope: None,
        source: body.source.or_else(|| Some("browser".to_owned())),
        device: body.device,
    };
    let permit = request.permit::<session::Login>(Target::any())?;
    let stay = request.engine.sessions().login_browser(permit, login).await?;
    let view = json!({
        "session_id": stay.session, "user_id": stay.user, "csrf_token": stay.csrf_token,
        "expires_at_ms": stay.expires_at_ms,
    });
    let mut answer = json_answer(StatusCode::CREATED, &view);
    answer.headers_mut().insert(SET_COOKIE, keep(&stay));
    Ok(answer)
}

/// `GET /v1/session`: whose it is, and the token that requests which change something have to show.
pub(super) async fn get(request: Request) -> Result<Answer> {
    let auth = std::sync::Arc::clone(&request.call()?.auth);
    let (Some(id), Some(user), true) = (&auth.session, auth.principal.user_id(), auth.ambient) else {
        let permit = request.permit::<session::Read>(Target::any())?;
        let message = "There is no session in a cookie here; POST /v1/session begins one.";
        return permit.close(Err(Error::new(codes::NOT_FOUND).message(message)));
    };
    let permit = request.permit::<session::Read>(Target::owned(id.as_str(), &auth.principal.owner_key()))?;
    let view = json!({
        "session_id": id, "user_id": user, "csrf_token": request.engine.csrf_token(id),
        "expires_at_ms": auth.expires_at_s.map(|at_s| at_s.saturating_mul(1000)),
    });
    permit.close(Ok(json_answer(StatusCode::OK, &view)))
}

/// `DELETE /v1/session`: ends it and takes the cookie back.
pub(super) async fn end(request: Request) -> Result<Answer> {
    end_own(&request).await?;
    let mut answer = no_content();
    answer.headers_mut().insert(SET_COOKIE, forget());
    Ok(answer)
}
