//! The master key: 32 bytes under which every key at rest is sealed.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use doorward_core::random::{Random, bytes};
use doorward_core::secret::{Secret, SecretBytes, SecretText};
use thiserror::Error;
use zeroize::Zeroizing;

use super::weak::weakness;

const BYTES: usize = 32;

/// Why a master key cannot be used. Never holds the key.
#[derive(Debug, Error)]
pub enum MasterKeyError {
    /// Not 32 bytes in hex or base64.
    #[error("the master key is not 32 bytes in hex or base64")]
    Malformed,
    /// It could be guessed.
    #[error("the master key is weak: it repeats itself or follows a pattern")]
    Weak,
    /// The file cannot be read or made.
    #[error("{path}: {error}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

/// Reads a master key from its text form: 64 hex digits, or base64 (either alphabet, with or without padding).
///
/// # Errors
/// [`MasterKeyError::Malformed`], and [`MasterKeyError::Weak`] for a key without variety.
pub fn parse_master_key(text: &SecretText) -> Result<SecretBytes, MasterKeyError> {
    let trimmed = text.expose().trim();
    let decoded = if trimmed.len() == 2 * BYTES {
        hex(trimmed)
    } else {
        [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
            .iter()
            .find_map(|alphabet| alphabet.decode(trimmed).ok())
            .map(SecretBytes::new)
    };
    let key = decoded.filter(|key| key.expose().len() == BYTES).ok_or(MasterKeyError::Malformed)?;
    if weakness(key.expose(), BYTES).is_some() { Err(MasterKeyError::Weak) } else { Ok(key) }
}

fn hex(text: &str) -> Option<SecretBytes> {
    let mut out = Zeroizing::new(Vec::with_capacity(text.len() / 2));
    for pair in text.as_bytes().chunks_exact(2) {
        let digit = |byte: u8| char::from(byte).to_digit(16);
        out.push(u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?);
    }
    Some(SecretBytes::new(std::mem::take(&mut *out)))
}

/// Makes a master key at `path`, for its owner alone, unless there is one already.
///
/// # Errors
/// [`MasterKeyError::File`].
pub fn create_master_key(path: &Path, random: &dyn Random) -> Result<(), MasterKeyError> {
    let failed = |error| MasterKeyError::File { path: path.to_path_buf(), error };
    // Made under another name and linked into place: no process ever reads half a key, and of two that start
    // at once, one wins and the other reads the winner's.
    let mut name = path.as_os_str().to_owned();
    let suffix: String = bytes::<8>(random).iter().map(|byte| format!("{byte:02x}")).collect();
    name.push(format!(".{suffix}"));
    let draft = PathBuf::from(name);
    if path.exists() {
        return Ok(());
    }
    let key = Secret::new(bytes::<BYTES>(random));
    let text: Zeroizing<String> =
        Zeroizing::new(key.expose().iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n");
    private_file(&draft)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .map_err(failed)?;
    let linked = std::fs::hard_link(&draft, path);
    std::fs::remove_file(&draft).map_err(failed)?;
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(failed(error)),
        _ => Ok(()),
    }
}

fn private_file(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use doorward_core::random::SeededRandom;

    use super::*;
    use crate::secrets::lone_reader;

    #[test]
    fn keys_are_read_in_hex_and_base64() {
        let expected = bytes::<32>(&SeededRandom::new(7));
        let hex: String = expected.iter().map(|byte| format!("{byte:02X}")).collect();
        for text in [hex, STANDARD.encode(expected), URL_SAFE_NO_PAD.encode(expected) + "\n"] {
            let key = parse_master_key(&SecretText::new(text)).expect("a key");
            assert_eq!(key.expose().as_slice(), expected);
        }
    }

    #[test]
    fn other_lengths_and_patterns_are_refused() {
        for bad in ["", "abc", "zz".repeat(32).as_str(), STANDARD.encode([7; 31]).as_str()] {
            let result = parse_master_key(&SecretText::from(bad));
            assert!(matches!(result.err(), Some(MasterKeyError::Malformed)), "{bad}");
        }
        for weak in ["00".repeat(32), "0123456789abcdef".repeat(4)] {
            let result = parse_master_key(&SecretText::new(weak));
            assert!(matches!(result.err(), Some(MasterKeyError::Weak)));
        }
    }

    #[test]
    fn a_new_key_is_its_owners_alone_and_never_replaced() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("master.key");
        create_master_key(&path, &SeededRandom::new(1)).expect("made");
        let first = std::fs::read_to_string(&path).expect("readable");
        create_master_key(&path, &SeededRandom::new(2)).expect("kept");
        assert_eq!(std::fs::read_to_string(&path).expect("readable"), first);
        assert_eq!(lone_reader(&path), None);
        assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 1, "no draft is left");
        parse_master_key(&SecretText::new(first)).expect("a key");
    }
}
