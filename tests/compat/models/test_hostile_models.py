"""A model server that lies, hangs or talks without end: each run ends with a code of its own, and nothing else suffers."""

import concurrent.futures
import re
from pathlib import Path

import pytest
from langgraph_sdk import get_sync_client

from harness.client import Client
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

    def ask_beside(self, what: str):
        """As `ask`, over a connection of its own: others wait meanwhile."""
        client = Client(self.someone.client.base, self.someone.tokens.access)
        return client.post(self.path, json={"messages": [{"content": what}]}, timeout=120)


@pytest.fixture(scope="module")
def thread(server):
    return Thread(server)


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("key", "agent_failed"),
        ("busy", "agent_busy"),
        ("echo", "agent_failed"),
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
    assert "cannot read what was said" not in server.log, "its words may repeat what people wrote"
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


def _resident_mib(server: Doorward) -> int:
    status = Path(f"/proc/{server.program.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) // 1024


def test_runs_that_a_slow_model_holds_up_cost_little_and_keep_nobody_out(hostile, tmp_path):
    (tmp_path / "doorward.toml").write_text(
        f'[agents]\nrunner = "openai"\n[model]\nname = "small"\nbase_url = "{hostile.url}"\nrequests = 8\nqueue = 32\n'
    )
    with Doorward("dev", "--listen", "127.0.0.1:0", "--config", tmp_path / "doorward.toml", home=tmp_path) as server:
        thread, other = Thread(server), person(server.url)
        messages = thread.path.removesuffix("/runs") + "/messages"
        refused = thread.someone.client.post(messages, json={"content": [1] * 100_000})
        assert (refused.status_code, refused.json()["code"]) == (400, "bad_field"), refused.text
        # The heaviest that can be said.
        heavy = [{"type": "text", "text": "x" * 125_000}, *([{"": {}}] * 2_000)]
        for _ in range(64):
            said = thread.someone.client.post(messages, json={"content": heavy})
            assert said.status_code == 201, said.text
        before = _resident_mib(server)
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            asked = [pool.submit(thread.ask_beside, "silent") for _ in range(12)]
            wait_until(lambda: hostile.silent == 8, "eight runs at the model", limit_s=60)
            done = concurrent.futures.wait(asked, return_when=concurrent.futures.FIRST_COMPLETED, timeout=60).done
            assert {answer.result().status_code for answer in done} == {429}, "more than a quarter of the places"
            for _ in range(20):
                assert other.client.get("/v1/me").status_code == 200
            grown = _resident_mib(server) - before
            hostile.speak.set()
            statuses = sorted(answer.result().status_code for answer in asked)
            assert statuses == [200] * 10 + [429] * 2
        assert grown < 100, f"{grown} MiB for eight runs that wait"
