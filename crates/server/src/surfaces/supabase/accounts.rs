//! Signing up, and one's own account.

use doorward_core::authn::methods::project_key;
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{login, session, user};
use doorward_core::clock::rfc3339;
use doorward_core::error::{Error, Result, codes};
use doorward_core::id::UserId;
use doorward_core::identity::own_account::OwnChanges;
use doorward_core::identity::sessions::Login;
use doorward_core::identity::users::{NewUser, UserChanges};
use doorward_core::identity::validate;
use doorward_core::secret::SecretText;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::links;
use super::style::{Fault, NO_PHONES};
use super::views::{self, Moments, confirms_by_itself};
use crate::http::respond::{Answer, json_answer};
use crate::request::Request;

/// What clients send; members we know nothing of are theirs (captcha).
#[derive(Deserialize)]
struct SignUp {
    email: Option<String>,
    phone: Option<String>,
    password: Option<SecretText>,
    data: Option<Map<String, Value>>,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
}

/// `POST /auth/v1/signup`: a session where the mount confirms by itself, else the account, which has to be confirmed first.
pub(super) async fn sign_up(mut request: Request) -> Result<Answer> {
    let (permit, body) = request.permit_with_json::<user::SignUp, SignUp>(Target::any()).await?;
    let challenge = (body.code_challenge.as_deref(), body.code_challenge_method.as_deref());
    let links = match links::asked(&request, challenge.0, challenge.1) {
        Ok(links) => links,
        Err(error) => return permit.close(Err(error)),
    };
    let none = |text: &Option<String>| text.as_deref().is_none_or(str::is_empty);
    if none(&body.phone) && none(&body.email) && body.password.is_none() {
        let metadata = body.data.unwrap_or_default();
        let granted = request.engine.sessions().stay_nameless(permit, metadata).await?;
        return Ok(views::session(&granted, &request.site.mount));
    }
    let fault = if !none(&body.phone) {
        Some(Fault::of(NO_PHONES))
    } else if body.password.as_ref().is_none_or(|password| password.expose().is_empty()) {
        Some(Fault::new(400, "validation_failed", "Signup requires a valid password"))
    } else if body.email.as_deref().is_none_or(|email| validate::email(email).is_err()) {
        Some(Fault::new(400, "validation_failed", "Unable to validate email address: invalid format"))
    } else {
        None
    };
    let (Some(email), Some(password), None) = (body.email, body.password, &fault) else {
        let answer = fault.map(|fault| fault.answer(request.about()));
        return permit.close(answer.ok_or_else(nothing));
    };
    let again = password.clone();
    let engine = request.engine.clone();
    let mount = &request.site.mount;
    let new = NewUser {
        email: Some(email.clone()),
        password: Some(password),
        user_metadata: body.data.unwrap_or_default(),
        ..NewUser::default()
    };
    if !confirms_by_itself(mount) {
        let (made, asked) = engine.proofs().sign_up(permit, new, &links).await?;
        let moments = Moments { confirmation_sent_at_ms: Some(asked.at_ms), ..Moments::default() };
        return Ok(json_answer(StatusCode::OK, &views::user(&made, mount, moments)));
    }
    match engine.users().sign_up(permit, new).await {
        Ok(_) => {}
        Err(error) if error.is(codes::EMAIL_TAKEN) => {
            return Ok(
                Fault::new(422, "user_already_exists", "User already registered").answer(request.about())
            );
        }
        Err(error) => return Err(error),
    }
    let permit = request.permit::<session::Login>(Target::any())?;
    let login =
        Login { login: email, password: again, client: None, scope: None, source: None, device: None };
    let granted = engine.sessions().login(permit, login).await?;
    Ok(views::session(&granted, mount))
}

/// Where the decision has refused already, or will.
fn nothing() -> Error {
    Error::new(codes::BAD_FIELD)
}

/// The account that asks.
///
/// # Errors
/// The decision's, for nobody.
fn own(request: &Request) -> Result<Own> {
    let auth = &request.call()?.auth;
    if let Some(id) = auth.principal.user_id() {
        let signed_in_at_ms = auth.authenticated_at_s.map(|s| s.saturating_mul(1000));
        let moments = Moments { signed_in_at_ms, ..Moments::default() };
        return Ok(Own::Account { id, owner: auth.principal.owner_key(), moments });
    }
    Ok(if auth.method == project_key::METHOD { Own::ProjectKey } else { Own::Nobody })
}

enum Own {
    Account {
        id: UserId,
        owner: String,
        moments: Moments,
    },
    /// The anon or service key stands where a user's token belongs.
    ProjectKey,
    Nobody,
}

fn no_subject(request: &Request) -> Answer {
    Fault::new(403, "bad_jwt", "invalid claim: missing sub claim").answer(request.about())
}

/// `GET /auth/v1/user`
pub(super) async fn get(request: Request) -> Result<Answer> {
    let (id, owner, moments) = match own(&request)? {
        Own::Account { id, owner, moments } => (id, owner, moments),
        Own::ProjectKey => return Ok(no_subject(&request)),
        Own::Nobody => return request.permit::<user::Read>(Target::any())?.close(Err(nothing())),
    };
    let permit = request.permit::<user::Read>(Target::owned(id.as_str(), &owner))?;
    let found = request.engine.users().get(permit, &id).await?;
    Ok(json_answer(StatusCode::OK, &views::user(&found, &request.site.mount, moments)))
}

#[derive(Deserialize)]
struct Changes {
    email: Option<String>,
    phone: Option<String>,
    password: Option<SecretText>,
    current_password: Option<SecretText>,
    nonce: Option<SecretText>,
    data: Option<Map<String, Value>>,
    app_metadata: Option<Map<String, Value>>,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
}

/// `PUT /auth/v1/user`: metadata merges, `null` removes. A new address is an account's only after its holder has said so.
pub(super) async fn change(mut request: Request) -> Result<Answer> {
    let (id, owner, moments) = match own(&request)? {
        Own::Account { id, owner, moments } => (id, owner, moments),
        Own::ProjectKey => return Ok(no_subject(&request)),
        Own::Nobody => return request.permit::<user::Update>(Target::any())?.close(Err(nothing())),
    };
    let target = Target::owned(id.as_str(), &owner);
    let (permit, body) = request.permit_with_json::<user::Update, Changes>(target).await?;
    let challenge = (body.code_challenge.as_deref(), body.code_challenge_method.as_deref());
    let links = match links::asked(&request, challenge.0, challenge.1) {
        Ok(links) => links,
        Err(error) => return permit.close(Err(error)),
    };
    let fault = match (&body.phone, &body.app_metadata) {
        (Some(phone), _) if !phone.is_empty() => Some(Fault::of(NO_PHONES)),
        (_, Some(_)) => Some(Fault::new(403, "not_admin", "Updating app_metadata is not allowed")),
        _ => None,
    };
    if let Some(fault) = fault {
        return permit.close(Ok(fault.answer(request.about())));
    }
    let (engine, mount) = (request.engine.clone(), request.site.mount.clone());
    let by_itself = confirms_by_itself(&mount);
    let email = body.email.filter(|email| !email.is_empty());
    let changes = UserChanges {
        email: email.clone().filter(|_| by_itself).map(Some),
        merge_metadata: body.data,
        ..UserChanges::default()
    };
    let (new_password, current_password) = (body.password, body.current_password);
    let nonce = body.nonce.filter(|nonce| !nonce.expose().is_empty());
    let asks_address = email.is_some();
    let own =
        OwnChanges { changes, new_password, current_password: current_password.clone(), nonce, asks_address };
    let changed = match engine.users().revise(permit, &id, own).await {
        Err(error) if error.is(codes::CODE_SPENT) => {
            let message = "Nonce has expired or is invalid";
            return Ok(Fault::new(422, "reauthentication_not_valid", message).answer(request.about()));
        }
        changed => changed?,
    };
    let mut view = views::user(&changed, &mount, moments);
    let moves = |email: &String| validate::email(email).ok() != changed.email;
    if let Some(email) = email.filter(|email| !by_itself && moves(email)) {
        let permit = request.permit::<login::Begin>(Target::any())?;
        let asked =
            engine.proofs().ask_new_address(permit, (&id, current_password.as_ref()), &email, &links).await?;
        view["new_email"] = email.into();
        view["email_change_sent_at"] = rfc3339(asked.at_ms).into();
    }
    Ok(json_answer(StatusCode::OK, &view))
}
