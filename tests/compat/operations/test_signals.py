"""What a server does with signals while it starts, while another process takes its place, and while it finishes."""

import contextlib
import os
import secrets
import signal
from pathlib import Path

import pytest
import requests

from harness.operations import ready_file
from harness.programs import Program, clean_environment, doorward_binary, gone, wait_until

AGENT = """
import json, signal, sys
sys.stdin.readline()
print(json.dumps({"type": "token", "text": "begun"}), flush=True)
signal.pause()
"""


@pytest.fixture
def patient(tmp_path):
    """Settings of an agent that begins to answer and never ends."""
    (tmp_path / "agent.py").write_text(AGENT)
    return f'[agents]\nrunner = "command"\ncommand = ["python3", "{tmp_path}/agent.py"]\n'


def begun(server, bearer: dict) -> requests.Response:
    """A run that has said its first word, as its stream."""
    thread = requests.post(f"{server.url}/v1/threads", json={}, headers=bearer, timeout=30).json()["id"]
    ask, stream = {"messages": [{"content": "hello"}]}, {**bearer, "Accept": "text/event-stream"}
    run = requests.post(f"{server.url}/v1/threads/{thread}/runs", json=ask, headers=stream, stream=True, timeout=60)
    lines = run.iter_lines(decode_unicode=True)
    assert any("begun" in line for line in lines)
    return run


def child_of(pid: int) -> int | None:
    """The newest process that this one started."""
    def parent(one: Path) -> int:
        with contextlib.suppress(OSError):
            return int((one / "stat").read_text().rsplit(")", 1)[1].split()[1])
        return 0

    children = [int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit() and parent(one) == pid]
    return max(children, default=None)


def replace(server) -> tuple[int, int]:
    """Has another process take the place of the one that serves: which one was it, and which one is it."""
    old = ready_file(server)["pid"]
    os.kill(old, signal.SIGUSR2)
    return old, wait_until(lambda: (pid := ready_file(server)["pid"]) != old and pid, "another process serves")


def test_a_run_that_goes_on_in_the_old_process_can_be_cancelled_at_the_new_one(serve, credentials, patient):
    server = serve(patient)
    client = requests.Session()
    client.headers["Authorization"] = f"Bearer {credentials(server.url)}"
    threads = f"{server.mount('langgraph')}/threads"
    thread = client.post(threads, json={}, timeout=30).json()["thread_id"]
    ask = {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": "hello"}]}}
    begun = client.post(f"{threads}/{thread}/runs", json=ask, timeout=30).json()
    at = f"{threads}/{thread}/runs/{begun['run_id']}"

    def status() -> str:
        return client.get(at, timeout=30).json()["status"]

    wait_until(lambda: status() == "running", "the run")
    old, _ = replace(server)
    assert not gone(old) and status() == "running"
    assert client.post(f"{at}/cancel", timeout=30).status_code == 202
    wait_until(lambda: status() == "interrupted", "the end of the run")
    wait_until(lambda: gone(old), "nothing is left to wait for")


def test_a_process_that_was_replaced_leaves_at_once_when_it_is_told_to(serve, credentials, patient):
    server = serve(patient)
    with begun(server, {"Authorization": f"Bearer {credentials(server.url)}"}):
        old, new = replace(server)
        wait_until(lambda: "another process serves now" in server.log, "it says how to end it")
        os.kill(old, signal.SIGTERM)
        # The run would go on for as long as a run may.
        wait_until(lambda: gone(old), "it is gone")
    assert "leaving at once" in server.log
    assert not gone(new)
    wait_until(lambda: "the process before this one has finished" in server.log, "nothing was left half-done")


def test_sighup_while_a_server_starts_does_not_end_it(tmp_path):
    (tmp_path / "master.key").write_text(secrets.token_hex(32))
    (tmp_path / "master.key").chmod(0o600)
    # It waits for its configuration until somebody writes one.
    config, ready = tmp_path / "doorward.toml", tmp_path / "ready.json"
    os.mkfifo(config, 0o600)
    command = [doorward_binary(), "serve", "--listen", "127.0.0.1:0", "--config", config, "--ready-file", ready]
    program = Program(command, tmp_path / "log", clean_environment(), tmp_path)
    try:
        with config.open("w") as writer:
            program.process.send_signal(signal.SIGHUP)
            writer.write(f'[secrets]\nmaster_key_file = "{tmp_path}/master.key"\n[store]\npath = "{tmp_path}/store/d.db"\n')
        wait_until(lambda: ready.exists() or program.process.poll() is not None, "it serves")
        program.require_running()
    finally:
        program.stop()


def test_who_is_told_to_stop_while_another_process_starts_ends_that_one_too(serve):
    server = serve()
    old, said = server.program.process, (server.home / "ready.json").read_text()
    before = child_of(old.pid)
    old.send_signal(signal.SIGUSR2)
    new = wait_until(lambda: (pid := child_of(old.pid)) != before and pid, "another process")
    # It comes no further until the first one is gone.
    os.kill(new, signal.SIGSTOP)
    old.send_signal(signal.SIGTERM)
    try:
        assert old.wait(30) == 0
        assert gone(new)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(new, signal.SIGCONT)
    wait_until(lambda: gone(new), "it ends by itself")
    assert (server.home / "ready.json").read_text() == said, "nobody was told of a server that is none"


def test_who_takes_over_tells_nobody_before_the_process_before_it_lets_go(serve):
    server = serve()
    old, said = server.program.process, (server.home / "ready.json").read_text()
    before = child_of(old.pid)
    old.send_signal(signal.SIGUSR2)
    new = wait_until(lambda: (pid := child_of(old.pid)) != before and pid, "another process")
    os.kill(old.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: "ready to take the place" in server.log, "it could serve")
        old.send_signal(signal.SIGTERM)
    finally:
        os.kill(old.pid, signal.SIGCONT)
    assert old.wait(30) == 0
    assert gone(new)
    assert (server.home / "ready.json").read_text() == said


def test_the_key_of_dev_stays_when_another_process_takes_over(serve):
    server = serve()
    bearer = {"Authorization": f"Bearer {server.admin_key}"}
    for _ in range(2):
        old, new = replace(server)
        wait_until(lambda old=old: gone(old), "the process before it ended")
        assert ready_file(server)["admin_key"] == server.admin_key
        assert requests.get(f"{server.url}/v1/me", headers=bearer, timeout=30).status_code == 200
    os.kill(new, signal.SIGTERM)
    wait_until(lambda: gone(new), "it stops")
    listed = server.command("key", "list")
    assert [key for key in listed if not key["revoked_at_ms"]] == [], "and ends with the last of them"
