//! `doorward token`: tokens and the keys that sign them.

use std::io::Read as _;

use clap::{Args, Parser, Subcommand};
use doorward_core::authn::{NoHeaders, Offered, Place, Presented};
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{signing_key, token};
use doorward_core::id::KeyId;
use doorward_core::principal::{LOCAL, Principal};
use doorward_core::tokens::model::Revoked;
use doorward_core::tokens::{KeyInfo, KeyRing, Keys, Subject};
use doorward_protocols::encoding::base64url_decode;
use doorward_protocols::jose::Algorithm;
use doorward_protocols::json::{self, Limits};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::cli::{
    Descriptor, Failure, Inside, Output, Run, StoreOptions, Surroundings, inside, moment, moment_or, span_s,
    table,
};

/// The row of the table of commands.
pub(super) const COMMAND: Descriptor = Descriptor::of::<Tokens>("token");

/// Longest token that is read, in bytes; more is no token of anybody.
const MAX_TOKEN_BYTES: u64 = 16 << 10;

/// Issue, inspect and revoke tokens, and rotate the keys that sign them
#[derive(Parser)]
#[command(
    name = "token",
    after_help = "\
Examples:
  doorward token issue --mount agentflow --user-id user123 --claim username=john_doe --agentflow agentflow.json
  doorward token inspect --token-stdin < token.txt
  doorward token revoke --jti tok_0123456789abcdef
  doorward token rotate-key"
)]
struct Tokens {
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
    /// Make an access token for somebody, as a mount's own tokens look
    #[command(after_help = "Example:\n  doorward token issue --mount agentflow --user-id user123 \
        --claim username=john_doe --expires-in 1h --agentflow agentflow.json")]
    Issue {
        /// The mount it is for
        #[arg(long, value_name = "NAME", default_value = "native")]
        mount: String,
        /// Whom it is for: a user of this store, or any id where the mount takes others' tokens
        #[arg(long, value_name = "ID")]
        user_id: String,
        /// A further claim; the value is JSON if it reads as JSON, else text; may be repeated
        #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = claim)]
        claims: Vec<(String, Value)>,
        /// A scope it is limited to; may be repeated
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// How long it lives: 7d, 12h, 30m, or seconds [default: tokens.access_ttl_s]
        #[arg(long, value_name = "SPAN", value_parser = span_s)]
        expires_in: Option<i64>,
        #[command(flatten)]
        common: Common,
    },
    /// Say what a token holds and whether a mount would take it
    #[command(after_help = "Example:\n  doorward token inspect --mount native --token-stdin < token.txt")]
    Inspect {
        /// The mount that would be asked
        #[arg(long, value_name = "NAME", default_value = "native")]
        mount: String,
        /// Read the token from standard input: on the command line every process could see it
        #[arg(long, required = true)]
        token_stdin: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Revoke a token, a session's tokens, everything of somebody, or everything
    #[command(after_help = "Examples:\n  doorward token revoke --jti tok_0123456789abcdef\n  \
        doorward token revoke --user ada\n  doorward token revoke --all")]
    Revoke {
        #[command(flatten)]
        which: WhichTokens,
        #[command(flatten)]
        common: Common,
    },
    /// List the keys that sign Doorward's own tokens; never the private halves
    #[command(after_help = "Example:\n  doorward token keys --json")]
    Keys(Common),
    /// Make a new signing key; old ones go on verifying until they are retired
    #[command(after_help = "Example:\n  doorward token rotate-key --algorithm EdDSA")]
    RotateKey {
        /// What it signs with [default: tokens.algorithm if it is set, else as the key before]
        #[arg(long, value_name = "ALG")]
        algorithm: Option<Algorithm>,
        #[command(flatten)]
        common: Common,
    },
    /// End a signing key that no longer signs: what it signed is refused from then on
    #[command(after_help = "Example:\n  doorward token retire-key sig_0123456789abcdef")]
    RetireKey {
        /// The key's id, as `token keys` shows it
        id: String,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct WhichTokens {
    /// The token with this id
    #[arg(long, value_name = "JTI")]
    jti: Option<String>,
    /// Every token of this session
    #[arg(long, value_name = "SESSION")]
    session: Option<String>,
    /// Every token of this user of the store: id, user name or e-mail address
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Every token of somebody named as in the audit log, such as agentflow|user123
    #[arg(long, value_name = "AUTHORITY|SUBJECT")]
    principal: Option<String>,
    /// Every token that was issued up to now
    #[arg(long)]
    all: bool,
}

fn claim(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("write it like username=john_doe")?;
    if name.is_empty() {
        return Err("write it like username=john_doe".to_owned());
    }
    let value = json::parse(value.as_bytes(), Limits::TOKEN).unwrap_or_else(|_| value.into());
    Ok((name.to_owned(), value))
}

impl Run for Tokens {
    fn run(self, surroundings: &Surroundings) -> Result<(), Failure> {
        match self.what {
            What::Issue { mount, user_id, claims, scopes, expires_in, common } => {
                let subject = Subject {
                    subject: user_id,
                    scope: (!scopes.is_empty()).then(|| scopes.join(" ")),
                    claims: claims.into_iter().collect::<Map<_, _>>(),
                    ttl_s: expires_in,
                    ..Subject::default()
                };
                issue(&mount, subject, &common, surroundings)
            }
            What::Inspect { mount, common, .. } => inspect(&mount, &common, surroundings),
            What::Revoke { which, common } => revoke(which, &common, surroundings),
            What::Keys(common) => keys(&common, surroundings),
            What::RotateKey { algorithm, common } => rotate(algorithm, &common, surroundings),
            What::RetireKey { id, common } => retire(&KeyId::from(id), &common, surroundings),
        }
    }
}

fn issue(
    mount: &str,
    mut subject: Subject,
    common: &Common,
    surroundings: &Surroundings,
) -> Result<(), Failure> {
    let made = inside(&common.store, surroundings, async |inside: &Inside| {
        let call = inside.at_mount(mount)?;
        if &*call.mount.tokens.authority == LOCAL {
            subject.subject = inside.user(&subject.subject).await?.id.to_string();
        }
        let permit = call.permit::<token::Issue>(Target::any())?;
        Ok(inside.assembled.engine.tokens().issue(permit, &call.mount.tokens, subject).await?)
    })?;
    let shown = json!({
        "token": made.token.expose(),
        "token_type": "Bearer",
        "jti": made.id,
        "expires_in": made.expires_in_s,
        "expires_at": made.expires_at_s,
    });
    common.output.answer(&shown, || made.token.expose().clone())
}

fn inspect(mount: &str, common: &Common, surroundings: &Surroundings) -> Result<(), Failure> {
    let mut text = Zeroizing::new(String::new());
    std::io::stdin().lock().take(MAX_TOKEN_BYTES).read_to_string(&mut text)?;
    let text = text.trim();
    let (header, claims) = (part(text, 0), part(text, 1));
    let (valid, code, why, principal) = inside(&common.store, surroundings, async |inside: &Inside| {
        let call = inside.at_mount(mount)?;
        let offered = Some(Offered { place: Place::Bearer, text });
        let presented = Presented { offered, headers: &NoHeaders, ..Presented::nothing() };
        Ok(match call.mount.chain.authenticate(&presented).await {
            Ok(auth) => (true, None, None, Some(auth.principal.owner_key())),
            Err(error) => {
                let why = error.operator_detail().unwrap_or(error.public_message()).to_owned();
                (false, Some(error.code().name), Some(why), None)
            }
        })
    })?;
    let shown = json!({
        "valid": valid,
        "code": code,
        "reason": why,
        "principal": principal,
        "header": header,
        "claims": claims,
    });
    common.output.answer(&shown, || {
        let verdict = match (&principal, &why) {
            (Some(principal), _) => format!("The mount {mount} takes it: it is {principal}."),
            (None, why) => {
                format!("The mount {mount} refuses it: {}.", why.as_deref().unwrap_or("no reason given"))
            }
        };
        let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default();
        format!(
            "{verdict}\n\nheader (unverified unless taken)\n{}\n\nclaims\n{}",
            pretty(&header),
            pretty(&claims)
        )
    })
}

/// A part of a compact JWS as JSON; `null` when it is none.
fn part(token: &str, at: usize) -> Value {
    let bytes = token.split('.').nth(at).and_then(|part| base64url_decode(part.as_bytes()).ok());
    bytes.and_then(|bytes| json::parse(&bytes, Limits::TOKEN).ok()).unwrap_or_default()
}

fn revoke(which: WhichTokens, common: &Common, surroundings: &Surroundings) -> Result<(), Failure> {
    let (kind, subject, is_known) = inside(&common.store, surroundings, async |inside: &Inside| {
        let mut is_known = true;
        let revoked = match which {
            WhichTokens { jti: Some(jti), .. } => Revoked::Token(jti),
            WhichTokens { session: Some(id), .. } => Revoked::Session(id),
            WhichTokens { user: Some(user), .. } => {
                Revoked::Principal(Principal::local(&inside.user(&user).await?.id).owner_key())
            }
            WhichTokens { principal: Some(key), .. } => {
                // What is no principal's name at all is for the engine to refuse.
                if Principal::of_owner_key(&key).is_some() {
                    is_known = inside.principal(&key)?.1;
                }
                Revoked::Principal(key)
            }
            WhichTokens { .. } => Revoked::All,
        };
        let (kind, subject) = revoked.parts();
        let named = (kind, subject.to_owned(), is_known);
        let permit = inside.permit::<token::RevokeAny>(Target::any())?;
        inside.assembled.engine.tokens().revoke_any(permit, revoked).await?;
        Ok(named)
    })?;
    let note = "No mount or issuer of this configuration has that name: it counts where a server has one from flags of its own.";
    let mut told = json!({ "revoked": kind, "subject": subject });
    if !is_known {
        told["note"] = note.into();
    }
    common.output.answer(&told, || {
        let what = match kind {
            "token" => format!("whatever token has the id {subject}"),
            "session" => format!("the tokens of the session {subject}"),
            "principal" => format!("everything of {subject}"),
            _ => "every token issued up to now".to_owned(),
        };
        let mut told = format!("Revoked {what}. Servers on this store refuse it within half a second.");
        if !is_known {
            told.push('\n');
            told.push_str(note);
        }
        told
    })
}

impl Inside {
    /// The keys of the native mount.
    pub(crate) fn ring(&self) -> Result<&KeyRing, Failure> {
        let rings = self.assembled.mounts.iter().find_map(|mounted| match &mounted.mount.tokens.keys {
            Keys::Ring(ring) => Some(&**ring),
            Keys::Fixed { .. } => None,
        });
        rings.ok_or_else(|| {
            Failure::refused(
                "tokens are signed with the files of tokens.key_files, not with keys in the store",
                "to rotate, put a new file first in tokens.key_files and start the server again; a file that is \
                 taken out retires its key",
            )
        })
    }
}

fn keys(common: &Common, surroundings: &Surroundings) -> Result<(), Failure> {
    let found = inside(&common.store, surroundings, async |inside: &Inside| {
        let permit = inside.permit::<signing_key::Read>(Target::any())?;
        Ok(inside.assembled.engine.signing_keys().list(permit, inside.ring()?).await?)
    })?;
    common.output.answer(&found, || {
        let rows: Vec<_> = found.iter().map(row).collect();
        table(&["kid", "algorithm", "made", "retired", "use"], &rows)
    })
}

fn row(key: &KeyInfo) -> Vec<String> {
    let used = match (key.signs, key.retired_at_ms) {
        (true, _) => "signs and verifies",
        (false, None) => "verifies",
        (false, Some(_)) => "none",
    };
    vec![
        key.id.to_string(),
        key.algorithm.clone(),
        moment(key.created_at_ms),
        moment_or(key.retired_at_ms, "-"),
        used.to_owned(),
    ]
}

fn rotate(algorithm: Option<Algorithm>, common: &Common, surroundings: &Surroundings) -> Result<(), Failure> {
    let made = inside(&common.store, surroundings, async |inside: &Inside| {
        let permit = inside.permit::<signing_key::Rotate>(Target::any())?;
        let algorithm = algorithm.or(inside.assembled.algorithm);
        Ok(inside.assembled.engine.signing_keys().rotate(permit, inside.ring()?, algorithm).await?)
    })?;
    common.output.answer(&made, || {
        format!("{} signs from now on with {}; older keys go on verifying.", made.id, made.algorithm)
    })
}

fn retire(id: &KeyId, common: &Common, surroundings: &Surroundings) -> Result<(), Failure> {
    inside(&common.store, surroundings, async |inside: &Inside| {
        let permit = inside.permit::<signing_key::Retire>(Target::named(id.as_str()))?;
        Ok(inside.assembled.engine.signing_keys().retire(permit, inside.ring()?, id).await?)
    })?;
    common.output.answer(&json!({ "retired": id }), || format!("Retired {id}: what it signed is refused."))
}
