//! What the service manager is told of this process (sd_notify(3)): a datagram of `NAME=value` lines to the socket it names. Where there is
//! none, nobody is told.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::cli::Surroundings;

const VARIABLE: &str = "NOTIFY_SOCKET";
/// The longest that stopping takes: requests 20 s, runs and other work 12, the last spans 2, and some. The unit and the container of
/// `deploy/` give it, and the ten seconds of leaving that docs/operations.md speaks of.
const LONGEST_STOP: Duration = Duration::from_secs(45);

/// Whoever watches over this process. Clones tell the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Supervisor(Option<Arc<(UnixDatagram, SocketAddr)>>);

impl Supervisor {
    /// The one that the surroundings name.
    pub(crate) fn of(surroundings: &Surroundings) -> Self {
        let Some(name) = surroundings.variable(VARIABLE).filter(|name| !name.is_empty()) else {
            return Self::default();
        };
        let opened = || -> io::Result<_> {
            let address = match name.strip_prefix('@') {
                Some(name) => SocketAddr::from_abstract_name(name)?,
                None => SocketAddr::from_pathname(&name)?,
            };
            let socket = UnixDatagram::unbound()?;
            socket.set_nonblocking(true)?;
            Ok((socket, address))
        };
        match opened() {
            Ok(place) => Self(Some(Arc::new(place))),
            Err(error) => {
                tracing::warn!(%error, "the service manager cannot be told anything: {VARIABLE} names no socket");
                Self::default()
            }
        }
    }

    /// It serves.
    pub(crate) fn ready(&self) {
        self.tell("READY=1");
    }

    /// It reads something anew; [`Supervisor::ready`] ends that.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let us = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={us}"));
    }

    /// What there is to say of it to whoever asks how it is; empty for nothing.
    pub(crate) fn status(&self, text: &str) {
        // A line would be another message.
        self.tell(&format!("STATUS={}", text.replace(['\n', '\r'], " ")));
    }

    /// It stops, having gone on for `leave_after` before, and is not to be killed meanwhile.
    pub(crate) fn stopping(&self, leave_after: Duration) {
        self.tell(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={}", (leave_after + LONGEST_STOP).as_micros()));
    }

    /// Another process is the service from now on.
    pub(crate) fn succeeded_by(&self, pid: u32) {
        self.tell(&format!("MAINPID={pid}"));
    }

    fn tell(&self, lines: &str) {
        let Some(place) = &self.0 else { return };
        if let Err(error) = place.0.send_to_addr(lines.as_bytes(), &place.1) {
            tracing::warn!(%error, "the service manager cannot be told: {lines}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surroundings(socket: &str) -> Surroundings {
        Surroundings { environment: vec![(VARIABLE.to_owned(), socket.to_owned())] }
    }

    #[test]
    fn a_manager_is_told_at_the_socket_it_names() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).expect("a socket");
        let supervisor = Supervisor::of(&surroundings(path.to_str().expect("UTF-8")));
        supervisor.ready();
        supervisor.reloading();
        supervisor.succeeded_by(7);
        let mut bytes = [0; 256];
        let mut next = || {
            let read = manager.recv(&mut bytes).expect("a message");
            String::from_utf8(bytes[..read].to_vec()).expect("UTF-8")
        };
        assert_eq!(next(), "READY=1");
        let reloading = next();
        let us = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect(&reloading);
        assert!(us.parse::<u64>().is_ok(), "{reloading}");
        assert_eq!(next(), "MAINPID=7");
        supervisor.status("one\nREADY=1");
        assert_eq!(next(), "STATUS=one READY=1");
    }

    #[test]
    fn an_abstract_name_begins_with_an_at() {
        let name = format!("doorward-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let manager = UnixDatagram::bind_addr(&address).expect("a socket");
        Supervisor::of(&surroundings(&format!("@{name}"))).stopping(Duration::from_secs(10));
        let mut bytes = [0; 64];
        let read = manager.recv(&mut bytes).expect("a message");
        assert_eq!(&bytes[..read], b"STOPPING=1\nEXTEND_TIMEOUT_USEC=55000000");
    }

    #[test]
    fn without_a_manager_or_with_one_that_is_gone_nothing_fails() {
        for socket in ["", "/no/such/socket"] {
            Supervisor::of(&surroundings(socket)).ready();
        }
        Supervisor::default().ready();
    }
}
