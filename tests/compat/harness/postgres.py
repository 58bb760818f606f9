"""A PostgreSQL server of a test's own: a cluster in a directory that is gone afterwards."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.programs import left_out

DEBIAN = Path("/usr/lib/postgresql")


def programs() -> Path:
    """Where `initdb` is: Debian keeps it out of the PATH."""
    versions = sorted(DEBIAN.glob("*/bin"), key=lambda path: int(path.parent.name))
    if versions:
        return versions[-1]
    found = shutil.which("initdb")
    if found is None:
        raise left_out("PostgreSQL's programs are absent")
    return Path(found).resolve().parent


@contextlib.contextmanager
def postgres(port: int, *, database: str | None) -> Iterator[None]:
    """Runs while in the context, with `postgres` as its owner; with a database also the role `doorward`, whose it is. Nobody needs a password here."""
    where = programs()
    # It refuses to run as root, and reaches nothing below a directory of root's alone.
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="doorward-postgres-") as home:
        if user:
            shutil.chown(home, "postgres")

        def do(name: str, *arguments: str) -> None:
            done = subprocess.run([*user, where / name, *arguments], cwd=home, capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 0, f"{name}: {done.stdout}\n{done.stderr}"

        def ctl(*words: str) -> None:
            # Its log goes to a file: a pipe would stay open as long as the server.
            do("pg_ctl", "-D", f"{home}/data", "-l", f"{home}/log", "-w", "-t", "60", *words)

        do("initdb", "-D", f"{home}/data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        ctl("-o", f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories= -c fsync=off", "start")
        try:
            if database:
                there = ["-h", "127.0.0.1", "-p", str(port), "-U", "postgres"]
                do("createuser", *there, "doorward")
                do("createdb", *there, "--owner", "doorward", "--template", "template0", database)
            yield
        finally:
            ctl("-m", "immediate", "stop")
