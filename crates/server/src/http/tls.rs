//! TLS under HTTP: who the server is, and the handshake that shows it.
//!
//! TLS 1.2 and 1.3 with rustls' own choice of suites over aws-lc-rs, HTTP/2 or HTTP/1.1 on top, no client
//! certificates, no early data (RFC 8446 §8: it can be replayed). Certificate and key are replaced together, for connections that come
//! afterwards; sessions that clients would resume are forgotten with the certificate they were made under.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::verify_server_cert_signed_by_trust_anchor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::{Error as PemError, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    CertificateError, Error as RustlsError, InconsistentKeys, RootCertStore, ServerConfig,
};
use tokio_rustls::server::TlsStream;

/// The protocols spoken above TLS, the preferred one first (RFC 7301).
const ALPN: [&[u8]; 2] = [HTTP_2, b"http/1.1"];
const HTTP_2: &[u8] = b"h2";
/// Most certificates of a chain that are looked at.
const MAX_CHAIN: usize = 16;

/// Why a certificate and a key are not an identity. Never holds the key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TlsError {
    /// There is no certificate in the text.
    #[error("it holds no PEM certificate")]
    NoCertificate,
    /// The text or a certificate in it cannot be read.
    #[error("its certificates cannot be read: {0}")]
    BadCertificate(String),
    /// The certificate's time is over.
    #[error("the certificate expired {days} days ago")]
    Expired {
        /// Whole days since it ended.
        days: u64,
    },
    /// The certificate's time has not begun.
    #[error("the certificate is not valid yet, for another {days} days")]
    NotYet {
        /// Days until it begins, begun ones counted.
        days: u64,
    },
    /// There is no private key in the text that can be used as it stands.
    #[error("it holds no PEM private key in the clear (PKCS#8, SEC1 or PKCS#1)")]
    NoKey,
    /// The key is of a kind or size that cannot be used.
    #[error("its private key cannot be used: RSA from 2048 bits, ECDSA and Ed25519 can")]
    BadKey,
    /// The key is another certificate's.
    #[error("the private key does not belong to the certificate")]
    KeyOfAnother,
}

impl TlsError {
    /// Whether the key is to blame, not the certificate.
    #[must_use]
    pub fn is_about_key(&self) -> bool {
        matches!(self, Self::NoKey | Self::BadKey | Self::KeyOfAnother)
    }
}

/// Who a server is to its clients: a certificate chain and its private key. Clones show the same, also after [`Tls::renew`].
#[derive(Clone)]
pub struct Tls(Arc<Shown>);

struct Shown {
    identity: RwLock<Identity>,
    renewals: AtomicU64,
    refusals: AtomicU64,
}

#[derive(Clone)]
struct Identity {
    config: Arc<ServerConfig>,
    /// The end of the certificate's time, in seconds since the epoch.
    ends_at_s: u64,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls(…)")
    }
}

impl Tls {
    /// Reads a certificate chain (PEM, the server's own first) and its private key (PEM; PKCS#8, SEC1 or PKCS#1).
    /// `now_ms` is the time, in milliseconds since the epoch, at which the certificate has to be valid.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn from_pem(certificates: &[u8], key: &[u8], now_ms: i64) -> Result<Self, TlsError> {
        let chain = chain(certificates)?;
        let ends_at_s = valid_at(&chain[0], now_ms)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::NoKey)?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| match error {
                RustlsError::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::KeyOfAnother,
                RustlsError::InvalidCertificate(_) => TlsError::BadCertificate(error.to_string()),
                _ => TlsError::BadKey,
            })?;
        config.alpn_protocols = ALPN.map(<[u8]>::to_vec).into();
        let identity = RwLock::new(Identity { config: Arc::new(config), ends_at_s });
        Ok(Self(Arc::new(Shown { identity, renewals: AtomicU64::new(0), refusals: AtomicU64::new(0) })))
    }

    /// Shows another certificate from the next connection on, with its key: never one of one renewal with the key of another.
    /// Connections that are open keep theirs.
    pub fn renew(&self, by: &Self) {
        let identity = by.0.identity.read().clone();
        *self.0.identity.write() = identity;
        self.0.renewals.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a renewal that could not be taken; what is shown stays.
    pub fn count_refusal(&self) {
        self.0.refusals.fetch_add(1, Ordering::Relaxed);
    }

    /// When the certificate that is shown ends, in seconds since the epoch.
    #[must_use]
    pub fn ends_at_s(&self) -> u64 {
        self.0.identity.read().ends_at_s
    }

    /// How many renewals were taken, and how many could not be.
    #[must_use]
    pub fn renewals(&self) -> (u64, u64) {
        (self.0.renewals.load(Ordering::Relaxed), self.0.refusals.load(Ordering::Relaxed))
    }

    /// Shakes hands with a peer, for at most `patience`.
    ///
    /// # Errors
    /// The peer does not speak TLS as it should, or takes too long.
    pub(crate) async fn accept<Io: AsyncRead + AsyncWrite + Unpin>(
        &self,
        io: Io,
        patience: Duration,
    ) -> io::Result<TlsStream<Io>> {
        let config = Arc::clone(&self.0.identity.read().config);
        let handshake = TlsAcceptor::from(config).accept(io);
        tokio::time::timeout(patience, handshake)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }
}

/// Whether a peer agreed to HTTP/2.
pub(crate) fn speaks_http_2<Io>(stream: &TlsStream<Io>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(HTTP_2)
}

/// At least one certificate.
fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unreadable = |error: PemError| TlsError::BadCertificate(error.to_string());
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .take(MAX_CHAIN + 1)
        .collect::<Result<_, _>>()
        .map_err(unreadable)?;
    match chain.len() {
        0 => Err(TlsError::NoCertificate),
        1..=MAX_CHAIN => Ok(chain),
        _ => Err(TlsError::BadCertificate(format!("more than {MAX_CHAIN} of them"))),
    }
}

/// When a server's own certificate ends, in seconds since the epoch; it is in its time. Who signed it, and whether that is in its time,
/// is for clients to judge.
fn valid_at(certificate: &CertificateDer<'static>, now_ms: i64) -> Result<u64, TlsError> {
    const DAY_S: u64 = 86_400;
    /// 9999-12-31T23:59:59Z.
    const END_OF_TIME_S: u64 = 253_402_300_799;
    let bad = |error: RustlsError| TlsError::BadCertificate(error.to_string());
    let now_s = u64::try_from(now_ms / 1000).unwrap_or_default();
    let parsed = ParsedCertificate::try_from(certificate).map_err(bad)?;
    // Nobody is trusted here, so this always fails; but its time is judged before its signer is looked for.
    let judged_at = |s: u64| {
        let at = UnixTime::since_unix_epoch(Duration::from_secs(s));
        verify_server_cert_signed_by_trust_anchor(&parsed, &RootCertStore::empty(), &[], at, &[])
    };
    match judged_at(now_s) {
        Err(RustlsError::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            Err(TlsError::Expired { days: now_s.saturating_sub(not_after.as_secs()) / DAY_S })
        }
        Err(RustlsError::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. })) => {
            Err(TlsError::NotYet { days: not_before.as_secs().saturating_sub(now_s).div_ceil(DAY_S) })
        }
        // Its end comes before its beginning.
        Err(error @ RustlsError::InvalidCertificate(CertificateError::Expired)) => Err(bad(error)),
        // At the end of all time it is over, and then its end is said. A certificate may have none (RFC 5280 §4.1.2.5: the year 9999).
        _ => match judged_at(END_OF_TIME_S) {
            Err(RustlsError::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
                Ok(not_after.as_secs())
            }
            _ => Ok(END_OF_TIME_S),
        },
    }
}

#[cfg(test)]
mod tests;
