//! What is kept about users, sessions and API keys. Times are milliseconds since the epoch.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::id::{ApiKeyId, IdentityId, SessionId, UserId};

/// A person known to the local authority.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// Stable id; the `sub` of tokens.
    pub id: UserId,
    /// Login name, case-folded; unique when present.
    pub username: Option<String>,
    /// E-mail address, case-folded; unique when present.
    pub email: Option<String>,
    /// When somebody proved that the address is theirs; absent while nobody has.
    pub email_confirmed_at_ms: Option<i64>,
    /// The number that can be called, digits alone (E.164 without the plus); unique when present.
    pub phone: Option<String>,
    /// When the number was said to be the user's by whoever may say so.
    pub phone_confirmed_at_ms: Option<i64>,
    /// What to call the person.
    pub display_name: Option<String>,
    /// Role names, at least one.
    pub roles: Vec<Arc<str>>,
    /// What the user may write about itself.
    pub user_metadata: Map<String, Value>,
    /// What only an administrator may write.
    pub admin_metadata: Map<String, Value>,
    /// A disabled user cannot log in, and its tokens and keys are refused.
    pub disabled: bool,
    /// Until when the user is kept out; as disabled until then.
    pub banned_until_ms: Option<i64>,
    /// Whether somebody came without a name or a proof, and nothing but the session opens the account.
    pub anonymous: bool,
    /// When the account was emptied; what is left of it is its id.
    pub deleted_at_ms: Option<i64>,
    /// When an administrator wrote to the address to invite its holder.
    pub invited_at_ms: Option<i64>,
    /// The move to another address that is under way.
    pub moving: Option<Moving>,
    /// When the account was made.
    pub created_at_ms: i64,
    /// When it last changed.
    pub updated_at_ms: i64,
    /// Grows by one with each change; an update names the version it read.
    pub version: i64,
}

impl User {
    /// The e-mail address, if it was proven to be the user's: only then may others take it for who they are.
    #[must_use]
    pub fn proven_email(&self) -> Option<String> {
        self.email_confirmed_at_ms.and(self.email.clone())
    }

    /// Whether the user is kept out at this moment: disabled, or banned until later.
    #[must_use]
    pub fn is_kept_out(&self, now_ms: i64) -> bool {
        self.disabled || self.banned_until_ms.is_some_and(|until_ms| now_ms < until_ms)
    }
}

/// An account on its way to another e-mail address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moving {
    /// The address it is to have, case-folded.
    pub to: String,
    /// When that was asked for.
    pub asked_at_ms: i64,
    /// Whether the holder of the present address has to agree too.
    pub both: bool,
    /// Whether the holder of the present address has agreed.
    pub old_agreed: bool,
    /// Whether the holder of the new one has.
    pub new_agreed: bool,
}

/// A person's stay, from login to logout or expiry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Stable id; the `sid` of tokens.
    pub id: SessionId,
    /// Whose stay it is.
    pub user: UserId,
    /// Where it started: the mount's name.
    pub mount: String,
    /// Where the person came from.
    pub origin: SessionOrigin,
    /// When it began.
    pub created_at_ms: i64,
    /// When it was last used, within a few seconds.
    pub last_seen_at_ms: i64,
    /// It ends when unused for this long.
    pub idle_limit_ms: i64,
    /// It ends now or earlier whatever happens.
    pub expires_at_ms: i64,
    /// When it was ended on purpose.
    pub ended_at_ms: Option<i64>,
}

/// What is known about where a session came from; every field is what the client said, shortened.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionOrigin {
    /// The application or way of login, such as `cli` or `password`.
    pub source: Option<String>,
    /// A device name.
    pub device: Option<String>,
    /// Network address.
    pub address: Option<String>,
    /// `User-Agent`.
    pub user_agent: Option<String>,
}

/// What is worth knowing of a log-in afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastLogin {
    /// Network address.
    pub address: Option<String>,
    /// `User-Agent`.
    pub user_agent: Option<String>,
    /// When.
    pub at_ms: i64,
}

/// A provider's word for who somebody is, and whose account that is here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// Stable id.
    pub id: IdentityId,
    /// Whose account it opens.
    pub user: UserId,
    /// Who vouches for the subject: the issuer, or the URL that said who it is. Never the provider's name in a configuration, which
    /// could come to mean somebody else.
    pub authority: String,
    /// The subject, in the authority's own words.
    pub subject: String,
    /// How its owner recognises it, such as an address or a name at the provider.
    pub shown: Option<String>,
    /// When it was added.
    pub created_at_ms: i64,
    /// When somebody last logged in by it.
    pub last_used_at_ms: i64,
}

/// Whether a key may reach administrative actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApiKeyKind {
    /// Acts as its owner, never administratively.
    User,
    /// Acts as its owner, administratively where the owner's roles allow.
    Admin,
}

impl ApiKeyKind {
    /// The stored and shown spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
        }
    }
}

/// An API key without the key: only a keyed hash of it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiKey {
    /// Public handle.
    pub id: ApiKeyId,
    /// Whose rights it carries.
    pub owner: UserId,
    /// User or admin.
    pub kind: ApiKeyKind,
    /// What people call it.
    pub name: String,
    /// What it may be used for; never empty.
    pub scopes: Vec<Arc<str>>,
    /// The first characters of the key, to recognise it in a list.
    pub hint: String,
    /// HMAC-SHA-256 of the key under the store's pepper.
    pub mac: [u8; 32],
    /// When it was made.
    pub created_at_ms: i64,
    /// When it stops working; `None` is an explicit "never".
    pub expires_at_ms: Option<i64>,
    /// When it was last used, within a minute.
    pub last_used_at_ms: Option<i64>,
    /// When it was revoked.
    pub revoked_at_ms: Option<i64>,
}
