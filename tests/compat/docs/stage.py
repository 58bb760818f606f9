"""A directory in which the commands of a page are run: `doorward` and `cargo` on the PATH, ports of its own, servers that are stopped.

What a page says to a person is changed for a machine without one: fixed ports become free ones of loopback, `/etc/doorward` and the like become this
directory, the password that a command asks for is typed in, and a server that is started in the foreground goes on in the background. nginx, Caddy and
PostgreSQL are the real ones, started as the scripts below do it; systemd and others' databases are stood in for. Any other program is not found.
"""

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from harness.postgres import postgres, programs
from harness.programs import ROOT, clean_environment, doorward_binary, free_port, left_out

PASSWORD = "correct horse battery 1"
LIMIT_S = 60
PORT = re.compile(r"\b(127\.0\.0\.1|0\.0\.0\.0|localhost):(\d{2,5})\b")
MARK = "\x1e"
#: Directories of a machine that a page names.
ELSEWHERE = re.compile(r"(?<![\w.])/(?:etc|var|opt|srv|usr/(?:lib|local|share))/(?=[A-Za-z])")
#: Directories of a clone that commands name.
OF_A_CLONE = ["deploy", "examples"]

DOORWARD = """#!/usr/bin/env bash
set -euo pipefail
run() { exec "$DOORWARD_BIN" "$@"; }
for word in "$@"; do case $word in -h|--help) run "$@" ;; esac; done
case "${1:-} ${2:-}" in
  "dev "*|"serve "*)
    doorward-stop
    rm -f "$STAGE/ready.json"
    setsid "$DOORWARD_BIN" "$@" --ready-file "$STAGE/ready.json" </dev/null >"$STAGE/doorward.log" 2>&1 &
    echo $! > "$STAGE/doorward.pid"
    until [ -s "$STAGE/ready.json" ]; do
      kill -0 $! 2>/dev/null || { cat "$STAGE/doorward.log" >&2; exit 1; }
      sleep 0.02
    done
    cat "$STAGE/doorward.log" ;;
  "user create"|"user set-password")
    case " $* " in *" --password-stdin "*) run "$@" ;; *) run "$@" --password-stdin <<< "$TYPED" ;; esac ;;
  *) run "$@" ;;
esac
"""
STOP = """#!/usr/bin/env bash
for file in "$STAGE/${1:-doorward}.pid"; do
  [ -s "$file" ] || continue
  pid=$(cat "$file"); rm -f "$file"
  kill "$pid" 2>/dev/null || continue
  # One that has ended and that nobody has asked yet how is gone.
  while kill -0 "$pid" 2>/dev/null && [ "$(cut -d' ' -f3 "/proc/$pid/stat" 2>/dev/null)" != Z ]; do sleep 0.02; done
done
"""
#: The site of a page as it is, in a server around it; a certificate for it, if there is none.
NGINX = """#!/usr/bin/env bash
set -euo pipefail
site=$(echo "$HOME"/etc/nginx/sites-enabled/*)
sed -nE 's/^ *ssl_certificate(_key)? (.*);/\\2/p' "$site" | paste - - | while read -r certificate key; do
  [ -s "$key" ] && continue
  mkdir -p "$(dirname "$key")"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=auth.example.com -keyout "$key" -out "$certificate" 2>/dev/null
done
{
  echo "pid $STAGE/nginx.pid; error_log $STAGE/nginx.log; events {}"
  echo "http { access_log off;"
  for kind in client_body proxy fastcgi uwsgi scgi; do echo "${kind}_temp_path $STAGE/$kind;"; done
  echo "include $site; }"
} > "$STAGE/nginx.conf"
case "$*" in
  -t) exec "$NGINX_BIN" -e "$STAGE/nginx.log" -t -c "$STAGE/nginx.conf" ;;
  "-s reload") doorward-stop nginx; exec "$NGINX_BIN" -e "$STAGE/nginx.log" -c "$STAGE/nginx.conf" ;;
esac
exit 1
"""
CADDY = """#!/usr/bin/env bash
set -euo pipefail
[ "$1 $2" = "reload --config" ]
doorward-stop nginx
{
  printf '{\\n\\tadmin off\\n\\tskip_install_trust\\n\\tauto_https disable_redirects\\n}\\n'
  sed "s#^auth.example.com {#https://auth.example.com:$HTTPS_PORT {\\n\\tbind 127.0.0.1\\n\\ttls internal#" "$3"
} > "$STAGE/Caddyfile"
setsid "$CADDY_BIN" run --config "$STAGE/Caddyfile" </dev/null >"$STAGE/caddy.log" 2>&1 &
echo $! > "$STAGE/caddy.pid"
until curl -s -o /dev/null https://auth.example.com/; do
  kill -0 $! 2>/dev/null || { cat "$STAGE/caddy.log" >&2; exit 1; }
  sleep 0.02
done
"""
CARGO = """#!/usr/bin/env bash
case "$*" in
  "run --release -- "*) shift 3; exec doorward "$@" ;;
  "build "*)
    profile=$(sed -nE 's/.*--profile ([a-z]+).*/\\1/p' <<< "$*")
    mkdir -p "target/${profile:-release}"
    ln -sf "$DOORWARD_BIN" "target/${profile:-release}/doorward"
    exit 0 ;;
esac
echo "a page runs 'cargo $*', which tests/compat/docs/stage.py knows nothing about" >&2
exit 1
"""
XDG_OPEN = """#!/usr/bin/env bash
exec curl -sSf -o /dev/null "$1"
"""
#: `sqlite3 -json FILE QUERY`, which not every machine has.
SQLITE3 = """#!/usr/bin/env python3
import json, sqlite3, sys
_, _, file, query = sys.argv
database = sqlite3.connect(file)
database.row_factory = sqlite3.Row
print(json.dumps([dict(row) for row in database.execute(query)]))
"""
#: Rows as PostgreSQL's `row_to_json` prints them.
PSQL = """#!/usr/bin/env python3
import hashlib, json, sys
if "auth.users" in sys.argv[-1]:
    row = {"id": "5f7c8ec7-c33c-4c00-8bba-fe82aaaaaaaa", "email": "su@example.com", "raw_app_meta_data": {}, "raw_user_meta_data": {},
           "encrypted_password": "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy", "email_confirmed_at": "2024-01-01T00:00:00+00:00"}
else:
    row = {"id": "2", "email": "other@example.com", "name": "Other", "roles": ["user"], "salt": "cd",
           "password_hash": hashlib.sha256(b"passwordcd").hexdigest()}
print(json.dumps(row))
"""
#: The service that a page installs, started and stopped as its unit does it.
SYSTEMCTL = """#!/usr/bin/env bash
case "$*" in
  "daemon-reload") ;;
  "stop doorward"*) doorward-stop ;;
  "start doorward"*|"restart doorward"*|"enable --now doorward"*) doorward serve --config "$HOME/etc/doorward/doorward.toml" > /dev/null ;;
  *) echo "systemctl $*: tests/compat/docs/stage.py knows nothing about it" >&2; exit 1 ;;
esac
"""
JOURNALCTL = """#!/usr/bin/env bash
[ "$1 $2" = "-u doorward" ] && cat "$STAGE/doorward.log"
"""
#: What needs the machine's own systemd.
DONE = "#!/bin/sh\n"
#: What else a page may use. Everything that is not here is not found: no page does anything to the machine that tests it.
PROGRAMS = """awk true base64 bash basename cat chmod cp curl cut date dirname env grep head id install ln ls mkdir mktemp mv node openssl paste printf rm
sed seq setsid sh sha256sum sleep sort tail tee touch tr uniq wc""".split()
SUDO = """#!/usr/bin/env bash
[ "$1" = -u ] && shift 2
exec "$@"
"""
#: PostgreSQL's own programs, at the server of the stage; the password that one asks for does not matter there.
OF_POSTGRES = """#!/usr/bin/env bash
for word in "$@"; do shift; [ "$word" = --pwprompt ] || set -- "$@" "$word"; done
exec "$POSTGRES_BIN/$(basename "$0")" "$@"
"""
SCRIPTS = {
    "doorward": DOORWARD, "doorward-stop": STOP, "cargo": CARGO, "nginx": NGINX, "caddy": CADDY, "xdg-open": XDG_OPEN, "sqlite3": SQLITE3, "psql": PSQL,
    "systemctl": SYSTEMCTL, "journalctl": JOURNALCTL, "systemd-sysusers": DONE, "systemd-tmpfiles": DONE,
    "sudo": SUDO, "createuser": OF_POSTGRES, "createdb": OF_POSTGRES, "pg_dump": OF_POSTGRES, "pg_restore": OF_POSTGRES,
}


class Stage:
    """A place to run a page's commands in; leaves nothing running."""

    def __init__(self, home: Path, *, prepared: Path | None = None) -> None:
        self.home = home
        if prepared:
            shutil.copytree(prepared, home)
            self._installed()
        else:
            home.mkdir(parents=True)
        self.ports: dict[str, int] = {}
        self._beside = contextlib.ExitStack()
        self._postgres = ""
        self.own = home / ".stage"
        (self.own / "bin").mkdir(parents=True, exist_ok=True)
        for name, script in SCRIPTS.items():
            path = self.own / "bin" / name
            path.write_text(script)
            path.chmod(0o755)

        for name in PROGRAMS:
            found = shutil.which(name)
            assert found, f"{name} is not on this machine"
            (self.own / "bin" / name).symlink_to(found)
        (self.own / "bin" / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        (self.own / "bin" / "python3").chmod(0o755)
        for name in OF_A_CLONE:
            if (ROOT / name).is_dir():
                (home / name).symlink_to(ROOT / name)

    def _installed(self) -> None:
        """The prepared store as a machine has it where Doorward is a service: its configuration in `/etc/doorward`."""
        place = self.home / "etc" / "doorward"
        place.mkdir(parents=True)
        text = (self.home / "doorward.toml").read_text()
        for name in ("data/doorward.db", "master.key"):
            text = text.replace(f'"{name}"', f'"{self.home}/{name}"')
        (place / "doorward.toml").write_text(text)
        (place / "doorward.toml").chmod(0o600)

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *_) -> None:
        for name in ("doorward", "nginx", "caddy"):
            subprocess.run([self.own / "bin" / "doorward-stop", name], env=self.environment(), check=False, timeout=LIMIT_S)
        self._beside.close()

    def beside(self, page: str) -> None:
        """Starts what a page takes for granted."""
        if any(word in page for word in ("127.0.0.1:5432/", "pg_dump ", "store.url")):
            self._postgres = str(programs())
            self._beside.enter_context(postgres(self._port("5432"), database=None if "createuser " in page else "doorward"))
            if "createuser " not in page:
                self.write("etc/doorward/store.url", "postgres://doorward@127.0.0.1:5432/doorward\n")
        for name in ("nginx", "caddy"):
            if f"$ {name} " in page and self._program(name) == "":
                raise left_out(f"{name} is absent")
        if "https://auth.example.com" in page:
            (self.home / ".curlrc").write_text(f'insecure\nconnect-to = "auth.example.com:443:127.0.0.1:{self._port("443")}"\n')

    def _port(self, written: str) -> int:
        return self.ports.setdefault(written, free_port())

    @staticmethod
    def _program(name: str) -> str:
        return shutil.which(name, path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin") or ""

    def here(self, text: str) -> str:
        """The text with free ports, and with directories of this stage."""

        def moved(port: re.Match) -> str:
            return f"127.0.0.1:{self._port(port[2])}"

        return ELSEWHERE.sub(lambda path: f"{self.home}{path[0]}", PORT.sub(moved, text))

    def environment(self) -> dict[str, str]:
        return clean_environment(
            PATH=str(self.own / "bin"),
            HOME=str(self.home),
            STAGE=str(self.own),
            DOORWARD_BIN=str(doorward_binary()),
            NGINX_BIN=self._program("nginx"),
            CADDY_BIN=self._program("caddy"),
            HTTPS_PORT=str(self._port("443")),
            POSTGRES_BIN=self._postgres,
            PGHOST="127.0.0.1",
            PGPORT=str(self._port("5432")),
            PGUSER="postgres",
            EDITOR="true",
            TYPED=PASSWORD,
            DATABASE_URL="postgres://of.somebody.else/app",
            PYTHONDONTWRITEBYTECODE="1",
            DOORWARD__SERVER__LISTEN=f"127.0.0.1:{self._port('8420')}",
        )

    def write(self, name: str, text: str) -> None:
        path = self.home / name
        assert path.resolve().is_relative_to(self.home.resolve()), name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.here(text))
        path.chmod(0o755 if text.startswith("#!") else 0o600)

    def run(self, pieces: list[str]) -> list[str]:
        """Runs the pieces in one shell, as pasted one after the other, and answers what each printed; fails where one fails."""
        for place in re.findall(rf"{re.escape(str(self.home))}(/[\w./-]+)", self.here("\n".join(pieces))):
            named = self.home / place[1:]
            (named if place.endswith("/") else named.parent).mkdir(parents=True, exist_ok=True)
        script = "\n".join(f"printf '{MARK}'\n{self.here(piece)}" for piece in pieces)
        done = subprocess.run(
            ["/bin/bash", "-eu", "-o", "pipefail", "-c", script],
            cwd=self.home,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        printed = done.stdout.split(MARK)[1:]
        if done.returncode != 0:
            log = self.own / "doorward.log"
            server = log.read_text()[-2000:] if log.exists() else ""
            raise AssertionError(f"exit {done.returncode} in\n{pieces[max(len(printed) - 1, 0)]}\n{done.stdout[-3000:]}\n{done.stderr}\n{server}")
        return printed


GAP = re.compile(r"\s*…\s*")


def shows(printed: str, shown: str) -> bool:
    """Whether what was printed has the lines that a page shows, in order; `…` stands for anything, and columns may be wider."""
    lines = [re.sub(r" +", " ", line.strip()) for line in shown.strip().splitlines() if line.strip() != "…"]
    patterns = ["[^\n]*" + "[^\n]*".join(re.escape(part) for part in GAP.split(line)) + "[^\n]*" for line in lines]
    return re.search(r"\n(?:.*\n)*?".join(patterns), re.sub(r" +", " ", printed)) is not None


def until_shown(command: str, shown: str) -> str:
    """The command; a question over HTTP is asked again until the answer is what the page shows, for a while: what the command line did is news to
    the running server within half a second."""
    asks = command.startswith("curl ") and not re.search(r" (-d|--data\S*|-X) ", command)
    if not asks or not shown.strip() or "\n" in shown.strip():
        return command
    glob = "*".join(shlex.quote(part) if part else "" for part in GAP.split(shown.strip()))
    return f"""for TRY in $(seq 100); do
  SAID=$({command}) || true
  [[ $SAID == *{glob}* ]] && break
  sleep 0.05
done
printf '%s\\n' "$SAID"
"""
