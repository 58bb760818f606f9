//! Whose turn it is to have somebody else asked: so many at once, and so many of one network.

use std::net::IpAddr;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::{Error, Result, codes};
use crate::limits::shares::{Share, Shares};

/// Log-ins that are asked of one party at once, and those of one network; more are told to come again.
const AT_ONCE: usize = 32;
const OF_ONE_NETWORK: u32 = 8;

/// The turns of one party.
pub(super) struct Turns {
    asking: Semaphore,
    shares: Shares,
}

impl Default for Turns {
    fn default() -> Self {
        Self { asking: Semaphore::new(AT_ONCE), shares: Shares::default() }
    }
}

/// A party that is being asked: given back when it has answered.
pub(super) struct Turn<'t> {
    _share: Share,
    _asking: SemaphorePermit<'t>,
}

impl Turns {
    /// A turn for a client.
    ///
    /// # Errors
    /// `provider_busy`.
    pub(super) fn take(&self, from: Option<IpAddr>) -> Result<Turn<'_>> {
        let busy = || Error::new(codes::PROVIDER_BUSY).retry_after_s(1);
        let share = self.shares.take(from, OF_ONE_NETWORK).ok_or_else(busy)?;
        let asking = self.asking.try_acquire().map_err(|_| busy())?;
        Ok(Turn { _share: share, _asking: asking })
    }
}
