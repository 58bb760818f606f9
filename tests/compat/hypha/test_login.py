"""Logging in and out by a page, with PyPI and npm `hypha-rpc`: H-001, H-002, H-003, H-004, H-005, H-006, H-014, H-015, H-038, H-073, H-091, H-102, H-137."""

import asyncio
import subprocess
import time
from uuid import uuid4

import hypha_rpc.sync
import pytest
from hypha_rpc import login, logout

from harness.client import Client, next_address
from harness.hypha import LIMIT_S, Form, Script, Visitor, asked, until
from harness.native import PASSWORD
from harness.programs import clean_environment

PROFILE = {"token", "workspace", "expires_in", "email", "email_verified", "name", "nickname", "user_id", "picture"}
SERVICE = "/public/services/hypha-login"


class Page:
    """What a login calls back with, and the person who goes there."""

    def __init__(self, hub, person, sign_in: bool = True) -> None:
        self.hub, self.person, self.seen, self.visitor, self._signs_in = hub, person, [], Visitor(hub), sign_in

    async def __call__(self, context) -> None:
        self.seen.append(dict(context))
        if self._signs_in:
            answer = await asyncio.to_thread(self.visitor.sign_in, context["login_url"], self.person.name)
            assert answer.status_code == 200, answer.text


async def log_in(hub, person, page: Page | None = None, **more):
    page = page or Page(hub, person)
    return await asyncio.wait_for(login({"server_url": hub.url, "login_callback": page, "login_timeout": 30, **more}), 2 * LIMIT_S)


async def started(hub, **given) -> dict:
    answer = await asked(hub.http(), "POST", f"{SERVICE}/start", json=given)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def checked(hub, key: str, **more):
    return await asked(hub.http(), "GET", f"{SERVICE}/check", params={"key": key, "timeout": 0, **more})


async def reported(hub, key: str, token: str, **more):
    return await asked(hub.http(), "POST", f"{SERVICE}/report", json={"key": key, "token": token, **more})


async def test_login_gives_a_token_that_connects_as_who_signed_in(hub, person):
    page = Page(hub, person)
    token = await log_in(hub, person, page)
    assert isinstance(token, str) and len(page.seen) == 1
    assert page.seen[0]["login_url"].startswith(f"{hub.url}/public/apps/hypha-login/?key={page.seen[0]['key']}")
    async with hub.enter(token) as server:
        assert server.config.user["id"] == person.id and server.config.workspace == person.workspace
    assert (await asked(hub.http(token), "GET", f"/{person.workspace}/services/")).status_code == 200


async def test_a_callback_that_does_not_wait_is_called_once_too(hub, person):
    seen, visitor = [], Visitor(hub)

    def callback(context):
        seen.append(context["key"])
        assert visitor.sign_in(context["login_url"], person.name).status_code == 200

    given = {"server_url": hub.url, "login_callback": callback, "login_timeout": 30}
    token = await asyncio.wait_for(asyncio.to_thread(hypha_rpc.sync.login, given), 2 * LIMIT_S)
    assert isinstance(token, str) and len(seen) == 1


async def test_without_a_callback_the_address_is_printed(hub, person, capfd):
    task = asyncio.create_task(login({"server_url": hub.url, "login_timeout": 30}))

    printed = ""

    async def shown():
        nonlocal printed
        printed += capfd.readouterr().out
        return next((line.split()[-1] for line in printed.splitlines() if "Please open your browser and login at" in line), None)

    try:
        url = await until(shown, "the printed address")
        key = url.split("key=")[1].split("&")[0]
        assert (await reported(hub, key, person.token)).status_code == 200
        assert await asyncio.wait_for(task, LIMIT_S)
    finally:
        task.cancel()


async def test_javascript_logs_in_the_same_way(hub, person):
    async with Script(hub, "login") as script:
        told = await script.told()
        answer = await asyncio.to_thread(Visitor(hub).sign_in, told["login_url"], person.name)
        assert answer.status_code == 200, answer.text
        done = await script.told()
    assert done["times"] == 1, done
    async with Script(hub, "enter", token=done["token"]) as script:
        assert await script.told() == {"workspace": person.workspace, "user": person.id}


async def test_a_profile_is_a_map_of_who_signed_in(hub):
    person = hub.person(email="profile-of-login@example.org")
    profile = await log_in(hub, person, profile=True)
    assert set(profile) == PROFILE
    assert profile["user_id"] == person.id and profile["email"] is None, "nobody has proven it"
    assert profile["name"] or profile["nickname"]
    async with hub.enter(profile["token"]) as server:
        assert server.config.user["id"] == person.id and server.config.user["email"] is None


async def test_a_login_for_one_workspace_is_limited_to_it_and_in_time(hub, person):
    async with hub.enter(person) as server:
        await server.create_workspace({"name": "x", "id": (name := f"lab-{person.id.lower().replace('_', '-')}"), "persistent": True})
    for given, life_s in (({"workspace": name, "expires_in": 120}, 120), ({"workspace": name}, 3600)):
        token = await log_in(hub, person, **given)
        async with hub.wire() as wire:
            info = await wire.hello(token=token, workspace=name)
            assert info["type"] == "connection_info" and info["workspace"] == name, info
            assert 0 < info["user"]["expires_at"] - time.time() <= life_s + 1
        for elsewhere in (hub.person().workspace, person.workspace):
            async with hub.wire() as wire:
                answer = await wire.hello(token=token, workspace=elsewhere)
                assert answer["type"] == "error", "another workspace"


async def test_a_login_for_a_workspace_of_somebody_else_gives_nothing(hub, person):
    other = hub.person()
    async with hub.enter(other):
        login_of = await started(hub, workspace=other.workspace)
        await asyncio.to_thread(Visitor(hub).sign_in, login_of["login_url"], person.name)
        answer = await checked(hub, login_of["key"])
        assert answer.status_code >= 400 or answer.json() is None, answer.text
        login_of = await started(hub)
        assert (await reported(hub, login_of["key"], person.token, workspace=other.workspace)).status_code >= 400
        answer = await checked(hub, login_of["key"])
        assert answer.status_code >= 400 or answer.json() is None


async def test_nobody_signing_in_ends_the_wait(hub, person):
    begun = time.monotonic()
    with pytest.raises(Exception, match="(?i)time"):
        await log_in(hub, person, Page(hub, person, sign_in=False), login_timeout=2)
    assert time.monotonic() - begun < LIMIT_S


async def test_start_answers_with_what_the_document_lists_and_the_addresses_answer(hub, person):
    for body in ({"json": {}}, {"data": b""}, {"data": b"", "headers": {"Content-Type": "application/json"}}):
        answer = await asked(hub.http(), "POST", f"{SERVICE}/start", **body)
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert {"login_url", "key", "report_url", "check_url"} <= told.keys()
        assert all(told[name].startswith(f"{hub.url}/public/") for name in ("login_url", "report_url", "check_url"))
        client = hub.http()
        client.base = ""
        assert (await asked(client, "GET", told["login_url"])).status_code == 200
        assert (await asked(client, "GET", told["check_url"], params={"key": told["key"], "timeout": 0})).json() is None
        done = await asked(client, "POST", told["report_url"], json={"key": told["key"], "token": person.token})
        assert done.status_code == 200, done.text
        assert (await asked(client, "GET", told["check_url"], params={"key": told["key"], "timeout": 0})).json()
    keys = {(await started(hub))["key"] for _ in range(20)}
    assert len(keys) == 20 and all(len(key) >= 20 for key in keys)


async def test_a_key_is_delivered_once(hub, person):
    key = (await started(hub))["key"]
    assert (await checked(hub, key)).json() is None
    assert (await reported(hub, key, person.token)).status_code == 200
    token = (await checked(hub, key)).json()
    assert isinstance(token, str)
    again = await checked(hub, key)
    assert again.status_code == 400 and "Invalid key" in again.json()["detail"]
    for strange in ("never-was", "", "*", "../x", "k" * 5000):
        answer = await checked(hub, strange)
        assert answer.status_code == 400 and "Invalid key" in answer.json()["detail"], (strange[:9], answer.text)
    late = await reported(hub, key, person.token)
    assert late.status_code == 400 and "Invalid key" in late.json()["detail"]


async def test_a_report_with_a_token_that_is_none_is_refused_and_the_login_stays_open(hub, person):
    key = (await started(hub))["key"]
    forged = person.token[:-4] + ("AAAA" if not person.token.endswith("AAAA") else "BBBB")
    for token in (forged, "junk", "", "a.b.c"):
        answer = await reported(hub, key, token, email="boss@example.org", user_id="root")
        assert answer.status_code == 400, (token[:9], answer.text)
        assert (await checked(hub, key)).json() is None
    assert "Invalid token" in (await reported(hub, key, forged)).json()["detail"]
    assert (await reported(hub, key, person.token, email="boss@example.org", user_id="root", name="Root")).status_code == 200
    profile = (await checked(hub, key, profile="true")).json()
    async with hub.enter(profile["token"]) as server:
        assert server.config.user["id"] == person.id and server.config.user["email"] != "boss@example.org"


async def test_a_visitor_reports_nothing(hub):
    async with hub.enter() as visitor:
        token = visitor.config.reconnection_token
        key = (await started(hub))["key"]
        answer = await reported(hub, key, token)
        if answer.status_code == 200:
            async with hub.wire() as wire:
                info = await wire.hello(token=(await checked(hub, key)).json())
                assert info["type"] == "error" or info["user"]["is_anonymous"], info


async def test_a_wrong_password_is_said_on_the_page_and_gives_nothing(hub, person):
    login_of, visitor = await started(hub), Visitor(hub)
    for name, password in ((person.name, "not the password 1"), ("nobody-at-all", "not the password 1"), (person.name, "")):
        answer = await asyncio.to_thread(visitor.sign_in, login_of["login_url"], name, password)
        assert answer.status_code in (200, 400, 401, 403, 422), answer.text
        assert Form(answer.text).action is not None, "the form is there again"
        assert "not the password 1" not in answer.text
        assert (await checked(hub, login_of["key"])).json() is None
    right = await asyncio.to_thread(visitor.sign_in, login_of["login_url"], person.name)
    assert right.status_code == 200 and (await checked(hub, login_of["key"])).json()


def curl(hub, address: str, url: str, *arguments: str) -> tuple[int, dict[str, str], str]:
    """What curl gets from there, as status, headers and body: without cookies, as a program that guesses comes."""
    own = ["curl", "--silent", "--include", "--max-time", "30", "--interface", address, "--header", f"Origin: {Visitor(hub).origin}"]
    done = subprocess.run([*own, *arguments, url], capture_output=True, check=True, env=clean_environment())
    head, _, body = done.stdout.decode().partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    return int(first.split()[1]), {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}, body


async def test_the_sixth_wrong_password_of_a_name_is_told_to_wait_and_its_owner_gets_in(hub):
    """From a network of its own each time: it is the name that is counted, whether somebody has it or not."""
    person = hub.person(email=f"guessed-{uuid4().hex[:8]}@example.org")
    page = f"{hub.url}/public/apps/hypha-login/"

    def wrong(name: str) -> tuple[int, dict[str, str], str]:
        fields = {"act": "sign-in", "username": name, "password": "not the password 1"}
        return curl(hub, next_address(), page, *(part for pair in fields.items() for part in ("--data-urlencode", "=".join(pair))))

    for name in (person.name, f"nobody-{uuid4().hex[:8]}@example.org"):
        for _ in range(5):
            status, headers, body = wrong(name)
            assert status == 401 and headers["content-type"].startswith("text/html") and "retry-after" not in headers and "Too many" not in body
        status, headers, body = wrong(name)
        assert status == 429, body
        seconds = int(headers["retry-after"])
        assert 0 < seconds <= 300
        assert f"Too many login attempts. Try again in {seconds} seconds." in body and 'name="password"' in body
    right = await asyncio.to_thread(Visitor(hub).sign_in, page, person.name)
    assert right.status_code == 200 and "You are signed in" in right.text
    status, headers, _ = wrong(person.name)
    assert status == 429 and headers["retry-after"], "who is let in does not make the guesses fewer"


async def test_a_session_of_the_page_says_whose_it_is_since_when_and_from_where(hub, person):
    visitor = Visitor(hub)
    began_ms = time.time() * 1000
    url, agent = f"{hub.url}/public/apps/hypha-login/", "Lab-Tablet/2.1 \t(kitchen)" + "x" * 600
    shown = await asyncio.to_thread(visitor.open, url)
    form = {**Form(shown.text).fields, "username": person.name, "password": PASSWORD}
    headers = {"User-Agent": agent, "X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9", "X-Real-IP": "203.0.113.9"}
    answer = await asyncio.to_thread(visitor.open, url, "POST", data=form, headers=headers)
    assert answer.status_code == 200, answer.text

    def listed() -> dict:
        rows = Client(hub.server.url, person.token).get("/v1/sessions").json()["sessions"]
        return next(row for row in rows if row["mount"] == "hypha" and row["source"] == "hypha-login")

    row = await asyncio.to_thread(listed)
    assert row["user_id"] == person.id and row["current"] is False
    assert began_ms - 1000 <= row["created_at_ms"] <= row["last_seen_at_ms"] <= time.time() * 1000 + 1000 < row["expires_at_ms"]
    assert row["address"] == visitor.client.address, "what a client says of its address counts from trusted proxies alone"
    assert row["user_agent"].startswith("Lab-Tablet/2.1") and "\t" not in row["user_agent"] and 250 <= len(row["user_agent"]) <= 256
    assert row["device"] is None, "a page gives its browser no name"
    kind, _, digits = row["id"].partition("_")
    assert kind == "ses" and len(bytes.fromhex(digits)) - 6 == 256 // 8, "six bytes of time, 256 random bits"

    assert "You are signed in" in (await asyncio.to_thread(visitor.open, url)).text
    assert row["last_seen_at_ms"] < (await asyncio.to_thread(listed))["last_seen_at_ms"] <= time.time() * 1000 + 1000
    await asyncio.to_thread(visitor.sign_out, f"{url}?logout=true")
    rows = (await asyncio.to_thread(Client(hub.server.url, person.token).get, "/v1/sessions")).json()["sessions"]
    assert row["id"] not in [other["id"] for other in rows]


async def test_what_a_person_types_is_no_markup(hub):
    login_of = await started(hub)
    evil = '"><script>alert(1)</script>'
    answer = await asyncio.to_thread(Visitor(hub).sign_in, login_of["login_url"], evil)
    assert "<script>alert" not in answer.text
    shown = await asked(hub.http(), "GET", "/public/apps/hypha-login/", params={"key": evil, "workspace": evil, "error": evil})
    assert "<script>alert" not in shown.text
    policy = shown.headers["Content-Security-Policy"]
    assert "frame-ancestors" in policy and "unsafe-eval" not in policy and shown.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_form_that_another_site_fills_logs_nobody_in(hub, person):
    login_of, visitor = await started(hub), Visitor(hub)
    page = await asyncio.to_thread(visitor.open, login_of["login_url"])
    fields = {**Form(page.text).fields, "username": person.name, "password": "correct horse battery staple 7"}
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    answer = await asyncio.to_thread(lambda: visitor.request("POST", login_of["login_url"], data=fields, headers=foreign))
    assert answer.status_code in (400, 403), answer.text
    assert (await checked(hub, login_of["key"])).json() is None


async def test_logout_hands_over_its_address_once(hub):
    seen = []

    async def callback(context):
        seen.append(dict(context))

    told = await asyncio.wait_for(logout({"server_url": hub.url, "logout_callback": callback}), LIMIT_S)
    assert seen == [dict(told)] and told["logout_url"] == f"{hub.url}/public/apps/hypha-login/?logout=true&close=true"
    client = hub.http()
    client.base = ""
    assert (await asked(client, "GET", told["logout_url"])).status_code == 200
    plain = []
    given = {"server_url": hub.url, "logout_callback": lambda context: plain.append(context["logout_url"])}
    await asyncio.wait_for(asyncio.to_thread(hypha_rpc.sync.logout, given), LIMIT_S)
    assert plain == [told["logout_url"]]
    async with Script(hub, "logout") as script:
        assert (await script.told())["seen"] == plain


async def test_visiting_the_logout_address_ends_the_session_and_the_tokens_it_approved(hub, person):
    page, other = Page(hub, person), Page(hub, person)
    token, elsewhere = await log_in(hub, person, page), await log_in(hub, person, other)
    url = f"{hub.url}/public/apps/hypha-login/?logout=true&close=true"
    async with hub.enter(token) as server:
        assert await server.echo(1) == 1
        answer = await asyncio.to_thread(page.visitor.sign_out, url)
        assert answer.status_code == 200, answer.text

        async def refused():
            return (await asked(hub.http(token), "GET", "/assets/config.json")).status_code == 401

        await until(refused, "the token is refused")
    async with hub.wire() as wire:
        assert (await wire.hello(token=token))["type"] == "error"
        assert (await wire.closed())[0] == 1008
    assert (await asked(hub.http(elsewhere), "GET", "/assets/config.json")).status_code == 200, "another browser's session is its own"
    assert (await asked(person.http, "GET", "/assets/config.json")).status_code == 200


async def test_a_link_of_another_site_asks_before_it_signs_anybody_out(hub, person):
    page = Page(hub, person)
    token = await log_in(hub, person, page)
    url = f"{hub.url}/public/apps/hypha-login/?logout=true&close=true"
    led = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}

    async def good():
        return (await asked(hub.http(token), "GET", "/assets/config.json")).status_code

    for said in (led, {**led, "Referer": "https://evil.example/"}, {"Referer": "https://evil.example/"}):
        asks = await asyncio.to_thread(page.visitor.open, url, headers=said)
        assert asks.status_code == 200 and "Sign out?" in asks.text and await good() == 200
    form = {**Form(asks.text).fields, "act": "sign-out"}
    assert form["close"] == "true"
    forged = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    answer = await asyncio.to_thread(lambda: page.visitor.request("POST", url.split("?")[0], data=form, headers=forged))
    assert answer.status_code == 403 and await good() == 200
    answer = await asyncio.to_thread(page.visitor.submit, url, asks.text, act="sign-out")
    assert answer.status_code == 200 and "signed out" in answer.text and await good() == 401


async def test_the_logout_address_alone_ends_nothing(hub, person):
    token = await log_in(hub, person)
    await asyncio.to_thread(Visitor(hub).open, f"{hub.url}/public/apps/hypha-login/?logout=true&close=true")
    assert (await asked(hub.http(token), "GET", "/assets/config.json")).status_code == 200


async def test_a_connection_in_use_ends_with_its_session(hub, person):
    """What the logout address ends is not only the next connection but the one that stands."""
    page = Page(hub, person)
    token = await log_in(hub, person, page)
    async with hub.wire() as wire:
        assert (await wire.hello(token=token))["type"] == "connection_info"
        await wire.alive()
        await asyncio.to_thread(page.visitor.sign_out, f"{hub.url}/public/apps/hypha-login/?logout=true&close=true")
        assert (await wire.closed())[0] == 1008
