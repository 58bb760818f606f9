//! Somebody as a start-up file names them: `UserInfo` of Hypha 0.21.137, read with its faults named.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::identity::validate;
use crate::principal::is_subject;
use crate::workspaces::{EVERY, Permission, WorkspaceScope};

/// Most roles, workspaces and extra scopes.
const MOST: usize = 64;
/// Longest role, name of a workspace or client, and extra scope, in bytes.
const LONGEST: usize = 128;

/// Somebody whom a start-up file vouches for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Vouched {
    /// Their id within the mount.
    pub id: String,
    /// In the file's own words.
    pub roles: Vec<String>,
    /// Whether nobody in particular.
    pub is_anonymous: bool,
    /// Their address.
    pub email: Option<String>,
    /// Whom they descend from.
    pub parent: Option<String>,
    /// When the file says that the credential ends, in seconds.
    pub expires_at_s: Option<i64>,
    /// What they reach, beside their own workspace.
    pub workspaces: WorkspaceScope,
}

/// What is wrong with one: the field, and what is needed.
pub(super) type Fault = String;

fn needed(field: &str, what: &str) -> Fault {
    format!("{field}: {what} is needed")
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST && !text.chars().any(|c| c.is_control() || c.is_whitespace())
}

fn words(map: &Map<String, Value>, field: &str, shown: &str) -> Result<Vec<String>, Fault> {
    let bad = || needed(shown, "a list of at most 64 words");
    match map.get(field) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(all)) if all.len() <= MOST => {
            let word = |one: &Value| one.as_str().filter(|text| is_word(text)).map(str::to_owned);
            all.iter().map(word).collect::<Option<_>>().ok_or_else(bad)
        }
        Some(_) => Err(bad()),
    }
}

fn text(
    map: &Map<String, Value>,
    field: &str,
    shown: &str,
    good: fn(&str) -> bool,
) -> Result<Option<String>, Fault> {
    match map.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if good(text) => Ok(Some(text.clone())),
        Some(_) => Err(needed(shown, "a plain text")),
    }
}

impl Vouched {
    /// Reads one.
    ///
    /// # Errors
    /// The field that is wrong, and what is needed there.
    pub(super) fn read(given: &Value) -> Result<Self, Fault> {
        let Value::Object(map) = given else { return Err("a UserInfo is needed".to_owned()) };
        let id = text(map, "id", "id", is_subject)?.ok_or_else(|| needed("id", "a text"))?;
        let is_anonymous = match map.get("is_anonymous") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(is)) => *is,
            Some(_) => return Err(needed("is_anonymous", "True or False")),
        };
        let email = text(map, "email", "email", |text| text.len() <= 512)?;
        if let Some(email) = &email {
            validate::email(email).map_err(|_| needed("email", "an address"))?;
        }
        let expires_at_s = match map.get("expires_at") {
            None | Some(Value::Null) => None,
            Some(at) => {
                let at = at.as_f64().filter(|at| at.is_finite() && at.abs() < 1e15);
                Some(at.ok_or_else(|| needed("expires_at", "a number of seconds"))? as i64)
            }
        };
        let mut workspaces = scope(map.get("scope"))?;
        if workspaces.current.is_none() {
            workspaces.current = text(map, "current_workspace", "current_workspace", is_word)?.map(Arc::from);
        }
        Ok(Self {
            id,
            roles: words(map, "roles", "roles")?,
            is_anonymous,
            email,
            parent: text(map, "parent", "parent", is_subject)?,
            expires_at_s,
            workspaces,
        })
    }
}

fn scope(given: Option<&Value>) -> Result<WorkspaceScope, Fault> {
    let map = match given {
        None | Some(Value::Null) => return Ok(WorkspaceScope::default()),
        Some(Value::Object(map)) => map,
        Some(_) => return Err(needed("scope", "a ScopeInfo")),
    };
    let bad = || needed("scope.workspaces", "a map of at most 64 workspaces to r, rw or a");
    let given = match map.get("workspaces") {
        None | Some(Value::Null) => BTreeMap::new(),
        Some(Value::Object(all)) if all.len() <= MOST => {
            let one = |(name, permission): (&String, &Value)| {
                let permission = permission.as_str().and_then(Permission::parse)?;
                (name == EVERY || is_word(name)).then(|| (Arc::from(name.as_str()), permission))
            };
            all.iter().map(one).collect::<Option<_>>().ok_or_else(bad)?
        }
        Some(_) => return Err(bad()),
    };
    let word = |field: &str, shown: &str| Ok::<_, Fault>(text(map, field, shown, is_word)?.map(Arc::from));
    let extra = words(map, "extra_scopes", "scope.extra_scopes")?;
    Ok(WorkspaceScope {
        current: word("current_workspace", "scope.current_workspace")?,
        given,
        client_id: word("client_id", "scope.client_id")?,
        extra: extra.into_iter().map(Arc::from).collect(),
        // The file says anew with each reading what its user reaches: it was issued by nobody.
        ends_with: Vec::new(),
        confined: false,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_user_is_read_with_what_is_left_out() {
        let read = Vouched::read(&json!({
            "id": "user_1", "roles": ["user", "editor"], "is_anonymous": false, "email": "a@b.example", "expires_at": 12.5,
            "scope": {"workspaces": {"ws-user-user_1": "a", "*": "r"}, "current_workspace": "ws-user-user_1", "extra_scopes": ["x:y"]},
        }))
        .expect("good");
        assert_eq!(read.workspaces.given["ws-user-user_1"], Permission::Admin);
        assert_eq!(read.workspaces.current.as_deref(), Some("ws-user-user_1"));
        assert_eq!((read.roles.len(), read.expires_at_s), (2, Some(12)));
        let least = Vouched::read(&json!({"id": "x", "current_workspace": "team-a"})).expect("good");
        assert_eq!(least.workspaces.current.as_deref(), Some("team-a"));
        assert_eq!(
            least,
            Vouched { id: "x".into(), workspaces: least.workspaces.clone(), ..Vouched::default() }
        );
    }

    #[test]
    fn what_is_wrong_is_named_by_its_field() {
        for (given, field) in [
            (json!("x"), "a UserInfo"),
            (json!({}), "id"),
            (json!({"id": ""}), "id"),
            (json!({"id": 7}), "id"),
            (json!({"id": "a\nb"}), "id"),
            (json!({"id": "x", "roles": "admin"}), "roles"),
            (json!({"id": "x", "roles": ["a b"]}), "roles"),
            (json!({"id": "x", "is_anonymous": "no"}), "is_anonymous"),
            (json!({"id": "x", "email": "nobody"}), "email"),
            (json!({"id": "x", "expires_at": "soon"}), "expires_at"),
            (json!({"id": "x", "scope": []}), "scope"),
            (json!({"id": "x", "scope": {"workspaces": {"a": "w"}}}), "scope.workspaces"),
            (json!({"id": "x", "scope": {"client_id": "a b"}}), "scope.client_id"),
            (json!({"id": "x", "scope": {"extra_scopes": [1]}}), "scope.extra_scopes"),
        ] {
            let fault = Vouched::read(&given).expect_err(&given.to_string());
            assert!(fault.starts_with(field), "{given}: {fault}");
        }
    }
}
