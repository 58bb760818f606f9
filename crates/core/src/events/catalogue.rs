//! Every event there is. `docs/reference/events.md` is generated from [`ALL`].

use crate::anomalies::ACTION;
use crate::audit::{AuditEntry, Outcome};

/// The method of Doorward's own calls ([`crate::principal::AuthContext::system`]).
const SYSTEM: &str = "system";

/// A kind of event.
#[derive(Debug, PartialEq, Eq)]
pub struct EventDef {
    /// The name in webhooks and configuration, such as `token.generated`.
    pub name: &'static str,
    /// The name of a hook for it, such as `on_token_generated`.
    pub hook: &'static str,
    /// What happened.
    pub doc: &'static str,
    /// Whether it is told to webhooks too; what happens with every request is not.
    pub leaves: bool,
}

macro_rules! events {
    ($($const:ident = $name:literal, $hook:literal, $leaves:literal, $doc:literal;)*) => {
        $(
            #[doc = $doc]
            pub static $const: &EventDef =
                &EventDef { name: $name, hook: $hook, doc: $doc, leaves: $leaves };
        )*
        /// The table.
        pub static ALL: &[&EventDef] = &[$($const),*];
    };
}

events! {
    USER_CREATED = "user.created", "on_user_created", true, "An account was made.";
    USER_UPDATED = "user.updated", "on_user_updated", true, "An account's names, address, password or metadata changed.";
    USER_DELETED = "user.deleted", "on_user_deleted", true, "An account was removed.";
    ROLES_CHANGED = "user.roles_changed", "on_roles_changed", true, "An account's roles changed.";
    USER_DISABLED = "user.disabled", "on_user_disabled", true, "An account was disabled; its sessions and tokens ended.";
    USER_ENABLED = "user.enabled", "on_user_enabled", true, "A disabled account was enabled.";
    LOGIN = "login.succeeded", "on_login", true, "Somebody logged in.";
    LOGIN_FAILED = "login.failed", "on_login_failed", true, "A log-in was refused.";
    SESSION_CREATED = "session.created", "on_session_created", true, "A session began.";
    IDENTITY_LINKED = "identity.linked", "on_identity_linked", true, "Somebody added a provider to an account.";
    IDENTITY_UNLINKED = "identity.unlinked", "on_identity_unlinked", true, "Somebody removed a provider from an account.";
    LOGOUT = "session.ended", "on_logout", true, "Sessions were ended, by their owner or an administrator.";
    TOKEN_GENERATED = "token.generated", "on_token_generated", true, "A token was made.";
    TOKEN_VALIDATED = "token.validated", "on_token_validated", false, "A credential let a request in.";
    TOKEN_INVALID = "token.invalid", "on_token_invalid", true, "A credential was refused.";
    TOKEN_REVOKED = "token.revoked", "on_token_revoked", true, "Tokens were revoked.";
    KEY_CREATED = "api_key.created", "on_key_created", true, "An API key was made.";
    KEY_REVOKED = "api_key.revoked", "on_key_revoked", true, "An API key was revoked.";
    SIGNING_KEY_ROTATED = "signing_key.rotated", "on_signing_key_rotated", true, "A new key signs tokens.";
    SIGNING_KEY_RETIRED = "signing_key.retired", "on_signing_key_retired", true, "A key verifies no more.";
    ANOMALY = "login.anomaly", "on_login_anomaly", true, "Something is odd about a log-in; action names the rule, reason says why.";
    DENIED = "access.denied", "on_denied", true, "Somebody may not do what they asked for.";
}

/// The event with this name or hook name.
#[must_use]
pub fn find(name: &str) -> Option<&'static EventDef> {
    ALL.iter().find(|def| def.name == name || def.hook == name).copied()
}

/// The event that a line of the audit log is, if it is one.
#[must_use]
pub fn of_line(line: &AuditEntry) -> Option<&'static EventDef> {
    // What an operator mistypes on the command line concerns nobody else.
    let by_operator = line.method == SYSTEM;
    if line.action.starts_with(ACTION) {
        return Some(ANOMALY);
    }
    match (line.outcome, line.action.as_str()) {
        (Outcome::Denied, _) if by_operator => None,
        (Outcome::Denied, "credential:verify") => Some(TOKEN_INVALID),
        (Outcome::Denied, "session:login") => Some(LOGIN_FAILED),
        (Outcome::Denied, _) => Some(DENIED),
        (Outcome::Done, "user:sign_up" | "user:create") => Some(USER_CREATED),
        (Outcome::Done, "user:update") => Some(USER_UPDATED),
        (Outcome::Done, "user:delete") => Some(USER_DELETED),
        (Outcome::Done, "session:login") => Some(LOGIN),
        (Outcome::Done, "identity:link") => Some(IDENTITY_LINKED),
        (Outcome::Done, "identity:unlink") => Some(IDENTITY_UNLINKED),
        (Outcome::Done, "session:end") => Some(LOGOUT),
        (Outcome::Done, "token:revoke" | "token:surrender" | "token:revoke_any") => Some(TOKEN_REVOKED),
        (Outcome::Done, "api_key:create" | "api_key:create_admin") => Some(KEY_CREATED),
        (Outcome::Done, "api_key:revoke") => Some(KEY_REVOKED),
        (Outcome::Done, "signing_key:rotate") => Some(SIGNING_KEY_ROTATED),
        (Outcome::Done, "signing_key:retire") => Some(SIGNING_KEY_RETIRED),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::authz::catalogue;

    #[test]
    fn every_name_is_unique_and_leads_back_to_its_event() {
        let names: HashSet<_> = ALL.iter().flat_map(|def| [def.name, def.hook]).collect();
        assert_eq!(names.len(), ALL.len() * 2);
        assert!(ALL.iter().all(|def| find(def.name) == Some(*def) && find(def.hook) == Some(*def)));
        assert_eq!(find("on_nothing"), None);
    }

    #[test]
    fn every_action_that_names_an_event_exists() {
        let text = include_str!("catalogue.rs");
        let (_, rows) = text.split_once("match (line.outcome").expect("the match");
        let rows = rows.split("_ => None").next().expect("its end");
        let quoted = rows.split('"').skip(1).step_by(2).filter(|action| *action != "credential:verify");
        let known: HashSet<_> = catalogue::ALL.iter().map(ToString::to_string).collect();
        let mut seen = 0;
        for action in quoted {
            assert!(known.contains(action), "{action}");
            seen += 1;
        }
        assert!(seen > 10);
    }
}
