//! A client's call to the server: the method is found in a table, done on a task of its own, and answered.
//!
//! While it is under way, its caller hears that it is, as often as it wants to.

use std::sync::Arc;
use std::time::Duration;

use doorward_protocols::hypha::{Head, value};
use rmpv::Value;
use tokio::time::{Instant, MissedTickBehavior};

use crate::args::Args;
use crate::fault::Fault;
use crate::hub::Hub;
use crate::peer::Peer;
use crate::provided;

/// How often a caller hears that its call is under way, unless it says otherwise.
const HEARTBEAT_S: f64 = 15.0;

impl Hub {
    /// Takes a frame that is for the server, at the address `to`.
    pub(crate) async fn serve(&self, peer: &Arc<Peer>, to: &str, frame: &[u8]) {
        // It was read before, by whoever found out that it is for us.
        let Ok(head) = Head::read(frame) else { return };
        let Some(method) = head.method.filter(|_| head.kind == "method") else { return };
        let session = head.session.map(str::to_owned);
        let extra = match head.tail() {
            [] => Ok(Value::Map(Vec::new())),
            bytes => value::read(bytes).map_err(|error| Fault::value(error.to_string())),
        };
        if !method.starts_with("services.") {
            if let Ok(extra) = extra {
                self.answered(peer, method, session, &extra).await;
            }
            return;
        }
        let refuse = |fault: Fault| {
            let session = session.clone();
            async move {
                if let Some(session) = session {
                    self.answer(peer, to, &session, "reject", Some(fault.encoded())).await;
                }
            }
        };
        let extra = match extra {
            Ok(extra) => extra,
            Err(fault) => return refuse(fault).await,
        };
        if value::get(&extra, "_enc").is_some() {
            return refuse(Fault::value("the server's own services take no encrypted calls")).await;
        }
        let Ok(place) = Arc::clone(&peer.calls).try_acquire_owned() else {
            return refuse(Fault::other("too many calls to the server are under way")).await;
        };
        let prepared = Args::read(&extra)
            .and_then(|args| provided::find(self, to, method)?.begin((self, peer, to), method, args));
        let done = match prepared {
            Ok(done) => done,
            Err(fault) => return refuse(fault).await,
        };
        let every = value::get(&extra, "t")
            .or_else(|| value::get(&extra, "promise").and_then(|promise| value::get(promise, "interval")))
            .and_then(Value::as_f64)
            .filter(|seconds| (0.1..=600.0).contains(seconds))
            .unwrap_or(HEARTBEAT_S);
        let (hub, peer, at) = (self.clone(), Arc::clone(peer), to.to_owned());
        tokio::spawn(async move {
            let _place = place;
            let Some(session) = session else {
                let _ = done.await;
                return;
            };
            let done =
                with_heartbeats(&hub, &peer, (&at, &session), Duration::from_secs_f64(every), done).await;
            let (what, said) = match done {
                Ok(said) => ("resolve", said),
                Err(fault) => ("reject", fault.encoded()),
            };
            hub.answer(&peer, &at, &session, what, Some(said)).await;
        });
    }
}

/// Waits for an act, and tells its caller meanwhile that it is waited for. A caller that leaves ends the waiting.
async fn with_heartbeats(
    hub: &Hub,
    peer: &Arc<Peer>,
    (at, session): (&str, &str),
    every: Duration,
    act: impl Future<Output = Result<Value, Fault>>,
) -> Result<Value, Fault> {
    let mut beat = tokio::time::interval_at(Instant::now() + every.min(Duration::from_secs(1)), every);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::pin!(act);
    loop {
        tokio::select! {
            biased;
            done = &mut act => return done,
            _ = beat.tick() => {
                if peer.outbox.is_closed() {
                    return Err(Fault::other("the caller left"));
                }
                hub.answer(peer, at, session, "heartbeat", None).await;
            }
        }
    }
}
