"""What callers claim about themselves, frame by frame: nothing of it is passed on. H-136, H-146."""

import asyncio
import contextlib
import io

import msgpack
import pytest

from harness.hypha import LIMIT_S, Refusal, packed


@pytest.mark.parametrize("part", ["head", "rest"])
async def test_whom_a_caller_claims_to_be_is_never_passed_on(hub, part):
    """Clients lay what follows the head over it, `ctx` among it, so the head alone is not enough to guard."""
    owner, stranger = hub.person(), hub.person()
    claim = {"user": {"id": owner.id, "roles": ["admin"]}, "ws": owner.workspace, "from": f"{owner.workspace}/host", "ctx": {"user": {"id": owner.id, "roles": ["admin"]}, "ws": owner.workspace, "from": f"{owner.workspace}/host"}}
    async with contextlib.AsyncExitStack() as stack:
        host, wire = await hub.wired(stack, owner), await hub.wired(stack, stranger)
        plain = {"type": "method", "to": f"{owner.workspace}/{host.id}", "method": "any.thing", "session": "claimed"}
        frames = {
            "head": packed({**plain, **claim}, {"args": []}),
            "rest": packed(plain, {"args": [], **claim}),
        }
        await wire.send(frames[part])
        session = await wire.start(f"{owner.workspace}/{host.id}", "any.thing")
        frame = await host_frame(host, {"claimed", session})
        if frame is None:
            return
        heads = list(msgpack.Unpacker(io.BytesIO(frame), object_pairs_hook=list, max_buffer_size=0))
        names = [name for pairs in heads for name, _ in pairs]
        for name in ("from", "ws", "user", "to", "method", "type"):
            assert names.count(name) == 1, (name, heads)
        assert "ctx" not in names, heads
        head = dict(heads[0])
        assert head["from"] == f"{stranger.workspace}/{wire.id}" and head["ws"] == stranger.workspace and dict(head["user"])["id"] == stranger.id


async def host_frame(host, sessions: set[str]) -> bytes | None:
    """The frame with the claim, None if the honest call after it is the first to arrive."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            frame = await host.socket.recv()
            if isinstance(frame, bytes) and any(session.encode() in frame for session in sessions):
                return frame if b"claimed" in frame else None


async def test_what_the_server_alone_says_cannot_be_said_by_a_client(hub, person):
    async with hub.enter(person, client_id="caller") as caller, hub.enter(person, client_id="host") as host, contextlib.AsyncExitStack() as stack:
        go_on = asyncio.Event()

        async def wait():
            await go_on.wait()
            return "done"

        await host.register_service({"id": "slow", "wait": wait})
        service = await caller.get_service("slow")
        pending = asyncio.ensure_future(service.wait())
        target = f"{person.workspace}/caller"
        stranger = await hub.wired(stack, hub.person())
        left = {"id": f"{person.workspace}/host", "workspace": person.workspace}
        for to in (target, f"{person.workspace}/*", "*"):
            for head in ({"type": "client_disconnected", "data": left}, {"type": "force-exit", "reason": "go", "from": stranger.address_of_hub}):
                await stranger.send(packed({"to": to, **head}))
        await stranger.alive()
        assert await caller.echo("still here") == "still here"
        assert not pending.done(), "a stranger ends nobody's calls"
        go_on.set()
        assert await asyncio.wait_for(pending, LIMIT_S) == "done"


async def test_a_manager_is_asked_in_ones_own_name_only(hub, person):
    async with contextlib.AsyncExitStack() as stack:
        victim, stranger = await hub.wired(stack, person), await hub.wired(stack, hub.person())
        mine = stranger.info["workspace"]
        claim = {"ws": person.workspace, "from": f"{person.workspace}/{victim.id}", "user": victim.info["user"]}
        session = await stranger.start(stranger.address_of_hub, "services.default.list_clients", **claim)
        assert all(client["id"].startswith(f"{mine}/") for client in await stranger.end_of(session))
        context = {"ws": person.workspace, "user": victim.info["user"], "from": claim["from"]}
        with contextlib.suppress(Refusal):
            seen = await stranger.ask_hub("list_clients", context=context)
            assert all(client["id"].startswith(f"{mine}/") for client in seen)
        visitor = await hub.wired(stack)
        for main, kwargs in ((claim, {}), ({}, {"context": context})):
            with pytest.raises(Refusal):
                await visitor.call(visitor.address_of_hub, "services.default.create_workspace", {"id": f"made-by-{visitor.id}", "name": "x"}, kwargs=kwargs or None, **main)
