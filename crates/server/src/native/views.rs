//! How records are shown. What a record keeps and a client must not see is left out here by not being named.

use std::sync::Arc;

use doorward_core::identity::model::{self, ApiKeyKind};
use doorward_core::identity::sessions;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::listing::Item;

/// An account.
#[derive(Serialize, JsonSchema)]
pub(super) struct User {
    /// Stable; the `sub` of tokens.
    id: String,
    /// Login name, case-folded.
    username: Option<String>,
    /// Address, case-folded.
    email: Option<String>,
    /// What to call the person.
    display_name: Option<String>,
    /// Role names.
    roles: Vec<Arc<str>>,
    /// What its owner may write.
    user_metadata: Map<String, Value>,
    /// What only administrators may write.
    admin_metadata: Map<String, Value>,
    /// Whether it is kept out: no log-in, and its tokens and keys are refused.
    disabled: bool,
    created_at_ms: i64,
    updated_at_ms: i64,
}

impl From<&model::User> for User {
    fn from(user: &model::User) -> Self {
        Self {
            id: user.id.to_string(),
            username: user.username.clone(),
            email: user.email.clone(),
            display_name: user.display_name.clone(),
            roles: user.roles.clone(),
            user_metadata: user.user_metadata.clone(),
            admin_metadata: user.admin_metadata.clone(),
            disabled: user.disabled,
            created_at_ms: user.created_at_ms,
            updated_at_ms: user.updated_at_ms,
        }
    }
}

impl Item for User {
    const NAME: &'static str = "users";

    fn id(&self) -> &str {
        &self.id
    }
}

/// A stay, from log-in to log-out or expiry.
#[derive(Serialize, JsonSchema)]
pub(super) struct Session {
    /// Stable; the `sid` of tokens.
    id: String,
    user_id: String,
    /// The mount it began at.
    mount: String,
    /// The application or way of logging in, as the client called it.
    source: Option<String>,
    /// The device, as the client called it.
    device: Option<String>,
    /// Network address of the log-in.
    address: Option<String>,
    /// `User-Agent` of the log-in.
    user_agent: Option<String>,
    created_at_ms: i64,
    /// When it was last used, within a few seconds.
    last_seen_at_ms: i64,
    /// It ends then or earlier.
    expires_at_ms: i64,
    /// Whether it is the one that asks.
    current: bool,
}

impl Session {
    pub(super) fn new(session: &model::Session, current: bool) -> Self {
        let origin = session.origin.clone();
        Self {
            id: session.id.to_string(),
            user_id: session.user.to_string(),
            mount: session.mount.clone(),
            source: origin.source,
            device: origin.device,
            address: origin.address,
            user_agent: origin.user_agent,
            created_at_ms: session.created_at_ms,
            last_seen_at_ms: session.last_seen_at_ms,
            expires_at_ms: session.expires_at_ms,
            current,
        }
    }
}

/// Whether a key may reach administrative actions.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum KeyKind {
    /// Acts as its owner, never administratively.
    User,
    /// Acts as its owner, administratively where the owner's roles allow.
    Admin,
}

/// An API key without the key.
#[derive(Serialize, JsonSchema)]
pub(super) struct ApiKey {
    id: String,
    /// Whose rights it carries.
    user_id: String,
    kind: KeyKind,
    /// What people call it.
    name: String,
    /// What it may be used for.
    scopes: Vec<Arc<str>>,
    /// How the key begins, to recognise it.
    hint: String,
    created_at_ms: i64,
    /// When it ends; `null` for never.
    expires_at_ms: Option<i64>,
    /// When it was last used, within a minute.
    last_used_at_ms: Option<i64>,
    revoked_at_ms: Option<i64>,
}

impl From<&model::ApiKey> for ApiKey {
    fn from(key: &model::ApiKey) -> Self {
        Self {
            id: key.id.to_string(),
            user_id: key.owner.to_string(),
            kind: match key.kind {
                ApiKeyKind::User => KeyKind::User,
                ApiKeyKind::Admin => KeyKind::Admin,
            },
            name: key.name.clone(),
            scopes: key.scopes.clone(),
            hint: key.hint.clone(),
            created_at_ms: key.created_at_ms,
            expires_at_ms: key.expires_at_ms,
            last_used_at_ms: key.last_used_at_ms,
            revoked_at_ms: key.revoked_at_ms,
        }
    }
}

impl Item for ApiKey {
    const NAME: &'static str = "api_keys";

    fn id(&self) -> &str {
        &self.id
    }
}

/// An API key with the key, which is shown this once.
#[derive(Serialize, JsonSchema)]
pub(super) struct MadeApiKey {
    #[serde(flatten)]
    made: ApiKey,
    /// The key itself. It is kept nowhere.
    key: String,
}

impl MadeApiKey {
    pub(super) fn new(made: &model::ApiKey, key: &str) -> Self {
        Self { made: made.into(), key: key.to_owned() }
    }
}

/// What a log-in or a refresh gives (RFC 6749 §5.1), with the session beside it.
#[derive(Serialize, JsonSchema)]
pub(super) struct Granted {
    access_token: String,
    /// `Bearer`
    token_type: &'static str,
    /// Seconds.
    expires_in: i64,
    /// Absent where the one that was sent stays good.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    /// Absent where the token is not limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    session_id: String,
    user_id: String,
}

impl From<&sessions::Granted> for Granted {
    fn from(granted: &sessions::Granted) -> Self {
        Self {
            access_token: granted.access.token.expose().clone(),
            token_type: "Bearer",
            expires_in: granted.access.expires_in_s,
            refresh_token: granted.refresh.as_ref().map(|refresh| refresh.expose().clone()),
            scope: granted.scope.clone(),
            session_id: granted.session.to_string(),
            user_id: granted.user.to_string(),
        }
    }
}
