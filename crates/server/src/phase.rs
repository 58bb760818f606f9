//! Where a server is in its life, for its listeners, its connections and whoever asks whether it is ready.
//!
//! ```text
//! Serving ─► Leaving ─► Stopping          told to stop
//! Serving ─► HandedOver ─► Stopping       another process has the listeners
//! ```

use std::sync::Arc;

use tokio::sync::watch;

/// What a server does about connections and requests at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It takes and answers.
    Serving,
    /// It takes and answers, and says that it is not ready: whoever chooses between servers looks elsewhere.
    Leaving,
    /// Another process takes connections from the same sockets. What is connected here is answered.
    HandedOver,
    /// It takes nothing more and finishes what it took.
    Stopping,
}

/// Tells of each change.
pub(crate) type Phases = watch::Receiver<Phase>;

impl Phase {
    /// Whether no more connections are taken, and those that would go on by themselves end.
    pub(crate) fn takes_nothing(self) -> bool {
        matches!(self, Self::HandedOver | Self::Stopping)
    }
}

/// Returns when no more connections are taken.
pub(crate) async fn taking_nothing(phases: &mut Phases) {
    // An error means that the server is gone, which is the same.
    let _ = phases.wait_for(|phase| phase.takes_nothing()).await;
}

/// Returns when the server stops.
pub(crate) async fn stopping(phases: &mut Phases) {
    let _ = phases.wait_for(|phase| *phase == Phase::Stopping).await;
}

/// Says what a server does from now on.
#[derive(Debug, Clone)]
pub struct Life(Arc<watch::Sender<Phase>>);

impl Life {
    /// It serves.
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::channel(Phase::Serving).0))
    }

    /// It goes on, and says that it is not ready: whoever chooses between servers looks elsewhere.
    pub fn leave(&self) {
        self.0.send_if_modified(|phase| {
            let serving = *phase == Phase::Serving;
            if serving {
                *phase = Phase::Leaving;
            }
            serving
        });
    }

    /// Another process takes connections from the same sockets: none are taken here any more, and those that are open have one more
    /// request.
    pub fn hand_over(&self) {
        self.0.send_replace(Phase::HandedOver);
    }

    /// It stops.
    pub(crate) fn stop(&self) {
        self.0.send_if_modified(|phase| {
            // Whoever handed over takes nothing already, and has time.
            let stops = *phase != Phase::HandedOver;
            if stops {
                *phase = Phase::Stopping;
            }
            stops
        });
    }

    /// Tells of each change from now on.
    pub(crate) fn phases(&self) -> Phases {
        self.0.subscribe()
    }
}
