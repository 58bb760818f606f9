"""Odd log-ins as an operator meets them: a file of places by PyPI `mmdb-writer`, a webhook, the audit log."""

import json
from pathlib import Path

import pytest
import requests
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from harness.doorward import Doorward, Refused
from harness.native import PASSWORD
from harness.programs import wait_until
from harness.recorder import Recorder

LONDON, NEW_YORK = "81.2.69.142", "128.101.101.101"


@pytest.fixture
def places(tmp_path) -> Path:
    """A file of cities that knows two networks."""
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="Doorward-Test-City", float_type="f64")
    for network, latitude, longitude in [("81.2.69.0/24", 51.5, -0.1), ("128.101.0.0/16", 40.7, -74.0)]:
        place = {"latitude": latitude, "longitude": longitude, "accuracy_radius": 20}
        writer.insert_network(IPSet([network]), {"location": place})
    path = tmp_path / "places.mmdb"
    writer.to_db_file(str(path))
    return path


@pytest.fixture
def start_with(tmp_path):
    running = []

    def start(text: str) -> Doorward:
        config = tmp_path / "doorward.toml"
        config.write_text(f'[server]\ntrusted_proxies = ["127.0.0.1"]\npublic_url = "http://127.0.0.1"\n{text}')
        config.chmod(0o600)
        home = tmp_path / f"doorward-{len(running)}"
        running.append(Doorward("dev", "--listen", "127.0.0.1:0", "--config", config, home=home))
        return running[-1]

    yield start
    for server in running:
        server.program.stop()


def log_in(server: Doorward, name: str, address: str, password: str = PASSWORD, agent: str = "Firefox/1"):
    headers = {"X-Forwarded-For": address, "User-Agent": agent}
    asked = {"grant_type": "password", "username": name, "password": password}
    return requests.post(f"{server.url}/v1/token", data=asked, headers=headers, timeout=30)


def signed_up(server: Doorward, name: str = "ann@example.org") -> str:
    asked = {"email": name, "password": PASSWORD}
    assert requests.post(f"{server.url}/v1/users", json=asked, timeout=30).status_code == 201
    return name


def findings(server: Doorward) -> list[dict]:
    def lines():
        listed = server.command("audit", "list", "--limit", "1000")
        entries = listed["entries"] if isinstance(listed, dict) else listed
        return [line for line in entries if line["action"].startswith("anomaly:")]

    return wait_until(lines, "a finding")


def test_a_log_in_from_across_an_ocean_is_refused_like_a_wrong_password_and_told_to_a_webhook(start_with, places):
    with Recorder(answer=lambda request: (204, None)) as recorder:
        server = start_with(
            f"""
            [outbound]
            allow = ["{recorder.url}"]
            [webhooks.security]
            url = "{recorder.url}/alerts"
            secret = "whsec_{"A" * 43}="
            events = ["on_login_anomaly"]
            [anomalies]
            impossible_travel = "block"
            locations = "{places}"
            """
        )
        ann = signed_up(server)
        assert log_in(server, ann, LONDON).status_code == 200
        far = log_in(server, ann, NEW_YORK)
        wrong = log_in(server, ann, LONDON, password="not this one")
        assert far.status_code == wrong.status_code == 401
        strip = lambda answer: {k: v for k, v in answer.json().items() if k != "request_id"}
        assert strip(far) == strip(wrong), "nothing tells whoever tries passwords that this one is right"
        assert log_in(server, ann, LONDON).status_code == 200, "the owner, at home, is not locked out"
        line = findings(server)[0]
        assert (line["action"], line["outcome"]) == ("anomaly:impossible_travel", "denied")
        assert "km from the log-in" in line["reason"] and "81.2.69.142" in line["reason"]
        told = wait_until(lambda: [json.loads(r.body) for r in recorder.requests], "the alert")[0]
        assert told["type"] == "login.anomaly"
        assert told["data"]["action"] == "anomaly:impossible_travel" and told["data"]["address"] == NEW_YORK


def test_a_new_device_is_let_in_and_noted_where_nothing_is_configured(start_with):
    server = start_with("")
    ann = signed_up(server)
    assert log_in(server, ann, LONDON).status_code == 200
    assert log_in(server, ann, NEW_YORK, agent="curl/8.5.0").status_code == 200
    line = findings(server)[0]
    assert (line["action"], line["outcome"]) == ("anomaly:new_device", "noted")
    assert "curl/8.5.0" in line["reason"]


def test_stuffing_from_one_network_is_refused_and_other_networks_are_not(start_with):
    server = start_with('[limits]\nfailures = 1000\n[anomalies]\ncredential_stuffing = "block"\nstuffing = 4')
    ann = signed_up(server)
    for n in range(4):
        assert log_in(server, f"victim{n}@example.org", "198.51.100.7", "leaked").status_code == 401
    assert log_in(server, ann, "198.51.100.7").status_code == 401
    assert log_in(server, ann, "198.51.100.8").status_code == 200
    reasons = [line["reason"] for line in findings(server)]
    assert any("failed to log in as 4 different accounts" in reason for reason in reasons)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ('impossible_travel = "block"', "needs to know where addresses are"),
        ('new_device = "step_up"', "second factors"),
        ('new_device = "blok"', 'did you mean "block"?'),
        ('locations = "nowhere.mmdb"', "anomalies.locations"),
        ("stuffing = 1", "stuffing"),
    ],
)
def test_a_policy_that_could_not_work_is_refused_at_the_start(start_with, section, said):
    with pytest.raises(Refused) as refused:
        start_with(f"[anomalies]\n{section}")
    assert said in refused.value.output


def test_a_file_that_holds_no_places_is_refused_at_the_start(start_with, tmp_path):
    writer = MMDBWriter(database_type="Doorward-Test-Country")
    writer.insert_network(IPSet(["81.2.69.0/24"]), {"country": {"iso_code": "GB"}})
    writer.to_db_file(str(tmp_path / "countries.mmdb"))
    (tmp_path / "text.mmdb").write_text("no database")
    for name, said in [("countries", "no coordinates"), ("text", "anomalies.locations")]:
        with pytest.raises(Refused) as refused:
            start_with(f'[anomalies]\nlocations = "{tmp_path / name}.mmdb"')
        assert said in refused.value.output
