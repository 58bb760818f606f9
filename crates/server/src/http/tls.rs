//! TLS towards clients (RFC 8446, RFC 5246), one certificate for every listener.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::server::TlsStream;

/// From the connection to the end of its handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A certificate and its key, ready to answer with.
#[derive(Clone)]
pub struct Tls(Arc<ServerConfig>);

/// Why a certificate and key cannot be used. Says nothing of the key's content.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The certificate file holds no certificate.
    #[error("the certificate file holds no certificate in PEM form")]
    NoCertificate,
    /// The key file holds no private key.
    #[error("the key file holds no private key in PEM form, unencrypted")]
    NoKey,
    /// They do not fit each other, or the provider does not take them.
    #[error("the certificate and the key cannot be used together: {0}")]
    Unusable(#[from] rustls::Error),
}

impl Tls {
    /// Reads a certificate chain (the server's own first) and its private key (PKCS#8, SEC1 or PKCS#1), both PEM.
    /// TLS 1.2 and 1.3 are spoken, HTTP/1.1 inside.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain = CertificateDer::pem_slice_iter(certificates).collect::<Result<Vec<_>, _>>();
        let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or(TlsError::NoCertificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::NoKey)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    /// Shakes hands; `None` when the peer would not, or took too long.
    pub(super) async fn accept(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let handshake = TlsAcceptor::from(Arc::clone(&self.0)).accept(stream);
        match tokio::time::timeout(HANDSHAKE, handshake).await {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                tracing::debug!(%error, "no TLS with this peer");
                None
            }
            Err(_) => {
                tracing::debug!("a handshake took too long");
                None
            }
        }
    }
}
