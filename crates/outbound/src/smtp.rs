//! Letters by SMTP (RFC 5321), to the operator's own mail server.
//!
//! The server is the operator's choice and nobody else's, so the policy for strangers' addresses does not apply to it; what people
//! choose is only to whom it passes letters on. One connection a letter, 20 seconds for all of it; a certificate is always checked.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use doorward_core::ports::mailer::{Mail, MailError, Mailer};
use doorward_core::random::{Random, bytes};
use doorward_core::secret::SecretText;
use futures_util::future::BoxFuture;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message, MultiPart};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

/// For everything about one letter.
const PATIENCE: Duration = Duration::from_secs(20);

/// How the way to the mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// TLS from the first byte (RFC 8314 §3.3).
    Tls,
    /// TLS after `STARTTLS`, and never without (RFC 3207).
    StartTls,
    /// None: for a server on the same machine.
    None,
}

impl Protection {
    /// The usual port.
    #[must_use]
    pub fn port(self) -> u16 {
        match self {
            Self::Tls => 465,
            Self::StartTls => 587,
            Self::None => 25,
        }
    }
}

/// What an operator says of the mail server.
#[derive(Clone)]
pub struct SmtpSettings {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the way to it is protected.
    pub protection: Protection,
    /// Who letters are from, such as `Doorward <auth@example.com>`.
    pub from: String,
    /// Whom to log in as there, and the password.
    pub login: Option<(String, SecretText)>,
    /// PEM certificates of authorities to believe beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// The mail server.
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    host: String,
    random: Arc<dyn Random>,
}

impl Smtp {
    /// A way to the mail server; nothing is connected yet.
    ///
    /// # Errors
    /// What is wrong: the sender's address, the certificates.
    pub fn new(settings: &SmtpSettings, random: Arc<dyn Random>) -> Result<Self, String> {
        let from: Mailbox = settings.from.parse().map_err(|error| format!("from: {error}"))?;
        let tls = match settings.protection {
            Protection::Tls => Tls::Wrapper(parameters(settings)?),
            Protection::StartTls => Tls::Required(parameters(settings)?),
            Protection::None => Tls::None,
        };
        let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(settings.host.clone());
        let mut builder = builder.port(settings.port).tls(tls).timeout(Some(PATIENCE));
        if let Some((user, password)) = &settings.login {
            builder = builder.credentials(Credentials::new(user.clone(), password.expose().clone()));
        }
        Ok(Self { transport: builder.build(), from, host: settings.host.clone(), random })
    }

    fn message(&self, mail: &Mail) -> Result<Message, MailError> {
        let unusable = |what: &str| MailError::Refused(format!("{what} cannot be written as a letter's"));
        let to = mail.to.parse().map_err(|_| unusable("the address"))?;
        let id: String = bytes::<16>(&*self.random).iter().map(|byte| format!("{byte:02x}")).collect();
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(&*mail.subject)
            .message_id(Some(format!("<{id}@{}>", self.from.email.domain())));
        let message = match &mail.html {
            None => message.header(ContentType::TEXT_PLAIN).body(mail.text.clone()),
            Some(html) => {
                message.multipart(MultiPart::alternative_plain_html(mail.text.clone(), html.clone()))
            }
        };
        message.map_err(|_| unusable("the text"))
    }
}

fn parameters(settings: &SmtpSettings) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(settings.host.clone());
    if let Some(path) = &settings.ca_file {
        let pem = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let unreadable = |_| format!("{} holds no certificates in PEM", path.display());
        builder = builder.add_root_certificate(Certificate::from_pem(&pem).map_err(unreadable)?);
    }
    builder.build().map_err(|error| format!("TLS to {}: {error}", settings.host))
}

/// What went wrong, without what the server said: it repeats addresses.
fn told(host: &str, error: &SmtpError) -> MailError {
    match error.status() {
        Some(code) if error.is_permanent() => MailError::Refused(format!("{host} answered {code}")),
        Some(code) => MailError::Away(format!("{host} answered {code}")),
        None if error.is_timeout() => MailError::Away(format!("{host} took too long")),
        None if error.is_tls() => MailError::Away(format!("no TLS with {host}: {error}")),
        None if error.is_client() => MailError::Refused(format!("{host} cannot take it: {error}")),
        None => MailError::Away(format!("{host} was not reached: {error}")),
    }
}

impl Mailer for Smtp {
    fn send<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, Result<(), MailError>> {
        Box::pin(async move {
            let message = self.message(mail)?;
            match tokio::time::timeout(PATIENCE, self.transport.send(message)).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(told(&self.host, &error)),
                Err(_) => Err(MailError::Away(format!("{} took too long", self.host))),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use doorward_core::random::SeededRandom;

    use super::*;

    fn smtp(from: &str) -> Result<Smtp, String> {
        let settings = SmtpSettings {
            host: "mail.example".into(),
            port: 25,
            protection: Protection::None,
            from: from.into(),
            login: None,
            ca_file: None,
        };
        Smtp::new(&settings, Arc::new(SeededRandom::new(1)))
    }

    #[test]
    fn a_letter_cannot_be_given_headers_by_its_address_or_subject() {
        let smtp = smtp("Doorward <auth@example.com>").expect("built");
        let mail = |to: &str, subject: &str| Mail {
            to: to.into(),
            subject: subject.into(),
            text: "x\n".into(),
            html: None,
        };
        let written = smtp.message(&mail("ann@example.org", "a\r\nBcc: b@example.org")).expect("written");
        let text = String::from_utf8(written.formatted()).expect("ASCII");
        let head = text.split("\r\n\r\n").next().expect("a head");
        assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
        for bad in ["ann@example.org\r\nBcc: b@example.org", "ann@example.org, b@example.org", "ann", ""] {
            assert!(smtp.message(&mail(bad, "s")).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_sender_that_is_none_is_refused_at_the_start() {
        assert!(smtp("auth").is_err());
        assert!(smtp("auth@example.com").is_ok());
    }
}
