"""Services and what passes through them, with PyPI and npm `hypha-rpc`: H-013, H-133, H-134, H-135, H-136."""

import asyncio
import contextlib

import numpy
import pytest

from harness.hypha import LIMIT_S, Refusal, Script, asked, packed, same
from harness.hypha_values import LARGE_BYTES, VALUES, mirror


async def test_every_value_comes_back_as_it_went(hub, person):
    async with hub.enter(person) as provider, hub.enter(person) as caller:
        await provider.register_service(mirror())
        service = await caller.get_service("mirror")
        assert service.constant == 42 and service.name == "Mirror"
        for name, value in VALUES.items():
            assert same(await service.mirror(value), value), name
        assert same(await service.mirror(VALUES), VALUES)
        assert await service.mirror((1, 2)) == [1, 2]
        assert await service.nested.deep.add(2, 3) == 5
        assert await service.named(1) == [1, 10] and await service.named(right=3, left=2) == [2, 3]


async def test_callbacks_generators_and_failures_cross(hub, person):
    async with hub.enter(person) as provider, hub.enter(person) as caller:
        await provider.register_service(mirror())
        service = await caller.get_service("mirror")
        assert await service.twice(lambda value: value + 1, 20) == [21, 21]
        for generator in (service.count, service.count_slowly):
            assert [item async for item in await generator(5)] == [0, 1, 2, 3, 4]
        with pytest.raises(Exception, match="on purpose: 7"):
            await service.fail("on purpose: 7")
        assert await service.mirror("after it") == "after it"


async def test_megabytes_pass_in_both_directions(hub, person):
    async with hub.enter(person) as provider, hub.enter(person) as caller:
        await provider.register_service(mirror())
        service = await caller.get_service("mirror")
        sent = bytes(LARGE_BYTES)
        assert await service.size(sent) == LARGE_BYTES
        assert await service.mirror(sent) == sent
        array = numpy.arange(LARGE_BYTES // 8, dtype="int64")
        assert same(await service.mirror(array), array)


async def test_javascript_serves_python(hub, person):
    async with Script(hub, "serve", token=person.token) as script, hub.enter(person) as caller:
        assert await script.told() == {"ready": person.workspace}
        service = await caller.get_service("mirror")
        in_both = {name: value for name, value in VALUES.items() if name not in {"large", "negative"}}
        for name, value in in_both.items():
            assert same(await service.mirror(value), value), name
        assert await service.size(bytes(LARGE_BYTES)) == LARGE_BYTES
        assert await service.bytes(LARGE_BYTES) == b"\7" * LARGE_BYTES
        assert await service.twice(lambda value: value + 1, 20) == [21, 21]
        assert [item async for item in await service.count(4)] == [0, 1, 2, 3]
        assert await service.nested.deep.add(2, 3) == 5
        with pytest.raises(Exception, match="on purpose"):
            await service.fail("on purpose")
        assert (await service.who())["id"] == person.id


async def test_python_serves_javascript(hub, person):
    async with hub.enter(person, client_id="python") as provider:
        await provider.register_service(mirror())
        async with Script(hub, "call", token=person.token, service="mirror", large=LARGE_BYTES) as script:
            out = await script.told()
    assert out["mirrored"] == out["sent"] and out["bytes"] == {"bytes": [0, 255, 7]}
    assert out["size"] == LARGE_BYTES and out["large"] is True
    assert out["twice"] == [21, 21] and out["count"] == [0, 1, 2, 3, 4] and out["named"] == [1, 2]
    assert out["who"]["id"] == person.id and out["who"]["ws"] == person.workspace
    assert "on purpose" in out["failure"] and "error" in out["forged"]


async def test_who_may_fetch_what_by_visibility(hub):
    owner, stranger = hub.person(), hub.person()
    async with hub.enter(owner, client_id="host") as host, hub.enter(stranger) as outside, hub.enter() as visitor:
        for visibility in ("public", "protected", "unlisted"):
            await host.register_service({"id": f"the-{visibility}", "config": {"visibility": visibility}, "say": lambda word=visibility: word})
        for visibility in ("public", "unlisted"):
            for caller in (outside, visitor):
                service = await caller.get_service(f"{owner.workspace}/the-{visibility}")
                assert await service.say() == visibility
                assert service.id == f"{owner.workspace}/host:the-{visibility}"
        for caller in (outside, visitor):
            with pytest.raises(Exception, match="Permission denied"):
                await caller.get_service(f"{owner.workspace}/the-protected")
        assert await (await host.get_service("the-protected")).say() == "protected"
        listed = {service["id"].split(":")[-1] for service in await host.list_services()}
        assert {"the-public", "the-protected"} <= listed and "the-unlisted" not in listed
        seen = {service["id"] for service in await outside.list_services(owner.workspace)}
        assert f"{owner.workspace}/host:the-public" in seen
        assert not any("protected" in service or "unlisted" in service for service in seen)
        everywhere = await outside.list_services({"workspace": "*", "service_id": "the-*"})
        assert all(service["config"]["visibility"] == "public" for service in everywhere if owner.workspace in service["id"])


async def test_authorized_workspaces_open_a_protected_service_to_those_alone(hub):
    owner, friend, stranger = hub.person(), hub.person(), hub.person()
    async with hub.enter(owner) as host, hub.enter(friend) as invited, hub.enter(stranger) as outside:
        config = {"visibility": "protected", "authorized_workspaces": [friend.workspace]}
        await host.register_service({"id": "shared", "config": config, "say": lambda: "hello"})
        service = await invited.get_service(f"{owner.workspace}/shared")
        assert await service.say() == "hello"
        seen = await invited.get_service_info(f"{owner.workspace}/shared")
        assert not seen["config"].get("authorized_workspaces"), "who else is invited is the owner's business"
        with pytest.raises(Exception, match="Permission denied"):
            await outside.get_service(f"{owner.workspace}/shared")
        with pytest.raises(Exception, match="authorized_workspaces"):
            await host.register_service({"id": "odd", "config": {"visibility": "public", "authorized_workspaces": [friend.workspace]}})


async def test_several_of_a_name_are_told_apart_by_mode(hub, person):
    async with hub.enter(person, client_id="one") as one, hub.enter(person, client_id="two") as two, hub.enter(person) as caller:
        for server, name in ((one, "one"), (two, "two")):
            await server.register_service({"id": "worker", "who": lambda name=name: name})
        with pytest.raises(Exception, match="Multiple services found"):
            await caller.get_service("worker")
        for mode in ("random", "first", "last"):
            assert await (await caller.get_service("worker", {"mode": mode})).who() in {"one", "two"}
        assert await (await caller.get_service("two:worker")).who() == "two"
        assert await (await caller.get_service(f"{person.workspace}/one:worker")).who() == "one"
        with pytest.raises(Exception, match="Invalid mode"):
            await caller.get_service("worker", {"mode": "whichever"})


async def test_services_are_listed_in_every_form_and_gone_when_unregistered(hub, person):
    async with hub.enter(person, client_id="host") as host, hub.enter(person) as caller:
        await host.register_service({"id": "listed", "type": "special", "description": "A thing to find", "say": lambda: 1})
        full = f"{person.workspace}/host:listed"
        for query in [full, f"{person.workspace}/listed", "host:listed", person.workspace, {"service_id": "listed"}, {"type": "special"}, {"client_id": "host"}, None]:
            listed = await (caller.list_services(query) if query is not None else caller.list_services())
            assert full in {service["id"] for service in listed}, query
        [record] = await caller.list_services("host:listed")
        assert (record["type"], record["description"]) == ("special", "A thing to find")
        assert record["config"]["created_by"]["id"] == person.id and record["config"]["visibility"] == "protected"
        assert (await caller.get_service_info("host:listed"))["id"] == full
        await host.unregister_service("listed")
        for missing in ("listed", full, "never-was"):
            with pytest.raises(Exception, match="Service not found"):
                await caller.get_service(missing)
        with pytest.raises(Exception, match="[Nn]ot found"):
            await host.unregister_service("never-was")


async def test_a_singleton_is_alone_under_its_name(hub, person):
    async with hub.enter(person) as one, hub.enter(person) as two:
        await one.register_service({"id": "only", "config": {"singleton": True}, "say": lambda: 1})
        for config in ({"singleton": True}, {}):
            with pytest.raises(Exception, match="singleton service with the same name"):
                await two.register_service({"id": "only", "config": config, "say": lambda: 2}, {"overwrite": True})
        assert await (await two.get_service("only")).say() == 1


async def test_a_provider_that_leaves_takes_its_services_along(hub, person):
    async with hub.enter(person) as caller:
        left = asyncio.get_running_loop().create_future()
        async with hub.enter(person, client_id="brief") as brief:
            caller.on("client_disconnected", lambda event: left.done() or left.set_result(event))
            await brief.register_service({"id": "brief-service", "say": lambda: 1})
            service = await caller.get_service("brief-service")
        event = await asyncio.wait_for(left, LIMIT_S)
        assert event["data"]["id"].split("/")[-1] == "brief" and event["data"]["workspace"] == person.workspace
        assert "from" not in event and "user" not in event
        with pytest.raises(Exception, match="Service not found"):
            await caller.get_service("brief-service")
        with pytest.raises(Exception, match="(?i)not connected|not found|closed"):
            await asyncio.wait_for(service.say(), LIMIT_S)


async def test_events_reach_who_asked_for_them_in_the_same_workspace_and_nobody_else(hub):
    person, stranger = hub.person(), hub.person()
    async with contextlib.AsyncExitStack() as stack:
        inside, quiet, outside = await hub.wired(stack, person), await hub.wired(stack, person), await hub.wired(stack, stranger)
        speaker = await hub.wired(stack, person)
        for wire in (inside, outside):
            assert await wire.ask_hub("subscribe", "news") is True
        sent = packed({"type": "news", "to": "*", "from": "root/root", "user": {"id": "root"}, "ws": "public", "data": {"n": 1}})
        await speaker.send(sent)
        main, _ = await inside.frame(lambda main: main["type"] == "news")
        assert main["data"] == {"n": 1} and main["from"] == f"{person.workspace}/{speaker.id}"
        assert main["ws"] == person.workspace and main["user"]["id"] == person.id and main["to"] == f"{person.workspace}/*"
        # Whatever was broadcast came before the answer to a call that was made after it was seen.
        for wire in (quiet, outside):
            session = await wire.start(wire.address_of_hub, "services.default.echo", 1)
            main, _ = await wire.frame(lambda main, session=session: main["type"] == "news" or main.get("method") == f"{session}.resolve")
            assert main["type"] == "method", "nobody else hears it"
        assert await inside.ask_hub("unsubscribe", "news") is True
        with pytest.raises(Refusal):
            await inside.ask_hub("subscribe", f"{stranger.workspace}:news")


async def test_the_callee_is_told_who_calls_by_every_way_in(hub):
    owner, caller = hub.person(), hub.person(email="caller@example.org")
    async with hub.enter(owner) as host, hub.enter(caller, client_id="from-here") as server:
        await host.register_service(mirror(visibility="public"))
        service = await server.get_service(f"{owner.workspace}/mirror")
        context = await service.who()
        assert (context["id"], context["ws"], context["from"]) == (caller.id, caller.workspace, f"{caller.workspace}/from-here")
        user = context["user"]
        assert user["email"] is None, "an address that nobody has proven is nobody's"
        assert user["is_anonymous"] is False and isinstance(user["roles"], list)
        assert user["scope"]["workspaces"][caller.workspace] == "a" and user["scope"]["current_workspace"] == caller.workspace
        async with Script(hub, "call", token=caller.token, service=f"{owner.workspace}/mirror", large=10) as script:
            from_js = (await script.told())["who"]["user"]
        answer = await asked(caller.http, "GET", f"/{owner.workspace}/services/mirror/who")
        assert answer.status_code == 200, answer.text
        over_http = answer.json()["user"]
        for key in ("id", "email", "roles", "is_anonymous"):
            assert from_js[key] == over_http[key] == user[key], key


PROTECTED_LIST = "listed@example.org"


async def protected_method(data, context=None):
    user = (context or {}).get("user")
    if not user:
        raise PermissionError("Authentication required")
    if user.get("email") == PROTECTED_LIST or {"admin", "developer"} & set(user.get("roles") or []):
        return f"Protected data for {user.get('email')}: {data}"
    raise PermissionError(f"User {user['id']} is not authorized")


async def test_a_method_lets_in_whom_it_lists_and_tells_others(hub):
    owner, stranger = hub.person(), hub.person()
    others = [hub.person(email="dev@example.org", roles=("developer",)), hub.person(email="boss@example.org", roles=("admin",))]
    listed = hub.person(email=PROTECTED_LIST)
    async with hub.enter(owner) as host:
        await host.register_service({"id": "guarded", "config": {"visibility": "public", "require_context": True}, "method": protected_method})
        for who in others:
            async with hub.enter(who) as server:
                assert await (await server.get_service(f"{owner.workspace}/guarded")).method("x") == "Protected data for None: x"
        # Whoever wrote the listed address down has not proven that it is theirs.
        for who in (stranger, listed, None):
            async with hub.enter(who) as server:
                with pytest.raises(Exception, match="User .* is not authorized"):
                    await (await server.get_service(f"{owner.workspace}/guarded")).method("x")
        answer = await asked(stranger.http, "POST", f"/{owner.workspace}/services/guarded/method", json={"data": "x"})
        assert answer.status_code in (403, 500) and f"User {stranger.id} is not authorized" in answer.json()["detail"]
