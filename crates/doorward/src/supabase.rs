//! What a mount that speaks Supabase has of its own.

use doorward_core::identity::password::PasswordPolicy;
use doorward_core::identity::project_keys::ProjectKeys;
use doorward_core::identity::proofs::{EmailRules, Redirects};

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
pub(crate) fn email_rules(mount: &Mount) -> Option<EmailRules> {
    speaks(mount).then(|| EmailRules {
        confirm: !mount.auto_confirm,
        redirects: Redirects { site: mount.site_url.clone(), allowed: mount.redirect_urls.clone() },
    })
}

/// The mounts that do, with their keys.
///
/// # Errors
/// `internal` if keys cannot be made.
pub(crate) fn keys(assembled: &Assembled) -> Result<Vec<(String, ProjectKeys)>, Failure> {
    let speaking = assembled.mounts.iter().filter(|mounted| speaks(&mounted.config));
    let keys = speaking.map(|mounted| {
        let name = mounted.config.name.clone();
        Ok((name.clone(), assembled.engine.project_keys(&name)?))
    });
    keys.collect()
}
