"""Pieces of messages that are poured in and never put together: the server stays small and answers everybody else. H-146."""

import asyncio
import contextlib
import re
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from harness.doorward import Doorward
from harness.hypha import LIMIT_S, Hub, packed

MIB = 1 << 20
CHUNK = bytes(256 << 10)
#: What a server may grow by while somebody pours in four times as much.
GROWTH_BYTES = 96 * MIB
POURED_BYTES = 4 * GROWTH_BYTES


@pytest.fixture
def alone(tmp_path_factory):
    """A server of the test's own, whose memory nobody else fills."""
    with Doorward("dev", "--listen", "127.0.0.1:0", home=tmp_path_factory.mktemp("hypha-alone")) as server:
        yield Hub(server)


async def pour(wire, frames) -> None:
    """Sends until it is held up or thrown out: both are fine."""
    with contextlib.suppress(ConnectionClosed, TimeoutError):
        for frame in frames:
            await asyncio.wait_for(wire.socket.send(frame), 3)


async def drained(wire) -> None:
    with contextlib.suppress(ConnectionClosed):
        while True:
            await wire.socket.recv()


@contextlib.asynccontextmanager
async def bystanders(hub):
    """Somebody who is there before, and somebody who comes after: both are answered."""
    async with contextlib.AsyncExitStack() as stack:
        before = await hub.wired(stack, hub.person())
        await before.alive()
        yield
        await asyncio.wait_for(before.alive(), LIMIT_S)
        await asyncio.wait_for((await hub.wired(stack, hub.person())).alive(), LIMIT_S)


def resident_bytes(hub) -> int:
    status = Path(f"/proc/{hub.pid}/status").read_text()
    return int(re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)[1]) * 1024


async def test_pieces_that_are_never_put_together_cost_a_bounded_part_of_memory(alone):
    async with bystanders(alone), contextlib.AsyncExitStack() as stack:
        wire = await alone.wired(stack, alone.person())
        before = resident_bytes(alone)
        reading = asyncio.ensure_future(drained(wire))
        stack.callback(reading.cancel)

        def frames():
            for number in range(POURED_BYTES // len(CHUNK)):
                for method, args in (("create", [f"key{number}", False]), ("set", [f"key{number}", 0, CHUNK, False])):
                    head = {"type": "method", "to": wire.address_of_hub, "method": f"services.built-in.message_cache.{method}", "session": f"{method}{number}"}
                    yield packed(head, {"args": args, "promise": "*", "t": 15.0})

        await pour(wire, frames())
        assert resident_bytes(alone) - before < GROWTH_BYTES
