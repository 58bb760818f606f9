//! Lists of stolen passwords being tried: one network at many accounts, or many networks at one account.
//!
//! A log-in that succeeds is judged by its own network alone: otherwise strangers could keep an owner out by failing at the account.

use super::{Rule, Sight, What, span};

pub(super) const ROW: &dyn Rule = &CredentialStuffing;

struct CredentialStuffing;

impl Rule for CredentialStuffing {
    fn name(&self) -> &'static str {
        "credential_stuffing"
    }

    fn judge(&self, sight: &Sight<'_>) -> Option<String> {
        let many = sight.measures.stuffing;
        let within = span(sight.measures.window_ms);
        match sight.what {
            What::LogIn { failed } if failed.accounts_from_here >= many => Some(format!(
                "a log-in from a network that failed as {} different accounts within {within}",
                failed.accounts_from_here
            )),
            // Told once, by the failure that reaches the measure; further ones are told by nobody.
            What::FailedLogIn { failed } if failed.is_new && failed.accounts_from_here == many => {
                Some(format!("one network failed to log in as {many} different accounts within {within}"))
            }
            What::FailedLogIn { failed } if failed.is_new && failed.networks_at_account == many => {
                Some(format!("log-ins to one account failed from {many} networks within {within}"))
            }
            _ => None,
        }
    }
}
