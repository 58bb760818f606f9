"""Metrics as Prometheus reads them: PyPI `prometheus_client`'s parser takes what the binary answers."""

import pytest
import requests
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from harness.doorward import Doorward
from harness.native import person


@pytest.fixture
def server(tmp_path):
    config = tmp_path / "doorward.toml"
    config.write_text('[metrics]\nlisten = "127.0.0.1:0"\n')
    with Doorward("dev", "--listen", "127.0.0.1:0", "--config", config, home=tmp_path / "doorward") as server:
        yield server


def samples(server) -> dict[tuple, float]:
    answer = requests.get(server.ready["metrics"], timeout=10)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    families = text_string_to_metric_families(answer.text)
    return {(s.name, *sorted(s.labels.items())): s.value for family in families for s in family.samples}


def of(all_samples: dict, name: str, **labels) -> float:
    return all_samples.get((name, *sorted(labels.items())), 0)


def test_answers_refusals_and_times_are_counted_by_mount(server):
    before = samples(server)
    ann = person(server.url)
    for _ in range(5):
        assert ann.client.get("/v1/me").status_code == 200
    assert requests.get(f"{server.url}/v1/me", timeout=10).status_code == 401
    after = samples(server)

    def grown(name: str, **labels) -> float:
        return of(after, name, **labels) - of(before, name, **labels)

    assert grown("doorward_requests_total", mount="native", status="2xx") == 7
    assert grown("doorward_requests_total", mount="native", status="4xx") == 1
    assert grown("doorward_refusals_total", mount="native", code="credentials_missing") == 1
    assert grown("doorward_request_seconds_count", mount="native") == 8
    assert of(after, "doorward_connections") >= 1
    assert of(after, "doorward_news_age_seconds") < 5
    assert of(after, "process_cpu_seconds_total") > 0 and of(after, "process_resident_memory_bytes") > 1e6


def test_what_strangers_send_becomes_no_label(server):
    for path in ["/x" * 50, "/v1/threads/secret-id", "/?token=secret", "/v1/login/secret"]:
        requests.get(server.url + path, headers={"Host": "secret.localhost", "User-Agent": "secret"}, timeout=10)
    requests.request("SECRET", server.url, timeout=10)
    text = requests.get(server.ready["metrics"], timeout=10).text.lower()
    assert "secret" not in text and len(text) < 20_000


def test_metrics_are_on_their_own_listener_for_names_of_this_machine_and_nothing_else_is(server):
    at = server.ready["metrics"].removesuffix("/metrics")
    assert requests.get(f"{server.url}/metrics", timeout=10).status_code == 404
    assert requests.get(f"{at}/v1/me", timeout=10).status_code == 404
    assert requests.post(f"{at}/metrics", timeout=10).status_code == 405
    rebound = requests.get(f"{at}/metrics", headers={"Host": "evil.example"}, timeout=10)
    assert (rebound.status_code, rebound.json()["code"]) == (400, "bad_header")


def test_without_a_listener_there_are_none(tmp_path):
    with Doorward("dev", "--listen", "127.0.0.1:0", home=tmp_path / "plain") as server:
        assert "metrics" not in server.ready
        assert requests.get(f"{server.url}/metrics", timeout=10).status_code == 404
