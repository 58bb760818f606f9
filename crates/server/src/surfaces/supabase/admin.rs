//! Accounts, administered with the service key.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::user;
use doorward_core::error::{Error, Result, codes};
use doorward_core::id::UserId;
use doorward_core::identity::administered::Administration;
use doorward_core::identity::model::User;
use doorward_core::identity::users::NewUser;
use doorward_core::principal::Principal;
use doorward_core::secret::SecretText;
use http::StatusCode;
use http::header::{HeaderName, LINK};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::style::Fault;
use super::views::{self, Moments};
use crate::http::respond::{Answer, header_value, json_answer};
use crate::request::Request;

static TOTAL: HeaderName = HeaderName::from_static("x-total-count");

/// Accounts on a page that asks for no number, and at most.
const PER_PAGE: u32 = 50;
const MOST_PER_PAGE: u32 = 1_000;
/// Longest ban: a hundred years.
const LONGEST_MS: i64 = 3_155_760_000_000;

/// Who may not administer is told so in one way.
pub(super) fn not_admin(error: Error) -> Error {
    if error.is(codes::SCOPE_MISSING) { Error::new(codes::FORBIDDEN) } else { error }
}

/// Errors that have other names here than elsewhere.
///
/// # Errors
/// Those that have none.
pub(super) fn refused(request: &Request, error: Error) -> Result<Answer> {
    let fault = if error.is(codes::FORBIDDEN) || error.is(codes::SCOPE_MISSING) {
        Fault::new(403, "not_admin", "User not allowed")
    } else if error.is(codes::NOT_FOUND) {
        Fault::new(404, "user_not_found", "User not found")
    } else {
        return Err(error);
    };
    Ok(fault.answer(request.about()))
}

/// What clients send of an account; members we know nothing of are theirs.
#[derive(Deserialize)]
struct Account {
    id: Option<String>,
    aud: Option<String>,
    role: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    password: Option<SecretText>,
    password_hash: Option<SecretText>,
    email_confirm: Option<bool>,
    phone_confirm: Option<bool>,
    user_metadata: Option<Map<String, Value>>,
    app_metadata: Option<Map<String, Value>>,
    ban_duration: Option<String>,
}

impl Account {
    /// What is asked for and cannot be done here.
    fn beyond(&self) -> Result<()> {
        let bad = |message: &'static str| Err(Error::new(codes::BAD_FIELD).message(message));
        let only = |text: &Option<String>| {
            text.as_deref().is_none_or(|text| text.is_empty() || text == "authenticated")
        };
        if self.id.is_some() {
            return bad("id: ids are made here.");
        }
        if !only(&self.aud) || !only(&self.role) {
            return bad("role and aud: there is only authenticated.");
        }
        if self.password_hash.is_some() {
            return bad("password_hash: hashes are imported with `doorward`, not here.");
        }
        Ok(())
    }

    /// Until when the account is kept out: `Some(None)` ends a ban.
    fn ban(&self, now_ms: i64) -> Result<Option<Option<i64>>> {
        match self.ban_duration.as_deref() {
            None | Some("") => Ok(None),
            Some("none") => Ok(Some(None)),
            Some(text) => {
                let wrong = || {
                    let message = "invalid format for ban duration: write it like 24h, 1h30m or none";
                    Error::new(codes::BAD_FIELD).message(message)
                };
                Ok(Some(Some(now_ms + duration_ms(text).ok_or_else(wrong)?)))
            }
        }
    }
}

/// A duration as Go writes it, in whole numbers: `1h30m`, `90s`, `500ms`.
fn duration_ms(text: &str) -> Option<i64> {
    let mut total = 0_i64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|at| *at > 0)?;
        let number: i64 = rest[..digits].parse().ok()?;
        let unit = &rest[digits..];
        let (factor, length) = match unit.as_bytes() {
            [b'm', b's', ..] => (1, 2),
            [b'h', ..] => (3_600_000, 1),
            [b'm', ..] => (60_000, 1),
            [b's', ..] => (1_000, 1),
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(factor)?)?;
        rest = &unit[length..];
    }
    (0 < total && total <= LONGEST_MS).then_some(total)
}

/// App metadata without what is worked out: clients send back what they were shown.
fn written(metadata: Option<Map<String, Value>>) -> Option<Map<String, Value>> {
    metadata.map(|mut metadata| {
        metadata.remove("provider");
        metadata.remove("providers");
        metadata
    })
}

fn some(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// `GET /admin/users?page&per_page`: the newest first, with how many there are and the pages around.
pub(super) async fn list(request: Request) -> Result<Answer> {
    match listed(&request).await {
        Ok(answer) => Ok(answer),
        Err(error) => refused(&request, error),
    }
}

async fn listed(request: &Request) -> Result<Answer> {
    let permit = request.permit::<user::List>(Target::any())?;
    let numbers = request.query().and_then(|query| Ok((query.number("page")?, query.number("per_page")?)));
    let (page, per_page) = match numbers {
        Ok((page, per_page)) => (page.unwrap_or(1).max(1), per_page.filter(|n| *n > 0).unwrap_or(PER_PAGE)),
        Err(error) => return permit.close(Err(error)),
    };
    let per_page = per_page.min(MOST_PER_PAGE);
    let found = request.engine.users().newest(permit, (page - 1).saturating_mul(per_page), per_page).await?;
    let mount = &request.site.mount;
    let shown: Vec<Value> = found
        .listed
        .iter()
        .map(|(user, signed_in_at_ms)| {
            views::user(user, mount, Moments { signed_in_at_ms: *signed_in_at_ms, ..Moments::default() })
        })
        .collect();
    let mut answer = json_answer(StatusCode::OK, &json!({ "users": shown, "aud": "authenticated" }));
    let last = found.all.div_ceil(u64::from(per_page)).max(1);
    let at = |page: u64, rel: &str| {
        format!("<{}?page={page}&per_page={per_page}>; rel=\"{rel}\"", request.path.as_str())
    };
    let next = (u64::from(page) < last).then(|| at(u64::from(page) + 1, "next"));
    let links = next.into_iter().chain([at(last, "last")]).collect::<Vec<_>>().join(", ");
    answer.headers_mut().insert(LINK, header_value(&links));
    answer.headers_mut().insert(TOTAL.clone(), header_value(&found.all.to_string()));
    Ok(answer)
}

fn named(request: &Request) -> Result<(UserId, String)> {
    let id = UserId::of_either(request.param("id")?);
    let owner = Principal::local(&id).owner_key();
    Ok((id, owner))
}

async fn shown(request: &Request, user: &User) -> Result<Answer> {
    let signed_in_at_ms = request.engine.logged_in_at_ms(&user.id).await?;
    let moments = Moments { signed_in_at_ms, ..Moments::default() };
    Ok(json_answer(StatusCode::OK, &views::user(user, &request.site.mount, moments)))
}

/// `GET /admin/users/{id}`
pub(super) async fn get(request: Request) -> Result<Answer> {
    let found = async {
        // One's own account is no matter of administration: that is what `/user` is for.
        request.may::<user::Administer>()?;
        let (id, owner) = named(&request)?;
        let permit = request.permit::<user::Read>(Target::owned(id.as_str(), &owner))?;
        let user = request.engine.users().get(permit, &id).await?;
        shown(&request, &user).await
    };
    match found.await {
        Ok(answer) => Ok(answer),
        Err(error) => refused(&request, error),
    }
}

/// `GET /admin/users/{id}/factors`: nobody has any yet.
pub(super) async fn factors(request: Request) -> Result<Answer> {
    let found = async {
        request.may::<user::Administer>()?;
        let (id, owner) = named(&request)?;
        let permit = request.permit::<user::Read>(Target::owned(id.as_str(), &owner))?;
        request.engine.users().get(permit, &id).await
    };
    match found.await {
        Ok(_) => Ok(json_answer(StatusCode::OK, &json!([]))),
        Err(error) => refused(&request, error),
    }
}

/// `POST /admin/users`
pub(super) async fn create(mut request: Request) -> Result<Answer> {
    match created(&mut request).await {
        Ok(user) => shown(&request, &user).await,
        Err(error) => refused(&request, error),
    }
}

async fn created(request: &mut Request) -> Result<User> {
    let (permit, body) = request.permit_with_json::<user::Create, Account>(Target::any()).await?;
    let ban = match body.beyond().and_then(|()| body.ban(request.engine.now_ms())) {
        Ok(ban) => ban,
        Err(error) => return permit.close(Err(error)),
    };
    let (email, phone) = (some(body.email), some(body.phone));
    if email.is_none() && phone.is_none() {
        let message = "Cannot create a user without either an email or phone";
        return permit.close(Err(Error::new(codes::BAD_FIELD).message(message)));
    }
    let new = NewUser {
        email,
        phone,
        password: body.password,
        email_confirmed: body.email_confirm == Some(true),
        phone_confirmed: body.phone_confirm == Some(true),
        user_metadata: body.user_metadata.unwrap_or_default(),
        admin_metadata: written(body.app_metadata).unwrap_or_default(),
        banned_until_ms: ban.flatten(),
        ..NewUser::default()
    };
    request.engine.users().create(permit, new).await
}

/// `PUT /admin/users/{id}`: metadata merge, `null` removes.
pub(super) async fn change(mut request: Request) -> Result<Answer> {
    match changed(&mut request).await {
        Ok(user) => shown(&request, &user).await,
        Err(error) => refused(&request, error),
    }
}

async fn changed(request: &mut Request) -> Result<User> {
    request.may::<user::Administer>()?;
    let (id, owner) = named(request)?;
    let target = Target::owned(id.as_str(), &owner);
    let (permit, body) = request.permit_with_json::<user::Administer, Account>(target).await?;
    let same = body.id.as_deref().is_some_and(|given| UserId::of_either(given) == id);
    let body = if same { Account { id: None, ..body } } else { body };
    let ban = match body.beyond().and_then(|()| body.ban(request.engine.now_ms())) {
        Ok(ban) => ban,
        Err(error) => return permit.close(Err(error)),
    };
    let changes = Administration {
        email: some(body.email),
        // As shown, a number that there is not is an empty text.
        phone: some(body.phone).map(Some),
        password: body.password,
        email_confirmed: body.email_confirm,
        phone_confirmed: body.phone_confirm,
        merge_metadata: body.user_metadata,
        merge_admin_metadata: written(body.app_metadata),
        banned_until_ms: ban,
        ..Administration::default()
    };
    request.engine.users().administer(permit, &id, changes).await
}

#[derive(Deserialize)]
struct Removal {
    should_soft_delete: Option<bool>,
}

/// `DELETE /admin/users/{id}`, for good or, with `should_soft_delete`, down to its id.
pub(super) async fn delete(mut request: Request) -> Result<Answer> {
    let done = async {
        request.may::<user::Administer>()?;
        let (id, owner) = named(&request)?;
        let body: Removal = request.json().await?;
        let target = Target::owned(id.as_str(), &owner);
        if body.should_soft_delete == Some(true) {
            let permit = request.permit::<user::Administer>(target)?;
            let changes = Administration { deleted: true, ..Administration::default() };
            return request.engine.users().administer(permit, &id, changes).await.map(|_| ());
        }
        let permit = request.permit::<user::Delete>(target)?;
        request.engine.users().delete(permit, &id).await
    }
    .await;
    match done {
        Ok(()) => Ok(json_answer(StatusCode::OK, &json!({}))),
        Err(error) => refused(&request, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos_in_whole_numbers() {
        for (text, expected) in [
            ("24h", Some(86_400_000)),
            ("1h30m", Some(5_400_000)),
            ("90s", Some(90_000)),
            ("500ms", Some(500)),
            ("876000h", Some(3_153_600_000_000)),
            ("0h", None),
            ("", None),
            ("24", None),
            ("h", None),
            ("-1h", None),
            ("1.5h", None),
            ("99999999999999999999h", None),
            ("9000000h", None),
            ("1d", None),
        ] {
            assert_eq!(duration_ms(text), expected, "{text}");
        }
    }
}
