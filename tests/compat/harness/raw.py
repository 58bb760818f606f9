"""HTTP by plain sockets: bytes that no client library would send, and the answer as it came."""

import json
import socket
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from harness.client import next_address

ANSWER_LIMIT_S = 15.0


@dataclass
class RawAnswer:
    """One answer; `status` 0 means that the server closed without one."""

    head: bytes
    body: bytes
    status: int = field(init=False)

    def __post_init__(self) -> None:
        first = self.head.split(b"\r\n", 1)[0].split(b" ")
        self.status = int(first[1]) if len(first) > 1 and first[0].startswith(b"HTTP/") else 0

    def json(self):
        return json.loads(self.body)

    @property
    def code(self) -> str | None:
        """The stable code in either error style, None when the body has none."""
        try:
            content = self.json()
        except ValueError:
            return None
        if not isinstance(content, dict):
            return None
        error = content.get("error")
        return content.get("code") or (error.get("code") if isinstance(error, dict) else None)


def connect(url: str) -> socket.socket:
    """A connection to the URL's server from an address of its own."""
    parts = urlsplit(url)
    return socket.create_connection(
        (parts.hostname, parts.port), timeout=ANSWER_LIMIT_S, source_address=(next_address(), 0)
    )


def exchange(url: str, message: bytes) -> RawAnswer:
    """Sends the bytes, stops sending, and reads the first answer to its end."""
    with connect(url) as connection:
        try:
            connection.sendall(message)
        except (BrokenPipeError, ConnectionResetError):
            # The server may refuse an oversized message before it has read the whole of it.
            pass
        return read_answer(connection)


def read_answer(connection: socket.socket) -> RawAnswer:
    data = b""
    while b"\r\n\r\n" not in data:
        part = _receive(connection)
        if not part:
            return RawAnswer(data, b"")
        data += part
    head, body = data.split(b"\r\n\r\n", 1)
    length = _content_length(head)
    while length is None or len(body) < length:
        part = _receive(connection)
        if not part:
            break
        body += part
    return RawAnswer(head, body if length is None else body[:length])


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except ConnectionResetError:
        return b""


def _content_length(head: bytes) -> int | None:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return None


def request_bytes(
    method: str,
    target: str | bytes,
    headers: list[tuple[str, str | bytes]] | None = None,
    body: bytes = b"",
    *,
    host=True,
) -> bytes:
    """A request head with exactly these headers (`Host` unless told otherwise), and the body."""

    def as_bytes(text: str | bytes) -> bytes:
        return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")

    lines = [as_bytes(method) + b" " + as_bytes(target) + b" HTTP/1.1"]
    if host:
        lines.append(b"Host: localhost")
    lines.extend(as_bytes(name) + b": " + as_bytes(value) for name, value in headers or [])
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
