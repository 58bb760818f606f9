"""Workspaces, who may do what in them, and tokens for less: H-004, H-010, H-144, H-161."""

import contextlib
from uuid import uuid4

import jwt
import pytest
from hypha_rpc.rpc import RemoteException

from harness.hypha import Refusal, asked, until

DENIED = "Permission denied|do not have any permission|Only admin"


def fresh(prefix: str = "lab") -> str:
    return f"{prefix}-{uuid4().hex[:10]}"


async def made(server, **more) -> str:
    name = fresh()
    await server.create_workspace({"name": name, "id": name, "persistent": True, **more})
    return name


async def test_a_workspace_is_made_described_entered_and_deleted(hub, person):
    async with hub.enter(person) as server:
        name = fresh()
        told = await server.create_workspace({"name": name, "id": name, "description": "A place", "persistent": True})
        assert told["id"] == name and told["description"] == "A place" and told["owners"] == [person.id]
        assert (await server.get_workspace_info(name))["id"] == name
        assert name in {workspace["id"] for workspace in await server.list_workspaces()}
        async with hub.enter(person, workspace=name) as inside:
            assert inside.config.workspace == name
            await inside.register_service({"id": "here", "say": lambda: name})
            assert await (await inside.get_service("here")).say() == name
        with pytest.raises(Exception, match="already exists"):
            await server.create_workspace({"name": name, "id": name})
        await server.delete_workspace(name)
        assert name not in {workspace["id"] for workspace in await server.list_workspaces()}
    with pytest.raises(ConnectionAbortedError, match="does not exist"):
        await hub.enter(person, workspace=name).__aenter__()


async def test_what_is_no_workspaces_id_is_refused(hub, person):
    async with hub.enter(person) as server:
        for id in ["nohyphen", "Upper-case", "with space-x", "a/b-c", "a:b-c", "a*-b", "..-..", "ü-x", "", "x" * 300 + "-y", "a-b\nc", "a-b\0"]:
            with pytest.raises(RemoteException):
                await server.create_workspace({"name": id, "id": id})
        assert await server.echo(1) == 1


async def test_ids_that_mean_somebody_elses_are_refused(hub, person):
    other = hub.person()
    async with hub.enter(person) as server:
        for id in (f"ws-user-{uuid4().hex}", other.workspace, "ws-user-root", "ws-anonymous"):
            with pytest.raises(RemoteException):
                await server.create_workspace({"name": id, "id": id})
            with pytest.raises(RemoteException):
                await server.create_workspace({"name": id, "id": id, "owners": [person.id]}, overwrite=True)
    async with hub.enter(other) as server:
        assert server.config.workspace == other.workspace


async def test_a_visitor_makes_no_workspace(hub):
    async with hub.enter() as server:
        with pytest.raises(Exception, match="Only registered user can create workspace"):
            await made(server)


async def test_a_stranger_does_nothing_in_anothers_workspace(hub):
    owner, stranger = hub.person(), hub.person()
    async with hub.enter(owner) as server, hub.enter(stranger) as outside, hub.enter() as visitor:
        name = await made(server)
        for caller in (outside, visitor):
            for act in (
                lambda caller=caller: caller.generate_token({"workspace": name}),
                lambda caller=caller: caller.list_clients(name),
                lambda caller=caller: caller.delete_workspace(name),
                lambda caller=caller: caller.create_workspace({"name": name, "id": name}, overwrite=True),
                lambda caller=caller: caller.get_workspace_info(name),
            ):
                with pytest.raises(RemoteException):
                    await act()
            assert name not in {workspace["id"] for workspace in await caller.list_workspaces()}
            listed = await caller.list_services({"workspace": name})
            assert all(service["config"]["visibility"] == "public" for service in listed)
        assert name in {workspace["id"] for workspace in await server.list_workspaces()}
    for token in (stranger.token, None):
        with pytest.raises(ConnectionAbortedError, match="Permission denied"):
            await hub.enter(token, workspace=name).__aenter__()


async def test_a_token_for_reading_reads_and_no_more(hub, person):
    async with hub.enter(person) as server:
        await server.register_service({"id": "shown", "say": lambda: "seen"})
        token = await server.generate_token({"permission": "read", "expires_in": 600})
        async with contextlib.AsyncExitStack() as stack:
            reader = await hub.wired(stack, token)
            assert reader.info["workspace"] == person.workspace
            assert reader.info["user"]["scope"]["workspaces"][person.workspace] == "r"
            assert any(service["id"].endswith(":shown") for service in await reader.ask_hub("list_services"))
            record = {"id": f"{reader.id}:mine", "type": "generic", "config": {"visibility": "public"}}
            made_up = {"id": fresh(), "name": "x"}
            tries = {"register_service": [record], "generate_token": [], "create_workspace": [made_up, True], "delete_workspace": [person.workspace], "revoke_token": [person.token]}
            for method, args in tries.items():
                with pytest.raises(Refusal):
                    await reader.ask_hub(method, *args)
        answer = await asked(hub.http(token), "GET", f"/{person.workspace}/services/shown/say")
        assert answer.json() == "seen"


async def test_a_token_for_writing_serves_and_makes_no_tokens(hub, person):
    async with hub.enter(person) as server:
        token = await server.generate_token({"permission": "read_write"})
        async with hub.enter(token) as writer:
            assert writer.config.workspace == person.workspace
            await writer.register_service({"id": "written", "say": lambda: 1})
            assert await (await server.get_service("written")).say() == 1
            with pytest.raises(Exception, match=DENIED):
                await writer.generate_token()
            with pytest.raises(RemoteException):
                await writer.revoke_token(person.token)
        default = await server.generate_token()
        assert jwt.decode(default, options={"verify_signature": False})["scope"].split()
        async with hub.enter(default) as writer:
            assert writer.config.user["scope"]["workspaces"][person.workspace] == "rw"


async def test_a_token_for_administration_makes_tokens_for_that_workspace_alone(hub, person):
    async with hub.enter(person) as server:
        name = await made(server)
        token = await server.generate_token({"workspace": name, "permission": "admin"})
        async with hub.enter(token) as admin:
            assert admin.config.workspace == name and admin.config.user["parent"] == person.id
            child = await admin.generate_token({"permission": "read"})
            async with contextlib.AsyncExitStack() as stack:
                wire = await hub.wired(stack, child)
                assert wire.info["workspace"] == name and wire.info["user"]["parent"] == person.id
            with pytest.raises(Exception, match=DENIED):
                await admin.generate_token({"workspace": person.workspace})
    with pytest.raises(ConnectionAbortedError):
        await hub.enter(token, workspace=person.workspace).__aenter__()


async def test_a_token_lives_as_long_as_was_asked(hub, person):
    async with hub.enter(person) as server:
        for given, life_s in (({}, 3600), ({"expires_in": 120}, 120)):
            claims = jwt.decode(await server.generate_token(given), options={"verify_signature": False})
            assert abs(claims["exp"] - claims["iat"] - life_s) <= 1
        for odd in (-1, "soon", 10**12):
            with contextlib.suppress(Exception):
                token = await server.generate_token({"expires_in": odd})
                claims = jwt.decode(token, options={"verify_signature": False})
                assert claims["exp"] - claims["iat"] <= 366 * 86400 * 10, "nothing is for ever"


async def test_what_a_token_may_is_told_to_its_workspace(hub, person):
    async with hub.enter(person) as server:
        token = await server.generate_token({"permission": "read", "client_id": "named"})
        told = await server.parse_token(token)
        assert told["scope"]["workspaces"][person.workspace] == "r" and told["scope"]["client_id"] == "named"
        assert told["scope"]["current_workspace"] == person.workspace and told["parent"] == person.id and told["id"] != person.id
        for junk in ("junk", "a.b.c", ""):
            with pytest.raises(RemoteException):
                await server.parse_token(junk)
        async with hub.enter(hub.person()) as outside:
            with pytest.raises(RemoteException):
                await outside.parse_token(token)


async def test_a_revoked_token_is_refused_on_socket_and_http(hub, person):
    async with hub.enter(person) as server:
        token, other = await server.generate_token(), await server.generate_token()
        assert (await asked(hub.http(token), "GET", f"/{person.workspace}/services/")).status_code == 200
        await server.revoke_token(token)

        async def refused():
            async with hub.wire() as wire:
                answer = await wire.hello(token=token)
                return answer if answer["type"] == "error" else None

        answer = await until(refused, "the revocation")
        assert "revoked" in answer["message"]
        assert (await asked(hub.http(token), "GET", f"/{person.workspace}/services/")).status_code == 401
        async with hub.enter(other) as still:
            assert still.config.workspace == person.workspace
    async with hub.enter(person) as server:
        assert await server.echo(1) == 1


async def test_what_the_hub_cannot_end_is_not_said_to_be_ended(hub, person):
    async with hub.enter(person) as server:
        with pytest.raises(RemoteException, match="ended where it was made"):
            await server.revoke_token(person.token)
        assert (await asked(hub.http(person.token), "GET", f"/{person.workspace}/services/")).status_code == 200
        await server.revoke_token("nobody's at all")


async def test_what_was_made_by_a_revoked_token_goes_with_it(hub, person):
    async with hub.enter(person) as server:
        parent = await server.generate_token({"permission": "admin"})
        async with hub.enter(parent) as admin:
            child = await admin.generate_token()
        await server.revoke_token(parent)
        async with hub.wire() as wire:
            assert (await wire.hello(token=child))["type"] == "error"


async def test_two_people_share_a_workspace_by_a_token(hub):
    owner, member = hub.person(), hub.person()
    async with hub.enter(owner) as server:
        name = await made(server)
        invitation = await server.generate_token({"workspace": name, "permission": "read_write"})
        async with hub.enter(owner, workspace=name) as host, hub.enter(invitation) as guest:
            await host.register_service({"id": "greeting", "say": lambda who: f"hello {who}"})
            assert await (await guest.get_service("greeting")).say("member") == "hello member"
            await guest.register_service({"id": "answer", "say": lambda: "from the member"})
            assert await (await host.get_service("answer")).say() == "from the member"
            assert len(await host.list_clients()) >= 2
    with pytest.raises(ConnectionAbortedError):
        await hub.enter(member, workspace=name).__aenter__()


async def test_an_administrator_reaches_every_workspace(hub, person):
    boss = hub.person(roles=("admin",))
    async with hub.enter(person) as server:
        name = await made(server)
        async with hub.enter(boss, workspace=name) as inside:
            assert inside.config.workspace == name and inside.config.user["scope"]["workspaces"]["*"] == "a"


async def test_nobody_registers_under_anothers_workspace_or_client(hub, person):
    other = hub.person()
    async with contextlib.AsyncExitStack() as stack:
        wire, neighbour = await hub.wired(stack, person), await hub.wired(stack, person)
        for id in (f"{other.workspace}/{wire.id}:stolen", "public/x:hypha-login", f"ws-user-root/{wire.id}:admin-utils"):
            with pytest.raises(Refusal):
                await wire.ask_hub("register_service", {"id": id, "type": "generic", "config": {"visibility": "public"}})
        with contextlib.suppress(Refusal):
            await wire.ask_hub("register_service", {"id": f"{neighbour.id}:planted", "type": "generic", "config": {"visibility": "public"}})
        listed = {service["id"] for service in await neighbour.ask_hub("list_services")}
        assert not any(id.endswith(":planted") for id in listed), "a client registers for itself alone"
        with pytest.raises(Refusal):
            await wire.ask_hub("unregister_service", "public/hypha-login")
    async with hub.enter() as visitor:
        assert (await visitor.get_service("public/hypha-login"))["start"]


async def test_a_strangers_question_does_not_end_a_workspace_that_waits_for_its_first_client(hub):
    owner, stranger = hub.person(), hub.person()
    async with hub.enter(owner) as server, hub.enter(stranger) as outside:
        name = await made(server, persistent=False)
        with pytest.raises(RemoteException):
            await outside.get_workspace_info(name)
        assert (await asked(stranger.http, "GET", f"/{name}/services/")).status_code < 500
        with pytest.raises(ConnectionAbortedError):
            await hub.enter(stranger, workspace=name).__aenter__()
        async with hub.enter(owner, workspace=name) as inside:
            assert inside.config.workspace == name
        with pytest.raises(ConnectionAbortedError):
            await hub.enter(owner, workspace=name).__aenter__()
