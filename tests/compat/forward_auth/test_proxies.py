"""nginx, Caddy, HAProxy and Apache, unmodified and configured as docs/forward-auth.md has it, in front of a FastAPI app."""

import pytest

from harness.client import Client
from harness.raw import exchange, request_bytes

FORGED = {"X-Auth-Subject": "root", "X-Auth-Principal": "local|root", "X-Auth-Roles": "admin", "X_Auth_Roles": "admin", "X-Auth_Subject": "root"}


def told(answer) -> dict:
    """What the app was told of its caller; nothing may stand twice, or in another spelling."""
    assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
    pairs = [(name.lower(), value) for name, value in answer.json()["headers"] if name.lower().replace("_", "-").startswith("x-auth-")]
    assert len(dict(pairs)) == len(pairs) and not any("_" in name for name, _ in pairs), pairs
    return dict(pairs)


def test_callers_get_in_by_their_roles_and_the_app_is_told_who_they_are(proxy, house):
    client = Client(proxy)
    who = told(client.get("/app/x?a=1", token=house.user))
    assert {name: who[name] for name in who if name.startswith("x-auth-")} == {
        "x-auth-subject": house.user_id, "x-auth-principal": f"local|{house.user_id}", "x-auth-roles": "user",
    }
    assert told(client.get("/app/reports/1", token=house.premium))["x-auth-roles"] == "user,premium"
    posted = client.post("/app/x", token=house.user, data="a body of its own")
    assert (posted.status_code, posted.json()["method"], posted.json()["body"]) == (200, "POST", "a body of its own")


def test_others_do_not(proxy, house):
    client = Client(proxy)
    nobody = client.get("/app/x", headers={"Accept": "*/*"})
    assert nobody.status_code == 401 and "Bearer" in nobody.headers["WWW-Authenticate"]
    assert client.get("/app/x", token="no-token-of-ours").status_code == 401
    assert client.get("/app/reports/1", token=house.user).status_code == 403
    assert client.post("/app/reports/1", token=house.premium).status_code == 403, "a method that the area leaves out"
    assert client.get("/elsewhere", token=house.premium).status_code == 403, "in no area"
    assert client.get("/appx", token=house.premium).status_code == 403
    assert client.get("/app/reports/1", headers={"X-API-Key": house.reading_key}).status_code == 200
    assert client.post("/app/x", headers={"X-API-Key": house.reading_key}).status_code == 403, "the key's scope"


def test_what_a_client_says_of_itself_reaches_nobody(proxy, house):
    client = Client(proxy)
    assert told(client.get("/app/x", token=house.user, headers=FORGED))["x-auth-subject"] == house.user_id
    unknown = told(client.get("/welcome", headers=FORGED))
    assert all(unknown.get(name, "") == "" for name in ["x-auth-subject", "x-auth-principal"]), unknown
    assert unknown.get("x-auth-roles", "") in ("", "anonymous")


def test_the_app_gets_no_credential_of_doorwards(proxy, house):
    client = Client(proxy)
    for answer in (client.get("/app/x", token=house.user), client.get("/app/reports/1", headers={"X-API-Key": house.reading_key})):
        assert answer.status_code == 200
        names = {name.lower() for name, _ in answer.json()["headers"]}
        assert not names & {"authorization", "x-api-key"}, names


def test_what_is_nearly_a_deeper_area_is_nobodys(proxy, house):
    client = Client(proxy)
    for path in ("/app/REPORTS/1", "/app/reports.json", "/app/Reports."):
        assert client.get(path, token=house.premium).status_code == 403, path
    assert client.get("/app/reports-of-mine", token=house.user).status_code == 200


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_another_method_than_is_judged_is_not_let_through(proxy, house, name):
    assert Client(proxy).get("/app/x", token=house.user, headers={name: "DELETE"}).status_code == 403


@pytest.mark.parametrize("kind", ["Original-URI", "Original-Method", "Forwarded-Uri", "Forwarded-Method", "Forwarded-Host", "Forwarded-For"])
def test_a_client_cannot_say_what_is_asked_for(proxy, house, kind):
    said = {"Original-URI": "/welcome", "Forwarded-Uri": "/welcome", "Original-Method": "GET", "Forwarded-Method": "GET"}
    value = said.get(kind, "127.0.0.1")
    client = Client(proxy)
    refused = client.post("/app/reports/1", token=house.premium, headers={f"X-{kind}": value})
    assert refused.status_code == 403, f"{refused.status_code} {refused.text}"
    assert client.get("/app/x", headers={f"X-{kind}": value, "Accept": "*/*"}).status_code in (401, 403)


@pytest.mark.parametrize(
    "target",
    ["/welcome/../app/x", "/welcome/%2e%2e/app/x", "/welcome//x", "/welcome/..;/app/x", "/welcome;x", "/welcome/%2fx", "/welcome/%5c..%5capp", "/welcome/%252e%252e/app", "/welcome/..%2fapp"],
)
def test_a_path_with_two_readings_passes_for_nobody(proxy, target):
    answer = exchange(proxy, request_bytes("GET", target))
    # Apache and Caddy may clean a path up before they ask; then it is asked about as the app will see it.
    assert answer.status in (400, 401, 403, 404), f"{answer.status} {answer.body[:300]}"


def test_nothing_passes_while_doorward_is_not_asked_rightly(proxy, house):
    """Two headers of one name: whichever the proxy hands on, there is no leave by it."""
    message = request_bytes("GET", "/app/x", headers=[("Authorization", f"Bearer {house.user}"), ("Authorization", "Bearer other")])
    assert exchange(proxy, message).status in (400, 401, 403, 500)


def test_browsers_are_sent_to_log_in_where_the_proxy_can_do_it(proxy, request):
    answer = Client(proxy).get("/app/x?a=1&b=/", headers={"Accept": "text/html,*/*"}, allow_redirects=False)
    if "[nginx]" in request.node.name:
        assert answer.status_code == 401
    else:
        assert answer.status_code == 303, answer.text
        assert answer.headers["Location"].endswith("/v1/login/example?return_to=%2Fapp%2Fx%3Fa%3D1%26b%3D%2F")
