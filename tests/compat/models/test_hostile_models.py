"""A model server that lies, hangs or talks without end: each run ends with a code of its own, and nothing else suffers."""

import pytest
from langgraph_sdk import get_sync_client

from harness.doorward import Doorward
from harness.models import HostileModel
from harness.native import person
from harness.programs import wait_until

KEY = "sk-hostile-of-the-operator"


@pytest.fixture(scope="module")
def hostile():
    with HostileModel() as server:
        yield server


@pytest.fixture(scope="module")
def server(hostile, tmp_path_factory):
    home = tmp_path_factory.mktemp("hostile")
    (home / "doorward.toml").write_text(
        f'[agents]\nrunner = "openai"\n[model]\nname = "small"\nbase_url = "{hostile.url}"\napi_key = "{KEY}"\n'
        "max_response_bytes = 1048576\nmax_input_bytes = 1024\nrequests = 1\nqueue = 0\n"
    )
    with Doorward("dev", "--listen", "127.0.0.1:0", "--config", home / "doorward.toml", home=home) as server:
        yield server


class Thread:
    def __init__(self, server: Doorward) -> None:
        self.someone = person(server.url)
        self.path = f"/v1/threads/{self.someone.client.post('/v1/threads', json={}).json()['id']}/runs"

    def ask(self, what: str, **headers: str):
        return self.someone.client.post(self.path, json={"messages": [{"content": what}]}, headers=headers)


@pytest.fixture(scope="module")
def thread(server):
    return Thread(server)


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("key", "agent_failed"),
        ("busy", "agent_busy"),
        ("page", "agent_bad_answer"),
        ("redirect", "agent_failed"),
        ("garbage", "agent_bad_answer"),
        ("cut", "agent_exited"),
        ("undone", "agent_exited"),
        ("bomb", "agent_bad_answer"),
        ("endless", "agent_answer_too_long"),
        ("x" * 2000, "agent_input_too_long"),
    ],
    ids=lambda value: value[:12],
)
def test_a_bad_answer_ends_its_run_with_a_code_and_the_next_one_is_answered(server, hostile, thread, what, code):
    failed = thread.ask(what)
    assert failed.status_code == 200 and failed.json()["run"]["status"] == "error", failed.text
    assert failed.json()["run"]["error"].startswith(f"{code}: "), failed.text
    for secret in (KEY, "a page of the proxy", hostile.url.split("/")[2]):
        assert secret not in failed.text
    assert KEY not in server.log and "a page of the proxy" not in server.log
    assert "/v1/stolen" not in hostile.targets, "a redirect is not followed"
    assert "all is well" in thread.ask("how are you?").text


def test_words_are_heard_while_the_model_still_thinks(thread, hostile):
    with thread.someone.client.post(
        thread.path, json={"messages": [{"content": "gate"}]}, headers={"Accept": "text/event-stream"}, stream=True
    ) as answer:
        lines = answer.iter_lines(chunk_size=1)
        assert next(line for line in lines if b'"text":' in line) == b'data: {"text":"one "}'
        assert not hostile.go.is_set()
        hostile.go.set()
        assert b'data: {"text":"two"}' in list(lines)


def test_a_run_that_is_cancelled_drops_its_request_and_frees_its_place(server, hostile):
    someone = person(server.url)
    client = get_sync_client(url=server.mount("langgraph"), headers={"Authorization": f"Bearer {someone.tokens.access}"})
    made = client.threads.create()["thread_id"]
    run = client.runs.create(made, "agent", input={"messages": [{"role": "user", "content": "hang"}]})["run_id"]
    assert hostile.begun.wait(20)
    busy = Thread(server).ask("hello")
    assert (busy.status_code, busy.json()["code"]) == (429, "agents_busy"), busy.text
    assert int(busy.headers["Retry-After"]) >= 1
    client.runs.cancel(made, run)
    assert hostile.left.wait(20), "the model server is told"
    wait_until(lambda: client.runs.get(made, run)["status"] == "interrupted", "the run's end", limit_s=20)
    wait_until(lambda: "all is well" in Thread(server).ask("hello").text, "the place", limit_s=20)
