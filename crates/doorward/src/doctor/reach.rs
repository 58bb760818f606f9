//! Asking what the operator configured, whatever address it has.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use doorward_core::ports::{Ask, Outbound, Reply};
use doorward_outbound::{Client, Settings};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{
    WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error as RustlsError, SignatureScheme};

use super::Examined;

const CONNECT: Duration = Duration::from_secs(3);

/// Whether something takes a connection there; why not, if not.
pub(super) async fn connects(host: &str, port: u16) -> Result<(), String> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match tokio::time::timeout(CONNECT, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} seconds", CONNECT.as_secs())),
    }
}

/// Host and port of an address that the configuration has read already.
pub(super) fn host_and_port(url: &str) -> Option<(String, u16)> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let usual = if matches!(scheme, "https" | "wss") { 443 } else { 80 };
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => Some((host.to_owned(), port.parse().ok()?)),
        _ => Some((authority.to_owned(), usual)),
    }
}

/// GETs an address of the operator's own: their server, on this machine or elsewhere. Certificates are checked as anybody's.
pub(super) async fn get(examined: &Examined, url: &str) -> Result<Reply, String> {
    let origin = url.split('/').take(3).collect::<Vec<_>>().join("/");
    let ca_file = examined.setup.config.outbound.ca_file.clone();
    let client =
        Client::new(&Settings { allow: vec![origin], ca_file }).map_err(|error| format!("{error:?}"))?;
    client.send(Ask::get(url)).await.map_err(|error| error.to_string())
}

/// The certificate that whoever listens there shows, having proven to hold its key, and the status that it answers to a GET of `path`, or
/// why there is none. Nobody is trusted by that: the request says nothing of anybody, and of the answer only the status is looked at.
pub(super) async fn asked_over_tls(
    address: SocketAddr,
    path: &str,
) -> Result<(CertificateDer<'static>, Result<u16, String>), String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(AnyCertificate(provider.signature_verification_algorithms));
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    let shaken = async {
        let stream = TcpStream::connect(address).await?;
        TlsConnector::from(Arc::new(config)).connect(ServerName::from(address.ip()), stream).await
    };
    let mut stream = match tokio::time::timeout(CONNECT, shaken).await {
        Ok(stream) => stream.map_err(|error| error.to_string())?,
        Err(_) => return Err(format!("no handshake within {} seconds", CONNECT.as_secs())),
    };
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let shown = shown.cloned().map(CertificateDer::into_owned).ok_or("no certificate was shown")?;
    let status = match tokio::time::timeout(CONNECT, status_of(&mut stream, address, path)).await {
        Ok(status) => status.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} seconds", CONNECT.as_secs())),
    };
    Ok((shown, status))
}

async fn status_of<S>(stream: &mut S, host: SocketAddr, path: &str) -> io::Result<u16>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut line = [0; "HTTP/1.1 200".len()];
    stream.read_exact(&mut line).await?;
    let status = std::str::from_utf8(&line).ok().and_then(|line| line.strip_prefix("HTTP/1.1 "));
    let status = status.and_then(|status| status.parse().ok());
    status.ok_or_else(|| io::Error::other("what it answers is no HTTP"))
}

/// Takes whatever certificate is shown, so that it can be looked at; that its holder has the key is still demanded.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _own: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, RustlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RustlsError> {
        verify_tls12_signature(message, own, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RustlsError> {
        verify_tls13_signature(message, own, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// The ids of the keys in a JWK set; nothing if it is none.
pub(super) fn key_ids(body: &[u8]) -> Option<BTreeSet<String>> {
    let set: Value = serde_json::from_slice(body).ok()?;
    let id = |key: &Value| key["kid"].as_str().map(str::to_owned);
    Some(set["keys"].as_array()?.iter().filter_map(id).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_read_from_every_form_of_address() {
        for (url, expected) in [
            ("http://127.0.0.1:8000", Some(("127.0.0.1", 8000))),
            ("https://auth.example/base", Some(("auth.example", 443))),
            ("http://[::1]:9", Some(("[::1]", 9))),
            ("http://[::1]/x", Some(("[::1]", 80))),
            ("auth.example", None),
        ] {
            let found = host_and_port(url);
            assert_eq!(found.as_ref().map(|(host, port)| (host.as_str(), *port)), expected, "{url}");
        }
    }

    #[test]
    fn what_is_no_key_set_has_no_ids() {
        assert_eq!(key_ids(b"<html>"), None);
        assert_eq!(key_ids(br#"{"keys": {}}"#), None);
        let ids = key_ids(br#"{"keys": [{"kid": "a"}, {}, {"kid": "b"}]}"#).expect("a set");
        assert_eq!(ids.into_iter().collect::<Vec<_>>(), ["a", "b"]);
    }
}
