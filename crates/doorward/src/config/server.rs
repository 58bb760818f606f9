//! `[server]`: where clients reach Doorward.

use std::net::SocketAddr;
use std::path::PathBuf;

use doorward_server::Network;

use super::section::{Key, Section};

/// Where clients reach Doorward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The shared listener.
    pub listen: SocketAddr,
    /// The address clients use, without a final slash; `None` means what is listened on.
    pub public_url: Option<String>,
    /// Proxies whose `X-Forwarded-*` headers are believed, as address or network.
    pub trusted_proxies: Vec<Network>,
    /// Most connections at once on each listener.
    pub max_connections: usize,
    /// How long it goes on, saying that it is not ready, before it stops.
    pub leave_after_s: u64,
    /// The certificate chain and its key, when Doorward speaks TLS itself.
    pub tls: Option<TlsFiles>,
}

/// Where the certificate and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, PEM, the server's own certificate first.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
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
    Key::new(
        "max_connections",
        "16384",
        "Most connections at once on each listener; one client holds at most a quarter of them.",
    ),
    Key::new(
        "leave_after_s",
        "0",
        "Seconds between being told to stop and stopping (up to 300): /health/ready says 503 meanwhile, so that balancers look elsewhere.",
    ),
    Key::optional(
        "tls_certificate_file",
        "\"/etc/doorward/tls.crt\"",
        "The certificate chain (PEM, own certificate first) with which every listener speaks TLS.",
    ),
    Key::optional(
        "tls_key_file",
        "\"/etc/doorward/tls.key\"",
        "The certificate's private key (PEM). Mode 0600. Both are read again when they change, and on SIGHUP.",
    ),
];

impl Server {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let listen = section.address("listen");
        let public_url = public_url(&mut section);
        let trusted_proxies = networks(&mut section);
        let max_connections = section.integer("max_connections", 16..=1_000_000);
        let leave_after_s = section.integer("leave_after_s", 0..=300);
        let tls = tls(&mut section);
        section.finish();
        Some(Self {
            listen: listen?,
            public_url,
            trusted_proxies: trusted_proxies?,
            max_connections: usize::try_from(max_connections?).ok()?,
            leave_after_s: u64::try_from(leave_after_s?).ok()?,
            tls,
        })
    }
}

fn tls(section: &mut Section<'_>) -> Option<TlsFiles> {
    let (certificate, key) = (section.path("tls_certificate_file"), section.path("tls_key_file"));
    match (certificate, key) {
        (Some(certificate), Some(key)) => return Some(TlsFiles { certificate, key }),
        (None, None) => {}
        (Some(_), None) => {
            section.refuse(
                "tls_certificate_file",
                "a certificate needs its key",
                "name server.tls_key_file too",
            );
        }
        (None, Some(_)) => {
            section.refuse(
                "tls_key_file",
                "a key needs its certificate",
                "name server.tls_certificate_file too",
            );
        }
    }
    None
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
        match text.parse::<Network>() {
            Ok(network) => networks.push(network),
            Err(_) => section.refuse(
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
    fn a_public_url_is_http_with_a_host() {
        assert_eq!(base_url("https://a.example/x/").as_deref(), Some("https://a.example/x"));
        for bad in
            ["a.example", "ftp://a", "https://", "https:///x", "https://a?x", "https://u@a", "https://a b"]
        {
            assert_eq!(base_url(bad), None, "{bad}");
        }
    }
}
