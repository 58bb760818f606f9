//! Rows of `auth.users`, as `select row_to_json(u) from auth.users u` prints them. Hashes are bcrypt, and argon2 where a project imported such.

use doorward_core::identity::hashes::ForeignHash;
use doorward_core::identity::transfer::{Incoming, IncomingPassword, Origin};
use serde_json::{Map, Value};

use super::{Account, Format};
use crate::accounts::Fault;
use crate::accounts::members::Members;

pub(super) static FORMAT: Format = Format {
    name: "supabase",
    recognises: |row| {
        ["encrypted_password", "raw_app_meta_data", "raw_user_meta_data"].iter().any(|name| row.has(name))
    },
    read,
};

/// What the server keeps in the metadata for itself: here it says so anew of each account.
const OF_THE_SERVER: &[&str] = &["provider", "providers"];

fn read(mut members: Members, now_ms: i64) -> Result<Account, Fault> {
    if members.text("deleted_at")?.is_some() {
        return Err(Fault::new("account_deleted", "The account was deleted there."));
    }
    if members.flag("is_anonymous")? {
        return Err(Fault::new("account_anonymous", "The account is nobody's in particular there."));
    }
    let id = members.id("id")?.ok_or_else(|| Fault::field("id", "is missing."))?;
    let user_metadata = members.object("raw_user_meta_data")?;
    let mut admin_metadata = members.object("raw_app_meta_data")?;
    admin_metadata.retain(|name, _| !OF_THE_SERVER.contains(&name.as_str()));
    let mut left_behind = Vec::new();
    if members.text("phone")?.is_some() {
        left_behind.push("phone number");
    }
    let disabled = match members.take("banned_until") {
        None => false,
        // A ban without an end.
        Some(Value::String(text)) if text == "infinity" => true,
        Some(text) => {
            let mut one = Members::of(Map::from_iter([("banned_until".to_owned(), text)]));
            one.moment("banned_until")?.is_some_and(|until_ms| until_ms > now_ms)
        }
    };
    if disabled {
        left_behind.push("end of a ban");
    }
    let password = match members.text("encrypted_password")? {
        Some(hash) => Some(IncomingPassword::Foreign(ForeignHash::read(&hash)?)),
        None => None,
    };
    let confirmed = members.moment("email_confirmed_at")?;
    Ok(Account {
        incoming: Incoming {
            origin: Origin { from: FORMAT.name, id },
            note_origin: true,
            username: None,
            email: members.text("email")?,
            email_confirmed: confirmed.map(Some),
            display_name: shown(&user_metadata),
            roles: Vec::new(),
            user_metadata,
            admin_metadata,
            disabled,
            created_at_ms: members.moment("created_at")?,
            password,
        },
        left_behind,
    })
}

/// What people are called stands in what they write about themselves, and nothing there has to be a name.
fn shown(metadata: &Map<String, Value>) -> Option<String> {
    let named = |name: &&str| metadata.get(*name).and_then(Value::as_str).map(str::trim);
    let fits =
        |text: &&str| !text.is_empty() && text.chars().count() <= 128 && !text.chars().any(char::is_control);
    ["full_name", "name"].iter().find_map(|name| named(name).filter(fits)).map(str::to_owned)
}
