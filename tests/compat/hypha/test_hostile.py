"""Frames that no client sends: each is refused or passed over, and the server goes on answering everybody else. H-011, H-136, H-146."""

import asyncio
import contextlib
import json
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import msgpack
import pytest
from websockets.exceptions import ConnectionClosed

from harness.client import next_address
from harness.doorward import Doorward
from harness.hypha import LIMIT_S, Hub, Refusal, packed, until

#: What a server's memory may grow by, whatever somebody sends.
GROWTH_LIMIT_BYTES = 128 << 20
PIECE_BYTES = 256 << 10


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A server of this file's own, which may be hurt."""
    with Doorward("dev", "--listen", "127.0.0.1:0", home=tmp_path_factory.mktemp("hostile")) as server:
        yield Hub(server)


def memory(hub) -> int:
    status = Path(f"/proc/{hub.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1]) << 10


@contextlib.asynccontextmanager
async def others_served(hub):
    """Somebody who is there before and after, a newcomer afterwards, and no more memory than is fair."""
    bystander, newcomer, before = hub.person(), hub.person(), memory(hub)
    async with contextlib.AsyncExitStack() as stack:
        wire = await hub.wired(stack, bystander)
        await wire.alive()
        yield
        await wire.alive()
        await (await hub.wired(stack, newcomer)).alive()
    assert memory(hub) - before < GROWTH_LIMIT_BYTES


async def poke(wire, *frames) -> bool:
    """Sends them; whether the connection outlived it."""
    try:
        for frame in frames:
            await wire.send(frame)
        await wire.alive()
    except (ConnectionClosed, ConnectionError):
        return False
    return True


def deep(opening: bytes, depth: int) -> bytes:
    return opening * depth + b"\xc0"


FRAMES = {
    "nothing": b"",
    "no msgpack": b"\xc1",
    "a number": b"\x07",
    "nil": b"\xc0",
    "a list": msgpack.packb(["method"]),
    "a text": msgpack.packb("method"),
    "cut short": packed({"type": "method", "to": "*"})[:-1],
    "a map of four billion": b"\xdf\xff\xff\xff\xff",
    "a list of four billion": b"\xdd\xff\xff\xff\xff",
    "bytes of four billion": b"\x81\xa4type\xc6\xff\xff\xff\xff",
    "a text of four billion": b"\xdb\xff\xff\xff\xff",
    "an extension": b"\xc7\x08\x7f12345678",
    "lists in lists": deep(b"\x91", 100_000),
    "maps in maps": deep(b"\x81\xa1a", 100_000),
    "deep under args": packed({"type": "method", "to": "*", "method": "x"}) + b"\x81\xa4args" + deep(b"\x91", 100_000),
    "maps as keys": b"\x81\x81\x01\x02\x03",
    "bytes as keys": msgpack.packb({b"type": b"method", b"to": b"*"}),
    "not UTF-8": b"\x82\xa4type\xa6method\xa2to\xa2\xff\xfe",
    "no type": packed({"to": "*", "method": "x"}),
    "no address": packed({"type": "method", "method": "x", "session": "s"}),
    "no method": packed({"type": "method", "to": "*", "session": "s"}),
    "a megabyte of nothing": bytes(1 << 20),
    "a megabyte of maps": b"\x80" * (1 << 20),
    "many members": msgpack.packb({str(number): number for number in range(200_000)}),
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES.keys())
async def test_a_frame_that_is_none_harms_nobody(hub, person_of, frame):
    async with others_served(hub), contextlib.AsyncExitStack() as stack:
        await poke(await hub.wired(stack, person_of), frame)


@pytest.fixture
def person_of(hub):
    return hub.person()


KINDS = [None, True, 7, -1, 0.5, "", "x", "\0", "x" * 70_000, b"\xff", [], [1], {}, {"a": 1}, "../..", "__proto__", "constructor"]


@pytest.mark.parametrize("member", ["type", "to", "from", "method", "session", "parent", "ws", "user"])
async def test_members_of_every_kind_harm_nobody(hub, person_of, member):
    async with others_served(hub), contextlib.AsyncExitStack() as stack:
        wire = await hub.wired(stack, person_of)
        for kind in KINDS:
            head = {"type": "method", "to": wire.address_of_hub, "from": "x", "method": "services.default.echo", "session": uuid4().hex, member: kind}
            if not await poke(wire, packed(head, {"args": [1], "promise": "*", "t": 15.0})):
                wire = await hub.wired(stack, person_of)


METHODS = """register_service unregister_service list_services get_service get_service_info list_clients ping generate_token parse_token revoke_token
    create_workspace delete_workspace get_workspace_info list_workspaces subscribe unsubscribe no_such __class__ echo.__globals__ . subscribe.""".split()


async def test_methods_of_the_hub_take_arguments_of_every_kind(hub, person_of):
    async with others_served(hub), contextlib.AsyncExitStack() as stack:
        wire = await hub.wired(stack, person_of)
        for method in METHODS:
            for kind in KINDS:
                with contextlib.suppress(Refusal):
                    await wire.call(wire.address_of_hub, f"services.default.{method}", kind)
        await wire.alive()


async def test_frames_before_the_first_one_have_no_effect(hub, person_of):
    async with others_served(hub), contextlib.AsyncExitStack() as stack:
        target = await hub.wired(stack, person_of)
        await target.ask_hub("subscribe", "news")
        to = f"{person_of.workspace}/{target.id}"
        for address in (to, f"{person_of.workspace}/*"):
            async with hub.wire() as wire:
                with contextlib.suppress(ConnectionClosed, ConnectionError):
                    await wire.send(packed({"type": "news", "to": address, "from": to, "ws": person_of.workspace, "user": {"id": person_of.id}}))
                    await wire.send(json.dumps({"client_id": "late", "token": None}))
                    await wire.closed(limit_s=10)
        session = await target.start(target.address_of_hub, "services.default.echo", 1)
        main, _ = await target.frame(lambda main: main["type"] == "news" or main.get("method") == f"{session}.resolve")
        assert main["type"] == "method"


async def test_a_second_hello_changes_nobody(hub, person_of):
    other = hub.person()
    async with contextlib.AsyncExitStack() as stack:
        wire, target = await hub.wired(stack, person_of), await hub.wired(stack, other)
        await wire.send(json.dumps({"client_id": target.id, "workspace": other.workspace, "token": other.token, "reconnection_token": None}))
        session = await wire.start(f"{other.workspace}/{target.id}", "x.y")
        main, _ = await target.frame(lambda main: main.get("session") == session)
        assert main["user"]["id"] == person_of.id and main["ws"] == person_of.workspace


ADDRESSES = [
    "", "*", "**", "*/*", "*/", "/*", "*/x", "*/manager-of-none", "*:*", "/x", "x/", "a/b/c", "../x", "x/../y", "\0/x", "x" * 5000,
    "public/*", "public/x", "public/*:hypha-login", "ws-user-root/*", "ws-user-root/x",
]


async def test_addresses_of_every_shape_reach_nobody_they_should_not(hub, person_of):
    stranger = hub.person()
    async with others_served(hub), contextlib.AsyncExitStack() as stack:
        outside, wire = await hub.wired(stack, stranger), await hub.wired(stack, person_of)
        await outside.ask_hub("subscribe", "news")
        for to in [*ADDRESSES, f"{stranger.workspace}/*", f"{stranger.workspace}/**", f"{stranger.workspace}/", f"{stranger.workspace}"]:
            for kind in ("news", "force-exit", "client_disconnected"):
                if not await poke(wire, packed({"type": kind, "to": to, "data": {"id": "x", "workspace": stranger.workspace}, "reason": "x"})):
                    wire = await hub.wired(stack, person_of)
        session = await outside.start(outside.address_of_hub, "services.default.echo", 1)
        main, _ = await outside.frame(lambda main: main["type"] in ("news", "force-exit", "client_disconnected") or main.get("method") == f"{session}.resolve")
        assert main["type"] == "method", "a broadcast stays in its sender's workspace"


async def test_nobody_is_the_hub_to_others(hub):
    """`*/manager` may fetch protected services and send people away, so no frame of a client comes from there."""
    owner, stranger = hub.person(), hub.person()
    async with hub.enter(owner, client_id="host") as host, contextlib.AsyncExitStack() as stack:
        await host.register_service({"id": "private", "say": lambda: "secret"})
        for who in (stranger, None):
            wire = await hub.wired(stack, who)
            to, own = f"{owner.workspace}/host", wire.address_of_hub
            for lies in ({}, {"from": own}, {"from": own, "ws": owner.workspace, "user": {"id": "root", "roles": ["admin"]}}):
                for method, args in (("services.private.say", []), ("services.built-in.get_service", ["private"])):
                    with pytest.raises(Refusal, match="(?i)permission denied"):
                        await wire.call(to, method, *args, **lies)
            await wire.send(packed({"type": "force-exit", "to": to, "from": own, "reason": "go"}))
        assert await host.echo("still here") == "still here"


IDS = ["..", "../..", "a/../b:c", "*", "*:*", "*/*:*", "a:b:c", "a/b/c", "a@b@c", "", ":", "/", "@", "\0", "x" * 10_000, "ü", "%2e%2e", "ws/*", "public/*:*", "?[a-z]", "a\nb"]


@pytest.mark.parametrize("id", IDS, ids=repr)
async def test_ids_of_services_that_are_none_find_nothing_and_name_nothing(hub, person_of, id):
    owner = hub.person()
    async with hub.enter(owner, client_id="host") as host, contextlib.AsyncExitStack() as stack:
        await host.register_service({"id": "private", "say": lambda: "secret"})
        wire = await hub.wired(stack, person_of)
        for asked_for in (id, f"{owner.workspace}/{id}", f"{owner.workspace}/*:{id}"):
            with contextlib.suppress(Refusal):
                found = await wire.ask_hub("get_service_info", asked_for)
                assert "private" not in json.dumps(found, default=str)
            with contextlib.suppress(Refusal):
                listed = await wire.ask_hub("list_services", asked_for)
                assert "private" not in json.dumps(listed, default=str)
        for given in (id, f"{wire.id}:{id}", f"{person_of.workspace}/{wire.id}:{id}"):
            with contextlib.suppress(Refusal):
                await wire.ask_hub("register_service", {"id": given, "type": "generic", "config": {"visibility": "public"}})
        mine = {service["id"] for service in await wire.ask_hub("list_services")}
        assert all(service.startswith(f"{person_of.workspace}/") and service.count("/") == 1 and service.count(":") == 1 for service in mine)


async def test_pieces_that_are_never_put_together_are_let_go(hub, person_of):
    async with others_served(hub), contextlib.AsyncExitStack() as stack:
        wire = await hub.wired(stack, person_of)
        piece = bytes(PIECE_BYTES)
        with contextlib.suppress(ConnectionClosed, ConnectionError, Refusal):
            for number in range(100):
                key = f"key-{number}"
                await wire.call(wire.address_of_hub, "services.built-in.message_cache.create", key, False)
                for index in range(10):
                    await wire.start(wire.address_of_hub, "services.built-in.message_cache.set", key, index, piece, False)
                await wire.call(wire.address_of_hub, "services.default.echo", number)


async def test_a_message_without_end_is_cut_off(hub, person_of):
    async def endless():
        for _ in range(4096):
            yield bytes(64 << 10)

    async with others_served(hub), contextlib.AsyncExitStack() as stack:
        wire = await hub.wired(stack, person_of)
        with contextlib.suppress(ConnectionClosed, ConnectionError, TimeoutError):
            await asyncio.wait_for(wire.socket.send(endless()), LIMIT_S)


async def test_what_unpacks_to_much_is_not_unpacked(hub, person_of):
    async with others_served(hub):
        async with hub.wire(compression="deflate") as wire:
            assert (await wire.hello(token=person_of.token))["type"] == "connection_info"
            with contextlib.suppress(ConnectionClosed, ConnectionError, TimeoutError):
                await wire.send(bytes(256 << 20))
                await wire.closed(limit_s=5)


async def test_long_texts_are_passed_over(hub, person_of):
    async with others_served(hub), contextlib.AsyncExitStack() as stack:
        wire = await hub.wired(stack, person_of)
        await wire.send("x" * 1001)
        await wire.send(json.dumps({"type": "ping", "more": "x" * 1001}))
        await wire.send(json.dumps({"type": "ping"}))
        assert await wire.text() == {"type": "pong"}
        await poke(wire, "x" * (8 << 20))
        for text in ("[]", "7", "null", '"ping"', '{"type": ["ping"]}', "[" * 500):
            await poke(await hub.wired(stack, person_of), text)


async def test_two_hundred_who_say_nothing_keep_nobody_out(hub, person_of):
    host, port = urlsplit(hub.url).hostname, urlsplit(hub.url).port
    lines = [f"GET {urlsplit(hub.url).path}/ws HTTP/1.1", f"Host: {host}:{port}", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
    upgrade = "\r\n".join([*lines, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", ""])
    opened = []
    try:
        for number in range(200):
            reader, writer = await asyncio.open_connection(host, port, local_addr=(next_address(), 0))
            writer.write(upgrade.encode() if number % 2 else upgrade.encode()[:-2])
            opened.append((reader, writer))
        async with others_served(hub):
            async with hub.enter(person_of) as server:
                assert await asyncio.wait_for(server.echo(1), LIMIT_S) == 1
        # Those that were upgraded are closed after five seconds of silence.
        async with asyncio.timeout(LIMIT_S):
            answers = await asyncio.gather(*(reader.read() for reader, _ in opened[1::2]))
        assert all(answer.startswith(b"HTTP/1.1 101") for answer in answers)
    finally:
        for _, writer in opened:
            writer.transport.abort()


async def test_who_stops_reading_costs_a_bounded_memory(hub, person_of):
    async with others_served(hub), contextlib.AsyncExitStack() as stack:
        # Its own queue is full after one frame, and then nothing is taken from the socket any more.
        deaf = await stack.enter_async_context(hub.wire(max_queue=1))
        assert (await deaf.hello(token=person_of.token))["type"] == "connection_info"
        to = f"{person_of.workspace}/{deaf.id}"
        talker = await hub.wired(stack, person_of)
        piece = bytes(PIECE_BYTES)
        with contextlib.suppress(ConnectionClosed, ConnectionError, TimeoutError):
            for number in range(1200):
                await asyncio.wait_for(talker.socket.send(packed({"type": "method", "to": to, "method": "x"}, {"args": [piece]})), 5)
                if number % 100 == 0:
                    assert memory(hub) < (1 << 30)
        again = await hub.wired(stack, person_of)
        await again.alive()


async def test_who_never_answers_keeps_only_the_askers_waiting(hub, person_of):
    async with others_served(hub), contextlib.AsyncExitStack() as stack:
        silent, caller = await hub.wired(stack, person_of), await hub.wired(stack, person_of)
        with contextlib.suppress(Refusal):
            await silent.ask_hub("register_service", {"id": f"{silent.id}:built-in", "type": "built-in", "config": {"visibility": "public"}})
            await silent.ask_hub("register_service", {"id": f"{silent.id}:mute", "type": "generic", "config": {"visibility": "public"}})
        for _ in range(500):
            await caller.start(caller.address_of_hub, "services.default.get_service", f"{silent.id}:mute")
        await caller.alive()


async def test_many_who_come_and_go_leave_nothing_behind(hub, person_of):
    async with others_served(hub), hub.enter(person_of) as watcher:
        for _ in range(10):
            async with contextlib.AsyncExitStack() as stack:
                await asyncio.gather(*(hub.wired(stack, person_of) for _ in range(20)))

        async def alone():
            return len(await watcher.list_clients()) == 1

        await until(alone, "everybody else is gone")
