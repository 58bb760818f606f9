"""A thread that is read asks both of a file's functions in one frame: the file must not be able to tell, and neither may its callers."""

import json
import time

import pytest
from agentserver import anyone, user

FILE = '''
import asyncio
import contextvars
import uuid
from langgraph_sdk import Auth

auth = Auth()
mine = contextvars.ContextVar("mine", default=None)
heard = []

@auth.authenticate
async def who(authorization: str | None, headers: dict):
    assert asyncio.current_task() is not None and mine.get() is None
    mine.set("set by authenticate")
    how = headers.get(b"x-who", b"").decode()
    async with asyncio.timeout(5):
        if how == "slow":
            await asyncio.sleep(0.05)
    if how == "hangs":
        await asyncio.sleep(30)
    if authorization is None or how == "refused":
        raise Auth.exceptions.HTTPException(status_code=401, detail="no")
    if how == "fails":
        raise RuntimeError("in authenticate")
    if how == "nonsense":
        return {"identity": "ann", "odd": object()}
    return {"identity": authorization.removeprefix("Bearer "), "how": how, "pair": (1, 2)}

@auth.on
async def say(ctx, value):
    assert asyncio.current_task() is not None and mine.get() is None
    assert ctx.user["pair"] == [1, 2], "as JSON, as in a frame of its own"
    if ctx.action == "create":
        value.setdefault("metadata", {})["owner"] = ctx.user.identity
        value["metadata"]["heard"] = list(heard)
        return None
    assert isinstance(value["thread_id"], uuid.UUID)
    heard.append(ctx.user.identity)
    if ctx.user.how == "slow":
        await asyncio.sleep(0.05)
    if ctx.user.how == "hangs later":
        await asyncio.sleep(30)
    if ctx.user.how == "forbidden":
        return False
    if ctx.user.how == "fails later":
        raise RuntimeError("in authorize")
    return {"owner": ctx.user.identity}
'''


@pytest.fixture
def server(project, serve):
    return serve(project.write("auth.py", FILE), more="timeout_ms = 700\nqueue = 64\n")


def read(someone, thread: str, how: str):
    return someone.get(f"/threads/{thread}", headers={"x-who": how})


def heard(server) -> list[str]:
    return user(server).post("/threads", json={}).json()["metadata"]["heard"]


def test_a_frame_for_both_means_what_two_frames_mean(server):
    ann, ben = user(server), user(server)
    thread = ann.post("/threads", json={}).json()["thread_id"]
    expected = {
        "": 200, "slow": 200, "refused": 401, "fails": 500, "nonsense": 401, "hangs": 503, "forbidden": 403, "fails later": 500,
        "hangs later": 503,
    }
    assert {how: read(ann, thread, how).status_code for how in expected} == expected
    assert read(ben, thread, "").status_code == 404, "somebody else's"
    assert anyone(server).get(f"/threads/{thread}").status_code == 401
    assert heard(server) == [ann.token] * 5 + [ben.token], "whoever is not let in is not asked about"


def test_calls_that_hang_take_nobodys_place(server):
    ann = user(server)
    thread = ann.post("/threads", json={}).json()["thread_id"]
    for _ in range(3):
        assert [read(ann, thread, how).status_code for how in ("hangs", "hangs later")] == [503, 503]
    time.sleep(2.5)
    assert read(ann, thread, "").status_code == 200
    assert "started again" not in server.log and "started anew" not in server.log, json.dumps(server.log[-2000:])
