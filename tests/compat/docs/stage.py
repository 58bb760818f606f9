"""A directory in which the commands of a page are run: `doorward` and `cargo` on the PATH, ports of its own, servers that are stopped.

What a page says to a person is changed in four places only, for a machine without one: fixed ports become free ones, `/etc/doorward` and the like become
this directory, the password that a command asks for is typed in, and a server that is started in the foreground goes on in the background.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from harness.programs import clean_environment, doorward_binary, free_port

PASSWORD = "correct horse battery 1"
LIMIT_S = 60
PORT = re.compile(r"\b(127\.0\.0\.1|0\.0\.0\.0|localhost):(\d{2,5})\b")
MARK = "\x1e"
#: Directories of a machine that a page names.
ELSEWHERE = re.compile(r"/(?:etc|var/lib)/(?=[A-Za-z])")

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
[ -s "$STAGE/doorward.pid" ] || exit 0
pid=$(cat "$STAGE/doorward.pid"); rm -f "$STAGE/doorward.pid"
kill "$pid" 2>/dev/null || exit 0
while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
"""
CARGO = """#!/usr/bin/env bash
case "$*" in
  "run --release -- "*) shift 3; exec doorward "$@" ;;
  "build --release") exit 0 ;;
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
SCRIPTS = {
    "doorward": DOORWARD, "doorward-stop": STOP, "cargo": CARGO, "xdg-open": XDG_OPEN, "sqlite3": SQLITE3, "psql": PSQL,
}


class Stage:
    """A place to run a page's commands in; leaves nothing running."""

    def __init__(self, home: Path, *, prepared: Path | None = None) -> None:
        self.home = home
        if prepared:
            shutil.copytree(prepared, home)
        else:
            home.mkdir(parents=True)
        self.ports: dict[str, int] = {}
        self.own = home / ".stage"
        (self.own / "bin").mkdir(parents=True, exist_ok=True)
        for name, script in SCRIPTS.items():
            path = self.own / "bin" / name
            path.write_text(script)
            path.chmod(0o755)

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *_) -> None:
        subprocess.run([self.own / "bin" / "doorward-stop"], env=self.environment(), check=False, timeout=LIMIT_S)

    def here(self, text: str) -> str:
        """The text with free ports, and with directories of this stage."""

        def moved(port: re.Match) -> str:
            own = self.ports.setdefault(port[2], free_port())
            return f"127.0.0.1:{own}"

        return ELSEWHERE.sub(lambda path: f"{self.home}{path[0]}", PORT.sub(moved, text))

    def environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(self.own / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
        return clean_environment(
            PATH=path,
            HOME=str(self.home),
            STAGE=str(self.own),
            DOORWARD_BIN=str(doorward_binary()),
            TYPED=PASSWORD,
            DATABASE_URL="postgres://of.somebody.else/app",
            PYTHONDONTWRITEBYTECODE="1",
            DOORWARD__SERVER__LISTEN=f"127.0.0.1:{self.ports.setdefault('8420', free_port())}",
        )

    def write(self, name: str, text: str) -> None:
        path = self.home / name
        assert path.resolve().is_relative_to(self.home.resolve()), name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.here(text))
        path.chmod(0o755 if text.startswith("#!") else 0o600)

    def run(self, pieces: list[str]) -> list[str]:
        """Runs the pieces in one shell, as pasted one after the other, and answers what each printed; fails where one fails."""
        script = "\n".join(f"printf '{MARK}'\n{self.here(piece)}" for piece in pieces)
        done = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", script],
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


def shows(printed: str, shown: str) -> bool:
    """Whether what was printed has the lines that a page shows, in order; `…` stands for anything."""
    pattern = r"\n(?:.*\n)*?".join(
        r"[^\n]*" + r"[^\n]*".join(re.escape(part) for part in line.strip().split("…")) + r"[^\n]*"
        for line in shown.strip().splitlines()
        if line.strip() != "…"
    )
    return re.search(pattern, printed) is not None


