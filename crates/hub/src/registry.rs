//! What clients offer each other: a service's record, who sees it, and which of several is meant.

use std::sync::Arc;

use doorward_protocols::hypha::address::{NAME_WANTED, is_name};
use doorward_protocols::hypha::value;
use rmpv::Value;

use crate::fault::Fault;
use crate::user::UserInfo;

/// Longest description.
const MAX_DESCRIPTION_CHARS: usize = 1024;
/// Largest record, in bytes.
const MAX_RECORD_BYTES: usize = 256 << 10;
/// Most workspaces that a protected service is shared with.
const MAX_AUTHORIZED: usize = 1000;

/// Who sees a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Everybody, and it is listed.
    Public,
    /// Whoever may be in the workspace.
    Protected,
    /// Everybody who knows its name.
    Unlisted,
}

impl Visibility {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "public" => Some(Self::Public),
            "protected" => Some(Self::Protected),
            "unlisted" => Some(Self::Unlisted),
            _ => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Protected => "protected",
            Self::Unlisted => "unlisted",
        }
    }
}

/// A service that somebody offers.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// The client that offers it.
    pub client: Arc<str>,
    /// Its own name.
    pub name: String,
    /// The app it belongs to, or `*`.
    pub app: String,
    /// Who sees it.
    pub visibility: Visibility,
    /// Whether the workspace has no other of its name.
    pub singleton: bool,
    /// `functions`, `asgi`, or any other word.
    pub kind: String,
    /// Workspaces whose members see it although it is protected.
    pub authorized: Vec<String>,
    /// Its record as clients are shown it, but for what only its own workspace sees.
    record: Value,
}

fn text<'v>(given: &'v Value, name: &str) -> Option<&'v str> {
    value::get(given, name).and_then(Value::as_str)
}

impl Service {
    /// Reads what a client says of a service. `workspace` and `client` are those of whoever says it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read(
        info: &Value,
        config: &Value,
        (workspace, client): (&str, &Arc<str>),
        user: &UserInfo,
    ) -> Result<Self, Fault> {
        if info.as_map().is_none() {
            return Err(Fault::value("a service is a map"));
        }
        let id = text(info, "id").ok_or_else(|| Fault::value("a service has an id"))?;
        let rest = match id.split_once('/') {
            Some((prefix, rest)) if prefix == workspace => rest,
            Some((prefix, _)) => {
                return Err(Fault::value(format!(
                    "Service ID workspace prefix '{prefix}' does not match the current workspace '{workspace}'"
                )));
            }
            None => id,
        };
        let (rest, app) = rest.split_once('@').unwrap_or((rest, ""));
        let name = match rest.split_once(':') {
            Some((prefix, name)) if prefix == &**client => name,
            Some((prefix, _)) => {
                return Err(Fault::permission(format!(
                    "Permission denied: the service's client '{prefix}' is not '{client}'"
                )));
            }
            None => rest,
        };
        if !is_name(name) {
            return Err(Fault::value(format!(
                "Invalid service id: {:?} ({NAME_WANTED})",
                name.chars().take(128).collect::<String>()
            )));
        }
        let app = Some(app).filter(|app| !app.is_empty()).or(text(info, "app_id")).unwrap_or("*");
        if app != "*" && !is_name(app) {
            return Err(Fault::value("Invalid app id"));
        }
        let given = value::get(info, "config").cloned().unwrap_or(Value::Map(Vec::new()));
        let visibility = text(config, "visibility").or(text(&given, "visibility")).unwrap_or("protected");
        let visibility = Visibility::parse(visibility)
            .ok_or_else(|| Fault::value("visibility is one of public, protected, unlisted"))?;
        let authorized = authorized(value::get(&given, "authorized_workspaces"), visibility)?;
        let singleton = value::get(&given, "singleton").and_then(Value::as_bool).unwrap_or(false);
        let kind = text(info, "type").unwrap_or("generic").to_owned();
        let description: String =
            text(info, "description").unwrap_or_default().chars().take(MAX_DESCRIPTION_CHARS).collect();
        let full = format!("{workspace}/{client}:{name}");
        let mut kept = given;
        value::set(&mut kept, "visibility", visibility.as_str().into());
        value::set(&mut kept, "workspace", workspace.into());
        value::set(&mut kept, "singleton", singleton.into());
        let by = if name == "built-in" {
            value::from_json(&user.to_json())
        } else {
            value::map([("id", user.id.as_str().into())])
        };
        value::set(&mut kept, "created_by", by);
        for (absent, stands) in [
            ("flags", Value::Array(Vec::new())),
            ("require_context", false.into()),
            ("service_embedding", Value::Nil),
        ] {
            if value::get(&kept, absent).is_none() {
                value::set(&mut kept, absent, stands);
            }
        }
        let record = value::map([
            ("config", kept),
            ("id", full.into()),
            ("name", text(info, "name").unwrap_or(name).into()),
            ("type", kind.as_str().into()),
            ("description", description.into()),
            ("docs", value::get(info, "docs").cloned().unwrap_or(Value::Nil)),
            ("app_id", app.into()),
            ("service_schema", value::get(info, "service_schema").cloned().unwrap_or(Value::Nil)),
        ]);
        if value::write(&record).len() > MAX_RECORD_BYTES {
            return Err(Fault::value("a service's record takes at most 256 KiB"));
        }
        Ok(Self {
            client: Arc::clone(client),
            name: name.to_owned(),
            app: app.to_owned(),
            visibility,
            singleton,
            kind,
            authorized,
            record,
        })
    }

    /// Its record, for those in its own workspace with whom it is shared.
    #[must_use]
    pub fn record(&self, within: bool) -> Value {
        let mut record = self.record.clone();
        if let Value::Map(entries) = &mut record
            && let Some((_, config)) = entries.iter_mut().find(|(key, _)| key.as_str() == Some("config"))
        {
            let authorized = match self.authorized.as_slice() {
                [] => Value::Nil,
                some => Value::Array(some.iter().map(|one| one.as_str().into()).collect()),
            };
            // With whom else it is shared is nobody else's business.
            value::set(config, "authorized_workspaces", if within { authorized } else { Value::Nil });
        }
        record
    }

    /// `workspace/client:name`.
    #[must_use]
    pub fn id(&self) -> &str {
        text(&self.record, "id").unwrap_or_default()
    }

    /// Whether everybody may see it, or those of this workspace.
    #[must_use]
    pub fn is_shown_to(&self, workspace: &str) -> bool {
        self.visibility != Visibility::Protected || self.authorized.iter().any(|one| one == workspace)
    }
}

fn authorized(given: Option<&Value>, visibility: Visibility) -> Result<Vec<String>, Fault> {
    match given {
        None | Some(Value::Nil) => Ok(Vec::new()),
        Some(Value::Array(list)) if list.len() <= MAX_AUTHORIZED => {
            if visibility != Visibility::Protected {
                let what = format!(
                    "authorized_workspaces can only be set when visibility is 'protected', got visibility='{}'",
                    visibility.as_str()
                );
                return Err(Fault::value(what));
            }
            let names = list.iter().map(|one| one.as_str().filter(|one| is_name(one)).map(str::to_owned));
            names
                .collect::<Option<_>>()
                .ok_or_else(|| Fault::value("authorized_workspaces is a list of workspaces' ids"))
        }
        Some(_) => Err(Fault::value("authorized_workspaces is a list of at most 1000 workspaces' ids")),
    }
}

/// Which of several services of one name is meant.
pub(crate) fn choose(
    mut found: Vec<Arc<Service>>,
    wanted: &str,
    mode: Option<&str>,
    random: u64,
) -> Result<Arc<Service>, Fault> {
    match (found.len(), mode) {
        (0, _) => Err(Fault::key(format!("Service not found: {wanted}"))),
        (1, _) | (_, Some("first")) => Ok(found.swap_remove(0)),
        (count, Some("last")) => Ok(found.swap_remove(count - 1)),
        (count, Some("random" | "native:random")) => {
            let at = usize::try_from(random % count as u64).unwrap_or(0);
            Ok(found.swap_remove(at))
        }
        (_, None | Some("exact")) => Err(Fault::assertion(format!(
            "Multiple services found for {wanted}. You can either specify the mode as 'random', 'first', 'last' \
             or use the service id in the format of 'workspace/client_id:service_id'"
        ))),
        (_, Some(_)) => Err(Fault::value("Invalid mode: it is one of exact, random, first, last")),
    }
}
