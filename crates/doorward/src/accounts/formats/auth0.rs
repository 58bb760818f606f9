//! Auth0's files: what its bulk import takes (`password_hash`, `custom_password_hash`) and what it hands out with hashes (`_id`,
//! `passwordHash`). Names as its published schema of bulk imports has them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward_core::identity::hashes::{ForeignHash, HashFault, SaltPlace, hex};
use doorward_core::identity::transfer::{Incoming, IncomingPassword, Origin};

use super::{Account, Format};
use crate::accounts::Fault;
use crate::accounts::members::Members;

pub(super) static FORMAT: Format = Format {
    name: "auth0",
    recognises: |row| {
        ["user_id", "custom_password_hash", "passwordHash", "email_verified", "app_metadata"]
            .iter()
            .any(|name| row.has(name))
    },
    read,
};

fn read(mut members: Members, _: i64) -> Result<Account, Fault> {
    let (email, username) = (members.text("email")?, members.text("username")?);
    let object_id = match members.take("_id") {
        Some(serde_json::Value::Object(id)) => Members::of(id).text("$oid")?,
        _ => None,
    };
    // One account may come by either of its spellings: an export without a connection's name, and one with it.
    let own = members.text("user_id")?.or(object_id);
    let own = own.map(|id| if id.contains('|') { id } else { format!("auth0|{id}") });
    let id = own.or_else(|| email.clone()).or_else(|| username.clone());
    let confirmed = members.flag("email_verified")?;
    let mut left_behind = Vec::new();
    if members.take("mfa_factors").is_some_and(|all| all.as_array().is_none_or(|all| !all.is_empty())) {
        left_behind.push("second factors");
    }
    if members.text("phone_number")?.is_some() {
        left_behind.push("phone number");
    }
    let plain = match members.text("password_hash")? {
        None => members.text("passwordHash")?,
        found => found,
    };
    let password = match (plain, members.object("custom_password_hash")?) {
        (Some(hash), custom) if custom.is_empty() => Some(ForeignHash::read(&hash)?),
        (Some(_), _) => return Err(Fault::field("custom_password_hash", "stands beside another hash.")),
        (None, custom) if custom.is_empty() => None,
        (None, custom) => Some(custom_hash(Members::of(custom))?),
    };
    let display_name = match members.text("name")? {
        None => members.text("nickname")?,
        found => found,
    };
    Ok(Account {
        incoming: Incoming {
            origin: Origin { from: FORMAT.name, id: id.unwrap_or_default() },
            note_origin: true,
            username,
            email,
            email_confirmed: confirmed.then_some(None),
            display_name,
            // Auth0 keeps roles elsewhere; whatever app_metadata says of them stays metadata.
            roles: Vec::new(),
            user_metadata: members.object("user_metadata")?,
            admin_metadata: members.object("app_metadata")?,
            disabled: members.flag("blocked")?,
            created_at_ms: members.moment("created_at")?,
            password: password.map(IncomingPassword::Foreign),
        },
        left_behind,
    })
}

/// `{"algorithm", "hash": {"value", "encoding"}, "salt": {"value", "encoding", "position"}, "password": {"encoding"}, …}`
fn custom_hash(mut custom: Members) -> Result<ForeignHash, Fault> {
    let algorithm = custom.text("algorithm")?.unwrap_or_default();
    let mut hash = Members::of(custom.object("hash")?);
    let mut salt = Members::of(custom.object("salt")?);
    let mut of_password = Members::of(custom.object("password")?);
    // What people type is UTF-8 here; another encoding there would make another hash of it.
    if !matches!(of_password.text("encoding")?.as_deref(), None | Some("utf8" | "ascii")) {
        return Err(HashFault::Unsupported.into());
    }
    let value =
        hash.text("value")?.ok_or_else(|| Fault::field("custom_password_hash.hash.value", "is missing."))?;
    let encoding = hash.text("encoding")?;
    match algorithm.as_str() {
        // These say everything in one text.
        "bcrypt" | "argon2" | "pbkdf2" => {
            let read = ForeignHash::read(&value)?;
            let spelled = match algorithm.as_str() {
                "bcrypt" => value.starts_with("$2"),
                "argon2" => value.starts_with("$argon2"),
                _ => value.starts_with("$pbkdf2"),
            };
            if spelled { Ok(read) } else { Err(HashFault::Malformed.into()) }
        }
        "scrypt" => {
            let output = decoded(&value, encoding.as_deref())?;
            let salt = salt_of(&mut salt)?;
            let mut number = |name: &str| match custom.take(name) {
                Some(number) => number.as_u64().ok_or_else(|| Fault::field(name, "is a number.")),
                None => Err(Fault::field(&format!("custom_password_hash.{name}"), "is missing.")),
            };
            let (n, r, p) = (number("cost")?, number("blockSize")?, number("parallelization")?);
            if number("keylen")? != output.len() as u64 || !n.is_power_of_two() {
                return Err(HashFault::Malformed.into());
            }
            let costly = |_| Fault::from(HashFault::TooCostly);
            let (r, p) = (u32::try_from(r).map_err(costly)?, u32::try_from(p).map_err(costly)?);
            Ok(ForeignHash::scrypt(n.trailing_zeros() as u8, r, p, salt, output)?)
        }
        "sha256" => {
            let output = decoded(&value, encoding.as_deref())?;
            let place = match salt.text("position")?.as_deref() {
                None | Some("prefix") => SaltPlace::Before,
                Some("suffix") => SaltPlace::Behind,
                Some(_) => {
                    return Err(Fault::field("custom_password_hash.salt.position", "is prefix or suffix."));
                }
            };
            Ok(ForeignHash::salted_sha256(output, salt_of(&mut salt)?, place)?)
        }
        _ => Err(HashFault::Unsupported.into()),
    }
}

fn salt_of(salt: &mut Members) -> Result<Vec<u8>, Fault> {
    let encoding = salt.text("encoding")?;
    match (salt.text("value")?, encoding.as_deref()) {
        (None, _) => Ok(Vec::new()),
        (Some(text), None | Some("utf8")) => Ok(text.into_bytes()),
        (Some(text), encoding) => decoded(&text, encoding),
    }
}

fn decoded(text: &str, encoding: Option<&str>) -> Result<Vec<u8>, Fault> {
    let bytes = match encoding {
        Some("base64") => STANDARD.decode(text).map_err(|_| HashFault::Malformed),
        Some("hex") => hex(text),
        _ => Err(HashFault::Unsupported),
    };
    Ok(bytes?)
}
