"""Coming in and leaving, with PyPI `hypha-rpc` and frame by frame: H-008, H-009, H-010, H-011, H-012, H-153."""

import asyncio
import contextlib
import json
import time

import pytest
from hypha_rpc.rpc import RemoteException
from websockets.exceptions import InvalidStatus

from harness.hypha import LIMIT_S, Refusal, asked, until

ANONYMOUS_LIFE_S = 600
RECONNECTION_LIFE_S = 172800.0


async def clients_of(server) -> set[str]:
    return {client["id"] for client in await server.list_clients()}


async def test_a_token_enters_as_its_user_in_their_own_workspace_and_leaves_no_trace(hub, person):
    async with hub.enter(person) as watcher:
        async with hub.enter(person, client_id="guest") as server:
            assert server.config.workspace == person.workspace
            assert server.config.user["id"] == person.id and not server.config.user["is_anonymous"]
            assert server.config.client_id == "guest" and server.config.public_base_url == hub.url
            assert await server.echo("hello") == "hello"
            assert f"{person.workspace}/guest" in await clients_of(watcher)
            assert await watcher.ping("guest") == "pong"
        await until(lambda: gone(watcher, f"{person.workspace}/guest"), "the client is gone")


async def gone(server, client: str) -> bool:
    return client not in await clients_of(server)


async def test_the_first_answer_says_where_and_as_whom(hub, person):
    async with hub.wire() as wire:
        info = await wire.hello(token=person.token, client_id="first")
        assert info["type"] == "connection_info"
        assert (info["workspace"], info["client_id"]) == (person.workspace, "first")
        assert info["public_base_url"] == hub.url
        assert info["reconnection_token_life_time"] == RECONNECTION_LIFE_S and info["reconnection_token"]
        assert info["hypha_version"] and info["manager_id"]
        user = info["user"]
        assert user["id"] == person.id and user["scope"]["workspaces"][person.workspace] == "a"
        assert user["scope"]["current_workspace"] == person.workspace and user["scope"]["client_id"] == "first"
        await wire.alive()


@pytest.mark.parametrize("junk", ["junk", "a.b.c", "x" * 5000, "eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290In0."])
async def test_a_token_that_is_none_is_refused_by_an_error_frame_and_a_close_1008(hub, junk):
    async with hub.wire() as wire:
        assert wire.socket.response.status_code == 101
        answer = await wire.hello(token=junk)
        assert answer["type"] == "error" and answer["message"].startswith("Authentication error: "), answer
        code, reason = await wire.closed()
        assert code == 1008 and reason and answer["message"].startswith(reason)


async def test_a_junk_token_ends_the_clients_connect_without_another_try(hub):
    with pytest.raises(ConnectionAbortedError, match="^Authentication error: "):
        await asyncio.wait_for(hub.enter("junk").__aenter__(), LIMIT_S)


async def test_an_expired_tokens_refusal_says_so(hub, person):
    async with hub.enter(person) as server:
        token = await server.generate_token({"expires_in": 1})

    async def refused():
        async with hub.wire() as wire:
            answer = await wire.hello(token=token)
            return answer if answer["type"] == "error" else None

    answer = await until(refused, "the token expires")
    assert answer["message"].startswith("Authentication error: ") and "expired" in answer["message"]
    with pytest.raises(ConnectionAbortedError, match="expired"):
        await hub.enter(token).__aenter__()
    over_http = await asked(hub.http(token), "GET", f"/{person.workspace}/services/")
    assert over_http.status_code == 401 and "expired" in over_http.json()["detail"]


async def test_nobody_in_particular_gets_a_workspace_of_their_own_for_ten_minutes(hub):
    async with hub.enter() as server:
        user = server.config.user
        assert user["id"].startswith("anonymouz-") and user["is_anonymous"] and user["roles"] == ["anonymous"]
        assert server.config.workspace == f"ws-user-{user['id']}"
        with pytest.raises(Exception, match="Only registered user can create workspace"):
            await server.create_workspace({"name": "not-for-visitors", "id": "not-for-visitors"})
    async with hub.wire() as wire:
        info = await wire.hello()
        # The clock of this machine is the server's.
        left = info["user"]["expires_at"] - time.time()
        assert 0 < left <= ANONYMOUS_LIFE_S + 1


async def test_two_visitors_are_two(hub):
    async with hub.enter() as one, hub.enter() as other:
        assert one.config.workspace != other.config.workspace
        assert all(other.config.workspace not in client for client in await clients_of(one))


@pytest.mark.parametrize("query", ["token=x", "workspace=public", "client_id=abc", "reconnection_token=x", "client_id=a&workspace=b&token=c"])
async def test_what_old_clients_say_in_the_address_is_closed_1008_and_never_403(hub, query):
    try:
        async with hub.wire(f"/ws?{query}") as wire:
            code, _ = await wire.closed()
            assert code == 1008
    except InvalidStatus as answer:
        raise AssertionError(f"the upgrade was refused with {answer.response.status_code}") from None


@pytest.mark.parametrize(
    ("name", "frame", "codes"),
    [
        ("no JSON", "hello", {1003}),
        ("JSON cut short", '{"client_id": "a"', {1003}),
        ("a list", "[]", {1001, 1003, 1006, 1008, 1011}),
        ("a number", "7", {1001, 1003, 1006, 1008, 1011}),
        ("no client", json.dumps({"workspace": None}), {1001, 1003, 1008}),
        ("a client that is a number", json.dumps({"client_id": 7}), {1001, 1003, 1008}),
        ("bytes", b"\x80", {1001, 1003, 1006, 1008, 1011}),
    ],
)
async def test_a_first_frame_that_is_none_is_closed(hub, name, frame, codes):
    async with hub.wire() as wire:
        await wire.send(frame)
        code, _ = await wire.closed()
        assert code in codes, name


@pytest.mark.parametrize("client", ["", "a/b", "a:b", "*", "a@b", "..", "a\nb", "\0", "x" * 5000], ids=repr)
async def test_an_id_that_could_be_taken_for_an_address_is_refused(hub, person, client):
    async with hub.wire() as wire:
        answer = await wire.hello(token=person.token, client_id=client)
        assert answer["type"] == "error", answer
        assert (await wire.closed())[0] in (1001, 1008)


async def test_who_says_nothing_is_closed_after_five_seconds(hub):
    async with hub.wire() as wire:
        code, reason = await wire.closed(limit_s=10)
        assert (code, reason) == (1008, "Authentication payload timeout")


async def test_a_second_client_with_an_id_in_use_is_refused_while_the_first_lives(hub, person):
    async with hub.enter(person, client_id="one-and-only") as first:
        with pytest.raises(ConnectionAbortedError, match="already exists and is active"):
            await asyncio.wait_for(hub.enter(person, client_id="one-and-only").__aenter__(), LIMIT_S)
        assert await first.echo("still here") == "still here"
        async with hub.enter(hub.person(), client_id="one-and-only") as elsewhere:
            assert await elsewhere.echo("here too") == "here too", "ids are a workspace's own"


async def test_a_token_for_one_client_is_refused_to_another(hub, person):
    async with hub.enter(person) as server:
        token = await server.generate_token({"client_id": "named"})
    async with hub.wire() as wire:
        answer = await wire.hello(token=token, client_id="other")
        assert answer["type"] == "error" and "Client id mismatch" in answer["message"], answer
        code, _ = await wire.closed()
        assert code in (1001, 1008)
    async with hub.enter(token, client_id="named") as server:
        assert server.config.workspace == person.workspace


async def test_a_workspace_that_is_anothers_or_missing_is_refused(hub, person):
    other = hub.person()
    async with hub.enter(other):
        told = set()
        for workspace in (other.workspace, "no-such-workspace"):
            async with hub.wire() as wire:
                answer = await wire.hello(token=person.token, workspace=workspace)
                assert answer["type"] == "error" and "does not exist or is not accessible" in answer["message"], answer
                told.add(answer["message"].replace(workspace, ""))
                code, reason = await wire.closed()
                assert code == 1001 and answer["message"].startswith(reason)
        assert len(told) == 1, "whether there is one is not told"
        async with hub.enter(person) as server:
            for workspace in (other.workspace, "no-such-workspace"):
                with pytest.raises(RemoteException, match=f"PermissionError: Permission denied for workspace {workspace}"):
                    await server.list_clients(workspace)
        async with hub.wire() as wire:
            answer = await wire.hello(workspace=other.workspace)
            assert answer["type"] == "error" and "is not accessible" in answer["message"], answer


async def test_ping_and_refresh_token_are_answered_in_text(hub, person):
    async with contextlib.AsyncExitStack() as stack:
        wire = await hub.wired(stack, person)
        await wire.send(json.dumps({"type": "ping"}))
        assert await wire.text() == {"type": "pong"}
        await wire.send(json.dumps({"type": "refresh_token"}))
        renewed = await wire.text()
        assert renewed.keys() == {"type", "reconnection_token"} and renewed["type"] == "reconnection_token"
        for text in ["", "no json", json.dumps({"type": "unheard of"}), json.dumps({"kind": "ping"}), json.dumps({"type": "ping", "more": "x" * 2000})]:
            await wire.send(text)
        await wire.send(json.dumps({"type": "ping"}))
        assert await wire.text() == {"type": "pong"}, "what is not understood is passed over"
        await wire.alive()


async def test_a_reconnection_token_is_for_its_client_and_workspace_alone(hub, person):
    async with contextlib.AsyncExitStack() as stack:
        wire = await hub.wired(stack, person, client_id="mine")
        token = wire.info["reconnection_token"]
    for fields, words in [
        ({"client_id": "another"}, ""),
        ({"client_id": "mine", "workspace": "public"}, ""),
        ({"client_id": "mine", "workspace": hub.person().workspace}, ""),
    ]:
        async with hub.wire() as wire:
            answer = await wire.hello(reconnection_token=token, **fields)
            assert answer["type"] == "error" and words in answer["message"], (fields, answer)
    async with hub.wire() as wire:
        back = await wire.hello(reconnection_token=token, client_id="mine", workspace=person.workspace)
        assert back["type"] == "connection_info" and back["user"]["id"] == person.id, back
        await wire.alive()
    async with hub.wire() as wire:
        forged = token[:-4] + ("AAAA" if not token.endswith("AAAA") else "BBBB")
        assert (await wire.hello(reconnection_token=forged, client_id="mine"))["type"] == "error"


async def test_a_reconnection_takes_the_place_of_the_connection_before(hub, person):
    async with contextlib.AsyncExitStack() as stack:
        old = await hub.wired(stack, person, client_id="mine")
        new = await hub.wired(stack, None, client_id="mine", reconnection_token=old.info["reconnection_token"])
        await old.closed()
        await new.alive()
        other = await hub.wired(stack, person)
        session = await other.start(f"{person.workspace}/mine", "services.x.y")
        await new.frame(lambda main: main.get("session") == session)


async def test_a_connection_that_is_cut_comes_back_with_its_client_id_and_services(hub, person):
    async with hub.enter(person, client_id="provider") as provider, hub.enter(person) as peer:
        await provider.register_service({"id": "greeter", "greet": lambda name: f"hello {name}"})
        greeter = await peer.get_service("greeter")
        assert await greeter.greet("once") == "hello once"
        cut = provider.rpc._connection._websocket
        cut.transport.abort()

        async def back():
            return provider.rpc._connection._websocket is not cut and f"{person.workspace}/provider:greeter" in {service["id"] for service in await peer.list_services()}

        await until(back, "the provider comes back by itself")
        again = await asyncio.wait_for(peer.get_service("greeter"), LIMIT_S)
        assert await asyncio.wait_for(again.greet("twice"), LIMIT_S) == "hello twice"
        assert await asyncio.wait_for(greeter.greet("thrice"), LIMIT_S) == "hello thrice", "what was fetched before the cut works on"
        assert f"{person.workspace}/provider" in await clients_of(peer)
        assert await provider.echo("the same session") == "the same session"


async def test_a_call_to_a_client_that_just_left_ends_with_words_and_soon(hub, person):
    async with contextlib.AsyncExitStack() as stack:
        caller = await hub.wired(stack, person)
        async with hub.enter(person, client_id="leaver"):
            pass
        to = f"{person.workspace}/leaver"

        async def left():
            return to not in {client["id"] for client in await caller.ask_hub("list_clients")}

        await until(left, "the client is gone")
        with pytest.raises(Refusal, match=f"{to} is not connected"):
            await caller.call(to, "services.default.anything")
