//! What is written. Plain text: nothing in it is fetched, and a link looks like where it leads.

use crate::identity::proofs::Purpose;
use crate::ports::mailer::Mail;

/// The letter that asks the holder of an address for a proof: a link to open, and digits to type instead.
pub(crate) fn asking(purpose: Purpose, to: &str, link: &str, digits: Option<&str>, again: bool) -> Mail {
    let (subject, first, otherwise) = match purpose {
        Purpose::SignUp => (
            "Confirm your e-mail address",
            "Somebody, most likely you, has signed up with this e-mail address. To confirm it, open this link:",
            "If it was not you, do nothing: without the link nobody can log in with your address.",
        ),
        Purpose::Recovery => (
            "Reset your password",
            "Somebody, most likely you, has forgotten the password of your account. To log in and set another one, open this link:",
            "If it was not you, do nothing: your password stays as it is.",
        ),
        Purpose::EmailChange => (
            "Confirm your new e-mail address",
            "Somebody, most likely you, wants this e-mail address for their account. To confirm it, open this link:",
            "If it was not you, do nothing: the account keeps the address it has.",
        ),
    };
    let typed = digits.map(|digits| format!("\nOr type this code: {digits}\n")).unwrap_or_default();
    let both = if digits.is_some() { "Both work" } else { "It works" };
    let life = if purpose == Purpose::Recovery { "15 minutes" } else { "one day" };
    // Whoever signed up first, with somebody else's address, must not keep the only password unnoticed.
    let first_password = if again && purpose == Purpose::SignUp {
        "\nThe account was made before, and its password is the one that was given then. If you do not know it, or \
         somebody else may, reset it.\n"
    } else {
        ""
    };
    Mail {
        to: to.to_owned(),
        subject: subject.to_owned(),
        text: format!(
            "{first}\n\n{link}\n{typed}\n{both} once, for {life}.\n{first_password}\n{otherwise}\n"
        ),
    }
}
