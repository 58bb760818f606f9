"""A handler's process, started and asked as Doorward does it: by frames over a socket that is its standard input (handler protocol, version 1)."""

import json
import os
import re
import socket
import subprocess
import tempfile
from pathlib import Path

from harness.programs import ROOT

CRATE = ROOT / "crates" / "handlers"
PATIENCE_S = 60


class Runtime:
    """An interpreter as Doorward's own row describes it: what is sent to it, and how it is started."""

    def __init__(self, name: str, boot: str) -> None:
        self.name = name
        self._row = (CRATE / "src" / "runtimes" / f"{name}.rs").read_text()
        self._boot = (CRATE / name / boot).read_text()

    def modules(self) -> dict[str, str]:
        """What Doorward sends, by the table that it sends it by."""
        rows = re.findall(r'\(\s*"([^"]+)",\s*include_str!\("\.\./\.\./([^"]+)"\),?\s*\)', self._row)
        assert rows
        return {name: (CRATE / file).read_text() for name, file in rows}

    def command(self, program: str) -> list[str]:
        if self.name == "python":
            return [program, "-u", "-c", self._boot]
        (shell,) = re.findall(r'const SHELL: &str = "((?:[^"\\]|\\.)*)"', self._row)
        return ["/bin/sh", "-c", shell.replace('\\"', '"'), "sh", program, "--input-type=module", "-e", self._boot]

    @property
    def hands_over_sockets(self) -> bool:
        return "Sockets::HandedOver" in self._row


PYTHON = Runtime("python", "boot.py")
NODE = Runtime("node", "boot.mjs")


class Process:
    """One process with its files; `first` is what it said of itself. `channel` is the end of a socket that it gets besides."""

    def __init__(
        self,
        program: str,
        kind: str,
        target: str | list[str],
        directory: Path,
        environment: dict[str, str],
        channel: socket.socket | None = None,
        runtime: Runtime = PYTHON,
    ) -> None:
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(PATIENCE_S)
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(runtime.command(program), stdin=theirs, cwd=directory, env=environment, stdout=self.log, stderr=self.log)
        theirs.close()
        self.asked, asking = socket.socketpair()
        given = [asking, *([channel] if channel is not None else [])]
        if runtime.hands_over_sockets:
            socket.send_fds(self.socket, [b"D"], [one.fileno() for one in given])
        for one in given:
            one.close()
        self.calls = 0
        targets = [target] if isinstance(target, str) else target
        begin = {"doorward": 1, "modules": runtime.modules(), "kind": kind, "targets": targets, "channel": channel is not None, "directory": str(directory), "threads": 4}
        self.send({**begin, "memory_bytes": None})
        self.first = self.receive()

    def send(self, frame: dict) -> None:
        body = json.dumps(frame).encode()
        self.socket.sendall(len(body).to_bytes(4, "big") + body)

    def receive(self) -> dict:
        return json.loads(self.whole(int.from_bytes(self.whole(4), "big")))

    def whole(self, count: int) -> bytes:
        kept = b""
        while len(kept) < count:
            part = self.socket.recv(count - len(kept))
            assert part, f"the process ended: {self.output()}"
            kept += part
        return kept

    def call(self, name: str, **given) -> dict:
        """The answering frame, without its number."""
        self.calls += 1
        self.send({"id": self.calls, "call": name, "with": given})
        frame = self.receive()
        assert frame.pop("id") == self.calls
        return frame

    def output(self) -> str:
        """What it has printed so far."""
        return os.pread(self.log.fileno(), 1 << 20, 0).decode(errors="replace")

    def ended(self) -> str:
        """Closes its socket, waits for its end, and answers all that it printed."""
        self.socket.close()
        self.process.wait(PATIENCE_S)
        return self.output()

    def stop(self) -> None:
        self.socket.close()
        self.asked.close()
        try:
            self.process.wait(PATIENCE_S)
        finally:
            self.process.kill()
            self.log.close()
