//! JavaScript packages: the clients of all suites in `.tools/node`, a suite's server in `.tools/<suite>-server`, for it
//! wants other versions of the same packages beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::once;
use crate::failure::Failure;
use crate::process::{answer, require};

/// Prints `name@version` for every dependency of the manifests given as arguments.
const LIST: &str = "for (const file of process.argv.slice(1)) {
  const manifest = JSON.parse(require('fs').readFileSync(file, 'utf8'));
  for (const [name, version] of Object.entries(manifest.dependencies ?? {})) console.log(`${name}@${version}`);
}";

/// Installs what these manifests name into `.tools/<place>`. No lock file is written: it would carry the addresses of
/// whatever registry this machine uses.
pub(super) fn install(root: &Path, place: &str, manifests: &[PathBuf]) -> Result<(), Failure> {
    if manifests.is_empty() {
        return Ok(());
    }
    let listed = answer(Command::new("node").args(["-e", LIST, "--"]).args(manifests)).ok_or_else(|| {
        Failure::new("node cannot read a package file under tests/compat: is it valid JSON?")
    })?;
    let mut packages: Vec<&str> = listed.lines().collect();
    packages.sort_unstable();
    packages.dedup();
    let what = format!(".tools/{place}");
    let dir = root.join(&what);
    let stamp = dir.join(".setup-stamp");
    fs::create_dir_all(&dir)?;
    if stamp.exists() && !dir.join("node_modules").is_dir() {
        fs::remove_file(&stamp)?;
    }
    once(&what, &stamp, &packages.join("\n"), |_| {
        // Without a manifest here npm would look for one in the directories above; an empty one makes it drop
        // what is listed no more.
        fs::write(dir.join("package.json"), "{\"private\":true}\n")?;
        let mut npm = Command::new("npm");
        npm.current_dir(&dir).args([
            "install",
            "--no-package-lock",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
        ]);
        require(npm.args(&packages), "check the network, then run setup again")
    })
}
