"""The hub's pages in Chromium, in states that are not the first, and at the document's address: H-019, H-021, H-032, H-038."""

import json

import hypha_rpc.sync
import pytest
from selenium.webdriver.common.by import By

from harness.browser import LIMIT_S, let_scripts_of_the_test_run, screenshot
from harness.hypha import Hub
from harness.native import PASSWORD
from harness.programs import left_out, node_modules, wait_until

PAGE = "/public/apps/hypha-login/"
SERVICE = "/public/services/hypha-login"
LOCAL = "127.0.0.1:9527"

LOAD = """
    const [url, done] = arguments;
    const script = document.createElement('script');
    script.src = url;
    script.onload = () => done(typeof window.hyphaWebsocketClient);
    script.onerror = () => done('not loaded');
    document.head.append(script);
"""

# `performLogout` of the document, with the address of the mount.
PERFORM = """
    const [server_url, done] = arguments;
    let server = null;
    async function performLogout() {
        try {
            await hyphaWebsocketClient.logout({ server_url, logout_callback: async (context) => { window.open(context.logout_url, '_blank'); } });
        } catch (e) {
            console.log("Error during server logout:", e);
        }
        document.cookie = 'access_token=; path=/; max-age=0; samesite=lax';
        localStorage.removeItem('hypha_token');
        localStorage.removeItem('hypha_user_profile');
        if (server) {
            await server.disconnect();
        }
    }
    localStorage.setItem('hypha_token', 'x');
    localStorage.setItem('hypha_user_profile', '{}');
    performLogout().then(() => done(localStorage.length), (error) => done(String(error)));
"""


def started(hub) -> dict:
    return hub.http().post(f"{SERVICE}/start", json={}).json()


def check(hub, key: str):
    return hub.http().get(f"{SERVICE}/check", params={"key": key, "timeout": 0}).json()


def fill_in(browser, name: str, password: str = PASSWORD) -> None:
    for field, text in (("username", name), ("password", password)):
        place = browser.find_element(By.NAME, field)
        place.clear()
        place.send_keys(text)
    browser.find_element(By.CSS_SELECTOR, "form [type=submit], form button:not([type=button])").click()


def sign_in(browser, hub, person) -> str:
    """Signs in by the page; the token that it gave."""
    start = started(hub)
    browser.get(start["login_url"])
    fill_in(browser, person.name)
    return wait_until(lambda: check(hub, start["key"]), "the token", limit_s=LIMIT_S)


def who(browser, hub) -> str:
    """Whom the server takes the browser for, by its cookies."""
    browser.get(f"{hub.url}/assets/config.json")
    return json.loads(browser.find_element(By.TAG_NAME, "pre").text)["user"]["id"]


def client_loaded(browser, hub) -> None:
    """A page of the hub's origin with the client in it."""
    let_scripts_of_the_test_run(browser)
    browser.get(hub.url + PAGE)
    assert browser.execute_async_script(LOAD, f"{hub.url}/assets/hypha-rpc-websocket.js") == "object"


def status_of(hub, token: str) -> int:
    return hub.http(token).get("/assets/config.json").status_code


def complaints(browser) -> list[str]:
    """Errors of the page's own; that a refused form answers 4xx is none."""
    return [line["message"] for line in browser.get_log("browser") if line["level"] == "SEVERE" and "status of 4" not in line["message"]]


@pytest.mark.parametrize("state", ["refuses", "is done", "signed out"])
def test_axe_finds_nothing_wrong_with_the_page(hub, person, browser, state):
    let_scripts_of_the_test_run(browser)
    browser.get(f"{hub.url}{PAGE}?logout=true" if state == "signed out" else started(hub)["login_url"])
    if state in ("refuses", "is done"):
        before = browser.find_element(By.TAG_NAME, "html").id
        fill_in(browser, person.name, PASSWORD if state == "is done" else "wrong horse battery staple 7")
        wait_until(lambda: browser.find_element(By.TAG_NAME, "html").id != before, "the next page", limit_s=LIMIT_S)
    browser.execute_script((node_modules("axe-core") / "axe-core" / "axe.min.js").read_text())
    found = browser.execute_async_script("const done = arguments[0]; axe.run().then((it) => done(it.violations), (error) => done([String(error)]));")
    assert [one if isinstance(one, str) else (one["id"], one["nodes"][0]["html"]) for one in found] == []


def test_the_logout_address_clears_the_cookie_and_stays_open_unless_told_to_close(hub, person, browser):
    sign_in(browser, hub, person)
    assert browser.get_cookies() != []
    browser.get(f"{hub.url}{PAGE}?logout=true")
    assert not any(cookie["value"] for cookie in browser.get_cookies() if "session" in cookie["name"] or cookie["name"] == "access_token")
    assert who(browser, hub).startswith("anonymouz-") and len(browser.window_handles) == 1
    assert complaints(browser) == []


def follow(browser, address: str) -> None:
    """A link on a page of another site."""
    browser.get(f"data:text/html,<a id=link href='{address}'>here</a>")
    browser.find_element(By.ID, "link").click()
    wait_until(lambda: browser.current_url.startswith("http") and browser.find_elements(By.TAG_NAME, "main"), "where it leads", limit_s=LIMIT_S)


def is_usable(browser) -> None:
    let_scripts_of_the_test_run(browser)
    browser.execute_script((node_modules("axe-core") / "axe-core" / "axe.min.js").read_text())
    found = browser.execute_async_script("axe.run().then((result) => arguments[0](result.violations.map((one) => one.id)))")
    assert found == []


def test_links_of_another_site_are_followed_by_hand(hub, person, browser, tmp_path):
    token, done = sign_in(browser, hub, person), []

    def index(event, context=None):
        done.append(event["user"]["id"])
        return {"status": 200, "headers": {"Content-Type": "text/html"}, "body": "<main>the application</main>"}

    with hypha_rpc.sync.connect_to_server({"server_url": hub.url, "token": person.token}) as server:
        server.register_service({"id": "app", "type": "functions", "config": {"visibility": "public"}, "index": index})
        follow(browser, f"{hub.url}/{person.workspace}/apps/app/")
        assert browser.title == "Go on?" and done == []
        screenshot(browser, tmp_path / "go-on.png")
        is_usable(browser)
        browser.find_element(By.LINK_TEXT, "Go on").click()
        wait_until(lambda: "the application" in browser.page_source, "the application's own answer", limit_s=LIMIT_S)
        assert done == [person.id]
    follow(browser, f"{hub.url}{PAGE}?logout=true")
    assert browser.title == "Sign out?" and status_of(hub, token) == 200
    screenshot(browser, tmp_path / "sign-out.png")
    is_usable(browser)
    browser.find_element(By.TAG_NAME, "button").click()
    wait_until(lambda: "You are signed out here" in browser.page_source, "the end of the stay", limit_s=LIMIT_S)
    assert who(browser, hub).startswith("anonymouz-") and status_of(hub, token) == 401


def test_all_of_it_works_without_tls_at_the_documents_address(start, browser):
    try:
        hub = Hub(start("dev", "--listen", LOCAL))
    except AssertionError as refused:
        if "in use" in str(refused):
            raise left_out(f"{LOCAL} is taken on this machine") from refused
        raise
    assert hub.url.startswith(f"http://{LOCAL}")
    person = hub.person()
    token = sign_in(browser, hub, person)
    assert hub.http(token).get("/assets/config.json").json()["user"]["id"] == person.id
    assert who(browser, hub) == person.id
    browser.get(f"{hub.url}{PAGE}?logout=true")
    assert who(browser, hub).startswith("anonymouz-")
    assert status_of(hub, token) == 401
    assert complaints(browser) == []
