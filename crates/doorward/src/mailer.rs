//! Who takes letters: the operator's mail server, or in `dev` the memory of the process.

use std::sync::Arc;

use doorward_core::mail::KeptMails;
use doorward_core::ports::{Mailer, NoMailer};
use doorward_outbound::{Smtp, SmtpSettings};

use crate::cli::Failure;
use crate::clock::SystemClock;
use crate::random::SystemRandom;
use crate::setup::{Mode, Setup};

/// The operator's mail server; without one `dev` keeps letters, and `serve` has refused whatever would write some.
pub(crate) fn open(setup: &Setup) -> Result<Arc<dyn Mailer>, Failure> {
    let mail = &setup.config.mail;
    let Some(host) = mail.host.clone() else {
        return Ok(match setup.mode {
            Mode::Dev => Arc::new(KeptMails::new(Arc::new(SystemClock))),
            Mode::Serve => Arc::new(NoMailer),
        });
    };
    let settings = SmtpSettings {
        host,
        port: mail.port,
        protection: mail.protection,
        from: mail.from.clone(),
        login: mail.username.clone().zip(mail.password.clone()),
        ca_file: setup.config.outbound.ca_file.clone(),
    };
    let smtp = Smtp::new(&settings, Arc::new(SystemRandom));
    let smtp = smtp.map_err(|what| Failure::refused(format!("mail: {what}"), "correct [mail]"))?;
    Ok(Arc::new(smtp))
}
