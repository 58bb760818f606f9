"""The published client in pages of the hub's own origin, and the document's scripts as they stand: H-001, H-006, H-016, H-017, H-018, H-019, H-021."""

import contextlib

import pytest
from selenium.common.exceptions import NoSuchElementException
from selenium.webdriver.common.by import By

from harness.browser import LIMIT_S
from harness.doorward import Doorward, Refused
from harness.front_end import FrontEnd, block
from harness.hypha import Hub
from harness.native import PASSWORD
from harness.programs import free_port, node_modules, wait_until

SCRIPTS = ("hypha-rpc-websocket.js", "hypha-rpc-websocket.mjs", "hypha-rpc-websocket.min.js", "hypha-rpc-websocket.min.mjs", "hypha-rpc-websocket.js.map")

#: What a page has that its developer wrote: the client by a script tag, or as `hypha-rpc` for modules, as npm's `index.mjs` names it.
HEAD = """<!doctype html><meta charset="utf-8"><title>A front end</title>
<script type="importmap">{"imports": {"hypha-rpc": "/hypha-rpc.mjs"}}</script>
<script src="/assets/hypha-rpc-websocket.js"></script>
"""
MODULE = 'import * as hyphaWebsocketClient from "/assets/hypha-rpc-websocket.mjs";\nexport { hyphaWebsocketClient };\n'

KEEP = """
    localStorage.setItem('hypha_token', arguments[0]);
    localStorage.setItem('hypha_user_profile', '{}');
    document.cookie = `access_token=${arguments[0]}; path=/; samesite=lax`;
"""
LOGIN = """
    const [how, done] = arguments;
    window.told = [];
    window.addEventListener('message', (event) => window.told.push(event.data));
    window.token = null;
    hyphaWebsocketClient.login({
        server_url: window.server_url || window.location.origin,
        login_timeout: 30,
        login_callback: (context) => {
            if (how === 'popup') { window.open(context.login_url, '_blank', 'width=600,height=700'); }
            else { const frame = document.createElement('iframe'); frame.src = context.login_url; frame.width = 600; frame.height = 600; document.body.append(frame); }
            done(context);
        },
    }).then((token) => { window.token = token; }, (error) => { window.token = String(error); });
"""


@pytest.fixture(scope="module")
def front(tmp_path_factory):
    """A front end with a hub behind it, whose client comes from the package in ./node_modules; `dev` finds it there."""
    home, port = tmp_path_factory.mktemp("front"), free_port()
    (home / "node_modules").symlink_to(node_modules("hypha-rpc"))
    with FrontEnd() as front:
        config = home / "doorward.toml"
        config.write_text(f'[server]\npublic_url = "{front.origin}"\n[mounts.hypha]\ncors_origins = ["http://127.0.0.1:3000"]\n')
        with Doorward("dev", "--listen", "127.0.0.1:0", "--mount", f"hypha=127.0.0.1:{port}", "--config", config, home=home) as server:
            front.to, front.server = port, server
            front.hub = Hub(server, config=config)
            front.hub.url = front.origin
            front.page("/hypha-rpc.mjs", MODULE, "text/javascript")
            yield front


def opened(front, browser, body: str = "") -> None:
    browser.get(front.page("/app.html", HEAD + body))


def sign_in_there(browser, person) -> None:
    for field, text in (("username", person.name), ("password", PASSWORD)):
        browser.find_element(By.NAME, field).send_keys(text)
    browser.find_element(By.CSS_SELECTOR, "form [name=act][value=sign-in]").click()


def kept(browser) -> tuple[int, str]:
    return browser.execute_script("return [localStorage.length, document.cookie]")


def whom(browser) -> str:
    """Whom the server takes this browser for."""
    return browser.execute_async_script("const done = arguments[0]; fetch('/assets/config.json').then((it) => it.json()).then((it) => done(it.user.id))")


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_client_is_served_as_it_was_published(front, name):
    published = (node_modules("hypha-rpc") / "hypha-rpc" / "dist" / name).read_bytes()
    answer = front.hub.http().get(f"/assets/{name}")
    assert answer.status_code == 200 and answer.content == published
    assert answer.headers["Content-Type"].startswith("application/json" if name.endswith(".map") else "text/javascript")
    assert answer.headers["X-Content-Type-Options"] == "nosniff" and answer.headers["Cache-Control"] == "public, no-cache"
    tag = answer.headers["ETag"]
    for tags, status in ((tag, 304), (f'"x", W/{tag}', 304), ('"x"', 200)):
        again = front.hub.http().get(f"/assets/{name}", headers={"If-None-Match": tags})
        assert again.status_code == status and again.headers["ETag"] == tag and bool(again.content) == (status == 200)


def test_nothing_else_of_the_package_is_served(front):
    for path in ("/assets/package.json", "/assets/hypha-rpc-websocket.d.ts", "/assets/", "/assets/../package.json", "/assets/%2e%2e/package.json"):
        assert front.hub.http().get(path).status_code in (400, 404), path


def test_without_the_package_the_address_says_what_to_do(hub):
    answer = hub.http().get("/assets/hypha-rpc-websocket.js")
    assert answer.status_code == 404 and "npm install hypha-rpc" in answer.text and "client_script_dir" in answer.text
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_a_directory_without_the_client_stops_the_start(tmp_path):
    config = tmp_path / "doorward.toml"
    config.write_text(f'[mounts.hypha]\nclient_script_dir = "{tmp_path}"\n')
    with pytest.raises(Refused, match="client_script_dir") as refused, Doorward("dev", "--listen", "127.0.0.1:0", "--config", config, home=tmp_path / "home"):
        pass
    assert "npm install hypha-rpc" in refused.value.output


def test_a_script_tag_and_a_module_give_the_client(front, browser):
    opened(front, browser)
    assert browser.execute_script("return typeof hyphaWebsocketClient.connectToServer") == "function"
    script = "const done = arguments[0]; import('hypha-rpc').then((it) => done(typeof it.hyphaWebsocketClient.login), (error) => done(String(error)))"
    assert browser.execute_async_script(script) == "function"
    assert not [line for line in browser.get_log("browser") if line["level"] == "SEVERE" and "favicon" not in line["message"]]


@pytest.mark.parametrize("transport", ["websocket", "http"])
@pytest.mark.parametrize("signed_in", [True, False], ids=["with a token", "as a visitor"])
def test_a_page_connects_and_calls_by_either_transport(front, browser, transport, signed_in):
    person = front.hub.person()
    opened(front, browser)
    script = """
        const [token, transport, done] = arguments;
        hyphaWebsocketClient.connectToServer({ server_url: window.location.origin, token, transport })
            .then(async (server) => { const said = await server.echo('here'); const id = server.config.workspace; await server.disconnect(); done([said, id]); })
            .catch((error) => done([String(error), '']));
    """
    said, workspace = browser.execute_async_script(script, person.token if signed_in else None, transport)
    assert said == "here" and (workspace == person.workspace if signed_in else workspace.startswith("ws-user-anonymouz-"))


@pytest.mark.parametrize("how", ["popup", "inline"])
def test_a_page_logs_its_visitor_in(front, browser, how):
    person = front.hub.person()
    opened(front, browser)
    context = browser.execute_async_script(LOGIN, how)
    page = browser.current_window_handle
    if how == "popup":
        popup = wait_until(lambda: [one for one in browser.window_handles if one != page], "the popup", limit_s=LIMIT_S)[0]
        browser.switch_to.window(popup)
    else:
        browser.switch_to.frame(browser.find_element(By.TAG_NAME, "iframe"))
    wait_until(lambda: browser.find_elements(By.NAME, "password"), "the form", limit_s=LIMIT_S)
    sign_in_there(browser, person)
    if how == "popup":
        wait_until(lambda: browser.window_handles == [page], "the popup closes itself", limit_s=LIMIT_S)
        browser.switch_to.window(page)
    else:
        browser.switch_to.default_content()
    token = wait_until(lambda: browser.execute_script("return window.token"), "the token", limit_s=LIMIT_S)
    assert front.hub.http(token).get("/assets/config.json").json()["user"]["id"] == person.id
    told = browser.execute_script("return window.told")
    assert {"type": "hypha-login-complete", "key": context["key"]} in told or how == "popup"


@pytest.mark.parametrize(("listed", "shown"), [(True, True), (False, False)], ids=["listed", "not listed"])
def test_only_listed_pages_of_other_origins_show_the_form_in_a_frame(tmp_path, browser, listed, shown):
    with FrontEnd() as other:
        config = tmp_path / "doorward.toml"
        config.write_text(f'[mounts.hypha]\ncors_origins = ["{other.origin if listed else "http://127.0.0.1:3000"}"]\n')
        with Doorward("dev", "--listen", "127.0.0.1:0", "--config", config, home=tmp_path / "home") as server:
            hub = Hub(server)
            start = hub.http().post("/public/services/hypha-login/start", json={}).json()
            browser.get(other.page("/", f'<!doctype html><title>x</title><iframe src="{start["login_url"]}" width="600" height="600"></iframe>'))
            browser.switch_to.frame(browser.find_element(By.TAG_NAME, "iframe"))
            seen = False
            with contextlib.suppress(NoSuchElementException):
                browser.find_element(By.NAME, "password")
                seen = True
            assert seen is shown
            if not shown:
                browser.switch_to.default_content()
                refusals = [line["message"] for line in browser.get_log("browser") if "frame-ancestors" in line["message"]]
                assert refusals, "the browser says why"
                return
            person = hub.person()
            sign_in_there(browser, person)
            wait_until(lambda: hub.http().get("/public/services/hypha-login/check", params={"key": start["key"], "timeout": 0}).json(), "the token", limit_s=LIMIT_S)


def test_the_documents_logout_of_a_page_runs_as_it_stands(front, browser):
    """Its popup is opened at the logout address; storage and cookie are empty, and the cookie's old value is worth nothing."""
    person = front.hub.person()
    script = block("const logoutCallback = async (context)")
    opened(front, browser)
    token = log_in(front, browser, person)
    assert whom(browser) == person.id
    # What scripts keep; the browser's own cookie of this name is the page's, and out of their reach.
    browser.execute_script("localStorage.setItem('hypha_token', 'x'); localStorage.setItem('hypha_user_profile', '{}')")
    opened(front, browser, f'<script>window.opened = []; const open = window.open; window.open = (...given) => {{ window.opened.push(given); return open(...given); }};</script>\n<script type="module">{script}\nwindow.done = true;</script>')
    wait_until(lambda: browser.execute_script("return window.done === true"), "the document's script", limit_s=LIMIT_S)
    where = browser.execute_script("return window.opened")
    assert where == [[f"{front.origin}/public/apps/hypha-login/?logout=true&close=true", "_blank", "width=600,height=700"]]
    assert kept(browser) == [0, ""]
    page = browser.current_window_handle
    wait_until(lambda: browser.window_handles == [page], "the popup closes itself", limit_s=LIMIT_S)
    assert whom(browser).startswith("anonymouz-"), "signed out"
    assert front.hub.http(token).get("/assets/config.json").status_code == 401


def log_in(front, browser, person) -> str:
    """Signs in by the page in this window, and comes back; the token that was given."""
    back = browser.current_url
    start = front.hub.http().post("/public/services/hypha-login/start", json={}).json()
    browser.get(start["login_url"])
    sign_in_there(browser, person)
    token = wait_until(lambda: front.hub.http().get("/public/services/hypha-login/check", params={"key": start["key"], "timeout": 0}).json(), "the token", limit_s=LIMIT_S)
    browser.get(back)
    return token


def test_a_front_ends_own_cookie_is_taken_and_cleared_by_the_documents_lines(front, browser):
    person = front.hub.person()
    lines = block("const logoutCallback = async (context)").split("// Also clear local storage and cookies\n")[1]
    opened(front, browser)
    browser.execute_script(KEEP, person.token)
    assert whom(browser) == person.id
    browser.execute_script(lines)
    assert kept(browser) == [0, ""] and whom(browser).startswith("anonymouz-")


def test_the_documents_performLogout_clears_what_the_page_keeps_though_the_server_is_gone(tmp_path, browser):
    home, port = tmp_path / "home", free_port()
    home.mkdir()
    (home / "node_modules").symlink_to(node_modules("hypha-rpc"))
    with FrontEnd() as front:
        with Doorward("dev", "--listen", "127.0.0.1:0", "--mount", f"hypha=127.0.0.1:{port}", home=home) as server:
            front.to = port
            hub = Hub(server)
            person = hub.person()
            connect = "window.server = await hyphaWebsocketClient.connectToServer({ server_url: window.location.origin, token: localStorage.getItem('hypha_token') });"
            browser.get(front.page("/app.html", HEAD))
            browser.execute_script(KEEP, person.token)
            script = f"{block('async function performLogout')}\nwindow.performLogout = performLogout;"
            browser.get(front.page("/app.html", f'{HEAD}<script>{script}</script><script type="module">{connect}\nwindow.ready = true;</script>'))
            wait_until(lambda: browser.execute_script("return window.ready === true"), "the connection", limit_s=LIMIT_S)
        front.to = free_port()
        said = browser.execute_async_script("const done = arguments[0]; performLogout().then(() => done('no throw'), (error) => done(String(error)))")
        assert said == "no throw" and kept(browser) == [0, ""]
