"""Logging in through a provider, as people do it: a real browser, a certified OpenID provider, and one shaped as GitHub."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from selenium.webdriver.common.by import By

from harness.browser import fetch
from harness.client import Client
from harness.native import PASSWORD, new_name
from harness.programs import wait_until

JSON = {"Content-Type": "application/json"}
HTML = {"Accept": "text/html"}


def through_company(browser, server, name: str) -> None:
    """Follows the link, logs in at the provider and consents, as the provider's own pages ask."""
    browser.get(f"{server.url}/v1/login?return_to=/v1/me")
    browser.find_element(By.PARTIAL_LINK_TEXT, "Company").click()
    browser.find_element(By.NAME, "login").send_keys(name)
    browser.find_element(By.NAME, "password").send_keys("whatever")
    browser.find_element(By.CSS_SELECTOR, "button[type=submit]").click()
    consent = (By.CSS_SELECTOR, "input[name=prompt][value=consent]")
    wait_until(lambda: browser.find_elements(*consent), "the page that asks for consent")
    browser.find_element(By.CSS_SELECTOR, "button[type=submit]").click()


def through_github(browser, server, button: str = "yes") -> None:
    browser.get(f"{server.url}/v1/login?return_to=/v1/me")
    browser.find_element(By.LINK_TEXT, "Sign in with GitHub").click()
    browser.find_element(By.ID, button).click()


def me(browser) -> dict:
    """What /v1/me shows, once the browser is there."""

    def shown():
        # One script, so that the page cannot change between two looks at it.
        path, text = browser.execute_script("return [location.pathname, document.body ? document.body.innerText : '']")
        return json.loads(text) if path == "/v1/me" and text.startswith("{") else None

    return wait_until(shown, "the way back")


def page(browser) -> str:
    return browser.find_element(By.TAG_NAME, "body").text


def test_a_person_signs_in_through_an_openid_provider_and_comes_back_to_the_same_account(server, browser):
    through_company(browser, server, "ann")
    account = me(browser)
    assert (account["email"], account["display_name"]) == ("ann@company.example", "The ann")
    assert [cookie["name"] for cookie in browser.get_cookies() if "doorward" in cookie["name"]] == ["__Host-doorward-session"]
    status, text = fetch(browser, "/v1/session")
    assert status == 200, text
    acted = {**JSON, "X-CSRF-Token": json.loads(text)["csrf_token"]}
    assert fetch(browser, "/v1/session", method="DELETE", headers=acted)[0] == 204
    browser.get(f"{server.url}/v1/me")
    assert json.loads(browser.find_element(By.TAG_NAME, "pre").text)["code"] == "credentials_missing"
    # The provider still knows them, so this time it asks nothing.
    browser.get(f"{server.url}/v1/login/company?return_to=/v1/me")
    assert me(browser)["id"] == account["id"]


def test_a_person_signs_in_through_github(server, github, browser):
    through_github(browser, server)
    account = me(browser)
    assert (account["email"], account["display_name"]) == ("octocat@company.example", "The Octocat")
    identities = json.loads(fetch(browser, "/v1/me/identities")[1])["identities"]
    assert [(one["provider"], one["subject"]) for one in identities] == [("github", "583231")]
    through_github(browser, server)
    assert me(browser)["id"] == account["id"]


def test_whoever_declines_is_told_so_on_a_page_and_is_not_signed_in(server, browser):
    through_github(browser, server, "no")
    wait_until(lambda: "/callback" in browser.current_url, "the way back")
    assert "You are not signed in" in page(browser) and "provider_refused" in page(browser)
    assert browser.find_element(By.LINK_TEXT, "Back").get_attribute("href") == f"{server.url}/v1/me"
    assert browser.find_element(By.LINK_TEXT, "Try again").get_attribute("href") == f"{server.url}/v1/login/github"
    browser.get(f"{server.url}/v1/me")
    assert json.loads(browser.find_element(By.TAG_NAME, "pre").text)["code"] == "credentials_missing"


def test_a_link_that_was_used_opens_nothing_in_this_browser_or_another(server, browser):
    session = requests.Session()
    begun = session.get(f"{server.url}/v1/login/github?return_to=/v1/me", allow_redirects=False, timeout=30)
    assert begun.status_code == 303
    asked = parse_qs(urlsplit(begun.headers["Location"]).query)
    cookie = begun.headers["Set-Cookie"]
    for attribute in ["__Host-doorward-login-", "; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax", "; Max-Age=600"]:
        assert attribute in cookie
    ticket = dict([cookie.split(";")[0].split("=", 1)])
    to_provider = begun.headers["Location"].replace("/login/oauth/authorize", "/authorized")
    back = session.get(to_provider, allow_redirects=False, timeout=30).headers["Location"]
    other = requests.get(back, headers=HTML, allow_redirects=False, timeout=30)
    assert other.status_code == 400 and "login_expired" in other.text, "another browser"
    own = requests.get(back, cookies=ticket, allow_redirects=False, timeout=30)
    assert (own.status_code, own.headers["Location"]) == (303, "/v1/me")
    assert "Max-Age=0" in own.headers["Set-Cookie"], "the ticket is taken back"
    again = requests.get(back, cookies=ticket, allow_redirects=False, timeout=30)
    assert (again.status_code, again.json()["code"]) == (400, "login_expired")
    state = asked["state"][0]
    guessed = back.replace(state, "A" * len(state))
    assert requests.get(guessed, cookies=ticket, allow_redirects=False, timeout=30).status_code == 400


@pytest.mark.parametrize("where", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_nobody_is_sent_to_another_site_in_the_end(server, where):
    answer = requests.get(f"{server.url}/v1/login/github", params={"return_to": where}, allow_redirects=False, timeout=30)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_field")
    listed = requests.get(f"{server.url}/v1/login", params={"return_to": f'"><b>{where}'}, headers=HTML, timeout=30)
    assert listed.status_code == 200 and "<b>" not in listed.text


def test_the_page_of_providers_is_html_for_people_and_json_for_programs(server):
    listed = requests.get(f"{server.url}/v1/login", timeout=30).json()["providers"]
    assert [one["name"] for one in listed] == ["company", "github"]
    assert [one["url"] for one in listed] == ["/v1/login/company", "/v1/login/github"]
    shown = requests.get(f"{server.url}/v1/login", headers=HTML, timeout=30)
    assert "Company &lt;account&gt;" in shown.text and "text/html" in shown.headers["Content-Type"]
    assert shown.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    nothing = requests.get(f"{server.url}/v1/login/nobody", allow_redirects=False, timeout=30)
    assert (nothing.status_code, nothing.json()["code"]) == (404, "not_found")


def log_in(browser, server, name: str) -> str:
    """A page of ours logs somebody in with a password; the CSRF token."""
    browser.get(f"{server.url}/.well-known/jwks.json")
    body = json.dumps({"username": name, "password": PASSWORD})
    status, text = fetch(browser, "/v1/session", method="POST", headers=JSON, body=body)
    assert status == 201, text
    return json.loads(text)["csrf_token"]


def test_an_account_with_the_same_address_is_not_opened_until_its_owner_adds_the_provider(server, browser):
    name = "dora@company.example"
    made = Client(server.url).post("/v1/users", json={"email": name, "password": PASSWORD}, token=None)
    assert made.status_code == 201
    through_company(browser, server, "dora")
    wait_until(lambda: "/callback" in browser.current_url, "the way back")
    assert "account_exists" in page(browser)
    csrf = log_in(browser, server, name)
    body = json.dumps({"provider": "company", "return_to": "/v1/me"})
    assert fetch(browser, "/v1/me/identities", method="POST", headers=JSON, body=body)[0] == 403, "no CSRF token"
    acted = {**JSON, "X-CSRF-Token": csrf}
    status, text = fetch(browser, "/v1/me/identities", method="POST", headers=acted, body=body)
    assert (status, json.loads(text)["code"]) == (401, "bad_credentials"), "a session alone is not its owner"
    body = json.dumps({"provider": "company", "return_to": "/v1/me", "current_password": PASSWORD})
    adding = {"method": "POST", "headers": acted, "body": body}
    status, text = fetch(browser, "/v1/me/identities", **adding)
    assert status == 200, text
    browser.get(json.loads(text)["location"])
    assert me(browser)["id"] == made.json()["id"]
    [identity] = json.loads(fetch(browser, "/v1/me/identities")[1])["identities"]
    assert (identity["provider"], identity["shown"]) == ("company", name)
    fetch(browser, "/v1/session", method="DELETE", headers={"X-CSRF-Token": csrf})
    browser.get(f"{server.url}/v1/login/company?return_to=/v1/me")
    assert me(browser)["id"] == made.json()["id"]
    csrf = json.loads(fetch(browser, "/v1/session")[1])["csrf_token"]
    acted, proof = {**JSON, "X-CSRF-Token": csrf}, json.dumps({"current_password": PASSWORD})
    gone = fetch(browser, f"/v1/me/identities/{identity['id']}", method="DELETE", headers=acted, body=proof)
    assert gone[0] == 204, "the password is left"


def test_the_only_way_into_an_account_cannot_be_removed(server, browser):
    through_company(browser, server, "lone")
    me(browser)
    [identity] = json.loads(fetch(browser, "/v1/me/identities")[1])["identities"]
    csrf = json.loads(fetch(browser, "/v1/session")[1])["csrf_token"]
    status, text = fetch(browser, f"/v1/me/identities/{identity['id']}", method="DELETE", headers={"X-CSRF-Token": csrf})
    assert (status, json.loads(text)["code"]) == (409, "last_way_in")


def test_attempts_that_are_never_finished_leave_room_in_the_head_of_a_request(server):
    """A page can begin as many as it likes in a visitor's browser; what that keeps must not lock the visitor out."""
    jar: dict[str, str] = {}
    for _ in range(40):
        begun = requests.get(
            f"{server.url}/v1/login/company", params={"return_to": "/" + "x" * 255}, allow_redirects=False, timeout=30
        )
        assert begun.status_code == 303, begun.text
        name, _, value = begun.headers["Set-Cookie"].split(";")[0].partition("=")
        jar[name] = value
    sent = "; ".join(f"{name}={value}" for name, value in jar.items())
    assert len(jar) == 4 and len(sent) < 6_800
    assert requests.get(f"{server.url}/v1/login", headers={"Cookie": sent}, timeout=30).status_code == 200
    longer = requests.get(f"{server.url}/v1/login/company", params={"return_to": "/" + "x" * 256}, timeout=30, allow_redirects=False)
    assert (longer.status_code, longer.json()["code"]) == (400, "bad_field")


def test_an_operator_sees_and_removes_what_opens_an_account(server, browser):
    name = new_name()
    through_company(browser, server, name)
    account = me(browser)
    [identity] = server.command("user", "identities", account["id"])
    assert identity["subject"] == name
    gone = server.command("user", "unlink", account["id"], identity["id"])
    assert gone["unlinked"] == identity["id"]
    wait_until(lambda: fetch(browser, "/v1/me")[0] == 401, "the end of the session")
    admin = {"Authorization": f"Bearer {server.admin_key}"}
    listed = requests.get(f"{server.url}/v1/users/{account['id']}/identities", headers=admin, timeout=30)
    assert listed.json() == {"identities": []}


def test_an_address_that_the_provider_did_not_confirm_is_not_taken_over(server, browser):
    through_company(browser, server, "unconfirmed")
    account = me(browser)
    assert account["email"] is None and account["username"].startswith("company-unconfirmed")


def test_what_happened_is_in_the_audit_log_and_no_secret_is_anywhere(server, browser):
    through_company(browser, server, new_name())
    account = me(browser)
    lines = server.command("audit", "list", "--limit", "1000")
    lines = lines["entries"] if isinstance(lines, dict) else lines
    own = [line for line in lines if line["principal"] == f"local|{account['id']}"]
    assert any((line["action"], line["method"], line["outcome"]) == ("session:login", "oidc", "done") for line in own)
    assert any(line["action"] == "user:sign_up" and line["resource"] == account["id"] for line in lines)
    for hidden in ["a secret: with", "code=", "code_verifier", "state="]:
        assert hidden not in server.log, hidden
