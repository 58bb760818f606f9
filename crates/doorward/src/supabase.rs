//! What a mount that speaks Supabase has of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use doorward_core::identity::password::PasswordPolicy;
use doorward_core::identity::project_keys::ProjectKeys;
use doorward_core::identity::proofs::{EmailRules, Redirects};
use doorward_core::mail::Templates;

use crate::assemble::Assembled;
use crate::cli::Failure;
use crate::config::{Config, Mount, SurfaceKind};
use crate::setup::Mode;

/// Whom Supabase's tokens are for.
pub(crate) const AUDIENCE: &str = "authenticated";

/// Whether a mount does.
pub(crate) fn speaks(mount: &Mount) -> bool {
    mount.surface == SurfaceKind::Supabase
}

/// A mount's rules for passwords: what is configured; in `dev` Supabase's own for such a mount, because its documents' examples have to
/// work as they are printed.
pub(crate) fn passwords(config: &Config, mount: &Mount, mode: Mode) -> PasswordPolicy {
    if speaks(mount) && mode == Mode::Dev && mount.min_password_chars.is_none() {
        return PasswordPolicy { min_chars: 6, max_chars: 72, min_strength: 0, obvious: true };
    }
    PasswordPolicy {
        min_chars: mount.min_password_chars.unwrap_or(config.passwords.min_chars),
        min_strength: config.passwords.min_strength,
        ..PasswordPolicy::default()
    }
}

/// What it demands of addresses, and where its letters lead.
///
/// # Errors
/// Which of the operator's texts cannot be used, and why.
pub(crate) fn email_rules(mount: &Mount) -> Result<Option<EmailRules>, Failure> {
    if !speaks(mount) {
        return Ok(None);
    }
    let rules = &mount.supabase;
    Ok(Some(EmailRules {
        confirm: !mount.auto_confirm,
        redirects: Redirects { site: mount.site_url.clone(), allowed: mount.redirect_urls.clone() },
        both_agree: rules.both_agree,
        letters_per_network: rules.letters_per_network,
        anonymous: rules.anonymous,
        templates: Arc::new(match &rules.templates {
            None => Templates::default(),
            Some(directory) => templates(directory).map_err(|what| {
                let place = format!("mounts.{}.mail_templates: {}", mount.name, directory.display());
                let mend = "correct the file; docs/surfaces/supabase.md says what it may hold";
                Failure::refused(format!("{place}: {what}"), mend)
            })?,
        }),
    }))
}

/// Most files, and longest one in bytes, that are read at all.
const MOST: usize = 32;
const MAX_BYTES: u64 = 1 << 20;

fn templates(directory: &Path) -> Result<Templates, String> {
    let said = |error: std::io::Error| error.to_string();
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(directory).map_err(said)? {
        let entry = entry.map_err(said)?;
        let name =
            entry.file_name().into_string().map_err(|name| format!("{} is not UTF-8", name.display()))?;
        if name.starts_with('.') {
            continue;
        }
        let about = std::fs::metadata(entry.path()).map_err(|error| format!("{name}: {error}"))?;
        if !about.is_file() || about.len() > MAX_BYTES || files.len() == MOST {
            return Err(format!("{name}: is no letter: at most {MOST} plain files of up to 64 KiB are read"));
        }
        let text = std::fs::read_to_string(entry.path()).map_err(|error| format!("{name}: {error}"))?;
        files.insert(name, text);
    }
    Templates::new(&files)
}

/// The mounts that do, with their keys.
///
/// # Errors
/// `internal` if keys cannot be made.
pub(crate) fn keys(assembled: &Assembled) -> Result<Vec<(String, ProjectKeys)>, Failure> {
    let speaking = assembled.mounts.iter().filter(|mounted| speaks(&mounted.config));
    let keys = speaking.map(|mounted| {
        let name = mounted.config.name.clone();
        Ok((name.clone(), assembled.engine.project_keys(&name, mounted.config.supabase.service_key_version)?))
    });
    keys.collect()
}
