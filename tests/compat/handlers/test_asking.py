"""`import doorward` in a handler: what it asks is answered by what is built in, never by itself, however busy its event loop is."""

import json

import httpx
import pytest

from conftest import interpreter
from harness.doorward import Doorward

ASKING = """
import asyncio
import doorward
from langgraph_sdk import Auth

auth = Auth()


@auth.authenticate
KIND who(authorization: str | None):
    known = doorward.identify(authorization)
    if known is None:
        raise Auth.exceptions.HTTPException(status_code=401, detail="nobody of Doorward's")
    return {"identity": known["subject"], "roles": known["roles"], "method": known["method"]}


@auth.on
async def mine(ctx, value):
    value.setdefault("metadata", {}).update(owner=ctx.user.identity, method=ctx.user.method)
    return {"owner": ctx.user.identity}
"""


@pytest.fixture(params=["bare", "ours"], ids=["standing-in", "sdk-0.4.14"])
def serve(request, tmp_path):
    running = []

    def start(text: str) -> Doorward:
        home = tmp_path / "graph"
        home.mkdir()
        (home / "auth.py").write_text(text)
        settings = home / "langgraph.json"
        settings.write_text(json.dumps({"auth": {"path": "./auth.py:auth"}}))
        config = tmp_path / "doorward.toml"
        config.write_text(f'[handlers]\npython = "{interpreter(request.param)}"\n')
        config.chmod(0o600)
        arguments = ["--listen", "127.0.0.1:0", "--config", config, "--langgraph", settings]
        running.append(Doorward("dev", *arguments, home=tmp_path / "doorward"))
        return running[-1]

    yield start
    for server in running:
        server.program.stop()


def signed_up(server: Doorward, name: str) -> tuple[str, str]:
    person = {"username": name, "password": "correct horse battery 1"}
    user = httpx.post(f"{server.url}/v1/users", json=person).json()["id"]
    token = httpx.post(f"{server.url}/v1/token", json={**person, "grant_type": "password"}).json()["access_token"]
    return user, token


@pytest.mark.parametrize("kind", ["async def", "def"])
def test_a_handler_asks_doorward_who_a_token_is(serve, kind):
    server = serve(ASKING.replace("KIND", kind))
    user, token = signed_up(server, "ada")
    threads = f"{server.mount('langgraph')}/threads"
    # Many at once: each waits for an answer while others wait for the same process.
    with httpx.Client(headers={"Authorization": f"Bearer {token}"}) as client:
        for _ in range(20):
            made = client.post(threads, json={})
            assert made.status_code == 200, made.text
    assert made.json()["metadata"] == {"owner": user, "method": "own_token"}
    for header in ({}, {"Authorization": "Bearer junk"}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer"}):
        refused = httpx.post(threads, json={}, headers=header)
        assert (refused.status_code, refused.json()) == (401, {"detail": "nobody of Doorward's"}), header


def test_a_token_that_was_logged_out_is_nobodys_to_a_handler_at_once(serve):
    server = serve(ASKING.replace("KIND", "async def"))
    _, token = signed_up(server, "ada")
    bearer = {"Authorization": f"Bearer {token}"}
    threads = f"{server.mount('langgraph')}/threads"
    assert httpx.post(threads, json={}, headers=bearer).status_code == 200
    assert httpx.post(f"{server.url}/v1/logout", json={}, headers=bearer).status_code == 204
    assert httpx.post(threads, json={}, headers=bearer).status_code == 401


def test_what_is_asked_while_the_file_is_loaded_has_no_answer_yet(serve):
    server = serve("import doorward\ntry:\n    doorward.identify('Bearer x')\nexcept doorward.Unavailable as why:\n    told = str(why)\n" + ASKING.replace(
        'detail="nobody of Doorward\'s"', "detail=told").replace("KIND", "async def"))
    refused = httpx.post(f"{server.mount('langgraph')}/threads", json={})
    assert refused.json() == {"detail": "Doorward is not ready yet; ask within a call"}
