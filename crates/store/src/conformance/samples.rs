//! Things to write: complete, with every optional member present, and different by name.

use std::collections::BTreeMap;

use doorward_core::agents::document::{Document, Kind};
use doorward_core::agents::model::{Message, MessageRole, Run, RunStatus, Thread};
use doorward_core::artifacts::Artifact;
use doorward_core::audit::entry::{AuditEntry, Outcome};
use doorward_core::id::SessionId;
use doorward_core::identity::model::{ApiKey, ApiKeyKind, Identity, Moving, Session, SessionOrigin, User};
use doorward_core::ports::Write;
use doorward_core::tokens::model::{Family, Revocation, Revoked, SealedKey};
use doorward_core::workspaces::Workspace;
use serde_json::{Map, Value, json};

/// The moment of every sample, in milliseconds since the epoch.
pub const NOW_MS: i64 = 1_760_000_000_000;
/// An hour, in milliseconds.
pub const HOUR_MS: i64 = 3_600_000;

/// Text that has broken databases before: quotes, wildcards, comments, escapes, scripts, emoji, a byte order mark.
/// Without NUL, which some databases cannot keep in a text.
pub const HOSTILE: &[(&str, &str)] = &[
    ("quotes", "'; DROP TABLE account; --\"`"),
    ("wildcards", "%_*?[a-z]"),
    ("placeholders", "$1 ?1 :a @b {0} %s"),
    ("escapes", "\\ \\' \\x00 \n\r\t\u{1}\u{7f}"),
    ("not latin", "Ωμέγα Приве́т 日本語 עִבְרִית"),
    ("beyond the first plane", "😀𝔘𠜎 \u{10ffff}"),
    ("marks", "\u{feff}e\u{301}\u{202e}x"),
    ("empty", ""),
];

/// A JSON object.
///
/// # Panics
/// If the value is none.
#[must_use]
pub fn object(value: Value) -> Map<String, Value> {
    let Value::Object(members) = value else { unreachable!("samples are objects: {value}") };
    members
}

/// A user `usr_NAME` with both login names.
#[must_use]
pub fn user(name: &str) -> User {
    User {
        id: format!("usr_{name}").into(),
        username: Some(format!("{name}-login")),
        email: Some(format!("{name}@example.org")),
        display_name: Some(format!("Dr. {name} \u{1F600}")),
        roles: vec!["user".into(), "premium".into()],
        user_metadata: object(json!({"theme": "dark", "deep": {"list": [1, 2.5, null, "\u{0}"]}})),
        admin_metadata: object(json!({"plan": "gold"})),
        email_confirmed_at_ms: Some(NOW_MS - 5),
        phone: Some(name.bytes().map(|byte| byte.to_string()).collect()),
        phone_confirmed_at_ms: Some(NOW_MS - 4),
        disabled: false,
        banned_until_ms: Some(NOW_MS - 3),
        anonymous: true,
        deleted_at_ms: Some(NOW_MS - 2),
        invited_at_ms: Some(NOW_MS - 1),
        moving: Some(Moving {
            to: format!("{name}-new@example.org"),
            asked_at_ms: NOW_MS,
            both: true,
            old_agreed: true,
            new_agreed: false,
        }),
        created_at_ms: NOW_MS,
        updated_at_ms: NOW_MS,
        version: 1,
    }
}

/// A session `ses_NAME` of `usr_OWNER`.
#[must_use]
pub fn session(name: &str, owner: &str) -> Session {
    Session {
        id: format!("ses_{name}").into(),
        user: format!("usr_{owner}").into(),
        mount: "native".into(),
        origin: SessionOrigin {
            source: Some("password".into()),
            device: Some("a phone".into()),
            address: Some("2001:db8::1".into()),
            user_agent: Some("curl/8".into()),
        },
        created_at_ms: NOW_MS,
        last_seen_at_ms: NOW_MS,
        idle_limit_ms: HOUR_MS,
        expires_at_ms: NOW_MS + 24 * HOUR_MS,
        ended_at_ms: None,
    }
}

/// A family `fam_NAME` of `usr_OWNER` and session `ses_NAME`.
#[must_use]
pub fn family(name: &str, owner: &str) -> Family {
    Family {
        id: format!("fam_{name}").into(),
        user: format!("usr_{owner}").into(),
        session: SessionId::from(format!("ses_{name}")),
        client: "cli".into(),
        scope: Some("threads:read".into()),
        counter: 1,
        advanced_at_ms: NOW_MS,
        expires_at_ms: NOW_MS + 30 * 24 * HOUR_MS,
        ends_at_ms: NOW_MS + 90 * 24 * HOUR_MS,
        ended_at_ms: None,
    }
}

/// An API key `key_NAME` of `usr_OWNER`; its MAC holds nothing but `mac`.
#[must_use]
pub fn api_key(name: &str, owner: &str, mac: u8) -> ApiKey {
    ApiKey {
        id: format!("key_{name}").into(),
        owner: format!("usr_{owner}").into(),
        kind: ApiKeyKind::Admin,
        name: "deploy".into(),
        scopes: vec!["threads:read".into(), "threads:write".into()],
        hint: "dw_ab".into(),
        mac: [mac; 32],
        created_at_ms: NOW_MS,
        expires_at_ms: Some(NOW_MS + HOUR_MS),
        last_used_at_ms: None,
        revoked_at_ms: None,
    }
}

/// A sealed key `sig_NAME`.
#[must_use]
pub fn sealed_key(name: &str, purpose: &str, created_at_ms: i64) -> SealedKey {
    SealedKey {
        id: format!("sig_{name}").into(),
        purpose: purpose.into(),
        algorithm: "ES256".into(),
        sealed: (0..=255).collect(),
        created_at_ms,
        retired_at_ms: None,
    }
}

/// A revocation of one token, in force at [`NOW_MS`] for an hour.
#[must_use]
pub fn revocation(jti: &str) -> Revocation {
    Revocation { revoked: Revoked::Token(jti.into()), at_ms: NOW_MS, until_ms: NOW_MS + HOUR_MS }
}

/// A thread `thr_NAME` on the mount `native`.
#[must_use]
pub fn thread(name: &str, owner: &str, metadata: Value) -> Thread {
    Thread {
        id: format!("thr_{name}").into(),
        mount: "native".into(),
        owner: owner.into(),
        name: Some("a talk".into()),
        metadata: object(metadata),
        state: object(json!({"turn": 3})),
        created_at_ms: NOW_MS,
        updated_at_ms: NOW_MS,
    }
}

/// A message `msg_NAME` of `thr_THREAD`.
#[must_use]
pub fn message(name: &str, thread: &str) -> Message {
    Message {
        id: format!("msg_{name}").into(),
        thread: format!("thr_{thread}").into(),
        role: MessageRole::Assistant,
        content: json!([{"type": "text", "text": "hello \u{0} there"}]),
        metadata: object(json!({"seen": true})),
        run: Some("run_a".into()),
        created_at_ms: NOW_MS,
    }
}

/// A run `run_NAME` of `thr_THREAD` that is running.
#[must_use]
pub fn run(name: &str, thread: &str) -> Run {
    Run {
        details: object(json!({"of": name})),
        id: format!("run_{name}").into(),
        thread: format!("thr_{thread}").into(),
        status: RunStatus::Running,
        error: None,
        created_at_ms: NOW_MS,
        finished_at_ms: None,
    }
}

/// An audit line of one action.
#[must_use]
pub fn entry(action: &str, at_ms: i64) -> AuditEntry {
    AuditEntry {
        at_ms,
        request: "req_1".into(),
        mount: "native".into(),
        action: action.into(),
        resource: Some("thr_a".into()),
        principal: "local|usr_a".into(),
        method: "own_token".into(),
        credential: Some("tok_1".into()),
        outcome: Outcome::Done,
        reason: None,
        address: Some("192.0.2.1".into()),
        count: 1,
    }
}

/// Appends [`entry`] to a node's chain.
#[must_use]
pub fn line(node: &str, action: &str) -> Write {
    Write::Audit { node: node.into(), entry: entry(action, NOW_MS) }
}

/// An identity `idn_NAME` of `usr_OWNER`.
#[must_use]
pub fn identity(name: &str, owner: &str) -> Identity {
    Identity {
        id: format!("idn_{name}").into(),
        user: format!("usr_{owner}").into(),
        authority: "https://idp.example".to_owned(),
        subject: format!("subject of {name}"),
        shown: Some(format!("{name}@idp.example")),
        created_at_ms: NOW_MS,
        last_used_at_ms: NOW_MS + 1,
    }
}

/// A workspace that stays, of nobody but its owner.
#[must_use]
pub fn workspace(id: &str, owner: &str) -> Workspace {
    Workspace {
        id: id.to_owned(),
        name: format!("Dr. {id} \u{1F600}"),
        description: "line\nand line".to_owned(),
        owner: owner.to_owned(),
        owner_ids: vec![owner.to_owned(), "x\"y".to_owned()],
        persistent: true,
        created_at_ms: NOW_MS,
        details: object(json!({"icon": "https://a/b.png", "covers": ["x"], "config": {"deep": [1, null]}})),
        members: BTreeMap::new(),
    }
}

/// An artifact, on its own or within another of its workspace.
#[must_use]
pub fn artifact(workspace: &str, alias: &str, parent: Option<&str>) -> Artifact {
    Artifact {
        id: format!("art_{workspace}_{alias}"),
        workspace: workspace.to_owned(),
        alias: alias.to_owned(),
        parent: parent.map(str::to_owned),
        kind: "generic".to_owned(),
        manifest: object(json!({"name": format!("\u{1F600} {alias}"), "deep": [1, {"a": null}]})),
        config: object(json!({"permissions": {"*": "r"}})),
        comment: "first".to_owned(),
        created_by: "usr_a".to_owned(),
        maker: "usr_b".to_owned(),
        created_at_ms: NOW_MS,
        changed_at_ms: NOW_MS + 1,
        revision: 1,
        views: 0,
    }
}

/// An item `doc_NAME` of OWNER at a place, which it shares with nobody.
#[must_use]
pub fn document(name: &str, owner: &str, place: &str, metadata: Value) -> Document {
    Document {
        id: format!("doc_{name}"),
        kind: Kind::Item,
        mount: "native".into(),
        owner: owner.into(),
        place: place.into(),
        name: format!("name of {name}"),
        sharing: "own".into(),
        metadata: object(metadata),
        body: object(json!({"value": {"n": 1, "deep": [1, {"a": null}]}, "ttl_ms": 5})),
        revision: 1,
        created_at_ms: NOW_MS,
        updated_at_ms: NOW_MS + 1,
        due_at_ms: Some(NOW_MS + HOUR_MS),
    }
}
