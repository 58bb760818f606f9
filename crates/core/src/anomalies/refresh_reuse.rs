//! A refresh token that was exchanged before: its owner or a thief has a copy. Its session ends in any case (RFC 9700 §4.14.2).

use super::{Rule, Sight, What, span};

pub(super) const ROW: &dyn Rule = &RefreshReuse;

struct RefreshReuse;

impl Rule for RefreshReuse {
    fn name(&self) -> &'static str {
        "refresh_reuse"
    }

    fn judge(&self, sight: &Sight<'_>) -> Option<String> {
        let What::RefreshReuse { advanced_at_ms } = sight.what else { return None };
        let ago = span(sight.now_ms - advanced_at_ms);
        Some(format!(
            "an old refresh token was shown again, {ago} after the last exchange; its session was ended"
        ))
    }
}
