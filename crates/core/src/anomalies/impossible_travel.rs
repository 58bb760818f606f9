//! Two log-ins further apart than anybody travels in the time between them.

use super::{Rule, Sight, What, span};
use crate::ports::locations::Place;

pub(super) const ROW: &dyn Rule = &ImpossibleTravel;

struct ImpossibleTravel;

const EARTH_KM: f64 = 6_371.0;
const HOUR_MS: f64 = 3_600_000.0;

/// The way between two places along the ground, in km (haversine), less what locating them may be wrong by.
fn apart_km(one: Place, other: Place) -> f64 {
    let (lat, other_lat) = (one.latitude.to_radians(), other.latitude.to_radians());
    let across = (other_lat - lat) / 2.0;
    let along = (other.longitude - one.longitude).to_radians() / 2.0;
    let square = across.sin().powi(2) + lat.cos() * other_lat.cos() * along.sin().powi(2);
    let km = 2.0 * EARTH_KM * square.sqrt().min(1.0).asin();
    (km - one.within_km - other.within_km).max(0.0)
}

impl Rule for ImpossibleTravel {
    fn name(&self) -> &'static str {
        "impossible_travel"
    }

    fn judge(&self, sight: &Sight<'_>) -> Option<String> {
        let What::LogIn { .. } = sight.what else { return None };
        let here = sight.locations.place(sight.address?)?;
        // The last one that can be located; behind it, older ones say nothing new.
        let (there, last) = sight.before.iter().find_map(|login| {
            let address = login.address.as_deref()?.parse().ok()?;
            Some((sight.locations.place(address)?, login))
        })?;
        let elapsed_ms = (sight.now_ms - last.at_ms).max(1_000);
        let km = apart_km(there, here);
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of centuries fit into 53 bits")]
        let kmh = km / (elapsed_ms as f64 / HOUR_MS);
        (km >= sight.measures.least_km && kmh > sight.measures.top_speed_kmh).then(|| {
            let from = last.address.as_deref().unwrap_or("?");
            format!("at least {km:.0} km from the log-in {} ago at {from}: {kmh:.0} km/h", span(elapsed_ms))
        })
    }
}
