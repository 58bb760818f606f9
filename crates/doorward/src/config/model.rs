//! `[model]`: the model that the `openai` runner asks.

use std::path::PathBuf;
use std::time::Duration;

use doorward_core::secret::SecretText;
use doorward_outbound::{ModelUrl, is_key};

use super::section::{Key, Section};

/// The model and its server.
#[derive(Clone)]
pub struct Model {
    /// The model, as its server calls it.
    pub name: Option<String>,
    /// Where the server is; `None` where nothing is said.
    pub base_url: Option<ModelUrl>,
    /// Whether `http://` to another machine is meant.
    pub plain_http: bool,
    /// The key.
    pub api_key: Option<SecretText>,
    /// The file it came from.
    pub api_key_file: Option<PathBuf>,
    /// What the model is told before all else.
    pub system: Option<String>,
    /// Most tokens of an answer.
    pub max_output_tokens: u32,
    /// What the server calls that limit.
    pub output_limit: &'static str,
    /// Most bytes of a thread's text that are sent.
    pub max_input_bytes: usize,
    /// Most bytes of the server's answer.
    pub max_response_bytes: usize,
    /// Longest time of a request.
    pub time_limit: Duration,
    /// Most requests at once.
    pub requests: usize,
    /// Most runs that wait for one.
    pub queue: usize,
}

/// Names of the limit of an answer, the newer one first.
const OUTPUT_LIMITS: &[(&str, &str)] =
    &[("max_completion_tokens", "max_completion_tokens"), ("max_tokens", "max_tokens")];
/// Longest name of a model, and longest instruction.
const MAX_NAME_BYTES: usize = 256;
const MAX_SYSTEM_BYTES: usize = 256 << 10;

pub(super) const KEYS: &[Key] = &[
    Key::optional("name", "\"gpt-5.4-mini\"", "The model, as its server calls it."),
    Key::optional(
        "base_url",
        "\"http://127.0.0.1:11434/v1\"",
        "Where its server has /chat/completions. Default: https://api.openai.com/v1. http:// is for a server on this machine.",
    ),
    Key::new(
        "plain_http",
        "false",
        "Whether http:// to another machine is meant: what people write, and the key, go there in the clear.",
    ),
    Key::secret(
        "api_key",
        "\"${OPENAI_API_KEY}\"",
        "The key for that; leave it out where the server wants none.",
    ),
    Key::optional(
        "api_key_file",
        "\"/etc/doorward/model.key\"",
        "A file that holds the key instead. Mode 0600.",
    ),
    Key::optional(
        "system",
        "\"Answer in one sentence.\"",
        "What the model is told before all else. Then system messages of callers count as theirs alone.",
    ),
    Key::new("max_output_tokens", "4096", "Most tokens of an answer, 1 to 1000000; a longer one fails."),
    Key::new(
        "output_limit",
        "\"max_completion_tokens\"",
        "What the server calls that limit: max_completion_tokens, or max_tokens for older ones and Ollama.",
    ),
    Key::new(
        "max_input_bytes",
        "131072",
        "Most bytes of a thread's text that are sent, 1024 to 8388608; the oldest messages stay behind.",
    ),
    Key::new("max_response_bytes", "8388608", "Most bytes the server answers with, 1024 to 67108864."),
    Key::new(
        "time_limit_s",
        "120",
        "Longest time of one request with its whole answer, in seconds, 1 to 600.",
    ),
    Key::new("requests", "8", "Most requests at once, 1 to 1024; each run is one."),
    Key::new(
        "queue",
        "32",
        "Most runs that wait for one, 0 to 10000; the next is answered 429, as is who has a quarter of all.",
    ),
];

impl Model {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let optional = |section: &mut Section<'_>, key: &'static str| {
            section.is_given(key).then(|| section.text(key)).flatten().filter(|text| !text.is_empty())
        };
        let mut whole = true;
        let mut refuse = |section: &mut Section<'_>, key: &str, what: String, mend: &str| {
            section.refuse(key, what, mend);
            whole = false;
        };
        let name = optional(&mut section, "name");
        if name.as_ref().is_some_and(|name| name.len() > MAX_NAME_BYTES || name.contains(char::is_control)) {
            let what = format!("it is longer than {MAX_NAME_BYTES} bytes or holds control characters");
            refuse(&mut section, "name", what, "give the name that the server lists at /models");
        }
        let plain_http = section.boolean("plain_http");
        let given_url = optional(&mut section, "base_url");
        let mut base_url = None;
        match given_url.map(|text| ModelUrl::parse(&text, plain_http.unwrap_or_default())) {
            None => {}
            Some(Ok(url)) => base_url = Some(url),
            Some(Err(what)) => refuse(&mut section, "base_url", what, URL_MEND),
        }
        let given = section.is_given("api_key") || section.is_given("api_key_file");
        let api_key_file = section.is_given("api_key_file").then(|| section.path("api_key_file")).flatten();
        let api_key = given.then(|| section.secret("api_key", "api_key_file")).flatten();
        if api_key.as_ref().is_some_and(|key| !is_key(key.expose())) {
            let key = if section.is_given("api_key") { "api_key" } else { "api_key_file" };
            let what = "it holds blanks or letters that no key has".to_owned();
            refuse(&mut section, key, what, "give the key alone, as its server shows it");
        }
        let system = optional(&mut section, "system");
        if system.as_ref().is_some_and(|text| text.len() > MAX_SYSTEM_BYTES) {
            refuse(
                &mut section,
                "system",
                format!("it is longer than {MAX_SYSTEM_BYTES} bytes"),
                "shorten it",
            );
        }
        let max_output_tokens = section.integer("max_output_tokens", 1..=1_000_000);
        let output_limit = section.word("output_limit", OUTPUT_LIMITS);
        let max_input_bytes = section.integer("max_input_bytes", 1 << 10..=8 << 20);
        let max_response_bytes = section.integer("max_response_bytes", 1 << 10..=64 << 20);
        let time_limit_s = section.integer("time_limit_s", 1..=600);
        let requests = section.integer("requests", 1..=1024);
        let queue = section.integer("queue", 0..=10_000);
        section.finish();
        if !whole || (given && api_key.is_none()) {
            return None;
        }
        let size = |number: i64| usize::try_from(number).expect("the range begins at 0");
        Some(Self {
            name,
            base_url,
            plain_http: plain_http?,
            api_key,
            api_key_file,
            system,
            max_output_tokens: u32::try_from(max_output_tokens?).expect("the range fits"),
            output_limit: output_limit?,
            max_input_bytes: size(max_input_bytes?),
            max_response_bytes: size(max_response_bytes?),
            time_limit: Duration::from_secs(time_limit_s?.unsigned_abs()),
            requests: size(requests?),
            queue: size(queue?),
        })
    }
}

/// How an address is mended.
const URL_MEND: &str = "give the address beneath which the server has /chat/completions, such as \
     https://api.openai.com/v1 or http://127.0.0.1:11434/v1; for http:// to another machine say plain_http = true";
