//! A new process takes the place of this one, and no connection is refused or lost meanwhile.
//!
//! ```text
//! SIGUSR2 ─► this process starts the program that stands at its path now, as it was started itself
//!   its listening sockets, with the addresses they were asked for ──► the new one, on its standard input
//!   the new one assembles and listens on the same sockets: "ready" ──► this one lets it have the place: "yours", and `dev`'s key
//!   the new one says everywhere that it is the service, and serves: "serving" ──► this one takes nothing more, finishes, ends: "done"
//! ```
//! The sockets are never closed, so what the system has queued on them is lost to nobody. Until the new one serves, this one serves as
//! ever; if it never does, nothing has happened. Told to stop before it said "yours", this one ends the new one with itself: that has
//! written and told nothing.

use std::ffi::OsString;
use std::io::{self, IoSlice, IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Duration;

use doorward_core::secret::SecretText;
use doorward_server::Sockets;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg, sockopt,
};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use crate::cli::{Failure, Surroundings};

/// Says to a process that its standard input brings sockets.
const VARIABLE: &str = "DOORWARD_TAKES_OVER";
/// Most sockets that one message carries (unix(7), `SCM_MAX_FD`).
const MOST: usize = 253;
/// Room for as many addresses.
const MAX_MESSAGE_BYTES: usize = 16 << 10;
/// How long the new process may take until it is ready.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it may take from there until it serves.
const LAST_STEPS: Duration = Duration::from_secs(20);
const READY: &[u8] = b"ready\n";
const YOURS: &str = "yours";
/// Room for that word and what comes with it.
const MAX_WORD_BYTES: u64 = 1024;
const SERVING: &[u8] = b"serving\n";
const DONE: &[u8] = b"done\n";

/// How this process was started. Taken at its start: later the path may hold another program, which is the point.
pub(crate) struct Program {
    /// As it was called, which may lead to another version by now, and where it was found to be.
    names: [OsString; 2],
    arguments: Vec<OsString>,
}

impl Program {
    /// This process's.
    ///
    /// # Errors
    /// The system does not say where the program is.
    pub(crate) fn of_process() -> io::Result<Self> {
        let found = std::env::current_exe()?.into_os_string();
        let mut words = std::env::args_os();
        let called = words.next().unwrap_or_else(|| found.clone());
        Ok(Self { names: [called, found], arguments: words.collect() })
    }

    /// Starts it again, with this as its standard input.
    fn start(&self, input: &UnixStream) -> io::Result<tokio::process::Child> {
        let mut outcome = Err(io::ErrorKind::NotFound.into());
        for name in &self.names {
            outcome = tokio::process::Command::new(name)
                .args(&self.arguments)
                .env(VARIABLE, "1")
                .stdin(Stdio::from(OwnedFd::from(input.try_clone()?)))
                .spawn();
            if !outcome.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
                break;
            }
        }
        outcome
    }
}

/// The process that is to take over.
pub(crate) struct Successor {
    child: tokio::process::Child,
    channel: tokio::net::UnixStream,
    pid: u32,
}

impl Successor {
    /// Starts it, with these sockets. If this process goes before it is ready, it ends by itself.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn start(program: &Program, sockets: &[(SocketAddr, OwnedFd)]) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        send(&ours, sockets)?;
        let child = program.start(&theirs)?;
        // The other end is the new process's alone, so that its end is noticed.
        drop(theirs);
        ours.set_nonblocking(true)?;
        let pid = child.id().ok_or_else(|| io::Error::other("it ended at once"))?;
        Ok(Self { child, channel: tokio::net::UnixStream::from_std(ours)?, pid })
    }

    /// Waits until it could serve.
    ///
    /// # Errors
    /// Why it cannot; it is gone then.
    pub(crate) async fn ready(&mut self) -> Result<(), String> {
        self.says(READY, PATIENCE).await
    }

    /// Lets it have the place, with something that goes with it, and waits until it serves.
    ///
    /// # Errors
    /// Why it does not; it is gone then.
    pub(crate) async fn take_over(&mut self, with: Option<&SecretText>) -> Result<(), String> {
        let with = with.map_or("", |with| with.expose().as_str());
        let word = SecretText::new(format!("{YOURS} {with}\n"));
        // One that is gone is found to be when it says nothing.
        let _ = self.channel.write_all(word.expose().as_bytes()).await;
        self.says(SERVING, LAST_STEPS).await
    }

    async fn says(&mut self, expected: &[u8], within: Duration) -> Result<(), String> {
        let mut word = vec![0; expected.len()];
        let what = match tokio::time::timeout(within, self.channel.read_exact(&mut word)).await {
            Ok(Ok(_)) if word == expected => return Ok(()),
            Ok(Ok(_)) => "it says something else than that it is".to_owned(),
            Ok(Err(_)) => match self.child.wait().await {
                Ok(status) => format!("it ended ({status}), and said why above"),
                Err(error) => error.to_string(),
            },
            Err(_) => format!("it was not within {} s", within.as_secs()),
        };
        // Gone already, as a rule.
        self.end().await;
        Err(what)
    }

    /// Ends it: it has nothing that anybody would miss.
    pub(crate) async fn end(&mut self) {
        // An error says that it is gone.
        let _ = self.child.kill().await;
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Tells it that this process has finished, and leaves it to itself.
    pub(crate) fn done(self) {
        if let Ok(mut channel) = self.channel.into_std() {
            // It knows nothing better to do about an end that it is not told of than to say so.
            let _ = channel.write_all(DONE);
        }
    }
}

fn send(channel: &UnixStream, sockets: &[(SocketAddr, OwnedFd)]) -> io::Result<()> {
    if sockets.len() > MOST {
        return Err(io::Error::other(format!("more than {MOST} listeners cannot be handed over")));
    }
    let addresses: Vec<String> = sockets.iter().map(|(address, _)| address.to_string()).collect();
    let bytes = addresses.join("\n");
    let descriptors: Vec<BorrowedFd<'_>> = sockets.iter().map(|(_, socket)| socket.as_fd()).collect();
    let message = SendAncillaryMessage::ScmRights(&descriptors);
    let mut space = vec![MaybeUninit::uninit(); message.size()];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(message) {
        return Err(io::Error::other("the sockets find no room in a message"));
    }
    // Nothing was sent before, so a message of this size is taken whole.
    let sent = sendmsg(channel, &[IoSlice::new(bytes.as_bytes())], &mut control, SendFlags::NOSIGNAL)?;
    if sent == bytes.len() { Ok(()) } else { Err(io::Error::other("half a message was sent")) }
}

fn receive(channel: impl std::os::fd::AsFd) -> io::Result<Vec<(SocketAddr, TcpListener)>> {
    let mut bytes = vec![0; MAX_MESSAGE_BYTES];
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received =
        recvmsg(channel, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(some) = message {
            descriptors.extend(some);
        }
    }
    let strange = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    let text =
        std::str::from_utf8(&bytes[..received.bytes]).map_err(|_| strange("addresses that are no text"))?;
    let addresses = text.lines().map(str::parse::<SocketAddr>).collect::<Result<Vec<_>, _>>();
    let addresses = addresses.map_err(|_| strange("something that is no address"))?;
    if addresses.len() != descriptors.len() {
        return Err(strange("addresses and sockets of another number"));
    }
    let listening = |descriptor: OwnedFd| {
        if !sockopt::socket_acceptconn(&descriptor)? {
            return Err(strange("a socket that does not listen"));
        }
        Ok(TcpListener::from(descriptor))
    };
    addresses.into_iter().zip(descriptors).map(|(address, one)| Ok((address, listening(one)?))).collect()
}

/// The process whose place this one takes.
pub(crate) struct Predecessor {
    channel: UnixStream,
}

/// The predecessor and its sockets, where this process was started by one.
///
/// # Errors
/// Standard input does not bring what it should.
pub(crate) fn predecessor(surroundings: &Surroundings) -> Result<(Option<Predecessor>, Sockets), Failure> {
    if surroundings.variable(VARIABLE).is_none() {
        return Ok((None, Sockets::default()));
    }
    let taken = || {
        // Taken from standard input, because a descriptor of another number cannot be had without unsafe code.
        let channel = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        let sockets = receive(&channel)?;
        io::Result::Ok((Some(Predecessor { channel }), Sockets::new(sockets)))
    };
    taken().map_err(|error| {
        Failure::refused(
            format!("{VARIABLE} is set, but standard input brings no sockets: {error}"),
            format!("unset {VARIABLE}; a process sets it for the one that takes its place (SIGUSR2)"),
        )
    })
}

/// The place that the process before this one has let go of.
pub(crate) struct Place {
    channel: tokio::net::UnixStream,
}

impl Predecessor {
    /// Tells it that this process could serve, and waits until it lets go of its place; with what goes with it.
    ///
    /// # Errors
    /// It is gone.
    pub(crate) async fn let_go(self) -> io::Result<(Place, SecretText)> {
        self.channel.set_nonblocking(true)?;
        let mut channel = tokio::net::UnixStream::from_std(self.channel)?;
        tracing::info!("ready to take the place of the process before this one");
        channel.write_all(READY).await?;
        let mut word = String::new();
        // It says nothing more before it is told that this process serves, so that nothing of that is taken away here.
        BufReader::new((&mut channel).take(MAX_WORD_BYTES)).read_line(&mut word).await?;
        let word = SecretText::new(word);
        let with =
            word.expose().strip_suffix('\n').and_then(|word| word.strip_prefix(YOURS)?.strip_prefix(' '));
        let with = with.map(SecretText::from).ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok((Place { channel }, with))
    }
}

impl Place {
    /// Tells the process before this one that this one serves, and says in the log how that one ends.
    pub(crate) fn serving(self) {
        let Self { mut channel } = self;
        tokio::spawn(async move {
            // It may be gone already, and is found to be below.
            let _ = channel.write_all(SERVING).await;
            let mut word = Vec::new();
            // However it ends, it has.
            let _ = channel.read_to_end(&mut word).await;
            if word == DONE {
                tracing::info!("the process before this one has finished");
            } else {
                tracing::warn!(
                    "the process before this one ended before it had finished; runs of agents that it left are marked \
                     interrupted at the next start that takes nobody's place"
                );
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_arrive_with_the_addresses_they_were_asked_for() {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let sockets: Vec<_> = ["127.0.0.1:0", "127.0.0.1:0", "[::1]:1"]
            .into_iter()
            .map(|asked| {
                let socket = TcpListener::bind("127.0.0.1:0").expect("bound");
                (asked.parse().expect("an address"), socket)
            })
            .collect();
        let ports: Vec<_> = sockets.iter().map(|(_, socket)| socket.local_addr().expect("known")).collect();
        let owned: Vec<_> =
            sockets.into_iter().map(|(asked, socket)| (asked, OwnedFd::from(socket))).collect();
        send(&ours, &owned).expect("sent");
        drop(owned);
        let received = receive(&theirs).expect("received");
        let asked: Vec<_> = received.iter().map(|(asked, _)| asked.to_string()).collect();
        assert_eq!(asked, ["127.0.0.1:0", "127.0.0.1:0", "[::1]:1"]);
        let arrived: Vec<_> =
            received.iter().map(|(_, socket)| socket.local_addr().expect("known")).collect();
        assert_eq!(arrived, ports);
        assert!(
            std::net::TcpStream::connect(ports[0]).is_ok(),
            "it listens though its first owner let go of it"
        );
    }

    #[test]
    fn what_is_no_listening_socket_is_refused() {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let (strange, _other) = UnixStream::pair().expect("a pair");
        send(&ours, &[("127.0.0.1:1".parse().expect("an address"), strange.into())]).expect("sent");
        assert!(receive(&theirs).is_err());
        drop(ours);
        assert!(receive(&theirs).expect("nothing came").is_empty());
    }
}
