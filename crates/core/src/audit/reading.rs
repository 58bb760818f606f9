//! Reading and verifying the audit log.

use std::collections::HashMap;

use super::chain::{GENESIS, link};
use super::entry::AuditRecord;
use crate::authz::catalogue::audit;
use crate::engine::Engine;
use crate::error::Result;
use crate::operation::Permit;
use crate::ports::store::AuditQuery;

/// The audit log as a service.
pub struct Audit<'e> {
    engine: &'e Engine,
}

/// Where a chain does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainFault {
    /// The node whose chain it is.
    pub node: String,
    /// The number of the first line that does not follow from the one before.
    pub seq: i64,
}

impl<'e> Audit<'e> {
    pub(crate) fn new(engine: &'e Engine) -> Self {
        Self { engine }
    }

    /// The newest lines that match, newest first, at most 1000.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(&self, permit: Permit<audit::Read>, mut query: AuditQuery) -> Result<Vec<AuditRecord>> {
        query.limit = query.limit.clamp(1, 1000);
        let found = self.engine.store().audit(query).await;
        permit.close(found.map_err(Into::into))
    }

    /// Walks every chain. An empty answer means that no line was changed or removed between the first and the last.
    ///
    /// # Errors
    /// The store's.
    pub async fn verify(&self, permit: Permit<audit::Read>) -> Result<Vec<ChainFault>> {
        self.walk(permit, |_| {}).await
    }

    /// Checks the newest lines, at most 1000: each against the one before it, where that is among them. Returns how many there are,
    /// and what does not hold.
    ///
    /// # Errors
    /// The store's.
    pub async fn verify_newest(&self, permit: Permit<audit::Read>) -> Result<(usize, Vec<ChainFault>)> {
        let mut found = self.list(permit, AuditQuery { limit: 1000, ..AuditQuery::default() }).await?;
        found.sort_by(|a, b| (&a.node, a.seq).cmp(&(&b.node, b.seq)));
        let mut faults = Vec::new();
        let mut before: Option<&AuditRecord> = None;
        for record in &found {
            let previous = match before.replace(record) {
                Some(previous) if previous.node == record.node => Some((previous.seq, &*previous.hash)),
                _ if record.seq == 1 => Some((0, GENESIS)),
                // The line before it is older than what was asked for.
                _ => None,
            };
            let holds = |(seq, hash): (i64, &str)| {
                record.seq == seq + 1 && record.hash == link(hash, &record.node, record.seq, &record.entry)
            };
            if !previous.is_none_or(holds) {
                faults.push(ChainFault { node: record.node.clone(), seq: record.seq });
            }
        }
        Ok((found.len(), faults))
    }

    /// Walks every chain as [`Audit::verify`] does, and hands over each line: one node after the other, each in order.
    ///
    /// # Errors
    /// The store's.
    pub async fn walk(
        &self,
        permit: Permit<audit::Read>,
        mut each: impl FnMut(&AuditRecord) + Send,
    ) -> Result<Vec<ChainFault>> {
        let mut heads: HashMap<String, (i64, String)> = HashMap::new();
        let mut faults = Vec::new();
        let walked = self
            .engine
            .store()
            .each_audit(Box::new(|record| {
                each(&record);
                let (seq, hash) = heads.remove(&record.node).unwrap_or((0, GENESIS.to_owned()));
                let expected = link(&hash, &record.node, record.seq, &record.entry);
                if record.seq != seq + 1 || record.hash != expected {
                    faults.push(ChainFault { node: record.node.clone(), seq: record.seq });
                }
                heads.insert(record.node, (record.seq, record.hash));
            }))
            .await;
        permit.close(walked.map_err(Into::into))?;
        Ok(faults)
    }
}
