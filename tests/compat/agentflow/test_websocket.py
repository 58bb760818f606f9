"""A-032: PyPI `websockets`, unmodified, through Doorward to the real server's `/v1/graph/ws`."""

import json
from uuid import uuid4

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from harness.agentflow.tokens import token
from harness.agentflow.wire import text_message
from harness.client import Client
from harness.native import person
from harness.programs import wait_until

LIMIT_S = 30


def new_user() -> str:
    return f"user-{uuid4().hex[:12]}"


def address(gateway) -> str:
    return gateway.mount("agentflow").replace("http://", "ws://") + "/v1/graph/ws"


def bearer(text: str) -> dict:
    return {"additional_headers": {"Authorization": f"Bearer {text}"}}


def subprotocol(text: str) -> dict:
    return {"subprotocols": ["agentflow-bearer", text]}


FORMS = {"header": bearer, "subprotocol": subprotocol}


def run(socket, text: str, thread: str | None = None) -> list[dict]:
    """One run; every chunk up to the server's own mark of its end, or a refusal."""
    config = {"thread_id": thread} if thread is not None else {}
    socket.send(json.dumps({"invoke_type": "fresh", "messages": [text_message(text)], "config": config}))
    chunks = []
    while True:
        chunk = json.loads(socket.recv(timeout=LIMIT_S))
        chunks.append(chunk)
        data = chunk.get("data") or {}
        if chunk["event"] == "error" or data.get("status") == "done":
            return chunks


def threads_of(gateway, owner: str) -> list[str]:
    listed = Client(gateway.mount("agentflow"), token(owner)).get("/v1/threads").json()
    return [thread["thread_id"] for thread in listed["data"]["threads"]]


@pytest.mark.parametrize("form", FORMS)
def test_a_good_token_opens_the_socket_in_either_form_and_runs_the_graph(gateway, form):
    alice = new_user()
    with connect(address(gateway), **FORMS[form](token(alice))) as socket:
        assert socket.subprotocol == (None if form == "header" else "agentflow-bearer")
        chunks = run(socket, "over a socket")
        assert "Echo: over a socket" in json.dumps(chunks)
    owned = wait_until(lambda: threads_of(gateway, alice), "the thread's claim")
    assert len(owned) == 1


@pytest.mark.parametrize("form", FORMS)
def test_a_bad_token_is_refused_with_1008(gateway, form):
    with connect(address(gateway), **FORMS[form]("not.a.token")) as socket:
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=LIMIT_S)
    assert closed.value.rcvd.code == 1008


def test_no_token_is_refused_with_1008(gateway):
    with connect(address(gateway)) as socket, pytest.raises(ConnectionClosed) as closed:
        socket.recv(timeout=LIMIT_S)
    assert closed.value.rcvd.code == 1008


def test_on_plain_http_the_subprotocol_is_no_token(gateway):
    offered = {"Sec-WebSocket-Protocol": f"agentflow-bearer, {token(new_user())}"}
    answer = Client(gateway.mount("agentflow")).get("/v1/threads", headers=offered)
    assert answer.status_code == 401


def test_several_runs_go_on_in_one_thread_and_nobody_else_gets_in(gateway):
    alice, bob = new_user(), new_user()
    with connect(address(gateway), **bearer(token(alice))) as hers:
        run(hers, "first", "new")
        [thread] = wait_until(lambda: threads_of(gateway, alice), "the thread's claim")
        assert "Echo: second" in json.dumps(run(hers, "second", thread))
        with connect(address(gateway), **bearer(token(bob))) as his:
            refused = run(his, "intruder", thread)
            assert refused[-1]["event"] == "error"
            assert "Echo: intruder" not in json.dumps(refused)
            assert "Echo: my own" in json.dumps(run(his, "my own")), "and the socket goes on"
    messages = Client(gateway.mount("agentflow"), token(alice)).get(f"/v1/threads/{thread}/messages").text
    assert "second" in messages and "intruder" not in messages


def test_revoking_the_token_closes_the_socket(gateway):
    alice = new_user()
    with connect(address(gateway), **bearer(token(alice))) as socket:
        run(socket, "hello")
        gateway.command("token", "revoke", "--principal", f"agentflow|{alice}")
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=LIMIT_S)
    assert closed.value.rcvd.code == 1008


def test_a_role_that_was_taken_away_counts_on_the_next_message(start, real_server):
    server = start("dev", "--upstream", real_server.url, "--surface", "agentflow")
    alice, boss = person(server.url), person(server.url)
    admin = Client(server.url, server.admin_key)
    with connect(address(server), **bearer(alice.tokens.access)) as hers:
        run(hers, "a secret")
    listed = Client(server.mount("agentflow"), alice.tokens.access).get("/v1/threads").json()
    [thread] = [thread["thread_id"] for thread in listed["data"]["threads"]]
    assert admin.patch(f"/v1/users/{boss.id}", json={"roles": ["admin"]}).status_code == 200
    with connect(address(server), **bearer(boss.tokens.access)) as his:
        assert "Echo: as administrator" in json.dumps(run(his, "as administrator", thread))
        assert admin.patch(f"/v1/users/{boss.id}", json={"roles": ["user"]}).status_code == 200
        refused = run(his, "as nobody", thread)
        assert refused[-1]["event"] == "error" and "Echo: as nobody" not in json.dumps(refused)
        assert admin.patch(f"/v1/users/{boss.id}", json={"disabled": True}).status_code == 200
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                his.recv(timeout=LIMIT_S)
    assert closed.value.rcvd.code == 1008
