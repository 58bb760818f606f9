"""What both SDKs do with a store, at whichever server keeps it; everything is kept under a root of one's own."""

import asyncio

from agentserver import APP
from langgraph_sdk import get_client
from langgraph_sdk.errors import UnprocessableEntityError
from test_tutorial import run

from harness.programs import node_binary, node_modules

ITEM = {"namespace", "key", "value", "created_at", "updated_at"}


def by_the_javascript_sdk(url: str, token: str, other: str, root: str) -> dict:
    return run([node_binary(), APP / "store.mjs", node_modules("@langchain/langgraph-sdk"), url, token, other, root])


def by_the_python_sdk(url: str, token: str, other: str, root: str) -> dict:
    async def flow() -> dict:
        store, stranger = (get_client(url=url, headers={"Authorization": f"Bearer {bearer}"}).store for bearer in (token, other))
        notes = [root, "notes"]
        await store.put_item(notes, "one", {"text": "first", "n": 1})
        await store.put_item(notes, "two", {"text": "second", "n": 2}, index=False, ttl=60)
        await store.put_item([root, "files", "old"], "three", {"text": "third", "n": 3})
        await store.put_item(notes, "one", {"text": "changed", "n": 5})
        told = {
            "got": await store.get_item(notes, "one"),
            "kept": await store.get_item(notes, "two", refresh_ttl=True),
            "missing": await store.get_item(notes, "none"),
            "found": sorted(item["key"] for item in (await store.search_items([root], limit=10))["items"]),
            "filtered": sorted(item["key"] for item in (await store.search_items([root], filter={"n": {"$gte": 3}}, refresh_ttl=False))["items"]),
            "paged": len((await store.search_items([root], limit=1, offset=1))["items"]),
            "namespaces": (await store.list_namespaces(prefix=[root], max_depth=2))["namespaces"],
            "suffix": (await store.list_namespaces(prefix=[root], suffix=["old"], limit=5, offset=0))["namespaces"],
            "theirs": await stranger.get_item(notes, "one"),
            "theirSearch": (await stranger.search_items([root]))["items"],
            "theirNamespaces": (await stranger.list_namespaces(prefix=[root]))["namespaces"],
        }
        try:
            await store.put_item([root, ""], "k", {})
        except UnprocessableEntityError as refused:
            told["bad"] = {"status": refused.status_code}
        await stranger.delete_item(notes, "one")
        told["still"] = await store.get_item(notes, "one")
        await store.delete_item(notes, "one")
        told["gone"] = await store.get_item(notes, "one")
        return told

    return asyncio.run(flow())


def check(told: dict, root: str) -> None:
    """What either of them has to find."""
    assert set(told["got"]) >= ITEM and told["got"]["value"] == {"text": "changed", "n": 5}
    assert told["got"]["namespace"] == [root, "notes"] and told["got"]["key"] == "one"
    assert told["got"]["created_at"] < told["got"]["updated_at"]
    assert told["kept"]["value"]["n"] == 2 and told["missing"] is None
    assert told["found"] == ["one", "three", "two"] and told["filtered"] == ["one", "three"] and told["paged"] == 1
    assert told["namespaces"] == [[root, "files"], [root, "notes"]] and told["suffix"] == [[root, "files", "old"]]
    assert told["bad"]["status"] == 422
    assert told["theirs"] is None and told["theirSearch"] == [] and told["theirNamespaces"] == []
    assert told["still"] == told["got"] and told["gone"] is None
