"""Where tokens are looked for, as configuration: H-049, H-059, H-060, H-117, H-132, H-139, H-140."""

import asyncio
import base64
import json
import subprocess

import pytest
from hypha_rpc import connect_to_server

from harness.client import Client
from harness.doorward import Doorward, run_command
from harness.hypha import Hub, asked

PLACES = [
    "header:CF-Authorization", "authorization", "header:X-API-Key", "header:api-key", "header:x-auth-token",
    "cookie:auth_token", "cookie:CF_Authorization", "query:token", "query:access_token",
]  # fmt: skip
CONFIG = f"""
[mounts.hypha]
token_sources = {json.dumps(PLACES)}
[mounts.usual]
surface = "hypha"
[mounts.second]
surface = "native"
prefix = "/second"
token_sources = ["header:x-auth-token", "cookie:app_token"]
"""
#: One header for each header among the places, and one for each cookie.
HEADERS = {
    "CF-Authorization": "{}", "cf-authorization": "Bearer {}", "Authorization": "Bearer {}", "AUTHORIZATION": "{}",
    "X-API-Key": "{}", "Api-Key": "{}", "x-AUTH-token": "{}",
}  # fmt: skip
COOKIES = ["auth_token={}", "CF_Authorization={}", "first=1; auth_token={}; last=2"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    config = tmp_path_factory.mktemp("sources-config") / "doorward.toml"
    config.write_text(CONFIG)
    with Doorward("dev", "--listen", "127.0.0.1:0", "--config", config, home=tmp_path_factory.mktemp("sources")) as running:
        yield running


@pytest.fixture(scope="module")
def hub(server):
    return Hub(server)


@pytest.fixture(scope="module")
def usual(server):
    """A mount whose operator listed nothing."""
    return Hub(server, "usual")


def told(context=None, **kwargs) -> dict:
    user = context["user"]
    return {"id": user["id"], "anonymous": user["is_anonymous"], "kwargs": kwargs}


class Serving:
    """`my-service` of the document, and its address."""

    def __init__(self, hub: Hub) -> None:
        self.hub, self.owner = hub, hub.person()
        self.path = f"/{self.owner.workspace}/services/my-service/method"

    async def __aenter__(self) -> "Serving":
        self._entered = self.hub.enter(self.owner, client_id="host")
        self.host = await self._entered.__aenter__()
        await self.host.register_service({"id": "my-service", "config": {"visibility": "public", "require_context": True}, "method": told})
        return self

    async def __aexit__(self, *end) -> None:
        await self._entered.__aexit__(*end)

    async def who(self, method: str = "POST", **options):
        """Whom the service is told; nobody in particular is None."""
        answer = await asked(self.hub.http(), method, self.path, **options)
        assert answer.status_code == 200, answer.text
        return None if answer.json()["anonymous"] else answer.json()["id"]

    async def status(self, method: str = "POST", **options) -> int:
        return (await asked(self.hub.http(), method, self.path, **options)).status_code


async def curl(*arguments: str) -> dict:
    done = await asyncio.to_thread(subprocess.run, ["curl", "-sS", *arguments], capture_output=True, text=True, timeout=30, check=True)
    return json.loads(done.stdout)


async def test_a_token_is_taken_from_every_place_that_is_listed(hub):
    caller = hub.person()
    async with Serving(hub) as serving:
        for name, value in HEADERS.items():
            assert await serving.who(headers={name: value.format(caller.token)}) == caller.id, name
        for cookie in COOKIES:
            assert await serving.who(headers={"Cookie": cookie.format(caller.token)}) == caller.id, cookie
        for name in ("token", "access_token"):
            assert await serving.who("GET", params={"a": 1, name: caller.token}) == caller.id, name


async def test_api_keys_of_doorward_are_taken_from_every_place(hub):
    """Hashed, with scopes and an end, and no code: H-117."""
    caller = hub.person()
    made = hub.server.command("key", "create", "--user", caller.name, "--name", "job", "--scope", "hub_service:*", "--scope", "workspace:*", "--expires", "1h")
    key = made["key"]
    async with Serving(hub) as serving:
        for name, value in HEADERS.items():
            assert await serving.who(headers={name: value.format(key)}) == caller.id, name
        for cookie in COOKIES:
            assert await serving.who(headers={"Cookie": cookie.format(key)}) == caller.id, cookie
        assert await serving.who("GET", params={"token": key}) == caller.id
        revoked = await asked(Client(hub.server.url, caller.token), "DELETE", f"/v1/api-keys/{made['id']}")
        assert revoked.status_code in (200, 204), revoked.text
        assert await serving.status(headers={"X-API-Key": key}) == 401
    kept = b"".join(path.read_bytes() for path in hub.server.data_dir.rglob("*") if path.is_file())
    assert key.encode() not in kept and key not in hub.server.log


async def test_curl_shows_headers_and_cookies_as_the_document_writes_them(hub, usual):
    caller = hub.person()
    for served, taken in ((hub, True), (usual, False)):
        async with Serving(served) as serving:
            start = ["-X", "POST", f"{served.url}{serving.path}", "-H", "Content-Type: application/json"]
            for shown in (["-H", "X-API-Key: {}"], ["-H", "CF-Authorization: {}"], ["-b", "auth_token={}"], ["-b", "CF_Authorization={}"]):
                said = await curl(*start, *[part.format(caller.token) for part in shown], "-d", '{"param": "value"}')
                assert said["kwargs"] == {"param": "value"}
                assert (said["id"] == caller.id) == taken and said["anonymous"] != taken, (shown[1], "without the setting they say nothing")


async def test_the_declared_order_decides_whatever_the_order_on_the_wire(hub):
    first, second = hub.person(), hub.person()
    ranked = ["CF-Authorization: {}", "Authorization: Bearer {}", "X-API-Key: {}", "api-key: {}", "x-auth-token: {}", "Cookie: auth_token={}"]
    async with Serving(hub) as serving:
        for before, after in zip(ranked, ranked[1:], strict=False):
            pair = [before.format(first.token), after.format(second.token)]
            for lines in (pair, pair[::-1]):
                said = await curl(f"{hub.url}{serving.path}", *[part for line in lines for part in ("-H", line)])
                assert said["id"] == first.id, (before, after)
        assert await serving.who("GET", headers={"Cookie": f"CF_Authorization={second.token}; auth_token={first.token}"}) == first.id
        assert await serving.who("GET", headers={"Cookie": f"CF_Authorization={first.token}"}, params={"token": second.token}) == first.id


async def test_what_is_bad_in_one_place_is_not_looked_for_in_the_next(hub):
    caller = hub.person()
    async with Serving(hub) as serving:
        good = {"Authorization": f"Bearer {caller.token}"}
        for bad in ({"CF-Authorization": "junk"}, {"CF-Authorization": ""}, {"CF-Authorization": "a=b=="}, {"CF-Authorization": caller.token[:-4] + "AAAA"}):
            assert await serving.status(headers={**bad, **good}) == 401, bad
        assert await serving.status(headers={"Cookie": "auth_token=junk"}, params={"token": caller.token}) == 401


async def test_one_place_has_one_value(hub):
    caller = hub.person()
    async with Serving(hub) as serving:
        url, token = f"{hub.url}{serving.path}", caller.token
        for shown in (
            ["-H", f"X-API-Key: {token}", "-H", f"x-api-key: {token}"],
            ["-b", f"auth_token={token}; auth_token={token}"],
            ["-H", f"CF-Authorization: {token}", "-H", "api-key: a", "-H", "api-key: b"],
            [f"{url}?token={token}&token={token}"],
            [f"{url}?token={token}&%74oken=other"],
        ):
            url_of = [] if shown[0].startswith("http") else [url]
            said = await curl("-o", "/dev/null", "-w", "%{http_code}", *url_of, *shown)
            assert said == 400, shown


async def test_authorization_is_taken_raw_and_as_a_password(usual):
    """The real package's other two forms, where nothing is listed."""
    caller = usual.person()
    basic = base64.b64encode(f"anybody:{caller.token}".encode()).decode()
    async with Serving(usual) as serving:
        for value in (caller.token, f"Basic {basic}", f"bearer {caller.token}"):
            assert await serving.who(headers={"Authorization": value}) == caller.id, value[:8]
        for value in ("Basic !", "Basic " + base64.b64encode(b"anybody:junk").decode(), "Digest junk", "junk", "Bearer", "Bearer a b"):
            assert await serving.status(headers={"Authorization": value}) == 401, value


async def test_a_socket_takes_a_token_of_its_address_where_that_is_listed(hub, usual):
    caller = hub.person()
    for name in ("token", "access_token"):
        async with hub.wire(f"/ws?{name}={caller.token}") as wire:
            said = await wire.hello()
            assert said["type"] == "connection_info" and said["user"]["id"] == caller.id, said
    async with usual.wire(f"/ws?token={caller.token}") as wire:
        assert (await wire.closed())[0] == 1008, "as the real server has it"
    async with hub.wire(f"/ws?token={caller.token}&workspace=x") as wire:
        assert (await wire.closed())[0] == 1008, "what no place is still is of the past"
    for query in ("token=junk", "token=a&token=b"):
        async with hub.wire(f"/ws?{query}") as wire:
            said = await wire.hello()
            assert said["type"] == "error" and said["message"].startswith("Authentication error: "), said
            assert (await wire.closed())[0] == 1008


async def test_the_first_message_of_a_socket_decides_before_its_handshake(hub):
    first, second = hub.person(), hub.person()
    async with hub.wire(f"/ws?token={second.token}") as wire:
        assert (await wire.hello(token=first.token))["user"]["id"] == first.id
    async with hub.wire("/ws", additional_headers={"X-API-Key": second.token}) as wire:
        assert (await wire.hello())["user"]["id"] == second.id
    async with connect_to_server({"server_url": hub.url, "token": first.token}) as server:
        assert server.config.user["id"] == first.id


async def test_a_cookie_says_nothing_for_the_page_of_another_site(hub):
    caller = hub.person()
    cookie = {"Cookie": f"auth_token={caller.token}"}
    own = hub.server.url
    async with Serving(hub) as serving:
        for page, status in (
            ({"Origin": "https://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Origin": own, "Sec-Fetch-Site": "cross-site"}, 403),
            ({"Origin": own}, 200),
            ({"Origin": "http://localhost:3000"}, 200),
            ({}, 200),
        ):
            assert await serving.status(headers={**cookie, **page}) == status, page
        shown = {"X-API-Key": caller.token, "Origin": "https://evil.example"}
        assert await serving.status(headers=shown) == 200, "no browser sends that by itself"
    for origin, good in (("https://evil.example", False), (own, True)):
        async with hub.wire("/ws", additional_headers=cookie, origin=origin) as wire:
            said = await wire.hello()
            assert (said["type"] == "connection_info") == good, said
            assert good or (await wire.closed())[0] == 1008


async def test_a_token_goes_no_further_than_the_server(hub):
    caller, seen = hub.person(), []

    async def echo(event):
        seen.append(event)
        return {"status": 200, "body": "ok"}

    async with Serving(hub) as serving:
        said = (await asked(hub.http(), "GET", serving.path, params={"a": 1, "token": caller.token, "access_token": ""})).json()
        assert (said["id"], said["kwargs"]) == (caller.id, {"a": 1}), "it is nobody's argument"
        await serving.host.register_service({"id": "site", "type": "functions", "config": {"visibility": "public"}, "echo": echo})
        path = f"/{serving.owner.workspace}/apps/site/echo"
        for options in ({"params": {"b": "2", "token": caller.token}}, *({"headers": {name: caller.token}} for name in ("CF-Authorization", "X-Auth-Token", "api-key"))):
            assert (await asked(hub.http(), "GET", path, **options)).status_code == 200
            assert seen[-1]["user"]["id"] == caller.id
        moved = await asked(hub.http(), "GET", f"/{serving.owner.workspace}/services", params={"token": caller.token})
        assert moved.status_code == 307 and caller.token not in moved.headers["Location"] and moved.headers["Referrer-Policy"] == "no-referrer"
        missing = await asked(hub.http(), "GET", f"{serving.path}/nowhere", params={"token": caller.token})
        assert missing.status_code == 404 and caller.token not in missing.text
    assert caller.token not in repr(seen)
    assert caller.token not in hub.server.log and caller.token.split(".")[2] not in hub.server.log


async def test_every_surface_has_places(server, hub):
    """The same setting of another mount."""
    caller, second = hub.person(), Hub(server, "second")
    for headers, status in (
        ({"X-Auth-Token": caller.token}, 200),
        ({"Cookie": f"app_token={caller.token}"}, 200),
        ({"Authorization": f"Bearer {caller.token}"}, 401),
        ({"X-API-Key": caller.token}, 401),
    ):
        answer = await asked(second.http(), "GET", "/v1/threads", headers=headers)
        assert answer.status_code == status, (list(headers), answer.text)


async def test_people_sign_in_at_the_page_whatever_places_there_are(hub):
    """Its cookie is its own: one that has ended makes nobody of its sender, and locks nobody out."""
    for cookie in ("access_token=junk", "auth_token=junk", "access_token=a; access_token=b"):
        page = await asked(hub.http(), "GET", "/public/apps/hypha-login/", headers={"Cookie": cookie})
        assert page.status_code == 200 and "<form" in page.text, cookie
        assert (await asked(hub.http(), "GET", "/health", headers={"Cookie": cookie})).status_code == 200


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('["bearer"]', "header:NAME"),
        ('["header:"]', "header:NAME"),
        ('["header:cookie"]', "authorization for that header"),
        ('["header:Host"]', "host"),
        ('["header:x-forwarded-for"]', "x-forwarded-for"),
        ('["cookie:a b"]', "cookie:NAME"),
        ('["cookie:__Host-doorward-session"]', "own"),
        ('["header:X-API-Key", "header:x-api-key"]', "listed twice"),
        ('"authorization"', "a list"),
    ],
)
def test_what_names_no_place_is_told_before_the_start(tmp_path, written, said):
    config = tmp_path / "doorward.toml"
    config.write_text(f"[mounts.hypha]\ntoken_sources = {written}\n")
    done = run_command("config", "check", "--config", config, cwd=tmp_path)
    assert done.returncode != 0
    shown = done.stdout + done.stderr
    assert "mounts.hypha.token_sources" in shown and said in shown and "doorward.toml" in shown, shown
