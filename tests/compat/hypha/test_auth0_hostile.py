"""The way to a tenant and back, for whoever wants to come back as somebody else: by hand, with cookies as a browser keeps them."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, urlencode

import pytest
import requests

from harness.hypha import Hub, Visitor
from harness.tenant import AUDIENCE, PAGE, Site, Tenant, at_tenant, parameters, serve, way_out

TICKET = "__Host-doorward-login-"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("auth0-hostile"))
    yield site
    site.stop()


def away(site, visitor: Visitor, key: str | None = None) -> str:
    """Presses the button; where the browser is sent."""
    page = f"{site.hub.url}{PAGE}" + (f"?key={key}" if key else "")
    opened = visitor.open(page)
    assert opened.status_code == 200, opened.text
    sent = visitor.submit(page, opened.text, act="tenant", at=site.tenant.site)
    assert sent.status_code == 200, sent.text
    return way_out(sent.text)


def come(site, visitor: Visitor, name: str = "auth0|ann", key: str | None = None) -> str:
    """As far as the address that the tenant sends the browser to."""
    return at_tenant(away(site, visitor, key), name)


def test_the_way_there_and_back_by_hand(site):
    visitor, login = Visitor(site.hub), site.start()
    out = away(site, visitor, login["key"])
    asked = parameters(out)
    assert out.startswith(f"{site.tenant.url}/authorize?") and asked["redirect_uri"] == site.tenant.site
    assert asked["code_challenge_method"] == "S256" and len(asked["code_challenge"]) == 43 and min(len(asked[one]) for one in ("state", "nonce")) >= 43
    back = at_tenant(out, "auth0|ann")
    assert back.startswith(f"{site.tenant.site}/?"), "the site's root exactly"
    first = visitor.request("GET", back)
    assert first.status_code == 303 and first.headers["Location"].startswith(f"/hypha{PAGE}?") and login["key"] not in first.headers["Location"]
    done = visitor.open(back)
    assert done.status_code == 200 and "The program can go on" in done.text
    assert site.who(site.check(login["key"]))["user"]["email"] == "ann@organization.example"
    assert not any(name.startswith(TICKET) for name in visitor.cookies), "the ticket is taken back"
    secrets = [parameters(back)["code"], parameters(back)["state"], visitor.cookies["access_token"]]
    assert not any(secret in site.server.log for secret in secrets)


def test_a_state_that_is_not_this_browsers_opens_nothing(site):
    visitor, login = Visitor(site.hub), site.start()
    back = come(site, visitor, key=login["key"])
    state = parameters(back)["state"]
    for forged in (state[:-1] + ("A" if state[-1] != "A" else "B"), "A" * len(state), "", state + "A"):
        answer = visitor.open(back.replace(state, forged))
        assert answer.status_code == 400 and "login_expired" in answer.text, forged
    without = visitor.open(f"{site.tenant.site}/?code={parameters(back)['code']}")
    assert without.status_code == 400 and "login_expired" in without.text
    straight = visitor.open(f"{site.hub.url}{PAGE}?state={'A' * 43}&code=x")
    assert straight.status_code == 400 and "login_expired" in straight.text
    assert "access_token" not in visitor.cookies and site.check(login["key"]) is None
    assert visitor.open(back).status_code == 200 and site.check(login["key"]), "it was nobody's to spoil"


def test_what_was_used_is_worth_nothing_again(site):
    visitor, login = Visitor(site.hub), site.start()
    back = come(site, visitor, key=login["key"])
    kept = dict(visitor.cookies)
    assert visitor.open(back).status_code == 200
    exchanged = len(site.tenant.seen("/oauth/token"))
    visitor.cookies = kept
    again = visitor.open(back)
    assert again.status_code == 400 and "login_expired" in again.text and "access_token" not in visitor.cookies
    # The code of one attempt in another of the same browser: the tenant has given it for another challenge.
    other = away(site, visitor)
    mixed = f"{site.tenant.site}/?{urlencode({**parameters(back), 'state': parameters(other)['state']})}"
    answer = visitor.open(mixed)
    assert answer.status_code == 401 and "provider_refused" in answer.text and "access_token" not in visitor.cookies
    assert len(site.tenant.seen("/oauth/token")) == exchanged + 1


def test_another_browser_gets_nothing_of_somebody_elses_way(site):
    victim, thief, login = Visitor(site.hub), Visitor(site.hub), site.start()
    back = come(site, victim, key=login["key"])
    stolen = thief.open(back)
    assert stolen.status_code == 400 and "login_expired" in stolen.text and "access_token" not in thief.cookies
    # With the victim's ticket too, but without the mark of the browser that opened the link, the program gets nothing.
    thief.cookies.update({name: text for name, text in victim.cookies.items() if name.startswith(TICKET)})
    mixed = thief.open(back)
    assert mixed.status_code == 403 and "another browser" in mixed.text
    assert site.check(login["key"]) is None


def test_a_key_that_another_browser_has_opened_cannot_be_taken_to_the_tenant(site):
    first, second, login = Visitor(site.hub), Visitor(site.hub), site.start()
    page = first.open(login["login_url"])
    second.open(f"{site.hub.url}{PAGE}")
    refused = second.submit(login["login_url"], page.text, act="tenant", at=site.tenant.site)
    assert refused.status_code == 403 and "another browser" in refused.text and "refresh" not in refused.text
    # And a page of another's cannot press the button in anybody's browser.
    foreign = first.client.request(
        "POST", login["login_url"], data={"act": "tenant", "key": login["key"]},
        headers={"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Cookie": "; ".join(f"{a}={b}" for a, b in first.cookies.items())},
    )
    assert foreign.status_code == 403 and "refresh" not in foreign.text and not foreign.headers.get("Set-Cookie")


def test_the_answer_of_another_issuer_is_refused_before_its_code_is_shown_to_anybody(site):
    visitor, login = Visitor(site.hub), site.start()
    back = come(site, visitor, key=login["key"])
    exchanged = len(site.tenant.seen("/oauth/token"))
    for issuer in ("https://evil.example/", site.tenant.url):
        out = parameters(away(site, visitor, login["key"]))
        mixed = f"{site.tenant.site}/?{urlencode({'code': parameters(back)['code'], 'state': out['state'], 'iss': issuer})}"
        answer = visitor.open(mixed)
        assert answer.status_code == 401 and "provider_refused" in answer.text
    assert len(site.tenant.seen("/oauth/token")) == exchanged and site.check(login["key"]) is None


def test_nobody_is_sent_to_another_address(site):
    for extra in ("&return_to=https://evil.example/", "&redirect_uri=https://evil.example/", "&returnTo=//evil.example", "&redirect=https://evil.example"):
        visitor = Visitor(site.hub)
        back = come(site, visitor)
        answer = visitor.request("GET", back + extra)
        assert answer.status_code == 303 and "evil" not in answer.headers["Location"]
        last = visitor.request("GET", site.tenant.site + answer.headers["Location"] + extra)
        assert (last.status_code, last.headers["Location"]) == (303, f"/hypha{PAGE}")
    out = Visitor(site.hub).open(f"{site.hub.url}{PAGE}?logout=true&returnTo=https://evil.example/", allow_redirects=False)
    assert "evil" not in str(out.headers) + out.text


def test_strangers_put_no_words_on_our_pages_and_the_tenants_are_text(site):
    words = "Call +1 555 0100 <script>alert(1)</script>"
    for path in ("/", f"/hypha{PAGE}"):
        visitor = Visitor(site.hub)
        planted = visitor.open(f"{site.tenant.site}{path}?error=access_denied&error_description={quote(words)}&state={'A' * 43}")
        assert planted.status_code == 400 and "555" not in planted.text
    visitor = Visitor(site.hub)
    state = parameters(away(site, visitor))["state"]
    long = visitor.open(f"{site.tenant.site}/?{urlencode({'error': 'access_denied', 'error_description': words + 'x' * 5000 + chr(10), 'state': state})}")
    assert long.status_code == 401 and "555" in long.text and "<script>alert" not in long.text and "x" * 301 not in long.text


def test_an_address_that_the_tenant_calls_unconfirmed_lets_nobody_in_even_without_its_rule(site):
    visitor, login = Visitor(site.hub), site.start()
    back = come(site, visitor, "auth0|silently-unconfirmed", login["key"])
    answer = visitor.open(back)
    assert answer.status_code == 403 and "confirm your e-mail address" in answer.text
    assert "access_token" not in visitor.cookies and site.check(login["key"]) is None


def test_passwords_of_this_server_are_not_asked_for_where_a_tenant_is(site):
    person, visitor = site.hub.person(), Visitor(site.hub)
    page = visitor.open(f"{site.hub.url}{PAGE}")
    assert "password" not in page.text.lower() and page.text.count("<button") == 1
    answer = visitor.submit(f"{site.hub.url}{PAGE}", page.text, act="sign-in", username=person.name, password="Correct horse battery 1")
    assert answer.status_code == 400 and "access_token" not in visitor.cookies


def test_a_window_that_never_came_back_from_the_tenant_closes_nobodys_page(site):
    visitor = Visitor(site.hub)
    away_to = visitor.request("GET", f"{site.hub.url}{PAGE}?logout=true&close=true")
    assert away_to.status_code == 303 and away_to.headers["Location"].startswith(f"{site.tenant.url}/v2/logout?")
    assert 'id="tenant"' in visitor.open(site.start()["login_url"]).text
    assert "window.close" in visitor.open(f"{site.hub.url}{PAGE}").text, "the one that was waited for"
    assert 'id="tenant"' in visitor.open(f"{site.hub.url}{PAGE}").text, "and that once"


class Liar(BaseHTTPRequestHandler):
    """A tenant whose ID token and access token are of two people, or of another log-in."""

    said: dict = {}

    def do_GET(self):
        url = f"http://127.0.0.1:{self.server.server_port}"
        answer = {
            "/.well-known/openid-configuration": {
                "issuer": f"{url}/", "authorization_endpoint": f"{url}/authorize", "token_endpoint": f"{url}/oauth/token", "jwks_uri": f"{url}/keys",
            },
        }.get(self.path) or requests.get(f"{self.server.real.url}{self.path}", timeout=10).json()
        self.tell(answer)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.tell({"token_type": "Bearer", **self.server.said})

    def tell(self, answer):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_):
        pass


def test_two_tokens_have_to_be_of_one_person_and_of_this_log_in(tmp_path):
    tenant = Tenant(tmp_path)
    liar = ThreadingHTTPServer(("127.0.0.1", 0), Liar)
    liar.real, liar.said = tenant, {}
    threading.Thread(target=liar.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{liar.server_port}"
    config = f'[mounts.hypha.auth0]\ndomain = "{url}"\nclient_id = "spa"\naudience = "{AUDIENCE}"\n'
    allowed = tenant.url
    try:
        tenant.url = url  # what the configuration lets Doorward reach
        server = serve(tenant, tmp_path / "doorward", {}, config)
        tenant.url = allowed
        with server:
            site = type("Lying", (), {"hub": Hub(server), "tenant": tenant})

            def access(**more) -> str:
                return tenant.token("auth0|ann", **{"iss": f"{url}/", **more})

            def identity(nonce, **more) -> str:
                return access(**{"aud": "spa", "azp": None, "nonce": nonce, **more})

            def outcome(tokens) -> int:
                visitor = Visitor(site.hub)
                asked = parameters(away(site, visitor))
                liar.said = {name: text for name, text in tokens(asked["nonce"]).items() if text}
                answer = visitor.request("GET", f"{tenant.site}/?code=x&state={asked['state']}")
                answer = visitor.request("GET", tenant.site + answer.headers["Location"])
                assert ("access_token" in visitor.cookies) == (answer.status_code == 303)
                return answer.status_code

            def good(nonce) -> dict:
                return {"access_token": access(), "id_token": identity(nonce)}

            assert outcome(good) == 303
            for name, change in {
                "another person": lambda nonce: {"access_token": tenant.token("auth0|eve", iss=f"{url}/")},
                "another audience": lambda nonce: {"access_token": access(aud="https://another.example")},
                "an opaque token": lambda nonce: {"access_token": "opaque"},
                "no access token": lambda nonce: {"access_token": None},
                "an ID token as access token": lambda nonce: {"access_token": identity(nonce)},
                "another log-in": lambda nonce: {"id_token": identity("A" * 43)},
                "no nonce": lambda nonce: {"id_token": identity(None)},
                "another application": lambda nonce: {"id_token": identity(nonce, aud="other")},
                "another party": lambda nonce: {"id_token": identity(nonce, azp="other")},
                "another issuer": lambda nonce: {"id_token": identity(nonce, iss="https://evil.example/")},
                "an access token as ID token": lambda nonce: {"id_token": access()},
                "no ID token": lambda nonce: {"id_token": None},
                "too old": lambda nonce: {"id_token": identity(nonce, exp=1_700_000_000)},
                "unsigned": lambda nonce: {"id_token": identity(nonce).rsplit(".", 1)[0] + "."},
            }.items():
                assert outcome(lambda nonce, change=change: {**good(nonce), **change(nonce)}) == 401, name
            # Without a namespace the tenant gives neither roles nor an address.
            user = Hub(server).http(access()).get("/assets/config.json").json()["user"]
            assert (user["roles"], user["email"]) == (["user"], None)
    finally:
        liar.shutdown()
        tenant.stop()
