"""HTTP/2 over TLS: httpx, unmodified; curl, unmodified; and frames that no client of good will sends (PyPI `h2`)."""

import asyncio
import contextlib
import shutil
import socket
import ssl
import subprocess

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import httpx
import pytest

from harness.doorward import Doorward
from harness.native import PASSWORD, new_name
from harness.operations import Identity, put_identity, tls_configuration

LIMIT_S = 20


@pytest.fixture(scope="module")
def tls_server(tmp_path_factory):
    home = tmp_path_factory.mktemp("http2")
    put_identity(home, Identity())
    config = tls_configuration(home)
    with Doorward("dev", "--listen", "127.0.0.1:0", "--config", config, home=home / "doorward") as server:
        server.chain = home / "tls.pem"
        yield server


@pytest.fixture
def client(tls_server):
    trust = ssl.create_default_context(cafile=str(tls_server.chain))
    with httpx.Client(http2=True, verify=trust, base_url=tls_server.url, timeout=LIMIT_S) as client:
        yield client


def log_in(client: httpx.Client) -> dict:
    name = new_name()
    assert client.post("/v1/users", json={"username": name, "password": PASSWORD}).status_code == 201
    body = {"grant_type": "password", "username": name, "password": PASSWORD}
    granted = client.post("/v1/token", json=body).json()
    return {"Authorization": f"Bearer {granted['access_token']}"}


def test_the_main_job_goes_over_http_2(client):
    bearer = log_in(client)
    me = client.get("/v1/me", headers=bearer)
    assert (me.http_version, me.status_code) == ("HTTP/2", 200)
    made = client.post("/v1/threads", json={"name": "second"}, headers=bearer)
    assert made.status_code == 201
    path = f"/v1/threads/{made.json()['id']}/runs"
    streaming = {**bearer, "Accept": "text/event-stream"}
    with client.stream("POST", path, json={"messages": [{"content": "hello"}]}, headers=streaming) as run:
        assert "event: end" in "".join(run.iter_text())
    missing = client.get("/nothing")
    assert missing.status_code == 404 and missing.headers["x-content-type-options"] == "nosniff"
    assert "strict-transport-security" in missing.headers
    assert client.get("/v1/me").status_code == 401


def test_a_hundred_requests_at_once_share_one_connection(client, tls_server):
    """In one thread: the client's HTTP/2 connection takes stream ids and compresses headers without a lock, so threads garble it."""
    bearer = log_in(client)

    async def all_at_once():
        trust = ssl.create_default_context(cafile=str(tls_server.chain))
        async with httpx.AsyncClient(http2=True, verify=trust, base_url=tls_server.url, timeout=LIMIT_S) as many:
            return await asyncio.gather(*(many.get("/v1/me", headers=bearer) for _ in range(100)))

    answers = asyncio.run(all_at_once())
    assert {(answer.status_code, answer.http_version) for answer in answers} == {(200, "HTTP/2")}
    assert len({answer.extensions["network_stream"] for answer in answers}) == 1


def test_whoever_does_not_offer_it_is_answered_in_http_1_1(tls_server):
    trust = ssl.create_default_context(cafile=str(tls_server.chain))
    with httpx.Client(http2=False, verify=trust) as client:
        answer = client.get(f"{tls_server.url}/.well-known/jwks.json")
    assert (answer.http_version, answer.status_code) == ("HTTP/1.1", 200)


def test_curl_speaks_it(tls_server):
    curl = shutil.which("curl")
    assert curl, "curl is installed with the other programs"
    asked = [curl, "--silent", "--http2", "--cacert", tls_server.chain, "--write-out", "%{http_version} %{http_code}"]
    done = subprocess.run(
        [*asked, "--output", "/dev/null", f"{tls_server.url}/.well-known/jwks.json"],
        capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )
    assert done.stdout == "2 200", done.stderr


class Raw:
    """A connection whose frames are made by hand."""

    def __init__(self, server) -> None:
        host, port = server.url.removeprefix("https://").split(":")
        context = ssl.create_default_context(cafile=str(server.chain))
        context.set_alpn_protocols(["h2"])
        self.socket = context.wrap_socket(
            socket.create_connection((host, int(port)), LIMIT_S), server_hostname=host
        )
        assert self.socket.selected_alpn_protocol() == "h2"
        settings = h2.config.H2Configuration(
            validate_outbound_headers=False, normalize_outbound_headers=False, header_encoding="utf-8"
        )
        self.h2 = h2.connection.H2Connection(settings)
        self.authority = f"{host}:{port}"
        self.h2.initiate_connection()
        self.flush()

    def flush(self) -> None:
        self.socket.sendall(self.h2.data_to_send())

    def ask(self, path: str = "/.well-known/jwks.json", more=(), method: str = "GET", end: bool = True) -> int:
        stream = self.h2.get_next_available_stream_id()
        head = [(":method", method), (":scheme", "https"), (":authority", self.authority), (":path", path)]
        self.h2.send_headers(stream, [*head, *more], end_stream=end)
        self.flush()
        return stream

    def until(self, stream: int):
        """The status of this stream's answer, or why there is none."""
        while True:
            data = self.socket.recv(65536)
            if not data:
                return "closed"
            try:
                events = self.h2.receive_data(data)
            except h2.exceptions.ProtocolError as error:
                return str(error)
            for event in events:
                if isinstance(event, h2.events.ResponseReceived) and event.stream_id == stream:
                    return dict(event.headers)[":status"]
                if isinstance(event, h2.events.StreamReset) and event.stream_id == stream:
                    return "reset"
                if isinstance(event, h2.events.ConnectionTerminated):
                    return "goaway"
            with contextlib.suppress(OSError):
                self.flush()


@pytest.fixture
def raw(tls_server):
    connection = Raw(tls_server)
    yield connection
    connection.socket.close()


def test_what_has_two_readings_is_refused_over_http_2_as_well(raw):
    for path in ["/v1//me", "/v1/../v1/me", "/v1/%2e%2e/me", "/v1%2fme", "/v1/me\\", "/v1/m%00e", "/v1/%zz"]:
        assert raw.until(raw.ask(path)) == "400", path


@pytest.mark.parametrize(
    "more",
    [
        [("connection", "close")],
        [("transfer-encoding", "chunked")],
        [("upgrade", "h2c")],
        [("te", "gzip")],
    ],
)
def test_headers_of_a_connection_have_no_place_in_http_2(raw, more):
    assert raw.until(raw.ask(more=more)) in ("reset", "goaway", "400")


def test_a_length_that_is_not_the_bodys_is_refused(raw):
    stream = raw.ask("/v1/token", [("content-type", "application/json"), ("content-length", "5")], "POST", end=False)
    raw.h2.send_data(stream, b"{}", end_stream=True)
    raw.flush()
    assert raw.until(stream) in ("reset", "400")


def test_a_flood_of_headers_is_refused(tls_server):
    many = Raw(tls_server)
    assert many.until(many.ask(more=[(f"x-{n}", "y") for n in range(150)])) in ("413", "431")
    large = Raw(tls_server)
    answer = large.until(large.ask(more=[(f"x-{n}", "y" * 1_000) for n in range(40)]))
    assert answer in ("431", "reset", "goaway", "closed")


def test_a_flood_of_resets_ends_the_connection_and_disturbs_nobody(tls_server, client):
    flood = Raw(tls_server)
    with contextlib.suppress(OSError):
        for _ in range(2_000):
            stream = flood.h2.get_next_available_stream_id()
            head = [(":method", "GET"), (":scheme", "https"), (":authority", flood.authority), (":path", "/v1/me")]
            flood.h2.send_headers(stream, head, end_stream=True)
            flood.h2.reset_stream(stream)
            if stream % 100 == 1:
                flood.flush()
        flood.flush()
    with contextlib.suppress(OSError):
        assert flood.until(-1) in ("goaway", "closed")
    assert client.get("/.well-known/jwks.json").status_code == 200


def test_clear_text_that_wants_http_2_is_refused(server):
    """Prior knowledge and h2c are not taken: the strict reader of HTTP/1.1 answers, or ignores the wish."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), LIMIT_S) as plain:
        plain.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert plain.recv(64).startswith(b"HTTP/1.1 400")
    with socket.create_connection((host, int(port)), LIMIT_S) as plain:
        plain.sendall(
            b"GET /.well-known/jwks.json HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\n"
            b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
        )
        assert plain.recv(64).startswith(b"HTTP/1.1 200")
