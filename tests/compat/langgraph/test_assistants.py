"""Assistants that people make: both SDKs through every method, embedded and at the real server behind the gateway; versions, owners, runs. L-002, L-037."""

import asyncio
import os
import uuid

import pytest
from agentserver import APP, UNCOVERED, Project, case, doorward, said, say, user
from langgraph_sdk import get_client
from langgraph_sdk.errors import APIStatusError
from test_tutorial import run

from harness.programs import node_binary, node_modules

GRAPHS_OWN = "fe096781-5601-53d2-b2f6-0d3403f7e9ca"


def by_the_javascript_sdk(url: str, token: str, other: str, tag: str) -> dict:
    return run([node_binary(), APP / "assistants.mjs", node_modules("@langchain/langgraph-sdk"), url, token, other, tag])


def by_the_python_sdk(url: str, token: str, other: str, tag: str) -> dict:
    async def failing(act):
        try:
            await act
        except APIStatusError as refused:
            return refused.status_code

    async def flow() -> dict:
        assistants, stranger = (get_client(url=url, headers={"Authorization": f"Bearer {bearer}"}).assistants for bearer in (token, other))
        made = await assistants.create("agent", name="First", description="what for", metadata={"tag": tag}, config={"configurable": {"model": "m1"}})
        one = made["assistant_id"]
        told = {
            "made": made,
            "got": await assistants.get(one),
            "schemas": sorted(await assistants.get_schemas(one)),
            "graph": sorted(await assistants.get_graph(one)),
            "subgraphs": await assistants.get_subgraphs(one),
            "again": await failing(assistants.create("agent", assistant_id=one)),
            "kept": (await assistants.create("agent", assistant_id=one, if_exists="do_nothing"))["version"],
            "updated": await assistants.update(one, name="Second", metadata={"more": 1}, config={"configurable": {"model": "m2"}}),
            "versions": [[version["version"], version["name"]] for version in await assistants.get_versions(one)],
            "first": await assistants.set_latest(one, 1),
            "found": [found["assistant_id"] for found in await assistants.search(metadata={"tag": tag}, graph_id="agent", name="irs")],
            "count": await assistants.count(metadata={"tag": tag}),
            "theirs": [await failing(act) for act in (stranger.get(one), stranger.update(one, name="x"), stranger.set_latest(one, 1), stranger.get_versions(one), stranger.delete(one))],
            "theirSearch": len(await stranger.search(metadata={"tag": tag})) + await stranger.count(metadata={"tag": tag}),
            "unknownGraph": await failing(assistants.create("nope")),
        }
        await assistants.delete(one)
        told["gone"] = await failing(assistants.get(one))
        return told

    return asyncio.run(flow())


@pytest.fixture(scope="module")
def uncovered(tmp_path_factory):
    home = tmp_path_factory.mktemp("assistants")
    with doorward(home, Project(home / "app").use().write("auth.py", UNCOVERED)) as server:
        yield server


@pytest.fixture(params=["tutorial", "uncovered"])
def embedded(request):
    return request.getfixturevalue(request.param)


def check(told: dict, tag: str) -> None:
    made, updated, first = told["made"], told["updated"], told["first"]
    assert (made["name"], made["graph_id"], made["version"], made["description"]) == ("First", "agent", 1, "what for")
    assert made["metadata"]["tag"] == tag and made["config"]["configurable"] == made["context"] == {"model": "m1"}
    assert told["got"] == made
    assert told["schemas"] == ["config_schema", "context_schema", "graph_id", "input_schema", "output_schema", "state_schema"]
    assert told["graph"] == ["edges", "nodes"] and told["subgraphs"] == {}
    assert told["again"] == 409 and told["kept"] == 1
    assert (updated["name"], updated["version"], updated["metadata"]["tag"], updated["metadata"]["more"]) == ("Second", 2, tag, 1)
    assert updated["config"]["configurable"] == updated["context"] == {"model": "m2"}
    assert told["versions"] == [[2, "Second"], [1, "First"]]
    assert (first["version"], first["name"]) == (1, "First") and "more" not in first["metadata"]
    assert told["found"] == [made["assistant_id"]] and told["count"] == 1
    assert told["theirs"] == [404] * 5 and told["theirSearch"] == 0
    assert told["unknownGraph"] == 404 and told["gone"] == 404


@pytest.mark.parametrize("flow", [by_the_python_sdk, by_the_javascript_sdk])
def test_every_method_of_both_sdks(embedded, flow):
    tag = os.urandom(6).hex()
    check(flow(embedded.mount("langgraph"), f"user-{os.urandom(6).hex()}", f"user-{os.urandom(6).hex()}", tag), tag)


@pytest.mark.parametrize("flow", [by_the_python_sdk, by_the_javascript_sdk])
def test_every_method_of_both_sdks_at_the_real_server_behind_the_gateway(door, flow):
    tag = os.urandom(6).hex()
    check(flow(door.mount("langgraph"), f"user-{os.urandom(6).hex()}", f"user-{os.urandom(6).hex()}", tag), tag)


def make(client, **more) -> dict:
    answer = client.post("/assistants", json={"graph_id": "agent", **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_an_assistant_runs_for_whoever_may_read_it_and_gives_its_settings(embedded):
    owner, stranger = user(embedded), user(embedded)
    one = make(owner, config={"configurable": {"model": "m1", "k": 1}})["assistant_id"]
    body = {**say("hello"), "assistant_id": one, "config": {"configurable": {"k": 2}}}
    thread = owner.post("/threads", json={}).json()["thread_id"]
    begun = owner.post(f"/threads/{thread}/runs", json=body).json()
    assert begun["assistant_id"] == one and begun["kwargs"]["config"]["configurable"] == {"model": "m1", "k": 2}
    assert owner.get(f"/threads/{thread}/runs/{begun['run_id']}/join").status_code == 200
    assert owner.post("/runs/wait", json=body).json()["messages"][-1]["content"]
    assert owner.post("/runs/batch", json=[body]).json()[0]["assistant_id"] == one
    theirs = stranger.post("/threads", json={}).json()["thread_id"]
    for path, sent in ((f"/threads/{theirs}/runs", body), (f"/threads/{theirs}/runs/stream", body), ("/runs/wait", body), ("/runs", body), ("/runs/batch", [body])):
        refused = stranger.post(path, json=sent)
        assert (refused.status_code, said(refused)) == (404, "Thread or assistant not found."), path
        unknown = [{**body, "assistant_id": str(uuid.uuid4())}] if isinstance(sent, list) else {**body, "assistant_id": str(uuid.uuid4())}
        assert stranger.post(path, json=unknown).text == refused.text, "as what is not there"


def test_the_assistant_of_a_graph_is_nobodys_to_change(standing_in):
    someone = user(standing_in)
    everything = case(on="None")
    assert someone.get(f"/assistants/{GRAPHS_OWN}", headers=everything).json()["metadata"] == {"created_by": "system"}
    for method, path, body in (("PATCH", "", {"name": "x"}), ("DELETE", "", None), ("POST", "/latest", {"version": 1})):
        assert someone.request(method, f"/assistants/{GRAPHS_OWN}{path}", json=body, headers=everything).status_code == 404, method
    assert someone.post("/assistants", json={"graph_id": "agent", "assistant_id": GRAPHS_OWN}).status_code == 409
    assert someone.post(f"/assistants/{GRAPHS_OWN}/versions", json={}, headers=everything).json()[0]["version"] == 1


def test_an_owner_is_what_the_handler_says_whatever_a_client_does(tutorial):
    owner, eve = user(tutorial), user(tutorial)
    one = make(owner, metadata={"owner": eve.token, "created_by": "system"})
    assert one["metadata"] == {"owner": owner.token}
    at = f"/assistants/{one['assistant_id']}"
    assert owner.patch(at, json={"metadata": {"owner": eve.token}}).json()["metadata"]["owner"] == owner.token
    assert eve.get(at).status_code == 404
    taken = eve.post("/assistants", json={"graph_id": "agent", "assistant_id": one["assistant_id"], "if_exists": "do_nothing"})
    assert (taken.status_code, "owner" in taken.text) == (409, False)
    owner.delete(at).raise_for_status()
    assert eve.post("/assistants", json={"graph_id": "agent", "assistant_id": one["assistant_id"]}).status_code == 200


@pytest.mark.parametrize("body", [
    {},
    {"graph_id": 5},
    {"graph_id": "agent", "assistant_id": "x"},
    {"graph_id": "agent", "config": []},
    {"graph_id": "agent", "metadata": "x"},
    {"graph_id": "agent", "metadata": {"x": "y" * 17000}},
    {"graph_id": "agent", "name": "x" * 201},
    {"graph_id": "agent", "name": "a\u0000b"},
    {"graph_id": "agent", "description": "x" * 2001},
    {"graph_id": "agent", "context": {"a": 1}, "config": {"configurable": {"a": 1}}},
    {"graph_id": "agent", "context": {"x": "y" * (260 << 10)}},
    {"graph_id": "agent", "if_exists": "replace"},
], ids=range(12))
def test_what_does_not_fit_is_refused(tutorial, body):
    someone = user(tutorial)
    assert someone.post("/assistants", json=body).status_code == 422
    assert someone.post("/assistants/count", json={}).json() == 0


def test_searches_are_sorted_paged_and_bounded(tutorial):
    someone = user(tutorial)
    for name in ("b", "a", "c"):
        make(someone, name=name)
    names = lambda **search: [one["name"] for one in someone.post("/assistants/search", json=search).json()]  # noqa: E731
    assert names() == ["c", "a", "b"] and names(sort_by="name", sort_order="asc") == ["a", "b", "c"]
    assert names(sort_by="name", limit=1, offset=1) == ["b"] and names(name="A") == ["a"] and names(graph_id="other") == []
    paged = someone.post("/assistants/search", json={"limit": 2})
    assert (paged.headers["x-pagination-total"], paged.headers["x-pagination-next"]) == ("3", "2")
    assert someone.post("/assistants/search", json={"select": ["name"], "limit": 1}).json() == [{"name": "c"}]
    for wrong in ({"limit": 0}, {"limit": 1001}, {"offset": -1}, {"sort_by": "owner"}, {"select": ["owner"]}, {"metadata": []}):
        assert someone.post("/assistants/search", json=wrong).status_code == 422, wrong
