"""`/health/live` and `/health/ready`: what programs that start, stop and choose between servers ask."""

import contextlib
import signal
import socket
import sqlite3
import threading

import pytest
import requests

from harness.client import Client
from harness.native import log_in, new_name
from harness.operations import LIMIT_S, at_metrics_listener, metrics
from harness.programs import wait_until
from harness.recorder import Recorder


def probes(server) -> list[str]:
    return [f"{at}/health/{what}" for at in (server.url, at_metrics_listener(server, "")) for what in ("live", "ready")]


def asked(url: str, **options) -> requests.Response:
    return requests.get(url, timeout=LIMIT_S, **options)


def test_both_are_answered_on_both_listeners_without_a_credential(serve):
    server = serve()
    for url in probes(server):
        answer = asked(url)
        assert (answer.status_code, answer.json()) == (200, {"status": url.rsplit("/", 1)[1]}), url
        assert answer.headers["Cache-Control"] == "no-store"
        # A credential that is none makes no difference: it is not looked at.
        assert asked(url, headers={"Authorization": "Bearer nonsense"}).status_code == 200
        assert requests.head(url, timeout=LIMIT_S).status_code == 200
        refused = requests.post(url, timeout=LIMIT_S)
        assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD")
    assert asked(f"{server.url}/health/live/").status_code == 404
    assert asked(f"{server.url}/v1/health/live").status_code == 404


def test_probes_are_neither_logged_nor_counted(serve):
    server = serve()
    before = metrics(server)
    for _ in range(20):
        for url in probes(server):
            asked(url)
    asked(f"{server.url}/v1/me")
    after = metrics(server)
    counted = {key: value for key, value in after.items() if key[0] == "doorward_requests_total"}
    assert sum(counted.values()) == 1 + sum(v for k, v in before.items() if k[0] == "doorward_requests_total")
    assert "/v1/me" in server.log and "/health/" not in server.log


@pytest.mark.parametrize("surface", ["agentflow", "hypha", "langgraph", "supabase", "muxi"])
def test_a_mount_at_the_root_keeps_its_routes_and_the_probes_theirs(serve, surface):
    server = serve(arguments=["--mount", f"{surface}=127.0.0.1:0"])
    at = server.mount(surface)
    own = {"agentflow": "/ping", "hypha": "/health", "langgraph": "/ok", "supabase": "/auth/v1/health", "muxi": "/docs"}
    assert asked(at + own[surface]).status_code != 404
    assert asked(f"{at}/health/live").json() == {"status": "live"}
    assert asked(f"{at}/health/ready").json() == {"status": "ready"}


def test_an_upstream_is_not_asked_and_not_waited_for(serve, tmp_path):
    with Recorder() as upstream:
        arguments = ["--mount", "agentflow=127.0.0.1:0", "--upstream", upstream.url, "--surface", "agentflow"]
        server = serve(arguments=arguments)
        upstream.taken()
        for path in ("/health/live", "/health/ready"):
            assert asked(server.mount("agentflow") + path).status_code == 200
        assert [one.target for one in upstream.requests if one.target.startswith("/health")] == []


def test_a_limit_that_refuses_everybody_does_not_refuse_probes(serve):
    server = serve('[rate_limits.all]\nactions = ["*"]\nby = "everything"\nrequests = 1\nwindow_s = 3600\n')
    statuses = [asked(f"{server.url}/v1/me").status_code for _ in range(3)]
    assert statuses[-1] == 429
    assert [asked(url).status_code for url in probes(server)] == [200] * 4


def test_a_full_hashing_pool_does_not_keep_probes_waiting(serve):
    server = serve("[passwords]\nworkers = 1\nqueue = 1\nmemory_kib = 131072\npasses = 4\n")
    busy, going = threading.Event(), threading.Event()
    going.set()

    def flood():
        client = Client(server.url, roaming=True)
        while going.is_set():
            if log_in(client, new_name()).status_code == 429:
                busy.set()

    threads = [threading.Thread(target=flood) for _ in range(6)]
    for thread in threads:
        thread.start()
    try:
        assert busy.wait(LIMIT_S), "the pool was never full"
        assert [asked(url).status_code for url in probes(server)] == [200] * 4
    finally:
        going.clear()
        for thread in threads:
            thread.join()


def test_when_no_connection_is_free_the_listener_for_metrics_answers(serve):
    home_limit = "[server]\nmax_connections = 16\n"
    server = serve(home_limit)
    host, port = server.url.removeprefix("http://").split(":")
    with contextlib.ExitStack() as held:
        for _ in range(17):
            held.enter_context(socket.create_connection((host, int(port)), LIMIT_S))
        wait_until(lambda: metrics(server)[("doorward_connections",)] >= 16, "all of them taken", LIMIT_S)
        waits = held.enter_context(socket.create_connection((host, int(port)), LIMIT_S))
        waits.sendall(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        waits.setblocking(False)
        for what in ("live", "ready"):
            assert asked(at_metrics_listener(server, f"/health/{what}")).status_code == 200
        with pytest.raises(BlockingIOError):
            waits.recv(1)


def test_whoever_is_told_to_stop_says_so_first_and_serves_until_then(serve):
    server = serve("[server]\nleave_after_s = 300\n")
    session = requests.Session()
    assert session.get(f"{server.url}/health/ready", timeout=LIMIT_S).status_code == 200
    server.program.process.send_signal(signal.SIGTERM)
    wait_until(lambda: asked(f"{server.url}/health/ready").status_code == 503, "it says so", LIMIT_S)
    refused = asked(f"{server.url}/health/ready")
    assert (refused.json()["code"], refused.json()["reason"]) == ("not_ready", "stopping")
    assert asked(at_metrics_listener(server, "/health/ready")).status_code == 503
    assert asked(f"{server.url}/health/live").status_code == 200
    still = asked(f"{server.url}/.well-known/jwks.json")
    assert (still.status_code, still.headers["Connection"]) == (200, "close")
    server.program.process.send_signal(signal.SIGTERM)
    assert server.program.process.wait(LIMIT_S) == 0


def test_a_store_that_does_not_answer_is_not_ready_and_alive(serve):
    server = serve()
    store = next(server.home.rglob("*.db"))
    breaking = sqlite3.connect(store)
    # What the server reads of news is gone: as with a disk that lost a part of it.
    breaking.execute("ALTER TABLE changes RENAME TO changes_gone")
    breaking.commit()
    wait_until(lambda: asked(f"{server.url}/health/ready").status_code == 503, "it is noticed", LIMIT_S)
    refused = asked(f"{server.url}/health/ready")
    assert (refused.json()["code"], refused.json()["reason"]) == ("not_ready", "store")
    assert asked(f"{server.url}/health/live").status_code == 200
    assert str(server.home) not in refused.text
    breaking.execute("ALTER TABLE changes_gone RENAME TO changes")
    breaking.commit()
    breaking.close()
    wait_until(lambda: asked(f"{server.url}/health/ready").status_code == 200, "it recovers", LIMIT_S)
