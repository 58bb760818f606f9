"""People sign in at the hub's page through a provider that the configuration names: H-128, H-129, H-130."""

import base64
import json

import hypha_rpc.sync
import pytest
import requests

from harness.browser import LIMIT_S, open_browser, screenshot
from harness.doorward import Doorward
from harness.github import CLIENT_ID, CLIENT_SECRET, GitHub
from harness.hypha import Hub, Visitor
from harness.native import PASSWORD
from harness.programs import ROOT, Program, clean_environment, free_port, node_binary, node_modules, wait_until
from harness.tenant import PAGE, way_out

APP = ROOT / "tests" / "compat" / "providers" / "app" / "provider.cjs"
SECRET = "a secret: with & signs of its own"


class Place:
    """A hub at the root of its own address, a certified OpenID provider that allows the document's callback alone, and one shaped as GitHub."""

    def __init__(self, home) -> None:
        self.github, port, hub_port = GitHub(), free_port(), free_port()
        self.address = f"http://127.0.0.1:{hub_port}"
        self.company = f"http://127.0.0.1:{port}"
        self.program = Program(
            [node_binary(), APP, port, f"{self.address}/oauth/callback"],
            log=home / "provider.log",
            environment=clean_environment(NODE_PATH=str(node_modules("oidc-provider"))),
            cwd=home,
        )

        def ready() -> bool:
            self.program.require_running()
            return "ready" in self.program.output

        wait_until(ready, "the provider")
        config = home / "doorward.toml"
        config.write_text(
            f"""
[outbound]
allow = ["{self.company}", "{self.github.url}"]

[mounts.hypha]
listen = "127.0.0.1:{hub_port}"
oauth_callback = "company"
sign_up = "open"

[providers.company]
kind = "oidc"
label = "Company <account>"
issuer = "{self.company}"
client_id = "doorward"
client_secret = "{SECRET}"

[providers.other]
kind = "oauth2"
label = "the other one"
client_id = "{CLIENT_ID}"
client_secret = "{CLIENT_SECRET}"
client_auth = "body"
authorize_url = "{self.github.url}/login/oauth/authorize"
token_url = "{self.github.url}/login/oauth/access_token"
user_url = "{self.github.url}/user"
emails_url = "{self.github.url}/user/emails"
subject_claim = "id"
username_claim = "login"
"""
        )
        config.chmod(0o600)
        self.server = Doorward("dev", "--listen", "127.0.0.1:0", "--config", config, home=home / "doorward")
        self.hub = Hub(self.server, config=config)

    def stop(self) -> None:
        self.server.__exit__(None, None, None)
        self.program.stop()
        self.github.stop()

    def start(self, **more) -> dict:
        return self.hub.http().post("/public/services/hypha-login/start", json=more).json()

    def check(self, key: str) -> str | None:
        return self.hub.http().get("/public/services/hypha-login/check", params={"key": key, "timeout": 0}).json()

    def who(self, token: str) -> dict:
        return self.hub.http(token).get("/assets/config.json").json()["user"]

    def leave(self, visitor: Visitor, key: str | None = None, provider: str = "other", **more) -> requests.Response:
        """Presses a provider's button as a browser without scripts does."""
        fields = {"act": "provider", "provider": provider, **({"key": key} if key else {}), **more}
        return visitor.request("POST", f"{self.address}{PAGE}", data=fields)

    def at_other(self, visitor: Visitor, key: str) -> str:
        """There, and pressed there; the way back, which is not gone yet."""
        assert visitor.open(f"{self.address}{PAGE}?key={key}").status_code == 200
        url = way_out(self.leave(visitor, key).text)
        back = requests.get(url.replace("/login/oauth/authorize", "/authorized"), allow_redirects=False, timeout=LIMIT_S)
        return back.headers["Location"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = Place(tmp_path_factory.mktemp("hypha-providers"))
    yield place
    place.stop()


@pytest.fixture
def browser():
    browser = open_browser()
    yield browser
    browser.quit()


@pytest.fixture
def visitor(place):
    return Visitor(place.hub)


def find(browser, css: str):
    return wait_until(lambda: browser.find_elements("css selector", css), css, limit_s=LIMIT_S)[0]


def text(browser) -> str:
    return browser.execute_script("return document.body ? document.body.innerText : ''")


def life_s(token: str) -> int:
    body = token.split(".")[1]
    said = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return said["exp"] - said["iat"]


def through_company(browser, name: str) -> None:
    find(browser, "button[value=company]").click()
    find(browser, "[name=login]").send_keys(name)
    browser.find_element("css selector", "[name=password]").send_keys("x")
    browser.find_element("css selector", "button[type=submit]").click()
    find(browser, "input[name=prompt][value=consent]")
    browser.find_element("css selector", "button[type=submit]").click()


def test_a_program_is_let_in_through_a_provider_that_allows_the_documents_callback_alone(place, browser, tmp_path):
    asked = []

    def callback(context):
        browser.get(context["login_url"])
        screenshot(browser, tmp_path / "page.png")
        assert "Sign in with Company <account> and allow" in text(browser)
        browser.execute_script((node_modules("axe-core") / "axe-core" / "axe.min.js").read_text())
        found = browser.execute_async_script("axe.run().then((result) => arguments[0](result.violations))")
        assert not found, [(one["id"], one["help"]) for one in found]
        through_company(browser, "ann")
        wait_until(lambda: "The program can go on" in text(browser), "the last word", limit_s=LIMIT_S)
        asked.append(browser.current_url)

    def login() -> dict:
        return place.who(hypha_rpc.sync.login({"server_url": place.address, "login_callback": callback, "login_timeout": 40}))

    first = login()
    assert first["email"] == "ann@company.example" and first["roles"] == ["user"]
    assert asked[0].startswith(f"{place.address}{PAGE}") or asked[0].startswith(f"{place.address}/oauth/callback")
    # They are signed in at the page now, with a cookie that no script reads.
    assert browser.execute_script("return document.cookie") == ""
    browser.get(place.start()["login_url"])
    assert "ann@company.example" in text(browser) or "You are signed in" in text(browser)
    find(browser, "button[value=other]").click()
    find(browser, "button[value=company]").click()
    find(browser, "[name=login]").send_keys("ann")
    browser.find_element("css selector", "[name=password]").send_keys("x")
    browser.find_element("css selector", "button[type=submit]").click()
    wait_until(lambda: "The program can go on" in text(browser), "the provider asked anew", limit_s=LIMIT_S)


def test_the_second_login_is_the_same_user_and_the_page_still_takes_passwords(place, visitor):
    tokens = []
    for _ in range(2):
        key, once = place.start()["key"], Visitor(place.hub)
        done = once.open(place.at_other(once, key))
        assert done.status_code == 200 and "The program can go on" in done.text, done.text
        tokens.append(place.check(key))
    first, second = map(place.who, tokens)
    assert first["id"] == second["id"] and first["email"] == "octocat@company.example"
    exchange = place.github.exchanges[-1]
    assert exchange["redirect_uri"] == f"{place.address}/oauth/callback/other" and len(exchange["code_verifier"]) >= 43
    person = place.hub.person()
    key = place.start()["key"]
    visitor.open(f"{place.address}{PAGE}?key={key}")
    visitor.request("POST", f"{place.address}{PAGE}", data={"key": key, "act": "sign-in", "username": person.name, "password": PASSWORD})
    assert place.who(place.check(key))["id"] == person.id


@pytest.mark.parametrize(
    ("more", "longest"),
    [({}, 3600), ({"expires_in": 600}, 600), ({"expires_in": "900"}, 900), ({"expires_in": "soon"}, 3600), ({"expires_in": 90_000}, 7200)],
)
def test_nobody_is_let_in_for_longer_than_the_provider_answers_and_for_an_hour_where_it_does_not_say(place, visitor, more, longest):
    place.github.more = more
    try:
        key = place.start(expires_in=7200)["key"]
        assert visitor.open(place.at_other(visitor, key)).status_code == 200
        assert longest - 5 <= life_s(place.check(key)) <= longest
        stay = visitor.cookies.get("access_token")
        vouched = 90_000 if longest == 7200 else longest
        assert vouched - 5 <= life_s(stay) <= vouched
        # What is made of it ends with it.
        made = place.hub.http(stay).post("/public/services/ws/generate_token", json={"config": {"expires_in": 80_000}})
        assert made.status_code == 200 and life_s(made.json()) <= min(vouched, 80_000), made.text
    finally:
        place.github.more = {}


@pytest.mark.parametrize(
    ("instead", "status", "code"),
    [
        ((400, '{"error": "invalid_grant", "error_description": "<b>no</b>"}', "application/json"), 401, "provider_refused"),
        ((200, '{"error": "bad_verification_code"}', "application/json"), 401, "provider_refused"),
        ((400, "[]", "application/json"), 401, "provider_refused"),
        ((200, "{}", "application/json"), 401, "provider_refused"),
        ((200, "<!doctype html><title>Gateway</title>", "text/html"), 502, "provider_unavailable"),
        ((500, '{"access_token": "x"}', "application/json"), 502, "provider_unavailable"),
    ],
)
def test_an_error_of_the_providers_is_told_and_nobody_is_let_in(place, visitor, instead, status, code):
    place.github.instead = instead
    try:
        key = place.start()["key"]
        answer = visitor.open(place.at_other(visitor, key))
    finally:
        place.github.instead = None
    assert answer.status_code == status and code in answer.text and "<b>no</b>" not in answer.text, answer.text
    assert "Traceback" not in answer.text and "KeyError" not in answer.text
    assert place.check(key) is None and visitor.cookies.get("access_token") is None
    # The link goes on being good for another try.
    assert visitor.open(place.at_other(visitor, key)).status_code == 200
    assert place.check(key)


def test_whoever_declines_is_told_so(place, browser):
    login = place.start()
    browser.get(login["login_url"])
    find(browser, "button[value=other]:not([name=act])").click()
    find(browser, "#no").click()
    wait_until(lambda: "You are not signed in" in browser.title or "not signed in" in text(browser), "the refusal", limit_s=LIMIT_S)
    assert "provider_refused" in text(browser) and place.check(login["key"]) is None


def test_a_way_back_is_good_once_and_in_its_own_browser_and_at_its_own_address(place, visitor):
    key = place.start()["key"]
    back = place.at_other(visitor, key)
    for stolen in (back, back.replace("state=", "state=x"), f"{place.address}/oauth/callback", f"{place.address}/oauth/callback?code=a&state=b"):
        answer = requests.get(stolen, timeout=LIMIT_S)
        assert answer.status_code == 400 and "login_expired" in answer.text, answer.text
    # One provider's answer is not taken at another's address, nor at the native mount's.
    for other in (back.replace("/callback/other", "/callback"), back.replace("/callback/other", "/callback/company")):
        answer = visitor.open(other)
        assert answer.status_code in (400, 404) and place.check(key) is None, answer.text
    native = visitor.open(back.replace(f"{place.address}/oauth/callback/other", f"{place.server.url}/v1/login/other/callback"))
    assert native.status_code == 400
    assert visitor.open(f"{place.address}/oauth/callback/nobody?code=a&state=b").status_code == 404
    assert visitor.open(back).status_code == 200
    exchanged = len(place.github.exchanges)
    again = visitor.open(back)
    assert again.status_code == 400 and len(place.github.exchanges) == exchanged
    assert place.check(key)


def test_a_button_that_is_none_and_a_page_that_stands_elsewhere_send_nobody_away(place, visitor):
    answer = place.leave(visitor, provider="nobody")
    assert answer.status_code == 404 and "refresh" not in answer.text
    answer = place.leave(visitor, at="http://evil.example")
    assert answer.status_code == 400 and "Opened at" in answer.text
    assert place.leave(visitor, key="never-was").status_code >= 400
    answer = place.leave(visitor, at=place.address)
    assert answer.status_code == 200 and way_out(answer.text).startswith(place.github.url)
