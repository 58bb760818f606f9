//! Who asks: from the head of a request to a call whose caller is known, the same for our own routes and for an application's.

use std::net::IpAddr;
use std::sync::Arc;

use doorward_core::authn::{Line, Presented};
use doorward_core::authz::custom::Foreseen;
use doorward_core::engine::Engine;
use doorward_core::error::Result;
use doorward_core::id::RequestId;
use doorward_core::mount::Mount;
use doorward_core::operation::{Call, Origin};
use http::HeaderMap;

use super::browser;
use super::extract::{Heads, Seen, shown};
use super::origin::Client;
use super::sources::{Shown, Sources};
use crate::surfaces::Surface;

/// What a request says that may tell who is asking.
pub(crate) struct Asks<'r> {
    pub(crate) headers: &'r HeaderMap,
    /// Those of them that nearly every request is asked for.
    pub(crate) heads: Heads<'r>,
    /// Who opened the connection, where that is known. Else nothing is believed of where a request comes from.
    pub(crate) peer: Option<IpAddr>,
    /// Whom it is from by what trusted proxies say, where the peer is known.
    pub(crate) seen_from: Option<Client>,
    /// A token in a WebSocket's handshake.
    pub(crate) token: Option<&'r str>,
    pub(crate) line: Line<'r>,
    pub(crate) foreseen: Option<Foreseen<'r>>,
    /// Whether cookies count.
    pub(crate) cookies: bool,
}

/// Where it is asked.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'s> {
    pub(crate) engine: &'s Engine,
    pub(crate) mount: &'s Arc<Mount>,
    pub(crate) surface: &'s Surface,
    /// Where callers may show who they are.
    pub(crate) sources: &'s Sources,
    /// Whether sessions count that browsers keep in our cookie.
    pub(crate) cookies: bool,
}

/// Who is asking, and whether something says so that no browser sends by itself.
///
/// # Errors
/// What has two readings, and the chain's refusal.
pub(crate) async fn caller(at: Surroundings<'_>, asks: &Asks<'_>, id: &RequestId) -> Result<(Call, bool)> {
    let (seen, found) = (Seen(asks.headers), at.found(asks)?);
    let presented = at.presented((&seen, found.as_ref()), asks);
    let call = at.engine.authenticate(at.mount, asks.origin(id.clone()), &presented).await?;
    Ok((call, found.is_some_and(|found| !found.by_browser)))
}

/// Where a request of this name came from.
pub(crate) fn origin(id: RequestId, seen_from: Option<Client>, heads: &Heads<'_>) -> Origin {
    let address = seen_from.map(|client| client.address);
    Origin { request: id, address, user_agent: heads.user_agent() }
}

impl Asks<'_> {
    /// Where a request of this name came from.
    pub(crate) fn origin(&self, id: RequestId) -> Origin {
        origin(id, self.seen_from, &self.heads)
    }
}

impl Surroundings<'_> {
    fn found<'r>(&self, asks: &Asks<'r>) -> Result<Option<Shown<'r>>> {
        let places = (self.surface, self.sources, asks.cookies);
        shown((&asks.heads, asks.headers, Some(asks.line.query)), places, asks.token)
    }

    fn presented<'p>(
        &self,
        (seen, found): (&'p Seen<'p>, Option<&'p Shown<'p>>),
        asks: &Asks<'p>,
    ) -> Presented<'p> {
        Presented {
            offered: found.map(Shown::as_offered),
            // It counts where nothing else is offered, so it need not be looked for elsewhere.
            cookie: (self.cookies && found.is_none())
                .then(|| browser::session_cookie(asks.headers))
                .flatten(),
            headers: seen,
            // A route that reads cookies itself shows none to user code either.
            line: asks.cookies.then_some(asks.line),
            foreseen: asks.foreseen,
            client: asks.seen_from.map(|client| client.address),
            peer: asks.peer.map(|peer| peer.to_canonical()),
            trusted_peer: asks.seen_from.is_some_and(|client| client.by_trusted_proxy),
        }
    }
}
