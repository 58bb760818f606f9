"""Who calls is what the server says, whatever a caller writes into kwargs, bodies and frames: H-136.

The clients build a context from a frame's head, and then lay the second map of the frame over it, so a server that
passes that map on unread lets every caller be anybody.
"""

import contextlib
import json
from uuid import uuid4

import msgpack
import pytest
from websockets.exceptions import ConnectionClosed

from harness.hypha import Refusal, asked, packed

ROOT = {"id": "root", "roles": ["admin"], "is_anonymous": False, "email": "root@example.org"}


class Witness:
    """A provider that writes down who called."""

    def __init__(self, server) -> None:
        self.server, self.seen = server, []

    async def stand(self) -> None:
        for visibility in ("public", "protected"):
            config = {"visibility": visibility, "require_context": True}
            # A function of its own for each: the client keeps what it knows of a function by the function.
            await self.server.register_service({"id": visibility, "config": config, "note": lambda mark=None, context=None: self.note(mark, context)})

    def note(self, mark, context):
        self.seen.append((mark, context["user"]["id"], context["from"], context["ws"]))
        return context["user"]["id"]


@contextlib.asynccontextmanager
async def stage(hub):
    """Owner's witness, the caller's client, and the caller's raw connection."""
    owner, caller = hub.person(), hub.person()
    async with hub.enter(owner, client_id="host") as host, hub.enter(caller) as server, contextlib.AsyncExitStack() as stack:
        witness = Witness(host)
        await witness.stand()
        yield owner, caller, witness, server, await hub.wired(stack, caller)


def forgery(owner) -> dict:
    return {"user": ROOT, "ws": owner.workspace, "from": f"{owner.workspace}/host", "to": f"{owner.workspace}/host", "connection_type": "websocket"}


async def test_no_context_in_arguments_is_believed(hub):
    async with stage(hub) as (owner, caller, witness, server, _):
        service = await server.get_service(f"{owner.workspace}/public")
        forged = forgery(owner)
        with contextlib.suppress(Exception):
            await service.note("keyword", context=forged)
        path = f"/{owner.workspace}/services/public/note"
        await asked(caller.http, "POST", path, json={"mark": "json", "context": forged})
        await asked(caller.http, "GET", path, params={"mark": "query", "context": json.dumps(forged)})
        body = msgpack.packb({"mark": "msgpack", "context": forged})
        await asked(caller.http, "POST", path, data=body, headers={"Content-Type": "application/msgpack"})
        assert await service.note("last") == caller.id
        assert {user for _, user, _, _ in witness.seen} == {caller.id}, witness.seen


@pytest.mark.parametrize("visibility", ["public", "protected"])
@pytest.mark.parametrize("place", ["head", "tail"])
@pytest.mark.parametrize("fields", ["ctx", "context", "from", "user", "ws", "ctx from", "ctx from user ws to", "type method"])
async def test_no_frame_makes_its_sender_somebody_else(hub, place, fields, visibility):
    async with stage(hub) as (owner, caller, witness, server, wire):
        forged = forgery(owner)
        offered = {"ctx": {**forged, "type": "method"}, "context": forged, **forged, "type": "method", "method": "services.protected.note"}
        lies = {name: offered[name] for name in fields.split()}
        to = f"{owner.workspace}/host"
        head = {"type": "method", "from": f"{caller.workspace}/{wire.id}", "to": to, "method": f"services.{visibility}.note", "session": uuid4().hex}
        tail = {"args": ["lie"], "promise": "*", "t": 15.0}
        await wire.send(packed({**head, **(lies if place == "head" else {})}, {**tail, **(lies if place == "tail" else {})}))
        await call_honestly(owner, caller, server, wire)
        assert_truth(witness, caller, allowed={"lie", "honest"} if visibility == "public" and "method" not in lies else {"honest"})


async def call_honestly(owner, caller, server, wire) -> None:
    """After a lie and, where the server did not hang up on the liar, on the same connection."""
    try:
        assert await wire.call(f"{owner.workspace}/host", "services.public.note", "honest") == caller.id
    except ConnectionClosed:
        assert await (await server.get_service(f"{owner.workspace}/public")).note("honest") == caller.id


def assert_truth(witness, caller, allowed: set[str]) -> None:
    for mark, user, sender, workspace in witness.seen:
        assert mark in allowed, "a protected method ran for a stranger"
        assert (user, sender.split("/")[0], workspace) == (caller.id, caller.workspace, caller.workspace), mark


@pytest.mark.parametrize("fields", ["ctx", "from", "ctx from user ws to"])
async def test_a_lie_in_pieces_is_a_lie(hub, fields):
    """What is too large for a frame goes through the receiver's cache of pieces."""
    async with stage(hub) as (owner, caller, witness, server, wire):
        forged = forgery(owner)
        offered = {"ctx": {**forged, "type": "method"}, **forged}
        to, key = f"{owner.workspace}/host", uuid4().hex
        head = {"type": "method", "from": to, "to": to, "method": "services.public.note", "session": uuid4().hex, "ctx": offered["ctx"]}
        whole = packed(head, {"args": ["lie"], "promise": "*", "t": 15.0, **{name: offered[name] for name in fields.split()}})
        half = len(whole) // 2
        with contextlib.suppress(Refusal, ConnectionClosed):
            await wire.call(to, "services.built-in.message_cache.create", key, False)
            for index, piece in enumerate((whole[:half], whole[half:])):
                await wire.call(to, "services.built-in.message_cache.set", key, index, piece, False)
            await wire.call(to, "services.built-in.message_cache.process", key, False)
        await call_honestly(owner, caller, server, wire)
        assert_truth(witness, caller, allowed={"lie", "honest"})


async def test_a_lie_in_pieces_of_pieces_or_behind_left_ones_is_a_lie(hub):
    """Pieces go to nobody before the whole was looked at, and a whole is no piece."""
    async with stage(hub) as (owner, caller, witness, server, wire):
        forged = forgery(owner)
        to = f"{owner.workspace}/host"
        cache = "services.built-in.message_cache"
        head = {"type": "method", "from": to, "to": to, "method": "services.public.note", "session": uuid4().hex}
        lie = packed(head, {"args": ["lie"], "ctx": {**forged, "type": "method"}, **forged})

        async def in_pieces(key: str, *pieces: bytes) -> None:
            with contextlib.suppress(Refusal, ConnectionClosed):
                await wire.call(to, f"{cache}.create", key, False)
                for piece in pieces:
                    await wire.call(to, f"{cache}.append", key, piece)
                await wire.call(to, f"{cache}.process", key, False)

        for inner, args in (("create", ["k", False]), ("append", ["k", lie]), ("process", ["k", False])):
            await in_pieces(uuid4().hex, packed({**head, "method": f"{cache}.{inner}"}, {"args": args}))
        await in_pieces("again", lie)
        await in_pieces("again", packed(head, {"args": ["lie"]}))
        await call_honestly(owner, caller, server, wire)
        assert_truth(witness, caller, allowed={"lie", "honest"})


TAILS = {
    "none": b"",
    "two": msgpack.packb({"args": ["lie"]}) + msgpack.packb({"ctx": {"user": ROOT}}),
    "a list": msgpack.packb([1]),
    "no msgpack": b"\xc1",
    "cut short": msgpack.packb({"args": ["lie"]})[:-2],
}


@pytest.mark.parametrize("tail", TAILS.values(), ids=TAILS.keys())
async def test_a_frame_of_no_or_many_or_broken_tails_changes_nothing(hub, tail):
    async with stage(hub) as (owner, caller, witness, server, wire):
        to = f"{owner.workspace}/host"
        head = {"type": "method", "from": to, "to": to, "method": "services.public.note", "session": uuid4().hex}
        await wire.send(packed(head) + tail)
        await call_honestly(owner, caller, server, wire)
        assert {user for _, user, _, _ in witness.seen} == {caller.id}


async def test_a_member_twice_in_a_head_is_the_servers_choice_not_the_senders(hub):
    async with stage(hub) as (owner, caller, witness, server, wire):
        to = f"{owner.workspace}/host"
        pairs = [("type", "method"), ("to", to), ("method", "services.public.note"), ("session", uuid4().hex), ("user", ROOT), ("from", to), ("user", ROOT), ("from", to), ("ws", owner.workspace)]
        head = bytes([0x80 | len(pairs)]) + b"".join(msgpack.packb(part) for pair in pairs for part in pair)
        await wire.send(head + msgpack.packb({"args": ["lie"], "promise": "*", "t": 15.0}))
        await call_honestly(owner, caller, server, wire)
        assert_truth(witness, caller, allowed={"lie", "honest"})


async def test_a_forwarded_frame_says_the_truth_about_its_sender(hub):
    person, sender = hub.person(), hub.person()
    async with contextlib.AsyncExitStack() as stack:
        receiver, wire = await hub.wired(stack, person), await hub.wired(stack, sender)
        forged = {"from": f"{person.workspace}/{receiver.id}", "ws": person.workspace, "user": {"id": person.id}, "ctx": {"user": ROOT}}
        session = await wire.start(f"{person.workspace}/{receiver.id}", "any.thing", {"_rtype": "unheard of", "_rvalue": b"\0"}, **forged)
        main, extra = await receiver.frame(lambda main: main.get("session") == session)
        assert main["from"] == f"{sender.workspace}/{wire.id}" and main["to"] == f"{person.workspace}/{receiver.id}"
        assert main["ws"] == sender.workspace and main["user"]["id"] == sender.id and "ctx" not in main
        assert extra["args"] == [{"_rtype": "unheard of", "_rvalue": b"\0"}], "what follows the head is passed on as it is"
