//! A browser or program that the account never logged in with. Version numbers do not count: an update makes no new device. What a
//! client calls itself can be copied, so its absence proves nothing; its presence is worth a word to the owner.

use std::collections::BTreeSet;

use super::{Rule, Sight, What};

pub(super) const ROW: &dyn Rule = &NewDevice;

struct NewDevice;

/// What a `User-Agent` says without its numbers.
fn print(user_agent: Option<&str>) -> String {
    let words = user_agent.unwrap_or("").split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

impl Rule for NewDevice {
    fn name(&self) -> &'static str {
        "new_device"
    }

    fn judge(&self, sight: &Sight<'_>) -> Option<String> {
        let What::LogIn { .. } = sight.what else { return None };
        let known: BTreeSet<String> =
            sight.before.iter().map(|login| print(login.user_agent.as_deref())).collect();
        if known.is_empty() || known.contains(&print(sight.user_agent)) {
            return None;
        }
        let agent = sight.user_agent.unwrap_or("a client that does not name itself");
        let agent: String = agent.chars().filter(|c| !c.is_control()).take(160).collect();
        Some(format!("the first log-in with {agent}; known: {}", known.len()))
    }
}
