//! Short names for credentials in this process's memory.
//!
//! A credential is looked up with every request, so what names it there has to be quick to work out, and nobody may be able to make one
//! credential that has the name of another. A keyed pseudo-random function is both: SipHash-2-4 with 128 bits out (Aumasson and
//! Bernstein, 2012), under a key that is drawn when the process starts and is nowhere else. What is stored is named by a keyed SHA-256
//! instead, which is the same tomorrow.

use std::hash::{BuildHasher, Hash, Hasher};

use quick_cache::UnitWeighter;
use quick_cache::sync::Cache;
use siphasher::sip128::SipHasher24;

use crate::random::{Random, bytes};

/// The name of one credential. Without the key it says nothing about it; it is of no use to another process, nor after a restart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(u128);

impl Fingerprint {
    /// Where it belongs among so many places, by the half of it that the table's hash does not take.
    #[must_use]
    pub fn place(self, of: usize) -> usize {
        (self.0 >> 64) as usize % of
    }
}

impl Hash for Fingerprint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // One half of what is random already.
        state.write_u64(self.0 as u64);
    }
}

/// Takes the hash of a fingerprint as it stands there.
#[derive(Clone, Copy, Default)]
pub struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, _: &[u8]) {
        unreachable!("a fingerprint is one number");
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl BuildHasher for AsItIs {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        Self::default()
    }
}

/// What is known of credentials, bounded: the least asked for goes first.
pub struct ByFingerprint<V>(Cache<Fingerprint, V, UnitWeighter, AsItIs>);

impl<V: Clone> ByFingerprint<V> {
    /// Of so many at most.
    #[must_use]
    pub fn of_most(most: usize) -> Self {
        Self(Cache::with(most, most as u64, UnitWeighter, AsItIs::default(), Default::default()))
    }

    /// What is known of one.
    #[must_use]
    pub fn get(&self, credential: Fingerprint) -> Option<V> {
        self.0.get(&credential)
    }

    /// Keeps what is known of one.
    pub fn insert(&self, credential: Fingerprint, known: V) {
        self.0.insert(credential, known);
    }
}

/// What takes fingerprints.
pub struct Fingerprints(SipHasher24);

impl Fingerprints {
    /// Under a new key.
    #[must_use]
    pub fn new(random: &dyn Random) -> Self {
        Self(SipHasher24::new_with_key(&bytes(random)))
    }

    /// The fingerprint of a credential.
    #[must_use]
    pub fn of(&self, credential: &[u8]) -> Fingerprint {
        Fingerprint(self.0.hash(credential).as_u128())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Counts up.
    struct Counting(std::sync::atomic::AtomicU8);

    impl Random for Counting {
        fn fill(&self, out: &mut [u8]) {
            for byte in out {
                *byte = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        }
    }

    #[test]
    fn the_function_is_the_published_one() {
        // The reference implementation's vector for 15 bytes under the key 00 01 … 0f (`vectors.h`, `vectors_sip128`).
        let fingerprints = Fingerprints::new(&Counting(0.into()));
        let text: String = (0_u8..15).map(char::from).collect();
        let wanted =
            [0x54, 0x93, 0xe9, 0x99, 0x33, 0xb0, 0xa8, 0x11, 0x7e, 0x08, 0xec, 0x0f, 0x97, 0xcf, 0xc3, 0xd9];
        assert_eq!(fingerprints.of(text.as_bytes()).0.to_le_bytes(), wanted);
    }

    #[test]
    fn another_credential_or_another_process_has_another() {
        let random = Counting(0.into());
        let [here, there] = [Fingerprints::new(&random), Fingerprints::new(&random)];
        let texts = ["", "a", "b", "aa", "a\0", "dwk_aaaaaaaa", "dwk_aaaaaaab"];
        let taken: HashSet<_> =
            texts.iter().flat_map(|text| [here.of(text.as_bytes()), there.of(text.as_bytes())]).collect();
        assert_eq!(taken.len(), 2 * texts.len());
        assert!(here.of(b"a") == here.of(b"a"));
    }
}
