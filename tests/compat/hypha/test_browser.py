"""The hub's pages in Chromium, and npm `hypha-rpc` in a page: H-001, H-006, H-015, H-016, H-017, H-018, H-021, H-032, H-038."""

import json
import subprocess
from urllib.parse import urlsplit

import hypha_rpc.sync
import pytest

from harness.browser import LIMIT_S, fetch, let_scripts_of_the_test_run, screenshot
from harness.client import Client
from harness.native import PASSWORD
from harness.programs import clean_environment, node_binary, node_modules, wait_until

LOGOUT = "/public/apps/hypha-login/?logout=true&close=true"

#: What a front end keeps of a login.
KEEP_TOKEN = """
    localStorage.setItem('hypha_token', arguments[0]);
    localStorage.setItem('hypha_user_profile', '{}');
    document.cookie = `access_token=${arguments[0]}; path=/; samesite=lax`;
"""

#: The document's `performLogout`, with the address of the mount for `window.location.origin`.
PERFORM_LOGOUT = """
    const [server_url, done] = arguments;
    (async () => {
        let opened = null;
        try {
            await hyphaWebsocketClient.logout({
                server_url,
                logout_callback: async (context) => {
                    if (context.logout_url) {
                        opened = context.logout_url;
                        window.open(context.logout_url, '_blank', 'width=600,height=700');
                    }
                },
            });
        } catch (e) {
            console.log("Error during server logout:", e);
        }
        document.cookie = 'access_token=; path=/; max-age=0; samesite=lax';
        localStorage.removeItem('hypha_token');
        localStorage.removeItem('hypha_user_profile');
        return opened;
    })().then(done, (error) => done(String(error)));
"""


@pytest.fixture
def lenient(browser):
    """A page of ours in it may load the client, as a front end on the same origin would."""
    let_scripts_of_the_test_run(browser)
    return browser


def complaints(browser) -> list[str]:
    return [line["message"] for line in browser.get_log("browser") if line["level"] in ("SEVERE", "WARNING")]


def text(browser) -> str:
    return browser.find_element("css selector", "body").text


def start(hub) -> dict:
    return hub.http().post("/public/services/hypha-login/start", json={}).json()


def check(hub, key: str):
    return hub.http().get("/public/services/hypha-login/check", params={"key": key, "timeout": 0}).json()


def fill(browser, name: str, password: str = PASSWORD) -> None:
    for field, typed in (("username", name), ("password", password)):
        place = browser.find_element("css selector", f"form [name={field}]")
        place.clear()
        place.send_keys(typed)
    browser.find_element("css selector", "form [type=submit], form button:not([type=button])").click()


def sign_in(hub, browser, person) -> str:
    """A login finished in the browser; its token."""
    login = start(hub)
    browser.get(login["login_url"])
    fill(browser, person.name)
    return wait_until(lambda: check(hub, login["key"]), "the token", limit_s=LIMIT_S)


def who(hub, token: str) -> dict | int:
    answer = Client(hub.url, token).get("/assets/config.json")
    return answer.json()["user"] if answer.status_code == 200 else answer.status_code


def load_client(hub, browser) -> None:
    """A page on the hub's origin that has the client by a script tag, as the document writes it."""
    browser.get(f"{hub.url}/health")
    script = """
        const [src, done] = arguments;
        const tag = Object.assign(document.createElement('script'), { src, onload: () => done('loaded'), onerror: () => done('failed') });
        document.documentElement.append(tag);
    """
    assert browser.execute_async_script(script, f"{hub.url}/assets/hypha-rpc-websocket.js") == "loaded"


def test_the_login_page_can_be_used_by_everybody(hub, browser, tmp_path):
    moved = hub.http().get("/login")
    assert moved.status_code == 307 and urlsplit(moved.headers["Location"]).path.endswith("/public/apps/hypha-login/")
    for address in (start(hub)["login_url"], f"{hub.url}/login"):
        browser.get(address)
        fields = [browser.find_element("css selector", f"form [name={name}]") for name in ("username", "password")]
        assert [field.get_attribute("type") for field in fields] == ["text", "password"]
        assert [field.get_attribute("autocomplete") for field in fields] == ["username", "current-password"]
        assert browser.title and browser.execute_script("return document.documentElement.lang")
        browser.execute_script((node_modules("axe-core") / "axe-core" / "axe.min.js").read_text())
        found = browser.execute_async_script("axe.run().then((result) => arguments[0](result.violations))")
        assert not found, [(one["id"], one["help"], [node["html"] for node in one["nodes"]]) for one in found]
        browser.set_window_size(360, 640)
        assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth"), "no scrolling sideways on a telephone"
        browser.set_window_size(1200, 800)
        assert complaints(browser) == []
    screenshot(browser, tmp_path / "login.png")


def test_everything_the_page_loads_is_this_servers(hub, browser):
    browser.get(start(hub)["login_url"])
    loaded = browser.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert all(name.startswith((hub.url.removesuffix(urlsplit(hub.url).path), "data:")) for name in loaded), loaded
    assert hub.url.startswith("http://127.0.0.1:"), "and all of this without TLS on this machine"


def test_python_logs_in_through_the_browser(hub, browser, person, tmp_path):
    seen = []

    def callback(context):
        seen.append(context["login_url"])
        browser.get(context["login_url"])
        fill(browser, person.name)
        wait_until(lambda: not browser.find_elements("css selector", "[name=password]"), "the page's last word", limit_s=LIMIT_S)
        screenshot(browser, tmp_path / "done.png")

    token = hypha_rpc.sync.login({"server_url": hub.url, "login_callback": callback, "login_timeout": 30})
    assert len(seen) == 1 and who(hub, token)["id"] == person.id
    assert token not in browser.page_source and token not in browser.current_url
    assert complaints(browser) == []


def test_a_wrong_password_is_told_and_can_be_mended(hub, browser, person, tmp_path):
    login = start(hub)
    browser.get(login["login_url"])
    fill(browser, person.name, "not the password 1")
    alert = wait_until(lambda: browser.find_elements("css selector", "[role=alert]"), "the refusal", limit_s=LIMIT_S)
    assert alert[0].text and alert[0].is_displayed()
    screenshot(browser, tmp_path / "refused.png")
    assert check(hub, login["key"]) is None
    fill(browser, person.name)
    token = wait_until(lambda: check(hub, login["key"]), "the token", limit_s=LIMIT_S)
    assert who(hub, token)["id"] == person.id


def test_a_key_that_is_none_is_told(hub, browser, person):
    browser.get(f"{hub.url}/public/apps/hypha-login/?key=never-was")
    if browser.find_elements("css selector", "[name=password]"):
        fill(browser, person.name)
    wait_until(lambda: browser.find_elements("css selector", "[role=alert]") or "expired" in text(browser).lower(), "word of it", limit_s=LIMIT_S)


def test_the_logout_address_signs_out_and_closes_its_popup(hub, browser, person):
    token = sign_in(hub, browser, person)
    browser.get(f"{hub.url}/public/apps/hypha-login/")
    page = browser.current_window_handle
    browser.execute_script("window.open(arguments[0], '_blank', 'width=600,height=700')", f"{hub.url}{LOGOUT}")
    wait_until(lambda: who(hub, token) == 401, "the token is refused", limit_s=LIMIT_S)
    wait_until(lambda: browser.window_handles == [page], "the popup is closed", limit_s=LIMIT_S)
    browser.switch_to.window(page)
    assert not [cookie for cookie in browser.get_cookies() if "session" in cookie["name"] or cookie["name"] == "access_token"]
    browser.get(f"{hub.url}/public/apps/hypha-login/")
    assert browser.find_elements("css selector", "form [name=password]"), "somebody else can sign in"


def test_cookies_of_the_pages_are_out_of_reach_of_scripts(hub, browser, person):
    sign_in(hub, browser, person)
    assert browser.execute_script("return document.cookie") == ""
    for cookie in browser.get_cookies():
        assert cookie["httpOnly"] and cookie["sameSite"] in ("Lax", "Strict"), cookie
