"""Finding, starting and stopping the programs under test.

Nothing here sleeps for a guessed time: `wait_until` polls a condition against a deadline, and a
program that ends early is reported with its own output.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SHARED = ROOT.parent / "shared"
POLL_S = 0.02
START_LIMIT_S = 60.0
STOP_LIMIT_S = 15.0

# Variables of the caller's shell that would change what a server under test does.
LEAKING_PREFIXES = ("DOORWARD_", "JWT_", "COMPAT_", "AUTH0_", "ANTHROPIC_", "OPENAI_")
LEAKING_NAMES = {"MODE", "ORIGINS", "GRAPH_PATH", "REDIS_URL", "LOG_LEVEL", "ALLOWED_HOST", "PYTHONPATH"}


class ProgramEnded(AssertionError):
    """A program that should be running has ended; the message carries what it printed."""


class LeftOut(Exception):
    """A test cannot run on this machine; the message says loudly which part is missing."""


def left_out(reason: str) -> BaseException:
    """What to raise when a part of the tests cannot run: with CI=true that is a failure."""
    message = f"LEFT OUT: {reason}"
    print(message, file=sys.__stderr__, flush=True)
    return AssertionError(message) if os.environ.get("CI") == "true" else LeftOut(message)


def doorward_binary() -> Path:
    """The binary under test: `DOORWARD_BIN`, else the debug build of this tree."""
    path = Path(os.environ.get("DOORWARD_BIN", ROOT / "target" / "debug" / "doorward"))
    if not path.is_file():
        raise FileNotFoundError(
            f"no doorward binary at {path}: run `cargo build` or point DOORWARD_BIN at one"
        )
    return path


def node_binary() -> str:
    found = shutil.which("node")
    if found is None:
        raise FileNotFoundError("node is not on PATH: the JavaScript clients cannot run")
    return found


def newest_node() -> str:
    """Node 24, which runs TypeScript by itself; beside the system's, which may be older."""
    return str(node_modules("node") / "node" / "bin" / "node")


def node_modules(package: str = "jsonwebtoken") -> Path:
    """Where npm put the packages of the suites' `package.json`, this one among them."""
    modules = ROOT / ".tools" / "node" / "node_modules"
    if not (modules / package).is_dir():
        raise FileNotFoundError(f"{modules} lacks {package}: run `cargo xtask setup`")
    return modules


def clean_environment(**extra: str) -> dict[str, str]:
    """The caller's environment without what could steer a server, plus `extra`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in LEAKING_NAMES and not name.startswith(LEAKING_PREFIXES)
    }
    return {**kept, "NO_COLOR": "1", **extra}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(ready, what: str, limit_s: float = START_LIMIT_S):
    """Polls `ready()` until it answers something true, and returns that."""
    deadline = time.monotonic() + limit_s
    while True:
        answer = ready()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {limit_s} s: {what}")
        time.sleep(POLL_S)


def gone(pid: int) -> bool:
    """Whether a process has ended, also if nobody has asked yet how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


class Program:
    """A started program in a process group of its own, its output kept in a file."""

    def __init__(self, command: list, log: Path, environment: dict[str, str], cwd: Path) -> None:
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=cwd,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def require_running(self) -> None:
        code = self.process.poll()
        if code is not None:
            raise ProgramEnded(f"exit {code}: {self.process.args}\n{self.output}")

    def stop(self) -> int:
        """Asks politely, then ends whatever of the group is left; answers the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"did not stop within {STOP_LIMIT_S} s of SIGTERM:\n{self.output}") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
