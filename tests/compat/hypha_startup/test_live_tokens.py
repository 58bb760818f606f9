"""Tokens that a start-up file makes and reads, and many callers at once, in a running server (H-046, H-047, H-064, H-065, H-081, H-082, H-105, H-109, H-110)."""

import asyncio
import contextlib

import pytest
from hypha_rpc import connect_to_server, login
from startup import block

from harness.hypha import Refusal, Visitor, asked, until

SERVICE = "/public/services/hypha-login"


async def by_default_page(hub, person) -> str:
    """Logs in by Doorward's own page."""

    async def callback(context):
        answer = await asyncio.to_thread(Visitor(hub).sign_in, context["login_url"], person.name)
        assert answer.status_code == 200, answer.text

    return await asyncio.wait_for(login({"server_url": hub.url, "login_callback": callback, "login_timeout": 30}), 40)


async def test_custom_auths_tokens_log_in_make_children_and_come_back(live):
    hub = live({"custom_auth.py": block("# custom_auth.py")})
    person = hub.person()
    token = await by_default_page(hub, person)
    assert len(token) == 43 and "." not in token, "the file's own text"
    async with connect_to_server({"server_url": hub.url, "token": token}) as server:
        assert server.config.user["id"] == person.id
        child = await server.generate_token({"expires_in": 600})
        assert len(child) == 43 and child != token
    async with connect_to_server({"server_url": hub.url, "token": child}) as server:
        assert server.config.user["parent"] == person.id and server.config.workspace == person.workspace
    async with contextlib.AsyncExitStack() as stack:
        wire = await hub.wired(stack, token, client_id="mine")
        again = wire.info["reconnection_token"]
        assert len(again) == 43
        back = await hub.wired(stack, None, client_id="mine", workspace=person.workspace, reconnection_token=again)
        assert back.info["user"]["id"] == person.id and back.info["workspace"] == person.workspace
        async with hub.wire() as other:
            refused = await other.hello(client_id="another", reconnection_token=again)
            assert refused["type"] == "error", "it is for its client alone"
    assert (await asked(hub.http(token), "GET", f"/{person.workspace}/services/")).status_code == 200


async def test_a_token_of_the_pair_lives_as_long_as_it_says(live):
    text = block("# custom_auth.py").replace("time.time() + expires_in", "time.time() - 1")
    hub = live({"custom_auth.py": text})
    with pytest.raises(Exception, match="Token expired"):
        token = await by_default_page(hub, hub.person())
        await connect_to_server({"server_url": hub.url, "token": token})


async def test_tokens_made_by_files_are_doorwards_and_round_trip(live):
    text = """
        from hypha.core import UserInfo, UserPermission
        from hypha.core.auth import _generate_presigned_token, _parse_token, create_scope
        async def make(name):
            scope = create_scope({f"ws-user-{name}": UserPermission.admin}, current_workspace=f"ws-user-{name}")
            return _generate_presigned_token(UserInfo(id=name, email=f"{name}@example.com", roles=["user"], scope=scope), 600)
        async def read(token):
            return _parse_token(f"Bearer {token}").model_dump(mode="json")
        async def hypha_startup(server):
            await server.register_auth_service(make=make, read=read)
    """
    hub = live({"my_auth.py": text})
    token = (await asked(hub.http(), "POST", f"{SERVICE}/make", json={"name": "ann"})).json()
    user = (await asked(hub.http(), "POST", f"{SERVICE}/read", json={"token": token})).json()
    assert (user["id"], user["email"], user["scope"]["workspaces"]["ws-user-ann"]) == ("ann", "ann@example.com", "a")
    async with connect_to_server({"server_url": hub.url, "token": token}) as server:
        assert server.config.user["id"] == "ann" and server.config.workspace == "ws-user-ann"
    bad = await asked(hub.http(), "POST", f"{SERVICE}/read", json={"token": token[:-4] + "AAAA"})
    assert bad.status_code >= 400


async def test_hundreds_of_logins_at_once_through_the_sample(live):
    shortuuid = {"shortuuid.py": "import uuid as ids\n\ndef uuid():\n    return ids.uuid4().hex\n"}
    hub = live({**shortuuid, "local_auth_example.py": block("# local_auth_example.py")}, "local_auth_example.py:hypha_startup")
    waiting = [asyncio.ensure_future(hold(hub)) for _ in range(20)]

    async def one(number: int) -> str:
        http, ann = hub.http(), {"email": f"p{number}@example.com", "password": "p"}
        made = (await asked(http, "POST", f"{SERVICE}/signup", json={**ann, "name": "P"})).json()
        said = (await asked(http, "POST", f"{SERVICE}/login", json=ann)).json()
        assert said["user_id"] == made["user_id"], said
        own = await asked(hub.http(said["token"]), "GET", f"/ws-user-{made['user_id']}/services/")
        assert own.status_code == 200, own.text
        return made["user_id"]

    slots = asyncio.Semaphore(16)

    async def in_turn(number: int) -> str:
        async with slots:
            return await one(number)

    ids = await asyncio.gather(*(in_turn(number) for number in range(200)))
    assert len(set(ids)) == 200 and not any(one.done() for one in waiting)
    for one in waiting:
        one.cancel()


async def hold(hub) -> None:
    """A program that waits for a login that nobody completes."""
    async with hub.wire() as wire:
        await wire.hello()
        service = await wire.ask_hub("get_service", "public/hypha-login")
        start, check = service["start"], service["check"]
        begun = await wire.call(start["_rtarget"], start["_rmethod"])
        await wire.call(check["_rtarget"], check["_rmethod"], begun["key"], kwargs={"timeout": 60, "profile": False})


async def test_one_address_takes_no_more_than_its_share_of_the_login_service(live):
    text = """
        import asyncio
        async def slow():
            await asyncio.sleep(60)
        async def quick():
            return "here"
        async def hypha_startup(server):
            await server.register_auth_service(slow=slow, quick=quick)
    """
    hub = live({"my_auth.py": text})
    async with contextlib.AsyncExitStack() as stack:
        many, other = await hub.wired(stack, hub.person()), await hub.wired(stack, hub.person())
        service = await many.ask_hub("get_service", "public/hypha-login")
        slow, quick = service["slow"], service["quick"]
        for _ in range(300):
            await many.start(slow["_rtarget"], slow["_rmethod"])

        async def refused() -> bool:
            # `dev` may load a file anew that was written a moment ago, and its calls under way are over then.
            for _ in range(20):
                await many.start(slow["_rtarget"], slow["_rmethod"])
            try:
                await many.call(quick["_rtarget"], quick["_rmethod"])
            except Refusal as why:
                return "too many calls of the login service are under way from here" in str(why)
            return False

        await until(refused, "all of them are under way")
        assert await other.call(quick["_rtarget"], quick["_rmethod"]) == "here", "another address has its own"
