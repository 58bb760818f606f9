"""Workspaces that several people own or may be in: H-161."""

import asyncio
import contextlib
from uuid import uuid4

import pytest
from hypha_rpc.rpc import RemoteException

from harness.hypha import Refusal, asked, until

DENIED = "Permission denied"


def fresh(prefix: str = "team") -> str:
    return f"{prefix}-{uuid4().hex[:10]}"


async def shared(server, *, id: str | None = None, **who) -> str:
    id = id or fresh()
    await server.create_workspace({"id": id, "name": id, "persistent": True, **who}, overwrite=True)
    return id


async def refused(hub, who, workspace: str) -> None:
    with pytest.raises(ConnectionAbortedError, match=DENIED):
        await hub.enter(who, workspace=workspace).__aenter__()


async def test_an_owner_that_was_added_does_what_owners_do(hub):
    owner, second = hub.person(), hub.person()
    async with hub.enter(owner) as server:
        name = await shared(server, owners=[second.id])
        told = await server.get_workspace_info(name)
        assert told["owners"] == [owner.id, second.id] and told["members"] == {}
    async with hub.enter(second) as server:
        assert name in {workspace["id"] for workspace in await server.list_workspaces()}
        token = await server.generate_token({"workspace": name, "permission": "admin"})
        async with hub.enter(second, workspace=name) as inside, hub.enter(token) as child:
            assert inside.config.user["scope"]["workspaces"][name] == "a" == child.config.user["scope"]["workspaces"][name]
            await inside.register_service({"id": "here", "say": lambda: "hello"})
            assert await (await child.get_service("here")).say() == "hello"
            await inside.set_env("KEY", "value")
            artifacts = await inside.get_service("public/artifact-manager")
            assert (await artifacts.create(alias="kept", manifest={"n": 1}))["id"] == f"{name}/kept"
        assert (await asked(second.http, "GET", f"/{name}/info")).status_code == 200
    async with hub.enter(owner, workspace=name) as server:
        assert await server.get_env("KEY") == "value"


async def test_members_reach_as_far_as_their_permission(hub):
    owner, reader, writer, stranger = (hub.person() for _ in range(4))
    async with hub.enter(owner) as server:
        name = await shared(server, members={reader.id: "r", writer.id: "read_write"})
        assert (await server.get_workspace_info(name))["members"] == {reader.id: "r", writer.id: "rw"}
        async with hub.enter(owner, workspace=name) as host:
            await host.register_service({"id": "greeting", "say": lambda: "hello"})
            async with hub.enter(reader, workspace=name) as reads, hub.enter(writer, workspace=name) as writes, contextlib.AsyncExitStack() as stack:
                assert await (await reads.get_service("greeting")).say() == "hello"
                assert await (await writes.get_service("greeting")).say() == "hello"
                await writes.register_service({"id": "second", "say": lambda: 2})
                wire = await hub.wired(stack, reader, workspace=name)
                assert wire.info["user"]["scope"]["workspaces"][name] == "r"
                for method, args in {
                    "register_service": [{"id": f"{wire.id}:mine", "type": "generic", "config": {}}],
                    "generate_token": [{"workspace": name}],
                    "set_env": ["A", "b"],
                    "get_env": [],
                    "delete_workspace": [name],
                    "create_workspace": [{"id": name, "name": name, "owners": [reader.id]}, True],
                    "log_event": ["seen"],
                }.items():
                    with pytest.raises(Refusal, match=r"Permission|permission|Only admin"):
                        await wire.ask_hub(method, *args)
                for act in (writes.generate_token({"workspace": name}), writes.get_env(), writes.delete_workspace(name), writes.create_workspace({"id": name, "name": name, "persistent": True}, overwrite=True)):
                    with pytest.raises(RemoteException, match=r"Permission|Only admin"):
                        await act
    for who in (stranger, None):
        await refused(hub, who, name)


async def test_who_is_removed_is_out_at_once_with_what_was_made(hub):
    owner, member = hub.person(), hub.person()
    async with hub.enter(owner) as server, contextlib.AsyncExitStack() as stack:
        name = await shared(server, owners=[member.id])
        async with hub.enter(member) as home:
            token = await home.generate_token({"workspace": name, "permission": "admin", "expires_in": 3600})
            own = await home.generate_token({"expires_in": 3600})
            inside, child = await hub.wired(stack, member, workspace=name), await hub.wired(stack, token)
            back = inside.info["reconnection_token"], child.info["reconnection_token"]
            grandchild = await child.ask_hub("generate_token", {"permission": "admin"})
            await shared(server, id=name)
            for wire in (inside, child):
                assert (await wire.closed())[0] in (1000, 1001, 1006, 1008)
            assert (await server.get_workspace_info(name))["owners"] == [owner.id]
            await refused(hub, member, name)
            for given in ({"token": token}, {"token": grandchild}, {"reconnection_token": back[0], "client_id": inside.id}, {"reconnection_token": back[1], "client_id": child.id}):
                async with hub.wire() as wire:
                    assert (await wire.hello(**given))["type"] == "error", given
            assert (await asked(hub.http(token), "GET", f"/{name}/services/")).status_code == 401
            assert (await asked(hub.http(grandchild), "GET", f"/{name}/services/")).status_code == 401
            with pytest.raises(RemoteException, match=DENIED):
                await home.get_workspace_info(name)
            assert name not in {workspace["id"] for workspace in await home.list_workspaces()}
            # What is the member's own is none the worse for it.
            assert await home.echo(1) == 1
            assert (await asked(hub.http(own), "GET", f"/{member.workspace}/services/")).status_code == 200
        # Taken in again, one is in again; what was revoked stays so.
        await shared(server, id=name, owners=[member.id])
        async with hub.enter(member, workspace=name) as again:
            assert again.config.workspace == name
        assert (await asked(hub.http(token), "GET", f"/{name}/services/")).status_code == 401


async def test_whoever_stays_a_member_stays_connected(hub):
    owner, stays, goes = hub.person(), hub.person(), hub.person()
    async with hub.enter(owner) as server, contextlib.AsyncExitStack() as stack:
        name = await shared(server, members={stays.id: "rw", goes.id: "rw"})
        remaining, leaving = await hub.wired(stack, stays, workspace=name), await hub.wired(stack, goes, workspace=name)
        await shared(server, id=name, members={stays.id: "rw"})
        await leaving.closed()
        await remaining.alive()


async def test_a_member_comes_back_with_what_it_was_given(hub):
    owner, member = hub.person(), hub.person()
    async with hub.enter(owner) as server, contextlib.AsyncExitStack() as stack:
        name = await shared(server, members={member.id: "rw"})
        wire = await hub.wired(stack, member, workspace=name)
        back, id = wire.info["reconnection_token"], wire.id
        wire.socket.transport.abort()
        again = await stack.enter_async_context(hub.wire())
        answer = await again.hello(reconnection_token=back, client_id=id, workspace=name)
        assert answer["type"] == "connection_info" and answer["workspace"] == name


async def test_a_co_owner_shares_on_and_the_first_owner_stays(hub):
    owner, second, third = (hub.person() for _ in range(3))
    async with hub.enter(owner) as server, hub.enter(second) as other:
        name = await shared(server, owners=[second.id])
        await shared(other, id=name, owners=[third.id], description="taken over")
        told = await server.get_workspace_info(name)
        assert told["owners"] == [owner.id, third.id] and told["description"] == "taken over"
        with pytest.raises(RemoteException, match=DENIED):
            await shared(other, id=name, owners=[second.id])
    async with hub.enter(third) as last:
        await last.delete_workspace(name)


async def test_a_token_for_a_workspace_shares_it_with_nobody(hub):
    owner, friend = hub.person(), hub.person()
    async with hub.enter(owner) as server:
        name = await shared(server)
        token = await server.generate_token({"workspace": name, "permission": "admin"})
        async with hub.enter(token) as admin:
            with pytest.raises(RemoteException, match=DENIED):
                await shared(admin, id=name, owners=[friend.id])
    await refused(hub, friend, name)


async def test_a_members_confined_token_is_not_widened(hub):
    owner, member = hub.person(), hub.person()
    async with hub.enter(owner) as server, hub.enter(member) as other:
        name = await shared(server, owners=[member.id])
        own = await other.generate_token({"permission": "admin"})
        await refused_with(hub, own, name)


async def refused_with(hub, token: str, workspace: str) -> None:
    async with hub.wire() as wire:
        assert (await wire.hello(token=token, workspace=workspace))["type"] == "error"


async def test_odd_owners_and_members_are_refused(hub, person):
    async with hub.enter(person) as server:
        for odd in (
            {"owners": ["ann@example.org"]},
            {"owners": ["*"]},
            {"owners": ["a/b"]},
            {"owners": ["../x"]},
            {"owners": "usr_1"},
            {"owners": [7]},
            {"owners": ["x" * 200]},
            {"owners": [f"usr_{n}" for n in range(101)]},
            {"members": ["usr_1"]},
            {"members": {"usr_1": "root"}},
            {"members": {"usr_1": 7}},
            {"members": {"*": "r"}},
        ):
            name = fresh()
            with pytest.raises(RemoteException, match="ValueError"):
                await server.create_workspace({"id": name, "name": name, "persistent": True, **odd})
            assert name not in {workspace["id"] for workspace in await server.list_workspaces()}
        with pytest.raises(RemoteException, match="ValueError"):
            await server.create_workspace({"id": fresh(), "persistent": False, "owners": ["usr_1"]})
        name = await shared(server, owners=[person.id, person.id, " "])
        assert (await server.get_workspace_info(name))["owners"] == [person.id]


async def test_sharing_stands_in_the_audit_log(hub):
    owner, member = hub.person(), hub.person()
    async with hub.enter(owner) as server:
        name = await shared(server, owners=[member.id])
        await shared(server, id=name)

    async def lines():
        found = await asyncio.to_thread(hub.server.command, "audit", "list", "--action", "workspace:share", "--limit", "100")
        mine = [line for line in found if line.get("resource") == name]
        return mine if mine else None

    assert all(line["outcome"] == "done" and line["principal"].endswith(owner.id) for line in await until(lines, "the audit lines"))


async def test_members_outlive_a_restart_of_the_room(hub):
    owner, member = hub.person(), hub.person()
    async with hub.enter(owner) as server:
        name = await shared(server, members={member.id: "rw"})
    # Nobody is in it: what is known of it is what is stored.
    async with hub.enter(member, workspace=name) as inside:
        assert inside.config.workspace == name
