//! What is odd about a log-in: rules that look at it and say why, and what the operator wants done then.
//!
//! ```text
//! sight (the log-in, those before it, failures around it) ─ each rule ─► finding with its reason ─ policy ─► audit line and event
//!                                                                                                        └─► and a refusal
//! ```
//! A finding is a line of its own in the audit log, `anomaly:<rule>`, in the transaction of the act it is about; webhooks and hooks
//! hear of it as `login.anomaly`. To add a rule: a file and a row in [`BUILTIN`].

mod credential_stuffing;
mod failed;
mod impossible_travel;
mod new_device;
mod refresh_reuse;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

pub use failed::Tally;

use crate::engine::Engine;
use crate::error::Result;
use crate::id::UserId;
use crate::identity::model::PastLogin;
use crate::limits::failures::login_name;
use crate::operation::Origin;
use crate::ports::{Locations, Nowhere};
use failed::{note, peek};

/// What the audit action of every finding begins with.
pub(crate) const ACTION: &str = "anomaly:";
/// Log-ins of an account that are looked at, the newest.
const HISTORY: u32 = 20;

/// The table of rules.
pub static BUILTIN: &[&dyn Rule] =
    &[new_device::ROW, impossible_travel::ROW, credential_stuffing::ROW, refresh_reuse::ROW];

/// Finds one kind of oddity.
pub trait Rule: Sync {
    /// Its name in configuration and audit log.
    fn name(&self) -> &'static str;

    /// Why this is odd, for whoever reads the audit log; `None` when it is not.
    fn judge(&self, sight: &Sight<'_>) -> Option<String>;
}

/// What a rule looks at.
pub struct Sight<'a> {
    /// What happened.
    pub what: What,
    /// When.
    pub now_ms: i64,
    /// From where.
    pub address: Option<IpAddr>,
    /// With what.
    pub user_agent: Option<&'a str>,
    /// The account's log-ins before this one, newest first; at most 20.
    pub before: &'a [PastLogin],
    /// The operator's measures.
    pub measures: &'a Measures,
    /// Where addresses are.
    pub locations: &'a dyn Locations,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Somebody proved to be the account's owner; the session has not begun yet.
    LogIn {
        /// Failures around it.
        failed: Tally,
    },
    /// A log-in failed.
    FailedLogIn {
        /// Failures around it, this one included.
        failed: Tally,
    },
    /// A refresh token came back after it had been exchanged.
    RefreshReuse {
        /// When its family moved on last.
        advanced_at_ms: i64,
    },
}

/// What to do when a rule finds something. Every finding is in the audit log and an event, whatever the policy; `Ignore` alone keeps
/// the rule from looking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Do not look.
    Ignore,
    /// Note it and go on.
    Notify,
    /// Note it and refuse, as a wrong password is refused. For a reused refresh token: end every session of the account.
    Block,
}

/// The operator's measures.
#[derive(Debug, Clone, PartialEq)]
pub struct Measures {
    /// Faster than this nobody travels, in km/h.
    pub top_speed_kmh: f64,
    /// Shorter ways than this, in km, are errors of locating.
    pub least_km: f64,
    /// So many different accounts (from one network) or networks (at one account) failing are an attack.
    pub stuffing: u32,
    /// The time in which they are counted.
    pub window_ms: i64,
}

impl Default for Measures {
    /// 1,000 km/h beyond 200 km; 10 in ten minutes.
    fn default() -> Self {
        Self { top_speed_kmh: 1_000.0, least_km: 200.0, stuffing: 10, window_ms: 600_000 }
    }
}

/// What an operator may choose.
pub struct Anomalies {
    /// What to do, by the rule's name; [`Policy::Notify`] where nothing is said.
    pub policies: BTreeMap<&'static str, Policy>,
    /// Measures.
    pub measures: Measures,
    /// Where addresses are.
    pub locations: Arc<dyn Locations>,
}

impl Default for Anomalies {
    fn default() -> Self {
        Self { policies: BTreeMap::new(), measures: Measures::default(), locations: Arc::new(Nowhere) }
    }
}

/// What a rule found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule's name.
    pub rule: &'static str,
    /// Why.
    pub reason: String,
    /// Whether it stops what it is about.
    pub blocks: bool,
}

impl Anomalies {
    fn policy(&self, rule: &dyn Rule) -> Policy {
        self.policies.get(rule.name()).copied().unwrap_or(Policy::Notify)
    }

    /// What the rules say, those that are ignored left out.
    #[must_use]
    pub fn judge(&self, sight: &Sight<'_>) -> Vec<Finding> {
        let look = |rule: &&dyn Rule| {
            let policy = self.policy(*rule);
            let reason = if policy == Policy::Ignore { None } else { rule.judge(sight) };
            reason.map(|reason| Finding { rule: rule.name(), reason, blocks: policy == Policy::Block })
        };
        BUILTIN.iter().filter_map(look).collect()
    }
}

impl Engine {
    fn sight<'a>(&'a self, what: What, origin: &'a Origin, before: &'a [PastLogin]) -> Sight<'a> {
        let anomalies = self.anomalies();
        Sight {
            what,
            now_ms: self.now_ms(),
            address: origin.address,
            user_agent: origin.user_agent.as_deref(),
            before,
            measures: &anomalies.measures,
            locations: &*anomalies.locations,
        }
    }

    /// What is odd about a log-in that is about to begin a session.
    pub(crate) async fn odd_login(&self, user: &UserId, origin: &Origin) -> Result<Vec<Finding>> {
        let before = self.store().recent_logins(user, HISTORY).await?;
        let measures = &self.anomalies().measures;
        let failed = peek(self.shared(), measures, origin.address, self.now_ms()).await;
        Ok(self.anomalies().judge(&self.sight(What::LogIn { failed }, origin, &before)))
    }

    /// What is odd about a log-in that failed; counts it.
    pub(crate) async fn odd_failure(&self, login: &str, origin: &Origin) -> Vec<Finding> {
        let measures = &self.anomalies().measures;
        let name = login_name(login);
        let failed = note(self.shared(), measures, &name, origin.address, self.now_ms()).await;
        self.anomalies().judge(&self.sight(What::FailedLogIn { failed }, origin, &[]))
    }

    /// What is odd about a refresh token that came back.
    pub(crate) fn odd_refresh(&self, advanced_at_ms: i64, origin: &Origin) -> Vec<Finding> {
        self.anomalies().judge(&self.sight(What::RefreshReuse { advanced_at_ms }, origin, &[]))
    }
}

/// A span of time as people say it.
fn span(ms: i64) -> String {
    match ms.max(0) / 1000 {
        s @ 0..=119 => format!("{s} s"),
        s @ 120..=7_199 => format!("{} min", s / 60),
        s @ 7_200..=172_799 => format!("{} h", s / 3_600),
        s => format!("{} days", s / 86_400),
    }
}

#[cfg(test)]
mod tests;
