"""The document's storage for sessions, word for word, in a start-up file on a real Redis (H-087)."""

import pytest
from startup import block

from harness.hypha import asked, until
from harness.redis import Redis

METHODS = """
async def hypha_startup(server):
    storage = AuthStorage()
    await server.register_service({
        "id": "sessions", "config": {"visibility": "public"}, "store": storage.store_session, "get": storage.get_session,
    })
"""


@pytest.fixture
def redis(tmp_path):
    with Redis(tmp_path / "redis") as redis:
        yield redis


def storage_of_the_document(port: int) -> str:
    """With the import that the block forgets, and without the database for users that it goes on with."""
    whole = block("class AuthStorage")
    text = whole[: whole.index("# Use PostgreSQL")]
    assert text.count("port=6379") == 1
    return "import json\n" + text.replace("port=6379", f"port={port}") + METHODS


async def test_auth_storage_keeps_a_session_in_redis_until_its_time_is_up(live, redis):
    hub = live({"storage.py": storage_of_the_document(redis.port)}, python="ours")

    async def call(method: str, **given):
        answer = await asked(hub.http(), "POST", f"/public/services/sessions/{method}", json=given)
        assert answer.status_code == 200, answer.text
        return answer.json()

    data = {"user_id": "ann", "roles": ["user"], "device_info": {"name": "Ann’s tablet"}, "created_at": 1.5}
    assert await call("get", key="kept") is None
    assert await call("store", key="kept", data=data) is None
    assert await call("get", key="kept") == data
    seconds = int(redis.say("TTL", "session:kept").removeprefix(":"))
    assert 3590 <= seconds <= 3600, "an hour, where nothing is said"
    await call("store", key="short", data=data, ttl=60)
    assert await call("get", key="short") == data and 50 <= int(redis.say("TTL", "session:short").removeprefix(":")) <= 60
    await call("store", key="short", data=data, ttl=1)

    async def gone():
        return await call("get", key="short") is None

    await until(gone, "the session's time is up", limit_s=5)
    assert redis.say("EXISTS", "session:short") == ":0" and await call("get", key="kept") == data
