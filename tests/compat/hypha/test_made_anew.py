"""A workspace is made under the name of one that is no more: nothing that was issued for the first opens the second."""

import asyncio
import base64
import contextlib
import json
import time
from uuid import uuid4

import pytest

from harness.hypha import Refusal, asked


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


async def test_whoever_makes_one_over_and_over_ends_nothing_and_waits_at_last(hub):
    person, name = hub.person(), f"over-{uuid4().hex[:8]}"
    async with contextlib.AsyncExitStack() as stack:
        wire = await hub.wired(stack, person)
        with pytest.raises(Refusal, match="too often: try again in"):
            for _ in range(100):
                await wire.ask_hub("create_workspace", {"id": name, "persistent": False}, True)
        token = await wire.ask_hub("generate_token", {"workspace": name})
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        assert claims["iat"] <= time.time() + 3
        assert await lets_in(hub, token=token, workspace=name)


async def test_of_two_who_remove_one_at_once_the_second_leaves_the_next_one_alone(hub):
    first, second = hub.person(), hub.person()
    async with hub.enter(first) as ann, hub.enter(second) as bob:
        for _ in range(5):
            name = f"twice-{uuid4().hex[:8]}"
            await ann.create_workspace({"id": name, "persistent": False})
            done = await asyncio.gather(*(ann.delete_workspace(name) for _ in range(4)), return_exceptions=True)
            assert sum(not isinstance(one, Exception) for one in done) == 1
            await bob.create_workspace({"id": name, "persistent": False})
            async with hub.enter(second, workspace=name) as inside:
                assert await inside.echo("still there") == "still there"
                token = await inside.generate_token({"permission": "read"})
                assert await lets_in(hub, token=token)
