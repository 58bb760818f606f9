"""Tokens that only their issuer can judge: npm `oidc-provider` introspects them, a server shaped as Supabase Auth says whose they are."""

import concurrent.futures
import json

import pytest
import requests

from harness.doorward import Doorward, run_command
from harness.programs import wait_until
from harness.recorder import Recorder

OPAQUE = "https://opaque.example.com"
SECRET = "a-secret-of-the-tests-alone-0123456789"


@pytest.fixture
def start(tmp_path):
    running = []

    def start_with(text: str) -> Doorward:
        config = tmp_path / "asking.toml"
        config.write_text(text)
        config.chmod(0o600)
        running.append(Doorward("dev", "--listen", "127.0.0.1:0", "--config", config, home=tmp_path / "doorward"))
        return running[-1]

    yield start_with
    for server in running:
        server.program.stop()


def introspecting(issuer: str, audience: str = OPAQUE, cache_s: int = 2) -> str:
    return f"""
[outbound]
allow = ["{issuer}"]

[remote_tokens.company]
introspection_url = "{issuer}/token/introspection"
client_id = "robot"
secret = "{SECRET}"
identity_claim = "client_id"
audience = ["{audience}"]
cache_s = {cache_s}

[mounts.native]
remote_tokens = "company"
"""


def threads(server, token: str) -> requests.Response:
    return requests.get(f"{server.url}/v1/threads", headers={"Authorization": f"Bearer {token}"}, timeout=30)


def test_a_real_issuer_is_asked_a_few_times_for_a_thousand_requests_and_its_revocation_counts(issuer, start):
    issuer.start()
    server = start(introspecting(issuer.url))
    token = issuer.token(OPAQUE)
    assert token.count(".") == 0, "it is opaque"
    before = issuer.introspections
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: threads(server, token).status_code, range(1000)))
    assert statuses == [200] * 1000
    assert 1 <= issuer.introspections - before <= 10
    made = requests.post(f"{server.url}/v1/threads", json={}, headers={"Authorization": f"Bearer {token}"}, timeout=30)
    assert made.status_code == 201
    issuer.revoke(token)
    wait_until(lambda: threads(server, token).status_code == 401, "the end of the token")
    assert threads(server, "junk").status_code == 401


def test_a_token_for_another_audience_is_refused_and_an_issuer_that_is_gone_is_503(issuer, start):
    issuer.start()
    server = start(introspecting(issuer.url, audience="https://other.example"))
    assert threads(server, issuer.token(OPAQUE)).status_code == 401
    issuer.stop()
    away = threads(server, "never-seen-before")
    assert (away.status_code, away.json()["code"]) == (503, "issuer_unavailable")


def test_revoking_a_caller_here_counts_whatever_the_issuer_says(issuer, start):
    issuer.start()
    server = start(introspecting(issuer.url, cache_s=60))
    token = issuer.token(OPAQUE)
    assert threads(server, token).status_code == 200
    server.command("token", "revoke", "--principal", "company|robot")
    wait_until(lambda: threads(server, token).status_code == 401, "the revocation")


def test_supabase_says_whose_a_token_is(start):
    """`GET /auth/v1/user` with `apikey` and Bearer, 403 for what is no token, as its server answers."""

    def answer(request):
        if request.all("apikey") != ["anon-key"]:
            return 401, {"message": "No API key found in request"}
        if request.all("authorization") != ["Bearer good"]:
            return 403, {"code": 403, "error_code": "bad_jwt", "msg": "invalid JWT"}
        return 200, {"id": "11111111-2222-3333-4444-555555555555", "aud": "authenticated", "role": "authenticated", "email": "ann@x.org"}

    with Recorder(answer=answer) as supabase:
        server = start(
            f"""
[outbound]
allow = ["{supabase.url}"]
[remote_tokens.supabase]
userinfo_url = "{supabase.url}/auth/v1/user"
secret = "anon-key"
identity_claim = "id"
[mounts.native]
remote_tokens = "supabase"
"""
        )
        assert threads(server, "good").status_code == 200
        assert threads(server, "bad").status_code == 401
        requests.post(f"{server.url}/v1/threads", json={}, headers={"Authorization": "Bearer good"}, timeout=30).raise_for_status()
    lines = server.command("audit", "list", "--action", "thread:create")
    lines = lines["entries"] if isinstance(lines, dict) else lines
    assert lines[0]["principal"] == "supabase|11111111-2222-3333-4444-555555555555"
    assert lines[0]["method"] == "remote_token"
    assert "anon-key" not in server.log and "Bearer good" not in server.log


def test_a_langgraph_mount_that_asks_the_auth_server_itself_lets_nobody_in_while_it_is_away(start):
    with Recorder(answer=lambda request: (200, {"id": "ann"}) if request.all("authorization") == ["Bearer good"] else (403, {})) as supabase:
        server = start(
            f"""
[outbound]
allow = ["{supabase.url}"]
[remote_tokens.hosted]
userinfo_url = "{supabase.url}/auth/v1/user"
identity_claim = "id"
cache_s = 1
[mounts.langgraph]
remote_tokens = "hosted"
"""
        )

        def make(token):
            headers = {"Authorization": f"Bearer {token}"}
            return requests.post(f"{server.mount('langgraph')}/threads", json={}, headers=headers, timeout=30)

        assert (make("good").status_code, make("junk").status_code) == (200, 401)
    wait_until(lambda: make("good").status_code == 503, "the end of what was said")
    away = make("never-seen-before")
    assert away.status_code == 503 and "never-seen-before" not in away.text and list(away.json()) == ["detail"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[remote_tokens.a]\nuserinfo_url = "https://x.example/u"\n[mounts.native]\nremote_tokens = "b"', "there is no \"b\" to ask"),
        ("[remote_tokens.a]\n", "one of userinfo_url and introspection_url"),
        ('[remote_tokens.a]\nintrospection_url = "https://x.example/i"', "introspection needs client_id and secret"),
        ('[remote_tokens.a]\nuserinfo_url = "https://10.0.0.1/u"\n[mounts.native]\nremote_tokens = "a"', "outbound.allow"),
        ('[remote_tokens.local]\nuserinfo_url = "https://x.example/u"', "which is ours"),
        ('[remote_tokens.a]\nuserinfo_url = "https://x.example/u"\ncache_s = 61', "cache_s"),
    ],
)
def test_each_mistake_is_named(tmp_path, text, said):
    config = tmp_path / "asking.toml"
    config.write_text(text)
    done = run_command("dev", "--config", config, "--listen", "127.0.0.1:0", cwd=tmp_path)
    assert done.returncode == 1 and said in done.stderr, json.dumps(done.stderr)
