//! Reads of many rows on threads of their own.

use std::sync::Arc;
use std::thread::JoinHandle;

use doorward_core::ports::StoreError;
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::mpsc;

use super::run;
use crate::backend::{EachRows, Rows, Value};

/// Scans that wait for a thread; more wait for a place in the queue.
const QUEUE: usize = 256;
/// Pieces under way between a scan and its reader.
const PIECES: usize = 2;
/// A piece's limits: rows, bytes.
const PIECE: (usize, usize) = (4_096, 256 * 1024);

struct Scan {
    sql: String,
    params: Vec<Value<'static>>,
    pieces: mpsc::Sender<Result<Rows, StoreError>>,
}

/// The scan threads.
pub(super) struct Scans {
    queue: Option<mpsc::Sender<Scan>>,
    threads: Vec<JoinHandle<()>>,
}

impl Scans {
    /// Starts a thread for each connection.
    pub(super) fn start(connections: Vec<Connection>) -> Result<Self, StoreError> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let jobs = Arc::new(Mutex::new(jobs));
        let mut threads = Vec::with_capacity(connections.len());
        for connection in connections {
            let jobs = Arc::clone(&jobs);
            threads.push(
                std::thread::Builder::new()
                    .name("store-scan".into())
                    .spawn(move || work(&connection, &jobs))
                    .map_err(|error| StoreError::Unavailable(format!("no thread for reading: {error}")))?,
            );
        }
        Ok(Self { queue: Some(queue), threads })
    }

    /// Runs a query on a scan thread and hands its rows to `each`.
    pub(super) async fn scan(
        &self,
        sql: &str,
        params: &[Value<'_>],
        each: EachRows<'_>,
    ) -> Result<(), StoreError> {
        let gone = || StoreError::Unavailable("the store is closing".into());
        let (pieces, mut incoming) = mpsc::channel(PIECES);
        let params = params.iter().map(|value| value.clone().into_owned()).collect();
        let queue = self.queue.as_ref().ok_or_else(gone)?;
        queue.send(Scan { sql: sql.to_owned(), params, pieces }).await.map_err(|_| gone())?;
        while let Some(piece) = incoming.recv().await {
            let rows = piece?;
            if rows.is_empty() {
                // The empty piece is the end mark: without it, a thread that died looks like a finished scan.
                return Ok(());
            }
            each(&rows)?;
        }
        Err(StoreError::Unavailable("a read was cut short".into()))
    }
}

fn work(connection: &Connection, jobs: &Mutex<mpsc::Receiver<Scan>>) {
    loop {
        let Some(scan) = jobs.lock().blocking_recv() else { return };
        let outcome = run::pieces(connection, &scan.sql, &scan.params, PIECE, |rows| {
            scan.pieces.blocking_send(Ok(rows)).is_ok()
        });
        // A reader that went away does not mind missing the end.
        let _ = scan.pieces.blocking_send(outcome.map(|()| Rows::default()));
    }
}

impl Drop for Scans {
    fn drop(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a reading thread of the store ended by a panic");
            }
        }
    }
}
