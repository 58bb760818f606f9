"""What proxies ask, as their documentation states it, and what nobody may ask: raw requests."""

import socket
from urllib.parse import urlsplit

import pytest
import requests

from harness.client import Client
from harness.doorward import Doorward
from harness.native import PASSWORD, log_in, new_name
from harness.raw import read_answer, request_bytes

PATH = "/v1/forward-auth"
#: `ForwardAuth` of Traefik 3, `forward_auth` of Caddy 2.
FORWARDED = {"X-Forwarded-Method": "GET", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "site.example", "X-Forwarded-Uri": "/app/x?a=1", "X-Forwarded-For": "203.0.113.7"}


def ask(house, path=PATH, method="GET", token=None, **headers) -> requests.Response:
    """From the address that is trusted."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if token:
        sent["Authorization"] = f"Bearer {token}"
    return requests.request(method, house.server.url + path, headers=sent, allow_redirects=False, timeout=30)


def forwarded(house, token=None, **other) -> requests.Response:
    return ask(house, token=token, **{name.replace("-", "_"): value for name, value in FORWARDED.items()} | other)


def raw(house, message: bytes):
    """Also from the address that is trusted."""
    at = urlsplit(house.server.url)
    with socket.create_connection((at.hostname, at.port), timeout=30) as connection:
        connection.sendall(message)
        return read_answer(connection)


def test_a_leave_says_whose_it_is_in_headers_and_has_no_body(house):
    answer = forwarded(house, house.user)
    assert (answer.status_code, answer.content) == (200, b"")
    assert (answer.headers["X-Auth-Subject"], answer.headers["X-Auth-Roles"]) == (house.user_id, "user")
    assert answer.headers["X-Auth-Principal"] == f"local|{house.user_id}"
    nobody = forwarded(house, X_Forwarded_Uri="/welcome")
    assert (nobody.status_code, nobody.headers["X-Auth-Subject"], nobody.headers["X-Auth-Principal"]) == (200, "", "")
    assert ask(house, method="HEAD", token=house.user, X_Original_URI="/app", X_Original_Method="GET").status_code == 200


def test_refusals_are_told_apart(house):
    assert forwarded(house).status_code == 401
    assert forwarded(house).headers["WWW-Authenticate"].startswith("Bearer")
    for uri, code in [("/app/reports", "forbidden"), ("/elsewhere", "forward_auth_refused")]:
        answer = forwarded(house, house.user, X_Forwarded_Uri=uri)
        assert (answer.status_code, answer.json()["code"]) == (403, code), uri
    key = ask(house, X_API_Key=house.reading_key, X_Original_URI="/app/x", X_Original_Method="POST")
    assert (key.status_code, key.json()["code"]) == (403, "scope_missing")


def test_only_a_trusted_proxy_is_answered(house):
    """Calls come from 127.N.…, which the configuration does not list."""
    answer = Client(house.server.url, house.user).get(PATH, headers=FORWARDED)
    assert (answer.status_code, answer.json()["code"]) == (403, "forward_auth_refused")
    assert not [name for name in answer.headers if name.lower().startswith("x-auth")]
    assert Client(house.server.url).get(PATH, headers=FORWARDED | {"X-Forwarded-Uri": "/welcome"}).status_code == 403


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nothing", {}),
        ("a target alone", {"X_Original_URI": "/welcome"}),
        ("a method alone", {"X_Original_Method": "GET"}),
        ("half of the other kind", {"X_Original_URI": "/welcome", "X_Original_Method": "GET", "X_Forwarded_Method": "GET"}),
        ("two targets", {"X_Original_URI": "/welcome", "X_Original_Method": "GET", "X_Forwarded_Uri": "/app", "X_Forwarded_Method": "GET"}),
        ("two methods", {"X_Original_URI": "/welcome", "X_Original_Method": "GET", "X_Forwarded_Uri": "/welcome", "X_Forwarded_Method": "POST"}),
        ("empty", {"X_Original_URI": "", "X_Original_Method": ""}),
        ("absolute", {"X_Original_URI": "http://site.example/welcome", "X_Original_Method": "GET"}),
        ("lower case", {"X_Original_URI": "/welcome", "X_Original_Method": "get"}),
        ("dots", {"X_Original_URI": "/welcome/../app", "X_Original_Method": "GET"}),
        ("escaped dots", {"X_Original_URI": "/welcome/%2E%2e/app", "X_Original_Method": "GET"}),
        ("slashes", {"X_Original_URI": "//welcome", "X_Original_Method": "GET"}),
        ("an escaped slash", {"X_Original_URI": "/welcome%2fx", "X_Original_Method": "GET"}),
        ("a semicolon", {"X_Original_URI": "/welcome;/app", "X_Original_Method": "GET"}),
        ("an escaped semicolon", {"X_Original_URI": "/welcome/..%3b/app", "X_Original_Method": "GET"}),
        ("twice escaped", {"X_Original_URI": "/welcome/%252e%252e", "X_Original_Method": "GET"}),
        ("a fragment", {"X_Original_URI": "/welcome#/app", "X_Original_Method": "GET"}),
        ("long", {"X_Original_URI": "/welcome/" + "x" * 5000, "X_Original_Method": "GET"}),
        ("a bad host", {"X_Original_URI": "/welcome", "X_Original_Method": "GET", "X_Forwarded_Host": "a b"}),
    ],
)
def test_what_is_not_clear_is_let_through_for_nobody(house, name, said):
    answer = ask(house, token=house.premium, **said)
    assert (answer.status_code, answer.json()["code"]) == (403, "forward_auth_refused"), name
    assert "X-Auth-Subject" not in answer.headers


@pytest.mark.parametrize("header", ["X-Original-URI", "X-Original-Method", "X-Forwarded-Host", "X-Forwarded-Proto"])
def test_a_header_that_stands_twice_is_refused(house, header):
    said = [("X-Original-URI", "/welcome"), ("X-Original-Method", "GET"), ("X-Forwarded-Host", "a"), ("X-Forwarded-Proto", "http")]
    once = raw(house, request_bytes("GET", PATH, headers=said))
    twice = raw(house, request_bytes("GET", PATH, headers=[*said, (header, dict(said)[header])]))
    assert (once.status, twice.status, twice.code) == (200, 403, "forward_auth_refused")


def test_envoy_asks_by_the_method_and_the_path_of_the_request_itself(house):
    """`ext_authz` over HTTP with `path_prefix`: no body, `Content-Length: 0`, and only a 200 lets a request through."""
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]:
        answer = ask(house, "/v1/forward-auth/envoy/app/x?a=1", method, token=house.user, Content_Length="0")
        assert (answer.status_code, answer.headers["X-Auth-Subject"]) == (200, house.user_id), method
    assert ask(house, "/v1/forward-auth/envoy/app/reports/1", "GET", token=house.premium).status_code == 200
    assert ask(house, "/v1/forward-auth/envoy/app/reports/1", "POST", token=house.premium).status_code == 403
    assert ask(house, "/v1/forward-auth/envoy/", "GET", token=house.user).status_code == 403, "the root is in no area"
    assert ask(house, "/v1/forward-auth/envoy/app/x", "GET").status_code == 401
    forged = ask(house, "/v1/forward-auth/envoy/app/reports/1", token=house.user, X_Original_URI="/app/x", X_Original_Method="GET")
    assert forged.status_code == 403
    for target in ["/welcome/../app/x", "/welcome//x", "/welcome/%2e%2e/app", "/welcome%2fx", "/welcome;x"]:
        assert raw(house, request_bytes("GET", f"/v1/forward-auth/envoy{target}")).status in (400, 403), target


HOSTS = """
[server]
trusted_proxies = ["127.0.0.1"]

[areas.site]
prefixes = ["/"]
roles = ["anonymous"]

[areas.back]
host = "admin.example"
prefixes = ["/"]
roles = ["admin"]
"""


def test_where_areas_have_hosts_the_host_is_said_or_nothing_passes(tmp_path):
    (tmp_path / "policy.toml").write_text(HOSTS)
    with Doorward("dev", "--listen", "127.0.0.1:0", "--config", tmp_path / "policy.toml", home=tmp_path / "doorward") as server:

        def status(path=PATH, **headers) -> int:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            return requests.get(server.url + path, headers=sent, timeout=30).status_code

        asked = {"X_Original_URI": "/x", "X_Original_Method": "GET"}
        assert status(**asked) == 403, "whose host it is decides"
        assert status(**asked, X_Forwarded_Host="") == 403
        assert status(**asked, X_Forwarded_Host="shop.example") == 200
        assert status(**asked, X_Forwarded_Host="admin.example:8443") == 401
        # Envoy asks by the request's own host.
        assert status("/v1/forward-auth/envoy/x", Host="127.0.0.1") == 200
        assert status("/v1/forward-auth/envoy/x", X_Forwarded_Host="admin.example") == 401
        assert status("/v1/forward-auth/envoy/x", Host="admin.example") == 401


def test_a_session_in_a_cookie_looks_and_changes_only_for_pages_of_the_site(house):
    origin = house.server.url
    admin = Client(origin, house.server.admin_key)
    name = new_name()
    made = admin.post("/v1/users", json={"username": name, "password": PASSWORD})
    assert made.status_code == 201 and log_in(Client(origin), name).status_code == 200
    begun = requests.post(f"{origin}/v1/session", json={"username": name, "password": PASSWORD}, headers={"Origin": origin}, timeout=30)
    assert begun.status_code == 201, begun.text
    cookie = begun.headers["Set-Cookie"].split(";")[0]
    said = {"Cookie": cookie, "X_Original_URI": "/app/x"}
    assert ask(house, **said, X_Original_Method="GET").headers["X-Auth-Subject"] == made.json()["id"]
    assert ask(house, **said, X_Original_Method="POST", Origin=origin).status_code == 200
    other = ask(house, **said, X_Original_Method="POST", Origin="https://evil.example", Sec_Fetch_Site="cross-site")
    assert (other.status_code, other.json()["code"]) == (403, "cross_site")
    assert ask(house, **said, X_Original_Method="GET", Upgrade="websocket", Origin="https://evil.example").status_code == 403
    for opens in ({"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ=="}, {"Sec_Fetch_Mode": "websocket"}):
        socket_of_others = ask(house, **said, X_Original_Method="GET", Origin="https://evil.example", **opens)
        assert socket_of_others.status_code == 403, opens
    by_envoy = ask(house, "/v1/forward-auth/envoy/app/x", "POST", Cookie=cookie, Origin="https://evil.example")
    assert (by_envoy.status_code, by_envoy.json()["code"]) == (403, "cross_site")
    stale = ask(house, Cookie=cookie[:-3] + "AAA", X_Original_URI="/app/x", X_Original_Method="GET")
    assert stale.status_code == 401


def test_browsers_are_led_back_to_the_site_alone(house):
    page = {"Accept": "text/html"}
    led = forwarded(house, **page, X_Forwarded_Host="evil.example")
    assert (led.status_code, led.headers["Location"]) == (303, "/v1/login/example?return_to=%2Fapp%2Fx%3Fa%3D1")
    assert forwarded(house, Accept="application/json").status_code == 401
    assert forwarded(house, **page, X_Forwarded_Method="POST").status_code == 401
    assert forwarded(house, "no-token-of-ours", **page).status_code == 401
    assert ask(house, **page, X_Original_URI="/app/x", X_Original_Method="GET").status_code == 401, "nginx takes no redirect"
