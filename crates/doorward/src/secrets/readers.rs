//! Who can read a file.

use std::path::Path;

/// Whether only its owner can read a file, or its owner and we; its mode if others can too.
///
/// systemd gives a service its credentials as files of root's with a list of who may read them, which names the service's user. The list
/// shows as the group's right (acl(5)), so the list itself is looked at: a group, root's included, is others.
#[must_use]
pub fn lone_reader(path: &Path) -> Option<u32> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        const OTHERS: u32 = 0o077;
        const GROUP_READS: u32 = 0o040;
        let mode = std::fs::metadata(path).ok()?.mode() & 0o7777;
        match mode & OTHERS {
            0 => None,
            GROUP_READS if is_listed_alone(path, rustix::process::geteuid().as_raw()) => None,
            _ => Some(mode),
        }
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

/// Whether a file has a list of who may read it, and nobody but its owner and `user` is on it.
#[cfg(unix)]
fn is_listed_alone(path: &Path, user: u32) -> bool {
    // A list of so many is not of one.
    let mut list = [0; 128];
    rustix::fs::getxattr(path, "system.posix_acl_access", &mut list)
        .is_ok_and(|length| list.get(..length).is_some_and(|list| names_only(list, user)))
}

/// The form of Linux (`linux/posix_acl_xattr.h`): a version of four bytes, then for each entry a tag, rights and an id, all little-endian.
#[cfg(unix)]
fn names_only(list: &[u8], user: u32) -> bool {
    const VERSION: [u8; 4] = 2_u32.to_le_bytes();
    const OWNER: u16 = 0x01;
    const USER: u16 = 0x02;
    /// Caps what the others get; it gives nothing.
    const MASK: u16 = 0x10;
    let Some(entries) = list.strip_prefix(&VERSION) else { return false };
    let (entries, rest) = entries.as_chunks::<8>();
    let fits = |&[t0, t1, r0, r1, i0, i1, i2, i3]: &[u8; 8]| match u16::from_le_bytes([t0, t1]) {
        OWNER | MASK => true,
        USER if u32::from_le_bytes([i0, i1, i2, i3]) == user => true,
        // Anybody else may be there with no right at all.
        _ => [r0, r1] == [0, 0],
    };
    rest.is_empty() && !entries.is_empty() && entries.iter().all(fits)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const EVERYBODY: u32 = u32::MAX;

    fn list(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut list = 2_u32.to_le_bytes().to_vec();
        for (tag, rights, id) in entries {
            list.extend([tag.to_le_bytes(), rights.to_le_bytes()].concat());
            list.extend(id.to_le_bytes());
        }
        list
    }

    #[test]
    fn a_file_is_its_owners_alone_and_no_groups_not_even_roots() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("key");
        std::fs::write(&path, "x").expect("written");
        for (mode, alone) in
            [(0o600, true), (0o400, true), (0o440, false), (0o640, false), (0o460, false), (0o604, false)]
        {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("ours");
            assert_eq!(lone_reader(&path), (!alone).then_some(mode), "{mode:o}");
        }
    }

    #[test]
    fn a_list_that_names_us_alone_is_as_good_as_none_and_any_other_is_not() {
        let us = rustix::process::geteuid().as_raw();
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("key");
        std::fs::write(&path, "x").expect("written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o400)).expect("ours");
        for (name, user, group, named_group, alone) in [
            // What systemd makes for a service's credential.
            ("us", us, 0, 0, true),
            ("bob", 12_345, 0, 0, false),
            ("us and the owning group", us, 4, 0, false),
            ("us and a group", us, 0, 4, false),
        ] {
            let (owner, mask, others) = ((0x01, 4, EVERYBODY), (0x10, 4, EVERYBODY), (0x20, 0, EVERYBODY));
            let list = list(&[
                owner,
                (0x02, 4, user),
                (0x04, group, EVERYBODY),
                (0x08, named_group, 7),
                mask,
                others,
            ]);
            let flags = rustix::fs::XattrFlags::empty();
            if rustix::fs::setxattr(&path, "system.posix_acl_access", &list, flags).is_err() {
                eprintln!("LEFT OUT: this file system has no lists");
                return;
            }
            assert_eq!(lone_reader(&path), (!alone).then_some(0o440), "{name}");
        }
    }

    #[test]
    fn what_is_no_list_names_nobody() {
        for bad in [&[][..], &[2, 0, 0, 0], &[1, 0, 0, 0], &list(&[(0x01, 4, EVERYBODY)])[..11]] {
            assert!(!names_only(bad, 7), "{bad:?}");
        }
        assert!(names_only(&list(&[(0x01, 4, EVERYBODY), (0x02, 4, 7), (0x40, 0, 8)]), 7));
    }
}
