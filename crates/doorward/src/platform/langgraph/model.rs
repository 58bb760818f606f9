//! The model that a project's variables give access to: as its graph would find them, so the embedded agent does.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use doorward_core::secret::SecretText;
use serde_json::Value;

use super::{Env, env_file};
use crate::config::{Problem, Problems};
use crate::platform::Environment;

/// A provider of models as its own packages are told of it.
struct Provider {
    /// The variable with the key.
    key: &'static str,
    /// Variables with the address, the first that is set counts; and the address without them.
    base_urls: &'static [&'static str],
    usual_base_url: &'static str,
    /// Where beneath that address its chat completions are, if its own packages leave it out.
    beneath: &'static str,
    /// The variable with the model; and the model without it: the provider's small one.
    model: &'static str,
    usual_model: &'static str,
}

/// By preference: the template of LangGraph asks the first.
static PROVIDERS: &[Provider] = &[
    // https://platform.claude.com/docs, "OpenAI SDK compatibility"; ANTHROPIC_BASE_URL is without /v1.
    Provider {
        key: "ANTHROPIC_API_KEY",
        base_urls: &["ANTHROPIC_BASE_URL", "ANTHROPIC_API_URL"],
        usual_base_url: "https://api.anthropic.com",
        beneath: "/v1",
        model: "ANTHROPIC_MODEL",
        usual_model: "claude-haiku-5-5",
    },
    Provider {
        key: "OPENAI_API_KEY",
        base_urls: &["OPENAI_BASE_URL", "OPENAI_API_BASE"],
        usual_base_url: crate::model::OPENAI_URL,
        beneath: "",
        model: "OPENAI_MODEL",
        usual_model: "gpt-5.4-mini",
    },
];

/// Every variable that is looked at.
#[cfg(test)]
pub(crate) fn known_variables() -> Vec<&'static str> {
    let of = |provider: &Provider| [&[provider.key], provider.base_urls, &[provider.model]].concat();
    PROVIDERS.iter().flat_map(of).collect()
}

/// Whose a variable is.
#[derive(Clone, Copy)]
enum Holder {
    /// The project's own.
    Project,
    /// The server's: one of its variables that user code is given, or that the project's file refers to.
    Server,
}

impl Holder {
    fn told(self) -> &'static str {
        match self {
            Self::Project => "the project's own key and the address is the server's",
            Self::Server => "the server's own key and the address is the project's",
        }
    }
}

/// The model of a project. Not printable: it holds a key.
pub struct ProjectModel {
    /// The project's file.
    pub named_in: PathBuf,
    /// The variable with the key.
    pub variable: &'static str,
    /// The key.
    pub key: SecretText,
    /// Where the address comes from, and the address.
    pub base_url: (String, String),
    /// The model, as its server calls it.
    pub name: String,
}

/// Whether a text only stands where a key is to be: the sample of the tutorial is `your-anthropic-key`.
fn is_placeholder(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.starts_with("your-") || text.starts_with("your_") || text.starts_with('<') || text.ends_with("...")
}

/// The first model that the variables of the project hold a key for, or those of the process that user code is given: `passed` knows them. A
/// placeholder is no key, and the operator is told. The address is looked for where the key was found, and nowhere else.
///
/// # Errors
/// A `.env` that cannot be read; a reference in it that leads nowhere. One that is not there holds nothing.
pub(super) fn find(
    path: &Path,
    env: &Env<'_>,
    environment: Environment<'_>,
    passed: Environment<'_>,
    warnings: &mut Vec<String>,
) -> Result<Option<ProjectModel>, Problems> {
    let refused = |what: String, mend: &str| {
        Problems(vec![Problem::of(format!("env of {}", path.display()), what, mend)])
    };
    let file = match env {
        Env::File(file) => match env_file(file) {
            Ok(read) => Some(read),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                let what = format!("{}: {error}", file.display());
                return Err(refused(what, "name a readable .env, or leave env out"));
            }
        },
        Env::Nothing | Env::Given(_) => None,
    };
    let said = |value: String| Some(value.trim().to_owned()).filter(|value| !value.is_empty());
    let of_project = |name: &str| -> Result<Option<(String, Holder)>, Problems> {
        let is_referred = Cell::new(false);
        let referred = |name: &str| {
            let found = environment(name);
            is_referred.set(is_referred.get() || found.is_some());
            found
        };
        let own = match (&file, env) {
            (Some(file), _) => file.own(name, &referred).map_err(|missing| {
                let what = format!("{name} refers to {missing}, which is not set");
                refused(what, "set it, or write the value itself")
            })?,
            (None, Env::Given(given)) => {
                given.get(name).and_then(Value::as_str).map(|text| text.to_owned().into())
            }
            (None, _) => None,
        };
        let holder = if is_referred.get() { Holder::Server } else { Holder::Project };
        Ok(own.and_then(|value| said(value.to_string())).map(|value| (value, holder)))
    };
    let of_server = |name: &str| passed(name).and_then(said).map(|value| (value, Holder::Server));
    let variable = |name: &str| Ok::<_, Problems>(of_project(name)?.or_else(|| of_server(name)));
    for provider in PROVIDERS {
        let Some((key, holder)) = variable(provider.key)? else { continue };
        if is_placeholder(&key) {
            let what = "is a placeholder and no key, so no model is asked with it";
            warnings.push(format!("{}: {} {what}", path.display(), provider.key));
            continue;
        }
        let mut base_url = ("the provider's own address".to_owned(), provider.usual_base_url.to_owned());
        // Whoever writes the project's file could name an address of their own for the server's key; and what the server's operator says of
        // an address is not about a key of the project's.
        for name in provider.base_urls {
            let (own, others) = match holder {
                Holder::Project => (of_project(name)?, of_server(name)),
                Holder::Server => (of_server(name), of_project(name)?),
            };
            if let Some((given, _)) = own {
                base_url = ((*name).to_owned(), given);
                break;
            }
            if others.is_some() {
                warnings.push(format!(
                    "{}: {name} is not used: {} is {}; say both in [model]",
                    path.display(),
                    provider.key,
                    holder.told()
                ));
            }
        }
        let given = base_url.1.trim_end_matches('/');
        if !given.ends_with(provider.beneath) {
            base_url.1 = format!("{given}{}", provider.beneath);
        }
        let name = variable(provider.model)?.map(|(name, _)| name);
        let name = name.unwrap_or_else(|| provider.usual_model.to_owned());
        return Ok(Some(ProjectModel {
            named_in: path.to_path_buf(),
            variable: provider.key,
            key: SecretText::new(key),
            base_url,
            name,
        }));
    }
    Ok(None)
}
