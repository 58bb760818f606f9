"""LangGraph's custom-auth tutorial with its three clients: L-003, L-026, L-030, L-032, L-056 to L-062, L-064 to L-066."""

import asyncio
import json
import os
import re
import subprocess

import pytest
from agentserver import APP, Project, events, interpreter, say, user
from langgraph_sdk import get_client, get_sync_client
from langgraph_sdk.errors import AuthenticationError, NotFoundError, PermissionDeniedError

from harness.programs import SHARED, clean_environment, left_out, node_binary, node_modules
from harness.recorder import Recorder

JOKE = "Echo: Tell me a short joke"
THREAD = {"thread_id", "created_at", "updated_at", "state_updated_at", "metadata", "config", "status", "values"}


def name() -> str:
    return f"user-{os.urandom(6).hex()}"


def run(command: list, **environment: str) -> dict:
    done = subprocess.run([str(part) for part in command], env=clean_environment(**environment), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def told_by_the_older_sdk(url: str, token: str, other: str) -> dict:
    return run([interpreter("older"), APP / "older.py", url, token, other])


def told_by_the_javascript_sdk(url: str, token: str, other: str) -> dict:
    return run([node_binary(), APP / "newest.mjs", node_modules("@langchain/langgraph-sdk"), url, token, other])


def told_by_the_newest_sdk(url: str, token: str, other: str) -> dict:
    async def flow() -> dict:
        client = get_client(url=url, headers={"Authorization": f"Bearer {token}"})
        created = await client.threads.create()
        told = {"created": created, "printed": []}
        body = {"messages": [{"role": "user", "content": "Tell me a short joke"}]}
        async for part in client.runs.stream(thread_id=created["thread_id"], assistant_id="agent", input=body, stream_mode="messages-tuple"):
            if part.event == "messages":
                chunk, metadata = part.data
                if metadata["langgraph_node"] == "chatbot":
                    told["printed"].append(chunk["content"])
        told["thread"] = await client.threads.get(created["thread_id"])
        try:
            await get_client(url=url).threads.create()
        except AuthenticationError as refused:
            told["without"] = f"{refused.status_code} {refused}"
        second = get_client(url=url, headers={"Authorization": f"Bearer {other}"})
        told["second"] = await second.threads.create()
        try:
            await second.threads.get(created["thread_id"])
        except NotFoundError as refused:
            told["other"] = f"{refused.status_code} {refused}"
        waited = await client.runs.wait(created["thread_id"], "agent", input={"messages": [{"role": "user", "content": "again"}]})
        told["waited"] = [message["content"] for message in waited["messages"]]
        told["history"] = len(await client.threads.get_history(created["thread_id"], limit=100))
        told["found"] = [found["thread_id"] for found in await client.threads.search(metadata={"owner": token})]
        return told

    return asyncio.run(flow())


@pytest.mark.parametrize("flow", [told_by_the_older_sdk, told_by_the_newest_sdk, told_by_the_javascript_sdk], ids=["sdk-0.1.48", "sdk-0.4.14", "javascript"])
@pytest.mark.parametrize("guard", ["tutorial", "javascript_tutorial"], ids=["by python", "by javascript"])
def test_the_tutorial_runs_with_each_sdk(request, guard, flow):
    token, other = name(), name()
    told = flow(request.getfixturevalue(guard).mount("langgraph"), token, other)
    created, thread = told["created"], told["thread"]
    assert set(created) == THREAD and (created["status"], created["metadata"], created["values"]) == ("idle", {"owner": token}, None)
    assert "".join(told["printed"]) == JOKE and len(told["printed"]) > 2, "piece by piece"
    assert thread["thread_id"] == created["thread_id"] and thread["status"] == "idle"
    assert [(message["type"], message["content"]) for message in thread["values"]["messages"]] == [("human", "Tell me a short joke"), ("ai", JOKE)]
    assert "401" in str(told["without"])
    assert told["second"]["metadata"] == {"owner": other}
    assert "404" in str(told["other"])
    assert told["waited"] == ["Tell me a short joke", JOKE, "again", "Echo: again"]
    assert told["history"] >= 4 and created["thread_id"] in told["found"] and told["second"]["thread_id"] not in told["found"]
    if flow is told_by_the_javascript_sdk:
        assert told["copied"]["metadata"]["owner"] == token and told["copied"]["thread_id"] != created["thread_id"]
        assert told["runs"] == ["success", "success"] and set(told["names"]) == {"metadata", "messages"}
        assert f"Thread with ID {created['thread_id']} not found" in told["other"]["message"]


def test_the_two_value_loop_fails_with_the_newest_sdk_as_it_does_on_the_real_server(tutorial):
    async def loop():
        client = get_client(url=tutorial.mount("langgraph"), headers={"Authorization": f"Bearer {name()}"})
        thread = await client.threads.create()
        async for _, (_, _) in client.runs.stream(thread["thread_id"], "agent", input=say("x")["input"], stream_mode="messages-tuple"):
            pass

    with pytest.raises(ValueError, match="too many values to unpack"):
        asyncio.run(loop())


def test_the_synchronous_client_has_the_conversation(tutorial):
    client = get_sync_client(url=tutorial.mount("langgraph"), headers={"Authorization": f"Bearer {name()}"})
    thread = client.threads.create(metadata={"topic": "jokes"})
    parts = list(client.runs.stream(thread["thread_id"], "agent", input=say("hello")["input"], stream_mode=["values", "messages-tuple"]))
    assert [part.event for part in parts][:2] == ["metadata", "values"]
    assert parts[-1].data["messages"][-1]["content"] == "Echo: hello"
    assert client.threads.get_state(thread["thread_id"])["values"] == parts[-1].data


def test_no_token_is_403_where_the_tutorials_text_says_so(serve, project):
    server = serve(project, mount='refusals = "distinct"')
    client = get_sync_client(url=server.mount("langgraph"))
    with pytest.raises(PermissionDeniedError) as refused:
        client.threads.create()
    assert refused.value.status_code == 403
    wrong = get_sync_client(url=server.mount("langgraph"), headers={"Authorization": "Bearer nobody"})
    with pytest.raises(AuthenticationError):
        wrong.threads.create()


@pytest.mark.parametrize("variable", ["LANGGRAPH_API_KEY", "LANGSMITH_API_KEY", "LANGCHAIN_API_KEY"])
def test_a_key_of_the_cloud_beside_a_bearer_does_no_harm(tutorial, monkeypatch, variable):
    monkeypatch.setenv(variable, "lsv2_pt_key")
    token = name()
    client = get_sync_client(url=tutorial.mount("langgraph"), headers={"Authorization": f"Bearer {token}"})
    assert client.http.client.headers["x-api-key"] == "lsv2_pt_key"
    assert client.threads.create()["metadata"] == {"owner": token}
    alone = get_sync_client(url=tutorial.mount("langgraph"))
    with pytest.raises(AuthenticationError):
        alone.threads.create()


def test_a_forged_owner_is_overwritten_and_other_metadata_kept(tutorial):
    token = name()
    client = get_sync_client(url=tutorial.mount("langgraph"), headers={"Authorization": f"Bearer {token}"})
    thread = client.threads.create(metadata={"owner": "eve", "topic": "x"})
    assert thread["metadata"] == {"owner": token, "topic": "x"}
    changed = client.threads.update(thread["thread_id"], metadata={"owner": "eve", "more": 1})
    assert changed["metadata"] == {"owner": token, "topic": "x", "more": 1}


def streamed(server, path: str, **more):
    answer = user(server).post(path, json={**say("one two"), "stream_mode": "messages-tuple", **more})
    assert answer.status_code == 200, answer.text
    return answer


def shape(value):
    return {key: shape(item) for key, item in value.items()} if isinstance(value, dict) else [shape(item) for item in value] if isinstance(value, list) else type(value).__name__


def test_a_stream_has_the_real_servers_bytes(cases, real):
    ours = streamed(cases, "/runs/stream")
    theirs = real.once("stream", lambda server: streamed(server, "/runs/stream"))
    for text in (ours.text, theirs.text):
        assert text.replace("\r\n", "").count("\n") == 0 and text.endswith("\r\n\r\n")
    first = [re.sub(r"[0-9a-f-]{36}", "<id>", answer.text.split("\r\n\r\n")[0]) for answer in (ours, theirs)]
    assert first[0] == first[1] == 'event: metadata\r\ndata: {"run_id":"<id>","attempt":1}'
    assert [event for event, _ in events(ours.text)][0] == "metadata" and "end" not in [event for event, _ in events(ours.text)]
    mine, others = ([data for event, data in events(answer.text) if event == "messages"] for answer in (ours, theirs))
    assert "".join(chunk["content"] for chunk, _ in mine) == "".join(chunk["content"] for chunk, _ in others) == "Echo: one two"
    assert {json.dumps(shape(chunk), sort_keys=True) for chunk, _ in mine} == {json.dumps(shape(chunk), sort_keys=True) for chunk, _ in others}
    assert mine[-1][0]["chunk_position"] == others[-1][0]["chunk_position"] == "last"
    needed = {"langgraph_node", "langgraph_step", "run_id", "thread_id", "graph_id", "assistant_id", "langgraph_triggers", "langgraph_path", "langgraph_checkpoint_ns"}
    for _, metadata in [*mine, *others]:
        assert needed <= set(metadata) and metadata["langgraph_node"] == "chatbot"


@pytest.mark.parametrize("stateless", [True, False])
def test_a_stream_has_the_real_servers_headers(cases, real, stateless):
    def headers(server):
        thread = user(server, "headers").post("/threads", json={}).json()["thread_id"]
        path = "/runs/stream" if stateless else f"/threads/{thread}/runs/stream"
        answer = user(server, "headers").post(path, json={**say("x"), "stream_mode": "values"})
        run = events(answer.text)[0][1]["run_id"]
        kept = ("content-type", "cache-control", "x-accel-buffering", "location", "content-location", "transfer-encoding")
        return {name: (answer.headers.get(name) or "").replace(run, "<run>").replace(thread, "<thread>") for name in kept}

    assert headers(cases) == real.once(f"headers {stateless}", headers)


@pytest.mark.parametrize("mode", ["values", "updates", "messages", "messages-tuple", ["values", "updates"]], ids=str)
def test_each_stream_mode_has_the_real_servers_events(cases, real, mode):
    def told(server):
        answer = user(server).post("/runs/stream", json={**say("one two"), "stream_mode": mode})
        found = events(answer.text)
        # How many pieces an answer comes in is the model's choice.
        names = [event for number, (event, _) in enumerate(found) if number == 0 or event != found[number - 1][0]]
        # What a messages-tuple says of the run beside the chunk is compared above.
        last = found[-1][1][0] if mode == "messages-tuple" else found[-1][1]
        return names, shape(last)

    assert told(cases) == real.once(f"events {mode}", told)


def test_the_graphs_own_assistant_is_run_by_everybody_and_seen_by_nobody_under_an_owner_filter(cases, real):
    assistant = "fe096781-5601-53d2-b2f6-0d3403f7e9ca"

    def told(server):
        someone = user(server)
        run = someone.post("/runs", json={**say("x"), "assistant_id": assistant})
        by_name = someone.post("/runs", json=say("x"))
        gone = someone.get(f"/assistants/{assistant}")
        return (run.status_code, run.json()["assistant_id"], by_name.json()["assistant_id"], someone.post("/assistants/search", json={}).json(),
                someone.post("/assistants/count", json={}).json(), gone.status_code, gone.json())

    theirs = real.once("assistant", told)
    assert told(cases) == theirs and theirs[:-1] == (200, assistant, assistant, [], 0, 404)


def document() -> str:
    """The tutorial's `src/security/auth.py`: its two blocks, word for word."""
    seed = SHARED / "seeds" / "langgraph-custom-auth.md"
    if not seed.exists():
        raise left_out("the LangGraph tutorial is not here, so its file cannot be run")
    return "\n".join(re.findall(r"```python\n(.*?)```", seed.read_text(), re.DOTALL)[:2])


def test_the_tutorials_own_file_guards_the_server_and_an_issuer_that_is_down_lets_nobody_in(serve, tmp_path):
    def answer(seen):
        token = "".join(seen.all("authorization")).removeprefix("Bearer ")
        known = token in ("ann", "bob") and seen.all("apikey") == ["service"]
        return (200, {"id": f"id-of-{token}", "name": None}) if known else (401, {"msg": "invalid JWT"})

    with Recorder(answer=answer) as supabase:
        env = {"SUPABASE_URL": supabase.url, "SUPABASE_SERVICE_KEY": "service"}
        project = Project(tmp_path / "app").use("src/security/auth.py:auth", env=env)
        (project.home / "src/security").mkdir(parents=True)
        (project.home / "src/security/auth.py").write_text(document())
        server = serve(project, "ours")
        ann, bob, eve = (get_sync_client(url=server.mount("langgraph"), headers={"Authorization": f"Bearer {who}"}) for who in ("ann", "bob", "eve"))
        thread = ann.threads.create()
        assert thread["metadata"] == {"owner": "id-of-ann"}
        with pytest.raises(NotFoundError, match=thread["thread_id"]):
            bob.threads.get(thread["thread_id"])
        with pytest.raises(AuthenticationError, match="Invalid token"):
            eve.threads.create()
        assert bob.threads.create()["metadata"] == {"owner": "id-of-bob"}
    with pytest.raises(AuthenticationError, match="Invalid token"):
        bob.threads.create()
