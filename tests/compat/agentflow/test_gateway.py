"""Doorward in front of an agent server: what passes, what does not, and what the server is told.

The real AgentFlow server where its behaviour counts (A-028 to A-030); a recorder that keeps the
bytes it was sent where the request itself counts.
"""

import contextlib
import json
import socket
import threading
import time
from uuid import uuid4

import jwt
import pytest
import requests

from harness.agentflow.settings import write_settings
from harness.agentflow.tokens import node_token, token
from harness.agentflow.wire import JSON, run_body, texts
from harness.client import Client, values_of
from harness.programs import free_port, wait_until
from harness.raw import exchange, request_bytes
from harness.recorder import Recorder, agentflow_answer


@pytest.fixture
def door(gateway) -> Client:
    """No token of its own; the mount in front of the real server."""
    return Client(gateway.mount("agentflow"), roaming=True)


def unique(name: str) -> str:
    return f"{name}-{uuid4().hex[:8]}"


# In front of the real server ------------------------------------------------------------------


def issued_by_doorward(gateway, user_id: str) -> str:
    arguments = ["--mount", "agentflow", "--user-id", user_id, "--agentflow", gateway.settings]
    return gateway.command("token", "issue", *arguments)["token"]


@pytest.mark.parametrize("maker", ["pyjwt", "jsonwebtoken", "doorward"])
def test_tokens_of_every_maker_pass_the_door_to_the_real_server(gateway, maker):
    user_id = unique(maker)
    made = {"pyjwt": token, "jsonwebtoken": node_token}.get(maker)
    credential = made(user_id) if made else issued_by_doorward(gateway, user_id)
    client = Client(gateway.mount("agentflow"), credential)
    thread = client.post("/threads").json()["thread_id"]
    answer = client.post(f"/threads/{thread}/messages", json={"content": "Hello"})
    assert answer.status_code == 200, answer.text
    assert "Hello" in answer.text



def test_the_real_server_answers_its_user_through_the_door(door):
    answer = door.post("/v1/graph/invoke", json=run_body("hello"), token=token(unique("user")))
    assert answer.status_code == 200, answer.text
    assert texts(answer.json()["data"]["messages"]) == ["hello", "Echo: hello"]


def test_the_real_servers_own_routes_pass(door):
    for path in ("/v1/graph", "/v1/graph:StateSchema", "/v1/graph/tools", "/v1/config/multimodal"):
        passed = door.get(path, token=token(unique("user")))
        assert passed.status_code == 200, f"{path}: {passed.text}"
        assert "data" in passed.json(), path


def test_what_the_document_sent_through_the_door_is_in_the_real_server(door, real_server):
    credential = token(unique("user"))
    thread_id = door.post("/threads", token=credential).json()["thread_id"]
    said = door.post(f"/threads/{thread_id}/messages", json={"content": "through the door"}, token=credential)
    assert said.status_code == 200, said.text
    upstream = requests.get(f"{real_server.url}/v1/threads/{thread_id}/messages", timeout=30).json()
    assert "Echo: through the door" in texts(upstream["data"]["messages"])


def test_a_thread_made_round_the_door_belongs_to_nobody(door, real_server):
    """What is upstream already has no owner: it is in no list, and cannot be read."""
    stray = unique("stray")
    requests.post(f"{real_server.url}/v1/graph/invoke", json=run_body("round the door", stray), timeout=30)
    credential = token(unique("user"))
    assert stray not in door.get("/v1/threads", token=credential).text
    assert door.get(f"/v1/threads/{stray}/messages", token=credential).status_code == 404


@pytest.mark.parametrize("path", ["/v1/graph/invoke", "/v1/graph/stream"])
def test_a_thread_made_round_the_door_cannot_be_taken_by_naming_it(door, real_server, path):
    """The first to name an id gets it only while nothing stands upstream under that id."""
    stray = unique("stray")
    requests.post(f"{real_server.url}/v1/graph/invoke", json=run_body("old secret", stray), timeout=30)
    credential = token(unique("user"))
    assert door.post(path, json=run_body("taken", stray), token=credential).status_code == 404
    assert door.get(f"/v1/threads/{stray}/messages", token=credential).status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/docs"),
        ("GET", "/redoc"),
        ("GET", "/openapi.json"),
        ("GET", "/v1/evals/runs"),
        ("GET", "/v1/evals/runs/some-run"),
        ("GET", "/v2/threads"),
        ("GET", "/metrics"),
        ("GET", "/"),
        ("GET", "/v1"),
        ("POST", "/v1/graph/teleport"),
        ("GET", "/v1/threads/x/unheard-of"),
    ],
)
def test_a_route_nobody_declared_is_not_found_with_or_without_a_token(door, method, path):
    for credential in (None, token(unique("user"))):
        answer = door.request(method, path, token=credential)
        assert answer.status_code in ((401, 404) if credential is None else (404,)), answer.text
        assert "error" in answer.json()


@pytest.mark.parametrize("method", ["PATCH", "TRACE", "CONNECT", "PROPFIND"])
def test_a_method_nobody_declared_does_not_pass(gateway, method):
    base = gateway.mount("agentflow")
    path = "/" + base.split("/", 3)[3] + "/v1/graph" if base.count("/") > 2 else "/v1/graph"
    credential = ("Authorization", f"Bearer {token()}")
    answer = exchange(base, request_bytes(method, path, [credential, ("Connection", "close")]))
    assert answer.status in (400, 404, 405, 501), answer


# streams -------------------------------------------------------------------------------


def test_a_stream_passes_word_by_word_while_the_run_goes_on(door, real_server):
    gate = unique("gate")
    body = run_body(f"gate:{gate} and the rest")
    credential = {"Authorization": f"Bearer {token(unique('user'))}"}
    url = f"{door.base}/v1/graph/stream"
    with requests.post(url, json=body, headers=credential, stream=True, timeout=30) as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        lines = (json.loads(line) for line in answer.iter_lines(chunk_size=1))
        first = next(line for line in lines if line["message"]["delta"])
        assert texts([first["message"]]) == ["Echo: "], "it came while the rest was held back"
        real_server.open_gate(gate)
        assert texts([list(lines)[-1]["message"]]) == [f"Echo: gate:{gate} and the rest"]


def test_the_thread_a_stream_made_is_its_callers(door):
    own, other = token(unique("user")), token(unique("user"))
    answer = door.post("/v1/graph/stream", json=run_body("streamed"), token=own)
    thread_id = json.loads(answer.text.splitlines()[0])["thread_id"]
    assert thread_id in values_of("thread_id", door.get("/v1/threads", token=own).json())
    assert door.get(f"/v1/threads/{thread_id}", token=own).status_code == 200
    assert door.get(f"/v1/threads/{thread_id}", token=other).status_code == 404


def test_a_caller_who_leaves_a_stream_leaves_the_door_working(door, real_server):
    gate = unique("gate")
    credential = {"Authorization": f"Bearer {token(unique('user'))}"}
    body = run_body(f"gate:{gate} never read")
    with requests.post(
        f"{door.base}/v1/graph/stream", json=body, headers=credential, stream=True, timeout=30
    ) as answer:
        next(answer.iter_lines(chunk_size=1))
    real_server.open_gate(gate)
    assert door.get("/v1/graph", token=token()).status_code == 200


def test_a_revoked_token_ends_the_stream_it_opened(gateway, real_server):
    """Within a second, although the run behind goes on."""
    gate, jti = unique("gate"), unique("jti")
    credential = {"Authorization": f"Bearer {token(unique('user'), jti=jti)}"}
    body = run_body(f"gate:{gate} never to be read")
    url = gateway.mount("agentflow") + "/v1/graph/stream"
    with requests.post(url, json=body, headers=credential, stream=True, timeout=30) as answer:
        lines = answer.iter_lines(chunk_size=1)
        assert next(lines)
        gateway.command("token", "revoke", "--jti", jti)
        revoked_at = time.monotonic()
        with contextlib.suppress(requests.exceptions.ChunkedEncodingError):
            rest = b"".join(lines)
            assert b"never to be read" not in rest
        assert time.monotonic() - revoked_at < 2
    real_server.open_gate(gate)


def test_a_polite_stop_finishes_the_stream_it_had_taken(start, tmp_path, real_server):
    server = door_before(start, tmp_path, real_server.url)
    gate = unique("gate")
    credential = {"Authorization": f"Bearer {token(unique('user'))}"}
    body = run_body(f"gate:{gate} and the rest")
    url = server.mount("agentflow") + "/v1/graph/stream"
    with requests.post(url, json=body, headers=credential, stream=True, timeout=30) as answer:
        lines = answer.iter_lines(chunk_size=1)
        assert next(lines)
        server.program.process.terminate()
        wait_until(lambda: refuses_connections(server.url), "no more connections", limit_s=5)
        real_server.open_gate(gate)
        assert f"Echo: gate:{gate} and the rest" in list(lines)[-1].decode()
    assert server.program.process.wait(10) == 0


def refuses_connections(url: str) -> bool:
    try:
        return requests.get(f"{url}/v1/me", timeout=5).status_code == 503
    except requests.ConnectionError:
        return True


# With a recorder behind the door --------------------------------------------------------------


@pytest.fixture
def upstream():
    with Recorder() as recorder:
        yield recorder


def door_before(start, tmp_path, url: str):
    settings = write_settings(tmp_path / "app")
    return start(
        "dev",
        *("--agentflow", settings),
        *("--mount", "agentflow=127.0.0.1:0"),
        *("--upstream", url, "--surface", "agentflow"),
    )


@pytest.fixture
def recorded(start, tmp_path, upstream) -> Client:
    return Client(door_before(start, tmp_path, upstream.url).mount("agentflow"), token("alice"))


IDENTITY_HEADERS = [
    "X-User-Id",
    "X-User",
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Preferred-Username",
    "X-Remote-User",
    "Remote-User",
    "X-Authenticated-User",
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "X-Doorward-Principal",
    "X-Doorward-Subject",
    "X-Doorward-Roles",
    "X-Doorward-Anything",
    "X-Amzn-Oidc-Identity",
    "X-Goog-Authenticated-User-Email",
    "Cf-Access-Authenticated-User-Email",
    "Tailscale-User-Login",
]


def respellings(name: str) -> list[str]:
    return [name, name.lower(), name.upper(), name.replace("-", "_"), name.lower().replace("-", "_")]


@pytest.mark.parametrize("name", IDENTITY_HEADERS)
def test_an_identity_header_of_the_client_never_arrives(recorded, upstream, name):
    for spelling in respellings(name):
        assert recorded.get("/v1/graph", headers={spelling: "mallory"}).status_code == 200
        [seen] = upstream.taken()
        assert "mallory" not in seen.head.decode("latin-1"), f"{spelling}\n{seen.head}"


def test_identity_cannot_hide_in_the_connection_header(recorded, upstream):
    """A hop may drop what `Connection` names; ours must not drop what it adds itself."""
    own = recorded.get("/v1/graph")
    assert own.status_code == 200
    [plain] = upstream.taken()
    added = [name for name, value in plain.headers if "alice" in value]
    assert added, "the principal is handed on"
    answer = recorded.get("/v1/graph", headers={"Connection": ", ".join(["close", *added])})
    assert answer.status_code == 200
    [seen] = upstream.taken()
    assert [name for name, value in seen.headers if "alice" in value] == added


def test_the_principal_is_handed_on_exactly_once(recorded, upstream):
    recorded.get("/v1/graph")
    [seen] = upstream.taken()
    with_user = [name for name, value in seen.headers if value.endswith("alice")]
    assert with_user
    for name in with_user:
        assert len(seen.all(name)) == 1


@pytest.mark.parametrize("name", ["Authorization", "X-API-Key", "Cookie", "Proxy-Authorization"])
def test_no_credential_travels_on(recorded, upstream, name):
    if name == "Authorization":
        recorded.get("/v1/graph")
    elif name == "X-API-Key":
        assert recorded.get("/v1/graph", headers={name: "a second credential"}).status_code in (200, 400, 401)
    else:
        assert recorded.get("/v1/graph", headers={name: "session=a-secret"}).status_code in (200, 400)
    for seen in upstream.taken():
        assert not seen.all(name), seen.head
        assert recorded.token not in seen.head.decode("latin-1")
        assert not seen.after


def test_hop_by_hop_headers_end_at_the_door(recorded, upstream):
    hops = {
        "Connection": "keep-alive, X-Hop",
        "X-Hop": "named by connection",
        "Keep-Alive": "timeout=5",
        "TE": "trailers",
        "Upgrade": "h2c",
        "HTTP2-Settings": "AAMAAABkAAQAAP__",
        "Proxy-Connection": "keep-alive",
    }
    assert recorded.get("/v1/graph", headers=hops).status_code in (200, 400)
    for seen in upstream.taken():
        for name in ("X-Hop", "Keep-Alive", "TE", "Upgrade", "HTTP2-Settings", "Proxy-Connection"):
            assert not seen.all(name), seen.head


def test_where_the_client_claims_to_be_from_is_not_believed(recorded, upstream):
    claims = {
        "X-Forwarded-For": "203.0.113.9",
        "X-Real-IP": "203.0.113.9",
        "Forwarded": "for=203.0.113.9",
        "X-Forwarded-Host": "evil.example",
        "X-Original-URL": "/v1/threads/other",
        "X-Rewrite-URL": "/v1/threads/other",
        "X-HTTP-Method-Override": "DELETE",
    }
    assert recorded.get("/v1/graph", headers=claims).status_code == 200
    [seen] = upstream.taken()
    text = seen.head.decode("latin-1")
    assert "203.0.113.9" not in text
    assert "evil.example" not in text
    assert "/v1/threads/other" not in text
    assert "DELETE" not in text


def test_a_refused_request_never_reaches_the_server_behind(recorded, upstream):
    upstream.taken()
    others = Client(recorded.base, roaming=True)
    assert others.get("/v1/graph").status_code == 401
    assert others.get("/v1/graph", token="junk").status_code == 401
    assert recorded.get("/v1/threads/not-mine").status_code == 404
    assert recorded.get("/openapi.json").status_code == 404
    assert recorded.post("/v1/graph/invoke", data="{broken", headers=JSON).status_code == 400
    assert upstream.taken() == []


def test_the_body_arrives_whole_with_one_length(recorded, upstream):
    body = run_body("x" * 50_000)
    assert recorded.post("/v1/graph/invoke", json=body).status_code == 200
    [seen] = upstream.taken()
    assert seen.json()["messages"] == body["messages"]
    assert len(seen.all("content-length")) + len(seen.all("transfer-encoding")) == 1
    assert seen.all("host") == [upstream.url.removeprefix("http://")]


def test_the_query_arrives_as_it_was_sent(recorded, upstream):
    assert recorded.get("/v1/threads?limit=5&search=a%20b%26c").status_code == 200
    [seen] = upstream.taken()
    assert "search=a%20b%26c" in seen.target or "search=a+b%26c" in seen.target


SMUGGLED = {
    "both_lengths": [("Content-Length", "6"), ("Transfer-Encoding", "chunked")],
    "two_lengths": [("Content-Length", "5"), ("Content-Length", "6")],
    "list_of_lengths": [("Content-Length", "5, 6")],
    "signed_length": [("Content-Length", "+5")],
    "length_of_letters": [("Content-Length", "0x5")],
    "spaced_name": [("Content-Length ", "5")],
    "chunked_twice": [("Transfer-Encoding", "chunked, chunked")],
    "chunked_not_last": [("Transfer-Encoding", "chunked, identity")],
    "unknown_coding": [("Transfer-Encoding", "xchunked")],
    "vertical_tab": [("Transfer-Encoding", "\x0bchunked")],
    "folded": [("Transfer-Encoding", "chunked\r\n identity")],
    "underscored": [("Transfer_Encoding", "chunked"), ("Content-Length", "5")],
}


@pytest.mark.parametrize("name", sorted(SMUGGLED))
def test_an_ambiguous_message_never_becomes_two(recorded, upstream, name):
    """Judged by what arrives: nothing of the hidden second request may reach the server behind."""
    hidden = b"GET /v1/graph/hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"
    headers = [
        ("Authorization", f"Bearer {recorded.token}"),
        ("Content-Type", "application/json"),
        *SMUGGLED[name],
    ]
    message = request_bytes("POST", "/v1/graph/invoke", headers, b"0\r\n\r\n" + hidden)
    answer = exchange(recorded.base, message)
    for seen in upstream.taken():
        assert "hidden" not in seen.head.decode("latin-1"), f"{name}: {answer.status}"
        assert b"hidden" not in seen.body + seen.after, name
    if name != "underscored":
        assert 400 <= answer.status < 600 and answer.status != 500, f"{name}: {answer}"


# When the server behind fails -----------------------------------------------------------------


def test_a_claim_is_released_when_the_server_behind_fails(start, tmp_path):
    failing = threading.Event()
    failing.set()

    def answer(request):
        if failing.is_set() and request.target.startswith("/v1/graph/invoke"):
            return 500, {"error": {"code": "INTERNAL", "message": "no"}, "metadata": {}}
        return agentflow_answer(request)

    with Recorder(answer) as recorder:
        base = door_before(start, tmp_path, recorder.url).mount("agentflow")
        alice, bob = Client(base, token("alice")), Client(base, token("bob"))
        refused = alice.post("/v1/graph/invoke", json=run_body("hello", "contested"))
        assert refused.status_code in (500, 502), refused.text
        failing.clear()
        assert bob.post("/v1/graph/invoke", json=run_body("hello", "contested")).status_code == 200
        assert alice.get("/v1/threads/contested").status_code == 404


def test_a_list_that_is_not_what_was_expected_is_not_passed_on(start, tmp_path):
    """A filter that cannot be applied must not be skipped."""
    shapes = [
        ["stray"],
        {"data": "stray"},
        {"data": {"threads": {"id": "stray"}}},
        {"data": {"threads": ["stray"]}},
    ]
    answers = iter(shapes)

    def answer(request):
        if request.target.startswith("/v1/threads"):
            return 200, next(answers)
        return agentflow_answer(request)

    with Recorder(answer) as recorder:
        client = Client(door_before(start, tmp_path, recorder.url).mount("agentflow"), token("alice"))
        for shape in shapes:
            listed = client.get("/v1/threads")
            assert "stray" not in listed.text, shape
            assert listed.status_code in (200, 502), listed.text


def test_a_server_that_is_not_there_is_a_502_with_a_code(start, tmp_path):
    nobody = f"http://127.0.0.1:{free_port()}"
    client = Client(door_before(start, tmp_path, nobody).mount("agentflow"), token("alice"))
    answer = client.get("/v1/graph")
    assert answer.status_code == 502
    assert answer.json()["error"]["code"]
    assert nobody.removeprefix("http://") not in answer.text, "where it should be is no client's business"


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 999999 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x-header: " + b"y" * 2_000_000 + b"\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: anything\r\nconnection: upgrade\r\n\r\n",
    ],
    ids=[
        "nothing",
        "no_http",
        "two_lengths",
        "negative_length",
        "strange_status",
        "endless_header",
        "upgrade",
    ],
)
def test_a_server_that_lies_is_a_502_and_the_door_lives_on(start, tmp_path, reply):
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.recv(65536)
                    connection.sendall(reply)
                except OSError:
                    continue

    threading.Thread(target=serve, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        client = Client(door_before(start, tmp_path, url).mount("agentflow"), token("alice"))
        answer = client.get("/v1/graph")
        assert answer.status_code == 502, answer.text
        assert answer.json()["error"]["code"]
        assert client.get("/v1/threads/unknown").status_code == 404
    finally:
        listener.close()


def test_the_door_recovers_when_the_server_behind_comes_back(start, tmp_path):
    port = free_port()
    client = Client(
        door_before(start, tmp_path, f"http://127.0.0.1:{port}").mount("agentflow"), token("alice")
    )
    assert client.get("/v1/graph").status_code == 502
    with Recorder(port=port):
        wait_until(lambda: client.get("/v1/graph").status_code == 200, "the recovery", limit_s=10)


# Who asks, under a signature --------------------------------------------------------------------


@pytest.fixture
def stating(start, tmp_path, upstream):
    """A door that states who asks in a signed header too."""
    config = tmp_path / "doorward.toml"
    config.write_text("[mounts.agentflow]\nprincipal_jwt = true\n")
    settings = write_settings(tmp_path / "app")
    return start(
        "dev",
        *("--config", config),
        *("--agentflow", settings),
        *("--upstream", upstream.url, "--surface", "agentflow"),
    )


def test_an_upstream_verifies_who_asks_with_pyjwt_and_the_published_keys(stating, upstream):
    client = Client(stating.mount("agentflow"), token("alice"))
    forged = client.get("/v1/graph", headers={"X-Doorward-Assertion": "forged"})
    assert forged.status_code == 200, forged.text
    client.post("/v1/graph/invoke", json=run_body("hello", "stated"))
    requests_taken = upstream.taken()
    assert len(requests_taken) >= 2, "the run asks first whether the thread is there"
    keys = jwt.PyJWKClient(f"{stating.url}/.well-known/jwks.json")
    for request in requests_taken:
        [stated] = request.all("x-doorward-assertion")
        key = keys.get_signing_key_from_jwt(stated)
        claims = jwt.decode(stated, key, algorithms=["ES256"], issuer="doorward", audience=upstream.url)
        assert (claims["sub"], claims["authority"]) == ("alice", "agentflow")
        assert "user" in claims["roles"] and 0 < claims["exp"] - claims["iat"] <= 60
        assert [claims["jti"]] == request.all("x-request-id")
        for base in (stating.url + "/v1/me", stating.mount("agentflow") + "/threads"):
            assert Client(base).get("", token=stated).status_code == 401, "it is no credential here"


def test_nobody_is_stated_where_nobody_asked_for_it_and_none_for_nobody(recorded, upstream):
    assert recorded.get("/v1/graph").status_code == 200
    [request] = upstream.taken()
    assert request.all("x-doorward-assertion") == []
