//! `[server]`: where clients reach Doorward.

use std::net::{IpAddr, SocketAddr};

use super::section::{Key, Section};

/// Where clients reach Doorward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The shared listener.
    pub listen: SocketAddr,
    /// The address clients use, without a final slash; `None` means what is listened on.
    pub public_url: Option<String>,
    /// Proxies whose `X-Forwarded-*` headers are believed, as address and prefix length.
    pub trusted_proxies: Vec<Network>,
}

/// Addresses that share a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Any address of the network.
    pub address: IpAddr,
    /// How many leading bits count.
    pub prefix_bits: u8,
}

impl Network {
    /// Reads `10.0.0.0/8` or a single address.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match bits {
            Some(bits) => bits.trim().parse().ok().filter(|bits| *bits <= most)?,
            None => most,
        };
        Some(Self { address, prefix_bits })
    }
}

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "listen",
        "\"127.0.0.1:8420\"",
        "Address and port of the shared listener. Port 0 takes any free port.",
    ),
    Key::optional(
        "public_url",
        "\"https://auth.example.com\"",
        "The address clients use. Needed behind a proxy; never taken from a request.",
    ),
    Key::new(
        "trusted_proxies",
        "[]",
        "Addresses or networks (10.0.0.0/8) of proxies whose X-Forwarded-* headers are believed.",
    ),
];

impl Server {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let listen = section.address("listen");
        let public_url = public_url(&mut section);
        let trusted_proxies = networks(&mut section);
        section.finish();
        Some(Self { listen: listen?, public_url, trusted_proxies: trusted_proxies? })
    }
}

fn public_url(section: &mut Section<'_>) -> Option<String> {
    let text = section.text("public_url")?;
    let url = base_url(&text);
    if url.is_none() {
        section.refuse(
            "public_url",
            format!("{text:?} is not an address of this server"),
            "write it like https://auth.example.com, without query and fragment",
        );
    }
    url
}

/// An `http` or `https` address without query, fragment and final slash.
pub(super) fn base_url(text: &str) -> Option<String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let host = rest.split('/').next()?;
    let plain = text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'@' | b'\\' | b'"'));
    (plain && !host.is_empty() && !host.starts_with(':')).then(|| text.trim_end_matches('/').to_owned())
}

fn networks(section: &mut Section<'_>) -> Option<Vec<Network>> {
    let texts = section.list("trusted_proxies")?;
    let mut networks = Vec::with_capacity(texts.len());
    for text in &texts {
        match Network::parse(text) {
            Some(network) => networks.push(network),
            None => section.refuse(
                "trusted_proxies",
                format!("{text:?} is not an address or network"),
                "write addresses like 10.0.0.7 or networks like 10.0.0.0/8",
            ),
        }
    }
    (networks.len() == texts.len()).then_some(networks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_and_bad_ones_refused() {
        let network = Network::parse("10.0.0.0/8").expect("a network");
        assert_eq!((network.address.to_string().as_str(), network.prefix_bits), ("10.0.0.0", 8));
        assert_eq!(Network::parse("::1").map(|n| n.prefix_bits), Some(128));
        for bad in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "proxy", "10.0.0.1/", "10.0.0.1/-1"] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_public_url_is_http_with_a_host() {
        assert_eq!(base_url("https://a.example/x/").as_deref(), Some("https://a.example/x"));
        for bad in
            ["a.example", "ftp://a", "https://", "https:///x", "https://a?x", "https://u@a", "https://a b"]
        {
            assert_eq!(base_url(bad), None, "{bad}");
        }
    }
}
