//! What user code prints, into our log under the handler's name.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncRead;

use crate::lines::{Line, Lines, shown};

/// Longest line that is logged.
const LINE_BYTES: usize = 2 << 10;
/// Lines that are logged in a while; the rest is passed over, so that the log cannot be flooded.
const LINES: u32 = 500;
const WHILE: Duration = Duration::from_secs(10);

/// Reads all of it, so that whoever prints never waits for us.
pub(crate) async fn log(from: impl AsyncRead + Unpin, handler: Arc<str>, stream: &'static str) {
    let mut lines = Lines::new(from, LINE_BYTES);
    let (mut room, mut begun, mut passed) = (LINES, tokio::time::Instant::now(), 0_u64);
    while let Ok(line) = lines.next().await {
        let (line, cut) = match line {
            Line::Whole(line) => (line, false),
            Line::Cut(line) => (line, true),
            Line::End => return,
        };
        if begun.elapsed() >= WHILE {
            if passed > 0 {
                tracing::warn!(%handler, stream, lines = passed, "the handler prints more than is logged");
            }
            (room, begun, passed) = (LINES, tokio::time::Instant::now(), 0);
        }
        if room == 0 {
            passed += 1;
            continue;
        }
        room -= 1;
        tracing::info!(%handler, stream, cut, "{}", shown(&line));
    }
}
