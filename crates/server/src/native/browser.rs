//! `/v1/session`: the session that a browser keeps in a cookie.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::session;
use doorward_core::error::{Error, Result, codes};
use doorward_core::identity::browser::Provenance;
use doorward_core::identity::sessions::Login;
use doorward_core::secret::SecretText;
use http::header::SET_COOKIE;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sessions::end_own;
use super::tags;
use crate::http::browser::{forget, keep, own_origin, says_origin};
use crate::http::respond::Answer;
use crate::openapi::{Described, Header, Hidden, Nothing};
use crate::request::Request;

/// Who logs in.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Credentials {
    /// User name or address.
    username: String,
    #[schemars(with = "Hidden")]
    password: SecretText,
    /// The application, for the list of sessions.
    source: Option<String>,
    /// The device, for the list of sessions.
    device: Option<String>,
}

/// The session of a cookie.
#[derive(Serialize, JsonSchema)]
pub(super) struct BrowserSession {
    session_id: String,
    user_id: String,
    /// What requests that change something show in `X-CSRF-Token`.
    csrf_token: String,
    expires_at_ms: Option<i64>,
}

const COOKIE: &[Header] = &[Header { name: "Set-Cookie", always: true, notes: "The cookie, or its end." }];

pub(super) static BEGIN: Described<Credentials, BrowserSession> =
    Described::new("beginBrowserSession", &tags::ENTRY, "Log in and keep the session in a cookie")
        .notes("For pages of this origin alone, where the mount keeps sessions in cookies.")
        .for_anybody()
        .takes(r#"{"username": "ada", "password": "correct horse battery"}"#)
        .answers(201)
        .headers(COOKIE)
        .refuses(&[
            codes::NO_COOKIES,
            codes::BAD_CREDENTIALS,
            codes::EMAIL_NOT_CONFIRMED,
            codes::LOGIN_REFUSED,
            codes::CONFLICT,
            codes::HASHING_BUSY,
            codes::PROVIDER_UNAVAILABLE,
        ]);

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
    let body = BEGIN.read(&mut request).await?;
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
    let mut answer = BEGIN.answer(&BrowserSession {
        session_id: stay.session.to_string(),
        user_id: stay.user.to_string(),
        csrf_token: stay.csrf_token.clone(),
        expires_at_ms: Some(stay.expires_at_ms),
    });
    answer.headers_mut().insert(SET_COOKIE, keep(&stay));
    Ok(answer)
}

pub(super) static GET: Described<Nothing, BrowserSession> =
    Described::new("readBrowserSession", &tags::ENTRY, "The session of the cookie that asks").answers(200);

/// `GET /v1/session`: whose it is, and the token that requests which change something have to show.
pub(super) async fn get(request: Request) -> Result<Answer> {
    let auth = std::sync::Arc::clone(&request.call()?.auth);
    let (Some(id), Some(user), true) = (&auth.session, auth.principal.user_id(), auth.ambient) else {
        let permit = request.permit::<session::Read>(Target::any())?;
        let message = "There is no session in a cookie here; POST /v1/session begins one.";
        return permit.close(Err(Error::new(codes::NOT_FOUND).message(message)));
    };
    let permit = request.permit::<session::Read>(Target::owned(id.as_str(), &auth.principal.owner_key()))?;
    let shown = BrowserSession {
        session_id: id.to_string(),
        user_id: user.to_string(),
        csrf_token: request.engine.csrf_token(id),
        expires_at_ms: auth.expires_at_s.map(|at_s| at_s.saturating_mul(1000)),
    };
    permit.close(Ok(GET.answer(&shown)))
}

pub(super) static END: Described =
    Described::new("endBrowserSession", &tags::ENTRY, "Log out and take the cookie back").headers(COOKIE);

/// `DELETE /v1/session`: ends it and takes the cookie back.
pub(super) async fn end(request: Request) -> Result<Answer> {
    end_own(&request).await?;
    let mut answer = END.done();
    answer.headers_mut().insert(SET_COOKIE, forget());
    Ok(answer)
}
