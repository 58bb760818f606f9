"""The plain HTTP transport and those who mean no good: what a client sends is taken from that client alone. H-011, H-136, H-146."""

import asyncio
import contextlib
import re
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from harness.client import next_address
from harness.doorward import Doorward
from harness.hypha import LIMIT_S, Hub, asked, packed, until
from harness.hypha_http import Line, client_of, said
from harness.hypha_values import mirror

MIB = 1 << 20
GROWTH_BYTES = 96 * MIB


async def narrower(hub, person) -> str:
    """A token of the same person's for their workspace alone, as a program gets by a login."""
    service = "/public/services/hypha-login"
    key = (await asked(hub.http(), "POST", f"{service}/start", json={"workspace": person.workspace})).json()["key"]
    done = await asked(hub.http(person.token), "POST", f"{service}/report", json={"key": key, "token": person.token, "workspace": person.workspace})
    assert done.status_code == 200, done.text
    return (await asked(hub.http(), "GET", f"{service}/check", params={"key": key, "timeout": 0})).json()


def detail(answer) -> str:
    body = answer.json()
    assert set(body) <= {"success", "detail", "request_id"} and body.get("success", False) is False, body
    return body["detail"]


async def test_what_a_client_sends_comes_with_its_own_token(hub, person):
    stranger = hub.person()
    child = await asked(person.http, "POST", "/public/services/ws/generate_token", json={"config": {"workspace": person.workspace, "permission": "admin"}})
    assert child.status_code == 200, child.text
    tokens = {"a stranger's": stranger.token, "nobody's": None, "a narrower one's": await narrower(hub, person), "a child's": child.json()}
    async with client_of() as other, Line(hub, person.token) as line:
        session, body = line.call_of(f"*/{line.info['manager_id']}", "services.default.echo", "forged")
        for whose, token in tokens.items():
            for frame in (body, said(type="refresh_token"), said(type="ping"), b"", b"\xc1"):
                answer = await line.post(frame, http=other, token=token)
                assert answer.status_code == 403 and "Permission denied" in detail(answer), (whose, answer.text)
        await line.post(said(type="ping"))
        main, _ = await line.frame()
        assert main == {"type": "pong"}, "nothing of what others sent was taken"
        assert (await line.post(said(type="ping"), token="junk")).status_code == 401
        await line.alive()


async def test_a_visitors_stream_is_known_by_its_cookie(hub):
    async with client_of() as other, Line(hub) as line, Line(hub) as neighbour:
        cookie = line.answer.headers["Set-Cookie"]
        assert "; HttpOnly; SameSite=Strict" in cookie and f"; Path={urlsplit(hub.url).path}/rpc" in cookie
        name, _, secret = cookie.partition(";")[0].partition("=")
        for headers in ({}, {"Cookie": f"{name}=guessed"}, {"Cookie": f"{name}="}, {"Cookie": f"{name}={secret}; {name}={secret}"}, {"Cookie": neighbour.answer.headers["Set-Cookie"].partition(";")[0]}):
            answer = await line.post(said(type="ping"), http=other, **headers)
            assert answer.status_code == 403 and "cookie" in detail(answer) and secret not in answer.text, headers
        taken = await neighbour.post(said(type="ping"), query={"client_id": line.info["client_id"], "workspace": line.info["workspace"]})
        assert taken.status_code == 403
        crossed = await line.post(said(type="ping"), Origin="http://evil.example", **{"Sec-Fetch-Site": "cross-site"})
        assert crossed.status_code == 403, "a page of another site has the browser's cookie sent, and is not taken for its client"
        await line.alive()
        await neighbour.alive()


async def test_somebody_with_a_token_is_not_taken_for_the_visitor_whose_cookie_they_have(hub, person):
    async with Line(hub) as line:
        assert (await line.post(said(type="ping"), token=person.token)).status_code == 403
        await line.alive()


async def test_whether_a_stranger_has_a_stream_is_told_to_nobody(hub, person):
    stranger = hub.person()
    async with Line(hub, person.token) as line:
        absent = {"client_id": "absent", "workspace": person.workspace}
        answers = [await line.post(said(type="ping"), token=stranger.token, query=query) for query in (None, absent)]
        assert [answer.status_code for answer in answers] == [403, 403] and detail(answers[0]) == detail(answers[1])
        own = await line.post(said(type="ping"), query=absent)
        assert own.status_code == 400 and "GET /rpc" in detail(own), "clients try again after 400"


@pytest.mark.parametrize(("query", "status"), [({"reconnection_token": "junk"}, 401), ({"workspace": "ws-nowhere"}, 403), ({"client_id": "a/b"}, 400), ({"client_id": "x" * 200}, 400)], ids=str)
async def test_streams_that_are_not_opened_say_why_by_their_status(hub, person, query, status):
    async with Line(hub, person.token, **query) as line:
        assert line.answer.status_code == status and line.answer.json()["detail"], line.answer.text


async def test_a_stream_is_opened_by_good_tokens_for_workspaces_of_theirs(hub, person):
    stranger = hub.person()
    async with hub.enter(person) as there:
        workspace = (await there.create_workspace({"name": f"team-{person.name}"}))["id"]
        for token, query, status in ((person.token + "x", {}, 401), ("junk", {}, 401), (stranger.token, {"workspace": workspace}, 403), (None, {"workspace": workspace}, 403)):
            async with Line(hub, token, **query) as line:
                assert line.answer.status_code == status, (query, line.answer.text)


async def test_what_a_client_comes_back_with_is_its_own(hub, person):
    stranger = hub.person()
    async with Line(hub, person.token, client_id="mine") as line:
        token = line.info["reconnection_token"]
        for whose, query in ((stranger.token, {}), (person.token, {"client_id": "other"}), (person.token, {"workspace": "public-x"}), (None, {"client_id": "other"})):
            async with Line(hub, whose, **{"client_id": "mine", "reconnection_token": token, **query}) as thief:
                assert thief.answer.status_code == 401, (query, thief.answer.text)
        await line.alive()
        async with Line(hub, None, client_id="mine", reconnection_token=token) as again:
            await again.alive()
            assert "Set-Cookie" in again.answer.headers, "it showed nothing else that it could show again"
            assert (await again.post(said(type="ping"), token=person.token)).status_code == 403


async def test_a_client_that_is_there_is_not_put_out_by_its_name(hub, person):
    async with hub.enter(person, client_id="here", transport="http") as there:
        async with Line(hub, person.token, client_id="here") as second:
            assert second.answer.status_code == 409 and "already exists" in detail(second.answer)
        assert await there.echo("still here") == "still here"


async def test_duplicate_names_have_no_reading(hub, person):
    async with client_of() as http:
        for query in ("client_id=a&client_id=b", "client_id=a&workspace=x&workspace=y"):
            for method in ("GET", "POST"):
                answer = await http.request(method, f"{hub.url}/rpc?{query}", headers={"Authorization": f"Bearer {person.token}"})
                assert answer.status_code == 400, query


async def test_what_is_no_frame_is_refused_and_the_stream_goes_on(hub, person):
    async with Line(hub, person.token) as line:
        for body in (b"", b"\xc1", b"\x07", b"\xdf\xff\xff\xff\xff", b"\x80", packed({"type": "method"}), packed({"type": "method", "to": "*"})[:-1], b"\x91" * 100_000, bytes(MIB)):
            answer = await line.post(body)
            assert answer.status_code == 400 and detail(answer), body[:8]
        for words in (said(type="junk"), said(type=["ping"]), said(type="connection_info", manager_id="x")):
            assert (await line.post(words)).status_code == 400
        assert (await line.post(bytes(2 * MIB + 1))).status_code == 413
        assert (await line.post(said(type="ping"), query={"workspace": person.workspace})).status_code == 400
        assert (await line.post(said(type="ping"), **{"Content-Encoding": "gzip"})).status_code == 415
        await line.alive()


async def test_nobody_says_for_somebody_else_who_calls(hub, person):
    stranger = hub.person()
    async with hub.enter(person, client_id="host") as host, Line(hub, stranger.token) as line:
        await host.register_service(mirror(visibility="public"))
        session, _ = line.call_of("x", "y")
        to = f"{person.workspace}/host"
        lies = {"type": "method", "from": to, "to": to, "method": "services.mirror.who", "session": session, "ws": person.workspace, "user": {"id": "root"}, "ctx": {"user": {"id": "root"}}}
        assert (await line.post(packed(lies, {"args": [], "promise": "*", "t": 15.0}))).status_code == 200
        main, extra = await line.frame(lambda main: main.get("method", "").startswith(session) and "heartbeat" not in main["method"])
        told = extra["args"][0]
        assert (told["id"], told["ws"], told["from"]) == (stranger.id, stranger.workspace, line.address)


async def test_a_token_that_is_revoked_ends_its_stream(hub, person):
    async with hub.enter(person) as owner:
        token = await owner.generate_token()
        async with Line(hub, token) as line:
            await line.alive()
            await owner.revoke_token(token)
            last = await line.end()
            assert [one for one in last if one["type"] == "error" and "ended" in one["message"]], last
            assert (await line.post(said(type="ping"))).status_code == 401


async def test_a_flood_of_requests_is_told_to_slow_down(hub, person):
    async with Line(hub, person.token) as line:
        parts = urlsplit(hub.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        path = f"{parts.path}/rpc?client_id={line.info['client_id']}&workspace={line.info['workspace']}"
        one = f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {person.token}\r\nContent-Length: 1\r\n\r\n\xc1"
        answers = b""
        for _ in range(100):
            # Without waiting for each: the limit fills again while anybody waits.
            writer.write(one.encode("latin-1") * 100)
            before = answers.count(b"HTTP/1.1 ")
            while answers.count(b"HTTP/1.1 ") < before + 100:
                answers += await asyncio.wait_for(reader.read(1 << 16), LIMIT_S)
            if b"HTTP/1.1 429 " in answers:
                break
            answers = b""
        writer.close()
        assert b"HTTP/1.1 429 " in answers
        refused = answers.split(b"HTTP/1.1 429 ")[1].lower()
        assert b"retry-after: 1" in refused and b"rate limit exceeded. please slow down." in refused
        assert (await line.frame(lambda main: main["type"] == "ping"))[0], "the stream goes on"


@pytest.fixture
def alone(tmp_path_factory):
    """A server of the test's own, whose memory nobody else fills."""
    with Doorward("dev", "--listen", "127.0.0.1:0", home=tmp_path_factory.mktemp("hypha-alone")) as server:
        yield Hub(server)


def resident_bytes(hub) -> int:
    status = Path(f"/proc/{hub.pid}/status").read_text()
    return int(re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)[1]) * 1024


async def test_a_client_that_does_not_read_its_stream_is_let_go(alone):
    person = alone.person()
    async with alone.enter(person) as watcher, Line(alone, person.token, client_id="sleeper") as line:
        before = resident_bytes(alone)
        for _ in range(200):
            if (await line.post(packed({"type": "method", "to": f"{person.workspace}/sleeper", "method": "x.y"}, {"args": [bytes(MIB)]}))).status_code != 200:
                break

        async def gone():
            return f"{person.workspace}/sleeper" not in {client["id"] for client in await watcher.list_clients()}

        await until(gone, "the sleeper is let go", limit_s=20)
        assert resident_bytes(alone) - before < GROWTH_BYTES


async def test_requests_that_never_end_cost_a_bounded_part_of_memory_and_hold_nobody(alone):
    person = alone.person()
    parts, host = urlsplit(alone.url), ("127.0.0.1", urlsplit(alone.url).port)
    async with Line(alone, person.token) as line:
        before, held = resident_bytes(alone), []
        with contextlib.ExitStack() as stack:
            address = next_address()
            for _ in range(200):
                one = stack.enter_context(socket.create_connection(host, timeout=5, source_address=(address, 0)))
                head = f"POST {parts.path}/rpc?client_id={line.info['client_id']}&workspace={line.info['workspace']} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {person.token}\r\nContent-Length: {2 * MIB}\r\n\r\n"
                one.sendall(head.encode())
                one.setblocking(False)
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    one.send(bytes(MIB))
                held.append(one)
                await asyncio.sleep(0)
            await line.alive()
            assert resident_bytes(alone) - before < GROWTH_BYTES
