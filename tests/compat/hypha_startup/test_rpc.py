"""The RPC client of start-up processes against a running hub and Hypha's own client as the other side."""

import asyncio
import collections
import contextlib
import threading

import msgpack
import numpy
import pytest
from bridge import Bridge
from _doorward_hypha import client as client_module
from _doorward_hypha.client import Client
from _doorward_hypha.hooks import Hooks
from _doorward_hypha.server import Server
from _doorward_hypha.value import RemoteException
from hypha_rpc.rpc import RemoteException as TheirException

from harness.hypha import same, until


class Ours:
    """Our client in the hub, by a bridge: `server` is what a start-up function gets."""

    def __init__(self, bridge, server):
        self.bridge, self.server, self.client = bridge, server, server._client


@contextlib.asynccontextmanager
async def ours(hub, keeper):
    async with Bridge(hub, keeper) as bridge:
        client = await Client.connect(bridge.theirs)
        try:
            yield Ours(bridge, await Server.enter(client, Hooks("/nowhere")))
        finally:
            client.close("the test is over")


@contextlib.asynccontextmanager
async def met(hub, keeper, person, **service):
    """Both sides: `ours` offers `service` publicly, and the other side has got it."""
    async with ours(hub, keeper) as one, hub.enter(person) as other:
        config = {"visibility": "public", **service.pop("config", {})}
        info = await one.server.register_service({"id": f"s{person.name.replace('.', '-')}", "config": config, **service})
        yield one, other, await other.get_service(info["id"])


VALUES = [
    None, True, 0, -(2**63), 2**64 - 1, 1.5, "", "täxt", b"\0\xff", [], [1, [2, [3]]], {}, {"a": {"b": [1, {"c": None}]}},
    numpy.arange(6, dtype="int16").reshape(2, 3), numpy.zeros((2, 0)), {"deep": [numpy.ones(2, "float32")]},
    {1, 2}, {"_rtype": "somebody-elses", "x": [1, {"y": 2}]},
]


async def test_every_value_goes_there_and_back_whoever_calls(hub, keeper, person):
    async with met(hub, keeper, person, echo=lambda value: value, kind=lambda value: type(value).__name__) as (one, other, service):
        theirs = await other.register_service({"id": "echo", "config": {"visibility": "public"}, "echo": lambda value: value})
        back = await one.server.get_service(theirs["id"])
        for value in VALUES:
            assert same(await service.echo(value), value), f"called: {value!r}"
            assert same(await back.echo(value), value), f"calling: {value!r}"
        assert await service.echo((1, 2)) == [1, 2]
        assert await service.kind(numpy.arange(2)) == "ndarray" and await service.kind({1}) == "set"
        assert await back.echo(memoryview(b"seen")) == b"seen"
        ordered = collections.OrderedDict([("z", 1), ("a", 2)])
        assert list((await back.echo(ordered)).items()) == [("z", 1), ("a", 2)] or list(await back.echo(ordered)) == ["z", "a"]
        with pytest.raises(TypeError, match="object cannot be sent"):
            await back.echo(object())


async def test_arguments_by_place_and_by_name_nested_functions_and_missing_ones(hub, keeper, person):
    def add(a, b=10, *, c=100):
        return a + b + c

    async with met(hub, keeper, person, add=add, nest={"deep": {"add": add}, "list": [add]}, _hidden=add, constant=7) as (one, other, service):
        assert await service.add(1) == 111 and await service.add(1, 2) == 103 and await service.add(1, c=3) == 14
        assert await service.nest.deep.add(a=1, b=2, c=3) == 6 and await service.nest["list"][0](1) == 111
        assert service.constant == 7 and "_hidden" not in service
        for bad in ((), (1, 2, 3)):
            with pytest.raises(TheirException, match="TypeError"):
                await service.add(*bad)
        with pytest.raises(TheirException, match="TypeError"):
            await service.add(1, nonsense=2)
        unknown = f"services.{service.id.split(':')[1].split('@')[0]}"
        async with hub.wire() as wire:
            await wire.hello(token=keeper.token)
            for method in (f"{unknown}.nothing", f"{unknown}._hidden", f"{unknown}.add.__globals__", "services.nothing.x", f"{unknown}", "services."):
                with pytest.raises(Exception, match="Method not found"):
                    await wire.call(one.client.address, method)


async def test_callbacks_are_called_while_the_call_lasts_from_both_sides(hub, keeper, person):
    async def count(to, tell):
        return sum([await tell(number) for number in range(to)])

    async with met(hub, keeper, person, count=count) as (one, other, service):
        seen = []

        def tell(number):
            seen.append(number)
            return number * 2

        assert await service.count(5, tell) == 20 and seen == [0, 1, 2, 3, 4]
        theirs = await other.register_service({"id": "count", "config": {"visibility": "public"}, "count": count})
        back = await one.server.get_service(theirs["id"])
        seen.clear()
        assert await back.count(5, tell) == 20 and seen == [0, 1, 2, 3, 4]

        async def failing(number):
            raise ValueError(f"no {number}")

        with pytest.raises(TheirException, match="no 0"):
            await service.count(1, failing)
        with pytest.raises(RemoteException, match="no 0"):
            await back.count(1, failing)
        # What was handed over with a call that is over is nobody's any more.
        assert not [session for session in one.client.sessions.held.values() if session.answer is not None]


async def test_functions_in_an_answer_stay_callable_by_whoever_got_it_alone(hub, keeper, person):
    async with met(hub, keeper, person, make=lambda by: {"times": lambda number: number * by}) as (one, other, service):
        made = await service.make(3)
        assert await made.times(2) == 6 and await made.times(5) == 15
        method = made.times.__rpc_object__["_rmethod"]
        for sender in (f"{person.workspace}/another", "elsewhere/one", one.client.hub):
            main, error = await one.bridge.asked(method, 2, sender=sender)
            assert main["to"] == sender and "Access denied" in error["_rvalue"]


async def test_generators_of_both_kinds_both_ways_and_their_early_end(hub, keeper, person):
    closed = []

    def plain(to):
        try:
            yield from range(to)
        finally:
            closed.append("plain")

    async def waiting(to):
        try:
            for number in range(to):
                await asyncio.sleep(0)
                yield {"n": number}
        finally:
            closed.append("waiting")

    async def failing():
        yield 1
        raise ValueError("half way")

    async def add_up(numbers):
        return sum([number async for number in numbers])

    async with met(hub, keeper, person, plain=plain, waiting=waiting, failing=failing, add_up=add_up) as (one, other, service):
        assert [number async for number in await service.plain(4)] == [0, 1, 2, 3]
        assert [one["n"] async for one in await service.waiting(3)] == [0, 1, 2]
        with pytest.raises(TheirException, match="half way"):
            async for _ in await service.failing():
                pass
        assert await service.add_up(plain(5)) == 10
        closed.clear()
        theirs = await other.register_service({"id": "gen", "config": {"visibility": "public"}, "plain": plain, "waiting": waiting, "add_up": add_up})
        back = await one.server.get_service(theirs["id"])
        assert [number async for number in await back.plain(4)] == [0, 1, 2, 3]
        assert [one["n"] async for one in await back.waiting(3)] == [0, 1, 2]
        assert await back.add_up(plain(5)) == 10
        closed.clear()
        half = await back.waiting(1000)
        assert (await half.__anext__())["n"] == 0
        await half.aclose()

        async def seen():
            return "waiting" in closed

        await until(seen, "the other side is told that nobody wants the rest")


async def test_errors_keep_their_words_and_tell_nothing_of_the_file(hub, keeper, person):
    class Own(Exception):
        pass

    def raising(kind):
        raise {"value": ValueError("bad thing"), "key": KeyError("nothing here"), "own": Own("mine")}[kind]

    async with met(hub, keeper, person, raising=raising) as (one, other, service):
        for kind, words in (("value", "ValueError: bad thing"), ("key", "KeyError: 'nothing here'"), ("own", "Own: mine")):
            with pytest.raises(TheirException) as caught:
                await service.raising(kind)
            assert words in str(caught.value) and __file__ not in str(caught.value)

        async def theirs():
            raise ValueError("from there")

        service = await other.register_service({"id": "bad", "config": {"visibility": "public"}, "theirs": theirs})
        with pytest.raises(RemoteException, match="from there"):
            await (await one.server.get_service(service["id"])).theirs()


async def test_messages_of_megabytes_go_in_parts_both_ways(hub, keeper, person):
    async with met(hub, keeper, person, echo=lambda value: value, size=len) as (one, other, service):
        large = numpy.random.default_rng(7).bytes(5 << 20)
        assert await service.echo(large) == large
        assert max(len(frame) for frame in one.bridge.sent) <= client_module.parts.PART + 4096
        theirs = await other.register_service({"id": "echo", "config": {"visibility": "public"}, "echo": lambda value: value})
        back = await one.server.get_service(theirs["id"])
        assert await back.echo(large) == large
        both = [service.size(large[: 1 << 20]) for _ in range(3)] + [back.echo(large[: 1 << 20]) for _ in range(3)]
        assert await asyncio.gather(*both) == [1 << 20] * 3 + [large[: 1 << 20]] * 3
        assert not one.client.parts.messages and one.client.parts.bytes == 0
        assert not [session for session in one.client.sessions.held.values() if session.answer is not None]


async def test_calls_wait_for_nobody_but_themselves(hub, keeper, person):
    gate = threading.Event()

    async with met(hub, keeper, person, double=lambda n: n * 2, held=lambda: gate.wait(30), config={"run_in_executor": True}) as (_, _, service):
        waiting = [asyncio.ensure_future(service.held()) for _ in range(8)]
        try:
            assert await asyncio.gather(*(service.double(number) for number in range(150))) == [number * 2 for number in range(150)]
            assert not any(one.done() for one in waiting)
        finally:
            gate.set()
        assert await asyncio.gather(*waiting) == [True] * 8


async def test_who_works_long_is_waited_for_and_who_says_nothing_is_not(hub, keeper, person, monkeypatch):
    monkeypatch.setattr(client_module, "BEATS_S", (0.1, 30.0))
    done = asyncio.Event()

    async def slow():
        await done.wait()
        return "at last"

    async with met(hub, keeper, person, slow=slow) as (one, other, service):
        other.rpc._method_timeout = 1.0
        answer = asyncio.ensure_future(service.slow())
        beats = [frame for frame in one.bridge.sent if b".heartbeat" in frame]

        async def beaten():
            return sum(b".heartbeat" in frame for frame in one.bridge.sent) >= len(beats) + 5

        await until(beaten, "signs of life")
        done.set()
        assert await answer == "at last"

        # The other way: signs of life of theirs keep our call alive past its time, and without them it ends.
        theirs = await other.register_service({"id": "slow", "config": {"visibility": "public"}, "slow": lambda: asyncio.sleep(1.5, "slept")})
        target, _, name = theirs["id"].rpartition(":")
        assert await one.client.call(target, f"services.{name}.slow", timeout_s=0.8) == "slept"
        async with hub.wire() as silent:
            await silent.hello(token=keeper.token)
            with pytest.raises(TimeoutError, match=r"Method call timed out: .*nothing"):
                await one.client.call(f"{keeper.workspace}/{silent.id}", "services.x.nothing", timeout_s=0.2)
        assert not [session for session in one.client.sessions.held.values() if session.answer is not None]


async def test_the_context_is_the_hubs_and_only_where_it_is_asked_for(hub, keeper, person):
    def who(context=None):
        return context and {"id": context["user"]["id"], "ws": context["ws"], "by": context.user.id, "from": context["from"]}

    async with met(hub, keeper, person, who=who, config={"require_context": True}) as (one, other, service):
        told = await service.who()
        assert told["id"] == told["by"] == person.id and told["ws"] == person.workspace and told["from"].startswith(f"{person.workspace}/")
        assert await service.who(context={"user": {"id": "root"}}) == told
        info = await one.server.register_service({"id": "without", "config": {"visibility": "public"}, "who": who})
        assert await (await other.get_service(info["id"])).who() is None


async def test_protected_services_are_for_their_workspace_and_for_those_named(hub, keeper, person):
    async with ours(hub, keeper) as one:
        await one.server.register_service({"id": "closed", "yes": lambda: True})
        await one.server.register_service({"id": "invited", "config": {"authorized_workspaces": [person.workspace]}, "yes": lambda: True})
        for method, args in (("services.closed.yes", ()), ("services.built-in.get_service", ("closed",))):
            assert "Permission denied" in (await one.bridge.asked(method, *args, sender="elsewhere/x"))[1]["_rvalue"]
            assert (await one.bridge.asked(method, *args, sender=f"{keeper.workspace}/x"))[0]["method"].endswith(".resolve")
        assert (await one.bridge.asked("services.invited.yes", sender=f"{person.workspace}/x"))[1] is True
        assert "Permission denied" in (await one.bridge.asked("services.invited.yes", sender="elsewhere/x"))[1]["_rvalue"]
        for bad in ({"id": "a.b"}, {"id": ""}, {}, {"id": "x", "config": {"visibility": "secret"}}, {"id": "x", "config": {"visibility": "public", "authorized_workspaces": []}}):
            with pytest.raises(ValueError):
                await one.server.register_service(bad)


async def test_services_are_replaced_on_demand_listed_and_taken_back(hub, keeper, person):
    async with ours(hub, keeper) as one:
        server = one.server
        info = await server["register_service"]({"id": "here", "say": lambda: 1})
        with pytest.raises(ValueError, match="already exists"):
            await server.registerService({"id": "here", "say": lambda: 2})
        await server.register_service({"id": "here", "say": lambda: 3}, {"overwrite": True})
        assert await (await server.get_service(info["id"])).say() == 3
        assert info["id"] in [service["id"].split("@")[0] for service in await server.list_services()]
        await server.unregister_service("here")
        with pytest.raises(RemoteException, match="Service not found"):
            await server.get_service(info["id"])
        with pytest.raises(KeyError):
            await server.unregister_service("here")
        assert {service["id"].split(":")[-1] for service in server.rpc.get_client_info()["services"]} == {"built-in"}


async def test_the_server_has_its_managers_functions_events_and_codecs(hub, keeper, person):
    class Point:
        def __init__(self, x):
            self.x = x

    async with met(hub, keeper, person, echo=lambda value: value) as (one, other, service):
        server = one.server
        assert await server.echo("hello") == "hello" and await server["echo"](1) == 1
        assert server.config["workspace"] == keeper.workspace and server.config.public_base_url == one.bridge.info["public_base_url"]
        assert server.rpc.manager_id == one.bridge.info["manager_id"] and "generate_token" in server and server.get("nothing") is None
        for absent in ("nothing", "_client", "__class__"):
            with pytest.raises(KeyError):
                server[absent]
        with pytest.raises(AttributeError, match="store is not there"):
            server.store.get_redis
        with pytest.raises(NotImplementedError, match="generate_token"):
            server.get_workspace_interface("team")
        heard = []
        server.on("moved", heard.append)
        server.once("moved", lambda data: heard.append(("once", data)))
        server.emit("moved", 1)
        server.emit("moved", 2)
        server.off("moved", heard.append)
        assert heard[:3] == [1, ("once", 1), 2]
        server.register_codec({"name": "point", "type": Point, "encoder": lambda point: {"x": point.x}, "decoder": lambda value: Point(value["x"])})
        back = await other.register_service({"id": "echo", "config": {"visibility": "public"}, "echo": lambda value: value})
        assert (await (await server.get_service(back["id"])).echo(Point(4))).x == 4
        token = await server.generate_token({"expires_in": 60})
        assert isinstance(token, str) and (await server.parse_token(token))["scope"]["current_workspace"] == keeper.workspace
        assert await (await server.get_service("~")).echo("the manager too") == "the manager too"


async def test_an_asgi_application_answers_over_http(hub, keeper, person):
    seen = {}

    async def app(scope, receive, send):
        seen.update(scope)
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        await send({"type": "http.response.start", "status": 201, "headers": [[b"content-type", b"text/plain"], [b"x-size", str(len(body)).encode()]]})
        await send({"type": "http.response.body", "body": b"got ", "more_body": True})
        await send({"type": "http.response.body", "body": body[:5]})

    async with ours(hub, keeper) as one:
        serve = lambda args: app(args["scope"], args["receive"], args["send"])  # noqa: E731 - as the document writes it
        await one.server.register_service({"id": "app", "type": "asgi", "config": {"visibility": "public"}, "serve": serve}, overwrite=True)
        answer = await asyncio.to_thread(hub.http().request, "POST", f"/{keeper.workspace}/apps/app/a/b?x=1", data=b"hello" * 100_000)
        assert (answer.status_code, answer.text, answer.headers["x-size"]) == (201, "got hello", "500000")
        assert seen["type"] == "http" and seen["path"] == "/a/b" and bytes(seen["query_string"]) == b"x=1"


async def test_whoever_goes_leaves_nothing_behind(hub, keeper, person):
    async with ours(hub, keeper) as one:
        async with hub.wire() as wire:
            await wire.hello(token=keeper.token)
            call = one.client.call(wire.id, "services.x.never")
            one.client.parts.create(f"{wire.info['workspace']}/{wire.id}", "k")
            assert one.client.parts.messages
        with pytest.raises((ConnectionError, RemoteException), match="is not connected"):
            await asyncio.wait_for(call, 20)

        async def clean():
            return not one.client.parts.messages

        await until(clean, "parts of whoever left are forgotten")
        waiting = one.client.call(one.client.hub, "services.default.nothing-like-it")
        one.client.close("the hub is gone")
        for gone in (waiting, None):
            with pytest.raises(ConnectionError):
                await (gone or one.client.call(one.client.hub, "services.default.echo", ["x"]))
