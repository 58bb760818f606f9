"""What an operator can set about an AgentFlow mount: A-008, A-033, A-034, A-067, A-072."""

import json
import time

import pytest

from harness.agentflow.settings import write_settings
from harness.agentflow.tokens import token
from harness.client import Client

WEEK_S = 7 * 24 * 3600


@pytest.fixture
def configured(start, tmp_path):
    """Starts `dev` with more lines in the mount's section, and in others."""

    def run(mount: str = "", rest: str = "", auth="jwt"):
        settings = write_settings(tmp_path / "app", auth=auth)
        file = tmp_path / "doorward.toml"
        file.write_text(f"[mounts.agentflow]\n{mount}\n{rest}\n")
        return start("dev", "--config", file, "--agentflow", settings)

    return run


def detail(answer) -> str:
    return answer.json()["detail"]


def test_a_declared_proxys_header_names_the_caller_and_anybody_elses_does_not(configured):
    """A-008"""
    mount = 'trusted_header = "X-Forwarded-User"'
    believed = configured(mount, '[server]\ntrusted_proxies = ["127.0.0.0/8"]')
    client = Client(believed.mount("agentflow"))
    ann, bob = ({"X-Forwarded-User": name} for name in ("ann", "bob"))
    made = client.post("/threads", headers=ann)
    assert made.status_code == 200, made.text
    thread = made.json()["thread_id"]
    assert client.get(f"/threads/{thread}", headers=ann).status_code == 200
    assert client.get(f"/threads/{thread}", headers=bob).status_code == 404
    assert client.get("/threads").status_code == 401


def test_the_same_header_from_an_undeclared_address_is_no_credential(configured):
    """A-008"""
    url = configured('trusted_header = "X-Forwarded-User"').mount("agentflow")
    assert Client(url).get("/threads", headers={"X-Forwarded-User": "ann"}).status_code == 401


def test_an_agent_learns_every_claim_of_the_documents_payload(configured):
    """A-033"""
    claims = {"username": "john_doe", "email": "john@example.com", "roles": ["user"]}
    server = configured(rest='[agents]\nrunner = "config"')
    client = Client(server.mount("agentflow"), token("user123", **claims))
    thread = client.post("/threads").json()["thread_id"]
    answer = client.post(f"/threads/{thread}/messages", json={"content": "who am I?"})
    assert answer.status_code == 200, answer.text
    said = json.loads(answer.json()["content"])
    assert said["user"] == {"user_id": "user123", **claims}


def test_roles_of_a_token_decide_what_its_user_may_do(configured):
    """A-034: a route that only administrators may use, by configuration."""
    url = configured(rest='[roles.user]\npermissions = ["thread:*", "message:*"]').mount("agentflow")
    for roles, status in ([["user"], 403], [["user", "admin"], 200]):
        answer = Client(url, token("user123", roles=roles)).get("/v1/graph")
        assert answer.status_code == status, f"{roles}: {answer.text}"


def test_a_token_that_lives_longer_than_allowed_is_refused(configured):
    """A-067"""
    url = configured(f"max_token_life_s = {WEEK_S}").mount("agentflow")
    now = int(time.time())
    for life_s, status in ((3600, 200), (WEEK_S, 200), (WEEK_S + 1, 401)):
        client = Client(url, token("user123", iat=now, exp=now + life_s))
        assert client.get("/threads").status_code == status, life_s


def test_refusals_are_told_apart_where_the_operator_wants_it(configured):
    """A-072"""
    url = configured('refusals = "distinct"').mount("agentflow")
    expired = token("user123", exp=int(time.time()) - 60)
    forged = token("user123", key="another secret of enough length, 0123456789")
    for credential, text in (
        (None, "Authorization header missing"),
        (expired, "Token has expired"),
        (forged, "Invalid token signature"),
    ):
        answer = Client(url, credential).get("/threads")
        assert (answer.status_code, detail(answer)) == (401, text)


def test_without_that_setting_refusals_say_what_the_document_says(configured):
    """A-072"""
    url = configured().mount("agentflow")
    forged = token("user123", key="another secret of enough length, 0123456789")
    assert detail(Client(url).get("/threads")) == "Not authenticated"
    assert detail(Client(url, forged).get("/threads")) == "Could not validate credentials"


def test_tokens_without_expiry_are_taken_only_where_the_operator_says_so(configured):
    endless = token("user123", exp=None)
    assert Client(configured().mount("agentflow"), endless).get("/threads").status_code == 401
    lenient = configured("require_exp = false").mount("agentflow")
    assert Client(lenient, endless).get("/threads").status_code == 200


def test_a_mount_has_password_rules_of_its_own(configured):
    server = configured(rest='[mounts.native]\nsign_up = "open"\nmin_password_chars = 20')
    for password, status in (("short of twenty chr", 400), ("long enough for twenty", 201)):
        body = {"username": f"user-{len(password)}", "password": password}
        answer = Client(server.url).post("/v1/users", json=body)
        assert answer.status_code == status, answer.text
