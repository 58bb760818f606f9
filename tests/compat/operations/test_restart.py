"""A new process takes the listeners over: nothing that clients ask for fails meanwhile, though they retry nothing."""

import json
import os
import signal
import subprocess
from pathlib import Path

import requests

from harness.operations import LIMIT_S, Manager, at_metrics_listener, ready_file
from harness.programs import gone, node_binary, wait_until


class Load:
    """`load.mjs` at work."""

    def __init__(self, server, token: str) -> None:
        script = Path(__file__).with_name("load.mjs")
        chain = server.home / "tls.pem"
        self.process = subprocess.Popen(
            [node_binary(), script, server.url, chain, token, at_metrics_listener(server, "/health/ready")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )

    def so_far(self) -> dict:
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def more(self) -> dict:
        """Waits until each kind was answered again a number of times."""
        before = self.so_far()["answered"]

        def grown():
            now = self.so_far()
            enough = all(now["answered"][kind] >= count + 25 for kind, count in before.items())
            return now if enough or now["failed"] else None

        return wait_until(grown, "the load goes on", LIMIT_S)

    def end(self) -> dict:
        out, _ = self.process.communicate(timeout=LIMIT_S)
        return json.loads(out.splitlines()[-1])


def replace(server) -> int:
    """Has another process take the place of the one that serves; its id."""
    old = ready_file(server)["pid"]
    os.kill(old, signal.SIGUSR2)
    return wait_until(lambda: (pid := ready_file(server)["pid"]) != old and pid, "another process serves", 60)


def test_restart_under_load_fails_no_request(serve, credentials):
    server = serve(tls=True)
    token = credentials(server.url, verify=str(server.home / "tls.pem"))
    load = Load(server, token)
    load.more()
    served = [ready_file(server)["pid"]]
    for _ in range(2):
        served.append(replace(server))
        load.more()
        # It finishes what it took, and then it is gone: no client holds it.
        wait_until(lambda: gone(served[-2]), "the process before it ended", LIMIT_S)
        load.more()
    done = load.end()
    total = sum(done["answered"].values())
    print(f"two restarts under load: {total} requests, {len(done['failed'])} failed, {done['moved']} moved unsent")
    assert done["failed"] == []
    # At most what each of the four streams of its one connection was about to send.
    assert done["moved"] <= 4 * 2
    assert len(set(served)) == 3
    assert server.program.process.wait(LIMIT_S) == 0
    assert server.log.count("the process before this one has finished") == 2


def test_the_port_stays_and_the_new_configuration_counts(serve):
    server = serve()
    url, metrics_at = server.url, server.ready["metrics"]
    config = server.home / "doorward.toml"
    config.write_text(config.read_text() + '[rate_limits.all]\nactions = ["*"]\nby = "everything"\nrequests = 1\nwindow_s = 3600\n')
    replace(server)
    assert (ready_file(server)["url"], ready_file(server)["metrics"]) == (url, metrics_at)
    statuses = [requests.get(f"{url}/v1/me", timeout=LIMIT_S).status_code for _ in range(3)]
    assert statuses[-1] == 429


def test_a_successor_that_does_not_start_changes_nothing(serve):
    server = serve()
    config = server.home / "doorward.toml"
    good = config.read_text()
    config.write_text(good + "[server]\nlisten_to = 1\n")
    pid = ready_file(server)["pid"]
    os.kill(pid, signal.SIGUSR2)
    wait_until(lambda: "this one goes on" in server.log, "it says so", LIMIT_S)
    assert "listen_to" in server.log and "does not serve" in server.log
    assert requests.get(f"{server.url}/health/ready", timeout=LIMIT_S).status_code == 200
    assert ready_file(server)["pid"] == pid
    config.write_text(good)
    assert replace(server) != pid
    assert requests.get(f"{server.url}/health/ready", timeout=LIMIT_S).status_code == 200


def test_what_runs_in_the_old_process_is_not_interrupted_by_the_new_one(serve, credentials):
    server = serve()
    bearer = {"Authorization": f"Bearer {credentials(server.url)}"}
    thread = requests.post(f"{server.url}/v1/threads", json={"name": "kept"}, headers=bearer, timeout=30).json()["id"]
    runs = f"{server.url}/v1/threads/{thread}/runs"
    ask = {"messages": [{"content": "word " * 2000}]}
    with requests.post(runs, json=ask, headers={**bearer, "Accept": "text/event-stream"}, stream=True, timeout=60) as run:
        lines = run.iter_lines(decode_unicode=True)
        first = next(lines)
        replace(server)
        text = "\n".join([first, *lines])
    assert "event: end" in text and '"interrupted"' not in text
    listed = requests.get(runs, headers=bearer, timeout=30).json()
    assert [one["status"] for one in listed["runs"]] == ["success"], listed


def test_the_service_manager_learns_which_process_is_the_service(serve, manager: Manager):
    server = serve(environment={"NOTIFY_SOCKET": str(manager.path)})
    assert manager.next() == {"READY": "1"}
    new = replace(server)
    told = [manager.next(), manager.next()]
    # From two processes, in whatever order.
    assert sorted(told, key=str) == [{"MAINPID": str(new)}, {"READY": "1"}]
    os.kill(new, signal.SIGTERM)
    stopping = manager.next()
    # And for how long it is not to be killed meanwhile.
    assert (stopping.pop("STOPPING"), stopping) == ("1", {"EXTEND_TIMEOUT_USEC": "45000000"})
    wait_until(lambda: gone(new), "it stops", LIMIT_S)


def test_a_process_that_only_claims_to_take_over_is_refused(tmp_path):
    from harness.doorward import run_command

    refused = run_command("dev", "--listen", "127.0.0.1:0", cwd=tmp_path, environment={"DOORWARD_TAKES_OVER": "1"})
    assert refused.returncode == 1
    assert "DOORWARD_TAKES_OVER" in refused.stderr and "unset" in refused.stderr
