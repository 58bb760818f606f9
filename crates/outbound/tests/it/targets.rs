//! Servers to be asked.

use std::sync::Arc;

use std::sync::Mutex;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A server's place.
pub(crate) struct Target {
    pub(crate) origin: String,
    pub(crate) port: u16,
}

impl Target {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// A port that nobody listens on.
    pub(crate) async fn nobody() -> Self {
        let (listener, target) = listen("http://127.0.0.1").await;
        drop(listener);
        target
    }
}

/// The heads of the requests that came.
#[derive(Clone, Default)]
pub(crate) struct Recorded(Arc<Mutex<Vec<String>>>);

impl Recorded {
    pub(crate) fn count(&self) -> usize {
        self.0.lock().expect("no panic").len()
    }

    pub(crate) fn last(&self) -> String {
        self.0.lock().expect("no panic").last().cloned().expect("a request")
    }
}

async fn listen(origin: &str) -> (TcpListener, Target) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    (listener, Target { origin: format!("{origin}:{port}"), port })
}

async fn head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

async fn answer(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), answer: &str) {
    head(stream).await;
    // The other side may have had enough before it has all.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// Answers with this and closes.
pub(crate) async fn plain(text: String) -> Target {
    let (listener, target) = listen("http://127.0.0.1").await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            answer(&mut stream, &text).await;
        }
    });
    target
}

/// Begins with this and says no more.
pub(crate) async fn hanging(beginning: &'static str) -> Target {
    let (listener, target) = listen("http://127.0.0.1").await;
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            head(&mut stream).await;
            let _ = stream.write_all(beginning.as_bytes()).await;
            held.push(stream);
        }
    });
    target
}

/// Notes every connection, and answers 204.
pub(crate) async fn recording() -> (Target, Recorded) {
    let (listener, target) = listen("http://127.0.0.1").await;
    let recorded = Recorded::default();
    let notes = recorded.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let head = head(&mut stream).await;
            notes.0.lock().expect("no panic").push(head);
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
        }
    });
    (target, recorded)
}

/// An authority of its own, in PEM, and the certificate with key it gave to `localhost`.
pub(crate) fn authority() -> (String, (CertificateDer<'static>, PrivateKeyDer<'static>)) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer =
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, &issuer).expect("a certificate");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    (issuer.pem(), (certificate.der().clone(), key))
}

/// Speaks TLS as `localhost`, and answers with this.
pub(crate) async fn tls(
    (certificate, key): (CertificateDer<'static>, PrivateKeyDer<'static>),
    text: &'static str,
) -> Target {
    let (listener, target) = listen("https://localhost").await;
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("they belong together");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                answer(&mut stream, text).await;
            }
        }
    });
    target
}
