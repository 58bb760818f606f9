//! Randomness is a parameter.
//!
//! The composition root supplies the operating system's generator; tests supply [`SeededRandom`].

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest;

/// Where unpredictable bytes come from.
pub trait Random: Send + Sync {
    /// Fills `out` completely.
    fn fill(&self, out: &mut [u8]);
}

/// `N` fresh bytes.
#[must_use]
pub fn bytes<const N: usize>(random: &dyn Random) -> [u8; N] {
    let mut out = [0; N];
    random.fill(&mut out);
    out
}

/// Reproducible bytes: SHA-256 over (seed, counter). For tests only; never secret.
#[derive(Debug)]
pub struct SeededRandom {
    seed: u64,
    counter: AtomicU64,
}

impl SeededRandom {
    /// A generator whose output depends on `seed` alone.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, counter: AtomicU64::new(0) }
    }
}

impl Random for SeededRandom {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(32) {
            let n = self.counter.fetch_add(1, Ordering::Relaxed);
            let mut input = [0; 16];
            input[..8].copy_from_slice(&self.seed.to_be_bytes());
            input[8..].copy_from_slice(&n.to_be_bytes());
            let block = digest::digest(&digest::SHA256, &input);
            chunk.copy_from_slice(&block.as_ref()[..chunk.len()]);
        }
    }
}
