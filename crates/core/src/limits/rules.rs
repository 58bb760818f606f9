//! The operator's limits: so many requests of one kind in so much time, by name.
//!
//! What is counted by address or altogether is judged before a credential is looked at, so that a flood costs nothing; what is
//! counted by account or key after it.

use std::net::IpAddr;
use std::sync::Arc;

use super::failures::network_of;
use super::shares::account_or_network;
use crate::authz::catalogue::ActionDef;
use crate::authz::scopes;
use crate::ports::shared::Shared;
use crate::principal::AuthContext;

/// Whose requests are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Those of one address (an IPv6 /64 is one address).
    Address,
    /// Those of one account, however it comes; without an account, of one address.
    Account,
    /// Those with one API key; others are not counted.
    Key,
    /// All.
    Everything,
}

/// A limit with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitRule {
    /// What operators call it.
    pub name: Arc<str>,
    /// Which actions it is about, spelled as scopes are. A request counts when its route may ask for one of them.
    pub actions: Vec<Arc<str>>,
    /// Whose requests are counted together.
    pub by: By,
    /// Requests in one window.
    pub requests: u32,
    /// Length of a window, in seconds.
    pub window_s: u32,
}

/// What is left of a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The limit's name.
    pub rule: Arc<str>,
    /// Requests in a window.
    pub limit: u32,
    /// Requests left in this one.
    pub remaining: u32,
    /// Length of a window, in seconds.
    pub window_s: u32,
    /// When the next window begins, in seconds since 1970.
    pub reset_at_s: i64,
    /// When the next window begins, in seconds from now.
    pub reset_after_s: u32,
    /// Whether this request was one too many.
    pub exceeded: bool,
}

/// Counts one request.
pub async fn count(
    shared: &dyn Shared,
    rule: &Arc<str>,
    key: &str,
    (limit, window_s): (u32, u32),
    now_ms: i64,
) -> Standing {
    let hit = shared.hit(key, limit, i64::from(window_s.max(1)) * 1000, now_ms).get().await;
    let left_ms = hit.ends_at_ms - now_ms;
    Standing {
        rule: Arc::clone(rule),
        limit,
        remaining: limit.saturating_sub(hit.used),
        window_s,
        reset_at_s: hit.ends_at_ms.div_euclid(1000) + i64::from(hit.ends_at_ms.rem_euclid(1000) > 0),
        reset_after_s: u32::try_from((left_ms + 999) / 1000).unwrap_or(1).max(1),
        exceeded: hit.exceeded,
    }
}

/// Judges a request that nobody has spoken for yet: the limit that is exceeded, or else the one with least left.
pub async fn before(
    rules: &[LimitRule],
    shared: &dyn Shared,
    actions: &[&ActionDef],
    address: IpAddr,
    now_ms: i64,
) -> Option<Standing> {
    judged(about(rules, actions), shared, |rule| key_before(rule, Some(address)), now_ms).await
}

/// Judges a request of a known caller.
pub async fn after(
    rules: &[LimitRule],
    shared: &dyn Shared,
    actions: &[&ActionDef],
    (auth, address): (&AuthContext, IpAddr),
    now_ms: i64,
) -> Option<Standing> {
    judged(about(rules, actions), shared, |rule| key_after(rule, auth, Some(address)), now_ms).await
}

/// A limit that cannot be judged: it counts by address, and nobody knows the request's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoAddress(
    /// The limit's name.
    pub Arc<str>,
);

/// Judges a request of a known caller that names its actions one after another: this one now, those before. A limit that is about one of
/// the earlier ones has counted the request already.
///
/// # Errors
/// The limit that would count everybody together for want of an address.
pub async fn further(
    rules: &[LimitRule],
    shared: &dyn Shared,
    (action, earlier): (&ActionDef, &[&ActionDef]),
    (auth, address): (&AuthContext, Option<IpAddr>),
    now_ms: i64,
) -> Result<Option<Standing>, NoAddress> {
    let new = || {
        let counted = |rule: &LimitRule| earlier.iter().any(|action| scopes::cover(&rule.actions, action));
        rules.iter().filter(move |rule| scopes::cover(&rule.actions, action) && !counted(rule))
    };
    if let Some(rule) = new().find(|rule| rule.by == By::Address && address.is_none()) {
        return Err(NoAddress(Arc::clone(&rule.name)));
    }
    let key = |rule: &LimitRule| key_before(rule, address).or_else(|| key_after(rule, auth, address));
    Ok(judged(new(), shared, key, now_ms).await)
}

fn about<'r>(rules: &'r [LimitRule], actions: &[&ActionDef]) -> impl Iterator<Item = &'r LimitRule> {
    rules.iter().filter(|rule| actions.iter().any(|action| scopes::cover(&rule.actions, action)))
}

fn key_before(rule: &LimitRule, address: Option<IpAddr>) -> Option<String> {
    match rule.by {
        By::Address => address.map(|address| format!("{}|{}", rule.name, network_of(address))),
        By::Everything => Some(rule.name.to_string()),
        By::Account | By::Key => None,
    }
}

fn key_after(rule: &LimitRule, auth: &AuthContext, address: Option<IpAddr>) -> Option<String> {
    match rule.by {
        By::Account => Some(format!("{}|{}", rule.name, account_or_network(auth, address))),
        By::Key if auth.method == "api_key" => {
            auth.credential.as_ref().map(|id| format!("{}|{id}", rule.name))
        }
        By::Address | By::Everything | By::Key => None,
    }
}

async fn judged<'r>(
    rules: impl Iterator<Item = &'r LimitRule>,
    shared: &dyn Shared,
    key: impl Fn(&LimitRule) -> Option<String>,
    now_ms: i64,
) -> Option<Standing> {
    let mut tightest: Option<Standing> = None;
    for rule in rules {
        let Some(key) = key(rule) else { continue };
        let standing = count(shared, &rule.name, &key, (rule.requests, rule.window_s), now_ms).await;
        if standing.exceeded {
            return Some(standing);
        }
        tightest = tighter(tightest, Some(standing));
    }
    tightest
}

/// The one that will be reached first.
#[must_use]
pub fn tighter(one: Option<Standing>, other: Option<Standing>) -> Option<Standing> {
    match (one, other) {
        (Some(one), Some(other)) if other.exceeded || other.remaining < one.remaining => Some(other),
        (Some(one), _) => Some(one),
        (None, other) => other,
    }
}
