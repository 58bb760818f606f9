//! Rows of the table `users` in Hypha's document on authentication: `id`, `email`, `name`, `password_hash`, `salt`, and `roles` as the text
//! of a JSON array. The hash is SHA-256, in hex, of the password and, behind it, the salt's text (`hash_password` there).

use doorward_core::identity::hashes::{ForeignHash, SaltPlace, hex};
use doorward_core::identity::transfer::{Incoming, IncomingPassword, Origin};
use serde_json::Map;

use super::{Account, Format};
use crate::accounts::Fault;
use crate::accounts::members::Members;

pub(super) static FORMAT: Format =
    Format { name: "hypha", recognises: |row| row.has("password_hash") && row.has("salt"), read };

fn read(mut members: Members, _: i64) -> Result<Account, Fault> {
    let email = members.text("email")?;
    let id = members.id("id")?.or_else(|| email.clone());
    let hash = members.text("password_hash")?;
    let salt = members.text("salt")?;
    let password = match (hash, salt) {
        (None, _) => None,
        (Some(_), None) => return Err(Fault::field("salt", "is missing.")),
        (Some(hash), Some(salt)) => {
            let hash = ForeignHash::salted_sha256(hex(&hash)?, salt.into(), SaltPlace::Behind)?;
            Some(IncomingPassword::Foreign(hash))
        }
    };
    Ok(Account {
        incoming: Incoming {
            origin: Origin { from: FORMAT.name, id: id.unwrap_or_default() },
            note_origin: true,
            username: None,
            email,
            // The sample asks nobody for a proof.
            email_confirmed: None,
            display_name: members.text("name")?,
            roles: members.roles("roles")?,
            user_metadata: Map::new(),
            admin_metadata: Map::new(),
            disabled: false,
            created_at_ms: None,
            password,
        },
        left_behind: Vec::new(),
    })
}
