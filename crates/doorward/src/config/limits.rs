//! `[limits]`: how many failed attempts an address and a name have; `[rate_limits.NAME]`: how many requests of a kind there may be.

use std::collections::BTreeMap;

use doorward_core::authz::scopes;
use doorward_core::limits::rules::{By, LimitRule};

use super::problem::Problem;
use super::section::{Key, Reading, Section};
use super::tree::{Node, Value};

/// How many failed attempts an address and a name have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Failures after which further failures are answered 429.
    pub failures: u32,
    /// The time in which they are counted.
    pub window_s: u32,
    /// Log-ins by one name that fail before further ones are answered 429.
    pub login_failures: u32,
    /// The time in which they are counted.
    pub login_window_s: u32,
    /// The longest such a time becomes for whoever goes on.
    pub longest_window_s: u32,
}

pub(super) const KEYS: &[Key] = &[
    Key::new("failures", "10", "Failed attempts of one address after which it is answered 429."),
    Key::new("window_s", "60", "Seconds in which they are counted. A valid credential is never refused."),
    Key::new(
        "login_failures",
        "5",
        "Failed log-ins by one name or e-mail address, from anywhere, after which further failures are answered 429.",
    ),
    Key::new(
        "login_window_s",
        "300",
        "Seconds in which those are counted. The right password lets its owner in all the same.",
    ),
    Key::new(
        "longest_window_s",
        "3600",
        "For whoever goes on failing such a time doubles, up to this; a quiet window forgives.",
    ),
];

impl Limits {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let failures = section.integer("failures", 1..=1_000_000);
        let window_s = section.integer("window_s", 1..=86_400);
        let login_failures = section.integer("login_failures", 1..=1_000_000);
        let login_window_s = section.integer("login_window_s", 1..=86_400);
        let longest_window_s = section.integer("longest_window_s", 1..=86_400);
        section.finish();
        Some(Self {
            failures: u32::try_from(failures?).ok()?,
            window_s: u32::try_from(window_s?).ok()?,
            login_failures: u32::try_from(login_failures?).ok()?,
            login_window_s: u32::try_from(login_window_s?).ok()?,
            longest_window_s: u32::try_from(longest_window_s?).ok()?,
        })
    }
}

pub(super) const RULE_KEYS: &[Key] = &[
    Key::new(
        "actions",
        "[\"*\"]",
        "What is counted: requests to routes of these actions, spelled as scopes are: *, read, write, session:login, thread:*.",
    ),
    Key::new(
        "by",
        "\"address\"",
        "Whose requests are counted together: address, account, key or everything.",
    ),
    Key::new("requests", "600", "Requests in one window; the next is answered 429 with Retry-After."),
    Key::new("window_s", "60", "Length of a window, in seconds."),
];

/// Reads every limit the operator names.
pub(super) fn read_rules(given: Option<&Node>, reading: &mut Reading) -> Option<BTreeMap<String, LimitRule>> {
    let mut rules = BTreeMap::new();
    let Some(node) = given else { return Some(rules) };
    let Value::Table(table) = &node.value else {
        let what = format!("rate limits are sections, not {}", node.value.kind());
        let mend = "write [rate_limits.login]";
        reading.problems.push(Problem::of("rate_limits", what, mend).at(&node.origin));
        return None;
    };
    for (name, node) in table {
        let section = Section::new(format!("rate_limits.{name}"), Some(node), RULE_KEYS, reading);
        if let Some(rule) = read_rule(name, section) {
            rules.insert(name.clone(), rule);
        }
    }
    (rules.len() == table.len()).then_some(rules)
}

fn read_rule(name: &str, mut section: Section<'_>) -> Option<LimitRule> {
    let actions = section.list("actions").and_then(|actions| match scopes::parse(section.catalogue(), &actions) {
        Ok(actions) => Some(actions),
        Err(error) => {
            let mend =
                "write *, read, write, resource:* or resource:action; docs/reference/actions.md lists them";
            section.refuse("actions", error.public_message(), mend);
            None
        }
    });
    let by = section.word(
        "by",
        &[
            ("address", By::Address),
            ("account", By::Account),
            ("key", By::Key),
            ("everything", By::Everything),
        ],
    );
    let requests = section.integer("requests", 1..=1_000_000_000);
    let window_s = section.integer("window_s", 1..=86_400);
    section.finish();
    Some(LimitRule {
        name: name.into(),
        actions: actions?,
        by: by?,
        requests: u32::try_from(requests?).ok()?,
        window_s: u32::try_from(window_s?).ok()?,
    })
}
