//! Lines of the log on their way to standard error, several in one write.
//!
//! ```text
//! a line after 5 ms without one ─► at once                                          ─► standard error
//! another line of news          ─► gathered ─► by a thread of the log's own, in 5 ms ─► standard error
//! a warning or error            ─► at once, with all that stands before it           ─► standard error
//! ```
//! A busy server has a line for each request, and a system call for each line would be a good part of what the request costs. Nothing
//! in the log changes places; what goes to standard error without it, such as the words of a panic, may come before. The library for this (tracing-appender) hands each line over by itself, and its thread writes each by itself.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// How long a line waits for others. What is killed in that time is not told of.
const GATHERED_FOR: Duration = Duration::from_millis(5);
/// Most bytes that wait. Where nobody takes them any more, whoever has a line waits with it.
const MOST: usize = 1 << 20;
/// Most bytes in one write: as many as a pipe takes in one piece, so that no line of a process that shares it comes in between (POSIX
/// `PIPE_BUF` on Linux).
const ONE_WRITE: usize = 4096;

/// The lines that were not written yet.
pub(super) struct Lines<W> {
    gathered: Mutex<Gathered>,
    some: Condvar,
    /// Held while lines are written, from before they are taken: so nothing overtakes them.
    out: Mutex<Out<W>>,
}

struct Out<W> {
    to: W,
    /// A write failed, and may have left half a line.
    is_torn: bool,
}

#[derive(Default)]
struct Gathered {
    text: Vec<u8>,
    /// Whether somebody writes what waits. Else nothing does.
    waits: bool,
    /// When the last line was added.
    last: Option<Instant>,
}

impl<W: Write + Send + 'static> Lines<W> {
    pub(super) fn to(out: W) -> Arc<Self> {
        Arc::new(Self {
            gathered: Mutex::default(),
            some: Condvar::new(),
            out: Mutex::new(Out { to: out, is_torn: false }),
        })
    }

    /// Has lines wait for others from now on. Until then each is written at once.
    ///
    /// # Errors
    /// The system's, which has no thread to spare.
    pub(super) fn start(self: &Arc<Self>) -> io::Result<()> {
        let lines = Arc::clone(self);
        let each = move || {
            loop {
                lines.wait();
                thread::sleep(GATHERED_FOR);
                lines.write_out();
            }
        };
        thread::Builder::new().name("log".to_owned()).spawn(each)?;
        self.gathered.lock().waits = true;
        Ok(())
    }

    /// Writes what waits, and has nothing wait any more.
    pub(super) fn stop(&self) {
        self.gathered.lock().waits = false;
        self.write_out();
    }

    fn wait(&self) {
        let mut gathered = self.gathered.lock();
        while gathered.text.is_empty() {
            self.some.wait(&mut gathered);
        }
    }

    #[expect(clippy::disallowed_methods, reason = "measuring, which nothing depends on")]
    fn add(&self, line: &[u8], at_once: bool) {
        let now = Instant::now();
        let (is_first, has_to_go) = {
            let mut gathered = self.gathered.lock();
            let before = gathered.last;
            gathered.last = before.max(Some(now));
            let alone = before.is_none_or(|before| now.saturating_duration_since(before) >= GATHERED_FOR);
            let is_first = gathered.text.is_empty();
            gathered.text.extend_from_slice(line);
            (is_first, at_once || alone || !gathered.waits || gathered.text.len() > MOST)
        };
        if has_to_go {
            self.write_out();
        } else if is_first {
            self.some.notify_one();
        }
    }

    /// Writes all that waits.
    pub(super) fn write_out(&self) {
        let mut out = self.out.lock();
        let lines = std::mem::take(&mut self.gathered.lock().text);
        let mut rest = &lines[..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(one_write(rest));
            // Lines that cannot be written, because the disk of the log is full, must not take the process with them, nor those behind them.
            let torn = out.is_torn && out.to.write_all(b"\n").is_err();
            out.is_torn = torn || out.to.write_all(now).is_err();
            rest = later;
        }
        let _ = out.to.flush();
    }
}

/// How much to write at once: whole lines, as many as go into one piece, or one that is longer.
fn one_write(lines: &[u8]) -> usize {
    if lines.len() <= ONE_WRITE {
        return lines.len();
    }
    let line_end = |found: Option<usize>| found.map(|at| at + 1);
    let fitting = line_end(lines[..ONE_WRITE].iter().rposition(|byte| *byte == b'\n'));
    fitting.or_else(|| line_end(lines.iter().position(|byte| *byte == b'\n'))).unwrap_or(lines.len())
}

/// Lines for a `tracing` subscriber.
pub(super) struct Gathering<W>(pub(super) Arc<Lines<W>>);

/// One line on its way.
pub(super) struct Line<'l, W> {
    lines: &'l Lines<W>,
    at_once: bool,
}

impl<'l, W: Write + Send + 'static> MakeWriter<'l> for Gathering<W> {
    type Writer = Line<'l, W>;

    fn make_writer(&'l self) -> Line<'l, W> {
        Line { lines: &self.0, at_once: true }
    }

    fn make_writer_for(&'l self, about: &Metadata<'_>) -> Line<'l, W> {
        Line { lines: &self.0, at_once: *about.level() <= Level::WARN }
    }
}

impl<W: Write + Send + 'static> Write for Line<'_, W> {
    /// The subscriber hands over whole lines.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.lines.add(line, self.at_once);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    /// Tells of each write.
    struct Told(Sender<Vec<u8>>);

    impl Write for Told {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Lines that wait, and whose thread does not come.
    #[expect(clippy::disallowed_methods, reason = "a time to come, for none that is read")]
    fn unread(tell: Sender<Vec<u8>>) -> Arc<Lines<Told>> {
        let lines = Lines::to(Told(tell));
        let mut gathered = lines.gathered.lock();
        // As if there had just been one, for as long as a test may take.
        (gathered.waits, gathered.last) = (true, Some(Instant::now() + Duration::from_secs(600)));
        drop(gathered);
        lines
    }

    #[test]
    fn news_waits_for_others_and_a_warning_takes_it_along() {
        let (tell, told) = channel();
        let lines = unread(tell);
        lines.add(b"one\n", false);
        lines.add(b"two\n", false);
        assert!(told.try_recv().is_err());
        lines.add(b"a warning\n", true);
        assert_eq!(told.try_recv().expect("written"), b"one\ntwo\na warning\n");
    }

    #[test]
    fn a_line_alone_waits_for_nobody() {
        let (tell, told) = channel();
        let lines = Lines::to(Told(tell));
        lines.gathered.lock().waits = true;
        lines.add(b"alone\n", false);
        assert_eq!(told.try_recv().expect("written"), b"alone\n");
    }

    #[test]
    fn what_waits_is_written_by_itself() {
        let (tell, told) = channel();
        let lines = Lines::to(Told(tell));
        lines.add(b"before\n", false);
        assert_eq!(told.try_recv().expect("written"), b"before\n");
        lines.start().expect("a thread");
        for line in [&b"one\n"[..], b"two\n"] {
            lines.add(line, false);
            assert_eq!(told.recv().expect("written"), line);
        }
    }

    #[test]
    fn a_write_ends_where_a_line_does_and_nothing_is_lost() {
        let (tell, told) = channel();
        let lines = Lines::to(Told(tell));
        let mut all = Vec::new();
        for length in (1..200).chain([ONE_WRITE - 1, ONE_WRITE, ONE_WRITE + 1, 3 * ONE_WRITE, 5]) {
            all.extend(std::iter::repeat_n(b'x', length));
            all.push(b'\n');
        }
        lines.add(&all, true);
        let mut written = Vec::new();
        for one in told.try_iter() {
            assert_eq!(one.last(), Some(&b'\n'));
            assert!(one.len() <= ONE_WRITE || one.iter().filter(|byte| **byte == b'\n').count() == 1);
            written.extend(one);
        }
        assert_eq!(written, all);
    }

    #[test]
    fn what_ends_leaves_nothing_waiting() {
        let (tell, told) = channel();
        let lines = unread(tell);
        lines.add(b"before\n", false);
        lines.stop();
        lines.add(b"after\n", false);
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [b"before\n".to_vec(), b"after\n".to_vec()]);
    }

    #[test]
    fn a_write_that_fails_takes_no_other_with_it() {
        struct Full(Sender<Vec<u8>>, usize);
        impl Write for Full {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.1 += 1;
                if self.1 == 2 {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                Told(self.0.clone()).write(bytes)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (tell, told) = channel();
        let lines = Lines::to(Full(tell, 0));
        let line = [&[b'x'; ONE_WRITE - 1][..], b"\n"].concat();
        lines.add(&line.repeat(3), true);
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [line.clone(), b"\n".to_vec(), line]);
    }

    #[test]
    fn what_nobody_takes_stops_at_a_bound() {
        let (tell, told) = channel();
        let lines = unread(tell);
        let line = [&[b'x'; 999][..], b"\n"].concat();
        for _ in 0..=MOST / line.len() {
            lines.add(&line, false);
        }
        assert!(told.try_iter().map(|one| one.len()).sum::<usize>() > MOST, "whoever has the line writes");
    }
}
