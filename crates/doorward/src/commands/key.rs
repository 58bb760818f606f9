//! `doorward key`: API keys.

use clap::{Args, Parser, Subcommand};
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::api_key;
use doorward_core::authz::roles::ADMIN;
use doorward_core::id::ApiKeyId;
use doorward_core::identity::api_keys::{Expiry, NewApiKey};
use doorward_core::identity::model::{ApiKey, ApiKeyKind};
use doorward_core::ports::store::Page;
use doorward_core::principal::Principal;
use serde_json::{Value, json};

use crate::cli::{
    Descriptor, Failure, Inside, Output, Run, StoreOptions, Surroundings, inside, moment, moment_or, span_s,
    table,
};

/// The row of the table of commands.
pub(super) const COMMAND: Descriptor = Descriptor::of::<Keys>("key");

/// Make, list and revoke API keys
#[derive(Parser)]
#[command(
    name = "key",
    after_help = "\
A key is shown once, when it is made; only a keyed hash of it is kept.

Examples:
  doorward key create --user ada --name laptop --expires 90d
  doorward key create --user ada --name backup --scope thread:read --expires never
  doorward key list --user ada
  doorward key revoke key_0123456789abcdef"
)]
struct Keys {
    #[command(subcommand)]
    what: What,
}

#[derive(Args)]
struct Common {
    #[command(flatten)]
    store: StoreOptions,
    #[command(flatten)]
    output: Output,
}

#[derive(Subcommand)]
enum What {
    /// Make a key and show it, once
    #[command(
        after_help = "Example:\n  doorward key create --user ada --name laptop --scope read --expires 90d"
    )]
    Create {
        /// Whose rights it carries: id, user name or e-mail address
        #[arg(long, value_name = "USER")]
        user: String,
        /// What to call it
        #[arg(long, value_name = "NAME")]
        name: String,
        /// What it may be used for: read, write, *, resource:* or resource:action; may be repeated
        /// [default: read and write; with --admin *]
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// When it stops working: 90d, 12h, 30m, 45s, or never
        #[arg(long, value_name = "SPAN", value_parser = expiry)]
        expires: Span,
        /// Let it reach administrative actions, where the user's roles and the scopes allow
        #[arg(long)]
        admin: bool,
        #[command(flatten)]
        common: Common,
    },
    /// List keys, oldest first; never the keys themselves
    #[command(after_help = "Example:\n  doorward key list --user ada --json")]
    List {
        /// Only this user's
        #[arg(long, value_name = "USER")]
        user: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Revoke a key; the next request with it is refused
    #[command(after_help = "Example:\n  doorward key revoke key_0123456789abcdef")]
    Revoke {
        /// The key's id, as `key list` shows it
        id: String,
        #[command(flatten)]
        common: Common,
    },
}

/// A span of seconds, or never.
#[derive(Debug, Clone, Copy)]
struct Span(Option<i64>);

fn expiry(text: &str) -> Result<Span, String> {
    if text == "never" { Ok(Span(None)) } else { span_s(text).map(|s| Span(Some(s))) }
}

impl Run for Keys {
    fn run(self, surroundings: &Surroundings) -> Result<(), Failure> {
        match self.what {
            What::Create { user, name, scopes, expires, admin, common } => {
                let expiry = expires.0.map_or(Expiry::Never, Expiry::InSeconds);
                let kind = if admin { ApiKeyKind::Admin } else { ApiKeyKind::User };
                let scopes = match (scopes.is_empty(), kind) {
                    (false, _) => scopes,
                    (true, ApiKeyKind::User) => vec!["read".to_owned(), "write".to_owned()],
                    (true, ApiKeyKind::Admin) => vec!["*".to_owned()],
                };
                let new = NewApiKey { name, scopes, expiry };
                let (made, powerless) = inside(&common.store, surroundings, async |inside: &Inside| {
                    let owner = inside.user(&user).await?;
                    let permit = inside.permit::<api_key::CreateAdmin>(Target::any())?;
                    let made =
                        inside.assembled.engine.api_keys().create_for(permit, &owner.id, kind, new).await?;
                    let powerless = admin && !owner.roles.iter().any(|role| &**role == ADMIN);
                    Ok((made, powerless))
                })?;
                let note = powerless.then(|| {
                    format!(
                        "{user} has not the role {ADMIN}: the key administers no more than {user} may; \
                         `doorward user set-roles {user} {ADMIN}` changes that"
                    )
                });
                let mut shown = described(&made.key);
                shown["note"] = note.as_deref().into();
                shown["key"] = made.secret.expose().as_str().into();
                common.output.answer(&shown, || {
                    format!(
                        "{}\n\nThis is the only time it is shown. Id: {}. Expires: {}. Scopes: {}.{}",
                        made.secret.expose(),
                        made.key.id,
                        moment_or(made.key.expires_at_ms, "never"),
                        made.key.scopes.join(" "),
                        note.map(|note| format!("\nnote: {note}")).unwrap_or_default(),
                    )
                })
            }
            What::List { user, common } => list(user.as_deref(), &common, surroundings),
            What::Revoke { id, common } => {
                let id = ApiKeyId::from(id);
                inside(&common.store, surroundings, async |inside: &Inside| {
                    let keys = inside.assembled.engine.api_keys();
                    let owner = Principal::local(&keys.owner(&id).await?).owner_key();
                    let permit = inside.permit::<api_key::Revoke>(Target::owned(id.as_str(), &owner))?;
                    Ok(keys.revoke(permit, &id).await?)
                })?;
                common.output.answer(&json!({ "revoked": id }), || format!("Revoked {id}."))
            }
        }
    }
}

/// A key without the key and without its hash.
fn described(key: &ApiKey) -> Value {
    json!({
        "id": key.id,
        "owner": key.owner,
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

fn list(user: Option<&str>, common: &Common, surroundings: &Surroundings) -> Result<(), Failure> {
    let found = inside(&common.store, surroundings, async |inside: &Inside| {
        let owner = match user {
            Some(name) => Some(inside.user(name).await?.id),
            None => None,
        };
        let mut all: Vec<ApiKey> = Vec::new();
        loop {
            let permit = inside.permit::<api_key::Read>(Target::any())?;
            let after = all.last().map(|key| key.id.to_string());
            let page = Page { after, limit: 200 };
            let mut keys = inside.assembled.engine.api_keys().list(permit, owner.as_ref(), page).await?;
            if keys.is_empty() {
                return Ok(all);
            }
            all.append(&mut keys);
        }
    })?;
    let shown: Vec<Value> = found.iter().map(described).collect();
    common.output.answer(&shown, || {
        let rows: Vec<_> = found.iter().map(row).collect();
        table(
            &["id", "key", "owner", "kind", "name", "scopes", "made", "expires", "last used", "state"],
            &rows,
        )
    })
}

fn row(key: &ApiKey) -> Vec<String> {
    let scopes: Vec<&str> = key.scopes.iter().map(|scope| &**scope).collect();
    let state = if key.revoked_at_ms.is_some() { "revoked" } else { "live" };
    vec![
        key.id.to_string(),
        format!("{}…", key.hint),
        key.owner.to_string(),
        key.kind.as_str().to_owned(),
        key.name.clone(),
        scopes.join(","),
        moment(key.created_at_ms),
        moment_or(key.expires_at_ms, "never"),
        moment_or(key.last_used_at_ms, "never"),
        state.to_owned(),
    ]
}
