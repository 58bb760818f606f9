"""What completes a login, what does not, and what a logout takes back: H-002, H-003, H-005, H-014, H-015."""

import asyncio

from hypha_rpc import login, logout

from harness.clock import Clock
from harness.hypha import LIMIT_S, Form, Hub, Visitor, asked

SERVICE = "/public/services/hypha-login"
LOGOUT = "/public/apps/hypha-login/?logout=true&close=true"
KEY_LIFE_S = 180


def started(hub) -> dict:
    answer = hub.http().post(f"{SERVICE}/start", json={})
    assert answer.status_code == 200, answer.text
    return answer.json()


def check(hub, key: str, **more):
    return hub.http().get(f"{SERVICE}/check", params={"key": key, "timeout": 0, **more})


def still_waits(hub, key: str) -> bool:
    answer = check(hub, key)
    return answer.status_code == 200 and answer.json() is None


def sign_in(hub, login_url: str, person) -> Visitor:
    """The whole of it as that person; answers the browser, which is signed in now."""
    visitor = Visitor(hub)
    shown = visitor.sign_in(login_url, person.name)
    assert shown.status_code == 200, shown.text
    return visitor


async def user_of(hub, token: str) -> str:
    async with hub.enter(token) as server:
        return server.config.user["id"]


async def test_a_callback_need_not_stay_until_the_person_has_signed_in(hub, person):
    signing = []

    async def callback(context):
        asyncio.get_running_loop().call_soon(lambda: signing.append(asyncio.ensure_future(asyncio.to_thread(sign_in, hub, context["login_url"], person))))

    token = await asyncio.wait_for(login({"server_url": hub.url, "login_callback": callback, "login_timeout": LIMIT_S}), 2 * LIMIT_S)
    await asyncio.gather(*signing)
    assert len(signing) == 1 and await user_of(hub, token) == person.id


async def test_a_plain_function_may_hand_back_what_is_to_be_awaited(hub, person):
    """The client awaits whatever the callback gives back."""
    seen = []

    def callback(context):
        seen.append(context["key"])
        return asyncio.to_thread(sign_in, hub, context["login_url"], person)

    token = await login({"server_url": hub.url, "login_callback": callback, "login_timeout": LIMIT_S})
    assert len(seen) == 1 and await user_of(hub, token) == person.id


def test_a_check_over_http_waits_no_longer_than_it_is_told(hub):
    answer = check(hub, started(hub)["key"], timeout=1)
    assert answer.status_code >= 400 and "Login timeout" in answer.json()["detail"], answer.text


def test_a_key_is_over_after_three_minutes(start, tmp_path):
    clock = Clock(tmp_path)
    hub = Hub(start("dev", environment=clock.environment))
    begun = started(hub)
    clock.set(KEY_LIFE_S - 10)
    assert still_waits(hub, begun["key"])
    clock.set(KEY_LIFE_S + 10)
    late = check(hub, begun["key"])
    assert late.status_code == 400 and "Invalid key" in late.json()["detail"], late.text


async def test_logins_at_once_each_get_their_own(hub):
    people = [hub.person() for _ in range(10)]

    async def one(person):
        async def callback(context):
            await asyncio.to_thread(sign_in, hub, context["login_url"], person)

        token = await login({"server_url": hub.url, "login_callback": callback, "login_timeout": 2 * LIMIT_S})
        return await user_of(hub, token)

    assert await asyncio.gather(*(one(person) for person in people)) == [person.id for person in people]


def test_who_is_signed_in_already_gives_no_token_away_by_opening_a_link(hub, person):
    browser = sign_in(hub, started(hub)["login_url"], person)
    another = started(hub)
    assert browser.open(another["login_url"]).status_code == 200
    assert still_waits(hub, another["key"]), "it takes more than a link that somebody sent"


async def test_a_visitor_is_nobody_who_signed_in(hub):
    start = started(hub)
    async with hub.enter() as visitor:
        token = await visitor.generate_token()
        answer = await asked(hub.http(), "POST", f"{SERVICE}/report", json={"key": start["key"], "token": token})
        assert answer.status_code in (400, 401, 403), answer.text
    assert still_waits(hub, start["key"])


def test_what_a_report_says_about_the_person_is_not_believed(hub):
    person = hub.person(email="truth@example.org")
    start = started(hub)
    lies = {"user_id": "root", "email": "boss@example.org", "email_verified": True, "name": "Root"}
    answer = hub.http().post(f"{SERVICE}/report", json={"key": start["key"], "token": person.token, **lies})
    assert answer.status_code == 200, answer.text
    profile = check(hub, start["key"], profile=True).json()
    assert (profile["user_id"], profile["email"], profile["email_verified"]) == (person.id, None, False)


async def test_who_waits_keeps_nobody_else_waiting(hub, person):
    waiting = [asyncio.ensure_future(asked(hub.http(), "GET", f"{SERVICE}/check", params={"key": started(hub)["key"], "timeout": 5})) for _ in range(20)]
    async with hub.enter(person) as server:
        assert await asyncio.wait_for(server.echo("soon"), LIMIT_S) == "soon"
    assert (await asked(hub.http(), "GET", "/health/liveness")).status_code == 200
    for answer in await asyncio.gather(*waiting):
        assert answer.status_code >= 400


async def test_without_a_callback_the_logout_address_is_printed(hub, capsys):
    await logout({"server_url": hub.url})
    assert f"{hub.url}{LOGOUT}" in capsys.readouterr().out


async def test_what_a_connection_could_come_back_with_ends_at_logout_too(hub, person):
    start = started(hub)
    browser = await asyncio.to_thread(sign_in, hub, start["login_url"], person)
    token = check(hub, start["key"]).json()
    async with hub.wire() as wire:
        assert (await wire.hello(token=token))["type"] == "connection_info"
        reconnection, client = wire.info["reconnection_token"], wire.id
        child = await wire.ask_hub("generate_token")
        await asyncio.to_thread(browser.sign_out, f"{hub.url}{LOGOUT}")
        assert (await wire.closed())[0] in (1001, 1008)
    for said in ({"reconnection_token": reconnection, "client_id": client}, {"token": child}):
        async with hub.wire() as wire:
            assert (await wire.hello(**said))["type"] == "error", said.keys()
    assert (await asked(hub.http(child), "GET", "/assets/config.json")).status_code == 401


async def test_who_comes_back_after_a_logout_is_asked_for_the_password(hub, person):
    browser = await asyncio.to_thread(sign_in, hub, started(hub)["login_url"], person)
    await asyncio.to_thread(browser.sign_out, f"{hub.url}{LOGOUT}")
    again = await asyncio.to_thread(browser.open, started(hub)["login_url"])
    assert {"username", "password"} <= Form(again.text).fields.keys() and person.name not in again.text
