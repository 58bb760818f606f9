//! Doorward's own format, which an export writes and whoever comes from elsewhere can write. Unknown members are refused.

use doorward_core::identity::hashes::ForeignHash;
use doorward_core::identity::transfer::{Incoming, IncomingPassword, Origin, Outgoing};
use serde_json::{Value, json};

use super::{Account, Format};
use crate::accounts::Fault;
use crate::accounts::members::Members;

pub(super) static FORMAT: Format =
    Format { name: "users", recognises: |row| row.has("email") || row.has("username"), read };

/// Says of a hash that it is of the password's normal form, as ours are.
const NORMALIZATION: &str = "NFKC";

fn read(mut members: Members, _: i64) -> Result<Account, Fault> {
    let (email, username) = (members.text("email")?, members.text("username")?);
    let id = members.id("id")?.or_else(|| email.clone()).or_else(|| username.clone());
    let confirmed_at = members.millis("email_confirmed_at_ms")?;
    let confirmed = members.flag("email_confirmed")?;
    let normalized = match members.text("password_normalization")?.as_deref() {
        None => false,
        Some(NORMALIZATION) => true,
        Some(_) => return Err(Fault::field("password_normalization", "is NFKC or absent.")),
    };
    let password = match (members.text("password_hash")?, normalized) {
        (None, _) => None,
        (Some(hash), true) => Some(IncomingPassword::ours(&hash)?),
        (Some(hash), false) => Some(IncomingPassword::Foreign(ForeignHash::read(&hash)?)),
    };
    let incoming = Incoming {
        origin: Origin { from: FORMAT.name, id: id.unwrap_or_default() },
        note_origin: false,
        username,
        email,
        email_confirmed: match confirmed_at {
            Some(at_ms) => Some(Some(at_ms)),
            None => confirmed.then_some(None),
        },
        display_name: members.text("display_name")?,
        roles: members.roles("roles")?,
        user_metadata: members.object("user_metadata")?,
        admin_metadata: members.object("admin_metadata")?,
        disabled: members.flag("disabled")?,
        created_at_ms: members.millis("created_at_ms")?,
        password,
    };
    members.nothing_else()?;
    Ok(Account { incoming, left_behind: Vec::new() })
}

/// A line that [`read`] takes. Who is kept out for a time comes back disabled: the end of a ban has no member.
pub(in crate::accounts) fn write(account: &Outgoing, now_ms: i64) -> Value {
    let user = &account.user;
    let mut line = json!({
        "id": user.id,
        "username": user.username,
        "email": user.email,
        "email_confirmed_at_ms": user.email_confirmed_at_ms,
        "display_name": user.display_name,
        "roles": user.roles,
        "user_metadata": user.user_metadata,
        "admin_metadata": user.admin_metadata,
        "disabled": user.is_kept_out(now_ms),
        "created_at_ms": user.created_at_ms,
    });
    if let Some(password) = &account.password {
        line["password_hash"] = password.hash.expose().as_str().into();
        if password.normalized {
            line["password_normalization"] = NORMALIZATION.into();
        }
    }
    line
}
