"""Providers that do not answer, or go while they are asked: their callers hear of it in bounded time: H-012, H-142."""

import asyncio
import contextlib

import pytest

from harness.hypha import LIMIT_S, Refusal, asked, until

#: The longest that a call over HTTP to a provider that says nothing may take.
SILENCE_S = 60


async def provider(hub, stack, owner, service: str):
    """A raw client with a public service, which reads and answers nothing."""
    wire = await hub.wired(stack, owner)
    schema = {"say": {"type": "function", "function": {"name": "say", "description": "", "parameters": {"type": "object", "properties": {}}}}}
    # The clients name themselves by this service first; the real server forgets what comes before it.
    own = {"visibility": "protected", "workspace": owner.workspace}
    await wire.ask_hub("register_service", {"id": f"{owner.workspace}/{wire.id}:built-in", "name": "built-in", "type": "built-in", "config": own})
    record = {"id": f"{owner.workspace}/{wire.id}:{service}", "name": service, "type": "generic", "service_schema": schema, "config": {"visibility": "public", "workspace": owner.workspace}}
    await wire.ask_hub("register_service", record)
    return wire


async def test_a_call_over_http_to_a_provider_that_says_nothing_ends_with_504(hub, person):
    async with contextlib.AsyncExitStack() as stack:
        await provider(hub, stack, person, "mute")
        answer = await asked(person.http, "GET", f"/{person.workspace}/services/mute/say", timeout=SILENCE_S)
        assert answer.status_code == 504 and answer.json()["success"] is False, answer.text
        assert answer.json()["detail"] and "\n" not in answer.json()["detail"]


async def test_a_provider_that_leaves_while_it_is_asked_ends_the_call(hub, person):
    async with contextlib.AsyncExitStack() as stack:
        wire = await provider(hub, stack, person, "leaving")
        call = asyncio.ensure_future(asked(person.http, "GET", f"/{person.workspace}/services/leaving/say", timeout=SILENCE_S))
        # The server fetches the service from its provider first.
        main, _ = await wire.frame(lambda main: main.get("method") == "services.built-in.get_service")
        assert main["from"].startswith("*/") and main["to"] == f"{person.workspace}/{wire.id}" and main["ws"] == person.workspace
        await wire.socket.close()
        answer = await asyncio.wait_for(call, SILENCE_S)
        assert answer.status_code >= 400 and answer.json()["success"] is False, answer.text


async def test_a_caller_of_a_provider_that_left_is_told_at_once(hub, person):
    entered, gone = asyncio.Event(), []

    async def stay():
        entered.set()
        await asyncio.Event().wait()

    async with hub.enter(person) as caller, contextlib.AsyncExitStack() as stack:
        host = await stack.enter_async_context(hub.enter(person, client_id="host"))
        await host.register_service({"id": "staying", "stay": stay})
        service = await caller.get_service("staying")
        call = asyncio.ensure_future(service.stay())
        await asyncio.wait_for(entered.wait(), LIMIT_S)
        caller.on("client_disconnected", gone.append)
        await stack.aclose()
        with pytest.raises(Exception, match="disconnected|closed|not connected|Peer"):
            await asyncio.wait_for(call, LIMIT_S)


async def test_a_service_of_a_client_that_was_cut_off_is_not_offered_any_longer(hub, person):
    async with contextlib.AsyncExitStack() as stack:
        asking = await hub.wired(stack, person)
        cut = await provider(hub, stack, person, "cut")
        assert any(service["id"].endswith(":cut") for service in await asking.ask_hub("list_services"))
        cut.socket.transport.abort()

        async def over():
            return not any(service["id"].endswith(":cut") for service in await asking.ask_hub("list_services"))

        await until(over, "the service is gone")
        with pytest.raises(Refusal, match="Service not found"):
            await asking.ask_hub("get_service", "cut")
        answer = await asked(person.http, "GET", f"/{person.workspace}/services/cut/say")
        assert answer.status_code == 404 and "not found" in answer.json()["detail"], answer.text


async def test_the_mode_of_a_query_picks_one_of_several(hub, person):
    async with hub.enter(person, client_id="one") as one, hub.enter(person, client_id="two") as two:
        for server, name in ((one, "one"), (two, "two")):
            await server.register_service({"id": "worker", "who": lambda name=name: name})
        path = f"/{person.workspace}/services/worker/who"
        several = await asked(person.http, "GET", path)
        assert several.status_code == 400 and "Multiple services found" in several.json()["detail"], several.text
        for mode in ("random", "first", "last"):
            answer = await asked(person.http, "GET", path, params={"_mode": mode})
            assert answer.status_code == 200 and answer.json() in ("one", "two"), answer.text
        chosen = await asked(person.http, "GET", path.replace("worker", "two:worker"))
        assert chosen.json() == "two"
