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


def ends_inside_a_transaction(journal: Path) -> bool:
    """Whether the log ends with frames of a commit that was begun and never finished.

    File format of SQLite, section 4: a header of 32 bytes with two salts, then frames of 24 bytes
    and a page; a frame that ends a commit holds the size of the database, others 0. Frames of an
    earlier round of the log have other salts.
    """
    content = journal.read_bytes() if journal.exists() else b""
    if len(content) < 32:
        return False
    page_size, salts = int.from_bytes(content[8:12]), content[16:24]
    unfinished = False
    for start in range(32, len(content), 24 + page_size):
        frame = content[start : start + 24]
        if frame[8:16] != salts:
            break
        unfinished = frame[4:8] == bytes(4)
    return unfinished


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
    _noted: threading.Condition = field(default_factory=threading.Condition)

    def attempt(self, kind: str, subject, send) -> bool:
        """Sends one write and notes it, unless no server was left to send it to; whether it was answered.

        A writer stops at its first write without an answer, so no more are cut off than writers.
        """
        write = Write(kind, subject)
        try:
            write.answer = send()
        except requests.ConnectionError as error:
            if isinstance(getattr(error.args[0], "reason", None), NewConnectionError):
                return False
        except requests.exceptions.ChunkedEncodingError:
            pass
        with self._noted:
            self.writes.append(write)
            self._noted.notify_all()
        return write.answer is not None

    def wait_for(self, kind: str) -> None:
        """Until one write of this kind was acknowledged."""
        with self._noted:
            assert self._noted.wait_for(lambda: self.acknowledged(kind), 60), f"no {kind} was acknowledged"

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
