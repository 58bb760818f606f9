"""ASGI applications that clients offer: bodies in parts both ways, and those who leave in between. H-120, H-121."""

import asyncio
import contextlib
import json
import re
from pathlib import Path

import httpx
import pytest
from hypha_rpc.rpc import Timer

from harness.doorward import Doorward
from harness.hypha import LIMIT_S, Hub, until

MIB = 1 << 20
#: Round trips through the server in which whatever could go on would have.
TURNS = 100
#: After so much silence the client gives a call up.
GIVES_UP_S = 8
GROWTH_BYTES = 96 * MIB
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def served(app) -> dict:
    """As the document registers one."""
    return {"id": "app", "type": "asgi", "config": {"visibility": "public"}, "serve": lambda args: app(args["scope"], args["receive"], args["send"])}


async def begin(send, status=200, kind=b"text/plain"):
    await send({"type": "http.response.start", "status": status, "headers": [[b"content-type", kind]]})


async def upload(parts):
    for part in parts:
        yield part


def resident_bytes(hub) -> int:
    status = Path(f"/proc/{hub.pid}/status").read_text()
    return int(re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)[1]) * 1024


@pytest.fixture
def http():
    return httpx.AsyncClient(timeout=2 * LIMIT_S, trust_env=False)


async def test_a_body_arrives_in_parts_and_whole(hub, person, http):
    seen = []

    async def app(scope, receive, send):
        body, sizes = b"", []
        while True:
            message = await receive()
            assert message["type"] == "http.request"
            body += message.get("body", b"")
            sizes.append(len(message["body"]))
            if not message.get("more_body"):
                break
        seen.append(sizes)
        await begin(send)
        await send({"type": "http.response.body", "body": f"{len(body)} {body[:4].decode()} {sum(body)}".encode()})

    parts = [bytes([number % 251]) * 32768 for number in range(64)]
    whole = b"".join(parts)
    async with hub.enter(person, client_id="host") as host, http:
        await host.register_service(served(app))
        url = f"{hub.url}/{person.workspace}/apps/app/upload"
        for content in (upload(parts), whole, b"abcd", b"", None, upload([b"a", b"b", b"cd"])):
            answer = await http.post(url, content=content)
            assert answer.status_code == 200, answer.text
        first = await http.post(url, content=upload(parts))
        assert first.text == f"{len(whole)} {whole[:4].decode()} {sum(whole)}"
    assert [sum(sizes) for sizes in seen] == [2 * MIB, 2 * MIB, 4, 0, 0, 4, 2 * MIB]
    assert len(seen[0]) > 8 and max(seen[0]) < MIB, "in parts"
    assert seen[2] == [4], "what is there is handed over at once"


async def test_a_part_is_handed_over_before_the_next_one_is_sent(hub, person, http):
    """Visitor and application take turns, which a body that is gathered first would not let them."""
    heard, told = asyncio.Queue(), asyncio.Queue()

    async def app(scope, receive, send):
        await begin(send)
        while True:
            message = await receive()
            await heard.put(message["body"])
            await send({"type": "http.response.body", "body": b"got " + message["body"], "more_body": bool(message["more_body"])})
            if not message["more_body"]:
                return

    async def turns():
        for number in range(3):
            yield b"part %d" % number
            assert await heard.get() == b"part %d" % number

    async with hub.enter(person, client_id="host") as host, http:
        await host.register_service(served(app))
        async with http.stream("POST", f"{hub.url}/{person.workspace}/apps/app/", content=turns()) as answer:
            text = "".join([part async for part in answer.aiter_text()])
    assert text.startswith("got part 0got part 1got part 2")


async def test_a_large_upload_to_a_slow_application_is_held_up_and_not_held(tmp_path_factory, http):
    with Doorward("dev", "--listen", "127.0.0.1:0", home=tmp_path_factory.mktemp("hypha-alone")) as server:
        hub = Hub(server)
        person, sent, go_on, first = hub.person(), 0, asyncio.Event(), asyncio.Event()

        async def app(scope, receive, send):
            total = 0
            while True:
                message = await receive()
                total += len(message["body"])
                first.set()
                await go_on.wait()
                if not message["more_body"]:
                    break
            await begin(send)
            await send({"type": "http.response.body", "body": str(total).encode()})

        async def pieces():
            nonlocal sent
            for _ in range(192):
                yield bytes(MIB)
                sent += MIB

        async with hub.enter(person, client_id="host") as host, http:
            await host.register_service(served(app))
            before = resident_bytes(hub)
            asking = asyncio.create_task(http.post(f"{hub.url}/{person.workspace}/apps/app/", content=pieces()))
            await asyncio.wait_for(first.wait(), LIMIT_S)

            async def stands():
                reached = sent
                for turn in range(TURNS):
                    assert await host.echo(turn) == turn
                return sent == reached

            await until(stands, "the upload is held up")
            assert sent < 192 * MIB // 2, "the visitor waits for the application"
            assert resident_bytes(hub) - before < GROWTH_BYTES
            go_on.set()
            answer = await asking
            assert answer.text == str(192 * MIB) and resident_bytes(hub) - before < GROWTH_BYTES


async def test_events_come_as_they_are_sent_and_the_application_hears_when_its_visitor_leaves(hub, person, http):
    """As Starlette streams: beside its events it waits in `receive` for the visitor to leave."""
    go_on, left, waited = asyncio.Queue(), asyncio.Event(), []

    async def app(scope, receive, send):
        await receive()
        await begin(send, kind=b"text/event-stream")

        async def listen():
            message = await receive()
            waited.append(message["type"])
            left.set()

        listening = asyncio.create_task(listen())
        with contextlib.suppress(Exception):
            while not left.is_set():
                number = await go_on.get()
                await send({"type": "http.response.body", "body": f"data: {number}\n\n".encode(), "more_body": True})
        await listening

    async with hub.enter(person, client_id="host") as host, http:
        await host.register_service(served(app))
        async with http.stream("GET", f"{hub.url}/{person.workspace}/apps/app/events") as answer:
            assert answer.headers["Content-Type"] == "text/event-stream"
            lines = answer.aiter_lines()
            for number in range(3):
                await go_on.put(number)
                assert await asyncio.wait_for(anext(lines), LIMIT_S) == f"data: {number}"
                assert await anext(lines) == ""
            assert not left.is_set(), "the visitor is there, and receive waits"
        await asyncio.wait_for(left.wait(), LIMIT_S)
        assert waited == ["http.disconnect"]
        await go_on.put("end")


async def test_receive_may_wait_for_longer_than_a_call_of_the_client_may_take(hub, person, http, monkeypatch):
    """The client gives a call up after so much silence, and hears meanwhile that it is waited for."""
    go_on, waits_since, reset = asyncio.Event(), [], Timer.reset

    def heard(timer):
        # But for an earlier beat the call would have been given up.
        if waits_since and asyncio.get_running_loop().time() - waits_since[0] > GIVES_UP_S:
            go_on.set()
        return reset(timer)

    monkeypatch.setattr(Timer, "reset", heard)

    async def app(scope, receive, send):
        body = b""
        while True:
            message = await receive()
            body += message["body"]
            if not message["more_body"]:
                break
        await begin(send)
        await send({"type": "http.response.body", "body": body})

    async def slowly():
        yield b"first "
        waits_since.append(asyncio.get_running_loop().time())
        await go_on.wait()
        yield b"last"

    async with hub.enter(person, client_id="host", method_timeout=GIVES_UP_S) as host, http:
        await host.register_service(served(app))
        answer = await http.post(f"{hub.url}/{person.workspace}/apps/app/", content=slowly())
        assert (answer.status_code, answer.text) == (200, "first last")


async def test_bodies_that_are_refused_reach_no_application(hub, person, http):
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["path"])
        while (await receive()).get("more_body"):
            pass
        await begin(send)
        await send({"type": "http.response.body", "body": b"ok"})

    async with hub.enter(person, client_id="host") as host, http:
        await host.register_service(served(app))
        url = f"{hub.url}/{person.workspace}/apps/app/"
        gzip = await http.post(url, content=b"x", headers={"Content-Encoding": "gzip"})
        assert gzip.status_code == 415
        reader, writer = await asyncio.open_connection(*httpx.URL(hub.url).netloc.decode().split(":"))
        path = httpx.URL(url).raw_path.decode()
        writer.write(f"POST {path} HTTP/1.1\r\nHost: {httpx.URL(hub.url).netloc.decode()}\r\nContent-Length: {1 << 40}\r\n\r\n".encode())
        assert b" 413 " in await asyncio.wait_for(reader.readline(), LIMIT_S)
        writer.close()
        assert seen == []
        assert (await http.post(url, content=b"x")).text == "ok" and json.dumps(seen) == '["/"]'
