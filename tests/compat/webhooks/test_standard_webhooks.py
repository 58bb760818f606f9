"""Webhooks as a receiver sees them: PyPI `standardwebhooks`, unmodified, verifies what the binary sends."""

import base64
import json
import os
import signal
from datetime import datetime, timezone
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from harness.client import Client
from harness.doorward import Doorward, Refused, run_command
from harness.native import log_in, new_name, person, sign_up
from harness.programs import wait_until
from harness.recorder import Recorded, Recorder


def secret() -> str:
    return f"whsec_{base64.b64encode(os.urandom(32)).decode()}"


def configured(home: Path, url: str, key: str, more: str = "", allow: list[str] | None = None) -> Path:
    path = home / "doorward.toml"
    path.write_text(
        f"""
[outbound]
allow = {json.dumps(allow if allow is not None else [url.rsplit("/", 1)[0]])}

[webhooks.ops]
url = "{url}"
secret = "{key}"
{more}
"""
    )
    path.chmod(0o600)
    return path


class Receiver:
    """Keeps what it is sent, verified or not, and answers with `status`."""

    def __init__(self, key: str) -> None:
        self.webhook = Webhook(key)
        self.status = 204
        self.recorder = Recorder(answer=lambda request: (self.status, None))
        self.url = f"{self.recorder.url}/hook"

    def verified(self) -> list[dict]:
        return [self.webhook.verify(request.body, headers(request)) for request in list(self.recorder.requests)]

    def of(self, kind: str) -> list[dict]:
        return [event for event in self.verified() if event["type"] == kind]


def headers(request: Recorded) -> dict[str, str]:
    return dict(request.headers)


@pytest.fixture
def key() -> str:
    return secret()


@pytest.fixture
def receiver(key):
    receiver = Receiver(key)
    with receiver.recorder:
        yield receiver


@pytest.fixture
def start_with(tmp_path):
    running = []

    def start(config: Path, home: str = "doorward") -> Doorward:
        server = Doorward("dev", "--listen", "127.0.0.1:0", "--config", config, home=tmp_path / home)
        running.append(server)
        return server

    yield start
    for server in running:
        server.program.stop()


def test_the_reference_library_verifies_what_is_sent_and_refuses_what_was_changed(start_with, tmp_path, key, receiver):
    server = start_with(configured(tmp_path, receiver.url, key))
    ann = person(server.url)

    def of_ann(kind: str) -> list[dict]:
        return [event for event in receiver.of(kind) if ann.id in json.dumps(event["data"])]

    created = wait_until(lambda: of_ann("user.created"), "the event")[0]
    assert created["data"]["resource"] == ann.id
    assert datetime.fromisoformat(created["timestamp"]) <= datetime.now(timezone.utc)
    session = wait_until(lambda: of_ann("session.created"), "the session's event")[0]
    assert session["data"]["session_id"] == ann.tokens.session and session["data"]["user_id"] == ann.id
    kinds = wait_until(lambda: [t["data"]["token_type"] for t in of_ann("token.generated")][1:], "tokens' events")
    kinds = [t["data"]["token_type"] for t in of_ann("token.generated")]
    assert sorted(kinds) == ["access", "refresh"]
    sent = b"".join(request.head + request.body for request in receiver.recorder.requests)
    for hidden in (ann.tokens.access, ann.tokens.refresh, key):
        assert hidden.encode() not in sent
    request = receiver.recorder.requests[0]
    with pytest.raises(WebhookVerificationError):
        receiver.webhook.verify(request.body + b" ", headers(request))
    with pytest.raises(WebhookVerificationError):
        receiver.webhook.verify(request.body, {**headers(request), "webhook-timestamp": "1700000000"})
    with pytest.raises(WebhookVerificationError):
        Webhook(secret()).verify(request.body, headers(request))


def test_receivers_that_change_their_secret_over_verify_by_either(start_with, tmp_path, key, receiver):
    new = secret()
    config = configured(tmp_path, receiver.url, new, f'previous_secret = "{key}"\nevents = ["on_user_created"]')
    server = start_with(config)
    assert sign_up(Client(server.url), new_name()).status_code == 201
    wait_until(lambda: receiver.recorder.requests, "the event")
    request = receiver.recorder.requests[0]
    for one in (key, new):
        assert Webhook(one).verify(request.body, headers(request))["type"] == "user.created"


def test_an_event_that_was_acknowledged_and_not_delivered_survives_kill_9(start_with, tmp_path, key, receiver):
    receiver.status = 503
    config = configured(tmp_path, receiver.url, key, 'events = ["user.created"]')
    server = start_with(config)
    names = [new_name() for _ in range(5)]
    ids = [sign_up(Client(server.url), name).json()["id"] for name in names]
    os.killpg(server.program.process.pid, signal.SIGKILL)
    server.program.process.wait()
    tried = len(receiver.recorder.requests)
    receiver.status = 204
    again = Doorward(
        "dev", "--listen", "127.0.0.1:0", "--config", config, "--data-dir", server.data_dir, home=tmp_path / "again"
    )
    try:
        waiting = again.command("webhook", "list", "--config", config)
        assert waiting[0]["name"] == "ops"
        again.command("webhook", "retry", "ops", "--config", config)

        def all_told():
            later = receiver.recorder.requests[tried:]
            told = {json.loads(request.body)["data"]["resource"] for request in later}
            return told >= set(ids)

        wait_until(all_told, "every acknowledged account's event", limit_s=30)
    finally:
        again.program.stop()
    bodies = [(headers(request)["webhook-id"], json.loads(request.body)) for request in receiver.recorder.requests]
    seen = {(name, body["data"]["resource"]) for name, body in bodies if body["data"]["resource"] in ids}
    assert len(seen) == 5, "an event keeps its id however often it is sent"


def test_a_refused_log_in_and_a_denial_are_told_with_their_rule(start_with, tmp_path, key, receiver):
    server = start_with(configured(tmp_path, receiver.url, key, 'events = ["login.failed", "access.denied"]'))
    ann = person(server.url)
    assert log_in(Client(server.url), ann.name, "a wrong password, surely").status_code == 401
    failed = wait_until(lambda: receiver.of("login.failed"), "the event")[0]
    assert (failed["data"]["reason"], failed["data"]["resource"]) == ("bad_credentials", ann.id)
    assert ann.client.get("/v1/users").status_code == 403
    denied = wait_until(lambda: receiver.of("access.denied"), "the event")[0]
    assert (denied["data"]["action"], denied["data"]["principal"]) == ("user:list", f"local|{ann.id}")


@pytest.mark.parametrize("url", ["http://hooks.example/x", "https://127.0.0.1/x", "https://[::ffff:10.0.0.1]/x"])
def test_a_target_inside_is_refused_at_the_start(start_with, tmp_path, key, url):
    with pytest.raises(Refused) as refused:
        start_with(configured(tmp_path, url, key, allow=[]))
    assert "webhooks.ops" in refused.value.output and "outbound.allow" in refused.value.output


def test_a_name_that_leads_inside_is_refused_when_it_is_told(start_with, tmp_path, key, receiver):
    inside = receiver.recorder.url.replace("http://127.0.0.1", "https://localhost")
    config = configured(tmp_path, f"{inside}/hook", key, allow=[])
    server = start_with(config)
    tested = run_command("webhook", "test", "ops", "--config", config, "--data-dir", server.data_dir, cwd=server.home)
    assert tested.returncode != 0 and "an address of this machine or network" in tested.stderr
    assert receiver.recorder.requests == []


def test_a_redirect_is_not_followed_and_a_test_says_what_was_answered(start_with, tmp_path, key, receiver):
    config = configured(tmp_path, receiver.url, key, "events = [\"user.deleted\"]")
    server = start_with(config)

    def tested():
        return run_command("webhook", "test", "ops", "--config", config, "--data-dir", server.data_dir, cwd=server.home)

    assert "Taken: 204" in tested().stdout
    assert receiver.of("webhook.test")
    receiver.status = 302
    refused = tested()
    assert refused.returncode != 0 and "answered 302" in refused.stderr


def test_every_mistake_in_a_webhook_is_named_at_once(tmp_path):
    config = configured(tmp_path, "hooks.example", "not-a-secret", 'events = ["user.creatd"]\ngive_up_after_s = 1')
    checked = run_command("config", "check", "--config", config, cwd=tmp_path)
    assert checked.returncode != 0
    for word in ["webhooks.ops.url", "webhooks.ops.secret", "whsec_", "user.created", "webhooks.ops.give_up_after_s"]:
        assert word in checked.stderr, (word, checked.stderr)
    assert "not-a-secret" not in checked.stderr
