"""Model servers: a published one that speaks OpenAI's protocol, and one of our own that lies, hangs and talks without end."""

import contextlib
import json
import re
import socket
import threading
from pathlib import Path

import requests

from harness.programs import Program, clean_environment, node_binary, node_modules, wait_until

#: The key that the published server takes, and no other.
KEY = "sk-compat-of-the-operator"
ANSWER = "Why did the token cross the wire? To get to the other stream."


class Aimock:
    """`@copilotkit/aimock`: answers from a file, as a stream, to whoever has the key; what it was asked stands in its journal."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        answers = [
            {"match": {"userMessage": "joke"}, "response": {"content": ANSWER}},
            {"match": {"userMessage": "overload"}, "response": {"error": {"message": "overloaded", "type": "server_error"}, "status": 503}},
        ]
        (home / "answers.json").write_text(json.dumps({"fixtures": answers}))
        program = node_modules("@copilotkit/aimock") / "@copilotkit" / "aimock" / "dist" / "cli.js"
        self.program = Program(
            [node_binary(), program, "--port", "0", "--fixtures", home / "answers.json", "--validate-on-load", "--strict", "--chunk-size", "8"],
            log=home / "aimock.log",
            environment=clean_environment(AIMOCK_API_KEYS=KEY),
            cwd=home,
        )

        def listening():
            self.program.require_running()
            return re.search(r"listening on (http://[0-9.:]+)", self.program.output)

        self.url = wait_until(listening, "aimock")[1]

    def __enter__(self) -> "Aimock":
        return self

    def __exit__(self, *_) -> None:
        self.program.stop()

    def asked(self, words: str) -> list[dict]:
        """The requests whose newest message holds these words, as they arrived."""
        journal = requests.get(f"{self.url}/__aimock/journal", headers={"Authorization": f"Bearer {KEY}"}, timeout=10).json()
        entries = journal if isinstance(journal, list) else journal["entries"]
        return [entry for entry in entries if words in json.dumps((entry.get("body") or {}).get("messages", [])[-1:])]


def _chunk(text: str | None, finish: str | None = None) -> bytes:
    delta = {} if text is None else {"content": text}
    event = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return f"data: {json.dumps(event)}\n\n".encode()


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
CHUNKED = STREAM.replace(b"Connection: close", b"Transfer-Encoding: chunked")


class HostileModel:
    """Does what the newest message names; to anything else it answers well. One request for each connection."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        self.targets: list[str] = []
        self.begun, self.left, self.go, self.speak = (threading.Event() for _ in range(4))
        self.silent, self._counting = 0, threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "HostileModel":
        return self

    def __exit__(self, *_) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                stream, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(stream,), daemon=True).start()

    def _serve(self, stream: socket.socket) -> None:
        with stream, contextlib.suppress(OSError):
            file = stream.makefile("rb")
            self.targets.append(file.readline().decode().split(" ")[1])
            headers = {}
            while line := file.readline().strip():
                name, _, value = line.decode().partition(":")
                headers[name.lower()] = value.strip()
            asked = json.loads(file.read(int(headers["content-length"])))
            what = asked["messages"][-1]["content"]
            getattr(self, f"_{what}", self._well)(stream, headers)

    @staticmethod
    def _refuse(stream: socket.socket, status: str, body: bytes, *headers: str) -> None:
        head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
        stream.sendall("\r\n".join([*head, "", ""]).encode() + body)

    def _well(self, stream, _):
        stream.sendall(STREAM + _chunk("all ") + _chunk("is well") + _chunk(None, "stop") + b"data: [DONE]\n\n")

    def _key(self, stream, headers):
        told = {"error": {"message": f"no such key: {headers['authorization']}", "code": "invalid_api_key"}}
        self._refuse(stream, "401 Unauthorized", json.dumps(told).encode(), "Content-Type: application/json")

    def _busy(self, stream, _):
        self._refuse(stream, "429 Too Many Requests", b"{}", "Retry-After: 30")

    def _echo(self, stream, _):
        told = {"error": {"message": "cannot read what was said: echo", "type": "invalid_request_error"}}
        self._refuse(stream, "400 Bad Request", json.dumps(told).encode(), "Content-Type: application/json")

    def _silent(self, stream, headers):
        with self._counting:
            self.silent += 1
        self.speak.wait(60)
        self._well(stream, headers)

    def _page(self, stream, _):
        self._refuse(stream, "200 OK", b"<h1>a page of the proxy</h1>", "Content-Type: text/html")

    def _redirect(self, stream, _):
        self._refuse(stream, "307 Temporary Redirect", b"", f"Location: {self.url}/stolen")

    def _garbage(self, stream, _):
        stream.sendall(STREAM + b"data: {\"choices\": \xff\xfe}\n\n")

    def _cut(self, stream, _):
        piece = _chunk("half of ")
        stream.sendall(CHUNKED + f"{len(piece) + 100:x}\r\n".encode() + piece)

    def _undone(self, stream, _):
        stream.sendall(STREAM + _chunk("not all of it"))

    def _bomb(self, stream, _):
        stream.sendall(STREAM.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n") + b"\x1f\x8b" * 1000)

    def _endless(self, stream, _):
        stream.sendall(STREAM)
        while True:
            stream.sendall(b": and so on\n\n" * 1000)

    def _gate(self, stream, _):
        stream.sendall(STREAM + _chunk("one "))
        self.go.wait(20)
        stream.sendall(_chunk("two", "stop") + b"data: [DONE]\n\n")

    def _hang(self, stream, _):
        stream.sendall(STREAM + _chunk("one "))
        self.begun.set()
        stream.recv(1)
        self.left.set()
