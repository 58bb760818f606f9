//! Where links of letters lead.

use std::net::IpAddr;

use doorward_core::error::{Error, Result, codes};
use doorward_core::identity::proofs::Links;
use http::header::{HOST, HeaderMap};

use crate::request::Request;

/// What takes proofs, within the mount.
const VERIFY: &str = "/auth/v1/verify";

/// The server's own root, as browsers know it.
///
/// Whoever asks chooses the `Host` of the request, and a letter must not lead where a stranger wants: without a configured address
/// only names of this machine count.
///
/// # Errors
/// `internal` where the operator has to say `server.public_url`.
pub(super) fn own(request: &Request) -> Result<String> {
    if let Some(origin) = &request.site.public_origin {
        return Ok(origin.to_string());
    }
    let host = local_host(&request.headers);
    host.map(|host| format!("http://{host}")).ok_or_else(|| {
        Error::new(codes::INTERNAL).operator("no link can be written: server.public_url is not set")
    })
}

/// The links of a letter. `redirect_to` of the query says where somebody wants to go in the end.
///
/// # Errors
/// As [`own`] and [`Request::query`].
pub(super) fn of(request: &Request) -> Result<Links> {
    let own = own(request)?;
    let wanted = request.query()?.text("redirect_to").map(str::to_owned);
    let verify = format!("{own}{}{VERIFY}", request.site.public_prefix);
    Ok(Links { verify, own: format!("{own}/"), wanted })
}

/// The `Host`, if it is this machine and nothing else.
fn local_host(headers: &HeaderMap) -> Option<&str> {
    let host = headers.get(HOST)?.to_str().ok()?;
    let plain = host.bytes().all(|b| b.is_ascii_alphanumeric() || b"[]:.-".contains(&b));
    let (name, port) = match host.rsplit_once(']') {
        Some((name, port)) => (name.strip_prefix('[')?, port),
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let numbered = port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    let local = name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
    (plain && numbered && local).then_some(host)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_this_machine_is_believed_to_be_the_host() {
        for (host, local) in [
            ("127.0.0.1:8420", true),
            ("127.9.9.9", true),
            ("localhost:1", true),
            ("LocalHost", true),
            ("[::1]:8420", true),
            ("[::1]", true),
            ("203.0.113.5:80", false),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("localhost:80@evil.example", false),
            ("localhost:8x", false),
            ("127.0.0.1:80/evil", false),
            ("[::1]evil.example", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static(host))]);
            assert_eq!(local_host(&headers).is_some(), local, "{host}");
        }
        assert!(local_host(&HeaderMap::new()).is_none());
    }
}
