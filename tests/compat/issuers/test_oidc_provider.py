"""npm `oidc-provider`, unmodified: its access tokens, its published keys, its rotation."""

import base64
import json

import pytest

from harness.client import Client
from harness.doorward import Refused
from harness.programs import wait_until


def threads(server, token: str, mount: str = "native"):
    return Client(server.mount(mount), token).get("/v1/threads")


def with_kid(token: str, kid: str) -> str:
    """The same token, naming another key."""
    head, rest = token.split(".", 1)
    header = json.loads(base64.urlsafe_b64decode(head + "=="))
    made = json.dumps({**header, "kid": kid}).encode()
    return f"{base64.urlsafe_b64encode(made).decode().rstrip('=')}.{rest}"


@pytest.mark.parametrize("how", ["discovery", "jwks_url"])
def test_tokens_of_a_configured_issuer_are_taken_by_its_published_keys(issuer, doorward, how):
    issuer.start()
    server = doorward(issuer, f'jwks_url = "{issuer.url}/jwks"' if how == "jwks_url" else "")
    assert issuer.fetches == 0, "nothing is fetched before it is needed"
    client = Client(server.url, issuer.token())
    made = client.post("/v1/threads", json={"name": "mine"})
    assert made.status_code == 201, made.text
    assert threads(server, issuer.token()).json()["threads"][0]["id"] == made.json()["id"]
    assert issuer.fetches == 1, "keys are kept"
    lines = server.command("audit", "list", "--action", "thread:create")
    assert [line["principal"] for line in lines] == ["company|robot"]


def test_only_roles_that_are_defined_come_with_the_token(issuer, doorward):
    issuer.start()
    server = doorward(issuer)
    basic = Client(server.mount("muxi"), issuer.token()).get("/features/premium")
    assert basic.status_code == 401, "the mount that does not list the issuer takes none of its tokens"
    denied = Client(server.url, issuer.token()).get("/v1/users")
    assert denied.status_code == 403


def test_a_rotated_key_is_fetched_when_a_token_names_it_and_made_up_keys_fetch_nothing_more(issuer, doorward):
    issuer.start()
    server = doorward(issuer)
    old = issuer.token()
    assert threads(server, old).status_code == 200
    issuer.rotate()
    new = issuer.token()
    assert threads(server, new).status_code == 200
    assert threads(server, old).status_code == 200, "both keys are published"
    assert issuer.fetches == 2
    for number in range(20):
        assert threads(server, with_kid(new, f"made-up-{number}")).status_code in (401, 429)
    assert issuer.fetches == 2, "at most one fetch a minute for keys nobody knows"


def test_a_withdrawn_key_ends_its_tokens_when_the_keys_are_fetched_again(issuer, doorward):
    issuer.start()
    server = doorward(issuer)
    old = issuer.token()
    assert threads(server, old).status_code == 200
    issuer.rotate(drop=True)
    assert threads(server, issuer.token()).status_code == 200
    refused = threads(server, old)
    assert (refused.status_code, refused.json()["code"]) == (401, "token_invalid")


def test_an_issuer_that_is_away_is_503_for_its_tokens_alone_and_comes_back(issuer, doorward):
    issuer.start()
    token = issuer.token()
    issuer.stop()
    server = doorward(issuer)
    away = threads(server, token)
    assert (away.status_code, away.json()["code"]) == (503, "issuer_unavailable")
    assert 1 <= int(away.headers["Retry-After"]) <= 60
    assert "not reached" in server.log and token not in server.log
    assert threads(server, server.admin_key).status_code == 200, "everybody else is served"
    issuer.start()

    def back():
        answer = threads(server, issuer.token())
        return answer if answer.status_code != 503 else None

    assert wait_until(back, "the issuer's keys", limit_s=30).status_code == 200


def test_a_token_for_another_audience_is_refused(issuer, doorward):
    issuer.start()
    server = doorward(issuer)
    refused = threads(server, issuer.token("https://elsewhere.example"))
    assert (refused.status_code, refused.json()["code"]) == (401, "token_invalid")
    denials = wait_until(lambda: server.command("audit", "list", "--outcome", "denied"), "the denial's line")
    assert denials[0]["reason"] == "token_wrong_audience"


def test_an_issuer_inside_is_refused_at_the_start_unless_its_origin_is_listed(issuer, doorward):
    with pytest.raises(Refused) as refused:
        doorward(issuer, allow="https://idp.example")
    assert "issuers.company" in refused.value.output and "outbound.allow" in refused.value.output
