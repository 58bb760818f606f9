//! Where a request comes from, as far as it can be believed.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use http::header::{HOST, HeaderMap, HeaderName};

/// Where the client is, as far as it can be believed. Proxies send a list; to upstreams goes one address.
pub(crate) static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A range of addresses in CIDR notation (RFC 4632 §3.1, RFC 4291 §2.3); a lone address is a range of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// The text is not an address or a range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an address or a range such as 10.0.0.0/8")]
pub struct NetworkError;

impl Network {
    /// This machine (RFC 1122 §3.2.1.3, RFC 4291 §2.5.3).
    pub(crate) const LOOPBACK: [Self; 2] = [
        Self { address: IpAddr::V4(Ipv4Addr::LOCALHOST), bits: 8 },
        Self { address: IpAddr::V6(Ipv6Addr::LOCALHOST), bits: 128 },
    ];

    /// Whether every address of its kind lies in this range.
    #[must_use]
    pub fn is_everybody(&self) -> bool {
        self.bits == 0
    }

    /// How many addresses lie in this range; the largest number where there are more.
    #[must_use]
    pub fn size(&self) -> u64 {
        let all = if self.address.is_ipv4() { 32 } else { 128 };
        1_u64.checked_shl(u32::from(all - self.bits)).unwrap_or(u64::MAX)
    }

    /// Whether the address lies in this range. IPv4 addresses mapped into IPv6 count as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(mine), IpAddr::V4(other)) => {
                same_prefix(u128::from(mine.to_bits()) << 96, u128::from(other.to_bits()) << 96, self.bits)
            }
            (IpAddr::V6(mine), IpAddr::V6(other)) => same_prefix(mine.to_bits(), other.to_bits(), self.bits),
            _ => false,
        }
    }
}

fn same_prefix(a: u128, b: u128, bits: u8) -> bool {
    bits == 0 || (a ^ b) >> (128 - u32::from(bits)) == 0
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().map_err(|_| NetworkError)?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError)?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        if bits > width { Err(NetworkError) } else { Ok(Self { address, bits }) }
    }
}

/// Whether a `Host` is a name for this machine itself: an address, or `localhost`. Another name that leads here was made to do so by
/// somebody who wants pages of theirs to pass for ours (DNS rebinding).
pub(crate) fn is_local_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost")
}

/// The `Host`, if it is this machine and nothing else.
pub(crate) fn local_host(headers: &HeaderMap) -> Option<&str> {
    let host = headers.get(HOST)?.to_str().ok()?;
    let plain = host.bytes().all(|b| b.is_ascii_alphanumeric() || b"[]:.-".contains(&b));
    let (name, port) = match host.rsplit_once(']') {
        Some((name, port)) => (name.strip_prefix('[')?, port),
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let numbered = port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    let name_in_lower_case = name.to_ascii_lowercase();
    let local = name_in_lower_case == "localhost"
        || name_in_lower_case.ends_with(".localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
    (plain && numbered && local).then_some(host)
}

/// The client's address, and whether the peer on the socket is a proxy we trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    pub(crate) by_trusted_proxy: bool,
}

/// Most hops that are looked at.
const MAX_HOPS: usize = 32;

/// Finds the client: the peer, or behind trusted proxies the right-most hop of `X-Forwarded-For` that is none of
/// them. What stands left of it was written by strangers. A hop that is no address ends the search.
pub(crate) fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> Client {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let peer = peer.to_canonical();
    if !is_trusted(peer) {
        return Client { address: peer, by_trusted_proxy: false };
    }
    let mut address = peer;
    let lines = headers.get_all(&X_FORWARDED_FOR).iter();
    let hops = lines.rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    for hop in hops.take(MAX_HOPS) {
        let Some(hop) =
            std::str::from_utf8(hop.trim_ascii()).ok().and_then(|text| text.parse::<IpAddr>().ok())
        else {
            break;
        };
        address = hop.to_canonical();
        if !is_trusted(address) {
            break;
        }
    }
    Client { address, by_trusted_proxy: true }
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
            ("app.localhost:8420", true),
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

    #[test]
    fn the_client_is_the_right_most_hop_that_is_no_trusted_proxy() {
        let trusted: Vec<Network> =
            ["127.0.0.1", "10.0.0.0/8", "fd00::/8"].map(|n| n.parse().unwrap()).into();
        let cases: &[(&str, &str, &[&str], &str, bool)] = &[
            ("stranger's header is ignored", "192.0.2.1", &["198.51.100.7"], "192.0.2.1", false),
            ("one proxy", "10.1.2.3", &["198.51.100.7"], "198.51.100.7", true),
            ("forged hops on the left", "10.1.2.3", &["1.1.1.1, 198.51.100.7"], "198.51.100.7", true),
            ("two proxies", "127.0.0.1", &["198.51.100.7, 10.9.9.9"], "198.51.100.7", true),
            ("two lines", "127.0.0.1", &["1.1.1.1", "198.51.100.7, 10.9.9.9"], "198.51.100.7", true),
            ("mapped address", "::ffff:10.1.2.3", &["::ffff:198.51.100.7"], "198.51.100.7", true),
            ("IPv6", "fd00::1", &["2001:db8::7"], "2001:db8::7", true),
            ("no header", "10.1.2.3", &[], "10.1.2.3", true),
            ("garbage ends the search", "10.1.2.3", &["198.51.100.7, x, 10.9.9.9"], "10.9.9.9", true),
        ];
        for (name, peer, lines, expected, by_proxy) in cases {
            let mut headers = HeaderMap::new();
            for line in *lines {
                headers.append("x-forwarded-for", line.parse().unwrap());
            }
            let found = client(peer.parse().unwrap(), &headers, &trusted);
            assert_eq!(
                (found.address.to_string().as_str(), found.by_trusted_proxy),
                (*expected, *by_proxy),
                "{name}"
            );
        }
    }

    #[test]
    fn networks_are_read_strictly() {
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "a", "10.0.0.0/-1", "10.0.0.0/8/8"] {
            assert_eq!(bad.parse::<Network>(), Err(NetworkError), "{bad}");
        }
        let all: Network = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("203.0.113.9".parse().unwrap()) && !all.contains("::1".parse().unwrap()));
    }
}
