"""An upstream that keeps the exact bytes of every request and answers what it was told to.

It speaks plain sockets on purpose: a web framework would tidy up what arrived, and the point is
to see what a gateway really sends. One thread per connection; one request per connection.
"""

import contextlib
import json
import socket
import threading
from dataclasses import dataclass, field

HEAD_END = b"\r\n\r\n"
READ_LIMIT_S = 10.0


@dataclass
class Recorded:
    """One request as it arrived; `after` is whatever followed it in the same bytes."""

    head: bytes
    body: bytes
    after: bytes = b""
    request_line: str = field(init=False)
    headers: list[tuple[str, str]] = field(init=False)

    def __post_init__(self) -> None:
        first, *lines = self.head.decode("latin-1").split("\r\n")
        self.request_line = first
        pairs = (line.split(":", 1) for line in lines if line)
        self.headers = [(name.strip().lower(), value.strip()) for name, value in pairs]

    @property
    def method(self) -> str:
        return self.request_line.split(" ")[0]

    @property
    def target(self) -> str:
        return self.request_line.split(" ")[1]

    def all(self, name: str) -> list[str]:
        return [value for own, value in self.headers if own == name.lower()]

    def json(self):
        return json.loads(self.body)


class Recorder:
    """Listens on a loopback port, free unless named, until closed. `answer` maps a request to (status, JSON)."""

    def __init__(self, answer=None, port: int = 0) -> None:
        self._answer = answer or agentflow_answer
        self._listener = socket.create_server(("127.0.0.1", port))
        self._lock = threading.Lock()
        self.requests: list[Recorded] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *_) -> None:
        # Wakes the accepting thread before the listener goes away.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def taken(self) -> list[Recorded]:
        """What arrived since the last call, but for health probes."""
        with self._lock:
            seen, self.requests = self.requests, []
        return [request for request in seen if request.target.split("?")[0] != "/ping"]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(READ_LIMIT_S)
            request = read_request(connection)
            if request is None:
                return
            with self._lock:
                self.requests.append(request)
            status, body = self._answer(request)
            payload = json.dumps(body).encode()
            head = (
                f"HTTP/1.1 {status} Recorded\r\ncontent-type: application/json\r\n"
                f"content-length: {len(payload)}\r\nconnection: close\r\nserver: recorder\r\n\r\n"
            )
            connection.sendall(head.encode() + payload)


def read_request(connection: socket.socket) -> Recorded | None:
    data = b""
    while HEAD_END not in data:
        part = connection.recv(65536)
        if not part:
            return None
        data += part
    head, body = data.split(HEAD_END, 1)
    partial = Recorded(head, b"")
    if "chunked" in ",".join(partial.all("transfer-encoding")).lower():
        while b"0\r\n\r\n" not in body:
            part = connection.recv(65536)
            if not part:
                return None
            body += part
        whole, after = dechunk(body)
        return Recorded(head, whole, after + waiting(connection))
    length = int((partial.all("content-length") or ["0"])[0])
    while len(body) < length:
        part = connection.recv(65536)
        if not part:
            return None
        body += part
    return Recorded(head, body[:length], body[length:] + waiting(connection))


def waiting(connection: socket.socket) -> bytes:
    """What has already arrived and was not asked for; never waits."""
    connection.setblocking(False)
    try:
        return connection.recv(65536)
    except BlockingIOError:
        return b""
    finally:
        connection.settimeout(READ_LIMIT_S)


def dechunk(body: bytes) -> tuple[bytes, bytes]:
    """The content of a chunked body without trailers, and what follows it."""
    whole = b""
    while True:
        size, body = body.split(b"\r\n", 1)
        length = int(size.split(b";")[0], 16)
        if length == 0:
            return whole, body.removeprefix(b"\r\n")
        whole, body = whole + body[:length], body[length + 2 :]


def agentflow_answer(request: Recorded) -> tuple[int, dict]:
    """A plausible AgentFlow envelope for any route, so that a gateway is content."""
    path = request.target.split("?")[0]
    thread = "made-upstream"
    with contextlib.suppress(ValueError, AttributeError):
        sent = json.loads(request.body or b"{}")
        thread = (sent.get("config") or {}).get("thread_id") or sent.get("thread_id") or thread
    data: dict = {"messages": [], "meta": {"is_new_thread": True, "thread_id": thread}}
    if path == "/v1/threads":
        data = {"threads": []}
    elif path == "/ping":
        return 200, {"data": "pong", "metadata": {"message": "OK"}}
    return 200, {"data": data, "metadata": {"request_id": "r", "timestamp": "t", "message": "OK"}}
