"""`public/artifact-manager`: what is kept in workspaces, by whom it is seen and changed. H-096, H-097, H-098."""

import asyncio
import time
from uuid import uuid4

import pytest
from hypha_rpc.rpc import RemoteException

from harness.hypha import Script, asked

MISSING = "KeyError: 'Artifact with ID"
DENIED = "PermissionError: Permission denied"


def fresh(prefix: str = "lab") -> str:
    return f"{prefix}-{uuid4().hex[:10]}"


async def manager(server):
    return await server.get_service("public/artifact-manager")


async def store_user_with_artifacts(server, user_data):
    """The document's function, with the workspace as a parameter of the test's."""
    artifact_manager = await server.get_service("public/artifact-manager")
    try:
        collection = await artifact_manager.read("ws-user-root/auth-users")
    except Exception:  # noqa: BLE001 - as the document has it
        collection = await artifact_manager.create(
            workspace="ws-user-root", alias="auth-users", type="collection", manifest={"name": "Authentication Users"}
        )
    await artifact_manager.create(parent_id=collection["id"], alias=user_data["id"], type="user", manifest=user_data)


async def test_the_documents_function_stores_users_for_an_administrator(hub):
    boss = hub.person(roles=("admin",))
    first, second = ({"id": fresh("user"), "email": "a@example.org"} for _ in range(2))
    async with hub.enter(boss) as server:
        await store_user_with_artifacts(server, first)
        await store_user_with_artifacts(server, second)
        artifacts = await manager(server)
        listed = await artifacts.list(parent_id="ws-user-root/auth-users")
        assert {first["id"], second["id"]} <= {one["alias"] for one in listed}
        assert (await artifacts.read(f"ws-user-root/{first['id']}"))["manifest"] == first
        for user in (first, second):
            assert await artifacts.delete(f"ws-user-root/{user['id']}") is None


async def test_only_administrators_write_to_the_workspace_of_root(hub, person):
    other = hub.person()
    async with hub.enter(person) as server, hub.enter() as visitor:
        with pytest.raises(RemoteException, match=DENIED):
            await store_user_with_artifacts(server, {"id": fresh("user")})
        for caller in (server, visitor):
            artifacts = await manager(caller)
            for workspace in ("ws-user-root", other.workspace, "public", "ws-anonymous", "no-such-workspace"):
                for act in (
                    lambda artifacts=artifacts, workspace=workspace: artifacts.create(workspace=workspace, alias="a-thing", manifest={"name": "x"}),
                    lambda artifacts=artifacts, workspace=workspace: artifacts.create(artifact_id=f"{workspace}/a-thing", manifest={"name": "x"}, overwrite=True),
                    lambda artifacts=artifacts, workspace=workspace: artifacts.create(alias="a-thing", parent_id=f"{workspace}/auth-users", manifest={"name": "x"}),
                    lambda artifacts=artifacts, workspace=workspace: artifacts.edit(f"{workspace}/auth-users", manifest={"name": "x"}),
                    lambda artifacts=artifacts, workspace=workspace: artifacts.delete(f"{workspace}/auth-users", recursive=True),
                ):
                    with pytest.raises(RemoteException, match=r"PermissionError|KeyError"):
                        await act()


async def test_a_record_has_what_clients_know(hub, person):
    async with hub.enter(person) as server:
        artifacts = await manager(server)
        with pytest.raises(RemoteException, match=f"{MISSING} '?{person.workspace}/things"):
            await artifacts.read(f"{person.workspace}/things")
        before = int(time.time())
        made = await artifacts.create(alias="things", type="collection", manifest={"name": "Things", "deep": [1, {"a": None}]}, comment="first")
        assert made["id"] == f"{person.workspace}/things" and made["workspace"] == person.workspace and made["alias"] == "things"
        assert made["type"] == "collection" and made["parent_id"] is None and made["staging"] is None
        assert made["manifest"] == {"name": "Things", "deep": [1, {"a": None}]} and made["created_by"] == person.id
        assert made["config"] == {"is_collection": True, "permissions": {person.id: "*"}} and "delete" in made["_permissions"][person.id]
        assert abs(made["created_at"] - before) <= 5 and made["last_modified"] == made["created_at"]
        assert made["versions"] == [{"version": "v0", "comment": "first", "created_at": made["created_at"]}]
        assert (made["file_count"], made["download_count"], made["view_count"]) == (0, 0, 0)
        child = await artifacts.create(parent_id=made["id"], alias="one", type="user", manifest={"id": "one"})
        assert child["parent_id"] == made["id"] and child["workspace"] == person.workspace and child["type"] == "user"
        assert (await artifacts.read("one"))["_id"] == child["_id"] == (await artifacts.read(child["id"]))["_id"]


async def test_children_are_listed_edited_and_deleted(hub, person):
    async with hub.enter(person) as server:
        artifacts = await manager(server)
        await artifacts.create(alias="shelf", type="collection", manifest={"name": "Shelf"})
        for n in range(5):
            await artifacts.create(parent_id="shelf", alias=f"book-{n}", type="book" if n % 2 else "paper", manifest={"n": n})
        assert [one["alias"] for one in await artifacts.list("shelf")] == [f"book-{n}" for n in range(5)]
        assert [one["alias"] for one in await artifacts.list("shelf", offset=1, limit=2)] == ["book-1", "book-2"]
        assert [one["alias"] for one in await artifacts.list("shelf", filters={"type": "book"})] == ["book-1", "book-3"]
        page = await artifacts.list("shelf", limit=2, pagination=True)
        assert [one["alias"] for one in page["items"]] == ["book-0", "book-1"] and (page["total"], page["offset"], page["limit"]) == (5, 0, 2)
        assert [one["alias"] for one in await artifacts.list()] == ["shelf"], "what is within something is not beside it"
        edited = await artifacts.edit("book-0", manifest={"title": "new"})
        assert edited["manifest"] == {"title": "new"} == (await artifacts.read("book-0"))["manifest"], "replaced as a whole"
        assert edited["type"] == "paper" and (await artifacts.edit("book-0", type="book"))["manifest"] == {"title": "new"}
        with pytest.raises(RemoteException, match="ValueError"):
            await artifacts.delete("shelf")
        assert await artifacts.delete("book-0") is None
        with pytest.raises(RemoteException, match=MISSING):
            await artifacts.read("book-0")
        with pytest.raises(RemoteException, match=MISSING):
            await artifacts.delete("book-0")
        await artifacts.delete("shelf", recursive=True)
        assert await artifacts.list() == []
        with pytest.raises(RemoteException, match=MISSING):
            await artifacts.read("book-3")


async def test_one_alias_is_one_artifact(hub, person):
    async with hub.enter(person) as server:
        artifacts = await manager(server)
        made = await artifacts.create(alias="one", manifest={"n": 1})
        with pytest.raises(RemoteException, match="FileExistsError: Artifact with alias 'one' already exists"):
            await artifacts.create(alias="one", manifest={"n": 2})
        again = await artifacts.create(alias="one", manifest={"n": 3}, overwrite=True)
        assert again["_id"] == made["_id"] and again["manifest"] == {"n": 3}
        named = [await artifacts.create(manifest={"n": n}) for n in range(2)]
        assert len({one["alias"] for one in named}) == 2
        results = await asyncio.gather(*(artifacts.create(alias="raced", manifest={"n": n}) for n in range(8)), return_exceptions=True)
        assert sum(isinstance(result, dict) for result in results) == 1


async def test_looks_are_counted_and_silent_ones_are_not(hub, person):
    async with hub.enter(person) as server:
        artifacts = await manager(server)
        await artifacts.create(alias="seen", manifest={"n": 1})
        assert [(await artifacts.read("seen"))["view_count"] for _ in range(3)] == [1, 2, 3]
        assert (await artifacts.read("seen", silent=True))["view_count"] == 3
        assert (await artifacts.list())[0]["view_count"] == 3


async def test_what_is_not_supported_is_refused_by_name(hub, person):
    async with hub.enter(person) as server:
        artifacts = await manager(server)
        await artifacts.create(alias="plain", manifest={"n": 1})
        for name, value in {"secrets": {"a": "b"}, "version": "v1", "stage": True}.items():
            with pytest.raises(RemoteException, match=f"ValueError: {name} is not supported"):
                await artifacts.create(alias="other", manifest={"n": 1}, **{name: value})
            with pytest.raises(RemoteException, match=f"ValueError: {name} is not supported"):
                await artifacts.edit("plain", manifest={"n": 2}, **{name: value})
        for name, value in {"keywords": ["a"], "order_by": "alias", "stage": True}.items():
            with pytest.raises(RemoteException, match=f"ValueError: {name} is not supported"):
                await artifacts.list(**{name: value})
        with pytest.raises(RemoteException, match="filters"):
            await artifacts.list(filters={"manifest.n": 1})
        with pytest.raises(RemoteException, match="delete_files is not supported"):
            await artifacts.delete("plain", delete_files=True)
        for permissions in ({"x@example.org": "r"}, {"*": "admin"}, {"*": ["read"]}, {"team-a/*": "r"}, ["*"]):
            with pytest.raises(RemoteException, match="ValueError"):
                await artifacts.create(alias="odd", manifest={"n": 1}, config={"permissions": permissions})
        assert [one["manifest"] for one in await artifacts.list()] == [{"n": 1}]
        assert not hasattr(artifacts, "put_file") and not hasattr(artifacts, "commit")


async def test_its_own_permissions_lend_an_artifact_to_others(hub):
    owner, friend, other = hub.person(), hub.person(), hub.person()
    async with hub.enter(owner) as server:
        artifacts = await manager(server)
        await artifacts.create(alias="open", manifest={"n": 1}, config={"permissions": {"*": "r"}})
        await artifacts.create(alias="known", manifest={"n": 2}, config={"permissions": {"@": "r"}})
        await artifacts.create(alias="shared", manifest={"n": 3}, config={"permissions": {friend.id: "rw"}})
        await artifacts.create(alias="closed", manifest={"n": 4})
        await artifacts.create(alias="box", type="collection", manifest={"n": 5}, config={"permissions": {friend.id: "rw", other.id: "l"}})
        await artifacts.create(alias="inner", parent_id="box", manifest={"n": 6})
    at = owner.workspace
    # The owner is not there any more; what was lent still is.
    async with hub.enter(friend) as server, hub.enter(other) as second, hub.enter() as visitor:
        friends, others, visitors = await manager(server), await manager(second), await manager(visitor)
        for caller, seen in ((friends, {"open", "known", "shared"}), (others, {"open", "known"}), (visitors, {"open"})):
            for alias in ("open", "known", "shared", "closed", "no-such"):
                if alias in seen:
                    found = await caller.read(f"{at}/{alias}")
                    assert "permissions" not in found["config"] and found["_permissions"] == {}, "whom it is for is told to members"
                else:
                    with pytest.raises(RemoteException, match=r"PermissionError: Permission denied"):
                        await caller.read(f"{at}/{alias}")
            for alias in seen - {"shared"}:
                with pytest.raises(RemoteException, match="PermissionError"):
                    await caller.edit(f"{at}/{alias}", manifest={"n": 0})
        assert (await friends.edit(f"{at}/shared", manifest={"n": 33}))["manifest"] == {"n": 33}
        for act in (friends.delete(f"{at}/shared"), friends.list(), friends.create(alias="new", workspace=at, manifest={"n": 1})):
            with pytest.raises(RemoteException, match="PermissionError"):
                assert await act == []
                raise RemoteException("PermissionError: its own list is its own")
        assert [one["alias"] for one in await others.list(f"{at}/box")] == ["inner"]
        assert (await friends.read(f"{at}/inner"))["manifest"] == {"n": 6}, "as the collection lends it"
        with pytest.raises(RemoteException, match="PermissionError"):
            await others.read(f"{at}/inner")


async def test_a_token_for_reading_reads_and_one_for_writing_writes_and_neither_elsewhere(hub, person):
    other = hub.person()
    async with hub.enter(person) as server, hub.enter(other) as outside:
        artifacts = await manager(server)
        await artifacts.create(alias="mine", manifest={"n": 1})
        await (await manager(outside)).create(alias="lent", manifest={"n": 2}, config={"permissions": {"@": "rw", person.id: "*"}})
        await (await manager(outside)).create(alias="open", manifest={"n": 3}, config={"permissions": {"*": "rw"}})
        reading = await server.generate_token({"permission": "read"})
        writing = await server.generate_token({"permission": "read_write"})

    def call(token, function, **named):
        return asked(hub.http(token), "POST", f"/public/services/artifact-manager/{function}", json=named)

    mine = f"{person.workspace}/mine"
    assert (await call(reading, "read", artifact_id=mine)).json()["manifest"] == {"n": 1}
    for function, named in {"create": {"alias": "x", "manifest": {"n": 1}}, "edit": {"artifact_id": mine, "manifest": {"n": 2}}, "delete": {"artifact_id": mine}}.items():
        assert (await call(reading, function, **named)).status_code == 403, function
    made = await call(writing, "create", alias="by-token", manifest={"n": 1})
    assert made.status_code == 200 and made.json()["created_by"] == person.id
    assert (await call(writing, "edit", artifact_id=mine, manifest={"n": 9})).status_code == 200
    assert (await call(writing, "delete", artifact_id=mine)).status_code == 403, "what somebody else made"
    assert (await call(writing, "delete", artifact_id=f"{person.workspace}/by-token")).status_code == 200
    for token in (reading, writing):
        for function, named in {"read": {}, "edit": {"manifest": {"n": 0}}, "delete": {}}.items():
            assert (await call(token, function, artifact_id=f"{other.workspace}/lent", **named)).status_code == 403, function
        assert (await call(token, "read", artifact_id=f"{other.workspace}/open")).status_code == 200, "as anybody may"
        assert (await call(token, "edit", artifact_id=f"{other.workspace}/open", manifest={"n": 0})).status_code == 403


async def test_artifacts_go_with_their_workspace(hub, person):
    name = fresh()
    async with hub.enter(person) as server:
        artifacts = await manager(server)
        for _ in range(2):
            await server.create_workspace({"id": name, "name": name, "persistent": True})
            assert await artifacts.list() == []
            await artifacts.create(alias="kept", workspace=name, manifest={"n": 1}, config={"permissions": {"*": "r"}})
            assert (await artifacts.read(f"{name}/kept"))["manifest"] == {"n": 1}
            await server.delete_workspace(name)
            with pytest.raises(RemoteException, match=MISSING):
                await artifacts.read(f"{name}/kept")
        await server.create_workspace({"id": name, "name": name, "persistent": False})
        with pytest.raises(RemoteException, match="non-persistent"):
            await artifacts.create(alias="kept", workspace=name, manifest={"n": 1})


async def test_http_calls_it_with_the_statuses_of_the_bridge(hub, person):
    async def call(function, who=person.http, **named):
        return await asked(who, "POST", f"/public/services/artifact-manager/{function}", json=named)

    made = await call("create", alias="web", type="collection", manifest={"name": "Web"})
    assert made.status_code == 200 and made.json()["id"] == f"{person.workspace}/web"
    read = await asked(person.http, "GET", f"/public/services/artifact-manager/read?artifact_id={person.workspace}/web")
    assert read.status_code == 200 and read.json()["view_count"] == 1
    assert (await call("create", alias="web", manifest={"name": "Web"})).status_code == 409
    missing = await call("read", artifact_id="nothing")
    assert missing.status_code == 404 and missing.json()["detail"].startswith("KeyError: 'Artifact with ID")
    assert (await call("create", alias="web2")).status_code == 400
    assert (await call("nothing")).status_code == 404
    assert (await call("read", who=hub.http(), artifact_id=f"{person.workspace}/web")).status_code in (401, 403)
    assert (await call("create", who=hub.http(), alias="x", manifest={"n": 1})).status_code in (401, 403)
    assert (await call("delete", artifact_id="web")).json() is None


async def test_javascript_keeps_and_finds(hub, person):
    async with Script(hub, "artifacts", token=person.token) as client:
        told = await client.told()
    assert told["made"]["id"] == f"{person.workspace}/from-js" and told["read"]["manifest"] == {"name": "JS", "list": [1, 2]}
    assert told["listed"] == ["child"] and told["edited"] == {"name": "new"} and told["gone"] is None
    assert "Artifact with ID" in told["missing"] and "Permission denied" in told["denied"]


@pytest.mark.parametrize("alias", ["../x", "a/b/c", "..", ".", "-", "_", "~", "*", "a*", "a b", "a%2fb", "a\\b", "é", "a\n", "a\0b", "{uuid}", "a:b", "a?b", "a#b", "x" * 129])
async def test_hostile_aliases_name_nothing(hub, person, alias):
    async with hub.enter(person) as server:
        artifacts = await manager(server)
        for act in (
            lambda: artifacts.create(alias=alias, manifest={"n": 1}),
            lambda: artifacts.create(artifact_id=f"{person.workspace}/{alias}", manifest={"n": 1}),
            lambda: artifacts.read(alias),
            lambda: artifacts.delete(f"{person.workspace}/{alias}"),
            lambda: artifacts.create(alias="child", parent_id=alias, manifest={"n": 1}),
        ):
            with pytest.raises(RemoteException, match=r"ValueError|KeyError|PermissionError"):
                await act()
        assert await artifacts.list() == []


async def test_manifests_are_bounded_in_size_and_depth(hub, person):
    async with hub.enter(person) as server:
        artifacts = await manager(server)
        deep = 1
        for _ in range(31):
            deep = [deep]
        large = {"text": "x" * (64 * 1024 - 20)}
        assert (await artifacts.create(alias="large", manifest=large))["manifest"] == large
        for manifest in ({"text": "x" * (64 * 1024)}, {"text": "x" * (1 << 20)}, {"deep": deep}, {}, [], "text", 7, {"bytes": b"\0"}):
            with pytest.raises(RemoteException, match=r"ValueError|TypeError"):
                await artifacts.create(alias="bad", manifest=manifest)
        with pytest.raises(RemoteException, match="ValueError"):
            await artifacts.create(alias="bad", manifest={"n": 1}, config={"text": "x" * (17 * 1024)})
        with pytest.raises(RemoteException, match="ValueError"):
            await artifacts.edit("large", manifest={"text": "x" * (1 << 20)})
        assert [one["alias"] for one in await artifacts.list()] == ["large"]


async def test_an_answer_is_bounded(hub, person):
    async with hub.enter(person) as server:
        artifacts = await manager(server)
        await asyncio.gather(*(artifacts.create(alias=f"n-{n}", manifest={"text": "x" * 60_000}) for n in range(80)))
        with pytest.raises(RemoteException, match="too many bytes for one answer"):
            await artifacts.list(limit=1000)
        assert len(await artifacts.list(limit=20, offset=60)) == 20
        for odd in ({"limit": 0}, {"limit": 1001}, {"limit": -1}, {"offset": -1}, {"limit": float("nan")}):
            with pytest.raises(RemoteException, match="ValueError"):
                await artifacts.list(**odd)
