//! Users and sessions as GoTrue shows them.

use doorward_core::clock::rfc3339;
use doorward_core::identity::model::User;
use doorward_core::identity::sessions::{Granted, app_metadata};
use doorward_core::mount::Mount;
use http::StatusCode;
use http::header::HeaderName;
use serde_json::{Value, json};

use crate::http::respond::{Answer, header_value, json_answer};

/// Moments that a user's view has beside the record.
#[derive(Default, Clone, Copy)]
pub(super) struct Moments {
    /// When a letter to confirm the address was sent.
    pub(super) confirmation_sent_at_ms: Option<i64>,
    /// When one was to log in without the password.
    pub(super) recovery_sent_at_ms: Option<i64>,
    /// When the log-in was.
    pub(super) signed_in_at_ms: Option<i64>,
}

/// Whether the mount takes addresses as they come.
pub(super) fn confirms_by_itself(mount: &Mount) -> bool {
    !mount.email.as_ref().is_some_and(|rules| rules.confirm)
}

pub(super) fn user(user: &User, mount: &Mount, moments: Moments) -> Value {
    let (created, updated) = (rfc3339(user.created_at_ms), rfc3339(user.updated_at_ms));
    let shown_id = user.id.to_uuid();
    let email = user.email.as_deref().unwrap_or_default();
    // A mount that confirms by itself proves nothing, so it records nothing either.
    let by_itself = confirms_by_itself(mount).then_some(user.created_at_ms);
    let confirmed_at = user.email_confirmed_at_ms.or(by_itself).filter(|_| user.email.is_some()).map(rfc3339);
    let signed_in_at = moments.signed_in_at_ms.map(rfc3339);
    let identity = |provider: &str, id: String, data: Value, email: &str| {
        json!({
            "identity_id": id,
            "id": id,
            "user_id": shown_id,
            "identity_data": data,
            "provider": provider,
            "last_sign_in_at": signed_in_at.as_deref().unwrap_or(&created),
            "created_at": created,
            "updated_at": updated,
            "email": email,
        })
    };
    let phone_verified = user.phone_confirmed_at_ms.is_some();
    let mut identities = Vec::new();
    if user.email.is_some() {
        let data = json!({
            "sub": shown_id,
            "email": email,
            "email_verified": confirmed_at.is_some(),
            "phone_verified": phone_verified,
        });
        identities.push(identity("email", shown_id.clone(), data, email));
    }
    if let Some(phone) = &user.phone {
        let data = json!({
            "sub": shown_id, "phone": phone, "email_verified": false, "phone_verified": phone_verified,
        });
        identities.push(identity("phone", format!("{shown_id}-phone"), data, ""));
    }
    let mut view = json!({
        "id": shown_id,
        "aud": "authenticated",
        "role": "authenticated",
        "email": email,
        "phone": user.phone.as_deref().unwrap_or_default(),
        "app_metadata": app_metadata(user),
        "user_metadata": user.user_metadata,
        "identities": identities,
        "created_at": created,
        "updated_at": updated,
        "is_anonymous": user.anonymous,
    });
    let mut put = |name: &str, moment: Option<String>| {
        if let Some(moment) = moment {
            view[name] = moment.into();
        }
    };
    put("email_confirmed_at", confirmed_at.clone());
    let phone_confirmed_at = user.phone_confirmed_at_ms.map(rfc3339);
    put("confirmed_at", confirmed_at.or_else(|| phone_confirmed_at.clone()));
    put("phone_confirmed_at", phone_confirmed_at);
    put("invited_at", user.invited_at_ms.map(rfc3339));
    put("banned_until", user.banned_until_ms.map(rfc3339));
    put("deleted_at", user.deleted_at_ms.map(rfc3339));
    put("new_email", user.moving.as_ref().map(|moving| moving.to.clone()));
    put("email_change_sent_at", user.moving.as_ref().map(|moving| rfc3339(moving.asked_at_ms)));
    put("confirmation_sent_at", moments.confirmation_sent_at_ms.map(rfc3339));
    put("recovery_sent_at", moments.recovery_sent_at_ms.map(rfc3339));
    put("last_sign_in_at", signed_in_at);
    view
}

/// A session with its tokens, and the headers that say whose it is.
pub(super) fn session(granted: &Granted, mount: &Mount) -> Answer {
    let moments = Moments { signed_in_at_ms: Some(granted.begun_at_ms), ..Moments::default() };
    let refresh = granted.refresh.as_ref().map(|token| token.expose().as_str());
    let view = json!({
        "access_token": granted.access.token.expose(),
        "token_type": "bearer",
        "expires_in": granted.access.expires_in_s,
        "expires_at": granted.access.expires_at_s,
        "refresh_token": refresh.unwrap_or_default(),
        "user": user(&granted.account, mount, moments),
    });
    let mut answer = json_answer(StatusCode::OK, &view);
    let mut put = |name, value: &str| {
        answer.headers_mut().insert(HeaderName::from_static(name), header_value(value));
    };
    put("sb-auth-user-id", &granted.user.to_uuid());
    put("sb-auth-session-id", granted.session.as_str());
    if granted.repeated {
        put("sb-auth-refresh-token-reuse", "true");
    }
    answer
}
