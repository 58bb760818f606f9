//! Checking the audit log's chains, here and in tests of backends.

use doorward_core::audit::chain::{GENESIS, link};
use doorward_core::audit::entry::AuditRecord;

use super::Handle;

/// Every line, in the order in which the store tells them.
///
/// # Panics
/// If they cannot be read.
pub async fn lines_of(store: &Handle) -> Vec<AuditRecord> {
    let mut all = Vec::new();
    store.each_audit(Box::new(|record| all.push(record))).await.expect("the audit log can be read");
    all
}

/// Checks that each node's lines stand together, count from 1 without gaps, and hang on one another.
///
/// # Panics
/// At the first line that does not.
pub fn chains_hold(records: &[AuditRecord]) {
    let mut finished = std::collections::HashSet::new();
    for chain in records.chunk_by(|a, b| a.node == b.node) {
        assert!(finished.insert(&chain[0].node), "the lines of {} are not together", chain[0].node);
        let mut previous = GENESIS.to_owned();
        for (seq, record) in (1..).zip(chain) {
            assert_eq!(record.seq, seq, "{}: a gap", record.node);
            previous = link(&previous, &record.node, seq, &record.entry);
            assert_eq!(record.hash, previous, "{}: line {seq} is not the one that was hashed", record.node);
        }
    }
}
