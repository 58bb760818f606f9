"""The login page of `local_auth_example.py` in Chromium: H-067, H-068, H-069, H-085."""

import asyncio

import pytest
from hypha_rpc import connect_to_server, login
from selenium.webdriver.common.by import By
from startup import block

from harness.browser import LIMIT_S
from harness.hypha import asked
from harness.programs import wait_until

SERVICE = "/public/services/hypha-login"
SHORTUUID = {"shortuuid.py": "import uuid as ids\n\ndef uuid():\n    return ids.uuid4().hex\n"}
ANN = {"name": "Ann", "email": "ann@example.com", "password": "correct horse"}


@pytest.fixture
def browser(browser):
    """The page asks a content network for its style; nothing here needs the internet."""
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*cdn.tailwindcss.com*"]})
    return browser


def fill(browser, email: str, password: str) -> None:
    for name, value in (("email", email), ("password", password)):
        field = browser.find_element(By.ID, name)
        field.clear()
        field.send_keys(value)
    browser.find_element(By.TAG_NAME, "button").click()


def told(browser, words: str) -> None:
    wait_until(lambda: browser.find_element(By.ID, "message").text == words, words, LIMIT_S)


@pytest.fixture
def hub(live):
    return live({**SHORTUUID, "local_auth_example.py": block("# local_auth_example.py")}, "local_auth_example.py:hypha_startup")


def test_the_page_works_without_a_key_and_shows_what_is_wrong(hub, browser):
    assert hub.http().request("POST", f"{SERVICE}/signup", json=ANN).json()["success"] is True
    browser.get(f"{hub.url}/login")
    assert browser.current_url.startswith(f"{hub.url}/public/apps/hypha-login/") and browser.title == "Custom Authentication"
    browser.execute_script("""
        window.posted = [];
        const before = window.fetch;
        window.fetch = (url, options) => { window.posted.push([url, JSON.parse(options.body)]); return before(url, options); };
    """)
    fill(browser, ANN["email"], "wrong")
    told(browser, "Invalid credentials")
    fill(browser, ANN["email"], ANN["password"])
    told(browser, "Login successful!")
    posted = browser.execute_script("return window.posted")
    assert [url for url, _ in posted] == [f"{SERVICE}/login"] * 2
    assert posted[1][1] == {"email": ANN["email"], "password": ANN["password"], "key": None}


async def test_a_login_of_the_client_is_completed_by_the_page(hub, browser):
    made = (await asked(hub.http(), "POST", f"{SERVICE}/signup", json=ANN)).json()

    async def callback(context):
        def sign_in():
            browser.get(context["login_url"])
            fill(browser, ANN["email"], ANN["password"])

        await asyncio.to_thread(sign_in)

    token = await asyncio.wait_for(login({"server_url": hub.url, "login_callback": callback, "login_timeout": 30}), 60)
    async with connect_to_server({"server_url": hub.url, "token": token}) as server:
        assert server.config.user["id"] == made["user_id"] and server.config.user["email"] == ANN["email"]
