//! Programs the tests start, installed by apt under their package names.

use std::path::Path;
use std::process::Command;

use crate::failure::Failure;
use crate::process::{answer, require, say};

/// A program: how to see that it works, the Debian package that brings it, and which test wants it.
struct Program {
    probe: &'static [&'static str],
    package: &'static str,
    used_for: &'static str,
}

static PROGRAMS: &[Program] = &[
    Program { probe: &["curl", "--version"], package: "curl", used_for: "the documents' own command lines" },
    Program {
        probe: &["openssl", "version"],
        package: "openssl",
        used_for: "keys made as the documents make them",
    },
    Program {
        probe: &["python3", "--version"],
        package: "python3",
        used_for: "the platforms' Python clients",
    },
    Program {
        probe: &["python3", "-c", "import ensurepip, venv"],
        package: "python3-venv",
        used_for: ".venvs/",
    },
    Program {
        probe: &["node", "--version"],
        package: "nodejs",
        used_for: "the platforms' JavaScript clients",
    },
    Program { probe: &["npm", "--version"], package: "npm", used_for: ".tools/node" },
    Program { probe: &["faketime", "--version"], package: "faketime", used_for: "a clock that jumps" },
    Program {
        probe: &["sh", "-c", "command -v chromium && command -v chromedriver"],
        package: "chromium-driver",
        used_for: "pages and cookies in a real browser",
    },
    Program {
        // The server's own programs are not in the PATH on Debian.
        probe: &["sh", "-c", "ls /usr/lib/postgresql/*/bin/initdb || command -v initdb"],
        package: "postgresql",
        used_for: "the store on PostgreSQL",
    },
    Program {
        // Nor is this one in everybody's.
        probe: &["sh", "-c", "test -x /usr/sbin/slapd || command -v slapd"],
        package: "slapd",
        used_for: "a directory of people",
    },
    Program { probe: &["ldapmodify", "-VV"], package: "ldap-utils", used_for: "changes in it" },
    Program {
        probe: &["redis-server", "--version"],
        package: "redis-server",
        used_for: "start-up files that keep sessions in Redis",
    },
    Program {
        probe: &["sh", "-c", "test -x /usr/sbin/nginx || command -v nginx"],
        package: "nginx",
        used_for: "forward-auth",
    },
    Program { probe: &["caddy", "version"], package: "caddy", used_for: "forward-auth" },
    Program {
        probe: &["sh", "-c", "test -x /usr/sbin/haproxy || command -v haproxy"],
        package: "haproxy",
        used_for: "forward-auth",
    },
    Program {
        probe: &["sh", "-c", "test -x /usr/sbin/apache2 || command -v apache2"],
        package: "apache2",
        used_for: "forward-auth",
    },
    Program {
        probe: &["systemd-analyze", "--version"],
        package: "systemd",
        used_for: "the unit of deploy/, which it judges",
    },
    Program {
        // What Apache's script asks with.
        probe: &["sh", "-c", "ls /usr/share/lua/5.*/socket/http.lua"],
        package: "lua-socket",
        used_for: "forward-auth by Apache",
    },
];

/// Whether missing programs can be installed here: as root on Debian.
pub(crate) fn can_install() -> bool {
    let root = answer(Command::new("id").arg("-u")).is_some_and(|id| id == "0");
    root && Path::new("/etc/debian_version").exists()
}

/// Installs the programs that do not answer their probe.
pub(crate) fn install() -> Result<(), Failure> {
    let missing: Vec<&Program> = PROGRAMS.iter().filter(|p| !works(p)).collect();
    if missing.is_empty() {
        say("programs: up to date");
        return Ok(());
    }
    for program in &missing {
        say(&format!("programs: {} is missing (for {})", program.package, program.used_for));
    }
    let packages: Vec<&str> = missing.iter().map(|p| p.package).collect();
    if !can_install() {
        return Err(Failure::new(advice(&packages, Path::new("/etc/debian_version").exists())));
    }
    let again = "check the network and the package sources, then run `cargo xtask setup` again";
    require(Command::new("apt-get").args(["update", "--quiet"]), again)?;
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive");
    require(apt.args(["install", "--yes", "--quiet", "--no-install-recommends"]).args(&packages), again)?;
    match PROGRAMS.iter().find(|p| !works(p)) {
        None => Ok(()),
        Some(still) => Err(Failure::new(format!(
            "`{}` does not work although {} is installed: is another one first on PATH?",
            still.probe.join(" "),
            still.package
        ))),
    }
}

fn works(program: &Program) -> bool {
    answer(Command::new(program.probe[0]).args(&program.probe[1..])).is_some()
}

fn advice(packages: &[&str], debian: bool) -> String {
    let list = packages.join(" ");
    if debian {
        format!("run this as root, then `cargo xtask setup` again:\n  apt-get install --yes {list}")
    } else {
        format!("install the programs that Debian packages as: {list}; then run `cargo xtask setup` again")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_cannot_install_is_told_the_command() {
        assert!(advice(&["curl", "npm"], true).contains("apt-get install --yes curl npm"));
        assert!(advice(&["curl", "npm"], false).contains("curl npm"));
    }

    #[test]
    fn program_that_is_absent_does_not_work() {
        let absent = Program { probe: &["doorward-no-such-program"], package: "none", used_for: "this test" };
        assert!(!works(&absent));
    }
}
