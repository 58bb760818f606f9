//! The keys that sign: what with, and since when.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::signing_key;
use doorward_core::tokens::KeyInfo;

use super::{Check, Examined, Finding};

pub(super) static CHECK: Check =
    Check { name: "keys", needs_store: true, run: |examined| Box::pin(run(examined)) };

const DAY_MS: i64 = 86_400_000;
/// After this a key should make room for another.
const OLD_DAYS: i64 = 365;

async fn run(examined: &Examined) -> Vec<Finding> {
    let Some(inside) = examined.inside().await else { return Vec::new() };
    // Keys that are files have no age but the file's, and are rotated by the operator.
    let Ok(ring) = inside.ring() else {
        return vec![CHECK.ok("keys are the files of tokens.key_files")];
    };
    let permit = match inside.permit::<signing_key::Read>(Target::any()) {
        Ok(permit) => permit,
        Err(failure) => return vec![CHECK.problem(failure.what, failure.mend)],
    };
    match inside.assembled.engine.signing_keys().list(permit, ring).await {
        Ok(keys) => {
            keys.iter().filter(|key| key.signs).flat_map(|key| judged(key, examined.now_ms)).collect()
        }
        Err(error) => vec![CHECK.problem(format!("the keys cannot be read: {error}"), "look at the store")],
    }
}

fn judged(key: &KeyInfo, now_ms: i64) -> Vec<Finding> {
    let days = (now_ms - key.created_at_ms) / DAY_MS;
    let mut found = Vec::new();
    if key.algorithm.starts_with("HS") {
        let what =
            format!("tokens are signed with {}, so whoever checks them can also make them", key.algorithm);
        found.push(CHECK.warning(what, "run: doorward token rotate-key --algorithm ES256"));
    }
    if days > OLD_DAYS {
        let what = format!("the key that signs is {days} days old");
        let mend = "run: doorward token rotate-key, and retire the old one when what it signed has expired";
        found.push(CHECK.warning(what, mend));
    }
    if found.is_empty() {
        found.push(CHECK.ok(format!("{} signs with {}, for {days} days", key.id, key.algorithm)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn old_keys_and_shared_secrets_are_told() {
        for (algorithm, days, levels) in [
            ("ES256", 1, vec![Level::Ok]),
            ("ES256", 366, vec![Level::Warning]),
            ("HS256", 1, vec![Level::Warning]),
            ("HS256", 400, vec![Level::Warning, Level::Warning]),
        ] {
            let key = KeyInfo {
                id: "sig_1".into(),
                algorithm: algorithm.to_owned(),
                created_at_ms: 0,
                retired_at_ms: None,
                signs: true,
            };
            let found: Vec<_> =
                judged(&key, days * DAY_MS).into_iter().map(|finding| finding.level).collect();
            assert_eq!(found, levels, "{algorithm}, {days} days");
        }
    }
}
