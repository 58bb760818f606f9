//! The ready file: what scripts and tests need to know of a running server, so that they never guess.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

/// What a ready file says.
#[derive(Serialize)]
pub struct Ready<'r> {
    /// The server's process.
    pub pid: u32,
    /// Base address of the native API, without a final slash.
    pub url: &'r str,
    /// Base address of each mount, by name.
    pub mounts: &'r BTreeMap<String, String>,
    /// Address of `/metrics`, where it is answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<&'r str>,
    /// A key that may do everything; in `dev` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_key: Option<&'r str>,
    /// The keys that clients of Supabase's routes name them by; in `dev` alone, and where there is one such mount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supabase: Option<SupabaseKeys<'r>>,
}

/// Supabase's keys.
#[derive(Serialize)]
pub struct SupabaseKeys<'r> {
    /// For clients.
    pub anon_key: &'r str,
    /// For servers.
    pub service_key: &'r str,
}

/// Writes the file for its owner alone, whole or not at all.
///
/// # Errors
/// The operating system's.
pub fn write(path: &Path, ready: &Ready<'_>) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", ready.pid));
    let draft = PathBuf::from(name);
    let mut text = serde_json::to_vec_pretty(ready)?;
    text.push(b'\n');
    let written = private(&draft).and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()));
    let done = written.and_then(|()| fs::rename(&draft, path));
    if done.is_err() {
        // What is left of the draft helps nobody; the first error is the one to report.
        let _ = fs::remove_file(&draft);
    }
    done
}

fn private(path: &Path) -> io::Result<fs::File> {
    let mut options = OpenOptions::new();
    // A file of that name can only be a leftover of an earlier process; it may have other permissions.
    if fs::symlink_metadata(path).is_ok() {
        fs::remove_file(path)?;
    }
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_private_whole_and_replaces_an_older_one() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("ready.json");
        fs::write(&path, "old").expect("written");
        let mounts = BTreeMap::from([("native".to_owned(), "http://127.0.0.1:1".to_owned())]);
        let ready = Ready {
            pid: 7,
            url: "http://127.0.0.1:1",
            mounts: &mounts,
            metrics: None,
            admin_key: None,
            supabase: None,
        };
        write(&path, &ready).expect("written");
        let read: serde_json::Value =
            serde_json::from_slice(&fs::read(&path).expect("readable")).expect("JSON");
        assert_eq!(
            read,
            serde_json::json!({"pid": 7, "url": "http://127.0.0.1:1", "mounts": {"native": "http://127.0.0.1:1"}})
        );
        assert_eq!(crate::secrets::lone_reader(&path), None);
        assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 1);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_an_error() {
        let mounts = BTreeMap::new();
        let ready =
            Ready { pid: 7, url: "", mounts: &mounts, metrics: None, admin_key: None, supabase: None };
        assert!(write(Path::new("no-such-directory/ready.json"), &ready).is_err());
    }
}
