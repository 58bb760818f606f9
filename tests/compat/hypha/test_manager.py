"""Settings, bookmarks and events of workspaces: what the manager keeps beside services and tokens."""

import contextlib
from uuid import uuid4

import pytest
from hypha_rpc.rpc import RemoteException

from harness.hypha import Refusal, asked


def fresh(prefix: str = "lab") -> str:
    return f"{prefix}-{uuid4().hex[:10]}"


async def test_settings_are_for_the_workspaces_administrators(hub, person):
    async with hub.enter(person) as server:
        assert await server.get_env() == {}
        await server.set_env("API_KEY", "s3cret čaj")
        await server.set_env("OTHER", "")
        assert await server.get_env("API_KEY") == "s3cret čaj" and await server.get_env() == {"API_KEY": "s3cret čaj", "OTHER": ""}
        assert "s3cret" not in str(await server.get_workspace_info(person.workspace)) + str(await server.list_workspaces())
        writing = await server.generate_token({"permission": "read_write"})
        async with contextlib.AsyncExitStack() as stack:
            wire = await hub.wired(stack, writing)
            for method, args in {"get_env": ["API_KEY"], "set_env": ["API_KEY", "x"]}.items():
                with pytest.raises(Refusal, match="Permission denied"):
                    await wire.ask_hub(method, *args)
        await server.set_env("API_KEY", None)
        with pytest.raises(RemoteException, match="KeyError: 'Environment variable"):
            await server.get_env("API_KEY")
    async with hub.enter(person) as again:
        assert await again.get_env() == {"OTHER": ""}, "kept when nobody is there"
    async with hub.enter() as visitor:
        with pytest.raises(RemoteException, match="Permission"):
            await visitor.set_env("A", "b")
    stored = b"".join(file.read_bytes() for file in hub.server.data_dir.rglob("*") if file.is_file())
    assert b"s3cret" not in stored


async def test_settings_are_bounded_and_go_with_their_workspace(hub, person):
    name = fresh()
    async with hub.enter(person) as server:
        for key, value in (("", "x"), ("k" * 129, "x"), ("a\nb", "x"), ("KEY", "x" * 8193), ("KEY", 7), (7, "x")):
            with pytest.raises(RemoteException, match="ValueError"):
                await server.set_env(key, value)
        for _ in range(2):
            await server.create_workspace({"id": name, "name": name, "persistent": True})
            async with hub.enter(person, workspace=name) as inside:
                assert await inside.get_env() == {}
                await inside.set_env("A", "b")
            await server.delete_workspace(name)


async def test_bookmarks_are_in_ones_own_workspace(hub, person):
    other = hub.person()
    name = fresh()
    async with hub.enter(person) as server, hub.enter(other) as outside:
        await server.create_workspace({"id": name, "name": "The lab", "description": "d", "persistent": True})
        await server.bookmark({"bookmark_type": "workspace", "id": name})
        await server.bookmark({"bookmark_type": "workspace", "id": name})
        await server.bookmark({"bookmark_type": "service", "id": "public/hypha-login"})

        async def marks():
            return (await server.get_workspace_info(person.workspace))["config"]["bookmarks"]

        kinds = {mark["bookmark_type"]: mark for mark in await marks()}
        assert len(await marks()) == 2 and kinds["workspace"] == {"bookmark_type": "workspace", "id": name, "name": "The lab", "description": "d"}
        await server.unbookmark(kinds["service"])
        await server.unbookmark({"bookmark_type": "workspace", "id": name})
        assert await marks() == []
        for item in ({"id": name}, {"bookmark_type": "other", "id": name}, {"bookmark_type": "workspace"}):
            with pytest.raises(RemoteException, match=r"AssertionError|ValueError"):
                await server.bookmark(item)
        with pytest.raises(RemoteException, match="Permission denied"):
            await outside.bookmark({"bookmark_type": "workspace", "id": name})
    async with hub.enter() as visitor:
        with pytest.raises(RemoteException, match="Permission"):
            await visitor.bookmark({"bookmark_type": "service", "id": "public/hypha-login"})


async def test_events_are_ones_own_and_bounded(hub, person):
    async with hub.enter(person) as server:
        for n in range(3):
            await server.log_event("opened", {"n": n})
        await server.log_event("closed")
        assert sorted((one["event_type"], one["count"]) for one in await server.get_event_stats()) == [("closed", 1), ("opened", 3)]
        events = await server.get_events(event_type="opened")
        assert [event["data"] for event in events] == [{"n": 0}, {"n": 1}, {"n": 2}]
        assert {event["user_id"] for event in events} == {person.id} and {event["workspace"] for event in events} == {person.workspace}
        moment = events[1]["timestamp"]
        assert len(await server.get_events(event_type="opened", end_time=moment)) >= 2
        assert await server.get_events(start_time=moment + 3600) == []
        token = await server.generate_token()
        async with hub.enter(token) as second:
            await second.log_event("opened")
            assert len(await second.get_events()) == 1, "others' events are theirs"
        for kind, data in (("with space", None), ("", None), ("x" * 129, None), ("big", {"text": "x" * 5000})):
            with pytest.raises(RemoteException, match=r"AssertionError|ValueError"):
                await server.log_event(kind, data)
        reading = await server.generate_token({"permission": "read"})
        async with contextlib.AsyncExitStack() as stack:
            wire = await hub.wired(stack, reading)
            assert await wire.ask_hub("get_events") == []
            with pytest.raises(Refusal, match="Permission denied"):
                await wire.ask_hub("log_event", "opened")


async def test_there_is_no_vector_search_and_it_says_so(hub, person):
    async with hub.enter(person) as server:
        with pytest.raises(RemoteException, match="RuntimeError: Service search is not enabled"):
            await server.search_services("anything")
    answer = await asked(person.http, "POST", f"/{person.workspace}/services/ws/search_services", json={"query": "x"})
    assert answer.status_code == 500 and "not enabled" in answer.json()["detail"]


async def test_a_summary_says_what_is_here(hub, person):
    async with hub.enter(person) as server:
        await server.register_service({"id": "shown", "say": lambda: 1})
        told = await server.get_summary()
        assert told["name"] == person.workspace and told["client_count"] >= 1 and told["service_count"] >= 1
        assert any(service["id"].endswith(":shown") for service in told["services"])
