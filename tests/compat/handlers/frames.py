"""A handler's process, started and asked as Doorward does it: by frames over a socket that is its standard input (handler protocol, version 1)."""

import json
import socket
import subprocess
from pathlib import Path

from harness.programs import ROOT

SOURCES = ROOT / "crates" / "handlers" / "python"
#: The names that our own files are imported by, where they differ from the file's.
SHIMS = {"doorward": "doorward", "agentflow_cli": "agentflow_cli", "fastapi": "fastapi", "fastapi.security": "fastapi_security", "langgraph_sdk": "langgraph_sdk"}
PATIENCE_S = 60


def modules() -> dict[str, str]:
    ours = {f"_doorward_{file.stem}": file.read_text() for file in SOURCES.glob("*.py") if file.stem != "boot"}
    return ours | {name: (SOURCES / "shims" / f"{file}.py").read_text() for name, file in SHIMS.items()}


class Process:
    """One process with one file; `first` is what it said of itself."""

    def __init__(self, python: str, kind: str, target: str, directory: Path, environment: dict[str, str]) -> None:
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(PATIENCE_S)
        boot = (SOURCES / "boot.py").read_text()
        self.process = subprocess.Popen([python, "-u", "-c", boot], stdin=theirs, cwd=directory, env=environment, stderr=subprocess.PIPE)
        theirs.close()
        self.asked, asking = socket.socketpair()
        socket.send_fds(self.socket, [b"D"], [asking.fileno()])
        asking.close()
        self.calls = 0
        begin = {"doorward": 1, "modules": modules(), "kind": kind, "target": target, "directory": str(directory), "threads": 4}
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
            assert part, f"the process ended: {self.process.stderr.read().decode()}"
            kept += part
        return kept

    def call(self, name: str, **given) -> dict:
        """The answering frame, without its number."""
        self.calls += 1
        self.send({"id": self.calls, "call": name, "with": given})
        frame = self.receive()
        assert frame.pop("id") == self.calls
        return frame

    def stop(self) -> None:
        self.socket.close()
        self.asked.close()
        self.process.stderr.close()
        try:
            self.process.wait(PATIENCE_S)
        finally:
            self.process.kill()
