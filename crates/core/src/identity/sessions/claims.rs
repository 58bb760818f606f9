//! What tokens of a log-in say of the user.

use serde_json::{Map, Value, json};

use crate::identity::model::{Session, User};
use crate::tokens::profile::{PersonClaims, TokenProfile};

/// The claim that holds the user's name, where the profile has it.
pub const USERNAME_CLAIM: &str = "username";

/// Metadata above this many bytes of JSON is left out of tokens, which have to fit into a header; the account's record has all of it.
const MAX_METADATA_BYTES: usize = 1_536;

pub(super) fn of(profile: &TokenProfile, user: &User, session: &Session) -> Map<String, Value> {
    let mut claims = Map::new();
    let roles = user.roles.iter().map(|role| Value::from(&**role)).collect::<Vec<_>>();
    claims.insert("roles".into(), roles.into());
    match profile.claims {
        PersonClaims::Roles => {}
        PersonClaims::Name => {
            if let Some(name) = user.username.as_ref().or(user.email.as_ref()) {
                claims.insert(USERNAME_CLAIM.into(), name.as_str().into());
            }
        }
        PersonClaims::Supabase => supabase(&mut claims, user, session),
    }
    claims
}

/// As GoTrue writes them (supabase.com/docs/guides/auth/jwt-fields).
fn supabase(claims: &mut Map<String, Value>, user: &User, session: &Session) {
    let mut put = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    put("email", user.email.as_deref().unwrap_or_default().into());
    put("phone", user.phone.as_deref().unwrap_or_default().into());
    put("app_metadata", within(app_metadata(user)));
    put("user_metadata", within(user.user_metadata.clone()));
    put("role", "authenticated".into());
    put("aal", "aal1".into());
    let method = session.origin.source.as_deref().unwrap_or("password");
    let timestamp = session.created_at_ms.div_euclid(1000);
    put("amr", json!([{ "method": method, "timestamp": timestamp }]));
    put("session_id", session.id.as_str().into());
    put("is_anonymous", user.anonymous.into());
}

/// What only administrators write of a user, with the ways of logging in, as Supabase shows it.
#[must_use]
pub fn app_metadata(user: &User) -> Map<String, Value> {
    let mut metadata = user.admin_metadata.clone();
    let ways: Vec<&str> = [("email", user.email.is_some()), ("phone", user.phone.is_some())]
        .into_iter()
        .filter_map(|(way, has)| has.then_some(way))
        .collect();
    if let Some(first) = ways.first() {
        metadata.insert("provider".into(), (*first).into());
        metadata.insert("providers".into(), json!(ways));
    }
    metadata
}

fn within(metadata: Map<String, Value>) -> Value {
    let size = serde_json::to_string(&metadata).map_or(usize::MAX, |text| text.len());
    if size <= MAX_METADATA_BYTES { metadata.into() } else { json!({}) }
}
