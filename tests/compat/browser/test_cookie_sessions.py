"""Sessions in a cookie, as a real browser keeps them, and what a page of another site can do with them."""

import json

from harness.browser import fetch, open_browser
from harness.client import Client
from harness.native import PASSWORD, new_name, sign_up
from harness.programs import wait_until

JSON = {"Content-Type": "application/json"}


def log_in(server, browser) -> tuple[str, str]:
    """A page of ours logs somebody in; the name and the CSRF token."""
    name = new_name()
    assert sign_up(Client(server.url), name).status_code == 201
    browser.get(f"{server.url}/.well-known/jwks.json")
    body = json.dumps({"username": name, "password": PASSWORD})
    status, text = fetch(browser, "/v1/session", method="POST", headers=JSON, body=body)
    assert status == 201, text
    return name, json.loads(text)["csrf_token"]


def who(server, browser) -> tuple[int, str]:
    browser.get(f"{server.url}/.well-known/jwks.json")
    status, text = fetch(browser, "/v1/me")
    return status, json.loads(text).get("username", "")


def test_a_browser_keeps_the_cookie_hides_it_from_scripts_and_acts_by_it(server, browser):
    name, csrf = log_in(server, browser)
    assert who(server, browser) == (200, name)
    assert browser.execute_script("return document.cookie") == ""
    [cookie] = browser.get_cookies()
    assert cookie["name"] == "__Host-doorward-session"
    assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"], cookie["path"]) == (True, True, "Lax", "/")
    assert "expiry" not in cookie
    acted = {**JSON, "X-CSRF-Token": csrf}
    assert fetch(browser, "/v1/threads", method="POST", headers=acted, body="{}")[0] == 201
    status, text = fetch(browser, "/v1/threads", method="POST", headers=JSON, body="{}")
    assert (status, json.loads(text)["code"]) == (403, "cross_site")
    assert fetch(browser, "/v1/session", method="DELETE", headers={"X-CSRF-Token": csrf})[0] == 204
    assert browser.get_cookies() == []
    assert who(server, browser)[0] == 401


def test_a_page_of_another_site_reads_and_changes_nothing(server, browser, other_site):
    name, csrf = log_in(server, browser)
    before = Client(server.url)
    other_site.page = f"""<form id=f method=post action="{server.url}/v1/logout" enctype="text/plain"><input name=a value=b></form>
        <img src="{server.url}/v1/session">"""
    browser.get(other_site.url)
    credentials = {"credentials": "include"}
    assert fetch(browser, f"{server.url}/v1/me", **credentials)[0] == 0, "it cannot be read"
    hostile = {**JSON, "X-CSRF-Token": csrf}
    for method, path in [("POST", "/v1/threads"), ("DELETE", "/v1/session"), ("POST", "/v1/logout"), ("DELETE", "/v1/me")]:
        assert fetch(browser, server.url + path, method=method, headers=hostile, **credentials)[0] == 0, path
    plain = {"Content-Type": "text/plain"}
    fetch(browser, f"{server.url}/v1/threads", method="POST", headers=plain, body="{}", mode="no-cors", **credentials)
    browser.execute_script("document.getElementById('f').submit()")
    wait_until(lambda: browser.current_url.startswith(server.url), "the form's answer")
    assert who(server, browser) == (200, name), "still logged in"
    assert json.loads(fetch(browser, "/v1/threads")[1])["threads"] == []
    assert before.get("/.well-known/jwks.json").status_code == 200


def test_a_page_of_another_site_logs_nobody_in(server, browser, other_site):
    name = new_name()
    assert sign_up(Client(server.url), name).status_code == 201
    body = json.dumps({"username": name, "password": PASSWORD})
    browser.get(other_site.url)
    sent = {"method": "POST", "body": body, "credentials": "include"}
    fetch(browser, f"{server.url}/v1/session", headers=JSON, **sent)
    fetch(browser, f"{server.url}/v1/session", headers={"Content-Type": "text/plain"}, mode="no-cors", **sent)
    assert who(server, browser)[0] == 401


def test_our_answers_cannot_be_framed(server, other_site):
    other_site.page = f'<iframe src="{server.url}/.well-known/jwks.json"></iframe>'
    browser = open_browser()
    try:
        browser.get(other_site.url)

        def said() -> str:
            return "\n".join(line["message"] for line in browser.get_log("browser"))

        wait_until(lambda: "frame-ancestors" in said(), "the browser's refusal to frame it")
    finally:
        browser.quit()
