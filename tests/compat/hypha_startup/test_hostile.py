"""What others send to a start-up process's client past every check of the hub's: it ends nothing but itself, and takes no more than its room."""

import asyncio
import contextlib
import socket
import sys
from uuid import uuid4

import msgpack
import pytest
from _doorward_hypha import client as client_module
from _doorward_hypha import parts, sessions
from _doorward_hypha.client import Client
from _doorward_hypha.services import Service

from harness.hypha import packed, unpacked

INFO = {"type": "connection_info", "workspace": "public", "client_id": "files", "manager_id": "manager-m", "server_id": "m", "public_base_url": "http://here"}
USER = {"ws": "w", "user": {"id": "u"}}


class Alone:
    """A client without a hub: `say` puts a frame before it, `heard` is the next one of its own."""

    @classmethod
    @contextlib.asynccontextmanager
    async def made(cls):
        self, (ours, theirs) = cls(), socket.socketpair()
        self.kept: list = []
        ours.setblocking(False)
        self.reader, self.writer = await asyncio.open_unix_connection(sock=ours)
        self.bytes(msgpack.packb(INFO))
        self.client = await Client.connect(theirs)
        yield self
        self.client.close("the test is over")
        self.writer.close()

    def bytes(self, frame: bytes) -> None:
        self.writer.write(len(frame).to_bytes(4, "big") + frame)

    def say(self, main: dict, extra: dict | None = None) -> None:
        self.bytes(packed({"type": "method", "to": "public/files", **USER, **main}, extra))

    async def heard(self) -> tuple[dict, dict | None]:
        size = int.from_bytes(await asyncio.wait_for(self.reader.readexactly(4), 20), "big")
        return unpacked(await self.reader.readexactly(size))

    async def ask(self, method: str, *args, sender: str = "w/c", session: str | None = None, **main):
        """What the call comes to, or the words of what it raised."""
        session = session or uuid4().hex
        self.say({"from": sender, "method": method, "session": session, **main}, {"args": list(args), "promise": "*", "t": 15.0})
        return await self.end_of(session)

    async def end_of(self, session: str):
        while not (found := [pair for pair in self.kept if pair[0]["method"] in (f"{session}.resolve", f"{session}.reject")]):
            self.kept.append(await self.heard())
        main, extra = found[0]
        value = extra["args"][0]
        return value["_rvalue"] if main["method"].endswith(".reject") else value

    async def alive(self) -> None:
        assert await self.ask("services.built-in.ping", "x") == "pong"


@pytest.mark.parametrize(
    "frame",
    [
        b"", b"\xc1", b"\x80", msgpack.packb([1]), msgpack.packb({"type": "method"}), packed({"type": "method", "from": "x", "method": "services.built-in.ping"}),
        packed({"type": "method", "from": 7, "method": 7}), packed({"type": "method", "from": "w/c", "method": ""}), packed({"type": {"a": 1}}), packed({"type": "peer_not_found", "session": [1]}),
        packed({"type": "method", "from": "w/c", "method": "services.built-in.ping"}, {"args": 7}), packed({"type": "client_disconnected", "data": 7}),
        packed({"type": "method", "from": "w/c", "method": "services.built-in.ping", "session": {}}, {"promise": "*", "t": "soon", "with_kwargs": True}),
        packed({"type": "method", "from": "w/c", "method": "services.built-in.ping"}, {}) + b"\xc0", b"\x91" * 300_000, b"\xdf\xff\xff\xff\xff",
    ],
)
async def test_frames_that_are_none_end_nothing(frame):
    async with Alone.made() as alone:
        alone.bytes(frame)
        await alone.alive()


async def test_a_frame_that_says_four_gigabytes_ends_the_connection():
    async with Alone.made() as alone:
        waiting = alone.client.call(alone.client.hub, "services.default.echo")
        alone.writer.write(b"\xff\xff\xff\xff")
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(waiting, 20)


async def test_a_first_frame_of_another_kind_is_no_connection():
    ours, theirs = socket.socketpair()
    body = msgpack.packb({"type": "error", "message": "no"})
    ours.sendall(len(body).to_bytes(4, "big") + body)
    with pytest.raises(ConnectionError, match="no connection_info"):
        await Client.connect(theirs)
    ours.close()


async def test_answers_count_from_whom_was_asked_alone():
    async with Alone.made() as alone:
        answer = alone.client.call("w/asked", "services.x.y")
        main, _ = await alone.heard()
        session = main["session"]
        for sender in ("w/other", "w2/asked", "*/manager-m"):
            alone.say({"from": sender, "method": f"{session}.resolve"}, {"args": ["forged"]})
            alone.say({"from": sender, "method": f"{session}.reject"}, {"args": ["forged"]})
        alone.bytes(packed({"type": "peer_not_found", "from": "w/other", "session": session, "error": "forged"}))
        alone.bytes(packed({"type": "client_disconnected", "from": "w/other", "data": {"id": "w/asked"}}))
        await alone.alive()
        assert not answer.done()
        alone.say({"from": "w/asked", "method": f"{session}.resolve"}, {"args": ["true"]})
        assert await asyncio.wait_for(answer, 20) == "true"
        alone.say({"from": "w/asked", "method": f"{session}.resolve"}, {"args": ["again"]})
        await alone.alive()
        assert not alone.client.sessions.held


async def test_the_hub_says_that_a_peer_is_not_there():
    async with Alone.made() as alone:
        for event in ({"type": "peer_not_found", "peer_id": "w/x"}, {"type": "client_disconnected", "data": {"id": "w/x", "workspace": "w"}}):
            answer = alone.client.call("w/x", "services.x.y")
            main, _ = await alone.heard()
            alone.bytes(packed({**event, "session": main["session"]}))
            with pytest.raises(ConnectionError, match="is not connected"):
                await asyncio.wait_for(answer, 20)


async def test_messages_in_parts_have_room_order_and_one_sender():
    cache = "services.built-in.message_cache."
    async with Alone.made() as alone:
        whole = packed({"type": "method", "from": "w/root", "ws": "root", "user": {"id": "root"}, "method": "services.who.am_i", "session": "inner"}, {"promise": "*", "t": 15.0})
        alone.client.services["who"] = Service({"id": "who", "config": {"visibility": "public", "require_context": True}, "am_i": lambda context: [context["from"], context["ws"], context["user"]["id"]]})
        assert await alone.ask(cache + "create", "k") is None
        for index, part in ((1, whole[40:]), (0, whole[:40])):
            assert await alone.ask(cache + "set", "k", index, part) is None
        assert "does not exist" in await alone.ask(cache + "process", "k", sender="w/other")
        assert await alone.ask(cache + "process", "k") is None
        # Whatever the message says of itself: what counts is who sent its parts.
        assert await alone.end_of("inner") == ["w/c", "w", "u"]
        await alone.ask(cache + "create", "gap")
        await alone.ask(cache + "set", "gap", 1, b"x")
        assert "a part of the message is missing" in await alone.ask(cache + "process", "gap")
        for bad in ((-1, b"x"), (parts.MOST_PARTS, b"x"), ("1", b"x"), (0, "text")):
            await alone.ask(cache + "create", "bad", False, True)
            assert "ValueError" in await alone.ask(cache + "set", "bad", *bad)
        assert "there is a message of this key" in await alone.ask(cache + "create", "bad")
        assert "a key is a text" in await alone.ask(cache + "create", "x" * 300)
        assert "Session not found" in await alone.ask(cache + "create", "nobodys", True)
        nested = packed({"type": "method", "from": "w/c", "method": cache + "create"}, {"args": ["inner"]})
        await alone.ask(cache + "set", "bad", 0, nested)
        assert "no part of another" in await alone.ask(cache + "process", "bad")
        for number in range(parts.MOST_MESSAGES):
            await alone.ask(cache + "create", f"k{number}")
        assert "too many messages" in await alone.ask(cache + "create", "one more")
        assert await alone.ask(cache + "create", "k", sender="w/other") is None


def test_parts_take_their_room_and_time_and_no_more():
    now = [0.0]
    kept = parts.Parts(clock=lambda: now[0])
    kept.create("a", "k")
    for index in range(parts.MOST_BYTES // parts.PART):
        kept.put("a", "k", index, bytes(parts.PART))
    with pytest.raises(ValueError, match="too much room"):
        kept.put("a", "k", 100, b"x")
    kept.put("a", "k", 0, b"")
    assert kept.bytes == parts.MOST_BYTES - parts.PART
    now[0] = parts.PATIENCE_S + 1
    kept.create("b", "k")
    assert kept.bytes == 0 and list(kept.messages) == [("b", "k")]
    for sender in range(parts.MOST_BYTES_OF_ALL // parts.MOST_BYTES):
        kept.create(sender, "k")
        kept.put(sender, "k", 0, bytes(parts.MOST_BYTES))
    with pytest.raises(ValueError, match="too much room"):
        kept.put("b", "k", 0, b"x")


async def test_calls_sessions_and_what_waits_to_be_sent_are_bounded(monkeypatch):
    monkeypatch.setattr(client_module, "MOST_CALLS", 8)
    monkeypatch.setattr(sessions, "MOST", 8)
    gate = asyncio.Event()
    async with Alone.made() as alone:
        config = {"visibility": "public"}
        alone.client.services["held"] = Service({"id": "held", "config": config, "wait": gate.wait, "give": lambda: (lambda: 1)})
        for number in range(8):
            alone.say({"from": "w/c", "method": "services.held.wait", "session": f"s{number}"}, {"promise": "*", "t": 15.0})
        assert "too many calls" in await alone.ask("services.held.wait", session="late")
        gate.set()
        async with asyncio.timeout(20):
            while alone.client.calls:
                await asyncio.sleep(0)
        for _ in range(50):
            assert "_rmethod" in await alone.ask("services.held.give")
        assert len(alone.client.sessions.held) <= 8
        calls = [alone.client.call("w/x", "services.x.y") for _ in range(8)]
        with pytest.raises(RuntimeError, match="wait for their answers"):
            alone.client.call("w/x", "services.x.y")
        for call in calls:
            call.cancel()
        await asyncio.sleep(0)
        monkeypatch.setattr(client_module, "MOST_WAITING", 1 << 20)
        with pytest.raises(ConnectionError, match="too much waits"):
            for _ in range(40):
                alone.client.send(bytes(100_000))


async def test_answers_that_cannot_be_written_are_said():
    loop: list = []
    loop.append(loop)
    async with Alone.made() as alone:
        api = {"id": "odd", "config": {"visibility": "public"}, "object": lambda: object(), "loop": lambda: loop, "large": lambda: 2**70}
        alone.client.services["odd"] = Service(api)
        assert "object cannot be sent" in await alone.ask("services.odd.object")
        assert "RecursionError" in await alone.ask("services.odd.loop")
        assert "64 bits" in await alone.ask("services.odd.large")
        await alone.alive()


async def test_a_method_that_ends_or_cancels_is_answered_and_ends_nothing():
    async def cancelled():
        raise asyncio.CancelledError

    async with Alone.made() as alone:
        alone.client.services["odd"] = Service({"id": "odd", "config": {"visibility": "public"}, "leave": lambda: sys.exit(3), "cancelled": cancelled})
        assert "SystemExit: 3" in await alone.ask("services.odd.leave") and "CancelledError" in await alone.ask("services.odd.cancelled")
        await alone.alive()
        assert alone.client.calls == 0


async def test_arrays_of_objects_are_not_taken():
    async with Alone.made() as alone:
        alone.client.services["echo"] = Service({"id": "echo", "config": {"visibility": "public"}, "echo": lambda value: str(type(value))})
        for dtype in ("O", "object", "i4,O", 7, None):
            said = await alone.ask("services.echo.echo", {"_rtype": "ndarray", "_rvalue": bytes(8), "_rshape": [1], "_rdtype": dtype})
            assert "Error" in said, (dtype, said)
        for broken in ({"_rtype": "method"}, {"_rtype": "set", "_rvalue": [[1]]}, {"_rtype": "memoryview"}, {"_rtype": "orderedmap", "_rvalue": 7}):
            assert "Error" in await alone.ask("services.echo.echo", broken)
        await alone.alive()
