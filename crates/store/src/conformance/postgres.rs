//! A PostgreSQL server for tests: on a free port of this machine, with data that is gone afterwards.
//!
//! A shell waits on a pipe from this process, whose end, however it comes, stops the server and clears up.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Where Debian keeps the server's programs, newest first after what `PATH` has.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Starts the server as a user other than root, which it demands, and ends it when standard input does.
const SCRIPT: &str = r#"
set -e
bin=$1; shift
tls=$1; shift
home=$(mktemp -d /tmp/doorward-postgres.XXXXXX)
as() { "$@"; }
if [ "$(id -u)" = 0 ]; then chown postgres "$home"; as() { runuser -u postgres -- "$@"; }; fi
stop() { as "$bin/pg_ctl" -D "$home/data" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$home"; }
trap stop EXIT
cd "$home"
as "$bin/initdb" -D "$home/data" -U doorward -A trust -E UTF8 --locale=C --no-sync >"$home/initdb" 2>&1 || { cat "$home/initdb" >&2; exit 1; }
encrypted=
if [ "$tls" = tls ]; then
  # For 127.0.0.1, by itself; and nobody is let in without it.
  printf '%s\n' '[req]' 'distinguished_name=dn' 'x509_extensions=ext' 'prompt=no' '[dn]' 'CN=127.0.0.1' '[ext]' 'basicConstraints=critical,CA:FALSE' 'subjectAltName=IP:127.0.0.1' >"$home/tls.cnf"
  as openssl req -new -x509 -days 2 -newkey rsa:2048 -nodes -config "$home/tls.cnf" -out "$home/data/server.crt" -keyout "$home/data/server.key" 2>/dev/null
  as chmod 600 "$home/data/server.key"
  echo "hostssl all all 127.0.0.1/32 trust" >"$home/data/pg_hba.conf"
  encrypted="-c ssl=on"
fi
start() { as "$bin/pg_ctl" -D "$home/data" -l "$home/data/log" -w -t 60 -o "-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories= -c max_connections=400 $encrypted" start >/dev/null 2>&1; }
for port in "$@"; do start && break; port=; done
[ -n "$port" ] || { cat "$home/data/log" >&2; exit 1; }
echo "ready $port $home"
while read -r word; do
  case "$word" in
    down) as "$bin/pg_ctl" -D "$home/data" -m immediate -w stop >/dev/null 2>&1; echo down ;;
    up) for n in 1 2 3 4 5 6 7 8 9 10; do start && break; sleep 1; done; echo up ;;
  esac
done
"#;

/// A running server. It ends when this is dropped, and at the latest with this process.
pub struct Server {
    child: Child,
    words: Option<ChildStdin>,
    answers: BufReader<std::process::ChildStdout>,
    port: u16,
    home: PathBuf,
    databases: AtomicU32,
}

impl Server {
    /// Starts one.
    ///
    /// # Panics
    /// When its programs are not installed, or it does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::start_as("plain")
    }

    /// Starts one that speaks TLS and nothing else, with a certificate of its own ([`Server::certificate`]).
    ///
    /// # Panics
    /// As [`Server::start`].
    #[must_use]
    pub fn start_tls() -> Self {
        Self::start_as("tls")
    }

    fn start_as(how: &str) -> Self {
        let programs = programs();
        // Somebody may take a free port before the server does: several, one of which will be free.
        let ports: Vec<String> = (0..5).map(|_| free_port().to_string()).collect();
        let mut child = Command::new("sh")
            .args(["-c", SCRIPT, "sh"])
            .arg(&programs)
            .arg(how)
            .args(&ports)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell starts");
        let answers = BufReader::new(child.stdout.take().expect("piped"));
        let words = child.stdin.take();
        let (port, home, databases) = (0, PathBuf::new(), AtomicU32::new(0));
        let mut server = Self { child, words, answers, port, home, databases };
        let answer = server.answer();
        let place = answer.strip_prefix("ready ").and_then(|place| place.split_once(' '));
        let (port, home) = place.expect("PostgreSQL does not start; what it said is above");
        server.port = port.parse().expect("a port");
        server.home = home.into();
        server
    }

    /// The certificate of a server that speaks TLS, in PEM.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    pub fn certificate(&self) -> String {
        std::fs::read_to_string(self.home.join("data/server.crt")).expect("it was started with TLS")
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the shell answers");
        line.trim().to_owned()
    }

    fn say(&mut self, word: &str) {
        use std::io::Write;
        let words = self.words.as_mut().expect("the shell listens");
        writeln!(words, "{word}").and_then(|()| words.flush()).expect("the shell listens");
        let answer = self.answer();
        assert_eq!(answer, word, "the shell did as told");
    }

    /// Another of the server's programs, such as `pgbench`, with the arguments that lead it to `database`'s host.
    #[must_use]
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(programs().join(name));
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "doorward"]);
        command
    }

    /// Stops the server as a power cut would.
    ///
    /// # Panics
    /// When it does not stop.
    pub fn down(&mut self) {
        self.say("down");
    }

    /// Starts it again, on the same port with the same data.
    ///
    /// # Panics
    /// When it does not start.
    pub fn up(&mut self) {
        self.say("up");
    }

    /// The address of a new, empty database.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn database(&self) -> String {
        let name = format!("store_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let made = self
            .program("createdb")
            .arg(&name)
            .env("PGSSLMODE", "prefer")
            .status()
            .expect("createdb is there");
        assert!(made.success(), "a database is made");
        format!("postgres://doorward@127.0.0.1:{}/{name}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.words = None;
        // A shell that cannot be waited for is no reason to fail a test that passed.
        let _ = self.child.wait();
    }
}

/// The directory of `initdb` and its kin.
fn programs() -> PathBuf {
    let mut places: Vec<PathBuf> = std::fs::read_dir(DEBIAN)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    places.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    places.extend(std::env::split_paths(&path));
    let found = places.into_iter().rev().find(|place: &PathBuf| is_there(place));
    found.expect("no PostgreSQL here; `cargo xtask setup` installs it (Debian: apt-get install postgresql)")
}

fn is_there(place: &Path) -> bool {
    // Next to each other in every installation; links into `PATH` alone would lack the server's own files.
    ["initdb", "pg_ctl", "postgres", "createdb"].iter().all(|name| place.join(name).is_file())
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}
