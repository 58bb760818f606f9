//! What is written where the operator has no text of their own. Plain text: nothing in it is fetched, and a link looks like where it leads.

use super::templates::Facts;
use crate::identity::proofs::Purpose;

/// The subject and the text of a letter that asks the holder of an address for a proof: a link to open, or digits to type.
pub(super) fn asking(facts: &Facts<'_>) -> (String, String) {
    let moving = facts.moving.unwrap_or_default();
    let moves = format!(
        "Somebody, most likely you, wants to use {moving} for your account instead of this e-mail address. To agree, open this link:"
    );
    let (subject, first, otherwise) = match facts.purpose {
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
        Purpose::EmailChangeCurrent => (
            "Agree to your new e-mail address",
            moves.as_str(),
            "If it was not you, do nothing, and change your password: the account keeps the address it has.",
        ),
        Purpose::MagicLink => (
            "Your link to log in",
            "Somebody, most likely you, wants to log in with this e-mail address. To do so, open this link:",
            "If it was not you, do nothing: without this letter nobody is let in by it.",
        ),
        Purpose::Invite => (
            "You are invited",
            "Somebody invites you to an account with this e-mail address. To accept, open this link:",
            "If you do not want it, do nothing.",
        ),
        Purpose::Reauthentication => (
            "Confirm that it is you",
            "Somebody who is logged in to your account, most likely you, is about to change it.",
            "If it was not you, change your password.",
        ),
    };
    let typed = match (facts.digits, facts.link) {
        (Some(digits), Some(_)) => format!("\nOr type this code: {digits}\n"),
        (Some(digits), None) => format!("\nTo go on, type this code: {digits}\n"),
        (None, _) => String::new(),
    };
    let link = facts.link.map(|link| format!("\n{link}\n")).unwrap_or_default();
    let both = if facts.digits.is_some() && facts.link.is_some() { "Both work" } else { "It works" };
    let life = if facts.purpose.life_ms() < 86_400_000 { "15 minutes" } else { "one day" };
    // Whoever signed up first, with somebody else's address, must not keep the only password unnoticed.
    let first_password = if facts.again && facts.purpose == Purpose::SignUp {
        "\nThe account was made before, and its password is the one that was given then. If you do not know it, or \
         somebody else may, reset it.\n"
    } else {
        ""
    };
    let text = format!("{first}\n{link}{typed}\n{both} once, for {life}.\n{first_password}\n{otherwise}\n");
    (subject.to_owned(), text)
}
