//! Which model answers, from a configuration, a project and the process's variables.

use std::fs;

use super::*;
use crate::config::Sources;
use crate::platform::langgraph;

const UPSTREAM: &str = "upstream = \"http://127.0.0.1:9\"\n";
const ECHO: &str = "[agents]\nrunner = \"echo\"\n";
const OPENAI: &str = "[agents]\nrunner = \"openai\"\n";

struct Found {
    chosen: Option<ChosenModel>,
    problems: Vec<String>,
    warnings: Vec<String>,
}

impl Found {
    /// Where, what, and with which key; of a model that answers without a problem.
    fn asked(&self) -> Option<(&ModelUrl, &str, Option<&str>)> {
        assert!(self.problems.is_empty(), "{:?}", self.problems);
        self.chosen.as_ref().map(|chosen| {
            (
                &chosen.url,
                chosen.settings.model.as_str(),
                chosen.key.as_ref().map(|key| key.expose().as_str()),
            )
        })
    }
}

/// `mount` and `rest` are lines of doorward.toml; `env` is what `env` of langgraph.json is; `passed` what user code is given of the process's.
fn found(mount: &str, rest: &str, env: &str, dotenv: Option<&str>, passed: &[(&str, &str)]) -> Found {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    fs::write(path("langgraph.json"), format!(r#"{{"graphs": {{"agent": "a.py:g"}}, "env": {env}}}"#))
        .expect("written");
    if let Some(text) = dotenv {
        fs::write(path(".env"), text).expect("written");
    }
    let mount =
        format!("[mounts.langgraph]\nsurface = \"langgraph\"\nlanggraph = \"langgraph.json\"\n{mount}{rest}");
    fs::write(path("doorward.toml"), mount).expect("written");
    let config = Sources { file: Some(path("doorward.toml")), ..Sources::default() }.read();
    let config = config.unwrap_or_else(|problems| unreachable!("{:?}", problems.0));
    let variable =
        |name: &str| passed.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let (mut problems, mut warnings) = (Vec::new(), Vec::new());
    let mut platforms = BTreeMap::new();
    match langgraph::read(&path("langgraph.json"), &variable, &variable) {
        Ok(mut platform) => {
            warnings.extend(platform.warnings.drain(..).filter(|told| told.contains("_API_KEY")));
            platforms.insert("langgraph".to_owned(), platform);
        }
        Err(mut found) => problems.append(&mut found.0),
    }
    let chosen = choose(&config, &platforms, &mut problems, &mut warnings);
    Found { chosen, problems: problems.iter().map(ToString::to_string).collect(), warnings }
}

fn of_dotenv(rest: &str, dotenv: &str) -> Found {
    found("", rest, "\".env\"", Some(dotenv), &[])
}

fn url(text: &str) -> ModelUrl {
    ModelUrl::parse(text, false).expect("an address")
}

#[test]
fn a_key_of_the_project_is_asked_at_its_provider_and_the_operator_is_told() {
    let (anthropic, openai) = ("https://api.anthropic.com/v1", OPENAI_URL);
    let local = "http://127.0.0.1:9/v1";
    let cases: &[(&str, &str, &str, &str, &str)] = &[
        ("the sample", "ANTHROPIC_API_KEY=sk-a\n", anthropic, "claude-haiku-5-5", "sk-a"),
        ("OpenAI", "OPENAI_API_KEY='sk-o'\n", openai, "gpt-5.4-mini", "sk-o"),
        ("both", "OPENAI_API_KEY=sk-o\nANTHROPIC_API_KEY=sk-a\n", anthropic, "claude-haiku-5-5", "sk-a"),
        ("one is empty", "ANTHROPIC_API_KEY=\nOPENAI_API_KEY=sk-o\n", openai, "gpt-5.4-mini", "sk-o"),
        (
            "another address",
            "OPENAI_API_KEY=k\nOPENAI_BASE_URL=http://127.0.0.1:9/v1/\nOPENAI_MODEL=small\n",
            local,
            "small",
            "k",
        ),
        (
            "the older name of it",
            "OPENAI_API_KEY=k\nOPENAI_API_BASE=http://127.0.0.1:9/v1\n",
            local,
            "gpt-5.4-mini",
            "k",
        ),
        (
            "an address without /v1",
            "ANTHROPIC_API_KEY=k\nANTHROPIC_BASE_URL=http://127.0.0.1:9\nANTHROPIC_MODEL=big\n",
            local,
            "big",
            "k",
        ),
        (
            "an address with /v1",
            "ANTHROPIC_API_KEY=k\nANTHROPIC_BASE_URL=http://127.0.0.1:9/v1/\n",
            local,
            "claude-haiku-5-5",
            "k",
        ),
    ];
    for (name, dotenv, address, model, key) in cases {
        let found = of_dotenv("", dotenv);
        assert_eq!(found.asked(), Some((&url(address), *model, Some(*key))), "{name}");
        let [told] = found.warnings.as_slice() else { unreachable!("{name}: {:?}", found.warnings) };
        assert!(told.contains(model) && told.contains("agents.runner"), "{name}: {told}");
        assert!(!told.contains("sk-"), "{name}: {told}");
    }
    let given = found("", "", r#"{"OPENAI_API_KEY": "sk-o"}"#, None, &[]);
    assert_eq!(given.asked(), Some((&url(openai), "gpt-5.4-mini", Some("sk-o"))));
    let passed = [("OPENAI_API_KEY", "sk-p"), ("OPENAI_MODEL", "m")];
    for (dotenv, key) in
        [(None, "sk-p"), (Some("OPENAI_API_KEY=\n"), "sk-p"), (Some("OPENAI_API_KEY=sk-o\n"), "sk-o")]
    {
        let given = found("", "", "\".env\"", dotenv, &passed);
        assert_eq!(given.asked(), Some((&url(openai), "m", Some(key))), "{dotenv:?}");
    }
}

#[test]
fn without_a_key_or_with_another_runner_no_model_is_asked() {
    let key = "OPENAI_API_KEY=sk-o\n";
    for (name, nothing) in [
        ("no .env", found("", "", "\".env\"", None, &[])),
        ("no env", found("", "", "null", None, &[])),
        ("no key", of_dotenv("", "OTHER=x\nOPENAI_MODEL=small\n")),
        ("an empty key", of_dotenv("", "OPENAI_API_KEY=\"\"\n")),
        ("echo is said", of_dotenv(ECHO, key)),
        ("an agent server behind", found(UPSTREAM, "", "\".env\"", Some(key), &[])),
    ] {
        assert_eq!(nothing.asked(), None, "{name}");
        assert!(nothing.warnings.is_empty(), "{name}: {:?}", nothing.warnings);
    }
}

#[test]
fn the_placeholder_of_a_sample_is_no_key_and_the_operator_is_told() {
    for placeholder in ["your-anthropic-key", "YOUR_API_KEY", "<key>", "sk-ant-..."] {
        let found =
            of_dotenv("", &format!("ANTHROPIC_API_KEY={placeholder}  # For the LLM in our chatbot\n"));
        assert_eq!(found.asked(), None, "{placeholder}");
        let [told] = found.warnings.as_slice() else { unreachable!("{placeholder}: {:?}", found.warnings) };
        assert!(told.contains("ANTHROPIC_API_KEY") && !told.contains(placeholder), "{told}");
    }
    let other = of_dotenv("", "ANTHROPIC_API_KEY=your-anthropic-key\nOPENAI_API_KEY=sk-o\n");
    assert_eq!(other.asked().map(|(url, ..)| url.origin()), Some("https://api.openai.com"));
}

#[test]
fn what_the_configuration_says_of_the_model_comes_before_the_project_and_keys_stay_with_their_servers() {
    let key = "OPENAI_API_KEY=sk-o\n";
    let named = of_dotenv("[model]\nname = \"mine\"\nsystem = \"be brief\"\n", key);
    assert_eq!(named.asked(), Some((&url(OPENAI_URL), "mine", Some("sk-o"))));
    assert_eq!(named.chosen.and_then(|chosen| chosen.settings.system).as_deref(), Some("be brief"));
    let said = of_dotenv(OPENAI, key);
    assert_eq!(said.asked().map(|(_, _, key)| key), Some(Some("sk-o")));
    assert!(said.warnings.is_empty(), "who says openai knows: {:?}", said.warnings);
    let own = format!("{OPENAI}[model]\nname = \"m\"\nbase_url = \"http://127.0.0.1:9/v1\"\n");
    assert_eq!(of_dotenv(&own, key).asked(), Some((&url("http://127.0.0.1:9/v1"), "m", None)));
    let own = format!("{OPENAI}[model]\nname = \"m\"\napi_key = \"sk-own\"\n");
    assert_eq!(of_dotenv(&own, key).asked(), Some((&url(OPENAI_URL), "m", Some("sk-own"))));
    let unasked = of_dotenv("[model]\nbase_url = \"http://127.0.0.1:9/v1\"\n", key);
    assert_eq!(unasked.asked(), None);
    assert!(unasked.warnings.iter().any(|told| told.contains("agents.runner")), "{:?}", unasked.warnings);
}

#[test]
fn what_cannot_be_asked_is_refused_with_its_place_and_without_the_key() {
    let no_name = format!("{OPENAI}[model]\nbase_url = \"http://127.0.0.1:9/v1\"\n");
    let cases: &[(&str, Found, &str)] = &[
        ("no key", of_dotenv(OPENAI, "OTHER=x\n"), "model.api_key"),
        ("no name", of_dotenv(&no_name, ""), "model.name"),
        ("blanks", of_dotenv("", "OPENAI_API_KEY=\"sk-secret sk-secret\"\n"), "OPENAI_API_KEY"),
        (
            "in the clear",
            of_dotenv("", "OPENAI_API_KEY=sk-secret\nOPENAI_BASE_URL=http://10.0.0.1/v1\n"),
            "OPENAI_BASE_URL",
        ),
        (
            "no address",
            of_dotenv("", "ANTHROPIC_API_KEY=sk-secret\nANTHROPIC_BASE_URL=x\n"),
            "ANTHROPIC_BASE_URL",
        ),
        ("nobody sets it", of_dotenv("", "OPENAI_API_KEY=${NOWHERE}\n"), "NOWHERE"),
        ("no file", found("", "", "\".\"", None, &[]), "env of "),
        ("no path", found("", "", "5", None, &[]), "env of "),
    ];
    for (name, found, place) in cases {
        assert!(found.chosen.is_none(), "{name}");
        let [problem] = found.problems.as_slice() else { unreachable!("{name}: {:?}", found.problems) };
        assert!(problem.contains(place) && !problem.contains("sk-secret"), "{name}: {problem}");
    }
    // What is said of the server's own address lets no project's go in the clear.
    let meant = "[model]\nplain_http = true\n";
    let found = of_dotenv(meant, "OPENAI_API_KEY=sk-secret\nOPENAI_BASE_URL=http://10.0.0.1/v1\n");
    let [problem] = found.problems.as_slice() else { unreachable!("{:?}", found.problems) };
    assert!(found.chosen.is_none() && problem.contains("OPENAI_BASE_URL"), "{problem}");
    assert!(!problem.contains("plain_http"), "{problem}");
}

#[test]
fn a_key_is_sent_to_no_address_that_somebody_else_names() {
    let passed = [("OPENAI_API_KEY", "sk-server")];
    let evil = r#"{"OPENAI_BASE_URL": "https://evil.example/v1"}"#;
    let evil_file = Some("OPENAI_BASE_URL=https://evil.example/v1\n");
    let referring = Some("OPENAI_API_KEY=${OPENAI_API_KEY}\nOPENAI_BASE_URL=https://evil.example/v1\n");
    let address = ("OPENAI_BASE_URL", "https://server.example/v1");
    let usual = OPENAI_URL;
    for (name, found, key, expected, told) in [
        ("a project's address", found("", "", evil, None, &passed), "sk-server", usual, true),
        ("in its .env", found("", "", "\".env\"", evil_file, &passed), "sk-server", usual, true),
        ("a reference", found("", "", "\".env\"", referring, &passed), "sk-server", usual, true),
        (
            "the server's address",
            found("", "", r#"{"OPENAI_API_KEY": "sk-own"}"#, None, &[address]),
            "sk-own",
            usual,
            true,
        ),
        (
            "both are the server's",
            found("", "", evil, None, &[passed[0], address]),
            "sk-server",
            "https://server.example/v1",
            false,
        ),
        (
            "both are the project's",
            found(
                "",
                "",
                "\".env\"",
                Some("OPENAI_API_KEY=sk-own\nOPENAI_BASE_URL=https://own.example/v1\n"),
                &[passed[0], address],
            ),
            "sk-own",
            "https://own.example/v1",
            false,
        ),
    ] {
        assert_eq!(
            found.asked().map(|(url, _, key)| (url, key)),
            Some((&url(expected), Some(key))),
            "{name}"
        );
        let is_told = found.warnings.iter().any(|told| told.contains("OPENAI_BASE_URL is not used"));
        assert_eq!(is_told, told, "{name}: {:?}", found.warnings);
        assert!(!found.warnings.iter().any(|told| told.contains("sk-")), "{name}: {:?}", found.warnings);
    }
}
