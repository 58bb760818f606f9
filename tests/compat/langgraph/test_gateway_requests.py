"""What a request costs the server behind: it is looked at as often as it has to be, and no more."""

import uuid

import pytest
from agentserver import say, user
from test_gateway import ASSISTANT, gateway, pretended

from harness.recorder import Recorder

GRAPH = ("GET", f"/assistants/{ASSISTANT}")
LOOK = ("POST", "/threads/search")


@pytest.fixture(scope="module")
def agents(tmp_path_factory):
    """The server behind; what its threads hold is as large as a test says."""

    def answer(request):
        status, body = pretended(request)
        if (request.method, request.target) == GRAPH:
            return status, {"assistant_id": ASSISTANT, "graph_id": "agent", "metadata": {"created_by": "system"}}
        return status, {**body, "values": {"text": recorder.text}} if isinstance(body, dict) else body

    with Recorder(answer=answer) as recorder, gateway(tmp_path_factory.mktemp("counted"), recorder.url) as server:
        recorder.text = ""
        yield recorder, server


@pytest.fixture
def ann(agents):
    agents[0].taken()
    agents[0].text = ""
    return user(agents[1], "ann")


def targets(recorder) -> list[tuple[str, str]]:
    return [(request.method, request.target) for request in recorder.taken()]


def test_a_thread_is_read_by_one_request_and_a_large_one_is_not_read_before_it_is_known_whose_it_is(agents, ann):
    recorder, server = agents
    path = f"/threads/{uuid.uuid4()}"
    shown = ann.get(path)
    assert shown.status_code == 200 and targets(recorder) == [("GET", path)]
    recorder.text = "x" * 100_000
    assert ann.get(path).json()["values"]["text"] == recorder.text
    assert targets(recorder) == [("GET", path), LOOK, ("GET", path)]
    for text in ("", "x" * 100_000):
        recorder.text = text
        refused = user(server, "eve").get(path)
        assert refused.status_code == 404 and "user-ann" not in refused.text and "xxx" not in refused.text


def test_a_graphs_own_assistant_is_looked_at_once_and_anothers_each_time(agents, ann):
    recorder, _ = agents
    thread = str(uuid.uuid4())
    ann.post("/runs/wait", json=say("x")).raise_for_status()
    recorder.taken()
    for path, looks in (("/runs/wait", []), ("/runs", []), (f"/threads/{thread}/runs/wait", [LOOK])):
        assert ann.post(path, json=say("x")).status_code == 200
        assert targets(recorder) == [*looks, ("POST", path)]
    other = str(uuid.uuid4())
    for _ in range(2):
        assert ann.post("/runs/wait", json={**say("x"), "assistant_id": other}).status_code == 200
        assert targets(recorder) == [("GET", f"/assistants/{other}"), ("POST", "/runs/wait")]


@pytest.mark.parametrize("spelling", [ASSISTANT, ASSISTANT.upper(), ASSISTANT.replace("-", "")])
def test_nobody_makes_the_assistant_of_a_graph(agents, ann, spelling):
    recorder, _ = agents
    refused = ann.post("/assistants", json={"assistant_id": spelling, "graph_id": "agent"})
    assert (refused.status_code, refused.json()["detail"]) == (409, f"Assistant {ASSISTANT} already exists")
    assert targets(recorder) == []
    # What is there is for whoever may read it: it is nobody's, and the handlers' filter is of an owner.
    kept = ann.post("/assistants", json={"assistant_id": spelling, "graph_id": "agent", "if_exists": "do_nothing"})
    assert kept.status_code == 409 and targets(recorder) == [GRAPH]


def test_a_moment_of_a_configuration_reaches_the_server_as_a_checkpoint_of_the_paths_thread(agents, ann):
    recorder, _ = agents
    thread, moment = str(uuid.uuid4()), str(uuid.uuid4())
    named = {"config": {"configurable": {"checkpoint_id": moment, "thread_id": str(uuid.uuid4()), "model": "m"}}}
    for kind in ("", "/wait", "/stream"):
        assert ann.post(f"/threads/{thread}/runs{kind}", json={**say("x"), **named}).status_code == 200
        sent = recorder.taken()[-1].json()
        assert sent["checkpoint"] == {"checkpoint_id": moment} and sent["config"]["configurable"] == {"model": "m"}
        refused = ann.post(f"/runs{kind}", json={**say("x"), **named})
        assert refused.status_code == 422 and "config.configurable.checkpoint_id" in refused.json()["detail"]
    assert recorder.taken() == []


def test_runs_are_stopped_by_their_names_and_a_join_looks_for_the_run_first(agents, ann):
    recorder, _ = agents
    refused = ann.post("/runs/cancel", json={"status": "all"})
    assert refused.status_code == 422 and "run_ids" in refused.json()["detail"] and "embedded" not in refused.text
    at = f"/threads/{uuid.uuid4()}/runs/{uuid.uuid4()}"
    for what in ("join", "stream"):
        assert ann.get(f"{at}/{what}").status_code == 200
        assert targets(recorder) == [LOOK, ("GET", at), ("GET", f"{at}/{what}")]


def test_ten_megabytes_of_metadata_never_reach_the_server(agents, ann):
    recorder, _ = agents
    big = {"metadata": {"big": "x" * 10_000_000}}
    for method, path, body in (
        ("POST", "/threads", big), ("PATCH", f"/threads/{uuid.uuid4()}", big), ("POST", "/threads/search", big), ("POST", "/assistants", {"graph_id": "agent", **big}),
        ("POST", "/runs/wait", {**say("x"), **big}), ("POST", f"/threads/{uuid.uuid4()}/runs/stream", {**say("x"), **big}), ("POST", "/runs/batch", [{**say("x"), **big}]),
    ):
        refused = ann.request(method, path, json=body)
        assert refused.status_code == 413 and isinstance(refused.json()["detail"], str), path
    assert recorder.taken() == [] and ann.get(f"/threads/{uuid.uuid4()}").status_code == 200
