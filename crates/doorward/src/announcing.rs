//! What is said once everything listens: the commands to try, JSON, and the ready file.

use std::collections::BTreeMap;
use std::path::Path;

use doorward_server::Bound;

use crate::administrator::DevKey;
use crate::assemble::Assembled;
use crate::cli::Failure;
use crate::logging;
use crate::ready::{self, Ready, SupabaseKeys};
use crate::setup::{Mode, Setup};
use crate::supabase;
use crate::walkthrough;

/// How it is said that the server is ready.
#[derive(Clone, Copy)]
pub(crate) struct Announced<'a> {
    /// The file to write.
    pub(crate) ready_file: Option<&'a Path>,
    /// As JSON on standard output, and nothing else.
    pub(crate) json: bool,
}

/// Says where everything is, to whoever started the server and in the ready file.
///
/// # Errors
/// The store's, and where it cannot be written.
pub(crate) async fn announce(
    setup: &Setup,
    assembled: &Assembled,
    bound: &Bound,
    mounts: &BTreeMap<String, String>,
    Announced { ready_file, json }: Announced<'_>,
    key: Option<&DevKey>,
) -> Result<(), Failure> {
    let native = &assembled.mounts.first().expect("a native mount is always there").config.name;
    let url = mounts.get(native).expect("every mount has an address").as_str();
    if setup.mode == Mode::Serve
        && let Some(secret) = assembled.engine.setup().secret().await?
    {
        logging::write_out();
        tell(&mut std::io::stderr(), &walkthrough::setup(url, secret.expose()))?;
    }
    let admin_key = key.map(|key| key.secret.expose().as_str());
    let metrics = bound.metrics_address().map(|address| format!("http://{address}/metrics"));
    let supabase = match setup.mode {
        Mode::Dev => supabase::keys(assembled)?.into_iter().next(),
        Mode::Serve => None,
    };
    let keys = supabase
        .as_ref()
        .map(|(_, keys)| SupabaseKeys { anon_key: keys.anon.expose(), service_key: keys.service.expose() });
    let ready = Ready {
        pid: std::process::id(),
        url,
        mounts,
        metrics: metrics.as_deref(),
        admin_key,
        supabase: keys,
    };
    if json {
        let text = serde_json::to_string(&ready).map_err(std::io::Error::from)?;
        tell(&mut std::io::stdout(), &text)?;
    } else if setup.mode == Mode::Dev {
        let told = supabase.as_ref().and_then(|(mount, keys)| Some((mounts.get(mount)?.as_str(), keys)));
        tell(&mut std::io::stdout(), &walkthrough::dev(&setup.config, url, mounts, told))?;
    }
    for address in bound.addresses() {
        tracing::info!(%address, "listening");
    }
    if let Some(address) = bound.metrics_address() {
        tracing::info!(%address, "listening for /metrics");
    }
    tracing::info!(%url, "ready");
    // Whoever finds the ready file finds the log as well.
    logging::write_out();
    if let Some(path) = ready_file {
        ready::write(path, &ready).map_err(|error| {
            Failure::refused(
                format!("the ready file {} cannot be written: {error}", path.display()),
                "name a file in a directory that exists and can be written",
            )
        })?;
    }
    Ok(())
}

fn tell(out: &mut impl std::io::Write, text: &str) -> Result<(), Failure> {
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        // Whoever started us may not want to read.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}
