#!/usr/bin/env python3
"""Installs what the AgentFlow suite drives, into directories that git ignores.

    .venvs/agentflow-server   the real API server, on Python 3.12 or newer
    .venvs/client             requests, PyJWT, pytest
    .tools/node               jsonwebtoken

Each part is made again only when its list of requirements or its interpreter has changed.
Standard library only, so any Python 3.9 can run it. Ends with 1 and a reason when the machine
has no interpreter that the server accepts.
"""

import glob
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
SERVER_NEEDS = (3, 12)
# The one the pinned server is tested with comes first.
MINORS = (12, 13, 14)


def version_of(python):
    """(major, minor) of a working interpreter, None for one that does not start."""
    code = "import sys; print(*sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return tuple(int(part) for part in done.stdout.split())


def candidates():
    """Interpreters by preference: on PATH, then under pyenv, wherever that is."""
    roots = [os.environ.get("PYENV_ROOT"), str(Path.home() / ".pyenv")]
    for minor in MINORS:
        on_path = shutil.which(f"python3.{minor}")
        if on_path:
            yield on_path
        for root in filter(None, roots):
            yield from sorted(glob.glob(f"{root}/versions/3.{minor}*/bin/python3"), reverse=True)
    yield sys.executable


def server_python():
    for python in candidates():
        if (version_of(python) or (0, 0)) >= SERVER_NEEDS:
            return python
    wanted = ".".join(map(str, SERVER_NEEDS))
    sys.exit(f"no Python {wanted} or newer on PATH or under pyenv: the AgentFlow server cannot be installed")


def stamp_of(requirements, tool):
    return hashlib.sha256(requirements.read_bytes() + str(tool).encode()).hexdigest()


def install_once(target, requirements, tool, install):
    """Runs `install` unless `target` already holds exactly this."""
    stamp = target / ".installed"
    wanted = stamp_of(requirements, tool)
    if stamp.is_file() and stamp.read_text() == wanted:
        print(f"{target.relative_to(ROOT)}: up to date")
        return
    print(f"{target.relative_to(ROOT)}: installing {requirements.name}", flush=True)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    install()
    stamp.write_text(wanted)


def install_venv(name, python, requirements):
    target = ROOT / ".venvs" / name

    def install():
        subprocess.run([python, "-m", "venv", str(target)], check=True)
        pip = [
            str(target / "bin" / "python"),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]
        subprocess.run([*pip, "-r", str(requirements)], check=True)

    install_once(target, requirements, python, install)


def install_node(package):
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("npm is not on PATH: jsonwebtoken cannot be installed")
    target = ROOT / ".tools" / "node"

    def install():
        shutil.copy(package, target / "package.json")
        quiet = ["--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run([npm, "install", *quiet], cwd=target, check=True)

    install_once(target, package, npm, install)


def main():
    python = server_python()
    install_venv("agentflow-server", python, HERE / "requirements-server.txt")
    install_venv("client", python, HERE / "requirements-client.txt")
    install_node(HERE / "package.json")


if __name__ == "__main__":
    main()
