//! TLS on the server: what it answers over it, and the certificates and keys it does not start with.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

use crate::program::{Server, printed, run};
use crate::serve::{configured, private, refused};

const PATIENCE: Duration = Duration::from_secs(20);
const PUBLIC: &str = "[server]\nlisten = \"0.0.0.0:0\"\n\
    tls_certificate_file = \"keys/chain.pem\"\ntls_key_file = \"keys/tls.key\"\n";
const ASK: &str = "GET /.well-known/jwks.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// A certificate for 127.0.0.1 that signed itself, and its key, valid in the years given.
fn identity(years: (i32, i32)) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("an address");
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 1, 1);
    let certificate = params.self_signed(&key).expect("signed");
    (certificate.pem(), key.serialize_pem())
}

fn with_identity(extra: &str, (certificate, key): &(String, String)) -> TempDir {
    let home = configured(extra);
    private(&home.path().join("keys/chain.pem"), certificate);
    private(&home.path().join("keys/tls.key"), key);
    home
}

/// How a client speaks TLS: whom it trusts, which versions and which protocols above it offers.
fn client(home: &Path, versions: &[&'static SupportedProtocolVersion], protocols: &[&str]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    let text = fs::read(home.join("keys/chain.pem")).expect("readable");
    roots.add(CertificateDer::from_pem_slice(&text).expect("a certificate")).expect("a root");
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .expect("known")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

fn address(server: &Server) -> SocketAddr {
    let address = server.url().strip_prefix("https://").expect("an https address");
    address.split('/').next().and_then(|address| address.parse().ok()).expect("an address")
}

/// Sends `bytes` over TLS and reads to the end.
fn exchange(server: &Server, client: &TlsConnector, bytes: &[u8]) -> io::Result<String> {
    let whole = async {
        let address = address(server);
        let stream = TcpStream::connect(address).await?;
        let mut stream = client.connect(ServerName::from(address.ip()), stream).await?;
        stream.write_all(bytes).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    };
    within(whole)
}

fn within<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(PATIENCE, work).await.expect("an end") })
}

#[test]
fn a_public_listener_with_a_certificate_answers_over_https_and_asks_for_it_from_then_on() {
    let mut server = Server::start(with_identity(PUBLIC, &identity((2020, 2120))), &["serve"]);
    let clients: &[(&str, &[&SupportedProtocolVersion], &[&str])] = &[
        ("TLS 1.3", &[&TLS13], &[]),
        ("TLS 1.2", &[&TLS12], &[]),
        ("a program that names it", &[&TLS12, &TLS13], &["http/1.1"]),
    ];
    for (name, versions, protocols) in clients {
        let client = client(server.directory(), versions, protocols);
        let answer = exchange(&server, &client, ASK.as_bytes()).expect(name);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{name}: {answer}");
        assert!(answer.contains("strict-transport-security: max-age=31536000\r\n"), "{name}: {answer}");
        // The strict reader stands above TLS, and what it refuses is an answer like others.
        let refused = exchange(&server, &client, b"GET / HTTP/1.1\r\n\r\n").expect(name);
        assert!(refused.starts_with("HTTP/1.1 400 "), "{name}: {refused}");
        assert!(refused.contains("strict-transport-security: max-age=31536000\r\n"), "{name}: {refused}");
    }
    for address in server.ready["mounts"].as_object().expect("mounts").values() {
        assert!(address.as_str().is_some_and(|url| url.starts_with("https://127.0.0.1:")), "{address}");
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn other_protocols_get_no_answer_on_a_tls_listener() {
    let server = Server::start(with_identity(PUBLIC, &identity((2020, 2120))), &["serve"]);
    let other = client(server.directory(), &[&TLS13], &["h3"]);
    assert!(exchange(&server, &other, ASK.as_bytes()).is_err(), "what is not spoken is not agreed to");
    let h2 = client(server.directory(), &[&TLS13], &["h2", "http/1.1"]);
    let answer = exchange(&server, &h2, ASK.as_bytes()).unwrap_or_default();
    assert!(!answer.contains("HTTP/1.1"), "HTTP/2 was agreed to, and nothing else is spoken: {answer}");
    let stranger = tempfile::tempdir().expect("a directory");
    fs::create_dir(stranger.path().join("keys")).expect("made");
    fs::write(stranger.path().join("keys/chain.pem"), identity((2020, 2120)).0).expect("written");
    let distrustful = client(stranger.path(), &[&TLS13], &[]);
    assert!(
        exchange(&server, &distrustful, ASK.as_bytes()).is_err(),
        "the certificate shown is the one given"
    );
    let plain = within(async {
        let mut stream = TcpStream::connect(address(&server)).await.expect("connects");
        stream.write_all(ASK.as_bytes()).await.expect("sends");
        let mut answer = Vec::new();
        // A reset is as good an end as any.
        let _ = stream.read_to_end(&mut answer).await;
        answer
    });
    assert!(!plain.windows(5).any(|bytes| bytes == b"HTTP/"), "plain HTTP was answered");
}

#[test]
fn plain_answers_carry_no_hsts() {
    let server = Server::start(configured("[server]\nlisten = \"127.0.0.1:0\"\n"), &["serve"]);
    let address: SocketAddr = server.url().trim_start_matches("http://").parse().expect("an address");
    let answer = within(async {
        let mut stream = TcpStream::connect(address).await.expect("connects");
        stream.write_all(ASK.as_bytes()).await.expect("sends");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    });
    assert!(answer.starts_with("HTTP/1.1 200 ") && !answer.contains("strict-transport"), "{answer}");
}

#[test]
fn what_cannot_be_a_certificate_and_its_key_stops_the_start_and_is_named() {
    let good = identity((2020, 2120));
    let other = identity((2020, 2120));
    let no_text = String::new();
    let cases: &[(&str, (String, String), &[&str])] = &[
        ("expired", identity((2020, 2021)), &["tls_certificate_file", "expired", "renew"]),
        ("not yet valid", identity((2110, 2120)), &["tls_certificate_file", "not valid yet", "clock"]),
        ("another's key", (good.0.clone(), other.1.clone()), &["tls_key_file", "does not belong"]),
        (
            "no certificate",
            (no_text.clone(), good.1.clone()),
            &["tls_certificate_file", "no PEM certificate"],
        ),
        ("no key", (good.0.clone(), no_text), &["tls_key_file", "openssl pkey"]),
        ("too large", (good.0.repeat(1000), good.1.clone()), &["tls_certificate_file", "256 KiB"]),
    ];
    for (name, identity, expected) in cases {
        let home = with_identity(PUBLIC, identity);
        let text = refused(&home, &[]);
        for word in *expected {
            assert!(text.contains(word), "{name}: {text}");
        }
        let checked = run(home.path(), &["config", "check"]);
        assert_eq!(
            checked.status.code(),
            Some(1),
            "{name}: check judges as serve does: {}",
            printed(&checked)
        );
        assert!(
            !text.contains(good.1.lines().nth(1).expect("a line of base64")),
            "{name}: the key was shown"
        );
    }
    let missing = configured(PUBLIC);
    assert!(refused(&missing, &[]).contains("tls_certificate_file"));
    let open = with_identity(PUBLIC, &good);
    fs::set_permissions(open.path().join("keys/tls.key"), fs::Permissions::from_mode(0o644)).expect("opened");
    let text = refused(&open, &[]);
    assert!(text.contains("tls_key_file") && text.contains("chmod 600"), "{text}");
}

#[test]
fn half_of_a_pair_is_an_error_of_the_configuration() {
    for (given, missing) in
        [("tls_certificate_file", "tls_key_file"), ("tls_key_file", "tls_certificate_file")]
    {
        let home = configured(&format!("[server]\nlisten = \"127.0.0.1:0\"\n{given} = \"keys/x\"\n"));
        let text = refused(&home, &[]);
        assert!(
            text.contains(&format!("server.{given} ")) && text.contains(&format!("server.{missing} too")),
            "{text}"
        );
    }
}
