"""The clients over plain HTTP (`transport: "http"`), unmodified, beside clients over WebSockets: H-008, H-012, H-013, H-017."""

import asyncio

import pytest
from hypha_rpc import login, logout

from harness.hypha import LIMIT_S, Script, same, until
from harness.hypha_http import Line, Relay, said
from harness.hypha_values import LARGE_BYTES, VALUES, mirror

HTTP = {"transport": "http"}


@pytest.mark.parametrize(("provides", "calls"), [(HTTP, {}), ({}, HTTP), (HTTP, HTTP)], ids=["http serves", "http calls", "both"])
async def test_every_value_callback_and_generator_passes(hub, person, provides, calls):
    async with hub.enter(person, **provides) as provider, hub.enter(person, **calls) as caller:
        await provider.register_service(mirror())
        service = await caller.get_service("mirror")
        for name, value in VALUES.items():
            assert same(await service.mirror(value), value), name
        assert await service.nested.deep.add(2, 3) == 5
        assert await service.twice(lambda value: value + 1, 20) == [21, 21]
        for count in (service.count, service.count_slowly):
            assert [number async for number in await count(5)] == list(range(5))
        with pytest.raises(Exception, match="on purpose"):
            await service.fail("on purpose")
        told = await service.who()
        assert (told["id"], told["ws"]) == (person.id, person.workspace)
        assert told["from"] == f"{person.workspace}/{caller.config.client_id}"
        assert await asyncio.gather(*(service.mirror(number) for number in range(50))) == list(range(50))


@pytest.mark.parametrize(("provides", "calls"), [(HTTP, {}), ({}, HTTP)], ids=["http serves", "http calls"])
async def test_what_is_larger_than_a_message_passes_both_ways(hub, person, provides, calls):
    async with hub.enter(person, **provides) as provider, hub.enter(person, **calls) as caller:
        await provider.register_service(mirror())
        service = await caller.get_service("mirror")
        large = bytes(range(256)) * (LARGE_BYTES // 256)
        assert await service.size(large) == len(large)
        assert await service.mirror(large) == large


async def test_a_client_comes_into_its_workspace_and_leaves_no_trace(hub, person):
    async with hub.enter(person) as watcher:
        async with hub.enter(person, client_id="guest", **HTTP) as server:
            assert server.config.workspace == person.workspace and server.config.user["id"] == person.id
            await server.register_service(mirror(visibility="public"))
            assert await watcher.ping("guest") == "pong"
            assert [service for service in await watcher.list_services() if service["id"].endswith("guest:mirror")]

        async def gone():
            return f"{person.workspace}/guest" not in {client["id"] for client in await watcher.list_clients()}

        await until(gone, "the client is gone")
        assert not [service for service in await watcher.list_services() if "guest" in service["id"]]


async def test_visitors_come_without_a_token_and_log_in_and_out(hub, person):
    async with hub.enter(person, client_id="host") as host, hub.enter(**HTTP) as visitor:
        await host.register_service(mirror(visibility="public"))
        assert visitor.config.user["is_anonymous"] and visitor.config.workspace.startswith("ws-user-anonymouz-")
        service = await visitor.get_service(f"{person.workspace}/host:mirror")
        assert await service.twice(lambda value: value * 2, 4) == [8, 8]
    seen = []

    async def agree(context):
        seen.append(context["login_url"])
        done = await asyncio.to_thread(hub.http(person.token).post, "/public/services/hypha-login/report", json={"key": context["key"], "token": person.token})
        assert done.status_code == 200, done.text

    token = await login({"server_url": hub.url, "login_callback": agree, "login_timeout": 20, **HTTP})
    async with hub.enter(token, **HTTP) as server:
        assert server.config.user["id"] == person.id and seen

    async def note(context):
        seen.append(context["logout_url"])

    await logout({"server_url": hub.url, "logout_callback": note, **HTTP})
    assert "logout=true" in seen[-1]


async def test_javascript_serves_over_http(hub, person):
    async with Script(hub, "serve", token=person.token, **HTTP) as script, hub.enter(person) as caller:
        assert (await script.told())["ready"] == person.workspace
        service = await caller.get_service("javascript:mirror")
        assert await service.mirror({"a": [1, None, "x"]}) == {"a": [1, None, "x"]}
        assert await service.nested.deep.add(2, 3) == 5
        assert await service.twice(lambda value: value + 1, 20) == [21, 21]
        assert [number async for number in await service.count(5)] == list(range(5))
        large = bytes(LARGE_BYTES)
        assert await service.size(large) == LARGE_BYTES and len(await service.bytes(LARGE_BYTES)) == LARGE_BYTES
        assert (await service.who())["id"] == person.id
        script.dismiss()
        assert await script.process.wait() == 0


async def test_javascript_calls_over_http(hub, person):
    async with hub.enter(person) as provider:
        await provider.register_service(mirror())
        async with Script(hub, "call", token=person.token, service="mirror", large=LARGE_BYTES, **HTTP) as script:
            told = await script.told()
        assert "error" not in told, told
        assert told["mirrored"] == told["sent"] and told["bytes"] == {"bytes": [0, 255, 7]}
        assert told["size"] == LARGE_BYTES and told["large"] is True
        assert told["twice"] == [21, 21] and told["count"] == list(range(5)) and told["named"] == [1, 2]
        assert told["who"]["id"] == person.id and "on purpose" in told["failure"]


async def test_a_client_whose_connections_were_cut_comes_back_with_its_services(hub, person):
    async with Relay(hub) as relay, hub.enter(person) as caller:
        async with hub.enter(person, client_id="roamer", server_url=relay.url, **HTTP) as roamer:
            await roamer.register_service(mirror())
            assert await (await caller.get_service("roamer:mirror")).mirror(1) == 1
            relay.cut()

            async def back():
                try:
                    return await (await caller.get_service("roamer:mirror")).mirror(2) == 2
                except Exception:
                    return False

            await until(back, "the service is back", limit_s=2 * LIMIT_S)


async def test_the_stream_has_the_shape_that_the_clients_read(hub, person):
    async with Line(hub, person.token) as line:
        assert line.answer.headers["Content-Type"] == "application/x-msgpack-stream"
        assert line.answer.headers["X-Accel-Buffering"] == "no" and "no-store" in line.answer.headers["Cache-Control"]
        assert "Set-Cookie" not in line.answer.headers, "whoever has a token shows that"
        info = line.info
        assert (info["type"], info["workspace"], info["client_id"]) == ("connection_info", person.workspace, line.query["client_id"])
        assert info["public_base_url"] == hub.url and info["manager_id"] and info["reconnection_token_life_time"] == 172800.0
        assert (await line.post(said(type="ping"))).status_code == 200
        assert (await line.frame())[0] == {"type": "pong"}
        assert (await line.post(said(type="refresh_token"))).status_code == 200
        main, _ = await line.frame()
        assert main["type"] == "reconnection_token" and main["reconnection_token"].count(".") == 2
        await line.alive()
        ping, _ = await line.frame(lambda _: True)
        assert ping == {"type": "ping"}, "within the time that clients wait for one"
        async with Line(hub, person.token, client_id=info["client_id"], reconnection_token=main["reconnection_token"]) as again:
            assert again.info["workspace"] == person.workspace
            await again.alive()
            await line.end()
            assert (await line.post(said(type="ping"))).status_code == 200, "the same client with the same token"


async def test_a_client_without_a_name_is_given_one(hub, person):
    async with Line(hub, person.token, client_id="") as line:
        assert len(line.info["client_id"]) == 22
        await line.alive()
