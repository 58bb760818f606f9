"""What one client, and everybody together, may take: room for what waits, and the rate at which frames are read. H-146."""

import asyncio
import contextlib

import pytest
from websockets.exceptions import ConnectionClosed

from harness.doorward import Doorward
from harness.hypha import LIMIT_S, Hub, Refusal

PART = bytes(1 << 20)
CACHE = "services.built-in.message_cache"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A server with as little room as there may be: 64 MiB, half of it for one address."""
    config = tmp_path_factory.mktemp("hypha-small-config") / "doorward.toml"
    config.write_text("[mounts.hypha]\nwaiting_mib = 64\n")
    with Doorward("dev", "--listen", "127.0.0.1:0", "--config", config, home=tmp_path_factory.mktemp("hypha-small")) as server:
        yield Hub(server)


async def at(hub, stack, address: str):
    wire = await stack.enter_async_context(hub.wire(local_addr=(address, 0)))
    assert (await wire.hello(token=hub.person().token))["type"] == "connection_info"
    return wire


async def begun(wire, parts: int) -> None:
    """A message of so many MiB that is never whole."""
    await wire.call(wire.address_of_hub, f"{CACHE}.create", "key", False)
    for part in range(parts):
        await wire.call(wire.address_of_hub, f"{CACHE}.set", "key", part, PART, False)


async def test_the_clients_of_one_address_have_half_of_the_room_and_give_it_back(small):
    async with contextlib.AsyncExitStack() as others:
        neighbour = await at(small, others, "127.0.9.1")
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(2):
                await begun(await at(small, stack, "127.0.9.9"), 15)
            third = await at(small, stack, "127.0.9.9")
            with pytest.raises(Refusal, match="no room for more messages that wait; try again later"):
                await begun(third, 3)
            await third.alive()
            await begun(neighbour, 15)
            await neighbour.alive()

        async def again() -> bool:
            async with contextlib.AsyncExitStack() as stack:
                with contextlib.suppress(Refusal):
                    await begun(await at(small, stack, "127.0.9.9"), 3)
                    return True
            return False

        async with asyncio.timeout(LIMIT_S):
            while not await again():
                pass


async def filled(wire) -> None:
    """As much of the room as there is, in messages that are never whole."""
    await wire.call(wire.address_of_hub, f"{CACHE}.create", "key", False)
    size, part = len(PART), 0
    while size >= 4096 and part < 256:
        try:
            await wire.call(wire.address_of_hub, f"{CACHE}.set", "key", part, bytes(size), False)
            part += 1
        except Refusal:
            size //= 2


async def test_whoever_fills_the_share_of_one_address_has_nobody_of_another_let_go(small):
    async with contextlib.AsyncExitStack() as stack:
        good = small.person()
        ends = [await stack.enter_async_context(small.wire(local_addr=(f"127.0.9.{n}", 0), max_queue=1)) for n in (1, 2)]
        for end in ends:
            assert (await end.hello(token=good.token))["type"] == "connection_info"
        sender, slow = ends
        # Much waits for one who is slow, and nothing is wrong with that.
        for _ in range(13):
            await sender.start(f"{slow.info['workspace']}/{slow.id}", "services.x.y", PART)
        await sender.alive()
        evil = small.person()
        wires = []
        for _ in range(4):
            wires.append(await stack.enter_async_context(small.wire(local_addr=("127.0.9.9", 0))))
            assert (await wires[-1].hello(token=evil.token))["type"] == "connection_info"
        for wire in wires[:3]:
            await filled(wire)
        with pytest.raises(Refusal, match="no room for more messages that wait"):
            await wires[3].call(f"{wires[0].info['workspace']}/{wires[0].id}", "services.x.y", PART)
        with pytest.raises(TimeoutError):
            await slow.closed(3)


async def test_where_all_the_room_is_taken_those_who_hold_most_give_it_back(small):
    async with contextlib.AsyncExitStack() as stack:
        evil = [await at(small, stack, address) for address in ("127.0.9.8", "127.0.9.9") for _ in range(3)]
        for wire in evil:
            await filled(wire)
        good = small.person()
        sender, receiver = [await stack.enter_async_context(small.wire(local_addr=(f"127.0.9.{n}", 0))) for n in (1, 2)]
        for end in (sender, receiver):
            assert (await end.hello(token=good.token))["type"] == "connection_info"
        to = f"{receiver.info['workspace']}/{receiver.id}"
        # The first may be told to try again; by then there is room.
        with contextlib.suppress(Refusal, TimeoutError):
            await asyncio.wait_for(sender.call(to, "services.x.y", bytes(100 << 10)), 6)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sender.call(to, "services.x.y", bytes(100 << 10)), 4)
        await sender.alive()


@pytest.mark.parametrize("what", ["pings", "pongs"])
async def test_frames_that_are_no_messages_count_as_messages(small, what):
    async with contextlib.AsyncExitStack() as stack:
        wire = await small.wired(stack, small.person())
        send = wire.socket.ping if what == "pings" else wire.socket.pong
        with contextlib.suppress(ConnectionClosed):
            for number in range(4000):
                await send(str(number).encode())
        code, reason = await wire.closed()
        assert code == 1008 and "Rate limit" in reason
