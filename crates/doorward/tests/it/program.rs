//! Starting the program and waiting for it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_doorward");
/// How long anything may take before a test gives up, on a machine with other work.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// The program with `arguments`, in `directory`, without settings of the machine it runs on. It is ended when it
/// takes too long: a server that starts where it should refuse must fail a test, not hang it.
pub(crate) fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", &PATIENCE.as_secs().to_string(), PROGRAM]);
    prepared(command, directory, arguments)
}

fn prepared(mut command: Command, directory: &Path, arguments: &[&str]) -> Command {
    command.args(arguments).current_dir(directory).env_clear().stdin(Stdio::null());
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}

/// Runs it to its end.
pub(crate) fn run(directory: &Path, arguments: &[&str]) -> Output {
    command(directory, arguments).output().expect("the program starts")
}

/// Runs it with `input` on standard input.
pub(crate) fn run_with(directory: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = command(directory, arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads");
    child.wait_with_output().expect("it ends")
}

/// Says what is not tested on this machine, past the capture of the test harness: the test passes.
pub(crate) fn left_out(why: &str) {
    writeln!(std::io::stderr(), "LEFT OUT: {why}").expect("stderr is open");
}

/// Whether somebody else than root runs the tests, whom only root can become. CI is root.
pub(crate) fn needs_root(what: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        left_out(&format!("{what} needs root"));
        assert!(std::env::var_os("CI").is_none_or(|value| value != "true"), "CI must be root");
    }
    !is_root
}

/// What it printed, both ways.
pub(crate) fn printed(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The JSON it answered; it must have succeeded.
pub(crate) fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", printed(output));
    serde_json::from_slice(&output.stdout).expect("it answers JSON")
}

/// Waits until `look` finds something.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
        if let Some(found) = look() {
            return found;
        }
        thread::sleep(PAUSE);
    }
    look().unwrap_or_else(|| unreachable!("{what}: not within {PATIENCE:?}"))
}

/// A running server in a directory of its own.
pub(crate) struct Server {
    pub(crate) home: TempDir,
    child: Child,
    pub(crate) ready: Value,
}

impl Server {
    /// Starts `arguments` with a ready file; everything it says goes to one log.
    pub(crate) fn start(home: TempDir, arguments: &[&str]) -> Self {
        Self::launch(home, arguments, "log")
    }

    /// As [`Server::start`], but what it answers on standard output is kept apart.
    pub(crate) fn start_answering(arguments: &[&str]) -> Self {
        Self::launch(tempfile::tempdir().expect("a directory"), arguments, "told")
    }

    fn launch(home: TempDir, arguments: &[&str], answers: &str) -> Self {
        let append = |name: &str| {
            File::options().create(true).append(true).open(home.path().join(name)).expect("a file")
        };
        let (log, answers) = (append("log"), append(answers));
        let mut child = prepared(Command::new(PROGRAM), home.path(), arguments)
            .args(["--ready-file", "ready.json"])
            .stdout(answers)
            .stderr(log)
            .spawn()
            .expect("the program starts");
        let path = home.path().join("ready.json");
        let ready = until("the ready file", || {
            let ended = child.try_wait().expect("a child");
            let log = || fs::read_to_string(home.path().join("log")).unwrap_or_default();
            assert!(ended.is_none(), "{ended:?}: {}", log());
            fs::read(&path).ok().map(|text| serde_json::from_slice(&text).expect("whole JSON"))
        });
        Self { home, child, ready }
    }

    /// `dev` on a free port.
    pub(crate) fn dev() -> Self {
        let home = tempfile::tempdir().expect("a directory");
        Self::start(home, &["dev", "--listen", "127.0.0.1:0"])
    }

    /// Its working directory.
    pub(crate) fn directory(&self) -> &Path {
        self.home.path()
    }

    /// The ready file.
    pub(crate) fn ready_file(&self) -> PathBuf {
        self.home.path().join("ready.json")
    }

    /// The native API's address.
    pub(crate) fn url(&self) -> &str {
        self.ready["url"].as_str().expect("a text")
    }

    /// What it said so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).expect("a log")
    }

    /// What it answered on standard output, when that is kept apart.
    pub(crate) fn told(&self) -> String {
        fs::read_to_string(self.home.path().join("told")).expect("a file")
    }

    /// Another command on its store, answering JSON.
    pub(crate) fn command(&self, arguments: &[&str], input: &str) -> Output {
        run_with(self.directory(), &[arguments, &["--json"]].concat(), input)
    }

    /// Tells it to stop and waits for its exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        let told = Command::new("kill").arg(self.child.id().to_string()).status().expect("kill is there");
        assert!(told.success());
        let child = &mut self.child;
        until("the end", || child.try_wait().expect("a child")).code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
