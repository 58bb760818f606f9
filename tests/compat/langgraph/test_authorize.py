"""`@auth.on` over HTTP, beside the real server: L-028 to L-036."""

import json
import os
import re

import pytest
from agentserver import case, said, say, tables, user

TABLES = tables()


def rooted(server):
    """Somebody whose acts no filter holds."""
    return user(server)


def thread_of(server, **metadata) -> str:
    made = rooted(server).post("/threads", json={"metadata": metadata}, headers=case(on="None"))
    assert made.status_code == 200, made.text
    return made.json()["thread_id"]


@pytest.fixture(params=["create", "read", "search", "run"])
def act(request):
    """One act of each kind, as somebody whose handler does what `header` says."""

    def do(server, header: dict[str, str]):
        someone = user(server)
        if request.param == "create":
            return someone.post("/threads", json={"metadata": {"a": 1}}, headers=header)
        if request.param == "search":
            return someone.post("/threads/search", json={"metadata": {"none": os.urandom(4).hex()}}, headers=header)
        thread = thread_of(server, owner=someone.token)
        if request.param == "run":
            return someone.post(f"/threads/{thread}/runs", json={**say("x"), "after_seconds": 3000}, headers=header)
        return someone.get(f"/threads/{thread}", headers=header)

    do.kind = request.param
    return do


#: Results whose status differs on purpose: (ours, the real server's), and why.
RESULT_DIFFERS = {"1.0": (500, 200, "a float is no answer to a question of yes and no")}


@pytest.mark.parametrize("name", TABLES.RESULTS)
def test_every_result_has_the_real_servers_meaning(cases, real, act, name):
    theirs = real.once(f"result {act.kind} {name}", lambda server: act(server, case(on=name)))
    ours = act(cases, case(on=name))
    if name in RESULT_DIFFERS:
        assert (ours.status_code, theirs.status_code) == RESULT_DIFFERS[name][:2]
        return
    assert ours.status_code == theirs.status_code, (ours.text, theirs.text)
    if theirs.status_code != 200:
        assert without_ids(said(ours)) == without_ids(said(theirs))


def same_refusal(server, real, act, name: str) -> None:
    theirs = real.once(f"raise {act.kind} {name}", lambda asked: act(asked, case(on=f"raise {name}")))
    ours = act(server, case(on=f"raise {name}"))
    assert (ours.status_code, said(ours)) == (theirs.status_code, said(theirs))
    assert [ours.headers.get(name) for name in ("x-plan", "retry-after")] == [theirs.headers.get(name) for name in ("x-plan", "retry-after")]
    assert "secret-word" not in ours.text


@pytest.mark.parametrize("name", [name for name in TABLES.RESULT_RAISES if not name.startswith("Starlette")])
def test_every_error_of_a_decision_has_the_real_servers_answer(cases, real, act, name):
    same_refusal(cases, real, act, name)


@pytest.mark.parametrize("name", [name for name in TABLES.RESULT_RAISES if name.startswith("Starlette")])
def test_starlettes_own_errors_of_a_decision_have_the_real_servers_answer(sdk, real, act, name):
    same_refusal(sdk, real, act, name)


def without_ids(text: str) -> str:
    return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<id>", str(text))


@pytest.mark.parametrize("how", [None, "replaced", "both", "removed", "untouched"])
def test_what_a_handler_writes_in_place_is_stored_and_what_it_replaces_is_not(cases, real, how):
    def stored(server):
        made = user(server, "ann").post("/threads", json={"metadata": {"a": 1, "owner": "forged"}}, headers=case(metadata=how))
        return made.status_code, made.json()["metadata"]

    assert stored(cases) == stored(real)


def test_a_thread_without_metadata_gets_what_the_handler_sets(cases):
    someone = user(cases)
    assert someone.post("/threads", json={}).json()["metadata"] == {"owner": someone.token}


@pytest.mark.parametrize("how", [None, "replaced", "both", "untouched"])
def test_what_a_handler_writes_into_an_update_is_stored(cases, real, how):
    def stored(server):
        someone = user(server, "ann")
        thread = someone.post("/threads", json={"metadata": {"a": 1}}).json()["thread_id"]
        changed = someone.patch(f"/threads/{thread}", json={"metadata": {"b": 2, "owner": "forged"}}, headers=case(metadata=how))
        return changed.status_code, changed.json()["metadata"]

    assert stored(cases) == stored(real)


def test_what_a_handler_writes_into_a_run_is_stored_with_it(cases, real):
    def stored(server):
        someone = user(server, "ann")
        thread = someone.post("/threads", json={}).json()["thread_id"]
        body = {**say("x"), "metadata": {"a": 1, "owner": "forged"}, "after_seconds": 3000}
        run = someone.post(f"/threads/{thread}/runs", json=body).json()
        return {name: run["metadata"].get(name) for name in ("a", "owner")}

    assert stored(cases) == stored(real)


ROUTES = {
    "threads.create": ("POST", "/threads", {"metadata": {"a": 1}}),
    "threads.search": ("POST", "/threads/search", {"metadata": {"a": 1}, "limit": 3}),
    "threads.count": ("POST", "/threads/count", {"metadata": {"a": 1}}),
    "threads.prune": ("POST", "/threads/prune", {"thread_ids": ["{thread}"]}),
    "threads.read": ("GET", "/threads/{thread}", None),
    "threads.update": ("PATCH", "/threads/{thread}", {"metadata": {"a": 2}}),
    "threads.delete": ("DELETE", "/threads/{thread}", None),
    "threads.copy": ("POST", "/threads/{thread}/copy", None),
    "state.read": ("GET", "/threads/{thread}/state", None),
    "state.update": ("POST", "/threads/{thread}/state", {"values": {"messages": [{"role": "user", "content": "x"}]}}),
    "state.checkpoint": ("POST", "/threads/{thread}/state/checkpoint", {"checkpoint": {"checkpoint_id": "{run}"}}),
    "state.of": ("GET", "/threads/{thread}/state/{run}", None),
    "history": ("GET", "/threads/{thread}/history", None),
    "history.post": ("POST", "/threads/{thread}/history", {}),
    "runs.create": ("POST", "/threads/{thread}/runs", {"assistant_id": "agent", "input": {}, "metadata": {"a": 1}}),
    "runs.wait": ("POST", "/threads/{thread}/runs/wait", {"assistant_id": "agent", "input": {}}),
    "runs.stream": ("POST", "/threads/{thread}/runs/stream", {"assistant_id": "agent", "input": {}}),
    "runs.list": ("GET", "/threads/{thread}/runs", None),
    "runs.get": ("GET", "/threads/{thread}/runs/{run}", None),
    "runs.join": ("GET", "/threads/{thread}/runs/{run}/join", None),
    "runs.cancel": ("POST", "/threads/{thread}/runs/{run}/cancel", {}),
    "runs.delete": ("DELETE", "/threads/{thread}/runs/{run}", None),
    "cancel": ("POST", "/runs/cancel", {"thread_id": "{thread}", "run_ids": ["{run}"]}),
    "stateless": ("POST", "/runs", {"assistant_id": "agent", "input": {}}),
    "stateless.wait": ("POST", "/runs/wait", {"assistant_id": "agent", "input": {}}),
    "stateless.stream": ("POST", "/runs/stream", {"assistant_id": "agent", "input": {}}),
    "batch": ("POST", "/runs/batch", [{"assistant_id": "agent", "input": {}}]),
    "assistants.search": ("POST", "/assistants/search", {}),
    "assistants.count": ("POST", "/assistants/count", {}),
    "assistants.read": ("GET", "/assistants/fe096781-5601-53d2-b2f6-0d3403f7e9ca", None),
    "assistants.graph": ("GET", "/assistants/fe096781-5601-53d2-b2f6-0d3403f7e9ca/graph", None),
    "assistants.schemas": ("GET", "/assistants/fe096781-5601-53d2-b2f6-0d3403f7e9ca/schemas", None),
    "assistants.subgraphs": ("GET", "/assistants/fe096781-5601-53d2-b2f6-0d3403f7e9ca/subgraphs", None),
}


@pytest.fixture(scope="module")
def finished():
    """By server: somebody's thread with a run that is over."""
    made = {}

    def of(server):
        if id(server) not in made:
            someone = user(server)
            thread = someone.post("/threads", json={}).json()["thread_id"]
            run = someone.post(f"/threads/{thread}/runs", json={"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": "x"}]}}).json()["run_id"]
            someone.get(f"/threads/{thread}/runs/{run}/join").raise_for_status()
            made[id(server)] = server, someone, {"{thread}": thread, "{run}": run}
        return made[id(server)][1:]

    return of


def ask(server, finished, route: str, header: dict[str, str]):
    someone, names = finished(server)
    method, path, body = ROUTES[route]
    text = json.dumps(body)
    for name, value in names.items():
        path, text = path.replace(name, value), text.replace(name, value)
    return someone.request(method, path, headers=header, json=json.loads(text))


@pytest.mark.parametrize("route", ROUTES)
def test_the_nearest_handler_of_each_route_is_asked_as_the_real_server_does(cases, real, finished, route):
    theirs, ours = (ask(server, finished, route, case(ask="who")) for server in (real, cases))
    assert theirs.status_code == 418, theirs.text
    assert (ours.status_code, said(ours)) == (418, said(theirs))


def differences(ours, theirs, at: str = "") -> dict[str, tuple]:
    """Where two JSON values differ: by path, (ours, theirs)."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        parts = {key: (ours.get(key, "absent"), theirs.get(key, "absent")) for key in {*ours, *theirs}}
        return {path: pair for key, both in parts.items() for path, pair in differences(*both, f"{at}.{key}").items()}
    return {} if without_ids(json.dumps(ours)) == without_ids(json.dumps(theirs)) else {at: (ours, theirs)}


#: What differs on purpose in what a handler is given: by path, why.
GIVEN_DIFFERS = {
    "threads.prune .value.thread_ids": "one question for each thread, and none for the list",
    "threads.prune .value.thread_id": "the same",
}
#: What the real server puts beside a run's `configurable` for itself.
INTERNAL = {"__after_seconds__", "__request_start_time_ms__", "langgraph_request_id", "langgraph_auth_user"}


@pytest.mark.parametrize("route", ROUTES)
def test_each_route_gives_its_handler_what_the_real_server_gives(cases, real, finished, route):
    header = case(ask="ctx", permissions=["p:q"])
    theirs, ours = (json.loads(said(ask(server, finished, route, header))) for server in (real, cases))
    for given in (theirs, ours):
        assert given.pop("identity").startswith("user-")
        configurable = given["value"].get("kwargs", {}).get("config", {}).get("configurable", {})
        for name in INTERNAL & set(configurable):
            del configurable[name]
        if "langgraph_auth_user_id" in configurable:
            configurable["langgraph_auth_user_id"] = "<user>"
    found = differences(ours, theirs)
    assert {path: pair for path, pair in found.items() if f"{route} {path}" not in GIVEN_DIFFERS} == {}
