"""Every route of the surface as somebody else: nothing of the owner's is told or changed. L-002, L-029, L-037, L-065, L-067.

The route table is the server's own (`routes.txt`): a route that is not walked here fails the first test.
"""

import json
import os
import re
import uuid

import pytest
from agentserver import TUTORIAL, case, said, say, user
from langgraph_sdk import get_sync_client
from langgraph_sdk.errors import AuthenticationError

from harness.client import Client
from harness.native import person
from harness.programs import ROOT

ROUTES = ROOT / "crates" / "server" / "src" / "surfaces" / "routes.txt"
ASSISTANT = "fe096781-5601-53d2-b2f6-0d3403f7e9ca"
TAG = "secret-tag-of-the-owner"
TEXT = "secret-text-of-the-owner"


def route_table() -> set[str]:
    lines = (re.fullmatch(r"langgraph +([A-Z]+) +(\S+) +.*", line) for line in ROUTES.read_text().splitlines())
    return {f"{found[1]} {found[2]}" for found in lines if found}


class Owner:
    """Somebody with a thread, a finished run in it, and a second thread that is only made."""

    def __init__(self, server, client: Client | None = None) -> None:
        self.client = client or user(server)
        self.owner = self.client.token
        self.thread = self.client.post("/threads", json={"metadata": {"tag": TAG}}).json()["thread_id"]
        self.empty = self.client.post("/threads", json={"metadata": {"tag": TAG}}).json()["thread_id"]
        self.run = self.client.post(f"/threads/{self.thread}/runs", json={**say(TEXT), "metadata": {"tag": TAG}, "stream_resumable": True}).json()["run_id"]
        self.client.get(f"/threads/{self.thread}/runs/{self.run}/join").raise_for_status()
        self.checkpoint = self.client.get(f"/threads/{self.thread}/state").json()["checkpoint"]["checkpoint_id"]
        self.assistant = self.client.post("/assistants", json={"graph_id": "agent", "name": TEXT, "metadata": {"tag": TAG}}).json()["assistant_id"]
        cron = {**say(TEXT), "schedule": "0 0 1 1 *", "metadata": {"tag": TAG}}
        self.cron = self.client.post("/runs/crons", json=cron).json()["cron_id"]
        self.cron_there = self.client.post(f"/threads/{self.thread}/runs/crons", json=cron).json()["cron_id"]
        # Under the owner's name: the real server has one store for all, and this one is also what others are shown of it.
        self.space = f"s-{os.urandom(6).hex()}"
        self.client.put("/store/items", json={"namespace": [self.space, "notes"], "key": "k", "value": {"text": TEXT, "tag": TAG}}).raise_for_status()

    def everything(self) -> list[bytes]:
        """All that the owner can see, byte for byte."""
        look = [
            ("GET", f"/threads/{self.thread}", None),
            ("GET", f"/threads/{self.empty}", None),
            ("GET", f"/threads/{self.thread}/state", None),
            ("POST", f"/threads/{self.thread}/history", {"limit": 100}),
            ("GET", f"/threads/{self.thread}/runs", None),
            ("GET", f"/threads/{self.empty}/runs", None),
            ("GET", f"/threads/{self.thread}/runs/{self.run}", None),
            ("GET", f"/threads/{self.thread}/runs/{self.run}/join", None),
            ("POST", "/threads/search", {"limit": 100, "sort_by": "created_at"}),
            ("POST", "/threads/count", {}),
            ("POST", "/assistants/search", {}),
            ("GET", f"/assistants/{self.assistant}", None),
            ("GET", f"/assistants/{self.assistant}/schemas", None),
            ("POST", f"/assistants/{self.assistant}/versions", {}),
            ("GET", f"/runs/crons/{self.cron}", None),
            ("GET", f"/runs/crons/{self.cron_there}", None),
            ("POST", "/runs/crons/search", {}),
            ("GET", f"/store/items?namespace={self.space}.notes&key=k", None),
            ("POST", "/store/items/search", {"namespace_prefix": [self.space]}),
            ("POST", "/store/namespaces", {"prefix": [self.space]}),
        ]
        answers = [self.client.request(method, path, json=body) for method, path, body in look]
        assert {answer.status_code for answer in answers} == {200}
        return [answer.content for answer in answers]


@pytest.fixture
def owner(standing_in) -> Owner:
    return Owner(standing_in)


def attempts(owner: Owner, mine: dict, forged: str) -> list[tuple[str, str, object, int | set]]:
    """(route, path, body, status): `mine` are ids of the stranger's own, `forged` the owner's name."""
    thread, run, checkpoint = owner.thread, owner.run, owner.checkpoint
    body = {**say("x"), "metadata": {"owner": forged}}
    at = f"/threads/{thread}"
    own = f"/threads/{mine['thread']}"
    assistant, theirs = f"/assistants/{owner.assistant}", {"graph_id": "agent", "metadata": {"owner": forged}}
    run_theirs = {**say("x"), "assistant_id": owner.assistant}
    return [
        ("GET /ok", "/ok", None, 200),
        ("GET /info", "/info", None, 200),
        ("POST /threads", "/threads", {"thread_id": thread}, 409),
        ("POST /threads", "/threads", {"thread_id": thread, "if_exists": "raise", "metadata": {"owner": forged}}, 409),
        ("POST /threads", "/threads", {"thread_id": thread, "if_exists": "do_nothing"}, 409),
        ("POST /threads", "/threads", {"thread_id": thread, "if_exists": "do_nothing", "metadata": {"owner": forged, "tag": TAG}}, 409),
        ("POST /threads", "/threads", {"metadata": {"owner": forged}}, 200),
        ("POST /threads/search", "/threads/search", {}, 200),
        ("POST /threads/search", "/threads/search", {"ids": [thread, owner.empty]}, 200),
        ("POST /threads/search", "/threads/search", {"metadata": {"owner": forged}}, 200),
        ("POST /threads/search", "/threads/search", {"metadata": {"tag": TAG}, "status": "idle", "limit": 1000}, 200),
        ("POST /threads/search", "/threads/search", {"metadata": {"$or": [{"owner": forged}, {"tag": TAG}]}}, 200),
        ("POST /threads/search", "/threads/search", {"metadata": {"owner": {"$contains": forged}}}, 200),
        ("POST /threads/count", "/threads/count", {}, 200),
        ("POST /threads/count", "/threads/count", {"metadata": {"owner": forged}}, 200),
        ("POST /threads/count", "/threads/count", {"metadata": {"tag": TAG}}, 200),
        ("POST /threads/prune", "/threads/prune", {"thread_ids": [thread]}, 404),
        ("POST /threads/prune", "/threads/prune", {"thread_ids": [mine["spare"], thread]}, 404),
        ("POST /threads/prune", "/threads/prune", {"thread_ids": [thread], "strategy": "keep_latest"}, {404, 422}),
        ("GET /threads/{thread}", at, None, 404),
        ("PATCH /threads/{thread}", at, {"metadata": {"tag": "taken"}}, 404),
        ("PATCH /threads/{thread}", at, {"metadata": {"owner": forged}}, 404),
        ("DELETE /threads/{thread}", at, None, 404),
        ("POST /threads/{thread}/copy", f"{at}/copy", None, 409),
        ("POST /threads/{thread}/copy", f"{at}/copy", {"metadata": {"owner": forged}}, 409),
        ("GET /threads/{thread}/state", f"{at}/state", None, 404),
        ("GET /threads/{thread}/state/{checkpoint}", f"{at}/state/{checkpoint}", None, 404),
        ("GET /threads/{thread}/state/{checkpoint}", f"{own}/state/{checkpoint}", None, {200, 404}),
        ("POST /threads/{thread}/state", f"{at}/state", {"values": say("x")["input"]}, 404),
        ("POST /threads/{thread}/state", f"{at}/state", {"values": say("x")["input"], "checkpoint": {"thread_id": mine["thread"], "checkpoint_id": checkpoint, "checkpoint_ns": ""}}, {404, 422}),
        ("POST /threads/{thread}/state", f"{own}/state", {"values": say("x")["input"], "checkpoint": {"thread_id": thread, "checkpoint_id": checkpoint, "checkpoint_ns": ""}}, {200, 404, 422}),
        ("POST /threads/{thread}/state/checkpoint", f"{at}/state/checkpoint", {"checkpoint": {"checkpoint_id": checkpoint}}, 404),
        ("POST /threads/{thread}/state/checkpoint", f"{own}/state/checkpoint", {"checkpoint": {"thread_id": thread, "checkpoint_id": checkpoint, "checkpoint_ns": ""}}, {200, 404}),
        ("GET /threads/{thread}/history", f"{at}/history", None, 404),
        ("GET /threads/{thread}/history", f"{own}/history?before={checkpoint}", None, {200, 404, 422}),
        ("POST /threads/{thread}/history", f"{at}/history", {}, 404),
        ("POST /threads/{thread}/history", f"{own}/history", {"before": {"configurable": {"thread_id": thread, "checkpoint_id": checkpoint}}}, {200, 404, 422}),
        ("POST /threads/{thread}/history", f"{own}/history", {"checkpoint": {"thread_id": thread}}, {200, 404, 422}),
        ("POST /threads/{thread}/runs", f"{at}/runs", body, 404),
        ("POST /threads/{thread}/runs", f"{at}/runs", {**body, "if_not_exists": "create"}, 404),
        ("POST /threads/{thread}/runs", f"{at}/runs", {**body, "multitask_strategy": "rollback"}, 404),
        ("POST /threads/{thread}/runs", f"{at}/runs", {**body, "multitask_strategy": "interrupt"}, 404),
        ("POST /threads/{thread}/runs/wait", f"{at}/runs/wait", body, 404),
        ("POST /threads/{thread}/runs/wait", f"{at}/runs/wait", {**body, "if_not_exists": "create"}, 404),
        ("POST /threads/{thread}/runs/stream", f"{at}/runs/stream", body, 404),
        ("POST /threads/{thread}/runs/stream", f"{at}/runs/stream", {**body, "if_not_exists": "create"}, 404),
        ("GET /threads/{thread}/runs", f"{at}/runs", None, 404),
        ("GET /threads/{thread}/runs", f"{own}/runs", None, 200),
        ("GET /threads/{thread}/runs/{run}", f"{at}/runs/{run}", None, 404),
        ("GET /threads/{thread}/runs/{run}", f"{own}/runs/{run}", None, 404),
        ("GET /threads/{thread}/runs/{run}/join", f"{at}/runs/{run}/join", None, 404),
        ("GET /threads/{thread}/runs/{run}/join", f"{own}/runs/{run}/join", None, 404),
        ("GET /threads/{thread}/runs/{run}/stream", f"{at}/runs/{run}/stream", None, 404),
        ("GET /threads/{thread}/runs/{run}/stream", f"{own}/runs/{run}/stream", None, 404),
        ("GET /threads/{thread}/runs/{run}/stream", f"{at}/runs/{run}/stream?cancel_on_disconnect=true", None, 404),
        ("POST /threads/{thread}/runs/{run}/cancel", f"{at}/runs/{run}/cancel", None, 404),
        ("POST /threads/{thread}/runs/{run}/cancel", f"{at}/runs/{run}/cancel?action=rollback&wait=1", None, 404),
        ("POST /threads/{thread}/runs/{run}/cancel", f"{own}/runs/{run}/cancel?action=rollback", None, 404),
        ("POST /runs/cancel", "/runs/cancel", {"thread_id": thread, "run_ids": [run]}, 404),
        ("POST /runs/cancel", "/runs/cancel?action=rollback", {"thread_id": mine["thread"], "run_ids": [run]}, 404),
        ("POST /runs/cancel", "/runs/cancel", {"status": "all"}, {200, 204, 404, 422}),
        ("DELETE /threads/{thread}/runs/{run}", f"{at}/runs/{run}", None, 404),
        ("DELETE /threads/{thread}/runs/{run}", f"{own}/runs/{run}", None, 404),
        ("POST /runs", "/runs", {**body, "config": {"configurable": {"thread_id": thread}}}, {200, 422}),
        ("POST /runs", "/runs", {**body, "thread_id": thread}, {200, 422}),
        ("POST /runs/wait", "/runs/wait", {**body, "config": {"configurable": {"thread_id": thread}}}, {200, 422}),
        ("POST /runs/wait", "/runs/wait?from=moment", {**body, "config": {"configurable": {"thread_id": thread, "checkpoint_id": checkpoint}}}, {200, 422}),
        ("POST /runs/stream", "/runs/stream", {**body, "config": {"configurable": {"thread_id": thread}}}, {200, 422}),
        ("POST /runs/batch", "/runs/batch", [body, {**body, "config": {"configurable": {"thread_id": thread}}}], {200, 422}),
        ("POST /assistants/search", "/assistants/search", {}, 200),
        ("POST /assistants/search", "/assistants/search", {"metadata": {"owner": forged}}, 200),
        ("POST /assistants/count", "/assistants/count", {}, 200),
        ("GET /assistants/{assistant}", f"/assistants/{ASSISTANT}", None, 404),
        ("GET /assistants/{assistant}/graph", f"/assistants/{ASSISTANT}/graph", None, 404),
        ("GET /assistants/{assistant}/schemas", f"/assistants/{ASSISTANT}/schemas", None, 404),
        ("GET /assistants/{assistant}/subgraphs", f"/assistants/{ASSISTANT}/subgraphs", None, 404),
        ("POST /assistants", "/assistants", {**theirs, "assistant_id": owner.assistant}, 409),
        ("POST /assistants", "/assistants", {**theirs, "assistant_id": owner.assistant, "if_exists": "do_nothing"}, 409),
        ("GET /assistants/{assistant}", assistant, None, 404),
        ("PATCH /assistants/{assistant}", assistant, {"name": "taken", "metadata": {"owner": forged}}, 404),
        ("DELETE /assistants/{assistant}", assistant, None, 404),
        ("DELETE /assistants/{assistant}", f"{assistant}?delete_threads=true", None, {404, 422}),
        *((f"GET /assistants/{{assistant}}/{what}", f"{assistant}/{what}", None, 404) for what in ("graph", "schemas", "subgraphs")),
        ("POST /assistants/{assistant}/versions", f"{assistant}/versions", {}, 404),
        ("POST /assistants/{assistant}/latest", f"{assistant}/latest", {"version": 1}, 404),
        ("PATCH /assistants/{assistant}", f"/assistants/{ASSISTANT}", {"name": "taken"}, 404),
        ("DELETE /assistants/{assistant}", f"/assistants/{ASSISTANT}", None, 404),
        *((f"POST /threads/{{thread}}/runs{kind}", f"{own}/runs{kind}", run_theirs, 404) for kind in ("", "/wait", "/stream")),
        *((f"POST /runs{kind}", f"/runs{kind}", run_theirs, 404) for kind in ("", "/wait", "/stream")),
        ("POST /runs/batch", "/runs/batch", [run_theirs], 404),
        ("POST /threads/{thread}/runs/crons", f"{at}/runs/crons", {**body, "schedule": "0 0 1 1 *"}, 404),
        ("POST /threads/{thread}/runs/crons", f"{own}/runs/crons", {**run_theirs, "schedule": "0 0 1 1 *"}, 404),
        ("POST /runs/crons", "/runs/crons", {**body, "schedule": "0 0 1 1 *"}, 200),
        ("POST /runs/crons", "/runs/crons", {**run_theirs, "schedule": "0 0 1 1 *"}, 404),
        ("POST /runs/crons/search", "/runs/crons/search", {}, 200),
        ("POST /runs/crons/search", "/runs/crons/search", {"thread_id": thread}, 200),
        ("POST /runs/crons/search", "/runs/crons/search", {"metadata": {"tag": TAG}, "assistant_id": ASSISTANT, "limit": 1000}, 200),
        ("POST /runs/crons/count", "/runs/crons/count", {"thread_id": thread}, 200),
        ("POST /runs/crons/count", "/runs/crons/count", {"metadata": {"tag": TAG}}, 200),
        *(entry for cron in (owner.cron, owner.cron_there) for entry in (
            ("GET /runs/crons/{cron}", f"/runs/crons/{cron}", None, 404),
            ("PATCH /runs/crons/{cron}", f"/runs/crons/{cron}", {"enabled": False, "metadata": {"owner": forged}}, 404),
            ("PATCH /runs/crons/{cron}", f"/runs/crons/{cron}", say("taken"), 404),
            ("DELETE /runs/crons/{cron}", f"/runs/crons/{cron}", None, 404),
        )),
        # What is not there is `null`, an empty list, or gone already, as on the real server.
        ("GET /store/items", f"/store/items?namespace={owner.space}.notes&key=k", None, 200),
        ("GET /store/items", f"/store/items?namespace={owner.space}.notes&key=k&refresh_ttl=true", None, 200),
        ("PUT /store/items", "/store/items", {"namespace": [owner.space, "notes"], "key": "k", "value": {"text": "taken"}}, {204, 409}),
        ("POST /store/items/search", "/store/items/search", {}, 200),
        ("POST /store/items/search", "/store/items/search", {"namespace_prefix": [owner.space], "filter": {"tag": TAG}}, 200),
        ("POST /store/items/search", "/store/items/search", {"namespace_prefix": [owner.space], "filter": {"owner": {"$ne": "x"}}, "limit": 1000}, 200),
        ("POST /store/namespaces", "/store/namespaces", {"prefix": [owner.space], "suffix": ["nothing-of-mine"]}, 200),
        ("DELETE /store/items", "/store/items", {"namespace": [owner.space, "notes"], "key": "k"}, 204),
        ("POST /store/namespaces", "/store/namespaces", {"prefix": [owner.space]}, 200),
    ]


class Stranger:
    def __init__(self, server, client: Client | None = None) -> None:
        self.client = client or user(server)
        self.ids = {name: self.client.post("/threads", json={}).json()["thread_id"] for name in ("thread", "spare")}
        run = self.client.post(f"/threads/{self.ids['thread']}/runs", json=say("mine")).json()["run_id"]
        self.client.get(f"/threads/{self.ids['thread']}/runs/{run}/join").raise_for_status()

    def does(self, route: str, path: str, body):
        return self.client.request(route.split(" ")[0], path, json=body)


class Nobody:
    """Ids that nothing has."""

    thread, empty, run, checkpoint, assistant, cron, cron_there = (str(uuid.uuid4()) for _ in range(7))
    space = "nothing"


def test_every_route_of_the_table_is_walked():
    walked = {route for route, *_ in attempts(Nobody, {"thread": "x", "spare": "y"}, "user-a")}
    assert walked == route_table() and len(walked) > 30


def test_a_stranger_learns_and_changes_nothing_on_any_route(standing_in, owner):
    stranger = Stranger(standing_in)
    before = owner.everything()
    wrong = []
    for route, path, body, status in attempts(owner, stranger.ids, owner.owner):
        answer = stranger.does(route, path, body)
        fits = status is None or answer.status_code == status or (isinstance(status, set) and answer.status_code in status)
        told = [word for word in (TAG, TEXT, owner.owner) if word in answer.text]
        if not fits or told or answer.status_code >= 500:
            wrong.append((route, path, body, answer.status_code, answer.text[:200], told))
    assert wrong == []
    assert owner.everything() == before


def test_every_route_of_the_table_asks_the_handlers_of_acts(standing_in, owner):
    """L-028: each route but the two open ones, by whatever way it is called."""
    stranger, asked = Stranger(standing_in), {}
    for route, path, body, _ in attempts(owner, stranger.ids, owner.owner):
        answer = stranger.client.request(route.split(" ")[0], path, json=body, headers=case(ask="who"))
        asked.setdefault(route, []).append(answer.status_code)
    assert {route for route, statuses in asked.items() if 418 not in statuses} == {"GET /ok", "GET /info"}


def member(server) -> Client:
    """Somebody with an account of Doorward's own, at the mount."""
    return Client(server.mount("langgraph"), person(server.url).tokens.access)


@pytest.mark.parametrize("kind", ["no handler of acts", "no handlers", "handlers without filters"])
def test_what_no_filter_holds_is_the_owners_alone_by_default(serve, project, kind):
    """`uncovered = "own"`, Doorward's own accounts, and a handler for one act alone: the walk ends alike."""
    if kind == "no handlers":
        server = serve(None)
        owner, stranger = Owner(server, member(server)), Stranger(server, member(server))
    else:
        more = """
    @auth.on.threads.create
    async def tagged(ctx, value):
        value.setdefault("metadata", {})["made-by"] = "handler"
    """
        text = TUTORIAL.partition("@auth.on")[0] + (more if kind == "handlers without filters" else "")
        server = serve(project.write("auth.py", text))
        owner, stranger = Owner(server), Stranger(server)
    before, wrong = owner.everything(), []
    for route, path, body, _ in attempts(owner, stranger.ids, owner.owner):
        answer = stranger.does(route, path, body)
        told = [word for word in (TAG, TEXT) if word in answer.text]
        reached = owner.thread in path and answer.status_code < 400
        if told or reached or answer.status_code >= 500:
            wrong.append((route, path, body, answer.status_code, answer.text[:200]))
    assert wrong == []
    assert owner.everything() == before


def test_an_account_of_another_server_is_nobody_here(serve):
    first, second = serve(None), serve(None)
    token = person(first.url).tokens.access
    client = get_sync_client(url=first.mount("langgraph"), headers={"Authorization": f"Bearer {token}"})
    assert client.threads.create()["status"] == "idle"
    other = get_sync_client(url=second.mount("langgraph"), headers={"Authorization": f"Bearer {token}"})
    with pytest.raises(AuthenticationError):
        other.threads.create()


def test_a_stranger_finds_one_thing_after_the_walk_namely_what_is_the_strangers(standing_in, owner):
    stranger = Stranger(standing_in)
    for route, path, body, _ in attempts(owner, stranger.ids, owner.owner):
        stranger.does(route, path, body)
    answer = stranger.client.post("/threads/search", json={"limit": 1000})
    found = answer.json()
    assert int(answer.headers["x-pagination-total"]) == len(found)
    assert {thread["metadata"]["owner"] for thread in found} == {stranger.client.token}
    assert stranger.ids["thread"] in [thread["thread_id"] for thread in found]
    assert stranger.ids["spare"] in [thread["thread_id"] for thread in found], "prune takes all or none"
    assert "mine" in stranger.client.get(f"/threads/{stranger.ids['thread']}").text


def test_what_is_anothers_is_answered_like_what_is_not_there(standing_in, owner):
    stranger = Stranger(standing_in)

    def told(of) -> list:
        ids = {of.thread: "<thread>", of.run: "<run>", of.checkpoint: "<checkpoint>", of.empty: "<empty>", of.space: "<space>", of.assistant: "<assistant>", of.cron: "<cron>", of.cron_there: "<cron>"}
        answers = []
        for route, path, body, status in attempts(of, stranger.ids, owner.owner):
            # A name that is taken is the one thing that creating tells, as on the real server; it is an id nobody guesses.
            making = isinstance(body, dict) and body.get("if_not_exists") == "create"
            if route in ("POST /threads", "POST /assistants", "GET /threads/{thread}/state/{checkpoint}") or isinstance(status, set) or making:
                continue
            answer = stranger.does(route, path, body)
            text = answer.text
            for value, shown in ids.items():
                text = text.replace(value, shown)
            answers.append((route, path.replace(of.thread, "<thread>").replace(of.run, "<run>").replace(of.checkpoint, "<checkpoint>").replace(of.space, "<space>").replace(of.assistant, "<assistant>").replace(of.cron, "<cron>").replace(of.cron_there, "<cron>"), answer.status_code, text if status in (404, 409) else ""))
        return answers

    assert told(owner) == told(Nobody)


#: What differs from the real server on purpose, by method and path: (ours, the real server's) status, and why.
DIFFERENT = {
    "POST /threads/prune keep_latest": (422, 404, "pruning to the latest checkpoint is not supported, and said before anything is looked at"),
    "POST /threads/<thread>/state checkpoint": (422, 404, "forks of an earlier checkpoint are not supported, and said before anything is looked at"),
    "POST /threads/<own>/state checkpoint": (422, 200, "forks of an earlier checkpoint are not supported"),
    "POST /threads/<own>/history checkpoint": (422, 200, "a history of another namespace is not supported"),
    "DELETE /assistants/<assistant>?delete_threads=true": (422, 404, "threads are deleted one by one, and that is said before anything is looked at"),
    "POST /runs/cancel status": (422, 404, "runs are cancelled by their ids"),
    "POST /runs/wait?from=moment": (422, 200, "a run goes on from its thread's end; the real server looks for the other moment in a new thread, and begins anew"),
    "GET /threads/<own>/runs/<run>/join": (404, 200, "a run of another thread is not there; the real server answers the own thread's state"),
    "GET /threads/<thread>/runs/<run>/stream": (404, 200, "a refusal is a status; the real server begins a stream to say it in an event"),
    "GET /threads/<own>/runs/<run>/stream": (404, 200, "the same"),
    "GET /threads/<thread>/runs/<run>/stream?cancel_on_disconnect=true": (404, 200, "the same"),
}


def test_the_walk_has_the_real_servers_statuses(standing_in, real):
    def told(server) -> list[tuple]:
        owner, stranger = Owner(server), Stranger(server)
        names = {owner.thread: "<thread>", owner.run: "<run>", owner.checkpoint: "<checkpoint>", owner.owner: "<owner>", owner.space: "<space>", owner.assistant: "<assistant>", owner.cron: "<cron>", owner.cron_there: "<cron there>"}
        names[stranger.ids["thread"]] = "<own>"
        answers = []
        for route, path, body, _ in attempts(owner, stranger.ids, owner.owner):
            if route == "POST /store/items/search":
                # The real server fails at a search of its store under a handler's filter, and cuts the line behind it.
                continue
            answer = stranger.does(route, path, body)
            text = str(said(answer)) if answer.status_code >= 400 else ""
            for value, shown in names.items():
                path, text = path.replace(value, shown), text.replace(value, shown)
            special = [word for word in ("checkpoint", "status", "strategy") if isinstance(body, dict) and word in body]
            note = {"strategy": " keep_latest", "checkpoint": " checkpoint", "status": " status"}[special[0]] if special else ""
            answers.append((f"{route.split(' ')[0]} {path}{note}", answer.status_code, text))
        return answers

    wrong = []
    for (name, status, text), (_, real_status, real_text) in zip(told(standing_in), real.once("walk", told), strict=True):
        if name in DIFFERENT:
            if DIFFERENT[name][:2] != (status, real_status):
                wrong.append((name, status, real_status))
        elif (status, text) != (real_status, real_text):
            wrong.append((name, (status, text), (real_status, real_text)))
    assert wrong == []


def test_an_owner_in_a_copy_is_the_one_who_copies(standing_in):
    someone = user(standing_in)
    thread = someone.post("/threads", json={"metadata": {"k": 1}}).json()["thread_id"]
    copy = someone.post(f"/threads/{thread}/copy", json={"metadata": {"owner": "user-eve"}}).json()
    assert copy["metadata"]["owner"] == someone.token and copy["metadata"]["k"] == 1


@pytest.mark.parametrize("path", ["/threads/{t}/runs", "/threads/{t}/runs/wait", "/threads/{t}/runs/stream"])
def test_a_thread_that_a_run_makes_belongs_to_whoever_asked(standing_in, path):
    someone, thread = user(standing_in), str(uuid.uuid4())
    answer = someone.post(path.replace("{t}", thread), json={**say("x"), "if_not_exists": "create", "metadata": {"owner": "user-eve"}})
    assert answer.status_code == 200, answer.text
    assert someone.get(f"/threads/{thread}").json()["metadata"]["owner"] == someone.token
    assert user(standing_in, "eve").get(f"/threads/{thread}").status_code == 404


@pytest.mark.parametrize("path", ["/runs", "/runs/wait", "/runs/stream"])
def test_a_kept_thread_of_a_stateless_run_belongs_to_whoever_asked(standing_in, path):
    someone, tag = user(standing_in), os.urandom(6).hex()
    answer = someone.post(path, json={**say("x"), "on_completion": "keep", "metadata": {"owner": "user-eve", "tag": tag}})
    assert answer.status_code == 200, answer.text
    kept = someone.post("/threads/search", json={}).json()
    assert [thread["metadata"]["owner"] for thread in kept] == [someone.token]
    assert user(standing_in, "eve").post("/threads/search", json={"metadata": {"tag": tag}}).json() == []


def test_a_claim_of_who_asks_is_never_believed_or_echoed(standing_in):
    someone = user(standing_in)
    thread = someone.post("/threads", json={}).json()["thread_id"]
    forged = {"configurable": {"langgraph_auth_user": {"identity": "user-eve"}, "langgraph_auth_user_id": "user-eve", "langgraph_auth_permissions": ["*"], "k": 1}}
    run = someone.post(f"/threads/{thread}/runs", json={**say("x"), "config": forged})
    shown = someone.get(f"/threads/{thread}/runs/{run.json()['run_id']}")
    assert "user-eve" not in run.text + shown.text and "langgraph_auth" not in shown.text
