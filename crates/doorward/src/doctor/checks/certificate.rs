//! How long the certificate still holds, and whether it is for the name that clients use.

use std::io::Read as _;
use std::path::Path;

use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::server::ParsedCertificate;

use super::{Check, Examined, Finding};
use crate::doctor::reach::host_and_port;
use crate::tls;

pub(super) static CHECK: Check =
    Check { name: "certificate", needs_store: false, run: |examined| Box::pin(run(examined)) };

const DAY_MS: i64 = 86_400_000;
/// When it is time to look, and when it is high time.
const SOON_DAYS: i64 = 30;
const NOW_DAYS: i64 = 7;

async fn run(examined: &Examined) -> Vec<Finding> {
    let server = &examined.setup.config.server;
    let Some(files) = &server.tls else { return Vec::new() };
    let holds_for = |days: i64| tls::read(server, examined.now_ms + days * DAY_MS).is_ok();
    if !holds_for(0) {
        // The configuration's check says what is wrong with it.
        return Vec::new();
    }
    let mut found = Vec::new();
    let renew = "renew it, and look at why that did not happen by itself";
    match (0..=SOON_DAYS).find(|days| !holds_for(*days)) {
        Some(days) if days <= NOW_DAYS => {
            found.push(CHECK.problem(format!("the certificate ends within {days} days"), renew));
        }
        Some(days) => found.push(CHECK.warning(format!("the certificate ends within {days} days"), renew)),
        None => found.push(CHECK.ok(format!("the certificate holds for more than {SOON_DAYS} days"))),
    }
    let host = server.public_url.as_deref().and_then(host_and_port);
    if let Some((host, _)) = host
        && let Err(why) = is_for(&files.certificate, &host)
    {
        let what = format!("the certificate is not for {host}, the host of server.public_url: {why}");
        found.push(CHECK.problem(what, "get one with that name, or correct server.public_url"));
    }
    found
}

/// The server's own certificate in a file.
pub(super) fn own(path: &Path) -> Result<CertificateDer<'static>, String> {
    let mut pem = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(tls::MAX_FILE_BYTES as u64).read_to_end(&mut pem).map_err(|error| error.to_string())?;
    CertificateDer::from_pem_slice(&pem).map_err(|error| error.to_string())
}

fn is_for(path: &Path, host: &str) -> Result<(), String> {
    let own = own(path)?;
    let parsed = ParsedCertificate::try_from(&own).map_err(|error| error.to_string())?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(host).map_err(|error| error.to_string())?;
    verify_server_name(&parsed, &name).map_err(|error| error.to_string())
}
