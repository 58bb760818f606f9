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
use super::extract::{Seen, shown, user_agent};
use super::origin::Client;
use super::sources::{Shown, Sources};
use crate::surfaces::Surface;

/// What a request says that may tell who is asking.
pub(crate) struct Asks<'r> {
    pub(crate) headers: &'r HeaderMap,
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

/// Who is asking, and whether something says so that no browser sends by itself. Where it is not known who opened the connection, nothing
/// is believed of where it comes from.
///
/// # Errors
/// What has two readings, and the chain's refusal.
pub(crate) async fn caller(
    at: Surroundings<'_>,
    asks: Asks<'_>,
    peer: Option<IpAddr>,
    seen_from: Option<Client>,
    id: &RequestId,
) -> Result<(Call, bool)> {
    let (seen, found) = (Seen(asks.headers), at.found(&asks)?);
    let presented = at.presented((&seen, found.as_ref()), &asks, peer, seen_from);
    let origin = origin(&asks, seen_from, id);
    let call = at.engine.authenticate(at.mount, origin, &presented).await?;
    Ok((call, found.is_some_and(|found| !found.by_browser)))
}

/// As [`caller`], where a look-up in memory knows who it is and lets them in. All others are to be asked about: nothing was verified of
/// them here, and nothing noted.
///
/// # Errors
/// What has two readings.
pub(crate) fn known(
    at: Surroundings<'_>,
    asks: &Asks<'_>,
    peer: Option<IpAddr>,
    seen_from: Option<Client>,
    id: &RequestId,
) -> Result<Option<(Call, bool)>> {
    let (seen, found) = (Seen(asks.headers), at.found(asks)?);
    let presented = at.presented((&seen, found.as_ref()), asks, peer, seen_from);
    let call = at.engine.known(at.mount, || origin(asks, seen_from, id), &presented);
    Ok(call.map(|call| (call, found.is_some_and(|found| !found.by_browser))))
}

fn origin(asks: &Asks<'_>, seen_from: Option<Client>, id: &RequestId) -> Origin {
    let address = seen_from.map(|client| client.address);
    Origin { request: id.clone(), address, user_agent: user_agent(asks.headers) }
}

impl Surroundings<'_> {
    fn found<'r>(&self, asks: &Asks<'r>) -> Result<Option<Shown<'r>>> {
        let places = (self.surface, self.sources, asks.cookies);
        shown((asks.headers, Some(asks.line.query)), places, asks.token)
    }

    fn presented<'p>(
        &self,
        (seen, found): (&'p Seen<'p>, Option<&'p Shown<'p>>),
        asks: &Asks<'p>,
        peer: Option<IpAddr>,
        seen_from: Option<Client>,
    ) -> Presented<'p> {
        Presented {
            offered: found.map(Shown::as_offered),
            cookie: self.cookies.then(|| browser::session_cookie(asks.headers)).flatten(),
            headers: seen,
            // A route that reads cookies itself shows none to user code either.
            line: asks.cookies.then_some(asks.line),
            foreseen: asks.foreseen,
            client: seen_from.map(|client| client.address),
            peer: peer.map(|peer| peer.to_canonical()),
            trusted_peer: seen_from.is_some_and(|client| client.by_trusted_proxy),
        }
    }
}
