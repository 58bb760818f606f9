//! The audit log: a gapless, hash-chained sequence for each node.

use doorward_core::audit::chain::{GENESIS, link};
use doorward_core::audit::entry::{AuditEntry, AuditRecord, Outcome};
use doorward_core::id::NodeId;
use doorward_core::ports::store::{AuditLog, AuditQuery};
use doorward_core::ports::{Conflict, StoreError, StoreFuture};

use crate::SqlStore;
use crate::backend::{Expect, Row, Rows, Statement, Step, Value, owned};

const SELECT: &str = "SELECT node, seq, at_ms, request, mount, action, resource, principal, method, credential, \
                      outcome, reason, address, count, hash FROM audit";

/// Reads the node's last line and hangs the next one on it, within the transaction. The primary key turns two
/// writers that read the same last line into a conflict, never into two lines with one number.
pub(super) fn append(node: &NodeId, entry: AuditEntry) -> Step {
    let query = Statement {
        sql: "SELECT seq, hash FROM audit WHERE node = $1 ORDER BY seq DESC LIMIT 1".into(),
        params: owned![node],
        expect: Expect::Any,
    };
    let node = node.clone();
    let derive = Box::new(move |rows: &Rows| {
        let (last, hash) = match rows.first() {
            Some(row) => (row.i64(0)?, row.text(1)?),
            None => (0, GENESIS),
        };
        let seq = last + 1;
        Ok(vec![insert(&node, seq, &entry, link(hash, node.as_str(), seq, &entry))])
    });
    Step::Read { query, derive }
}

fn insert(node: &NodeId, seq: i64, entry: &AuditEntry, hash: String) -> Statement {
    Statement {
        sql: "INSERT INTO audit (node, seq, at_ms, request, mount, action, resource, principal, method, \
              credential, outcome, reason, address, count, hash) \
              VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) \
              ON CONFLICT (node, seq) DO NOTHING"
            .into(),
        params: owned![
            node,
            seq,
            entry.at_ms,
            &entry.request,
            &entry.mount,
            &entry.action,
            entry.resource.as_ref(),
            &entry.principal,
            &entry.method,
            entry.credential.as_ref(),
            entry.outcome.as_str(),
            entry.reason.as_ref(),
            entry.address.as_ref(),
            entry.count,
            hash,
        ],
        expect: Expect::Row(Conflict::Stale),
    }
}

fn read(row: Row<'_>) -> Result<AuditRecord, StoreError> {
    Ok(AuditRecord {
        node: row.text(0)?.to_owned(),
        seq: row.i64(1)?,
        entry: AuditEntry {
            at_ms: row.i64(2)?,
            request: row.text(3)?.into(),
            mount: row.text(4)?.to_owned(),
            action: row.text(5)?.to_owned(),
            resource: row.maybe_string(6)?,
            principal: row.text(7)?.to_owned(),
            method: row.text(8)?.to_owned(),
            credential: row.maybe_string(9)?,
            outcome: Outcome::parse(row.text(10)?)
                .ok_or_else(|| StoreError::Corrupt("an audit line has an unknown outcome".into()))?,
            reason: row.maybe_string(11)?,
            address: row.maybe_string(12)?,
            count: row.i64(13)?,
        },
        hash: row.text(14)?.to_owned(),
    })
}

/// The query and its values: fixed fragments for the members that are present.
fn query_text(query: &AuditQuery) -> (String, Vec<Value<'_>>) {
    let mut sql = SELECT.to_owned();
    let mut params = vec![Value::from(query.limit)];
    let conditions = [
        (" at_ms >= $", query.since_ms.map(Value::from)),
        (" principal = $", query.principal.as_ref().map(Value::from)),
        (" outcome = $", query.outcome.map(|outcome| Value::from(outcome.as_str()))),
        (" action = $", query.action.as_ref().map(Value::from)),
    ];
    for (fragment, value) in conditions {
        let Some(value) = value else { continue };
        sql.push_str(if params.len() == 1 { " WHERE" } else { " AND" });
        params.push(value);
        sql.push_str(fragment);
        sql.push_str(&params.len().to_string());
    }
    sql.push_str(" ORDER BY at_ms DESC, node DESC, seq DESC LIMIT $1");
    (sql, params)
}

impl AuditLog for SqlStore {
    fn audit(&self, query: AuditQuery) -> StoreFuture<'_, Vec<AuditRecord>> {
        Box::pin(async move {
            let (sql, params) = query_text(&query);
            self.list(&sql, &params, read).await
        })
    }

    fn each_audit<'a>(&'a self, mut each: Box<dyn FnMut(AuditRecord) + Send + 'a>) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let sql = format!("{SELECT} ORDER BY node, seq");
            let mut piece = |rows: &Rows| {
                for row in rows.iter() {
                    each(read(row)?);
                }
                Ok(())
            };
            self.backend.scan(&sql, &[], &mut piece).await
        })
    }
}
