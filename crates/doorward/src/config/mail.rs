//! `[mail]`: the mail server that takes letters.

use std::path::PathBuf;

use doorward_core::secret::SecretText;
use doorward_outbound::Protection;

use super::section::{Key, Section};

/// The mail server.
#[derive(Clone)]
pub struct Mail {
    /// Its name or address; `None` where there is none.
    pub host: Option<String>,
    /// Its port.
    pub port: u16,
    /// How the way to it is protected.
    pub protection: Protection,
    /// Who letters are from.
    pub from: String,
    /// Whom to log in as there.
    pub username: Option<String>,
    /// The password.
    pub password: Option<SecretText>,
    /// The file it came from.
    pub password_file: Option<PathBuf>,
}

pub(super) const KEYS: &[Key] = &[
    Key::optional(
        "host",
        "\"smtp.example.com\"",
        "The operator's SMTP server. Without one `serve` sends nothing, and `dev` keeps letters and shows them at /_mail.",
    ),
    Key::optional("port", "587", "Its port. Default: 587 for starttls, 465 for tls, 25 for none."),
    Key::new(
        "tls",
        "\"starttls\"",
        "starttls: TLS after the greeting, never without; tls: from the first byte; none: for a server on this machine.",
    ),
    Key::optional("from", "\"Example <auth@example.com>\"", "Who letters are from."),
    Key::optional("username", "\"auth@example.com\"", "Whom to log in as there."),
    Key::secret("password", "\"${DOORWARD_SMTP_PASSWORD}\"", "The password for that."),
    Key::optional(
        "password_file",
        "\"/etc/doorward/smtp.password\"",
        "A file that holds the password instead. Mode 0600.",
    ),
];

impl Mail {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let optional = |section: &mut Section<'_>, key: &'static str| {
            section.is_given(key).then(|| section.text(key)).flatten().filter(|text| !text.is_empty())
        };
        let host = optional(&mut section, "host");
        let protection = section.word(
            "tls",
            &[("starttls", Protection::StartTls), ("tls", Protection::Tls), ("none", Protection::None)],
        );
        let port = match section.is_given("port") {
            true => section.integer("port", 1..=65_535).and_then(|port| u16::try_from(port).ok()),
            false => protection.map(Protection::port),
        };
        let from = optional(&mut section, "from");
        let username = optional(&mut section, "username");
        let given = section.is_given("password") || section.is_given("password_file");
        let password_file =
            section.is_given("password_file").then(|| section.path("password_file")).flatten();
        let password = given.then(|| section.secret("password", "password_file")).flatten();
        let mut whole = !given || password.is_some();
        if let Some(host) = &host {
            if from.is_none() {
                section.refuse(
                    "from",
                    "nobody is named whom letters are from",
                    "write from = \"auth@example.com\"",
                );
                whole = false;
            }
            let local = ["localhost", "127.0.0.1", "::1"].contains(&host.as_str());
            if protection == Some(Protection::None) && !local {
                let what = "letters open accounts, and would go to another machine in the clear";
                section.refuse("tls", what, "use starttls or tls");
                whole = false;
            }
        }
        if username.is_some() != password.is_some() && whole {
            section.refuse("username", "username and password belong together", "give both or neither");
            whole = false;
        }
        section.finish();
        if !whole {
            return None;
        }
        Some(Self {
            host,
            port: port?,
            protection: protection?,
            from: from.unwrap_or_default(),
            username,
            password,
            password_file,
        })
    }
}
