//! What the process is told while it serves.
//!
//! | signal | means |
//! |---|---|
//! | `SIGTERM`, `SIGINT` | finish what was taken and stop; once more, or once another process serves: leave at once |
//! | `SIGUSR2` | start the program anew and hand the listeners to it ([`crate::succession`]) |
//! | `SIGHUP` | read the certificate again ([`crate::certificates`]) |

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use doorward_core::secret::SecretText;
use doorward_server::Bound;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use crate::setup::Mode;
use crate::succession::{Program, Successor};
use crate::supervisor::Supervisor;

/// How long what outlives its request may still take once the server stops.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same, and what was taken before it, where another process serves meanwhile, so that nobody waits for it.
const PATIENCE_BESIDE_ANOTHER: Duration = Duration::from_secs(300);

/// How long a signal may be on its way.
const MOMENT: Duration = Duration::from_millis(50);

/// How a server ended.
pub(crate) enum End {
    /// It was told to stop.
    Stopped,
    /// Another process serves in its place.
    HandedOver(Box<Successor>),
}

/// A server that takes nothing more, and until when what goes on may go on.
pub(crate) struct Over {
    pub(crate) end: End,
    pub(crate) until: Instant,
}

impl Over {
    fn now(end: End) -> Self {
        Self { end, until: Instant::now() + PATIENCE }
    }
}

/// The signals that end or replace the process.
pub(crate) struct Signals {
    stop: Stop,
    replace: Signal,
    hang_up: Option<Signal>,
}

/// Being told to stop.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    async fn told(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Signals that ask for something and end the process if nobody listens. They are taken over before the configuration is read, and one
/// that comes while the server starts is answered once it serves.
pub(crate) struct Requests {
    replace: Signal,
    hang_up: Option<Signal>,
}

impl Requests {
    /// Takes them over. Within a runtime.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn new(mode: Mode) -> io::Result<Self> {
        let hang_up = match mode {
            Mode::Serve => Some(signal(SignalKind::hangup())?),
            // It ends with its terminal, unless it has a certificate to read again.
            Mode::Dev => None,
        };
        Ok(Self { replace: signal(SignalKind::user_defined2())?, hang_up })
    }
}

impl Signals {
    /// Takes over those that end the process too.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn new(Requests { replace, hang_up }: Requests) -> io::Result<Self> {
        // A write beyond a limit on file sizes is to fail as on a full disk, not to end the process. Once taken over, the
        // signal stays so.
        drop(signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?);
        let stop =
            Stop { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? };
        Ok(Self { stop, replace, hang_up })
    }

    /// The signal to read the certificate again.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn hang_up(&mut self) -> io::Result<Signal> {
        // Taken over once, it stays so: without a certificate there is nothing to read again, which is no reason to end.
        self.hang_up.take().map_or_else(|| signal(SignalKind::hangup()), Ok)
    }

    /// Waits until what goes on has had its time, or somebody wants the process gone at once.
    pub(crate) async fn enough(&mut self, until: Instant) {
        tokio::select! {
            () = sleep_until(until) => {}
            () = self.stop.told() => tracing::warn!("leaving at once"),
        }
    }

    /// What comes of this, unless the process is told to stop before.
    pub(crate) async fn unless_told<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Over> {
        tokio::select! {
            outcome = work => Ok(outcome),
            () = self.stop.told() => Err(Over::now(End::Stopped)),
        }
    }

    /// Serves until one of them ends that. Whoever takes over is given what is `handed_on`.
    ///
    /// # Errors
    /// The system has no descriptors to keep for a successor.
    pub(crate) async fn during(
        &mut self,
        bound: Bound,
        program: &Program,
        supervisor: &Supervisor,
        leave_after: Duration,
        handed_on: Option<&SecretText>,
    ) -> io::Result<Over> {
        let (life, sockets) = (bound.life(), bound.sockets()?);
        let (stopping, stopped) = oneshot::channel::<()>();
        let running = bound.run(async move {
            // The sender is never dropped before it has sent, so an error cannot come.
            let _ = stopped.await;
        });
        tokio::pin!(running);
        let end = tokio::select! {
            () = &mut running => return Ok(Over::now(End::Stopped)),
            end = self.ended(program, &sockets, handed_on) => end,
        };
        let handed_over_at = Instant::now();
        // Kept open here, they would go on taking connections that nobody answers.
        drop(sockets);
        match &end {
            End::Stopped => {
                supervisor.stopping(leave_after);
                life.leave();
                if !leave_after.is_zero() {
                    tracing::info!(
                        "leaving: /health/ready says so for {} s before anything is refused",
                        leave_after.as_secs()
                    );
                    tokio::select! {
                        () = &mut running => return Ok(Over::now(end)),
                        () = tokio::time::sleep(leave_after) => {}
                        () = self.stop.told() => {}
                    }
                }
                tracing::info!("stopping: what was taken is finished; once more to leave at once");
            }
            End::HandedOver(successor) => {
                supervisor.succeeded_by(successor.pid());
                life.hand_over();
                tracing::info!(
                    pid = successor.pid(),
                    "another process serves now: what was taken is finished here; SIGTERM to leave at once"
                );
            }
        }
        let _ = stopping.send(());
        tokio::select! {
            () = running => {}
            () = self.stop.told() => {
                tracing::warn!("leaving at once");
                return Ok(Over { end, until: Instant::now() });
            }
        }
        Ok(match end {
            End::Stopped => Over::now(end),
            End::HandedOver(_) => Over { end, until: handed_over_at + PATIENCE_BESIDE_ANOTHER },
        })
    }

    /// Waits for what ends the service of this process. A successor that does not come about ends nothing.
    async fn ended(
        &mut self,
        program: &Program,
        sockets: &[(SocketAddr, OwnedFd)],
        handed_on: Option<&SecretText>,
    ) -> End {
        loop {
            tokio::select! {
                () = self.stop.told() => return End::Stopped,
                _ = self.replace.recv() => {}
            }
            if std::process::id() == 1 {
                // With the first process its container ends, whoever else is in it.
                tracing::error!(
                    "as the first process of a container this one cannot be replaced: replace the container"
                );
                continue;
            }
            tracing::info!("asked to let another process take over: it is started now");
            let mut successor = match Successor::start(program, sockets) {
                Ok(successor) => Box::new(successor),
                Err(error) => {
                    tracing::error!(%error, "the process that is to take over cannot be started; this one goes on");
                    continue;
                }
            };
            let ready = async {
                let ready = successor.ready().await;
                // What was told at the same moment, or before, is heard a moment later.
                tokio::time::sleep(MOMENT).await;
                ready
            };
            let ready = tokio::select! {
                () = self.stop.told() => {
                    tracing::info!("told to stop: the process that was to take over is ended too");
                    successor.end().await;
                    return End::Stopped;
                }
                ready = ready => ready,
            };
            // Who is told to stop from here on has let go of the place, and hears it once the other one serves.
            let outcome = match ready {
                Ok(()) => successor.take_over(handed_on).await,
                Err(what) => Err(what),
            };
            match outcome {
                Ok(()) => return End::HandedOver(successor),
                Err(what) => tracing::error!(
                    "the process that is to take over does not serve ({what}); this one goes on"
                ),
            }
        }
    }
}
