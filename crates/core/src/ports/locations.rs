//! Where network addresses are.

use std::net::IpAddr;

/// A place on the ground.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// How far from there it may really be, in km.
    pub within_km: f64,
}

/// Knows where addresses are, from memory: it is asked in the middle of a log-in.
pub trait Locations: Send + Sync {
    /// Where an address is, if that is known.
    fn place(&self, address: IpAddr) -> Option<Place>;
}

/// Knows nothing.
pub struct Nowhere;

impl Locations for Nowhere {
    fn place(&self, _: IpAddr) -> Option<Place> {
        None
    }
}
