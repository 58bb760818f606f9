//! Where addresses are, from a file in the `MaxMind` DB format (GeoLite2, DB-IP and others publish such files).

use std::net::IpAddr;
use std::path::Path;

use doorward_core::ports::Locations;
use doorward_core::ports::locations::Place;
use maxminddb::{Reader, geoip2};

/// Within this distance an address is when the file does not say, in km.
const UNSAID_KM: f64 = 100.0;

/// Such a file, in memory: one that is replaced counts from the next start.
pub(crate) struct LocationFile {
    reader: Reader<Vec<u8>>,
}

impl LocationFile {
    /// Reads it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let reader = Reader::open_readfile(path).map_err(|error| error.to_string())?;
        let kind = reader.metadata().database_type.clone();
        // Files of countries or networks have no places: all log-ins would be nowhere, and nobody would be told.
        if !["City", "Enterprise", "Insights", "Location"].iter().any(|known| kind.contains(known)) {
            return Err(format!(
                "it is of type {kind:?}, which has no coordinates; a file of cities is needed"
            ));
        }
        Ok(Self { reader })
    }
}

impl Locations for LocationFile {
    fn place(&self, address: IpAddr) -> Option<Place> {
        let city: geoip2::City<'_> = self.reader.lookup(address.to_canonical()).ok()?.decode().ok()??;
        let location = city.location;
        let (latitude, longitude) = (location.latitude?, location.longitude?);
        let within_km = location.accuracy_radius.map_or(UNSAID_KM, f64::from);
        let sane = latitude.abs() <= 90.0 && longitude.abs() <= 180.0;
        sane.then_some(Place { latitude, longitude, within_km })
    }
}
