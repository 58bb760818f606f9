"""People sign in through a tenant, in a real browser: the document's logins and logouts, with both clients."""

import hypha_rpc
import hypha_rpc.sync
import pytest

from harness.browser import let_scripts_of_the_test_run, screenshot
from harness.doorward import Doorward
from harness.hypha import LIMIT_S, Hub
from harness.programs import node_modules, wait_until
from harness.tenant import PAGE, Site, Tenant

BUTTON = "#tenant button"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("auth0-pages"))
    yield site
    site.stop()


def find(browser, css: str):
    return wait_until(lambda: browser.find_elements("css selector", css), css, limit_s=LIMIT_S)[0]


def text(browser) -> str:
    # One script, so that the page cannot change between two looks at it.
    return browser.execute_script("return document.body ? document.body.innerText : ''")


def at_the_tenant(browser, name: str) -> None:
    find(browser, "[name=login]").send_keys(name)
    browser.find_element("css selector", "[name=password]").send_keys("x")
    browser.find_element("css selector", "button[type=submit]").click()


def sign_in(site, browser, name: str) -> str:
    """A program's login through the tenant; its token."""
    login = site.start()
    browser.get(login["login_url"])
    find(browser, BUTTON).click()
    at_the_tenant(browser, name)
    return let_in(site, browser, login)


def let_in(site, browser, login: dict) -> str:
    """The program's token, once the page has had its last word."""
    wait_until(lambda: "The program can go on" in text(browser), "the last word", limit_s=LIMIT_S)
    return site.check(login["key"])


@pytest.mark.parametrize("account", ["google-oauth2|101", "github|102", "auth0|103~premium"])
def test_every_kind_of_account_comes_through_the_one_button(site, browser, account):
    user = site.who(sign_in(site, browser, account))["user"]
    assert user["email"] == f"{account.split('|')[1].split('~')[0]}@organization.example"
    assert user["roles"] == ["user", *account.split("~")[1:]]
    asked = site.tenant.seen("/authorize")[-1]["query"]
    assert (asked["client_id"], asked["redirect_uri"], asked["audience"]) == ("spa", site.tenant.site, site.who()["auth0_audience"])
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    exchanged = site.tenant.seen("/oauth/token")[-1]
    assert exchanged["status"] == 200 and exchanged["authorization"] == "" and exchanged["body"]["client_id"] == site.who()["auth0_client_id"]
    assert set(exchanged["body"]) == {"grant_type", "code", "redirect_uri", "code_verifier", "client_id"}, "no secret"


def test_the_page_can_be_used_by_everybody_and_keeps_its_own_rules(site, browser, tmp_path):
    for address in (site.start()["login_url"], f"{site.hub.url}/login"):
        browser.get(address)
        assert len(browser.find_elements("css selector", "button")) == 1 and not browser.find_elements("css selector", "[type=password]")
        browser.execute_script((node_modules("axe-core") / "axe-core" / "axe.min.js").read_text())
        found = browser.execute_async_script("axe.run().then((result) => arguments[0](result.violations))")
        assert not found, [(one["id"], one["help"]) for one in found]
        browser.set_window_size(360, 640)
        assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
        browser.set_window_size(1200, 800)
    find(browser, BUTTON).click()
    at_the_tenant(browser, "auth0|looker")
    wait_until(lambda: "signed in as looker@organization.example" in text(browser), "who it is", limit_s=LIMIT_S)
    screenshot(browser, tmp_path / "signed-in.png")
    assert browser.current_url == site.tenant.page, "nothing of the tenant's stays in the address"
    assert browser.execute_script("return document.cookie") == ""
    complaints = [line["message"] for line in browser.get_log("browser") if "Content Security Policy" in line["message"] and site.tenant.site in line["message"]]
    assert complaints == []


def test_python_logs_in_and_connects_as_the_person(site, browser):
    def callback(context):
        browser.get(context["login_url"])
        find(browser, BUTTON).click()
        at_the_tenant(browser, "auth0|pythonist")

    profile = hypha_rpc.sync.login({"server_url": site.hub.url, "login_callback": callback, "login_timeout": 30, "profile": True})
    assert (profile["email"], profile["email_verified"]) == ("pythonist@organization.example", True)
    with hypha_rpc.sync.connect_to_server({"server_url": site.hub.url, "token": profile["token"]}) as server:
        assert server.config.user["email"] == "pythonist@organization.example"
        assert server.config.workspace == profile["workspace"]
    own = site.who(site.tenant.token("auth0|pythonist"))["user"]
    assert own["scope"]["current_workspace"] == profile["workspace"], "the same person as a bearer of the tenant's"


def load_client(site, browser) -> None:
    browser.get(f"{site.hub.url}/health")
    source = (node_modules("hypha-rpc") / "hypha-rpc" / "dist" / "hypha-rpc-websocket.js").read_text()
    browser.execute_script("const tag = document.createElement('script'); tag.textContent = arguments[0]; document.documentElement.append(tag)", source)


POPUP = """
    const [server_url] = arguments;
    window.outcome = null;
    hyphaWebsocketClient.login({
        server_url,
        login_timeout: 60,
        login_callback: (context) => { window.open(context.login_url, 'login', 'width=600,height=700'); },
    }).then((token) => { window.outcome = { token }; }, (error) => { window.outcome = { error: String(error) }; });
"""


def test_javascript_logs_in_through_a_popup_that_closes(site, browser):
    let_scripts_of_the_test_run(browser)
    load_client(site, browser)
    page = browser.current_window_handle
    browser.execute_script(POPUP, site.hub.url)
    popup = wait_until(lambda: [one for one in browser.window_handles if one != page], "the popup", limit_s=LIMIT_S)[0]
    browser.switch_to.window(popup)
    find(browser, BUTTON).click()
    at_the_tenant(browser, "auth0|popup")
    browser.switch_to.window(page)
    outcome = wait_until(lambda: browser.execute_script("return window.outcome"), "the token", limit_s=LIMIT_S)
    assert site.who(outcome["token"])["user"]["email"] == "popup@organization.example"
    wait_until(lambda: browser.window_handles == [page], "the popup is closed", limit_s=LIMIT_S)


def test_a_page_in_a_frame_opens_the_tenant_beside_itself_and_tells_its_page(site, browser):
    let_scripts_of_the_test_run(browser)
    browser.get(f"{site.hub.url}/health")
    login = site.start()
    browser.execute_script(
        """
        window.told = [];
        addEventListener('message', (event) => window.told.push([event.origin, event.data]));
        document.body.append(Object.assign(document.createElement('iframe'), { src: arguments[0], width: 500, height: 600 }));
        """,
        login["login_url"],
    )
    page = browser.current_window_handle
    browser.switch_to.frame(find(browser, "iframe"))
    find(browser, BUTTON).click()
    popup = wait_until(lambda: [one for one in browser.window_handles if one != page], "the window", limit_s=LIMIT_S)[0]
    browser.switch_to.window(popup)
    at_the_tenant(browser, "auth0|framed")
    token = wait_until(lambda: site.check(login["key"]), "the token", limit_s=LIMIT_S)
    browser.switch_to.window(page)
    told = wait_until(lambda: browser.execute_script("return window.told"), "word of it", limit_s=LIMIT_S)
    assert told == [[site.tenant.site, {"type": "hypha-login-complete", "key": login["key"]}]]
    assert site.who(token)["user"]["email"] == "framed@organization.example"
    wait_until(lambda: browser.window_handles == [page], "the window is closed", limit_s=LIMIT_S)


def test_the_tenants_denial_is_shown_as_text_and_no_token_is_made(site, browser, tmp_path):
    login = site.start()
    browser.get(login["login_url"])
    find(browser, BUTTON).click()
    at_the_tenant(browser, "auth0|unconfirmed")
    alert = find(browser, "[role=alert]")
    assert "Please verify your email to access <b>Hypha</b>." in alert.text
    screenshot(browser, tmp_path / "denied.png")
    assert site.check(login["key"]) is None
    assert not [cookie for cookie in browser.get_cookies() if cookie["name"] == "access_token"]
    # The way back leads to the same program's page.
    browser.find_element("link text", "Try again").click()
    assert find(browser, BUTTON).text == "Sign in and allow"


async def logout_url(site) -> str:
    urls = []

    async def callback(context):
        urls.append(context["logout_url"])

    await hypha_rpc.logout({"server_url": site.hub.url, "logout_callback": callback})
    return urls[0]


async def test_logging_out_ends_the_tenants_stay_too_and_closes_its_window(site, browser):
    token = sign_in(site, browser, "auth0|leaver")
    browser.get(f"{site.hub.url}{PAGE}")
    kept = next(cookie["value"] for cookie in browser.get_cookies() if cookie["name"] == "access_token")
    page = browser.current_window_handle
    browser.execute_script("window.open(arguments[0], '_blank', 'width=600,height=700')", await logout_url(site))
    wait_until(lambda: browser.window_handles == [page], "the window is closed", limit_s=LIMIT_S)
    assert site.tenant.seen("/v2/logout")[-1]["query"] == {"client_id": "spa", "returnTo": f"{site.tenant.site}/hypha{PAGE}"}
    for ended in (token, kept):
        assert site.hub.http(ended).get("/assets/config.json").status_code == 401, "what was made in this browser has ended"
    browser.get(f"{site.hub.url}{PAGE}")
    assert not [cookie for cookie in browser.get_cookies() if cookie["name"].startswith(("access_token", "doorward-hypha-closing"))]
    find(browser, BUTTON).click()
    assert find(browser, "[name=login]"), "the tenant asks again"


def test_somebody_else_can_come_though_the_tenant_remembers_the_last(site, browser):
    sign_in(site, browser, "auth0|first")
    login = site.start()
    browser.get(login["login_url"])
    assert "first@organization.example" in text(browser)
    browser.find_element("css selector", "[value=other]").click()
    find(browser, BUTTON).click()
    at_the_tenant(browser, "auth0|second")
    token = let_in(site, browser, login)
    assert site.who(token)["user"]["email"] == "second@organization.example"
    # Whoever is signed in agrees without the tenant.
    asked, login = len(site.tenant.seen("/authorize")), site.start()
    browser.get(login["login_url"])
    browser.find_element("css selector", "[value=allow]").click()
    assert let_in(site, browser, login)
    assert len(site.tenant.seen("/authorize")) == asked


def test_a_page_at_another_address_than_the_tenant_sends_people_to_says_both(tmp_path, browser):
    tenant = Tenant(tmp_path)
    allowed = f"http://localhost:{tenant.site_port}"
    config = tmp_path / "doorward.toml"
    config.write_text(f'[outbound]\nallow = ["{tenant.url}"]\n[server]\npublic_url = "{allowed}"\n')
    try:
        with Doorward("dev", "--listen", f"127.0.0.1:{tenant.site_port}", "--config", config, home=tmp_path / "doorward", environment=tenant.variables()) as server:
            hub = Hub(server)
            browser.get(f"{tenant.site}/hypha{PAGE}")
            find(browser, BUTTON).click()
            alert = find(browser, "[role=alert]")
            assert "exactly one address" in alert.text
            assert [one.text for one in browser.find_elements("css selector", "dd")] == [tenant.site, allowed]
            assert tenant.seen("/authorize") == [] and browser.current_url.startswith(tenant.site), "nobody was sent anywhere"
            screenshot(browser, tmp_path / "mismatch.png")
            browser.find_element("link text", "Open it there").click()
            assert browser.current_url == f"{allowed}/hypha{PAGE}"
            # There the button works, and what the tenant does not list is the tenant's to refuse.
            find(browser, BUTTON).click()
            wait_until(lambda: browser.current_url.startswith(tenant.url), "the tenant", limit_s=LIMIT_S)
            assert tenant.seen("/authorize")[0]["query"]["redirect_uri"] == allowed
            assert "redirect_uri" in text(browser) and hub.http().get("/health").status_code == 200
    finally:
        tenant.stop()
