"""`[agents] runner = "command"` over HTTP: busy, out of time, stopped, revoked, shut down. However a run ends, nothing of its program
stays behind."""

import concurrent.futures
import contextlib
import json
import os
import threading
from pathlib import Path

import pytest
import requests

from harness.client import Client
from harness.doorward import Doorward
from harness.native import person
from harness.programs import wait_until

AGENT = """
import json, os, subprocess, sys, time
request = json.loads(sys.stdin.readline())
said = request["messages"][-1]["content"]
def tell(**what): print(json.dumps(what), flush=True)
if said.startswith("wait"):
    # A child of its own, which must not stay behind either.
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    with open(said.split(" ")[1] + ".new", "w") as notes:
        notes.write(f"{os.getpid()} {child.pid}")
    os.rename(said.split(" ")[1] + ".new", said.split(" ")[1])
    tell(type="token", text="begun")
    time.sleep(600)
if said == "much":
    for _ in range(10_000): tell(type="token", text="x" * 1_000)
tell(type="token", text="You said " + said)
tell(type="done")
"""


@pytest.fixture
def start_agent(tmp_path):
    running = []

    def start(more: str = "") -> Doorward:
        (tmp_path / "agent.py").write_text(AGENT)
        config = tmp_path / "doorward.toml"
        config.write_text(
            f'[agents]\nrunner = "command"\ncommand = ["python3", "{tmp_path}/agent.py"]\n{more}\n'
        )
        server = Doorward("dev", "--listen", "127.0.0.1:0", "--config", config, home=tmp_path / "home")
        running.append(server)
        return server

    yield start
    for server in running:
        server.program.stop()


class Runs:
    """Somebody's thread, and runs in it."""

    def __init__(self, server: Doorward, notes: Path) -> None:
        self.someone = person(server.url)
        made = self.someone.client.post("/v1/threads", json={})
        self.path = f"/v1/threads/{made.json()['id']}/runs"
        self.url, self.notes = server.url, notes

    def ask(self, what: str) -> requests.Response:
        return self.someone.client.post(self.path, json={"messages": [{"content": what}]})

    def stream(self, what: str) -> requests.Response:
        headers = {"Accept": "text/event-stream", "Authorization": f"Bearer {self.someone.tokens.access}"}
        body = {"messages": [{"content": what}]}
        return requests.post(self.url + self.path, json=body, headers=headers, stream=True, timeout=60)

    def waiting(self, name: str) -> tuple[threading.Thread, list[int]]:
        """A run that waits until it is ended, in a thread of its own; and the processes of its program."""
        place = self.notes / name
        answer = threading.Thread(target=lambda: self.ended.append(self.ask(f"wait {place}")), daemon=True)
        self.ended: list[requests.Response] = []
        answer.start()
        wait_until(place.exists, "the program")
        return answer, [int(pid) for pid in place.read_text().split()]


def gone(pids: list[int]) -> bool:
    def lives(pid: int) -> bool:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return False
        return state != "Z"

    return not any(lives(pid) for pid in pids)


def test_one_run_too_many_is_429_with_the_time_to_come_again(start_agent, tmp_path):
    server = start_agent("processes = 1\nqueue = 0")
    runs = Runs(server, tmp_path)
    _, pids = runs.waiting("first")
    busy = Runs(server, tmp_path).ask("hello")
    assert (busy.status_code, busy.json()["code"]) == (429, "agents_busy"), busy.text
    assert int(busy.headers["Retry-After"]) >= 1
    os.kill(pids[0], 9)
    wait_until(lambda: gone(pids), "the end of what the program started, which held its output open")

    def free():
        answer = Runs(server, tmp_path).ask("hello")
        return answer if answer.status_code == 200 else None

    assert "You said hello" in wait_until(free, "room for a run").text


def test_a_run_that_waits_for_a_process_gets_it(start_agent, tmp_path):
    server = start_agent("processes = 1\nqueue = 23")
    runs = Runs(server, tmp_path)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda n: runs.ask(f"hello {n}"), range(6)))
    assert [answer.status_code for answer in answers] == [200] * 6


def test_a_run_out_of_time_ends_with_its_code_and_its_whole_program(start_agent, tmp_path):
    runs = Runs(start_agent("time_limit_s = 2"), tmp_path)
    answer, pids = runs.waiting("late")
    answer.join(30)
    assert "agent_timed_out" in runs.ended[0].text
    wait_until(lambda: gone(pids), "the end of the program and its child")


def test_too_much_output_ends_the_run_with_its_code(start_agent, tmp_path):
    runs = Runs(start_agent("max_output_bytes = 65536"), tmp_path)
    assert "agent_answer_too_long" in runs.ask("much").text


def test_a_client_that_leaves_a_stream_leaves_its_run_to_end_by_itself(start_agent, tmp_path):
    runs = Runs(start_agent("time_limit_s = 3"), tmp_path)
    place = tmp_path / "left"
    streaming = runs.stream(f"wait {place}")
    wait_until(place.exists, "the program")
    pids = [int(pid) for pid in place.read_text().split()]
    streaming.close()
    assert runs.someone.client.get(runs.path).json()["runs"][0]["status"] == "running"
    wait_until(lambda: gone(pids), "the end of the program and its child")
    wait_until(lambda: runs.someone.client.get(runs.path).json()["runs"][0]["status"] == "error", "the run's end")


def test_revoking_the_caller_ends_the_stream_and_the_run(start_agent, tmp_path):
    server = start_agent()
    runs = Runs(server, tmp_path)
    place = tmp_path / "revoked"
    streaming = runs.stream(f"wait {place}")
    lines = streaming.iter_lines()
    wait_until(place.exists, "the program")
    pids = [int(pid) for pid in place.read_text().split()]
    server.command("session", "end", "--user", runs.someone.name)
    rest = b"\n".join(lines).decode()
    assert "You said" not in rest
    wait_until(lambda: gone(pids), "the end of the program and its child", limit_s=45)
    listed = Client(server.url, server.admin_key).get(runs.path)
    assert listed.status_code in (200, 404)


def test_a_server_that_stops_takes_every_program_along(start_agent, tmp_path):
    server = start_agent()
    runs = Runs(server, tmp_path)
    place = tmp_path / "stopped"
    streaming = runs.stream(f"wait {place}")
    wait_until(place.exists, "the program")
    pids = [int(pid) for pid in place.read_text().split()]
    # The stream is left as it is: it must not keep the server.
    def listen():
        with contextlib.suppress(requests.exceptions.ChunkedEncodingError):
            list(streaming.iter_lines())

    threading.Thread(target=listen, daemon=True).start()
    server.program.process.terminate()
    assert server.program.process.wait(40) == 0
    wait_until(lambda: gone(pids), "the end of the program and its child")
    assert json.dumps({"type": "done"}) not in server.log
