//! Python environments: one for the clients and pytest, one for each suite's real server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Before, once};
use crate::failure::Failure;
use crate::process::{answer, require, say};

/// What the clients and pytest need.
const CLIENT_NEEDS: Version = (3, 11);
/// What the pinned servers need; with an older Python the newest release that runs on it is installed instead.
const SERVER_NEEDS: Version = (3, 12);
/// Minor versions of Python 3 by preference: the one that the pinned packages are tested with comes first.
const PREFERRED_MINORS: &[u32] = &[12, 13, 14, 11];

type Version = (u32, u32);

/// An interpreter that starts.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Python {
    path: PathBuf,
    version: Version,
}

/// Makes `.venvs/client` hold everything that the lists name.
pub(super) fn client(root: &Path, lists: &[PathBuf]) -> Result<(), Failure> {
    let found = interpreters();
    let Some(python) = found.iter().find(|p| p.version >= CLIENT_NEEDS) else {
        return Err(Failure::new(too_old("the clients", CLIENT_NEEDS, &found)));
    };
    let files = lists.iter().flat_map(|list| ["-r".into(), list.clone().into_os_string()]).collect();
    environment(root, "client", python, &Wanted { arguments: files, text: texts(lists)? })
}

/// Makes `.venvs/<suite>-server` hold the real server, and `.venvs/<suite>.txt` say which one it is.
pub(super) fn server(root: &Path, suite: &str, list: &Path) -> Result<(), Failure> {
    let found = interpreters();
    let text = texts(&[list.to_path_buf()])?;
    let Some(package) = first_package(&text) else {
        return Err(Failure::new(format!("{} names no package", list.display())));
    };
    let pinned = found.iter().find(|p| p.version >= SERVER_NEEDS);
    let Some(python) = pinned.or(found.first()) else {
        return Err(Failure::new(too_old(package, SERVER_NEEDS, &found)));
    };
    let wanted = if pinned.is_some() {
        Wanted { arguments: vec!["-r".into(), list.into()], text: text.clone() }
    } else {
        say(&format!("NOT THE PINNED SERVER: {}", fallback(package, python.version)));
        Wanted { arguments: vec![package.into()], text: format!("newest {package}\n") }
    };
    let name = format!("{suite}-server");
    let note = root.join(".venvs").join(format!("{suite}.txt"));
    if let Err(failure) = environment(root, &name, python, &wanted) {
        if pinned.is_some() {
            return Err(failure);
        }
        // Nothing half installed stays: the tests see that there is no server, and the others still run.
        fs::remove_dir_all(root.join(".venvs").join(&name))?;
        let left_out = left_out(package, python.version);
        say(&left_out);
        fs::write(note, left_out + "\n")?;
        return Ok(());
    }
    let inside = of_venv(&root.join(".venvs").join(&name));
    let code = format!(
        "import platform; from importlib.metadata import version; \
         print({package:?}, version({package:?}), 'on Python', platform.python_version())"
    );
    let Some(installed) = answer(Command::new(&inside).args(["-c", &code])) else {
        return Err(Failure::new(format!(
            "{package} is not in .venvs/{name}: remove that directory and run setup again"
        )));
    };
    say(&format!("{suite}: {installed}"));
    fs::write(note, installed + "\n")?;
    Ok(())
}

/// The interpreter inside an environment.
pub(super) fn of_venv(venv: &Path) -> PathBuf {
    venv.join("bin/python")
}

/// What to install: the arguments to pip, and the text whose change means installing again.
struct Wanted {
    arguments: Vec<std::ffi::OsString>,
    text: String,
}

fn environment(root: &Path, name: &str, python: &Python, wanted: &Wanted) -> Result<(), Failure> {
    let venv = root.join(".venvs").join(name);
    let inside = of_venv(&venv);
    let stamp = venv.join(".setup-stamp");
    let text = format!("python {}.{}\n{}", python.version.0, python.version.1, wanted.text);
    // An environment whose interpreter is gone or was replaced is worth nothing, whatever the stamp says.
    let stands = probe(&inside).is_some_and(|p| p.version == python.version);
    if !stands && stamp.exists() {
        fs::remove_file(&stamp)?;
    }
    once(&format!(".venvs/{name}"), &stamp, &text, |before| {
        if !stands || before == Before::Differs {
            let mut make = Command::new(&python.path);
            make.args(["-m", "venv", "--clear"]).arg(&venv);
            require(&mut make, "this Python cannot make environments: install its venv module")?;
        }
        let mut pip = Command::new(&inside);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(&wanted.arguments);
        require(&mut pip, "check the network and the list of requirements, then run setup again")
    })
}

/// Interpreters that can make environments, the preferred one first: on the path, then under pyenv, then uv's own.
fn interpreters() -> Vec<Python> {
    let homes =
        [std::env::var_os("PYENV_ROOT").map(PathBuf::from), std::env::home_dir().map(|h| h.join(".pyenv"))];
    let mut candidates = Vec::new();
    for minor in PREFERRED_MINORS {
        candidates.push(PathBuf::from(format!("python3.{minor}")));
        for home in homes.iter().flatten() {
            candidates.extend(under_pyenv(&home.join("versions"), *minor));
        }
        // Only what uv has already: nothing is downloaded here.
        let mut uv = Command::new("uv");
        uv.args(["python", "find", "--no-python-downloads", &format!("3.{minor}")]);
        candidates.extend(answer(&mut uv).map(PathBuf::from));
    }
    candidates.push("python3".into());
    candidates.iter().filter_map(|path| probe(path)).collect()
}

/// `versions/3.<minor>.*/bin/python3`, newest patch last in name order first.
fn under_pyenv(versions: &Path, minor: u32) -> Vec<PathBuf> {
    let prefix = format!("3.{minor}.");
    let mut found: Vec<PathBuf> = fs::read_dir(versions)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .map(|entry| entry.path().join("bin/python3"))
        .collect();
    found.sort();
    found.reverse();
    found
}

/// The interpreter behind `path` and its version; `None` when it does not start or cannot make environments (Debian
/// packages that ability apart).
fn probe(path: &Path) -> Option<Python> {
    let code = "import sys, ensurepip, venv; print(sys.version_info[0], sys.version_info[1], sys.executable)";
    let told = answer(Command::new(path).args(["-c", code]))?;
    let mut words = told.splitn(3, ' ');
    let version = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some(Python { path: words.next()?.into(), version })
}

fn texts(lists: &[PathBuf]) -> Result<String, Failure> {
    let mut all = String::new();
    for list in lists {
        all += &fs::read_to_string(list).map_err(|e| Failure::new(format!("{}: {e}", list.display())))?;
    }
    Ok(all)
}

/// The name of the first requirement: of a server's list, the server itself.
fn first_package(list: &str) -> Option<&str> {
    let line = list.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with(['#', '-']))?;
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).unwrap_or(line.len());
    Some(&line[..end])
}

fn fallback(package: &str, has: Version) -> String {
    format!(
        "{package} is pinned to a release that needs Python {}.{}, which is neither on PATH nor under pyenv nor known \
         to uv; its newest release that runs on {}.{} is installed instead",
        SERVER_NEEDS.0, SERVER_NEEDS.1, has.0, has.1
    )
}

fn left_out(package: &str, has: Version) -> String {
    format!(
        "LEFT OUT: {package}: no release of it can be installed for Python {}.{}; install Python {}.{} (with pyenv, \
         say) and run setup again",
        has.0, has.1, SERVER_NEEDS.0, SERVER_NEEDS.1
    )
}

fn too_old(what: &str, needs: Version, found: &[Python]) -> String {
    let have: Vec<String> = found.iter().map(|p| format!("{}.{}", p.version.0, p.version.1)).collect();
    let have = if have.is_empty() { "none".to_owned() } else { have.join(", ") };
    format!("{what} need Python {}.{} or newer on PATH or under pyenv; found: {have}", needs.0, needs.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_package_is_the_server_without_its_version() {
        let cases = [
            ("# the server\n\n10xscale-agentflow-cli==0.6.1\nfastapi\n", Some("10xscale-agentflow-cli")),
            ("-r other.txt\nhypha[server]>=1 ; python_version > '3'\n", Some("hypha")),
            ("plain", Some("plain")),
            ("# nothing\n", None),
        ];
        for (list, expected) in cases {
            assert_eq!(first_package(list), expected, "{list}");
        }
    }

    #[test]
    fn interpreter_that_does_not_start_is_passed_over() {
        assert_eq!(probe(Path::new("doorward-no-such-python")), None);
    }

    #[test]
    fn installing_another_server_than_the_pinned_one_names_both_versions() {
        let said = fallback("some-server", (3, 11));
        assert!(said.contains("some-server") && said.contains("3.12") && said.contains("3.11"), "{said}");
        let said = left_out("some-server", (3, 11));
        assert!(said.starts_with("LEFT OUT: some-server") && said.contains("install Python 3.12"), "{said}");
    }

    #[test]
    fn missing_python_is_named_with_what_was_found() {
        let old = Python { path: "python3".into(), version: (3, 9) };
        assert!(
            too_old("the clients", (3, 11), &[old])
                .ends_with("3.11 or newer on PATH or under pyenv; found: 3.9")
        );
        assert!(too_old("the clients", (3, 11), &[]).ends_with("found: none"));
    }
}
