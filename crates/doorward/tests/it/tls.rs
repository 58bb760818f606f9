//! TLS on the server's own listeners.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto};

use crate::program::Server;
use crate::serve::{configured, private, refused};

const LISTEN: &str = "[server]\nlisten = \"0.0.0.0:0\"\n";
const FILES: &str = "tls_certificate_file = \"keys/tls.crt\"\ntls_key_file = \"keys/tls.key\"\n";

/// A certificate for this machine and its key, in the places the configuration names.
fn certificate(home: &Path) -> rcgen::CertifiedKey<rcgen::KeyPair> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
    fs::write(home.join("keys/tls.crt"), made.cert.pem()).expect("written");
    private(&home.join("keys/tls.key"), &made.signing_key.serialize_pem());
    made
}

fn answer(address: &str, trusted: &rcgen::Certificate) -> String {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.der().clone()).expect("a root");
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider's versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let client = ClientConnection::new(Arc::new(config), name).expect("a client");
    let socket = TcpStream::connect(address).expect("connects");
    let mut stream = StreamOwned::new(client, socket);
    let request = "GET /.well-known/jwks.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("the handshake holds");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it closes in order");
    text
}

#[test]
fn a_public_listener_with_a_certificate_answers_over_https_and_asks_for_it_from_then_on() {
    let home = configured(&format!("{LISTEN}{FILES}"));
    let made = certificate(home.path());
    let mut server = Server::start(home, &["serve"]);
    let url = server.ready["url"].as_str().expect("an address").to_owned();
    let address = url.strip_prefix("https://").expect("the ready file says https");
    let text = answer(address, &made.cert).to_ascii_lowercase();
    assert!(text.starts_with("http/1.1 200"), "{text}");
    assert!(text.contains("strict-transport-security: max-age=31536000"), "{text}");

    let mut plain = TcpStream::connect(address).expect("connects");
    plain.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    let mut bytes = Vec::new();
    // A TLS alert or a reset; either way no HTTP.
    let _ = plain.read_to_end(&mut bytes);
    assert!(!bytes.starts_with(b"HTTP"), "plain HTTP is not answered on a TLS listener");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn what_cannot_be_a_certificate_and_its_key_stops_the_start_and_is_named() {
    let home = configured(&format!("{LISTEN}{FILES}"));
    assert!(refused(&home, &[]).contains("tls.crt"), "absent");
    certificate(home.path());
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
    private(&home.path().join("keys/tls.key"), &other.signing_key.serialize_pem());
    assert!(refused(&home, &[]).contains("cannot be used together"), "a key of another certificate");
    private(&home.path().join("keys/tls.key"), "no key");
    let text = refused(&home, &[]);
    assert!(text.contains("no private key"), "{text}");
    certificate(home.path());
    let open = fs::Permissions::from_mode(0o644);
    fs::set_permissions(home.path().join("keys/tls.key"), open).expect("opened");
    assert!(refused(&home, &[]).contains("chmod 600"), "a key that others can read");
}

#[test]
fn half_of_a_pair_is_an_error_of_the_configuration() {
    let home = configured("[server]\ntls_key_file = \"keys/tls.key\"\n");
    assert!(refused(&home, &[]).contains("tls_certificate_file"));
}
