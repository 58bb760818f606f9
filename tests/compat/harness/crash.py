"""Killing a server inside a write, and remembering what it had promised until then.

A separate process watches the store's write-ahead log and kills when it grows: the log is written
before a commit is durable and before anybody is answered, so the kill lands between the two. A
`Ledger` knows of each write whether it was acknowledged, or cut off unanswered.
"""

import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import requests
from urllib3.exceptions import NewConnectionError

# Its own process and nothing but `stat`, so that no lock of the writers' interpreter delays it.
_WATCHER = """
import os, signal, sys, time
pid, path, changes = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
def stamp():
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size
deadline = time.monotonic() + 20
before = stamp()
print("watching", flush=True)
sys.stdin.readline()
before = stamp()
while changes and time.monotonic() < deadline:
    now = stamp()
    if now != before:
        before, changes = now, changes - 1
os.kill(pid, signal.SIGKILL)
sys.exit(1 if changes else 0)
"""


class Assassin:
    """Kills `pid` when `journal` has grown `changes` times after `begin`."""

    def __init__(self, pid: int, journal: Path, changes: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _WATCHER, str(pid), str(journal), str(changes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout.readline() == "watching\n"

    def begin(self) -> None:
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def require_done(self) -> None:
        self._process.stdin.close()
        assert self._process.wait(30) == 0, "the write-ahead log stopped growing while writers were at work"
        self._process.stdout.close()


@dataclass
class Write:
    """One attempt to change something; `answer` stays None when the server died first."""

    kind: str
    subject: object
    answer: requests.Response | None = None

    @property
    def acknowledged(self) -> bool:
        return self.answer is not None and self.answer.status_code < 300


@dataclass
class Ledger:
    """What was asked of the server in one life."""

    writes: list[Write] = field(default_factory=list)

    def attempt(self, kind: str, subject, send) -> Write | None:
        """Sends one write and notes it; None when there was no server left to send it to."""
        write = Write(kind, subject)
        try:
            write.answer = send()
        except requests.ConnectionError as error:
            if isinstance(getattr(error.args[0], "reason", None), NewConnectionError):
                return None
        except requests.exceptions.ChunkedEncodingError:
            pass
        self.writes.append(write)
        return write

    def acknowledged(self, kind: str) -> list[Write]:
        return [write for write in self.writes if write.kind == kind and write.acknowledged]

    def cut_off(self, kind: str | None = None) -> list[Write]:
        return [write for write in self.writes if write.answer is None and kind in (None, write.kind)]

    def refused(self) -> list[Write]:
        return [write for write in self.writes if write.answer is not None and not write.acknowledged]


class Writer(threading.Thread):
    """Repeats `act` until it answers something false; a failure is kept for `finish`."""

    def __init__(self, act) -> None:
        super().__init__(daemon=True)
        self._act = act
        self._failure: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            while self._act():
                pass
        except BaseException as failure:  # noqa: BLE001 - raised again in the test's own thread
            self._failure = failure

    def finish(self) -> None:
        self.join(60)
        assert not self.is_alive(), "a writer hangs although its server is dead"
        if self._failure is not None:
            raise self._failure
