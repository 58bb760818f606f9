//! Which copies are current.
//!
//! A change to anything moves the counter of the slot its name hashes to. A copy remembers the counter it was
//! read under and is used only while that stands. Names that share a slot cost each other a fresh read, never a
//! stale answer; and a copy that was being read while the change happened is stale from birth.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

const SLOTS: usize = 4096;

/// The counters.
pub struct Generations {
    slots: Box<[AtomicU64]>,
    hasher: RandomState,
}

/// The counter a copy was read under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    slot: u16,
    value: u64,
}

impl Generations {
    /// Counters at zero.
    #[must_use]
    pub fn new() -> Self {
        Self { slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(), hasher: RandomState::new() }
    }

    fn slot(&self, name: &(impl Hash + ?Sized)) -> u16 {
        // 4096 slots: the remainder always fits.
        u16::try_from(self.hasher.hash_one(name) % SLOTS as u64).unwrap_or(0)
    }

    /// The stamp to take *before* reading what is copied.
    pub fn stamp(&self, name: &(impl Hash + ?Sized)) -> Stamp {
        let slot = self.slot(name);
        Stamp { slot, value: self.slots[usize::from(slot)].load(Ordering::Acquire) }
    }

    /// Whether nothing that shares the slot has changed since.
    #[must_use]
    pub fn is_current(&self, stamp: Stamp) -> bool {
        self.slots[usize::from(stamp.slot)].load(Ordering::Acquire) == stamp.value
    }

    /// Makes every copy of this name stale.
    pub fn bump(&self, name: &(impl Hash + ?Sized)) {
        self.slots[usize::from(self.slot(name))].fetch_add(1, Ordering::AcqRel);
    }

    /// Makes every copy stale.
    pub fn bump_all(&self) {
        for slot in &self.slots {
            slot.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl Default for Generations {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_stale_after_its_name_changed_even_while_it_was_read() {
        let generations = Generations::new();
        let before = generations.stamp("usr_1");
        assert!(generations.is_current(before));
        generations.bump("usr_1");
        assert!(!generations.is_current(before));
        let after = generations.stamp("usr_1");
        generations.bump_all();
        assert!(!generations.is_current(after));
    }
}
