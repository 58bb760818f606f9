//! Which model answers, if one does.
//!
//! ```text
//! agents.runner ─┬─ openai ──► [model] names a server or a key ─► that one, and its key alone
//!                │             else a project's variables hold a key ─► that provider; else refused
//!                ├─ another ─► none
//!                └─ not said ► a project's variables hold a key ─► that provider, and the operator is told; else none: echo
//! ```
//! Where a key goes and whose it is stay together: a project's key never goes to a server that `[model]` names, nor the other way round; and
//! the server's own never to an address that a project's file names.

use std::collections::BTreeMap;

use doorward_core::secret::SecretText;
use doorward_outbound::{BuildError, ModelServer, ModelUrl, is_key};

use crate::cli::Failure;
use crate::config::{Config, Problem};
use crate::openai_runner::{NAME, OpenAiRunner, OpenAiSettings};
use crate::platform::{Platform, ProjectModel};

/// Where OpenAI's own models are.
pub(crate) const OPENAI_URL: &str = "https://api.openai.com/v1";

/// What a project's address has to be.
const PROJECT_URL_MEND: &str = "give an address with https://, such as https://api.openai.com/v1, or on this machine; one that is neither is \
     for [model] to name, with its key";

/// The model that answers.
#[derive(Clone)]
pub(crate) struct ChosenModel {
    url: ModelUrl,
    key: Option<SecretText>,
    settings: OpenAiSettings,
}

impl ChosenModel {
    /// The runner that asks it. Nothing is asked yet: a server that is away keeps nobody from starting.
    ///
    /// # Errors
    /// Authorities to believe that cannot be used.
    pub(crate) fn runner(&self, config: &Config) -> Result<OpenAiRunner, Failure> {
        let ca_file = config.outbound.ca_file.clone();
        let server = ModelServer::new(self.url.clone(), self.key.clone(), ca_file);
        let server = server.map_err(|error| {
            let (BuildError::Authorities(what) | BuildError::Allow(what)) = error;
            let mend = "give a PEM file with certificates of authorities";
            Failure::refused(format!("outbound.ca_file: {what}"), mend)
        })?;
        Ok(OpenAiRunner::new(server, self.settings.clone()))
    }
}

/// The model that answers, if one does.
pub(crate) fn choose(
    config: &Config,
    platforms: &BTreeMap<String, Platform>,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<String>,
) -> Option<ChosenModel> {
    let is_said = config.says("agents.runner");
    let own = config.model.base_url.is_some() || config.model.api_key.is_some();
    if is_said && config.agents.runner != NAME {
        return None;
    }
    if !is_said && own {
        warnings.push(format!("model: nobody asks it; say agents.runner = {NAME:?}"));
        return None;
    }
    if own {
        return configured(config, problems);
    }
    // One runner answers for every mount that has no upstream of its own.
    let mounts = config.mounts.iter().filter(|mount| mount.upstream.is_none());
    let mut projects = mounts.filter_map(|mount| platforms.get(&mount.name)?.model.as_ref());
    let Some(project) = projects.next() else {
        if is_said {
            problems.push(Problem::of(
                "model.api_key",
                format!("there is no key for {OPENAI_URL}"),
                "say api_key = \"${OPENAI_API_KEY}\" in [model], or base_url for a server that wants none, such as \
                 http://127.0.0.1:11434/v1",
            ));
        }
        return None;
    };
    let chosen = of_project(config, project, problems)?;
    for other in projects {
        warnings.push(format!(
            "{}: {} is not used: all mounts share one agent, and it asks the model of {}",
            other.named_in.display(),
            other.variable,
            project.named_in.display()
        ));
    }
    if !is_said {
        warnings.push(format!(
            "{}: {} is set, so what people write in threads is answered by {} at {}; say agents.runner = \"echo\" to keep \
             it here",
            project.named_in.display(),
            project.variable,
            chosen.settings.model,
            chosen.url.origin()
        ));
    }
    Some(chosen)
}

fn configured(config: &Config, problems: &mut Vec<Problem>) -> Option<ChosenModel> {
    let model = &config.model;
    let Some(name) = model.name.clone() else {
        let mend = "say name in [model], such as \"gpt-5.4-mini\"; the server lists them at /models";
        problems.push(Problem::of("model.name", "nothing says which model is asked", mend));
        return None;
    };
    let usual = || ModelUrl::parse(OPENAI_URL, false).expect("it is an address");
    let url = model.base_url.clone().unwrap_or_else(usual);
    Some(ChosenModel { url, key: model.api_key.clone(), settings: settings(config, name) })
}

fn of_project(config: &Config, project: &ProjectModel, problems: &mut Vec<Problem>) -> Option<ChosenModel> {
    let place = |variable: &str| format!("{variable} beside {}", project.named_in.display());
    if !is_key(project.key.expose()) {
        problems.push(Problem::of(
            place(project.variable),
            "it holds blanks or letters that no key has",
            "give the key alone, or leave it empty",
        ));
        return None;
    }
    let (variable, text) = &project.base_url;
    // What the operator lets `[model]` do is not for an address of somebody else's.
    let url = ModelUrl::parse(text, false);
    let url = url.map_err(|what| problems.push(Problem::of(place(variable), what, PROJECT_URL_MEND))).ok()?;
    let name = config.model.name.clone().unwrap_or_else(|| project.name.clone());
    Some(ChosenModel { url, key: Some(project.key.clone()), settings: settings(config, name) })
}

fn settings(config: &Config, model: String) -> OpenAiSettings {
    let given = &config.model;
    OpenAiSettings {
        model,
        system: given.system.clone(),
        max_output_tokens: given.max_output_tokens,
        output_limit: given.output_limit,
        max_input_bytes: given.max_input_bytes,
        max_response_bytes: given.max_response_bytes,
        time_limit: given.time_limit,
        requests: given.requests,
        queue: given.queue,
    }
}

#[cfg(test)]
mod tests;
