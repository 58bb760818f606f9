//! PostgreSQL: what a refresh writes (one row advanced, one line of the audit log), against pgbench writing the same.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use doorward_core::ports::store::{Batch, Commit as _, Write};
use doorward_store::conformance::postgres::Server;
use doorward_store::conformance::samples::line;
use doorward_store::{Options, SqlStore};

use crate::measure::{Report, Wanted, wall};
use crate::store::{CONCURRENT, families, family};

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(3);

/// The same two rows with nobody else's rules: each client advances a row of its own.
const TABLES: &str = "\
    CREATE TABLE peer_family (id TEXT PRIMARY KEY, counter BIGINT NOT NULL, advanced_at_ms BIGINT NOT NULL);
    INSERT INTO peer_family SELECT 'fam_' || n, 0, 0 FROM generate_series(0, 1000) n;
    CREATE SEQUENCE peer_seq;
    CREATE TABLE peer_audit (LIKE audit INCLUDING ALL);";
const TRANSACTION: &str = "\
BEGIN;
UPDATE peer_family SET counter = counter + 1, advanced_at_ms = 1 WHERE id = 'fam_' || :client_id;
INSERT INTO peer_audit (node, seq, at_ms, request, mount, action, resource, principal, method, outcome, address, \
count, hash) VALUES ('nod_peer', nextval('peer_seq'), 1, 'req_01a3185c50007dbd', 'native', 'token refresh', \
'fam_01a3185c50007dbd', 'local|usr_01a3185c50007dbd', 'own_token', 'allowed', '192.0.2.1', 1, repeat('a', 64));
COMMIT;
";

pub(crate) fn run(report: &mut Report) {
    let server = Server::start();
    let address = server.database();
    let name = address.rsplit_once('/').expect("a database").1.to_owned();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let store = Arc::new(SqlStore::open(&address, &Options::default()).expect("opens"));
    let made = server.program("psql").args(["-q", "-d", &name, "-c", TABLES]).status();
    assert!(made.expect("psql is there").success(), "the peer's tables are made");
    let script = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(script.path(), TRANSACTION).expect("written");
    runtime.block_on(store.commit(families())).expect("committed");
    let mut counters = [0_i64; CONCURRENT];
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(runtime.block_on(refreshes(&store, &mut counters)));
        theirs.push(pgbench(&server, script.path(), &name));
    }
    let (ours, theirs) = (median(ours), median(theirs));
    report.figure("PostgreSQL, 64 that refresh at once", ours, "/s", Wanted::Shown);
    report.figure("PostgreSQL refreshes: × pgbench's own rate", ours / theirs, "×", Wanted::AtLeast(0.5));
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Transactions a second of 64 that refresh again as soon as they are answered.
async fn refreshes(store: &Arc<SqlStore>, counters: &mut [i64; CONCURRENT]) -> f64 {
    let done = Arc::new(AtomicU64::new(0));
    let start = wall();
    let clients = counters.iter().enumerate().map(|(slot, &from)| {
        let (store, done) = (Arc::clone(store), Arc::clone(&done));
        tokio::spawn(async move {
            let mut from = from;
            while wall() - start < ROUND {
                let advance = Write::AdvanceFamily { id: family(slot).id, from, at_ms: 0, expires_at_ms: 1 };
                let batch = Batch::durable(vec![advance, line("nod_bench", "token:refresh")]);
                store.commit(batch).await.expect("committed");
                from += 1;
                done.fetch_add(1, Ordering::Relaxed);
            }
            from
        })
    });
    let clients: Vec<_> = clients.collect();
    for (counter, client) in counters.iter_mut().zip(clients) {
        *counter = client.await.expect("a client");
    }
    done.load(Ordering::Relaxed) as f64 / (wall() - start).as_secs_f64()
}

fn pgbench(server: &Server, script: &Path, database: &str) -> f64 {
    let clients = CONCURRENT.to_string();
    let seconds = ROUND.as_secs().to_string();
    let ran = server
        .program("pgbench")
        .args(["-n", "-M", "prepared", "-c", &clients, "-j", "2", "-T", &seconds, "-f"])
        .arg(script)
        .arg(database)
        .output()
        .expect("pgbench is there");
    let told = String::from_utf8_lossy(&ran.stdout).into_owned();
    let rate = told.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    rate.unwrap_or_else(|| unreachable!("pgbench: {told}{}", String::from_utf8_lossy(&ran.stderr)))
}
