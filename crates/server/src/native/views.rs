//! How records are shown. What a record keeps and a client must not see is left out here by not being named.

use doorward_core::identity::model::{ApiKey, Session, User};
use doorward_core::identity::sessions::Granted;
use serde_json::{Value, json};

pub(super) fn user(user: &User) -> Value {
    json!({
        "id": user.id,
        "username": user.username,
        "email": user.email,
        "display_name": user.display_name,
        "roles": user.roles,
        "user_metadata": user.user_metadata,
        "admin_metadata": user.admin_metadata,
        "disabled": user.disabled,
        "created_at_ms": user.created_at_ms,
        "updated_at_ms": user.updated_at_ms,
    })
}

pub(super) fn session(session: &Session, current: bool) -> Value {
    json!({
        "id": session.id,
        "user_id": session.user,
        "mount": session.mount,
        "source": session.origin.source,
        "device": session.origin.device,
        "address": session.origin.address,
        "user_agent": session.origin.user_agent,
        "created_at_ms": session.created_at_ms,
        "last_seen_at_ms": session.last_seen_at_ms,
        "expires_at_ms": session.expires_at_ms,
        "current": current,
    })
}

pub(super) fn api_key(key: &ApiKey) -> Value {
    json!({
        "id": key.id,
        "user_id": key.owner,
        "kind": key.kind,
        "name": key.name,
        "scopes": key.scopes,
        "hint": key.hint,
        "created_at_ms": key.created_at_ms,
        "expires_at_ms": key.expires_at_ms,
        "last_used_at_ms": key.last_used_at_ms,
        "revoked_at_ms": key.revoked_at_ms,
    })
}

/// RFC 6749 §5.1, with the session beside it.
pub(super) fn granted(granted: &Granted) -> Value {
    let mut view = json!({
        "access_token": granted.access.token.expose(),
        "token_type": "Bearer",
        "expires_in": granted.access.expires_in_s,
        "session_id": granted.session,
        "user_id": granted.user,
    });
    if let Some(refresh) = &granted.refresh {
        view["refresh_token"] = Value::from(refresh.expose().as_str());
    }
    if let Some(scope) = &granted.scope {
        view["scope"] = Value::from(scope.as_str());
    }
    view
}
