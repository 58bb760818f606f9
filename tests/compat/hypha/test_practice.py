"""What the document asks of a deployment, at a hub: H-092, H-094, H-095, H-103, H-143, H-144, H-145, H-146, H-149, H-151, H-154, H-156."""

import asyncio
import base64
import contextlib
import json
import re
import time

import jwt
import pytest
import requests

from harness import native
from harness.client import Client
from harness.doorward import Doorward
from harness.hypha import Hub, Refusal, Visitor, asked, until

LIMITED = """
[mounts.hypha]
sign_up = "open"
message_burst = 40
messages_per_s = 20
[rate_limits.calls]
actions = ["hub_service:*"]
requests = 6
by = "account"
window_s = 3600
[metrics]
listen = "127.0.0.1:0"
"""
SECRET = "c2f1b4d09e7a65830f4cd1e2a98b7766554c3b2a1f0e9d8c7b6a594837261504"
TOO_MUCH = "Rate limit exceeded. Please slow down."


def started(tmp_path_factory, name: str, config: str = "", data=None, **environment: str) -> Doorward:
    home = tmp_path_factory.mktemp(name)
    (home / "settings.toml").write_text(config)
    more = ("--data-dir", data) if data else ()
    return Doorward("dev", "--listen", "127.0.0.1:0", "--config", home / "settings.toml", *more, home=home, environment=environment)


@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    with started(tmp_path_factory, "limited", LIMITED) as server:
        yield Hub(server)


def claims(token: str) -> dict:
    return jwt.decode(token, options={"verify_signature": False})


async def accepted(hub, token: str) -> bool:
    async with hub.wire() as wire:
        return (await wire.hello(token=token))["type"] == "connection_info"


async def test_nothing_secret_is_kept_or_logged_in_clear(tmp_path_factory):
    with started(tmp_path_factory, "clear") as server:
        hub = Hub(server)
        person, password = hub.person(), native.PASSWORD
        key = server.command("key", "create", "--user", person.name, "--name", "job", "--expires", "1h")["key"]
        secrets = {"password": password, "token": person.token, "key": key}
        async with hub.enter(person) as host:
            secrets["child"] = await host.generate_token({"expires_in": 60})
            start = (await asked(hub.http(), "POST", "/public/services/hypha-login/start", json={})).json()
            browser = Visitor(hub)
            await asyncio.to_thread(browser.sign_in, start["login_url"], person.name)
            secrets["cookie"] = browser.cookies["access_token"]
            secrets["login"] = (await asked(hub.http(), "GET", "/public/services/hypha-login/check", params={"key": start["key"]})).json()
            assert await host.parse_token(secrets["child"])
            assert await accepted(hub, key)
        async with hub.wire() as wire:
            secrets["reconnection"] = (await wire.hello(token=person.token))["reconnection_token"]
        for bad in (person.token[:-4] + "AAAA", key[:-1] + "_"):
            assert (await asked(hub.http(bad), "GET", "/assets/config.json")).status_code == 401
        kept = b"".join(path.read_bytes() for path in server.data_dir.rglob("*") if path.is_file()) + server.log.encode()
        kept += json.dumps(server.command("audit", "list")).encode()
        assert person.id.encode() in kept, "the right place is looked at"
        for name, secret in secrets.items():
            # What signs a token makes it one; its head and claims alone open nothing.
            assert secret and secret.rsplit(".", 1)[-1].encode() not in kept, name


async def test_every_token_has_an_end_and_a_successor(hub):
    person = hub.person()
    async with hub.enter(person) as host:
        child = await host.generate_token({})
        for wanted in (0, -5, "soon"):
            with pytest.raises(Exception, match="expires_in"):
                await host.generate_token({"expires_in": wanted})
    async with hub.wire() as wire:
        back = (await wire.hello(token=child, client_id="stays"))["reconnection_token"]
        await wire.send(json.dumps({"type": "refresh_token"}))
        renewed = (await wire.text())["reconnection_token"]
    now = time.time()
    for name, token, longest_s in (("login", person.token, 3600), ("child", child, 3600), ("reconnection", back, 172_800), ("renewed", renewed, 172_800)):
        assert now < claims(token)["exp"] <= now + longest_s + 5, name
    assert claims(renewed)["exp"] >= claims(back)["exp"]
    async with hub.wire() as wire:
        assert (await wire.hello(reconnection_token=renewed, client_id="stays"))["type"] == "connection_info", "no new login"


async def test_too_many_requests_are_told_when_to_come_again(limited):
    person = limited.person()
    client = person.http
    answers = [await asked(client, "GET", f"/{person.workspace}/services/") for _ in range(7)]
    assert [answer.status_code for answer in answers] == [200] * 6 + [429]
    assert answers[-1].json() == {"detail": TOO_MUCH} and 0 < int(answers[-1].headers["Retry-After"]) <= 3600
    other = await asked(limited.http(), "GET", "/public/services/")
    assert other.status_code == 200, "somebody else's requests are theirs"


async def test_too_many_messages_close_the_connection(limited):
    person = limited.person()
    async with limited.wire() as wire:
        await wire.hello(token=person.token)
        with contextlib.suppress(Exception):
            for _ in range(200):
                await wire.send('{"type":"ping"}')
        assert await wire.closed() == (1008, TOO_MUCH)
    async with limited.wire() as wire:
        await wire.hello(token=person.token)
        for _ in range(30):
            await wire.send('{"type":"ping"}')
            assert (await wire.text())["type"] == "pong", "a burst within the limit"


async def test_too_many_wrong_passwords_are_slowed_down(hub):
    person, browser = hub.person(), Visitor(hub)
    page = f"{hub.url}/public/apps/hypha-login/"
    form = browser.open(page)
    seen = [browser.submit(page, form.text, username=person.name, password="not the password 1").status_code for _ in range(12)]
    assert seen[0] == 401 and seen[-1] == 429, seen
    assert browser.submit(page, form.text, username=person.name, password=native.PASSWORD).status_code == 200, "delay, no lock-out"
    refused = [await asked(hub_client, "GET", "/assets/config.json", token="junk") for hub_client in [hub.http()] for _ in range(12)]
    assert refused[0].status_code == 401 and refused[-1].status_code == 429
    assert refused[-1].json() == {"detail": TOO_MUCH} and int(refused[-1].headers["Retry-After"]) > 0


async def test_what_people_type_is_checked(limited):
    page = f"{limited.url}/public/apps/hypha-login/"
    good = {"username": native.new_name(), "password": native.PASSWORD, "act": "sign-up"}
    for name, bad in {
        "an address that is none": {"email": "not an address"},
        "a control character": {"username": "a\x00b"},
        "a line break in the address": {"email": "a@example.org\r\nBcc: b@example.org"},
        "a short password": {"password": "short"},
        "a long name": {"username": "a" * 10_000},
        "a megabyte": {"password": "x" * (1 << 20)},
    }.items():
        browser = Visitor(limited)
        form = browser.open(page)
        answer = browser.submit(page, form.text, **{**good, **bad})
        assert 400 <= answer.status_code < 500, (name, answer.status_code)
        assert "access_token" not in browser.cookies, name
    browser = Visitor(limited)
    assert browser.submit(page, browser.open(page).text, **good).status_code == 200, "the good ones are enough"


async def test_what_happened_is_in_the_audit_log(limited):
    name, browser, page = native.new_name(), Visitor(limited), f"{limited.url}/public/apps/hypha-login/"
    browser.submit(page, browser.open(page).text, username=name, password=native.PASSWORD, act="sign-up")
    other = Visitor(limited)
    other.submit(page, other.open(page).text, username=name, password="wrong password 1")
    token = browser.cookies["access_token"]
    async with limited.enter(token) as host:
        own = host.config.workspace
        await host.generate_token({})
        stranger = limited.person()
        assert (await asked(stranger.http, "GET", f"/{own}/info")).status_code == 403
    browser.sign_out(f"{page}?logout=true")
    wanted = {("user:sign_up", "done"), ("session:login", "done"), ("session:login", "denied"), ("workspace:token", "done"), ("workspace:read", "denied"), ("session:end", "done")}

    async def written():
        # Denials are written together, a moment later.
        return wanted <= {(line["action"], line["outcome"]) for line in limited.server.command("audit", "list")}

    await until(written, f"{wanted} in the audit log")


async def test_logging_out_of_all_devices_ends_sessions_tokens_and_sockets(hub):
    person, browser = hub.person(), Visitor(hub)
    page = f"{hub.url}/public/apps/hypha-login/"
    assert browser.sign_in(page, person.name).status_code == 200
    async with hub.enter(person) as host:
        child = await host.generate_token({})
    async with hub.wire() as one, hub.wire() as two:
        back = (await one.hello(token=person.token))["reconnection_token"]
        await two.hello(token=child)
        ended = await asked(Client(hub.server.url, person.token), "DELETE", "/v1/sessions")
        assert ended.status_code in (200, 204), ended.text
        for wire in (one, two):
            assert (await wire.closed(5))[0] == 1008
    for token in (person.token, child, back, browser.cookies["access_token"]):
        assert not await accepted(hub, token)
        assert (await asked(hub.http(token), "GET", "/assets/config.json")).status_code == 401
    assert "Sign out" not in browser.open(page).text, "the page asks to sign in again"
    again = native.Tokens.of(native.log_in(Client(hub.server.url), person.name)).access
    assert await accepted(hub, again), "whoever logs in again comes in"


async def test_tokens_and_revocations_outlive_a_restart(tmp_path_factory):
    data = tmp_path_factory.mktemp("restart-data") / "data"
    with started(tmp_path_factory, "first", data=data) as server:
        hub = Hub(server)
        person = hub.person()
        async with hub.enter(person) as host:
            kept, gone = await host.generate_token({}), await host.generate_token({})
            await host.revoke_token(gone)
        async with hub.wire() as wire:
            back = (await wire.hello(token=person.token, client_id="stays"))["reconnection_token"]
    with started(tmp_path_factory, "second", data=data) as server:
        hub = Hub(server)
        assert await accepted(hub, person.token) and await accepted(hub, kept) and not await accepted(hub, gone)
        async with hub.wire() as wire:
            said = await wire.hello(reconnection_token=back, client_id="stays")
            assert said["type"] == "connection_info" and said["workspace"] == person.workspace
        async with hub.wire() as wire:
            assert "revoked" in (await wire.hello(token=gone))["message"]


async def test_servers_that_share_a_secret_take_each_others_tokens(tmp_path_factory):
    with contextlib.ExitStack() as stack:
        start = lambda name, **environment: Hub(stack.enter_context(started(tmp_path_factory, name, **environment)))  # noqa: E731
        one, two = start("one", JWT_SECRET=SECRET), start("two", HYPHA_JWT_SECRET=SECRET, JWT_SECRET="another one " * 4)
        third, fourth = start("three", JWT_SECRET=SECRET[::-1]), start("four")
        async with one.enter(one.person()) as host:
            token = await host.generate_token({})
        assert await accepted(one, token) and await accepted(two, token)
        for stranger in (third, fourth):
            assert not await accepted(stranger, token)
            refused = await asked(stranger.http(token), "GET", "/assets/config.json")
            assert refused.status_code == 401 and refused.json()["detail"], refused.text
        for hub in (one, two, third, fourth):
            assert SECRET not in hub.server.log


async def test_origins_are_listed_in_the_environment_and_a_refusal_is_explained(tmp_path_factory):
    with started(tmp_path_factory, "origins", ALLOW_ORIGINS="https://app.example,https://b.example") as server:
        hub = Hub(server)
        for origin, listed in (("https://app.example", True), ("https://b.example", True), ("https://evil.example", False), ("http://app.example", False)):
            answer = await asked(hub.http(), "GET", "/assets/config.json", headers={"Origin": origin})
            assert (answer.headers.get("Access-Control-Allow-Origin") == origin) == listed, origin
        [line] = [line for line in server.log.splitlines() if "https://evil.example" in line]
        assert "WARN" in line and "cors_origins" in line and "hypha" in line


def counted(hub, code: str) -> float:
    text = requests.get(hub.server.ready["metrics"], timeout=10).text
    found = re.search(rf'^doorward_refusals_total{{(?=[^}}]*mount="hypha")(?=[^}}]*code="{code}")[^}}]*}} (\S+)$', text, re.MULTILINE)
    return float(found[1]) if found else 0


async def test_failures_are_counted_by_reason(limited):
    expired = limited.person()
    async with limited.enter(expired) as host:
        revoked = await host.generate_token({})
        await host.revoke_token(revoked)
    before = {code: counted(limited, code) for code in ("token_invalid", "token_revoked")}
    for token in ("junk", revoked):
        assert (await asked(limited.http(token), "GET", "/assets/config.json")).status_code == 401
    assert {code: counted(limited, code) - count for code, count in before.items()} == {"token_invalid": 1, "token_revoked": 1}


async def test_a_refusal_is_clear_and_tells_nothing_of_the_inside(hub, person):
    head = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    async with hub.enter(person) as host:
        revoked = await host.generate_token({})
        await host.revoke_token(revoked)
    for token in ("junk", f"{head}.e30.", person.token[:-4] + "AAAA", revoked, "dw_" + "a" * 40):
        text = (await asked(hub.http(token), "GET", "/assets/config.json")).json()
        assert set(text) == {"detail"} and 5 < len(text["detail"]) < 120
        async with hub.wire() as wire:
            said = (await wire.hello(token=token))["message"]
            assert said == f"Authentication error: {text['detail']}", "the same words on both ways"
        for inside in ("panicked", ".rs", "sql", "Error(", token, "/work", "crates"):
            assert inside not in text["detail"]
    async with hub.wire() as wire:
        await wire.hello(token=person.token)
        with pytest.raises(Refusal, match=r"^(?!.*\.rs).*Service not found"):
            await wire.ask_hub("get_service", "no-such-service")
