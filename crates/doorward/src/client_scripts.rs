//! The published client of Hypha as pages load it: files of the package that the operator installed, read at the start.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use doorward_server::ClientScripts;

use crate::config::{Config, Mount, Problem};
use crate::hypha;
use crate::setup::Mode;

/// Where npm puts it.
const USUAL: &str = "node_modules/hypha-rpc/dist";
/// Largest file; those of hypha-rpc 0.21.40 have half a megabyte.
const MAX_FILE_BYTES: u64 = 8 << 20;

/// Reads what each mount's directory holds.
pub(crate) fn read(config: &Config, problems: &mut Vec<Problem>) -> BTreeMap<String, ClientScripts> {
    let named = config.mounts.iter().filter_map(|mount| Some((mount, mount.client_script_dir.as_deref()?)));
    let mut found = BTreeMap::new();
    for (mount, directory) in named {
        match of(directory) {
            Ok(scripts) => {
                found.insert(mount.name.clone(), scripts);
            }
            Err(what) => {
                let key = format!("mounts.{}.client_script_dir", mount.name);
                let mend = format!("run npm install hypha-rpc, and name the directory {USUAL}");
                problems.push(Problem::of(key, format!("{}: {what}", directory.display()), mend));
            }
        }
    }
    found
}

/// What a mount that names no directory has: in `dev`, the package beside the server, if it is there.
pub(crate) fn by_default(mount: &Mount, mode: Mode) -> ClientScripts {
    match mode {
        Mode::Dev if hypha::speaks(mount) => of(Path::new(USUAL)).unwrap_or_default(),
        _ => ClientScripts::default(),
    }
}

fn of(directory: &Path) -> Result<ClientScripts, String> {
    let [first, ..] = ClientScripts::NAMES;
    let mut scripts = ClientScripts::default();
    for name in ClientScripts::NAMES {
        match file(&directory.join(name)) {
            Ok(bytes) => scripts = scripts.with(name, bytes),
            Err(error) if error.kind() == ErrorKind::NotFound && name != first => {}
            Err(error) => return Err(format!("{name}: {error}")),
        }
    }
    Ok(scripts)
}

fn file(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(std::io::Error::other("it is larger than 8 MiB"));
    }
    Ok(bytes)
}
