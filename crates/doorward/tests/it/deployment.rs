//! What `deploy/` holds: units that systemd takes and finds closed, and the conditions of the container.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::program::{left_out, needs_root, printed, until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_doorward");
const UNITS: [&str; 3] = ["doorward.service", "doorward-backup.service", "doorward-backup.timer"];
/// In tenths, as `systemd-analyze security` counts: 100 is open.
const MOST_EXPOSED: &str = "15";
/// Whom the container runs as.
const USER: u32 = 65532;

fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(name)
}

#[test]
fn systemd_takes_the_units_and_finds_them_closed() {
    let place = tempfile::tempdir().expect("a directory");
    for unit in UNITS {
        // The program is not installed where the tests run.
        let text =
            fs::read_to_string(deploy(unit)).expect("a unit").replace("/usr/local/bin/doorward", PROGRAM);
        fs::write(place.path().join(unit), text).expect("written");
    }
    let verify = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .args(UNITS.map(|unit| place.path().join(unit)))
        .output()
        .expect("systemd-analyze is there: cargo xtask setup installs it");
    assert!(verify.status.success() && verify.stderr.is_empty(), "{}", printed(&verify));
    for unit in UNITS.iter().filter(|unit| unit.ends_with(".service")) {
        let judged = Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--no-pager", &format!("--threshold={MOST_EXPOSED}")])
            .arg(deploy(unit))
            .output()
            .expect("it is there");
        assert!(judged.status.success(), "{unit}: {}", printed(&judged));
    }
}

#[test]
fn systemd_itself_starts_the_service_confined_backs_it_up_and_restores_it() {
    let place = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| fs::write(place.path().join(name), text).expect("written");
    write("master.key", "8f14e45fceea167a5a36dedd4bea2543c9f0f895fb98ab9159f51fd0297e236d\n");
    write(
        "doorward.toml",
        "[store]\npath = \"/var/lib/doorward/doorward.db\"\n\
         [secrets]\nmaster_key_file = \"/etc/doorward/master.key\"\n",
    );
    write("probe.sh", include_str!("probe.sh"));
    let booted = Command::new("timeout")
        .args(["--kill-after=5", "120", "sh"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/booted.sh"))
        .arg(PROGRAM)
        .arg(deploy(""))
        .arg(place.path())
        .output()
        .expect("sh is there");
    if booted.status.code() == Some(77) {
        left_out(&format!("the unit under systemd: {}", printed(&booted)));
        return;
    }
    let said = |name: &str| fs::read_to_string(place.path().join("out").join(name)).unwrap_or_default();
    let all = || format!("{}{}{}", printed(&booted), said("probe.log"), said("doorward.log"));
    assert_eq!(said("status"), "0\n", "{}", all());
    for (name, expected) in [
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
        ("CapEff", "0000000000000000"),
        ("CapBnd", "0000000000000000"),
    ] {
        let line = format!("{name}:\t{expected}\n");
        assert!(said("probe.log").contains(&line), "{line}: {}", all());
    }
}

#[test]
fn who_stops_the_server_waits_as_long_as_that_takes() {
    // What `Supervisor::stopping` asks for, with the ten seconds of leaving that docs/operations.md speaks of.
    const LONGEST_STOP_S: u32 = 45 + 10;
    for (name, key) in [("doorward.service", "TimeoutStopSec="), ("compose.yaml", "stop_grace_period: ")] {
        let text = fs::read_to_string(deploy(name)).expect("a file");
        let said = text.lines().find_map(|line| line.trim().strip_prefix(key)).expect(key);
        let waits_s: u32 = said.trim_end_matches('s').parse().expect("seconds");
        assert!(waits_s >= LONGEST_STOP_S, "{name}: {waits_s} s");
    }
}

/// The last stage of the Dockerfile: its words, by instruction.
fn last_stage() -> BTreeMap<String, String> {
    let text = fs::read_to_string(deploy("Dockerfile")).expect("a Dockerfile").replace("\\\n", " ");
    let (_, last) = text.rsplit_once("\nFROM scratch").expect("it begins from nothing");
    let lines = last.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once(' '))
        .map(|(word, rest)| (word.to_owned(), rest.trim().to_owned()))
        .collect()
}

/// The program's arguments in an instruction's exec form.
fn exec_form(text: &str) -> Vec<String> {
    let list = &text[text.find('[').expect("an exec form")..];
    serde_json::from_str(list).expect("a list of texts")
}

/// The container's conditions without the container: its file system, read-only but for /data, user 65532, process 1.
struct Contained {
    place: tempfile::TempDir,
    environment: Vec<(String, String)>,
}

impl Contained {
    fn new(stage: &BTreeMap<String, String>) -> Self {
        let place = tempfile::tempdir().expect("a directory");
        // A user that is not us has to get through.
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).expect("ours");
        let made = Command::new(deploy("rootfs.sh")).arg(PROGRAM).arg(place.path().join("root")).output();
        let made = made.expect("a script");
        assert!(made.status.success(), "{}", printed(&made));
        // Every runtime brings this along.
        fs::create_dir(place.path().join("root/proc")).expect("ours");
        let pair = |text: &str| text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        let environment = stage["ENV"].split_whitespace().filter_map(pair).collect();
        Self { place, environment }
    }

    fn root(&self, name: &str) -> PathBuf {
        self.place.path().join("root").join(name)
    }

    fn command(&self, arguments: &[String], more: &[(&str, &str)]) -> Command {
        let enter = "mount --bind \"$0\" \"$0\" && mount --bind \"$0.data\" \"$0/data\" && \
                     mount -t proc proc \"$0/proc\" && \
                     mount -o remount,bind,ro \"$0\" && exec chroot --userspec=65532:65532 \"$0\" \"$@\"";
        let data = self.place.path().join("root.data");
        if !data.exists() {
            fs::rename(self.root("data"), &data).expect("ours");
            fs::create_dir(self.root("data")).expect("ours");
        }
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "sh", "-c", enter]);
        command.arg(self.place.path().join("root")).args(arguments).current_dir("/").env_clear();
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").envs(self.environment.clone());
        command.envs(more.iter().copied()).stdin(Stdio::null());
        command
    }

    fn data(&self, name: &str) -> PathBuf {
        self.place.path().join("root.data").join(name)
    }
}

/// Process 1 of the container, by its number outside.
fn first_process(unshared: &Child) -> Option<String> {
    let id = unshared.id();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
    children.split_whitespace().next().map(str::to_owned)
}

#[test]
fn the_containers_program_runs_as_nobody_and_writes_nowhere_but_its_volume() {
    if needs_root("to become the container's user") {
        return;
    }
    let stage = last_stage();
    assert_eq!((&*stage["USER"], &*stage["STOPSIGNAL"]), ("65532:65532", "SIGTERM"));
    assert_eq!(exec_form(&stage["VOLUME"]), ["/data"]);
    let contained = Contained::new(&stage);
    let config =
        "[server]\nlisten = \"127.0.0.1:0\"\n[secrets]\nmaster_key_file = \"/etc/doorward/master.key\"\n";
    fs::write(contained.root("etc/doorward/doorward.toml"), config).expect("written");
    let key = contained.root("etc/doorward/master.key");
    fs::write(&key, "8f14e45fceea167a5a36dedd4bea2543c9f0f895fb98ab9159f51fd0297e236d\n").expect("written");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o400)).expect("closed");
    std::os::unix::fs::chown(&key, Some(USER), Some(USER)).expect("given away");

    let entry = exec_form(&stage["ENTRYPOINT"]);
    let words = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let serve =
        [entry.clone(), exec_form(&stage["CMD"]), words(&["--ready-file", "/data/ready.json"])].concat();
    let mut server =
        contained.command(&serve, &[]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("unshare");
    let ready: Value = until("the ready file", || {
        let ended = server.try_wait().expect("a child");
        assert!(ended.is_none(), "it ended: {:?}", server.stderr.take().map(std::io::read_to_string));
        fs::read(contained.data("ready.json")).ok().map(|text| serde_json::from_slice(&text).expect("JSON"))
    });
    assert_eq!(ready["pid"], 1, "it is process 1, to which signals must come");
    let store = fs::metadata(contained.data("doorward.db")).expect("the store is on the volume");
    assert_eq!((store.uid(), store.mode() & 0o777), (USER, 0o600));

    let address = ready["url"].as_str().and_then(|url| url.strip_prefix("http://")).expect("an address");
    let here = [("DOORWARD__SERVER__LISTEN", address)];
    let health = contained.command(&exec_form(&stage["HEALTHCHECK"]), &here).output().expect("unshare");
    assert!(health.status.success(), "{}", printed(&health));
    let config = ["--config", "/etc/doorward/doorward.toml"];
    let backup = |to: &str| {
        let arguments = [entry.clone(), words(&["backup", "--output", to]), words(&config)].concat();
        contained.command(&arguments, &[]).output().expect("unshare")
    };
    let refused = backup("/backup.db");
    assert!(
        !refused.status.success() && printed(&refused).contains("Read-only file system"),
        "{}",
        printed(&refused)
    );
    let made = backup("/data/backup.db");
    assert!(made.status.success(), "{}", printed(&made));
    assert!(!contained.root("bin").exists() && !contained.root("usr/bin/sh").exists(), "there is no shell");

    let first = first_process(&server).expect("process 1");
    assert!(Command::new("kill").args(["-TERM", &first]).status().expect("kill is there").success());
    let ended = until("the end", || server.try_wait().expect("a child"));
    assert_eq!(ended.code(), Some(0), "{:?}", server.stderr.take().map(std::io::read_to_string));
    let health = contained.command(&exec_form(&stage["HEALTHCHECK"]), &here).output().expect("unshare");
    assert_eq!(health.status.code(), Some(1), "{}", printed(&health));
}

#[test]
fn nothing_of_it_needs_memory_that_is_written_and_then_run() {
    // What MemoryDenyWriteExecute= asks the kernel for (PR_SET_MDWE, Linux 6.3); it holds across exec.
    let denied = "import ctypes, os, sys\n\
                  if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) != 0: sys.exit(77)\n\
                  os.execv(sys.argv[1], sys.argv[1:])";
    let home = crate::serve::configured("[server]\nlisten = \"127.0.0.1:0\"\n");
    for arguments in [
        &["config", "check"][..],
        &["migrate", "apply"],
        &["token", "rotate-key", "--algorithm", "RS256"],
        &["doctor", "--only", "store"],
    ] {
        let mut command = Command::new("python3");
        command.args(["-c", denied, PROGRAM]).args(arguments).current_dir(home.path());
        let output = command.output().expect("python3 is there");
        if output.status.code() == Some(77) {
            left_out("the unit's MemoryDenyWriteExecute: this kernel has no such thing");
            return;
        }
        assert!(output.status.success(), "{arguments:?}: {}", printed(&output));
    }
}
