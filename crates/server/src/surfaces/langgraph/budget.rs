//! How much one answer may hold: what a caller keeps here is bounded thing by thing, and an answer shows many of them.

use serde_json::Value;

/// Most bytes of one answer, as JSON.
const MAX_BYTES: usize = 8 << 20;

/// The room that is left in an answer.
pub(super) struct Budget(usize);

impl Budget {
    pub(super) fn new() -> Self {
        Self(MAX_BYTES)
    }

    /// Takes room for one more thing; the first is always shown, or its owner could never see it.
    pub(super) fn takes(&mut self, thing: &Value, is_first: bool) -> bool {
        let size = serde_json::to_vec(thing).map_or(usize::MAX, |bytes| bytes.len());
        let fits = is_first || size <= self.0;
        self.0 = self.0.saturating_sub(size);
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_holds_so_much_and_always_one_thing() {
        let big = Value::from("x".repeat(5 << 20));
        let mut budget = Budget::new();
        assert!(budget.takes(&big, true));
        assert!(!budget.takes(&big, false), "two of them are too many");
        assert!(!budget.takes(&Value::Null, false) || budget.0 > 0);
        assert!(Budget::new().takes(&Value::from("x".repeat(9 << 20)), true));
    }
}
