//! Root's commands where another user can change names.
//!
//! The directory of a store is the server's user's, and handlers and agents run as that user. A name there that is changed for a link
//! at the right moment would have root read, write or give away whatever the link leads to. So before root changes anything there it
//! becomes that user, for good: what can be done to the command then, the user could have done without it.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use rustix::process::{Gid, Uid};

use crate::cli::Failure;

const ROOT: u32 = 0;
const WRITABLE_BY_OTHERS: u32 = 0o022;
const STICKY: u32 = 0o1000;
/// Links on the way to one file, as the kernel's own bound (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// Who besides root can change what a path names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Hands {
    /// Owners of directories on the way, and of what they could move.
    users: BTreeSet<u32>,
    /// The directory on the way in which more than its owner can change names.
    open: Option<PathBuf>,
    /// Whose the last directory is, and its group.
    last: (u32, u32),
}

impl Hands {
    /// Follows `path` as the kernel does, as far as it is there.
    ///
    /// # Errors
    /// The system's, and for too many links.
    pub(crate) fn on(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let mut hands = Self::default();
        let mut at = PathBuf::from("/");
        let mut ahead = parts(&path);
        let mut links = 0;
        while let Some(name) = ahead.pop_front() {
            if name == ".." {
                at.pop();
                continue;
            }
            let directory = fs::metadata(&at)?;
            let next = at.join(&name);
            let found = match fs::symlink_metadata(&next) {
                Ok(found) => Some(found),
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            hands.add(&at, &directory, found.as_ref());
            match found {
                None => break,
                Some(found) if found.is_symlink() => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(io::Error::other("too many links on the way"));
                    }
                    let target = fs::read_link(&next)?;
                    if target.is_absolute() {
                        at = PathBuf::from("/");
                    }
                    let rest = std::mem::replace(&mut ahead, parts(&target));
                    ahead.extend(rest);
                }
                Some(_) => at = next,
            }
        }
        Ok(hands)
    }

    fn add(&mut self, at: &Path, directory: &Metadata, entry: Option<&Metadata>) {
        self.last = (directory.uid(), directory.gid());
        let mut user = |uid| {
            if uid != ROOT {
                self.users.insert(uid);
            }
        };
        user(directory.uid());
        if directory.mode() & WRITABLE_BY_OTHERS == 0 {
            return;
        }
        match entry {
            // Who has a name in a sticky directory can move it, and nobody else (inode(7)).
            Some(entry) if directory.mode() & STICKY != 0 => user(entry.uid()),
            _ => self.open = Some(at.to_path_buf()),
        }
    }

    /// Whether nobody but root can change it.
    fn are_roots(&self) -> bool {
        self.users.is_empty() && self.open.is_none()
    }
}

fn parts(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| part.as_os_str().to_owned())
        .collect()
}

/// Whom root has to become before it changes names at `target`; nobody if this process is not root's, or all on the way is root's.
///
/// # Errors
/// Where the users of more than one could change it, or of none that is known.
pub(crate) fn owner_of(target: &Path) -> Result<Option<Owner>, Failure> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let hands = Hands::on(target)?;
    if hands.are_roots() {
        return Ok(None);
    }
    let mut users = hands.users.iter();
    match (users.next(), users.next()) {
        (Some(&user), None) => {
            let group = if hands.last.0 == user { hands.last.1 } else { user };
            Ok(Some(Owner { user, group }))
        }
        (None, _) => {
            let open = hands.open.unwrap_or_default();
            Err(Failure::refused(
                format!("others can change names in {}, and root would follow them", open.display()),
                format!("run: chmod go-w '{}'; or run this as the server's user", open.display()),
            ))
        }
        (Some(one), Some(other)) => Err(Failure::refused(
            format!("the users {one} and {other} both can change what {} names", target.display()),
            "use a directory that is the server's user's or root's; or run this as the server's user",
        )),
    }
}

/// A user that root can become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    user: u32,
    group: u32,
}

impl Owner {
    /// Whether both are one user.
    pub(crate) fn is(self, other: Self) -> bool {
        self.user == other.user
    }

    /// Whether this user, or anybody but root and the owners of their own directories, can change what `path` names.
    pub(crate) fn reaches(self, path: &Path) -> bool {
        Hands::on(path).map_or(true, |hands| hands.users.contains(&self.user) || hands.open.is_some())
    }

    /// Makes the whole process this user's. There is no way back.
    ///
    /// # Errors
    /// Where the system does not allow it, and where other threads would stay root.
    pub(crate) fn become_it(self) -> Result<(), Failure> {
        // The calls are of the thread; those it starts later inherit what it is then.
        let threads = fs::read_dir("/proc/self/task").map(Iterator::count);
        let become_it = || {
            let (user, group) = (Uid::from_raw(self.user), Gid::from_raw(self.group));
            rustix::thread::set_thread_groups(&[])?;
            rustix::thread::set_thread_res_gid(group, group, group)?;
            rustix::thread::set_thread_res_uid(user, user, user)
        };
        let alone = !matches!(threads, Ok(2..));
        if alone && become_it().is_ok() && !rustix::process::geteuid().is_root() {
            return Ok(());
        }
        Err(Failure::refused(
            format!("the directory is user {}'s, and root cannot become that user here", self.user),
            "run this as that user, such as by: runuser -u doorward -- doorward …",
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    const SOMEBODY: u32 = 65_534;

    fn directory(at: &Path, name: &str, mode: u32, user: u32) -> PathBuf {
        let path = at.join(name);
        fs::create_dir(&path).expect("made");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("ours");
        chown(&path, Some(user), Some(user)).expect("given");
        path
    }

    #[test]
    fn every_directory_on_the_way_says_who_can_change_what_a_path_names() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("LEFT OUT: only root can make directories of others");
            assert!(std::env::var_os("CI").is_none_or(|value| value != "true"), "CI must be root");
            return;
        }
        let place = tempfile::tempdir().expect("a directory");
        let roots = directory(place.path(), "roots", 0o755, ROOT);
        let theirs = directory(place.path(), "theirs", 0o755, SOMEBODY);
        let open = directory(place.path(), "open", 0o777, ROOT);
        let sticky = directory(place.path(), "sticky", 0o1777, ROOT);
        fs::write(roots.join("file"), "x").expect("written");
        fs::write(sticky.join("file"), "x").expect("written");
        // Back into what is root's, by a name that is not.
        symlink(&roots, theirs.join("link")).expect("a link");
        symlink(theirs.join("link/file"), roots.join("there and back")).expect("a link");
        symlink("../theirs/./nothing", roots.join("dangling")).expect("a link");
        let nobody = || (vec![], None);
        let somebody = || (vec![SOMEBODY], None);
        for (path, (users, wide)) in [
            (roots.join("file"), nobody()),
            (roots.join("none/deeper"), nobody()),
            (theirs.join("file"), somebody()),
            (theirs.join("link/file"), somebody()),
            (roots.join("there and back"), somebody()),
            (roots.join("dangling"), somebody()),
            (roots.join("../theirs/file"), somebody()),
            (open.join("file"), (vec![], Some(open.clone()))),
            (sticky.join("file"), nobody()),
            (sticky.join("none"), (vec![], Some(sticky.clone()))),
        ] {
            let hands = Hands::on(&path).expect("followed");
            assert_eq!((hands.users.into_iter().collect(), hands.open), (users, wide), "{}", path.display());
        }
        symlink("round", roots.join("round")).expect("a link");
        assert!(Hands::on(&roots.join("round")).is_err());
        assert_eq!(owner_of(&theirs.join("x")).ok().flatten().map(|owner| owner.user), Some(SOMEBODY));
        assert!(owner_of(&roots.join("x")).is_ok_and(|owner| owner.is_none()));
        assert!(owner_of(&open.join("x")).is_err());
    }
}
