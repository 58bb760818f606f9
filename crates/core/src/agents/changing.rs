//! Looking and then changing, where the thing is kept elsewhere and no transaction holds the two together.

use std::hash::{BuildHasher, RandomState};

use tokio::sync::{Mutex, MutexGuard};

/// How many names are changed at once at most; two names may share a turn.
const TURNS: usize = 64;

/// Turns of names.
pub struct Changing {
    hasher: RandomState,
    turns: [Mutex<()>; TURNS],
}

impl Default for Changing {
    fn default() -> Self {
        Self { hasher: RandomState::new(), turns: std::array::from_fn(|_| Mutex::new(())) }
    }
}

impl Changing {
    /// Waits until nobody else of this process changes what has this name.
    pub async fn turn(&self, name: &str) -> MutexGuard<'_, ()> {
        let at = self.hasher.hash_one(name) % TURNS as u64;
        self.turns[usize::try_from(at).unwrap_or(0)].lock().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_name_has_one_turn() {
        let changing = Changing::default();
        let held = changing.turn("a").await;
        let second = tokio::time::timeout(std::time::Duration::ZERO, changing.turn("a"));
        assert!(second.await.is_err());
        drop(held);
        drop(changing.turn("a").await);
    }
}
