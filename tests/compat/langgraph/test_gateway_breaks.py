"""An agent server that goes away in the middle of an answer: its client sees that, nobody waits, and the audit log says so."""

import json
import os
import re
import signal
import socket
import struct
import threading
import uuid

import httpx
import pytest
from agentserver import TUTORIAL, RealServer, say, user
from langgraph_sdk import get_sync_client
from test_gateway import gateway, pretended
from test_runs import Someone, Stream

from harness.client import Client
from harness.programs import wait_until
from harness.raw import connect, request_bytes
from harness.recorder import Recorder, read_request

EVENT = b'event: metadata\r\ndata: {"run_id":"01a224cb-e82d-7055-923b-8f13f9ab8d5c","attempt":1}\r\n\r\n'
EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"
CHUNK = b"%x\r\n%s\r\n" % (len(EVENT), EVENT)
#: What of an answer comes before its end, and whether that is a reset.
DEATHS = {
    "between events": (EVENTS + CHUNKED + CHUNK, False),
    "between events by a reset": (EVENTS + CHUNKED + CHUNK, True),
    "within an event": (EVENTS + CHUNKED + CHUNK + b'10\r\nevent: values\r\nd\r\n', False),
    "within a chunk": (EVENTS + CHUNKED + CHUNK + b"400\r\nevent: values\r\n", False),
    "within the size of a chunk": (EVENTS + CHUNKED + CHUNK + b"4", False),
    "before the last line": (EVENTS + CHUNKED + CHUNK + b"0\r\n", False),
    "with no chunk at all": (EVENTS + CHUNKED + CHUNK + b"zz\r\n", False),
    "short of its length": (EVENTS + b"content-length: 1000\r\n\r\n" + EVENT, False),
}
THREAD, RUN = str(uuid.uuid4()), str(uuid.uuid4())
STREAMS = {"a new run's": ("POST", "/runs/stream"), "a thread's run's": ("POST", f"/threads/{THREAD}/runs/stream"), "one that goes on": ("GET", f"/threads/{THREAD}/runs/{RUN}/stream")}


class Dying(Recorder):
    """Answers look-ups so that everything is there and the caller's; a run, up to where it dies."""

    def __init__(self) -> None:
        self.death = next(iter(DEATHS))
        super().__init__(answer=pretended)

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(10)
            request = read_request(connection)
            if request is None:
                return
            path = request.target.split("?")[0]
            if not path.endswith(("/stream", "/wait", "/join")):
                status, body = pretended(request)
                content = json.dumps(body).encode()
                connection.sendall(b"HTTP/1.1 %d OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s" % (status, len(content), content))
                return
            answer, reset = DEATHS[self.death]
            if not path.endswith("/stream"):
                answer = answer.replace(b"text/event-stream; charset=utf-8", b"application/json")
            connection.sendall(answer)
            if reset:
                # What was sent has to arrive: a reset overtakes it.
                self.arrived.wait(10)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def dies(self, death: str) -> "Dying":
        self.death, self.arrived = death, threading.Event()
        return self


@pytest.fixture(scope="module")
def dying(tmp_path_factory):
    with Dying() as upstream, gateway(tmp_path_factory.mktemp("dying"), upstream.url) as server:
        yield upstream, server


def rest(connection: socket.socket, data: bytes = b"", arrived=lambda data: None) -> tuple[bytes, bytes]:
    """Head and body as they come, until the gateway closes."""
    while True:
        try:
            part = connection.recv(65536)
        except ConnectionResetError:
            part = b""
        if not part:
            head, _, body = data.partition(b"\r\n\r\n")
            return head, body
        data += part
        arrived(data)


def told(upstream: Dying, ann: Client, method: str, path: str) -> tuple[bytes, bytes]:
    body = json.dumps(say("x")).encode() if method == "POST" else b""
    headers = [("Authorization", f"Bearer {ann.token}"), ("Connection", "close")]
    if body:
        headers += [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    with connect(ann.base) as connection:
        connection.sendall(request_bytes(method, path, headers, body))
        return rest(connection, arrived=lambda data: EVENT in data and upstream.arrived.set())


def is_whole(head: bytes, body: bytes) -> bool:
    """Whether a client takes it for all of an answer."""
    length = re.search(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)
    return len(body) >= int(length[1]) if length else body.endswith(b"0\r\n\r\n")


def broken_off(server, action: str) -> list[str]:
    lines = server.command("audit", "list", "--action", action, "--outcome", "failed", "--limit", "1000")
    return [line for line in lines if "broke off" in json.dumps(line)]


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("death", DEATHS)
def test_a_stream_whose_server_dies_is_no_whole_answer_and_the_next_is(dying, death, stream):
    upstream, server = dying
    ann, (method, path) = user(server, "ann"), STREAMS[stream]
    action = "run:create" if method == "POST" else "run:read"
    before = len(broken_off(server, action)) if method == "POST" else 0
    head, body = told(upstream.dies(death), ann, method, path)
    assert head.startswith(b"HTTP/1.1 200") and EVENT in body and not is_whole(head, body), (head, body)
    if method == "POST":
        wait_until(lambda: len(broken_off(server, action)) == before + 1, "the run's line in the audit log", limit_s=10)
    assert ann.get(f"/threads/{THREAD}").status_code == 200


@pytest.mark.parametrize("path", ["/runs/wait", f"/threads/{THREAD}/runs/wait", f"/threads/{THREAD}/runs/{RUN}/join"])
def test_a_run_that_is_waited_for_ends_in_no_whole_answer_either(dying, path):
    upstream, server = dying
    ann = user(server, "ann")
    for death in DEATHS:
        head, body = told(upstream.dies(death), ann, "GET" if path.endswith("/join") else "POST", path)
        assert head.startswith(b"HTTP/1.1 200") and not is_whole(head, body), (death, head, body)


def test_the_published_client_is_told_that_a_stream_broke_off(dying):
    upstream, server = dying
    client = get_sync_client(url=server.mount("langgraph"), headers={"Authorization": "Bearer user-ann"})
    for death in ("between events", "within an event", "short of its length"):
        upstream.dies(death)
        parts = []
        with pytest.raises(httpx.RemoteProtocolError):
            for part in client.runs.stream(THREAD, "agent", input=say("x")["input"]):
                parts.append(part.event)
        assert parts[0] == "metadata"


def test_the_real_server_that_is_killed_in_the_middle_of_a_run(tmp_path):
    real = RealServer(tmp_path / "real", guarded=False)
    try:
        with gateway(tmp_path / "gateway", real.wait().url, TUTORIAL) as server:
            someone = Someone(server, tmp_path)
            body = {**say(f"gate {someone.gate()}"), "stream_mode": ["custom"]}
            stream = Stream(someone, f"{someone.at}/runs/stream", body, Connection="close")
            stream.until('data: "held"')
            waiting = Stream(someone, f"{someone.at}/runs/wait", say("in turn"), Connection="close")
            wait_until(lambda: len(someone.client.get(f"{someone.at}/runs").json()) == 2, "the second run", limit_s=20)
            os.killpg(real.program.process.pid, signal.SIGKILL)
            assert not is_whole(*rest(stream.socket, stream.read))
            head, body = rest(waiting.socket)
            assert head.startswith(b"HTTP/1.1 502") or not is_whole(head, body), (head, body)
            assert someone.client.get(someone.at).status_code == 502
            wait_until(lambda: broken_off(server, "run:create"), "the run's line in the audit log", limit_s=10)
    finally:
        real.program.stop()
