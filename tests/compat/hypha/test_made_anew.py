"""A workspace is made under the name of one that is no more: nothing that was issued for the first opens the second."""

import contextlib
from uuid import uuid4

from harness.hypha import asked


async def lets_in(hub, **hello) -> bool:
    async with hub.wire() as wire:
        return (await wire.hello(**hello))["type"] == "connection_info"


async def test_tokens_of_a_workspace_that_was_deleted_open_no_later_one_of_its_name(hub):
    first, second = hub.person(), hub.person()
    name = f"squat-{uuid4().hex[:8]}"
    async with hub.enter(first) as ann, hub.enter(second) as bob, contextlib.AsyncExitStack() as stack:
        await ann.create_workspace({"id": name})
        token = await ann.generate_token({"workspace": name, "permission": "admin"})
        inside = await hub.wired(stack, token, client_id="stays")
        again = inside.info["reconnection_token"]
        async with hub.enter(token) as made:
            child = await made.generate_token({"workspace": name, "permission": "read"})
        await ann.delete_workspace(name)
        assert (await inside.closed())[0] in (1001, 1008)
        await bob.create_workspace({"id": name})
        for old in (token, child):
            assert not await lets_in(hub, token=old, workspace=name)
            assert (await asked(hub.http(old), "GET", f"/{name}/services/")).status_code == 401
        assert not await lets_in(hub, client_id="stays", workspace=name, reconnection_token=again)
        fresh = await bob.generate_token({"workspace": name, "permission": "read_write"})
        assert await lets_in(hub, token=fresh, workspace=name), "what is given in the second is good at once"
        assert await ann.echo("still who she is") == "still who she is"


async def test_a_workspace_that_went_with_its_last_client_leaves_nothing_behind(hub):
    first, second = hub.person(), hub.person()
    name = f"brief-{uuid4().hex[:8]}"
    async with hub.enter(first) as ann, hub.enter(second) as bob:
        await ann.create_workspace({"id": name, "persistent": False})
        async with hub.enter(first, workspace=name) as inside:
            token = await inside.generate_token({"permission": "admin"})
            assert await lets_in(hub, token=token)
        await bob.create_workspace({"id": name, "persistent": False})
        async with hub.enter(second, workspace=name):
            assert not await lets_in(hub, token=token)
