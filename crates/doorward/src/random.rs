//! The machine's random numbers.

use doorward_core::random::Random;

/// The operating system's generator, through the crypto provider.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the machine; all else is handed it"
    )]
    fn fill(&self, out: &mut [u8]) {
        aws_lc_rs::rand::fill(out)
            .expect("the operating system's generator answers; without it nothing is safe");
    }
}

#[cfg(test)]
mod tests {
    use doorward_core::random::bytes;

    use super::*;

    #[test]
    fn two_draws_differ() {
        assert_ne!(bytes::<32>(&SystemRandom), bytes::<32>(&SystemRandom));
    }
}
