"""What a log may not hold: secrets, tokens, queries, headers and bodies, in whatever form and as loud as it goes."""

import contextlib
import json
import re
import socket
import ssl
from uuid import uuid4

import httpx
import pytest
import requests

from harness.client import Client
from harness.native import PASSWORD, Tokens, log_in, new_name, sign_up
from harness.operations import LIMIT_S


def canary(what: str) -> str:
    return f"canary-{what}-{uuid4().hex[:12]}"


class Places:
    """Every place of a request that can hold something secret."""

    def __init__(self, server) -> None:
        self.server = server
        self.url = server.url
        self.secrets: list[str] = []

    def new(self, what: str) -> str:
        self.secrets.append(canary(what))
        return self.secrets[-1]

    def logins(self) -> str:
        """Good and bad log-ins, refreshes and keys; an access token."""
        client, name = Client(self.url, roaming=True), new_name()
        password = self.new("password") + PASSWORD
        assert sign_up(client, name, password).status_code == 201
        tokens = Tokens.of(log_in(client, name, password))
        self.secrets += [tokens.access, tokens.refresh]
        assert log_in(client, name, self.new("wrong")).status_code == 401
        assert log_in(client, self.new("unknown-name"), self.new("unknown")).status_code == 401
        assert sign_up(client, new_name(), self.new("short")[:7]).status_code == 400
        again = {"grant_type": "refresh_token", "refresh_token": tokens.refresh}
        fresh = client.post("/v1/token", json=again, token=None).json()
        self.secrets += [fresh["access_token"], fresh["refresh_token"]]
        client.post("/v1/token", json={**again, "refresh_token": self.new("refresh")}, token=None)
        key = client.post("/v1/api-keys", json={"name": "k", "scopes": ["read"], "expires_in": 3600}, token=tokens.access)
        self.secrets += [value for value in key.json().values() if isinstance(value, str) and len(value) > 40]
        cookie = requests.post(
            f"{self.url}/v1/session", json={"username": name, "password": password},
            headers={"Origin": self.url}, timeout=LIMIT_S,
        )
        self.secrets += [value for value in cookie.cookies.values()]
        return tokens.access

    def bodies(self) -> None:
        client = Client(self.url, roaming=True)
        for body in ('{"username": "%s"', '{"a": "%s", "a": 1}', '["%s"]', '{"password": "%s"}', "%s"):
            client.post("/v1/token", data=body % self.new("body"), headers={"Content-Type": "application/json"})
        form = {"grant_type": "password", "username": self.new("form-name"), "password": self.new("form")}
        client.post("/v1/token", data=form)

    def headers(self) -> None:
        client = Client(self.url, roaming=True)
        for name in ("X-API-Key", "Cookie", "Referer", "User-Agent", "X-Whatever", "Proxy-Authorization", "Origin"):
            client.get("/v1/me", headers={name: self.new(name.lower())})
        for scheme in ("Bearer", "Basic", "Strange", "Bearer Bearer"):
            client.get("/v1/me", headers={"Authorization": f"{scheme} {self.new('authorization')}"})
        for looks_like in ("eyJhbGciOiJFZERTQSJ9.{}.x", "dw_{}", "sk_{}"):
            client.get("/v1/me", headers={"Authorization": f"Bearer {looks_like.format(self.new('token'))}"})

    def queries(self) -> None:
        client = Client(self.url, roaming=True)
        for path in (
            "/v1/me", "/nothing", "/v1/login/none/callback", "/v1/forward-auth", "/health/ready", "/hypha/",
            "/supabase/auth/v1/verify", "/supabase/auth/v1/callback", "/hypha/oauth/callback", "/hypha/ws",
            "/agentflow/ping", "/langgraph/ok",
        ):
            for name in ("token", "code", "state", "access_token"):
                client.get(f"{path}?{name}={self.new('query')}", allow_redirects=False)

    def sockets(self) -> None:
        """Handshakes with tokens in a query, in a subprotocol, and in a first message."""
        host, port = self.url.removeprefix("http://").split(":")
        for path in ("/hypha/ws", "/agentflow/v1/graph/ws", "/nothing"):
            head = (
                f"GET {path}?token={self.new('ws-query')} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                f"Sec-WebSocket-Protocol: bearer, {self.new('ws-protocol')}\r\n\r\n"
            )
            message = json.dumps({"token": self.new("ws-message")}).encode()
            frame = bytes([0x81, 0x80 | len(message), 0, 0, 0, 0]) + message
            with socket.create_connection((host, int(port)), LIMIT_S) as connection, contextlib.suppress(OSError):
                connection.settimeout(2)
                connection.sendall(head.encode() + frame)
                connection.recv(65536)

    def nonsense(self) -> None:
        host, port = self.url.removeprefix("http://").split(":")
        for start in ("GET /%s HTTP/9\r\n\r\n", "%s\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: %s\r\n\r\n"):
            with socket.create_connection((host, int(port)), LIMIT_S) as connection, contextlib.suppress(OSError):
                connection.sendall((start % self.new("nonsense")).encode())
                connection.recv(65536)


@pytest.mark.parametrize(("form", "level"), [("pretty", "debug"), ("json", "debug"), ("json", "trace")])
def test_no_log_holds_a_secret_a_query_a_header_or_a_body(serve, form, level):
    server = serve(f'[log]\nformat = "{form}"\nlevel = "{level}"\n')
    # What `dev` prints for the one who starts it is no log; it stands before this.
    begun = len(server.log)
    places = Places(server)
    places.logins()
    places.bodies()
    places.headers()
    places.queries()
    places.sockets()
    places.nonsense()
    assert server.program.stop() == 0
    log = server.log[begun:]
    found = sorted({re.sub(r"-[0-9a-f]{12}$", "", secret)[:40] for secret in places.secrets if secret in log})
    assert found == [], [line[:300] for line in log.splitlines() if any(s in line for s in places.secrets)][:5]
    assert len(places.secrets) > 80
    lines = log.strip().splitlines()
    assert len(lines) > 80 and any("refused" in line for line in lines), "the log was on"
    if form == "json":
        assert all(json.loads(line)["level"] for line in lines)
        answered = [one for one in map(json.loads, lines) if one.get("message") == "answered"]
        assert answered and all("?" not in one["path"] and set(one) >= {"method", "status", "request"} for one in answered)


def test_over_http_2_no_header_is_logged_either(serve):
    server = serve('[log]\nlevel = "trace"\n', tls=True)
    secret = canary("http2")
    trust = ssl.create_default_context(cafile=str(server.home / "tls.pem"))
    with httpx.Client(http2=True, verify=trust, base_url=server.url, timeout=LIMIT_S) as client:
        refused = client.get(f"/v1/me?token={secret}", headers={"Authorization": f"Bearer {secret}", "x-own": secret})
        assert (refused.http_version, refused.status_code) == ("HTTP/2", 401)
        body = {"grant_type": "password", "username": secret, "password": secret}
        assert client.post("/v1/token", json=body).status_code == 401
    assert server.program.stop() == 0
    assert "answered" in server.log and secret not in server.log
