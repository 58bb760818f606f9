//! The server's certificate and key, read from where the configuration says.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use doorward_server::{Tls, TlsError};
use zeroize::Zeroizing;

use crate::config::{Problem, Server};

/// The largest certificate or key file that is read, in bytes.
pub(crate) const MAX_FILE_BYTES: usize = 256 << 10;
const CERTIFICATE: &str = "server.tls_certificate_file";
const KEY: &str = "server.tls_key_file";

/// Who the server is over TLS at `now_ms`, milliseconds since the epoch; `None` when it speaks plain HTTP.
///
/// # Errors
/// Which file is to blame, for what, and what to do.
pub fn read(server: &Server, now_ms: i64) -> Result<Option<Tls>, Problem> {
    let Some(files) = &server.tls else { return Ok(None) };
    let certificate = contents(CERTIFICATE, &files.certificate)?;
    let key = contents(KEY, &files.key)?;
    Tls::from_pem(&certificate, &key, now_ms).map(Some).map_err(|error| {
        let (name, path) =
            if error.is_about_key() { (KEY, &files.key) } else { (CERTIFICATE, &files.certificate) };
        Problem::of(name, format!("{}: {error}", path.display()), mend(&error))
    })
}

/// Others can read the key, whose mode this is.
pub(crate) fn open_key(key: &Path, mode: u32) -> Problem {
    Problem::of(
        KEY,
        format!("{} is open to other users of this machine (mode {mode:o})", key.display()),
        format!("run: chmod 600 '{}'; if others have read it, get another certificate", key.display()),
    )
}

fn mend(error: &TlsError) -> &'static str {
    match error {
        TlsError::NoCertificate | TlsError::BadCertificate(_) => {
            "give the certificate chain in PEM, the server's own certificate first"
        }
        TlsError::Expired { .. } => "renew the certificate",
        TlsError::NotYet { .. } => "check this machine's clock, or wait",
        TlsError::NoKey => {
            "give the key in PEM; decrypt an encrypted one with: openssl pkey -in KEY -out PLAIN"
        }
        TlsError::BadKey => {
            "make a new one, such as: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256"
        }
        TlsError::KeyOfAnother => "give the key that the certificate was asked for with",
    }
}

/// Wiped when dropped: one of the two is a key.
fn contents(name: &'static str, path: &Path) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let refused = |what: String| {
        let what = format!("{}: {what}", path.display());
        Problem::of(name, what, "give the path of a PEM file that the server's user can read")
    };
    // Grown once, so that no copy of a key is left behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_FILE_BYTES + 1));
    let file = File::open(path).map_err(|error| refused(error.to_string()))?;
    let limit = u64::try_from(MAX_FILE_BYTES + 1).expect("a small number");
    file.take(limit).read_to_end(&mut bytes).map_err(|error| refused(error.to_string()))?;
    if bytes.len() > MAX_FILE_BYTES {
        return Err(refused("larger than 256 KiB".to_owned()));
    }
    Ok(bytes)
}
