//! `[webhooks.NAME]`: where events are POSTed to.

use std::collections::BTreeMap;
use std::path::PathBuf;

use doorward_core::events::catalogue::{self, EventDef};
use doorward_core::events::webhooks::parse_secret;
use doorward_core::secret::SecretBytes;

use super::nearest::nearest;
use super::problem::Problem;
use super::section::{Key, Reading, Section};
use super::tree::{Node, Value};

/// Where events are POSTed to.
pub struct Webhook {
    /// The URL.
    pub url: String,
    /// What signs: the present secret, then the previous one while receivers change over.
    pub secrets: Vec<SecretBytes>,
    /// The files that secrets came from.
    pub secret_files: Vec<PathBuf>,
    /// The events it is told.
    pub events: Vec<&'static EventDef>,
    /// How long an event is tried.
    pub give_up_after_s: i64,
}

pub(super) const KEYS: &[Key] = &[
    Key::optional(
        "url",
        "\"https://hooks.example.com/doorward\"",
        "Where events are POSTed to, by https; origins inside are let through by outbound.allow.",
    ),
    Key::secret(
        "secret",
        "\"${DOORWARD_WEBHOOK_SECRET}\"",
        "What signs them: whsec_ and 24 to 64 random bytes in base64. Make one: echo whsec_$(openssl rand -base64 32)",
    ),
    Key::optional(
        "secret_file",
        "\"/etc/doorward/hook.secret\"",
        "A file that holds the secret instead. Mode 0600.",
    ),
    Key::secret(
        "previous_secret",
        "\"${DOORWARD_OLD_WEBHOOK_SECRET}\"",
        "Another one that signs as well, while receivers change over.",
    ),
    Key::optional(
        "previous_secret_file",
        "\"/etc/doorward/hook.old.secret\"",
        "A file that holds the previous secret instead. Mode 0600.",
    ),
    Key::new(
        "events",
        "[\"*\"]",
        "Which: *, or names such as user.created or on_user_created; docs/reference/events.md lists them.",
    ),
    Key::new(
        "give_up_after_s",
        "259200",
        "Seconds after which an event that was never taken is given up (3 days).",
    ),
];

/// Reads every webhook the operator names.
pub(super) fn read(given: Option<&Node>, reading: &mut Reading) -> Option<BTreeMap<String, Webhook>> {
    let Some(node) = given else { return Some(BTreeMap::new()) };
    let Value::Table(table) = &node.value else {
        let what = format!("webhooks are sections, not {}", node.value.kind());
        reading.problems.push(Problem::of("webhooks", what, "write [webhooks.audit]").at(&node.origin));
        return None;
    };
    let mut webhooks = BTreeMap::new();
    for (name, node) in table {
        let section = Section::new(format!("webhooks.{name}"), Some(node), KEYS, reading);
        if let Some(webhook) = read_one(section) {
            webhooks.insert(name.clone(), webhook);
        }
    }
    (webhooks.len() == table.len()).then_some(webhooks)
}

fn read_one(mut section: Section<'_>) -> Option<Webhook> {
    let url = section.text("url").filter(|url| url.starts_with("https://") || url.starts_with("http://"));
    if url.is_none() {
        section.refuse("url", "there is no URL", "write it like https://hooks.example.com/doorward");
    }
    let mut secret_files = Vec::new();
    let present = secret(&mut section, "secret", "secret_file", &mut secret_files);
    if present.is_none() && !section.is_given("secret") && !section.is_given("secret_file") {
        let mend = "make one with: echo whsec_$(openssl rand -base64 32)";
        section.refuse("secret", "there is no secret, so receivers could not tell who sends", mend);
    }
    let given = section.is_given("previous_secret") || section.is_given("previous_secret_file");
    let previous = secret(&mut section, "previous_secret", "previous_secret_file", &mut secret_files);
    let events = events(&mut section);
    let give_up_after_s = section.integer("give_up_after_s", 60..=2_592_000);
    section.finish();
    if given && previous.is_none() {
        return None;
    }
    Some(Webhook {
        url: url?,
        secrets: std::iter::once(present?).chain(previous).collect(),
        secret_files,
        events: events?,
        give_up_after_s: give_up_after_s?,
    })
}

fn secret(
    section: &mut Section<'_>,
    name: &'static str,
    file_name: &'static str,
    files: &mut Vec<PathBuf>,
) -> Option<SecretBytes> {
    if !section.is_given(name) && !section.is_given(file_name) {
        return None;
    }
    if section.is_given(file_name) {
        files.extend(section.path(file_name));
    }
    let text = section.secret(name, file_name)?;
    match parse_secret(text.expose()) {
        Ok(secret) => Some(secret),
        Err(what) => {
            section.refuse(name, what, "make one with: echo whsec_$(openssl rand -base64 32)");
            None
        }
    }
}

fn events(section: &mut Section<'_>) -> Option<Vec<&'static EventDef>> {
    let names = section.list("events")?;
    let told = || catalogue::ALL.iter().copied().filter(|def| def.leaves);
    if names.iter().any(|name| name == "*") {
        return Some(told().collect());
    }
    let mut events = Vec::new();
    for name in &names {
        match catalogue::find(name).filter(|def| def.leaves) {
            Some(def) => events.push(def),
            None => {
                let mend = match nearest(name, told().map(|def| def.name)) {
                    Some(near) => format!("did you mean {near}?"),
                    None => format!("known: {}", told().map(|def| def.name).collect::<Vec<_>>().join(", ")),
                };
                section.refuse("events", format!("webhooks are told no event {name:?}"), mend);
                return None;
            }
        }
    }
    if events.is_empty() {
        section.refuse("events", "it is empty", "name events, or *");
        return None;
    }
    Some(events)
}
