//! What a client offered, and where; nothing verified.

use std::net::IpAddr;

use crate::authz::custom::Foreseen;

/// Where a credential stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// `Authorization: Bearer …`
    Bearer,
    /// `Authorization: ApiKey …`
    ApiKeyScheme,
    /// `X-API-Key: …`
    ApiKeyHeader,
    /// `Authorization` with any other scheme, or one that cannot be read.
    OtherScheme,
}

/// The one credential a client offered. Not shown by `Debug`, because it has none.
#[derive(Clone, Copy)]
pub struct Offered<'r> {
    /// Where it stood.
    pub place: Place,
    /// What it says.
    pub text: &'r str,
}

/// What a look-up in memory is given: bytes of which nothing was read. Memory knows whole credentials byte for byte, so they are good for
/// that and for nothing else.
#[derive(Clone, Copy)]
pub struct Glanced<'r> {
    /// The one credential that is offered, and where.
    pub offered: Option<(Place, &'r [u8])>,
    /// Whether a browser may have sent a session of ours instead.
    pub cookie: bool,
}

/// Looks headers up by lower-case name.
pub trait Headers: Send + Sync {
    /// The value of a header that occurs once and is ASCII.
    fn get(&self, name: &str) -> Option<&str>;

    /// Calls `each` for every header that is text, by lower-case name, in the order they came.
    fn each(&self, each: &mut dyn FnMut(&str, &str));
}

/// The first line of a request.
#[derive(Debug, Clone, Copy)]
pub struct Line<'r> {
    /// The method.
    pub method: &'r str,
    /// The path within the mount.
    pub path: &'r str,
    /// What stands behind the question mark.
    pub query: &'r str,
    /// Whether it asks for a WebSocket.
    pub websocket: bool,
}

/// A transport without headers.
pub struct NoHeaders;

impl Headers for NoHeaders {
    fn get(&self, _name: &str) -> Option<&str> {
        None
    }

    fn each(&self, _: &mut dyn FnMut(&str, &str)) {}
}

/// What a request brought that may say who it is from.
pub struct Presented<'r> {
    /// The explicit credential, if there is one.
    pub offered: Option<Offered<'r>>,
    /// What our own session cookie says, where the browser sent it once. Beside another credential it may be left out.
    pub cookie: Option<&'r str>,
    /// The headers, for methods that a trusted proxy speaks through.
    pub headers: &'r dyn Headers,
    /// What is asked, where the transport has such a thing: for handlers, which may look at it.
    pub line: Option<Line<'r>>,
    /// What will be asked of the mount's handlers once it is known who this is, where the route tells: for handlers that are asked both.
    pub foreseen: Option<Foreseen<'r>>,
    /// The client's address, behind trusted proxies where there are any.
    pub client: Option<IpAddr>,
    /// The address of whoever opened the connection.
    pub peer: Option<IpAddr>,
    /// Whether that is a proxy the operator listed.
    pub trusted_peer: bool,
}

impl<'r> Presented<'r> {
    /// A Bearer token.
    #[must_use]
    pub fn bearer(&self) -> Option<&'r str> {
        self.offered.filter(|offered| offered.place == Place::Bearer).map(|offered| offered.text)
    }

    /// A token that came in no header, from this address where it is known.
    #[must_use]
    pub fn token(text: &'r str, client: Option<IpAddr>) -> Self {
        Self { offered: Some(Offered { place: Place::Bearer, text }), client, ..Self::nothing() }
    }

    /// Nothing at all.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            offered: None,
            cookie: None,
            headers: &NoHeaders,
            line: None,
            foreseen: None,
            client: None,
            peer: None,
            trusted_peer: false,
        }
    }
}
