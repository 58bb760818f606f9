use std::fs;
use std::path::Path;

use doorward_core::secret::SecretText;

use super::*;

fn sources(directory: &Path, text: &str) -> Sources {
    let file = directory.join("doorward.toml");
    fs::write(&file, text).expect("written");
    Sources { file: Some(file), ..Sources::default() }
}

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn flag(key: &str, value: &str, flag: &'static str) -> Flag {
    Flag { key: key.to_owned(), value: value.to_owned(), flag }
}

fn problems(sources: &Sources) -> Vec<String> {
    match sources.read() {
        Ok(_) => Vec::new(),
        Err(problems) => problems.0.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn defaults_alone_are_a_configuration() {
    let config = Sources::default().read().expect("defaults are good");
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8420");
    assert_eq!(config.tokens.access_ttl_s, 3_600);
    assert_eq!(config.tokens.algorithm.name(), "ES256");
    assert_eq!(config.mounts.len(), 1);
    assert_eq!((config.mounts[0].name.as_str(), config.mounts[0].prefix.as_str()), ("native", ""));
    assert!(!config.mounts[0].sign_up);
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut sources =
        sources(directory.path(), "[server]\nlisten = \"127.0.0.1:1\"\n[limits]\nfailures = 5\n");
    let listen = |sources: &Sources| sources.read().expect("good").server.listen.port();
    assert_eq!(listen(&sources), 1);
    sources.environment = variables(&[("DOORWARD__SERVER__LISTEN", "127.0.0.1:2"), ("OTHER", "x")]);
    assert_eq!(listen(&sources), 2);
    sources.flags = vec![flag("server.listen", "127.0.0.1:3", "--listen")];
    assert_eq!(listen(&sources), 3);
    let config = sources.read().expect("good");
    assert_eq!(config.limits.failures, 5, "what the upper layers do not name stays");
    let origin = |key: &str| {
        config.settings.iter().find(|s| s.key == key).map(|s| s.origin.to_string()).expect("shown")
    };
    assert_eq!(origin("server.listen"), "--listen");
    assert!(origin("limits.failures").ends_with("doorward.toml:4"));
    assert_eq!(origin("limits.window_s"), "default");
}

#[test]
fn every_kind_of_value_can_come_from_the_environment() {
    let sources = Sources {
        environment: variables(&[
            ("DOORWARD__TOKENS__ACCESS_TTL_S", "60"),
            ("DOORWARD__SERVER__TRUSTED_PROXIES", "10.0.0.0/8, ::1"),
            ("DOORWARD__MOUNTS__AGENTFLOW__ALLOW_ANONYMOUS", "true"),
            ("DOORWARD__MOUNTS__AGENTFLOW__UPSTREAM", "http://127.0.0.1:8000/"),
            ("DOORWARD__ROLES__EDITOR__PERMISSIONS", "thread:*"),
        ]),
        ..Sources::default()
    };
    let config = sources.read().map_err(|problems| problems.to_string()).expect("good");
    assert_eq!(config.tokens.access_ttl_s, 60);
    assert_eq!(config.server.trusted_proxies.len(), 2);
    assert!(config.mounts[1].allow_anonymous);
    assert_eq!(config.mounts[1].upstream.as_deref(), Some("http://127.0.0.1:8000"));
    assert_eq!(config.mounts[1].prefix, "/agentflow");
    assert_eq!(config.roles["editor"].permissions, ["thread:*"]);
}

#[test]
fn everything_wrong_is_reported_at_once_with_place_and_mending() {
    let directory = tempfile::tempdir().expect("a directory");
    let text = "[server]\nlisten = \"nowhere\"\ntrusted_proxy = []\n\n[tokens]\nalgorithm = \"ES25\"\naccess_ttl_s = 0\n\n[colour]\n";
    let found = problems(&sources(directory.path(), text));
    let cases = [
        ("colour", "unknown section", "known: server"),
        ("server.listen", "\"nowhere\" is not an address and port", "write it like 127.0.0.1:8420"),
        ("server.trusted_proxy", "unknown key", "did you mean trusted_proxies?"),
        ("tokens.access_ttl_s", "0 is out of range", "give a number from 1 to"),
        ("tokens.algorithm", "\"ES25\" is not known", "did you mean \"ES2"),
    ];
    assert_eq!(found.len(), cases.len(), "{found:#?}");
    for (key, what, mend) in cases {
        let problem = found.iter().find(|text| text.starts_with(key)).expect(key);
        assert!(problem.contains(what) && problem.contains(mend), "{problem}");
        assert!(problem.contains("doorward.toml:"), "{problem}");
    }
}

#[test]
fn bad_settings_are_refused_by_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let cases: &[(&str, &str, &str)] = &[
        ("not TOML", "[server\n", "this is not TOML"),
        ("the same key twice", "[log]\nlevel = \"info\"\nlevel = \"warn\"\n", "this is not TOML"),
        ("a number for a text", "[store]\npath = 5\n", "this is a number, not a text"),
        ("a section for a key", "[store.path]\nx = 1\n", "this is a section, not a text"),
        ("a key for a section", "store = 5\n", "this is a section, not a number"),
        ("a text for a number", "[limits]\nfailures = \"5\"\n", "this is a text, not a whole number"),
        ("a fraction", "[limits]\nfailures = 5.5\n", "a number with a fraction, not a whole number"),
        ("an unset variable", "[store]\npath = \"${NO_SUCH}\"\n", "the variable NO_SUCH is not set"),
        ("a mixed list", "[server]\ntrusted_proxies = [\"::1\", 5]\n", "not a text"),
        (
            "a bad network",
            "[server]\ntrusted_proxies = [\"proxy\"]\n",
            "\"proxy\" is not an address or network",
        ),
        ("an unknown surface", "[mounts.chat]\n", "no surface is called chat"),
        ("a bad mount name", "[mounts.\"a b\"]\n", "cannot be a mount's name"),
        ("a bad prefix", "[mounts.agentflow]\nprefix = \"/a//b\"\n", "cannot be a prefix"),
        ("a dotted prefix", "[mounts.agentflow]\nprefix = \"/a/..\"\n", "cannot be a prefix"),
        ("https upstream", "[mounts.agentflow]\nupstream = \"https://x\"\n", "not an agent server's address"),
        ("native upstream", "[mounts.native]\nupstream = \"http://x\"\n", "no agent server behind it"),
        ("no such action", "[rate_limits.a]\nactions = [\"thread:fly\"]\n", "thread:fly"),
        ("counted by nothing there is", "[rate_limits.a]\nby = \"people\"\n", "people"),
        ("a limit of none", "[rate_limits.a]\nrequests = 0\n", "rate_limits.a.requests"),
        ("a limit that is no section", "[rate_limits]\nlogin = 5\n", "rate_limits.login"),
        (
            "an issuer nobody described",
            "[mounts.native]\nissuers = [\"compny\"]\n",
            "there is no issuer \"compny\"",
        ),
        (
            "an issuer nearly described",
            "[mounts.native]\nissuers = [\"compny\"]\n[issuers.company]\nissuer = \"https://i\"\naudience = [\"a\"]\n",
            "did you mean \"company\"?",
        ),
        ("an issuer for nobody", "[issuers.a]\nissuer = \"https://i\"\n", "no audience is named"),
        ("an issuer without a name", "[issuers.a]\naudience = [\"a\"]\n", "issuers.a.issuer"),
        (
            "an issuer called local",
            "[issuers.local]\nissuer = \"x\"\naudience = [\"a\"]\n",
            "cannot be an issuer's name",
        ),
        (
            "an issuer called like a mount",
            "[issuers.native]\nissuer = \"x\"\naudience = [\"a\"]\n",
            "would vouch for the same subjects",
        ),
        (
            "an issuer twice",
            "[issuers.a]\nissuer = \"x\"\naudience = [\"a\"]\n[issuers.b]\nissuer = \"x\"\naudience = [\"a\"]\n",
            "have the same issuer",
        ),
        (
            "keys at no URL",
            "[issuers.a]\nissuer = \"x\"\naudience = [\"a\"]\njwks_url = \"jwks.json\"\n",
            "is not a URL",
        ),
        (
            "an issuer's keys for HMAC",
            "[issuers.a]\nissuer = \"x\"\naudience = [\"a\"]\nalgorithm = \"HS256\"\n",
            "is not known",
        ),
        ("an origin with a path", "[outbound]\nallow = [\"https://x/y\"]\n", "is not an origin"),
        ("everything allowed", "[outbound]\nallow = [\"*\"]\n", "is not an origin"),
        ("a webhook without a secret", "[webhooks.a]\nurl = \"https://x\"\n", "there is no secret"),
        ("unknown parent", "[roles.a]\ninherits = [\"premum\"]\n", "did you mean \"premium\"?"),
        (
            "a permission of nothing",
            "[roles.a]\npermissions = [\"thread:fly\"]\n",
            "\"thread:fly\" names nothing",
        ),
        ("Doorward's own role", "[roles.system]\n", "cannot be a role"),
        ("a circle", "[roles.a]\ninherits = [\"b\"]\n[roles.b]\ninherits = [\"a\"]\n", "inherits itself"),
        ("too little memory", "[passwords]\nmemory_kib = 20000\n", "one pass is too few"),
        ("absolute below refresh", "[tokens]\nabsolute_ttl_s = 60\n", "less than refresh_ttl_s"),
        ("a log level", "[log]\nlevel = \"a=b=c\"\n", "give error, warn"),
        (
            "two master keys",
            "[secrets]\nmaster_key = \"a\"\nmaster_key_file = \"b\"\n",
            "master_key and master_key_file are both given",
        ),
        ("an absent secret file", "[secrets]\nmaster_key_file = \"absent\"\n", "absent: No such file"),
    ];
    for (name, text, expected) in cases {
        let found = problems(&sources(directory.path(), text));
        assert!(found.iter().any(|problem| problem.contains(expected)), "{name}: {found:#?}");
    }
}

#[test]
fn a_nearer_source_replaces_the_other_spelling_of_a_secret() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("key"), "from-file\n").expect("written");
    let mut sources = sources(directory.path(), "[secrets]\nmaster_key_file = \"key\"\n");
    let key = |sources: &Sources| {
        let config = sources.read().map_err(|problems| problems.to_string()).expect("good");
        config.secrets.master_key.map(|key| key.expose().clone())
    };
    assert_eq!(key(&sources).as_deref(), Some("from-file"));
    sources.environment = variables(&[("DOORWARD__SECRETS__MASTER_KEY", "from-environment")]);
    assert_eq!(key(&sources).as_deref(), Some("from-environment"));
}

#[test]
fn secrets_are_never_shown() {
    let sources = Sources {
        environment: variables(&[("DOORWARD__SECRETS__MASTER_KEY", "hunter2-hunter2")]),
        ..Sources::default()
    };
    let config = sources.read().map_err(|problems| problems.to_string()).expect("good");
    let shown: Vec<_> = config.settings.iter().filter(|s| s.key == "secrets.master_key").collect();
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0].value, "\"…\"");
    assert!(!format!("{:?}", config.settings).contains("hunter2"));
}

#[test]
fn misnamed_variables_are_refused() {
    for name in
        ["DOORWARD__LISTEN", "DOORWARD__SERVER__", "DOORWARD__SERVER__LISTN", "DOORWARD__SEVER__LISTEN"]
    {
        let sources = Sources { environment: variables(&[(name, "x")]), ..Sources::default() };
        let found = problems(&sources);
        assert!(found.len() == 1 && found[0].contains(name), "{found:?}");
    }
    let ours = Sources { environment: variables(&[("DOORWARD_MASTER_KEY", "x")]), ..Sources::default() };
    assert_eq!(problems(&ours), Vec::<String>::new(), "one underscore is the operator's own variable");
}

/// Given in the place of another: both at once are a contradiction.
fn stands_for_another(name: &str) -> bool {
    matches!(name, "master_key_file" | "url_file" | "password_file" | "bind_password_file" | "introspection_url")
        || name.ends_with("secret_file")
        || name == "otlp_headers_file"
        // Of hubs alone.
        || matches!(name, "client_script_dir" | "oauth_callback" | "jwt_secret")
}

/// Every setting with its default or sample, but this one.
fn samples(but: Option<(&str, &str)>) -> String {
    let section = |row: &SectionRow| {
        let settings = row.keys.iter().filter(|key| !stands_for_another(key.name));
        let settings = settings.filter(|key| but != Some((row.heading, key.name)));
        let lines = settings.map(|key| {
            let value = if key.default.is_empty() { key.sample } else { key.default };
            assert!(!value.is_empty(), "{}", key.name);
            format!("{} = {value}\n", key.name)
        });
        format!("[{}]\n{}", row.heading, lines.collect::<String>())
    };
    SECTIONS.iter().map(section).collect()
}

/// What the samples take from the environment.
const OF_SAMPLES: &[(&str, &str)] = &[
    ("DOORWARD_MASTER_KEY", "k"),
    ("DOORWARD_STORE_URL", "u"),
    ("DOORWARD_WEBHOOK_SECRET", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
    ("DOORWARD_OLD_WEBHOOK_SECRET", "whsec_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"),
    ("DOORWARD_SMTP_PASSWORD", "s"),
    ("DOORWARD_LDAP_PASSWORD", "s"),
    ("GOOGLE_CLIENT_SECRET", "s"),
    ("REMOTE_TOKENS_SECRET", "s"),
    ("COLLECTOR_KEY", "s"),
];

#[test]
fn every_row_of_the_table_is_read_and_has_a_value_to_show() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut sources = sources(directory.path(), &samples(None));
    sources.environment = variables(OF_SAMPLES);
    let config = sources.read().map_err(|problems| problems.to_string()).expect("the samples are good");
    for row in SECTIONS {
        for key in row.keys.iter().filter(|key| !stands_for_another(key.name)) {
            let name = format!("{}.{}", row.heading, key.name);
            assert!(config.settings.iter().any(|setting| setting.key == name), "{name} is not read");
        }
    }
}

/// What came of a secret, as it is shown to whoever it is for. A new one fails here until it has a line.
fn secret_of(config: &Config, heading: &str, name: &str) -> Option<Vec<u8>> {
    let text = |secret: &SecretText| secret.expose().as_bytes().to_vec();
    match (heading, name) {
        ("store", "url") => Some(text(&config.store.address())),
        ("secrets", "master_key") => config.secrets.master_key.as_ref().map(text),
        ("mounts.agentflow", "jwt_secret") => {
            config.mounts.iter().find(|mount| mount.name == "hypha")?.jwt_secret.as_ref().map(text)
        }
        ("remote_tokens.supabase", "secret") => config.remote_tokens["supabase"].secret.as_ref().map(text),
        ("providers.google", "client_secret") => config.providers["google"].client_secret.as_ref().map(text),
        ("ldap", "bind_password") => config.ldap.bind_password.as_ref().map(text),
        ("telemetry", "otlp_headers") => Some(config.telemetry.headers.get("x-key")?.as_bytes().to_vec()),
        ("mail", "password") => config.mail.password.as_ref().map(text),
        ("webhooks.audit", "secret") => {
            config.webhooks["audit"].secrets.first().map(|secret| secret.expose().to_vec())
        }
        ("webhooks.audit", "previous_secret") => {
            config.webhooks["audit"].secrets.get(1).map(|secret| secret.expose().to_vec())
        }
        _ => panic!("{heading}.{name}: a secret that this test does not know"),
    }
}

#[test]
fn every_secret_can_come_from_the_environment_and_from_a_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("secret");
    let secrets = SECTIONS.iter().flat_map(|row| row.keys.iter().map(move |key| (row, key)));
    for (row, key) in secrets.filter(|(_, key)| key.secret) {
        let (heading, name) = (row.heading, key.name);
        let in_file = format!("{name}_file");
        let file = row.keys.iter().find(|key| key.name == in_file);
        assert!(file.is_some_and(|key| !key.secret), "{heading}.{name} has no {in_file}");
        let (text, bytes) = match heading {
            "webhooks.audit" => ("whsec_Q0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0ND", vec![b'C'; 24]),
            "telemetry" => ("x-key=hunter2-hunter2", b"hunter2-hunter2".to_vec()),
            _ => ("hunter2-hunter2", b"hunter2-hunter2".to_vec()),
        };
        fs::write(&path, format!("{text}\n")).expect("written");
        let section = if name == "jwt_secret" { "mounts.hypha" } else { heading };
        let variable = |key: &str| format!("DOORWARD__{}__{key}", section.replace('.', "__")).to_uppercase();
        for (variable, value) in
            [(variable(name), text), (variable(&in_file), path.to_str().expect("a text"))]
        {
            let mut sources = sources(directory.path(), &samples(Some((heading, name))));
            sources.environment = variables(&[OF_SAMPLES, &[(&*variable, value)]].concat());
            let config = sources.read().map_err(|problems| format!("{variable}: {problems}")).expect("good");
            assert_eq!(secret_of(&config, heading, name), Some(bytes.clone()), "{variable}");
            assert!(!format!("{:?}", config.settings).contains(text), "{variable} is shown");
        }
    }
}

#[test]
fn nothing_that_is_a_secret_by_its_name_is_shown() {
    let secret = ["secret", "password", "token", "key"];
    for row in SECTIONS {
        for key in row.keys.iter().filter(|key| !key.secret) {
            let last = key.name.rsplit('_').next().unwrap_or(key.name);
            assert!(!secret.contains(&last), "{}.{} is no secret", row.heading, key.name);
        }
    }
}

#[test]
fn the_example_is_a_configuration_that_changes_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = sources(directory.path(), &example()).read().expect("good");
    assert!(config.settings.iter().all(|setting| setting.origin == Origin::Default));
}
