"""Doorward in front of the real agent server, which has no auth of its own: L-044, L-069 and, for the gateway, L-002, L-029, L-030, L-037, L-058 to L-065.

The real server where its behaviour counts; a recorder that keeps the bytes it was sent where the request itself counts.
"""

import asyncio
import contextlib
import json
import os
import re
import socket
import struct
import subprocess
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
import test_stranger
from agentserver import STAMP, TUTORIAL, UNCOVERED, Project, RealServer, anyone, conversation, events, gateway, say, until_status, user
from test_runs import Someone, Stream
from test_start import served
from test_stranger import ASSISTANT, TAG, TEXT, Nobody, Owner, Stranger, attempts
from test_tutorial import JOKE, name, shape, told_by_the_javascript_sdk, told_by_the_newest_sdk, told_by_the_older_sdk

from harness.client import Client
from harness.doorward import Doorward
from harness.programs import free_port, wait_until
from harness.recorder import Recorder

# The tutorial ---------------------------------------------------------------------------------


def certificate(home) -> tuple:
    chain, key = home / "chain.pem", home / "tls.key"
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-subj", "/CN=doorward"]
    more = ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "keyUsage=critical,digitalSignature,keyCertSign", "-keyout", key, "-out", chain]
    subprocess.run([*make, *more], check=True, capture_output=True, timeout=30)
    key.chmod(0o600)
    return chain, key


def test_the_tutorials_three_clients_need_only_the_url_replaced(tmp_path, upstream, project, monkeypatch):
    """L-044, L-069: `serve` with TLS before the real server; each client finds in it what the tutorial says."""
    chain, key = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(chain))
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", str(chain))
    flows = [told_by_the_older_sdk, told_by_the_newest_sdk, told_by_the_javascript_sdk]
    names = [(name(), name()) for _ in flows]
    lines = f'upstream = "{upstream.url}"', f'[server]\ntls_certificate_file = "{chain}"\ntls_key_file = "{key}"'
    with served(tmp_path, project, *lines) as server, ThreadPoolExecutor() as pool:
        url = server.mount("langgraph")
        assert url.startswith("https://")
        every = list(pool.map(lambda flow, who: flow(url, *who), flows, names))
    for told, (token, other) in zip(every, names, strict=True):
        created, thread = told["created"], told["thread"]
        assert created["status"] == "idle" and created["metadata"]["owner"] == token
        assert "".join(told["printed"]) == JOKE and len(told["printed"]) > 2, "piece by piece"
        assert [message["content"] for message in thread["values"]["messages"]] == ["Tell me a short joke", JOKE]
        assert "401" in str(told["without"]) and "404" in str(told["other"])
        assert told["second"]["metadata"]["owner"] == other
        assert told["waited"] == ["Tell me a short joke", JOKE, "again", "Echo: again"] and told["history"] >= 4
        assert told["found"] == [created["thread_id"]] or (told.get("copied") and {*told["found"]} == {created["thread_id"], told["copied"]["thread_id"]})


def plain(value):
    """Without what the gateway and its handlers add to metadata."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if key not in ("owner", STAMP)}
    return [plain(item) for item in value] if isinstance(value, list) else value


def test_whatever_the_sdk_does_has_the_real_servers_shape(tutorial_gateway, upstream):
    async def both():
        return await asyncio.gather(conversation(tutorial_gateway.mount("langgraph"), name()), conversation(upstream.url, name()))

    ours, theirs = asyncio.run(both())
    assert list(ours) == list(theirs)
    wrong = []
    for what in ours:
        if isinstance(ours[what], str):
            mine, others = ours[what], theirs[what]
        else:
            mine, others = shape(plain(ours[what])), shape(plain(theirs[what]))
        if mine != others:
            wrong.append((what, mine, others))
    assert wrong == [], json.dumps(wrong, indent=1)
    assert [message["content"] for message in ours["state now"]["values"]["messages"]] == [*["one two", "Echo: one two"] * 3, "from outside"]
    assert (ours["counted"], ours["left"]) == ("2", "0")


# Strangers ------------------------------------------------------------------------------------


def more_attempts(owner, mine: dict, forged: str) -> list[tuple]:
    """What the gateway has beyond the routes of the embedded surface."""
    body = {"assistant_id": owner.assistant, "graph_id": "agent", "metadata": {"owner": forged, STAMP: f"langgraph|{forged}"}}
    return [
        ("GET /threads/{thread}/stream", f"/threads/{owner.thread}/stream", None, 404),
        ("POST /assistants", "/assistants", body, 409),
        ("PATCH /assistants/{assistant}", f"/assistants/{owner.assistant}", {"name": "taken", "metadata": body["metadata"]}, 404),
        ("POST /assistants/search", "/assistants/search", {"metadata": {STAMP: f"langgraph|{forged}"}}, 200),
        ("POST /threads/search", "/threads/search", {"metadata": {STAMP: f"langgraph|{forged}"}}, 200),
        ("POST /threads/count", "/threads/count", {"metadata": {STAMP: f"langgraph|{forged}"}}, 200),
    ]


def every_attempt(owner, mine: dict, forged: str) -> list[tuple]:
    return [*attempts(owner, mine, forged), *more_attempts(owner, mine, forged)]


def test_every_route_of_the_gateways_table_is_walked():
    lines = (re.fullmatch(r"langgraph upstream +([A-Z]+) +(\S+) +.*", line) for line in test_stranger.ROUTES.read_text().splitlines())
    table = {f"{found[1]} {found[2]}" for found in lines if found}
    assert {route for route, *_ in every_attempt(Nobody, {"thread": "x", "spare": "y"}, "user-a")} == table and len(table) > 40


def test_a_stranger_learns_and_changes_nothing_on_any_route(at_both):
    at_both(learns_and_changes_nothing)


def learns_and_changes_nothing(door) -> None:
    owner, stranger = Owner(door), Stranger(door)
    filtered = "owner" in stranger.client.get(f"/threads/{stranger.ids['thread']}").json()["metadata"]
    # Where no handler writes it, `owner` is a word like any other: only the stamp is not.
    words = [TAG, TEXT, owner.owner if filtered else f"|{owner.owner}"]
    before, wrong = owner.everything(), []
    for route, path, body, status in every_attempt(owner, stranger.ids, owner.owner):
        answer = stranger.does(route, path, body)
        fits = status in (None, answer.status_code) or (isinstance(status, set) and answer.status_code in status)
        told = [word for word in words if word in answer.text]
        if not fits or told or answer.status_code >= 500:
            wrong.append((route, path, body, answer.status_code, answer.text[:200], told))
    assert wrong == [], "\n".join(map(str, wrong))
    assert owner.everything() == before
    found = stranger.client.post("/threads/search", json={"limit": 1000})
    assert {thread["metadata"][STAMP] for thread in found.json()} == {f"langgraph|{stranger.client.token}"}
    assert {*stranger.ids.values()} <= {thread["thread_id"] for thread in found.json()}, "prune takes all or none"


def test_what_is_anothers_is_answered_like_what_is_not_there(tutorial_gateway):
    owner, stranger = Owner(tutorial_gateway), Stranger(tutorial_gateway)

    def told(of) -> list:
        names = {of.thread: "<thread>", of.run: "<run>", of.checkpoint: "<checkpoint>", of.empty: "<empty>", of.assistant: "<assistant>", of.cron: "<cron>", of.cron_there: "<cron>"}
        answers = []
        for route, path, body, status in every_attempt(of, stranger.ids, owner.owner):
            # A name that is taken is the one thing that creating tells, as on the real server; it is an id nobody guesses.
            making = isinstance(body, dict) and body.get("if_not_exists") == "create"
            if status != 404 or making or "/state/checkpoint" in path:
                continue
            answer = stranger.does(route, path, body)
            text = answer.text
            for value, shown in names.items():
                path, text = path.replace(value, shown), text.replace(value, shown)
            answers.append((route, path, answer.status_code, text))
        return answers

    theirs, nobodys = told(owner), told(Nobody)
    assert len(theirs) > 40 and theirs == nobodys


def test_a_thread_made_round_the_gateway_is_nobodys_until_its_metadata_says_whose(door, behind):
    someone, filtered = user(door), "owner" in user(door).post("/threads", json={}).json()["metadata"]
    tag = {"tag": os.urandom(6).hex()}
    thread = behind.post("/threads", json={"metadata": tag}).json()["thread_id"]
    at, other = f"/threads/{thread}", user(door)
    for client in (someone, other):
        for method, path, body, status in (
            ("GET", at, None, 404), ("PATCH", at, {"metadata": {STAMP: f"langgraph|{client.token}", "owner": client.token}}, 404), ("DELETE", at, None, 404),
            ("POST", f"{at}/copy", None, 409), ("GET", f"{at}/state", None, 404), ("POST", f"{at}/history", {}, 404), ("POST", f"{at}/runs", say("x"), 404),
            ("POST", f"{at}/runs/wait", {**say("x"), "if_not_exists": "create"}, 404), ("POST", "/threads", {"thread_id": thread, "if_exists": "do_nothing"}, 409),
            ("GET", f"{at}/stream", None, 404), ("POST", "/threads/prune", {"thread_ids": [thread]}, 404),
        ):
            answer = client.request(method, path, json=body)
            assert answer.status_code == status and tag["tag"] not in answer.text, (method, path, answer.text)
        assert client.post("/threads/search", json={"metadata": tag}).json() == [] and client.post("/threads/count", json={"metadata": tag}).json() == 0
    assert behind.get(at).json()["metadata"] == tag
    # What the handlers write decides where they cover it; the stamp where nothing does.
    behind.patch(at, json={"metadata": {"owner": someone.token} if filtered else {STAMP: f"langgraph|{someone.token}"}}).raise_for_status()
    assert someone.get(at).status_code == 200 and other.get(at).status_code == 404


def test_where_what_is_uncovered_is_allowed_everybody_reaches_everything_as_the_platform_has_it(tmp_path, upstream, behind):
    thread = behind.post("/threads", json={}).json()["thread_id"]
    with gateway(tmp_path, upstream.url, UNCOVERED, 'uncovered = "allow"') as server:
        assert user(server).get(f"/threads/{thread}").status_code == 200
        assert anyone(server).get(f"/threads/{thread}").status_code == 401


# The stamp ------------------------------------------------------------------------------------


def stamp_of(behind, thread: str):
    return behind.get(f"/threads/{thread}").json()["metadata"].get(STAMP)


def test_nobody_makes_or_changes_a_thing_in_anothers_name(at_both, upstream):
    at_both(lambda door: makes_and_changes_in_its_own_name(door, Client(upstream.url)))


def makes_and_changes_in_its_own_name(door, behind) -> None:
    victim, eve = user(door), user(door)
    mine, theirs = f"langgraph|{eve.token}", f"langgraph|{victim.token}"
    forged = {STAMP: theirs}
    made = eve.post("/threads", json={"metadata": forged}).json()
    thread = made["thread_id"]
    assert made["metadata"][STAMP] == mine == stamp_of(behind, thread)
    eve.patch(f"/threads/{thread}", json={"metadata": {**forged, "k": 1}}).raise_for_status()
    assert behind.get(f"/threads/{thread}").json()["metadata"].items() >= {STAMP: mine, "k": 1}.items()
    eve.patch(f"/threads/{thread}", json={"metadata": {STAMP: None}})
    assert stamp_of(behind, thread) == mine
    copy = eve.post(f"/threads/{thread}/copy", json={"metadata": forged}).json()
    assert copy["metadata"][STAMP] == mine == stamp_of(behind, copy["thread_id"])
    sneaked = {"metadata": forged, "config": {"metadata": forged, "configurable": {"langgraph_auth_user": {"identity": victim.token}, "user_id": victim.token}}}
    by_run = str(uuid.uuid4())
    for path, more in (
        (f"/threads/{by_run}/runs", {"if_not_exists": "create"}), (f"/threads/{thread}/runs", {}), ("/runs", {"on_completion": "keep"}), (f"/threads/{thread}/runs/stream", {}),
        ("/runs/wait", {"on_completion": "keep"}),
    ):
        answer = eve.post(path, json={**say("x"), **sneaked, **more})
        assert answer.status_code == 200, answer.text
        assert theirs not in answer.text, path
    for run in behind.get(f"/threads/{thread}/runs").json() + behind.get(f"/threads/{by_run}/runs").json():
        assert run["metadata"][STAMP] == mine
        assert victim.token not in json.dumps(run["kwargs"]["config"])
    assert stamp_of(behind, by_run) == mine
    assistant = eve.post("/assistants", json={"graph_id": "agent", "metadata": {**forged, "created_by": "system"}}).json()
    assert assistant["metadata"][STAMP] == mine
    changed = eve.patch(f"/assistants/{assistant['assistant_id']}", json={"metadata": {**forged, "created_by": "system"}})
    assert changed.json()["metadata"][STAMP] == mine and victim.get(f"/assistants/{assistant['assistant_id']}").status_code == 404
    kept = behind.post("/threads/search", json={"metadata": {STAMP: mine}, "limit": 100}).json()
    assert len(kept) == 5
    assert behind.post("/threads/count", json={"metadata": {STAMP: theirs}}).json() == 0
    assert victim.post("/threads/search", json={}).json() == [] and victim.post("/assistants/search", json={}).json() == []


@pytest.mark.parametrize("shape_of", ["{}", '{"$or": [{}]}', '{"$contains": "langgraph|"}', '{"$ne": ""}', "null", "[]"], ids=str)
def test_no_search_by_the_stamp_finds_what_is_anothers(door, shape_of):
    victim, eve = user(door), user(door)
    tag = {"tag": os.urandom(6).hex()}
    victim.post("/threads", json={"metadata": tag}).raise_for_status()
    victim.post("/assistants", json={"graph_id": "agent", "metadata": tag}).raise_for_status()
    value = json.loads(shape_of)
    for metadata in ({STAMP: f"langgraph|{victim.token}", **tag}, {STAMP: value, **tag}, {"$or": [{STAMP: f"langgraph|{victim.token}"}, tag]}, {"owner": victim.token, STAMP: value}):
        for what in ("threads", "assistants"):
            found, counted = (eve.post(f"/{what}/{act}", json={"metadata": metadata}) for act in ("search", "count"))
            assert tag["tag"] not in found.text and victim.token not in found.text, (metadata, found.text)
            assert (found.status_code, counted.status_code) in {(200, 200), (422, 422)}, (metadata, found.text, counted.text)
            assert found.status_code == 422 or (found.json() == [] and counted.json() == 0 and found.headers.get("x-pagination-total") == "0")


# Streams --------------------------------------------------------------------------------------


@pytest.fixture
def someone(tutorial_gateway, tmp_path) -> Someone:
    return Someone(tutorial_gateway, tmp_path)


def vanish(stream: Stream) -> None:
    """Leaves as a client that is killed does. An orderly close is noticed by the second heartbeat only, ten seconds later."""
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.cut()


def run_of(stream: str) -> str:
    return json.loads(stream.partition("event: metadata\r\ndata: ")[2].split("\r\n")[0])["run_id"]


def test_each_event_arrives_when_it_happens_and_not_when_the_run_ends(someone, behind):
    gate = someone.gate()
    stream = Stream(someone, f"{someone.at}/runs/stream", {**say(f"gate {gate}"), "stream_mode": ["custom", "values"]})
    begun = stream.until('data: "held"')
    # Asked round the gateway: what has arrived came while the run waits for this test.
    assert behind.get(f"{someone.at}/runs/{run_of(begun)}").json()["status"] == "running"
    assert "text/event-stream" in begun and f"Echo: gate {gate}" not in begun
    with open(gate, "w"):
        pass
    assert f"Echo: gate {gate}" in stream.until("Echo: ")
    stream.cut()


def test_a_second_listener_joins_a_run_that_goes_on(someone):
    held = someone.held(stream_mode=["values"])
    stream = Stream(someone, f"{held.at}/stream", method="GET")
    stream.until("\r\n\r\n")
    held.finish()
    stream.until(f"Echo: gate {held.path}")
    stream.cut()
    assert someone.status(held.run) == "success"


def test_a_resumable_stream_is_told_again_from_where_it_was_left(someone, behind):
    answer = someone.client.post(f"{someone.at}/runs/stream", json={**say("one two"), "stream_mode": "messages-tuple", "stream_resumable": True})
    run = run_of(answer.text)
    numbers = [line[4:] for line in answer.text.split("\r\n") if line.startswith("id: ")]
    rest, whole = (someone.client.get(f"{someone.at}/runs/{run}/stream", headers={"Last-Event-ID": last}) for last in (numbers[1], "-1"))
    assert events(whole.text) == events(answer.text) and 0 < len(events(rest.text)) < len(events(whole.text))
    # Byte for byte what the real server tells again; its numbers are milliseconds, which two events may share.
    assert rest.text == behind.get(f"{someone.at}/runs/{run}/stream", headers={"Last-Event-ID": numbers[1]}).text


def test_a_client_that_leaves_cancels_its_run_only_when_told_to(tutorial_gateway, tmp_path, behind):
    def left(kind: str, on_disconnect: str) -> tuple[Someone, str, str]:
        someone = Someone(tutorial_gateway, tmp_path)
        gate = someone.gate()
        stream = Stream(someone, f"{someone.at}/runs/{kind}", {**say(f"gate {gate}"), "on_disconnect": on_disconnect})
        wait_until(lambda: os.path.exists(f"{gate}.begun"), "the run", limit_s=20)
        run = behind.get(f"{someone.at}/runs").json()[0]["run_id"]
        vanish(stream)
        return someone, run, gate

    with ThreadPoolExecutor() as pool:
        every = list(pool.map(left, ("stream", "wait", "stream", "wait"), ("continue", "continue", "cancel", "cancel")))
    for goes, cancelled, _ in every[2:]:
        until_status(behind, goes.thread, cancelled, "interrupted")
    for stays, kept, gate in every[:2]:
        assert stays.status(kept) == "running"
        with open(gate, "w"):
            pass
        until_status(behind, stays.thread, kept, "success")


def test_joining_with_cancel_on_disconnect_stops_the_run_that_is_left(someone, behind):
    held = someone.held()
    stream = Stream(someone, f"{held.at}/stream?cancel_on_disconnect=true", method="GET")
    stream.until("\r\n\r\n")
    vanish(stream)
    until_status(behind, someone.thread, held.run, "interrupted")


def test_a_run_is_cancelled_by_its_owner_alone(someone, tutorial_gateway):
    held = someone.held()
    stranger = user(tutorial_gateway)
    for method, path, body in (("POST", f"{held.at}/cancel?wait=1", None), ("POST", "/runs/cancel", {"thread_id": someone.thread, "run_ids": [held.run]}), ("DELETE", held.at, None)):
        assert stranger.request(method, path, json=body).status_code == 404
    assert stranger.get(f"{held.at}/stream?cancel_on_disconnect=true").status_code == 404
    assert someone.status(held.run) == "running"
    assert someone.client.post(f"{held.at}/cancel?wait=1").status_code in (200, 204)
    assert someone.status(held.run) == "interrupted"


# What reaches the server, and what does not ---------------------------------------------------


#: Who holds `user-x-of-ann` is `user-ann`, so that a token is told apart from a name.
BY_TOKEN = TUTORIAL.replace('{"identity": token}', '{"identity": "user-" + token.partition("-of-")[2]}')
TOKEN = "user-s3cret-of-ann"
CREDENTIALS = {
    "x-api-key": "s3cret-key", "Cookie": "session=s3cret", "Proxy-Authorization": "Basic s3cret", "x-auth-scheme": "langsmith", "x-user-id": "s3cret",
    "x-service-key": "s3cret", "X-Forwarded-User": "s3cret", "X-Doorward-Principal": "langgraph|s3cret", "X-Doorward-Roles": "s3cret-admin", "X-Forwarded-For": "10.9.8.7",
    "langsmith-trace": "s3cret", "baggage": "s3cret", "x-tenant-id": "s3cret", "Origin": "https://s3cret.example", "X-Custom": "s3cret",
}
PASSED = {"host", "accept", "accept-language", "user-agent", "content-type", "content-length", "x-request-id", "x-forwarded-for", "x-forwarded-user", "x-doorward-principal", "x-doorward-roles"}


def pretended(request) -> tuple[int, object]:
    """Everything that is asked for is there, and is ann's."""
    path = request.target.split("?")[0]
    body = json.loads(request.body or b"{}")
    whose = {"owner": "user-ann", STAMP: "langgraph|user-ann"}
    if path == "/threads/search":
        return 200, [{"thread_id": thread, "metadata": whose} for thread in body.get("ids") or []]
    if path == "/store/items/search":
        return 200, {"items": []}
    if path == "/store/items":
        return 200, {"namespace": ["s"], "key": "k", "value": whose}
    if path.endswith("/search"):
        return 200, []
    if path.startswith("/runs/crons/"):
        return 200, {"cron_id": path.split("/")[3], "assistant_id": ASSISTANT, "thread_id": None, "metadata": whose}
    if path.startswith("/assistants/"):
        return 200, {"assistant_id": path.split("/")[2], "metadata": {**whose, "created_by": "system"}}
    thread = body.get("thread_id") or (path.split("/")[2] if path.startswith("/threads/") else str(uuid.uuid4()))
    return 200, {"thread_id": thread, "run_id": str(uuid.uuid4()), "assistant_id": ASSISTANT, "metadata": whose}


class Pretending(Recorder):
    """Answers so until it is told otherwise."""

    def __init__(self) -> None:
        self.told = None
        super().__init__(answer=lambda request: self.told or pretended(request))

    @contextlib.contextmanager
    def saying(self, status: int, body):
        self.told = (status, body)
        yield
        self.told = None


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    with Pretending() as recorder, gateway(tmp_path_factory.mktemp("recorded"), recorder.url, BY_TOKEN) as server:
        yield recorder, server


@pytest.fixture
def ann(recorded) -> Client:
    recorded[0].taken()
    return Client(recorded[1].mount("langgraph"), TOKEN)


def test_no_credential_of_a_client_reaches_the_server_on_any_route(recorded, ann):
    recorder, _ = recorded
    reached, unreached = set(), set()
    for route, path, body, _ in every_attempt(Nobody, {"thread": str(uuid.uuid4()), "spare": str(uuid.uuid4())}, "user-ann"):
        keys = "api_key=s3cret&token=s3cret&x-api-key=s3cret"
        answer = ann.request(route.split(" ")[0], f"{path}{'&' if '?' in path else '?'}{keys}", json=body, headers=CREDENTIALS)
        assert answer.status_code < 500, (route, answer.text)
        seen = recorder.taken()
        (reached if seen else unreached).add(route)
        for request in seen:
            everything = (request.head + request.body).decode().lower()
            assert not [word for word in ("s3cret", "langsmith", "authorization", "cookie", "langgraph_auth", "10.9.8.7") if word in everything], (route, everything)
            assert {header for header, _ in request.headers} <= PASSED, request.headers
            assert request.all("x-forwarded-user") == ["user-ann"] and request.all("x-doorward-principal") == ["langgraph|user-ann"]
    assert unreached - reached <= {"GET /ok", "GET /info"}


def test_no_word_that_the_server_believes_of_a_run_reaches_it(recorded, ann):
    recorder, _ = recorded
    claims = {"langgraph_auth_user": {"identity": "eve"}, "langgraph_auth_user_id": "eve", "langgraph_auth_permissions": ["eve"], "user_id": "eve", "thread_id": "eve", "__eve": 1}
    body = {**say("x"), "config": {"configurable": {**claims, "model": "m"}}, "context": claims, "metadata": {STAMP: "langgraph|eve", "owner": "eve"}}
    for path in ("/runs", f"/threads/{uuid.uuid4()}/runs/wait", f"/threads/{uuid.uuid4()}/runs/stream"):
        assert ann.post(path, json=body).status_code == 200
        sent = recorder.taken()[-1]
        assert sent.target == path and sent.json()["config"]["configurable"] == {"model": "m"} and "eve" not in sent.body.decode()
        assert sent.json()["metadata"] == {"owner": "user-ann", STAMP: "langgraph|user-ann"}


@pytest.mark.parametrize("caller", ["somebody", "nobody"])
def test_what_no_table_names_is_not_there_and_never_reaches_the_server(recorded, ann, caller):
    recorder, server = recorded
    client, thread, run = ann if caller == "somebody" else anyone(server), uuid.uuid4(), uuid.uuid4()
    for method, path in (
        ("POST", "/store/items/"), ("GET", "/store/namespaces"), ("GET", "/store/items/k"), ("POST", "/store/items/batch"),
        ("PUT", f"/runs/crons/{run}"), ("POST", f"/runs/crons/{run}/runs"), ("POST", "/mcp"), ("POST", "/mcp/"), ("GET", "/mcp"), ("DELETE", "/mcp"), ("POST", f"/a2a/{ASSISTANT}"),
        ("GET", f"/.well-known/agent-card.json?assistant_id={ASSISTANT}"), ("GET", "/docs"), ("GET", "/openapi.json"), ("GET", "/metrics"), ("GET", "/internal/info"),
        ("POST", "/internal/truncate"), ("GET", "/deploy"), ("GET", "/ui/agent"), ("GET", "/"), ("POST", f"/threads/{thread}/events"), ("POST", f"/threads/{thread}/commands"),
        ("POST", f"/threads/{thread}/stream"), ("PUT", f"/threads/{thread}"), ("POST", "/threads/../store/items"), ("POST", "/threads/%2e%2e/mcp"), ("POST", "//mcp"),
        ("POST", f"/threads/{thread}%2f..%2f..%2fmcp"), ("POST", f"/threads/{thread}/..;/mcp"), ("GET", f"/threads/{thread}/%73tore"),
    ):
        # Without a body: one that a refusal leaves unread ends the connection for the next request.
        request = requests.Request(method, "http://x", headers={"Authorization": f"Bearer {client.token}"} if client.token else {}).prepare()
        request.url = client.base + path
        answer = client.send(request)
        named = path.startswith("/mcp")
        expected = {400, 401, 404, 405} if caller == "nobody" else {404} if named else {400, 404, 405}
        assert answer.status_code in expected, (method, path, answer.status_code, answer.text)
        assert set(answer.json()) == {"detail"}, (method, path, answer.text)
    assert recorder.taken() == []


def test_nobody_without_a_good_token_reaches_the_server(recorded):
    recorder, server = recorded
    recorder.taken()
    caller = anyone(server)
    for route, path, body, _ in every_attempt(Nobody, {"thread": str(uuid.uuid4()), "spare": str(uuid.uuid4())}, "user-ann"):
        for headers in ({}, {"Authorization": "Bearer nobody"}, {"x-auth-scheme": "langsmith", "x-api-key": "s3cret"}):
            answer = caller.request(route.split(" ")[0], path, json=body, headers=headers)
            assert answer.status_code == (200 if route in ("GET /ok", "GET /info") else 401), (route, answer.status_code, answer.text)
    assert {request.target for request in recorder.taken()} <= {"/ok", "/info"}


# A server that is down, or says what cannot be used --------------------------------------------


def test_a_server_that_is_down_is_a_502_that_tells_nothing(tmp_path):
    port = free_port()
    with gateway(tmp_path, f"http://127.0.0.1:{port}") as server:
        caller, told = user(server), set()
        assert caller.post("/threads", json={}).status_code == 502
        with Recorder(answer=lambda request: (200, {"thread_id": request.json()["thread_id"], "metadata": request.json()["metadata"]}), port=port):
            assert caller.post("/threads", json={}).status_code == 200, "as soon as it is there"
        for route, path, body, _ in every_attempt(Nobody, {"thread": str(uuid.uuid4()), "spare": str(uuid.uuid4())}, "user-ann"):
            answer = caller.request(route.split(" ")[0], path, json=body)
            if route in ("GET /ok", "GET /info") or answer.status_code == 422:
                continue
            assert answer.status_code == 502, (route, answer.status_code, answer.text)
            told.add(answer.text)
            assert not [word for word in (str(port), "127.0.0.1", caller.token, "user-ann") if word in answer.text + str(answer.headers)]
        assert told == {'{"detail":"The agent server cannot be reached."}'}
        assert anyone(server).post("/threads", json={}).status_code == 401
        assert caller.post("/mcp", json={}).status_code == 404


def test_a_request_after_the_servers_own_error_is_answered_as_ever(tutorial_gateway):
    caller, other = user(tutorial_gateway), user(tutorial_gateway)
    caller.post("/threads", json={}).raise_for_status()
    # The real server fails so at a thread without values, and then closes the connection without a word.
    answers = [(caller.post("/threads/search", json={"values": {"a": 1}}), other.post("/threads/count", json={}).status_code) for _ in range(40)]
    assert {(answer.status_code, answer.json()["detail"].split()[0], counted) for answer, counted in answers} == {(422, "`values`", 200)}


OTHER = str(uuid.uuid4())


@pytest.mark.parametrize("status, body", [
    (500, {"detail": "s3cret"}), (404, {"detail": "s3cret"}), (302, {"detail": "s3cret"}), (200, {"s3cret": 1}), (200, "s3cret"), (200, [{"s3cret": 1}]),
    (200, [{"thread_id": OTHER, "metadata": {"owner": "user-ann", "k": "s3cret"}}]), (200, [{"thread_id": OTHER, "metadata": "s3cret"}]),
], ids=lambda value: str(value)[:30].replace(OTHER, "other"))
def test_a_server_that_does_not_say_whose_a_thing_is_lets_nobody_at_it(recorded, ann, status, body):
    recorder, _ = recorded
    with recorder.saying(status, body):
        client, thread, run = ann, uuid.uuid4(), uuid.uuid4()
        for method, path, sent in (
            ("GET", "", None), ("PATCH", "", {}), ("DELETE", "", None), ("GET", "/state", None), ("POST", "/history", {}), ("POST", "/copy", None), ("GET", "/runs", None),
            ("GET", f"/runs/{run}", None), ("GET", f"/runs/{run}/join", None), ("POST", "/runs", say("x")), ("POST", "/runs/wait", say("x")), ("GET", f"/runs/{run}/stream", None),
        ):
            # No such assistant, where it is that which is looked at first.
            absent = 422 if status == 404 and method == "POST" and path in ("/runs", "/runs/wait") else 404  # unless it was there a moment ago
            answer = client.request(method, f"/threads/{thread}{path}", json=sent)
            assert answer.status_code in (404, absent, 502) and "s3cret" not in answer.text + str(answer.headers), (method, path, answer.status_code, answer.text)
            assert set(answer.json()) == {"detail"}
        targets = {(request.method, request.target.split("?")[0]) for request in recorder.taken()}
        assert targets <= {("POST", "/threads/search"), ("GET", f"/assistants/{ASSISTANT}"), ("GET", f"/threads/{thread}")}
