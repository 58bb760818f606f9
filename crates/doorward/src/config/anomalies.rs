//! `[anomalies]`: what to do about odd log-ins.

use std::collections::BTreeMap;
use std::path::PathBuf;

use doorward_core::anomalies::{BUILTIN, Measures, Policy};

use super::section::{Key, Section};

/// What to do about odd log-ins.
#[derive(Debug, Clone, PartialEq)]
pub struct Anomalies {
    /// What to do, by the rule's name.
    pub policies: BTreeMap<&'static str, Policy>,
    /// Measures of the rules.
    pub measures: Measures,
    /// A `MaxMind` DB file that says where addresses are.
    pub locations: Option<PathBuf>,
}

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "new_device",
        "\"notify\"",
        "A browser or program the account never logged in with: ignore, notify (audit log, event login.anomaly) or block.",
    ),
    Key::new(
        "impossible_travel",
        "\"notify\"",
        "Two log-ins further apart than anybody travels in between. Looks only where `locations` is given.",
    ),
    Key::new(
        "credential_stuffing",
        "\"notify\"",
        "Many accounts failing from one network, or one account from many. block refuses that network's successes.",
    ),
    Key::new(
        "refresh_reuse",
        "\"notify\"",
        "A refresh token that had been exchanged. Its session always ends; block ends all sessions of the account.",
    ),
    Key::optional(
        "locations",
        "\"/var/lib/GeoIP/GeoLite2-City.mmdb\"",
        "Where addresses are: a MaxMind DB file of cities, read once at the start and kept in memory.",
    ),
    Key::new("top_speed_kmh", "1000", "Faster than this, in km/h, is impossible travel."),
    Key::new("least_km", "200", "Shorter ways than this, in km, are errors of locating."),
    Key::new(
        "stuffing",
        "10",
        "Different accounts from one network, or networks at one account, whose failing is an attack.",
    ),
    Key::new("stuffing_window_s", "600", "Seconds in which they are counted."),
];

impl Anomalies {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let words = [
            ("ignore", Some(Policy::Ignore)),
            ("notify", Some(Policy::Notify)),
            ("block", Some(Policy::Block)),
            ("step_up", None),
        ];
        let mut policies = BTreeMap::new();
        for rule in BUILTIN.iter().map(|rule| rule.name()) {
            match section.word(rule, &words) {
                Some(Some(policy)) => drop(policies.insert(rule, policy)),
                Some(None) => {
                    let mend = "use notify or block until second factors are there to step up to";
                    section.refuse(
                        rule,
                        "step_up needs second factors, which Doorward does not have yet",
                        mend,
                    );
                }
                None => {}
            }
        }
        let given = section.is_given("locations");
        let locations = section.path("locations");
        if policies.get("impossible_travel") == Some(&Policy::Block) && !given {
            section.refuse(
                "impossible_travel",
                "block needs to know where addresses are",
                "give locations, the path of a MaxMind DB file",
            );
            policies.remove("impossible_travel");
        }
        let top_speed_kmh = section.integer("top_speed_kmh", 1..=100_000);
        let least_km = section.integer("least_km", 0..=20_000);
        let stuffing = section.integer("stuffing", 2..=1_000_000);
        let window_s = section.integer("stuffing_window_s", 1..=86_400);
        section.finish();
        if policies.len() < BUILTIN.len() || (given && locations.is_none()) {
            return None;
        }
        let measures = Measures {
            top_speed_kmh: f64::from(u32::try_from(top_speed_kmh?).ok()?),
            least_km: f64::from(u32::try_from(least_km?).ok()?),
            stuffing: u32::try_from(stuffing?).ok()?,
            window_ms: window_s? * 1000,
        };
        Some(Self { policies, measures, locations })
    }
}
