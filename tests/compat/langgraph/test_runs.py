"""Runs in their life: waiting, joining, cancelling, taking turns, being followed again, losing their client. L-042, L-063 and the surface's page.

What the real server answers to each stands in the recordings of langgraph-api 0.16.7 that the surface was written by; its one worker is too
slow to be asked here.
"""

import json
import os
import socket
import threading
import time
import uuid
from urllib.parse import urlsplit

import pytest
from agentserver import TUTORIAL, Project, doorward, events, said, say, until_status, user
from langgraph_sdk import get_sync_client

from harness.client import Client
from harness.programs import wait_until

AGENT = """
import json, os, sys, time
request = json.loads(sys.stdin.readline())
words = str(request["messages"][-1]["content"]).split(" ")
def tell(**what): print(json.dumps(what), flush=True)
def gate(path):
    open(path + ".begun", "w").close()
    while not (os.path.exists(path) or os.path.exists(sys.argv[1])): time.sleep(0.01)
if words[0] == "error":
    tell(type="error", code="broken", message="the agent's own words")
    sys.exit()
tell(type="token", text="one ")
if words[0] == "gate":
    gate(words[1])
if words[0] == "much":
    for _ in range(20_000): tell(type="token", text="x" * 40)
tell(type="token", text="two")
tell(type="done")
"""


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    """A server whose agent waits where it is told to."""
    home = tmp_path_factory.mktemp("agent")
    (home / "agent.py").write_text(AGENT)
    more = f'[agents]\nrunner = "command"\ncommand = ["python3", "{home}/agent.py", "{home}/over"]\nprocesses = 32\nqueue = 64\nmax_output_bytes = 8388608'
    with doorward(home, Project(home / "app").use().write("auth.py", TUTORIAL), more=more) as server:
        yield server
        # What is still held at the end goes on, so that the server can stop at once.
        (home / "over").touch()


class Someone:
    """A user with a thread, in which a run can be held."""

    def __init__(self, server, notes) -> None:
        self.server, self.notes = server, notes
        self.client: Client = user(server)
        self.thread = self.client.post("/threads", json={}).json()["thread_id"]
        self.at = f"/threads/{self.thread}"

    def run(self, text: str = "hello", **more) -> dict:
        answer = self.client.post(f"{self.at}/runs", json={**say(text), **more})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def gate(self) -> str:
        return str(self.notes / os.urandom(6).hex())

    def held(self, **more) -> "Held":
        """A run that has begun and waits."""
        gate = self.gate()
        run = self.run(f"gate {gate}", **more)
        wait_until(lambda: os.path.exists(f"{gate}.begun"), "the agent", limit_s=20)
        return Held(self, run["run_id"], gate)

    def status(self, run: str) -> str:
        return self.client.get(f"{self.at}/runs/{run}").json()["status"]

    def texts(self) -> list[str]:
        values = self.client.get(f"{self.at}/state").json()["values"]
        return [message["content"] for message in values.get("messages", [])]

    def thread_status(self) -> str:
        return self.client.get(self.at).json()["status"]


class Held:
    def __init__(self, someone: Someone, run: str, gate: str) -> None:
        self.someone, self.run, self.path = someone, run, gate
        self.at = f"{someone.at}/runs/{run}"

    def open(self) -> None:
        with open(self.path, "w"):
            pass

    def finish(self) -> None:
        self.open()
        until_status(self.someone.client, self.someone.thread, self.run, "success")


@pytest.fixture
def someone(agent, tmp_path) -> Someone:
    return Someone(agent, tmp_path)


def test_a_run_is_pending_or_running_until_it_succeeds(someone):
    held = someone.held()
    assert someone.status(held.run) == "running" and someone.thread_status() == "busy"
    assert someone.client.get(f"{someone.at}/state").json()["next"] == ["chatbot"]
    held.finish()
    assert someone.thread_status() == "idle" and someone.texts()[-1] == "one two"
    assert someone.client.get(f"{someone.at}/state").json()["next"] == []


@pytest.mark.parametrize("wait", ["0", "1", "true", "false", None])
@pytest.mark.parametrize("action", ["interrupt", "rollback", None])
def test_cancelling_a_run(someone, wait, action):
    someone.client.post(f"{someone.at}/runs/wait", json=say("first"))
    before = someone.texts()
    held = someone.held()
    query = "&".join(f"{name}={value}" for name, value in (("wait", wait), ("action", action)) if value is not None)
    cancelled = someone.client.post(f"{held.at}/cancel?{query}")
    if wait in ("1", "true"):
        assert (cancelled.status_code, cancelled.headers.get("content-location")) == (200, held.at)
        assert cancelled.headers.get("location") == f"{held.at}/join"
    else:
        assert (cancelled.status_code, cancelled.content) == (202, b"")
    if action == "rollback":
        wait_until(lambda: someone.client.get(held.at).status_code == 404, "the run to be forgotten")
        assert someone.texts() == before and someone.thread_status() == "idle"
    else:
        until_status(someone.client, someone.thread, held.run, "interrupted")
        assert someone.thread_status() == "interrupted" and someone.texts()[: len(before)] == before
    again = someone.client.post(f"{held.at}/cancel")
    assert again.status_code == 404
    assert someone.client.post(f"{someone.at}/runs/wait", json=say("after")).status_code == 200, "the thread goes on"


def test_cancelling_what_is_over_or_pending(someone):
    done = someone.run()
    until_status(someone.client, someone.thread, done["run_id"], "success")
    answer = someone.client.post(f"{someone.at}/runs/{done['run_id']}/cancel")
    assert (answer.status_code, said(answer)[:27]) == (404, "No matching runs to cancel.")
    later = someone.run(after_seconds=3000)
    assert someone.status(later["run_id"]) == "pending" and someone.thread_status() == "busy"
    assert someone.client.post(f"{someone.at}/runs/{later['run_id']}/cancel").status_code == 202
    until_status(someone.client, someone.thread, later["run_id"], "interrupted")
    assert someone.thread_status() == "idle"


def test_cancelling_many_by_their_ids(someone):
    held = someone.held()
    waiting = someone.run()
    body = {"thread_id": someone.thread, "run_ids": [held.run, waiting["run_id"]]}
    answer = someone.client.post("/runs/cancel", json=body)
    assert (answer.status_code, answer.content) == (204, b"")
    for run in body["run_ids"]:
        until_status(someone.client, someone.thread, run, "interrupted")
    assert someone.client.post("/runs/cancel", json=body).status_code == 404


@pytest.mark.parametrize("kind", ["", "/wait", "/stream"])
def test_reject_refuses_a_second_run(someone, kind):
    held = someone.held()
    answer = someone.client.post(f"{someone.at}/runs{kind}", json={**say("second"), "multitask_strategy": "reject"})
    words = "Thread is already running a task. Wait for it to finish or choose a different multitask strategy."
    assert (answer.status_code, said(answer)) == (409, words)
    held.finish()
    assert len(someone.client.get(f"{someone.at}/runs").json()) == 1


def test_reject_counts_a_run_that_is_to_begin_later(someone):
    someone.run(after_seconds=3000)
    answer = someone.client.post(f"{someone.at}/runs", json={**say("x"), "multitask_strategy": "reject"})
    assert answer.status_code == 409


@pytest.mark.parametrize("strategy", ["enqueue", None])
def test_enqueue_takes_turns(someone, strategy):
    held = someone.held()
    second = someone.run("second", **({"multitask_strategy": strategy} if strategy else {}))
    assert second["multitask_strategy"] == "enqueue" and someone.status(second["run_id"]) == "pending"
    held.finish()
    until_status(someone.client, someone.thread, second["run_id"], "success")
    texts = someone.texts()
    assert [text.split(" ")[0] for text in texts] == ["gate", "one", "second", "one"]


@pytest.mark.parametrize("strategy", ["interrupt", "rollback"])
@pytest.mark.parametrize("kind", ["", "/wait", "/stream"])
def test_a_second_run_takes_the_place_of_the_first(someone, strategy, kind):
    someone.client.post(f"{someone.at}/runs/wait", json=say("zero"))
    held = someone.held()
    answer = someone.client.post(f"{someone.at}/runs{kind}", json={**say("second"), "multitask_strategy": strategy})
    assert answer.status_code == 200
    wait_until(lambda: someone.texts()[-2:] == ["second", "one two"], "the second run")
    texts = someone.texts()
    if strategy == "rollback":
        assert texts == ["zero", "one two", "second", "one two"]
        assert someone.client.get(held.at).status_code == 404
    else:
        assert texts[:3] == ["zero", "one two", f"gate {held.path}"]
        assert someone.status(held.run) == "interrupted"
    assert someone.thread_status() == "idle"


def test_joining_waits_for_the_state(someone):
    held = someone.held()
    joined = []
    thread = threading.Thread(target=lambda: joined.append(Client(someone.client.base, someone.client.token).get(f"{held.at}/join")))
    thread.start()
    held.open()
    thread.join(30)
    assert joined[0].status_code == 200 and joined[0].json()["messages"][-1]["content"] == "one two"
    assert someone.client.get(f"{held.at}/join").json() == joined[0].json(), "and again once it is over"


def test_listing_runs(someone):
    runs = [someone.run(str(number))["run_id"] for number in range(3)]
    for run in runs:
        until_status(someone.client, someone.thread, run, "success")

    def listed(query: str = "") -> list[str]:
        return [run["run_id"] for run in someone.client.get(f"{someone.at}/runs{query}").json()]

    assert listed() == runs[::-1]
    assert listed("?limit=1") == [runs[2]] and listed("?limit=1&offset=1") == [runs[1]] and listed("?offset=3") == []
    assert listed("?status=success") == runs[::-1] and listed("?status=error") == []
    assert Someone(someone.server, someone.notes).client.get(f"{someone.at}/runs").status_code == 404


def test_deleting_a_run_stops_it_and_forgets_it(someone):
    held = someone.held()
    assert someone.client.delete(held.at).status_code == 204
    assert someone.client.get(held.at).status_code == 404 and someone.client.delete(held.at).status_code == 404
    assert someone.client.post(f"{someone.at}/runs/wait", json=say("after")).status_code == 200
    assert someone.client.get(f"{someone.at}/runs").json()[-1]["run_id"] != held.run


def test_deleting_a_busy_thread_stops_what_runs_in_it(someone):
    held = someone.held()
    assert someone.client.delete(someone.at).status_code == 204
    assert someone.client.get(someone.at).status_code == 404
    assert someone.client.get(held.at).status_code == 404


def test_a_state_is_not_changed_while_a_run_goes_on(someone):
    held = someone.held()
    body = {"values": say("by hand")["input"]}
    answer = someone.client.post(f"{someone.at}/state", json=body)
    assert answer.status_code == 409 and "in-flight runs" in said(answer)
    assert someone.client.patch(someone.at, json={"metadata": {"k": 1}}).json()["metadata"]["k"] == 1
    held.finish()
    changed = someone.client.post(f"{someone.at}/state", json=body)
    assert changed.status_code == 200 and set(changed.json()) == {"checkpoint", "configurable", "checkpoint_id"}
    assert someone.texts()[-1] == "by hand"


def test_a_failed_run_says_so_everywhere_and_not_in_the_agents_words(someone):
    waited = someone.client.post(f"{someone.at}/runs/wait", json=say("error"))
    assert waited.status_code == 200 and set(waited.json()["__error__"]) == {"error", "message"}
    streamed = someone.client.post(f"{someone.at}/runs/stream", json={**say("error"), "stream_mode": "values"})
    assert streamed.status_code == 200
    name, data = events(streamed.text)[-1]
    assert name == "error" and set(data) == {"error", "message"}
    assert "own words" not in waited.text + streamed.text
    assert someone.thread_status() == "error"
    assert {run["status"] for run in someone.client.get(f"{someone.at}/runs").json()} == {"error"}
    assert someone.client.post(f"{someone.at}/runs/wait", json=say("x")).json()["messages"][-1]["content"] == "one two"
    assert someone.thread_status() == "idle", "the next run mends it"


def test_the_older_and_the_newest_sdk_raise_what_a_run_failed_with(someone):
    client = get_sync_client(url=someone.client.base, headers={"Authorization": f"Bearer {someone.client.token}"})
    with pytest.raises(Exception, match="agent_failed|broken|failed"):
        client.runs.wait(someone.thread, "agent", input=say("error")["input"])


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("kind", ["", "/wait", "/stream"])
def test_a_stateless_run_keeps_its_thread_only_when_told_to(agent, kind, keep):
    client = user(agent)
    body = {**say("x"), **({"on_completion": "keep"} if keep else {})}
    assert client.post(f"/runs{kind}", json=body).status_code == 200

    def settled():
        found = client.post("/threads/search", json={}).json()
        if keep:
            return len(found) == 1 and found[0]["status"] == "idle" and found[0]["values"]
        return found == []

    wait_until(settled, "what a stateless run leaves")


def test_a_batch_makes_each_of_its_runs(agent):
    client = user(agent)
    made = client.post("/runs/batch", json=[{**say(str(number)), "on_completion": "keep"} for number in range(3)])
    assert made.status_code == 200 and len({run["thread_id"] for run in made.json()}) == 3
    wait_until(lambda: len(client.post("/threads/search", json={"status": "idle"}).json()) == 3, "the batch")
    assert client.post("/runs/batch", json=[say("x")] * 17).status_code in (400, 413, 422)
    assert client.post("/threads/count", json={}).json() == 3


@pytest.mark.parametrize("kind", ["", "/wait", "/stream"])
def test_an_unknown_thread_is_made_only_when_told_to(agent, kind):
    client, thread = user(agent), str(uuid.uuid4())
    path = f"/threads/{thread}/runs{kind}"
    missing = client.post(path, json=say("x"))
    assert (missing.status_code, said(missing)) == (404, "Thread or assistant not found.")
    assert client.post(path, json={**say("x"), "if_not_exists": "reject"}).status_code == 404
    assert client.get(f"/threads/{thread}").status_code == 404
    assert client.post(path, json={**say("x"), "if_not_exists": "create"}).status_code == 200
    assert client.get(f"/threads/{thread}").json()["metadata"]["owner"] == client.token


def test_a_run_that_is_to_begin_later_does_begin(someone):
    begun = time.monotonic()
    run = someone.run(after_seconds=1)
    assert someone.status(run["run_id"]) == "pending"
    until_status(someone.client, someone.thread, run["run_id"], "success")
    assert time.monotonic() - begun > 0.9


class Stream:
    """A stream that is read piece by piece over a connection that can be cut."""

    def __init__(self, someone: Someone, path: str, body=None, method: str = "POST", **headers: str) -> None:
        parts = urlsplit(someone.client.base)
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=10)
        content = b"" if body is None else json.dumps(body).encode()
        more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        head = (f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {someone.client.token}\r\n{more}"
                f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n")
        self.socket.sendall(head.encode() + content)
        self.read = b""

    def until(self, text: str) -> str:
        while text.encode() not in self.read:
            part = self.socket.recv(65536)
            assert part, self.read
            self.read += part
        return self.read.decode()

    def cut(self) -> None:
        self.socket.close()


def ids(text: str) -> list[str]:
    return [line[4:] for line in text.split("\r\n") if line.startswith("id: ")]


def test_a_resumable_stream_goes_on_where_it_was_cut(someone):
    gate = someone.gate()
    body = {**say(f"gate {gate}"), "stream_mode": "messages-tuple", "stream_resumable": True}
    stream = Stream(someone, f"{someone.at}/runs/stream", body)
    begun = stream.until('"content":"one "')
    stream.until("id: ")
    stream.cut()
    run = json.loads(begun.partition("event: metadata\r\ndata: ")[2].split("\r\n")[0])["run_id"]
    with open(gate, "w"):
        pass
    last = ids(stream.read.decode())[-1]
    again = someone.client.get(f"{someone.at}/runs/{run}/stream", headers={"Last-Event-ID": last})
    assert again.status_code == 200
    whole = someone.client.get(f"{someone.at}/runs/{run}/stream", headers={"Last-Event-ID": "-1"})
    told = [data[0]["content"] for name, data in events(whole.text) if name == "messages"]
    assert "".join(told) == "one two"
    later = events(again.text)
    assert "".join(data[0]["content"] for name, data in later if name == "messages") == "two"
    every = ids(whole.text)
    assert every[every.index(last) + 1 :] == ids(again.text) and len(set(every)) == len(every)
    assert someone.status(run) == "success"


def test_a_stream_that_is_not_resumable_has_no_ids_and_tells_from_now_on(someone):
    held = someone.held(stream_mode="messages-tuple")
    stream = Stream(someone, f"{held.at}/stream", method="GET", Last_Event_ID="-1")
    stream.until("\r\n\r\n")
    held.open()
    rest = stream.until("0\r\n\r\n")
    assert '"content":"two"' in rest and '"content":"one "' not in rest and "\r\nid: " not in rest
    over = someone.client.get(f"{held.at}/stream")
    assert over.status_code == 200 and events(over.text) == []


def test_the_newest_sdk_joins_a_stream_by_the_last_id(someone):
    held = someone.held(stream_mode="messages-tuple", stream_resumable=True)
    client = get_sync_client(url=someone.client.base, headers={"Authorization": f"Bearer {someone.client.token}"})
    held.finish()
    parts = list(client.runs.join_stream(someone.thread, held.run, last_event_id="-1"))
    assert "".join(part.data[0]["content"] for part in parts if part.event == "messages") == "one two"
    rest = list(client.runs.join_stream(someone.thread, held.run, last_event_id=parts[-2].id))
    assert [part.id for part in rest] == [parts[-1].id]


@pytest.mark.parametrize("kind", ["stream", "wait"])
def test_a_client_that_leaves_cancels_its_run_only_when_told_to(someone, kind):
    def left(**more) -> str:
        gate = someone.gate()
        stream = Stream(someone, f"{someone.at}/runs/{kind}", {**say(f"gate {gate}"), **more})
        wait_until(lambda: os.path.exists(f"{gate}.begun"), "the agent", limit_s=20)
        run = someone.client.get(f"{someone.at}/runs?limit=1").json()[0]["run_id"]
        stream.cut()
        return run, gate

    cancelled, _ = left(on_disconnect="cancel")
    until_status(someone.client, someone.thread, cancelled, "interrupted")
    for more in ({}, {"on_disconnect": "continue"}):
        kept, gate = left(**more)
        assert someone.status(kept) == "running"
        with open(gate, "w"):
            pass
        until_status(someone.client, someone.thread, kept, "success")


def test_joining_with_cancel_on_disconnect_stops_the_run_that_is_left(someone):
    held = someone.held()
    stream = Stream(someone, f"{held.at}/stream?cancel_on_disconnect=true", method="GET")
    stream.until("\r\n\r\n")
    stream.cut()
    until_status(someone.client, someone.thread, held.run, "interrupted")


def test_a_reader_that_stalls_holds_nobody_else(agent, tmp_path):
    slow, other = Someone(agent, tmp_path), Someone(agent, tmp_path)
    stalled = Stream(slow, f"{slow.at}/runs/stream", {**say("much"), "stream_mode": "messages"})
    stalled.until("event: metadata")
    cut = Stream(other, f"{other.at}/runs/stream", {**say(f"gate {other.gate()}"), "on_disconnect": "cancel"})
    cut.until("event: metadata")
    cut.cut()
    for _ in range(3):
        third = Someone(agent, tmp_path)
        begun = time.monotonic()
        text = third.client.post(f"{third.at}/runs/stream", json={**say("x"), "stream_mode": "messages-tuple"}).text
        assert "".join(data[0]["content"] for name, data in events(text) if name == "messages") == "one two"
        assert time.monotonic() - begun < 5
    runs = slow.client.get(f"{slow.at}/runs").json()
    until_status(slow.client, slow.thread, runs[0]["run_id"], "success", "error", "interrupted")
    stalled.cut()


def test_a_run_is_final_before_its_stream_ends(someone):
    for _ in range(5):
        answer = someone.client.post(f"{someone.at}/runs/stream", json=say("x"))
        run = answer.headers["content-location"].rpartition("/")[2]
        assert someone.status(run) == "success" and someone.thread_status() == "idle"


def test_histories_states_and_checkpoints_agree(someone):
    for text in ("first", "second"):
        someone.client.post(f"{someone.at}/runs/wait", json=say(text))
    history = someone.client.post(f"{someone.at}/history", json={"limit": 100}).json()
    state = someone.client.get(f"{someone.at}/state").json()
    assert history[0] == state and len({entry["checkpoint"]["checkpoint_id"] for entry in history}) == len(history)
    for entry, parent in zip(history, history[1:], strict=False):
        assert entry["parent_checkpoint"] == parent["checkpoint"]
        found = someone.client.get(f"{someone.at}/state/{entry['checkpoint']['checkpoint_id']}").json()
        posted = someone.client.post(f"{someone.at}/state/checkpoint", json={"checkpoint": entry["checkpoint"]}).json()
        assert found == posted and found["values"] == entry["values"]
    older = someone.client.post(f"{someone.at}/history", json={"limit": 2, "before": {"configurable": history[1]["checkpoint"]}}).json()
    assert older == history[2:4]
    assert [entry["metadata"]["step"] for entry in history] == sorted((entry["metadata"]["step"] for entry in history), reverse=True)


def test_a_copy_has_the_conversation_and_goes_its_own_way(someone):
    someone.client.post(f"{someone.at}/runs/wait", json=say("first"))
    copy = someone.client.post(f"{someone.at}/copy").json()["thread_id"]
    assert copy != someone.thread
    someone.client.post(f"/threads/{copy}/runs/wait", json=say("second"))
    assert someone.texts() == ["first", "one two"]
    state = someone.client.get(f"/threads/{copy}/state").json()
    assert [message["content"] for message in state["values"]["messages"]] == ["first", "one two", "second", "one two"]


def test_searching_and_counting_threads(agent):
    client = user(agent)
    made = [client.post("/threads", json={"metadata": {"n": number, "kind": "even" if number % 2 == 0 else "odd"}}).json()["thread_id"] for number in range(5)]

    def found(**body) -> list[int]:
        return [made.index(thread["thread_id"]) for thread in client.post("/threads/search", json=body).json()]

    assert found() == [4, 3, 2, 1, 0] and found(metadata={"kind": "odd"}) == [3, 1]
    assert found(sort_by="created_at", sort_order="asc", limit=2, offset=1) == [1, 2]
    assert found(ids=[made[0], made[2], str(uuid.uuid4())]) == [2, 0] and found(status="busy") == []
    page = client.post("/threads/search", json={"limit": 2, "select": ["thread_id"]})
    assert (page.headers["x-pagination-total"], page.headers["x-pagination-next"]) == ("3", "2"), "how many there are at least, as on the real server"
    assert [set(thread) for thread in page.json()] == [{"thread_id"}] * 2
    assert client.post("/threads/count", json={"metadata": {"kind": "even"}}).json() == 3
    assert client.post("/threads/prune", json={"thread_ids": made[:2]}).json() == {"pruned_count": 2}
    assert found() == [4, 3, 2]


def test_a_stranger_cannot_touch_a_run_that_goes_on(someone):
    held, stranger = someone.held(stream_mode="messages-tuple", stream_resumable=True), user(someone.server)
    for method, path, body in (
        ("GET", held.at, None), ("GET", f"{held.at}/join", None), ("GET", f"{held.at}/join?cancel_on_disconnect=true", None), ("GET", f"{held.at}/stream", None),
        ("POST", f"{held.at}/cancel?wait=1", None), ("POST", f"{held.at}/cancel?action=rollback", None), ("DELETE", held.at, None), ("DELETE", someone.at, None),
        ("POST", "/runs/cancel", {"thread_id": someone.thread, "run_ids": [held.run]}), ("POST", "/threads/prune", {"thread_ids": [someone.thread]}),
        *(("POST", f"{someone.at}/runs{kind}", {**say("x"), "multitask_strategy": strategy}) for kind in ("", "/wait", "/stream") for strategy in ("interrupt", "rollback")),
    ):
        answer = stranger.request(method, path, json=body, headers={"Last-Event-ID": "-1"})
        assert answer.status_code == 404 and held.path not in answer.text, (method, path, answer.text)
    assert someone.status(held.run) == "running"
    held.finish()
    assert someone.texts() == [f"gate {held.path}", "one two"]
