//! Timing by CPU, pairs in alternation, and the report.

use std::process::ExitCode;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

const ROUNDS: usize = 150;
const ROUND: Duration = Duration::from_millis(4);

fn read(clock: ClockId) -> Duration {
    let now = clock_gettime(clock);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).expect("below a second"))
}

/// CPU time of this thread.
pub(crate) fn thread_cpu() -> Duration {
    read(ClockId::ThreadCPUTime)
}

/// Time on the wall.
pub(crate) fn wall() -> Duration {
    read(ClockId::Monotonic)
}

/// Nanoseconds of this thread's CPU per call: the median of many short rounds, alternating between the works. The best
/// round would be the luckiest moment of a shared machine, and not the same one for each work.
pub(crate) fn compare<const N: usize>(mut works: [&mut dyn FnMut(); N]) -> [f64; N] {
    let mut rounds = [const { Vec::new() }; N];
    let mut batch = [1_u32; N];
    for (work, size) in works.iter_mut().zip(&mut batch) {
        loop {
            let spent = timed(work, *size);
            if spent >= ROUND || *size > 1 << 24 {
                break;
            }
            *size *= 2;
        }
    }
    for _ in 0..ROUNDS {
        for (n, work) in works.iter_mut().enumerate() {
            let spent = timed(work, batch[n]);
            rounds[n].push(spent.as_nanos() as f64 / f64::from(batch[n]));
        }
    }
    rounds.map(|mut taken: Vec<f64>| {
        taken.sort_by(f64::total_cmp);
        taken[taken.len() / 2]
    })
}

fn timed(work: &mut &mut dyn FnMut(), times: u32) -> Duration {
    let start = thread_cpu();
    for _ in 0..times {
        work();
    }
    thread_cpu() - start
}

/// What a figure has to be.
#[derive(Clone, Copy)]
pub(crate) enum Wanted {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
    /// Shown beside the others.
    Shown,
}

/// The figures so far.
#[derive(Default)]
pub(crate) struct Report {
    missed: Vec<String>,
    count: usize,
}

impl Report {
    /// Prints a figure and remembers it if it missed.
    pub(crate) fn figure(&mut self, name: &str, value: f64, unit: &str, wanted: Wanted) {
        let (good, text) = match wanted {
            Wanted::AtLeast(least) => (value >= least, format!("wanted ≥ {least}")),
            Wanted::AtMost(most) => (value <= most, format!("wanted ≤ {most}")),
            Wanted::Shown => (true, String::new()),
        };
        let shown = if value.abs() >= 1000.0 { format!("{value:.0}") } else { format!("{value:.3}") };
        let mark = if good { "" } else { "   MISSED" };
        println!("{name:<64} {shown:>12} {unit:<8} {text}{mark}");
        self.count += 1;
        if !good {
            self.missed.push(name.to_owned());
        }
    }

    /// Says why a figure is absent; counts as missed, so that nothing goes unmeasured unseen.
    pub(crate) fn absent(&mut self, name: &str, why: &str) {
        println!("{name:<64} LEFT OUT: {why}");
        self.missed.push(name.to_owned());
    }

    /// The end of the run.
    pub(crate) fn end(self) -> ExitCode {
        if self.missed.is_empty() {
            println!("{} figures, all as wanted", self.count);
            return ExitCode::SUCCESS;
        }
        println!("{} figures; missed or left out: {}", self.count, self.missed.join("; "));
        ExitCode::FAILURE
    }
}
