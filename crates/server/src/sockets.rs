//! Listening sockets that outlive a process.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

/// Listening sockets that another process handed over, by the address that they were asked for with.
#[derive(Debug, Default)]
pub struct Sockets(Vec<(SocketAddr, std::net::TcpListener)>);

impl Sockets {
    /// Those sockets, with the addresses as they were configured (port 0 for any).
    #[must_use]
    pub fn new(sockets: Vec<(SocketAddr, std::net::TcpListener)>) -> Self {
        Self(sockets)
    }

    /// Takes the first that was asked for with this address, or makes one.
    pub(crate) async fn listen(&mut self, address: SocketAddr) -> io::Result<TcpListener> {
        match self.0.iter().position(|(asked, _)| *asked == address) {
            Some(at) => {
                let (_, socket) = self.0.remove(at);
                socket.set_nonblocking(true)?;
                TcpListener::from_std(socket)
            }
            None => TcpListener::bind(address).await,
        }
    }
}
