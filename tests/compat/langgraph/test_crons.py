"""Crons: both generations of the Python SDK and the JavaScript SDK, embedded and at the real server behind the gateway; owners, the clock, bad input. L-002, L-037."""

import asyncio
import json
import os
import sqlite3
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from agentserver import APP, STAMP, UNCOVERED, Project, case, doorward, gateway, interpreter, said, say, user
from langgraph_sdk import get_client
from langgraph_sdk.errors import APIStatusError
from test_tutorial import run

from harness.client import Client
from harness.native import person
from harness.programs import node_binary, node_modules, wait_until

GRAPHS_OWN = "fe096781-5601-53d2-b2f6-0d3403f7e9ca"
DAILY = {**say("hi"), "schedule": "0 0 * * *"}


def by_the_older_sdk(url: str, token: str, other: str, tag: str) -> dict:
    return run([interpreter("older"), APP / "crons_older.py", url, token, other, tag])


def by_the_javascript_sdk(url: str, token: str, other: str, tag: str) -> dict:
    return run([node_binary(), APP / "crons.mjs", node_modules("@langchain/langgraph-sdk"), url, token, other, tag])


def by_the_python_sdk(url: str, token: str, other: str, tag: str) -> dict:
    async def failing(act):
        try:
            await act
        except APIStatusError as refused:
            return refused.status_code

    async def flow() -> dict:
        client, theirs = (get_client(url=url, headers={"Authorization": f"Bearer {bearer}"}) for bearer in (token, other))
        crons, stranger, text = client.crons, theirs.crons, say("hi")["input"]
        thread = (await client.threads.create())["thread_id"]
        made = await crons.create("agent", schedule="0 9 * * *", timezone="Europe/Berlin", input=text, metadata={"tag": tag}, on_run_completed="keep")
        there = await crons.create_for_thread(thread, "agent", schedule="*/15 * * * *", input=text, metadata={"tag": tag}, multitask_strategy="reject")
        one = made["cron_id"]
        told = {
            "made": made,
            "inThread": [there["thread_id"] == thread, there["on_run_completed"]],
            "ids": sorted([one, there["cron_id"]]),
            "updated": await crons.update(one, schedule="0 10 * * *", enabled=False, metadata={"more": 1}, input=say("ho")["input"]),
            "found": sorted(found["cron_id"] for found in await crons.search(metadata={"tag": tag})),
            "ofThread": [found["cron_id"] for found in await crons.search(thread_id=thread)],
            "count": await crons.count(metadata={"tag": tag}),
            "theirs": [await failing(act) for act in (stranger.update(one, enabled=True), stranger.delete(one), stranger.create_for_thread(thread, "agent", schedule="0 0 * * *"))],
            "theirSearch": len(await stranger.search(metadata={"tag": tag})) + len(await stranger.search(thread_id=thread)) + await stranger.count(metadata={"tag": tag}),
            "neverDue": await failing(crons.create("agent", schedule="0 0 31 2 *")),
        }
        for cron in told["ids"]:
            await crons.delete(cron)
        told["gone"] = await failing(crons.delete(one))
        return told

    return asyncio.run(flow())


FLOWS = [by_the_older_sdk, by_the_python_sdk, by_the_javascript_sdk]


@pytest.fixture(scope="module")
def uncovered(tmp_path_factory):
    home = tmp_path_factory.mktemp("crons")
    with doorward(home, Project(home / "app").use().write("auth.py", UNCOVERED)) as server:
        yield server


@pytest.fixture(params=["tutorial", "uncovered"])
def embedded(request):
    return request.getfixturevalue(request.param)


def check(told: dict, tag: str) -> None:
    made = told["made"]
    assert made["assistant_id"] == GRAPHS_OWN and made["thread_id"] is None and made["enabled"] is True and made["end_time"] is None
    assert made["schedule"] == made["payload"]["schedule"] == "0 9 * * *" and made["metadata"]["tag"] == made["payload"]["metadata"]["tag"] == tag
    assert made["payload"]["config"]["configurable"]["cron_id"] == made["cron_id"] and made["payload"]["input"] == say("hi")["input"]
    assert told["inThread"] == [True, None] and told["found"] == told["ids"] and told["ofThread"] == [one for one in told["ids"] if one != made["cron_id"]]
    assert set(told["theirs"]) == {404} and told["theirSearch"] == 0
    assert told["neverDue"] in (400, 422) and told["gone"] == 404
    if "updated" not in told:
        assert made["on_run_completed"] == "delete" and made["timezone"] is None
        return
    assert made["on_run_completed"] == "keep" and told["count"] == 2
    # The JavaScript SDK has no zones.
    nine, ten = (("09:00",), ("10:00",)) if made["timezone"] is None else (("08:00", "07:00"), ("09:00", "08:00"))
    assert made["timezone"] in (None, "Europe/Berlin") and made["next_run_date"][11:16] in nine
    updated = told["updated"]
    assert (updated["schedule"], updated["enabled"], updated["on_run_completed"]) == ("0 10 * * *", False, "keep")
    assert updated["metadata"]["tag"] == tag and updated["metadata"]["more"] == 1
    assert updated["payload"]["input"] == say("ho")["input"] and updated["next_run_date"][11:16] in ten


@pytest.mark.parametrize("flow", FLOWS)
def test_every_method_of_each_sdk(embedded, flow):
    tag = os.urandom(6).hex()
    check(flow(embedded.mount("langgraph"), f"user-{os.urandom(6).hex()}", f"user-{os.urandom(6).hex()}", tag), tag)


@pytest.mark.parametrize("flow", FLOWS)
def test_every_method_of_each_sdk_at_the_real_server_behind_the_gateway(door, flow):
    tag = os.urandom(6).hex()
    check(flow(door.mount("langgraph"), f"user-{os.urandom(6).hex()}", f"user-{os.urandom(6).hex()}", tag), tag)


def make(client: Client, thread: str | None = None, **more) -> dict:
    answer = client.post(f"/threads/{thread}/runs/crons" if thread else "/runs/crons", json={**DAILY, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def make_due(server, *crons: dict) -> None:
    """As if their time had come a day ago, while nobody was there."""
    with sqlite3.connect(server.data_dir / "doorward.db", timeout=20) as store:
        for cron in crons:
            assert store.execute("UPDATE document SET due_at_ms = due_at_ms - 172800000 WHERE id = ?", (cron["cron_id"],)).rowcount == 1


def runs_of(client: Client, thread: str) -> list:
    return client.get(f"/threads/{thread}/runs").json()


def test_info_says_that_there_are_crons(embedded, door):
    for server in (embedded, door):
        assert requests.get(f"{server.mount('langgraph')}/info", timeout=10).json()["flags"]["crons"] is True


def test_a_cron_that_is_due_runs_once_as_its_owner(embedded):
    owner = user(embedded)
    thread = owner.post("/threads", json={}).json()["thread_id"]
    in_thread, alone = make(owner, thread, metadata={"tag": "of the cron"}), make(owner, on_run_completed="keep", metadata={"tag": "kept"})
    make_due(embedded, in_thread, alone)
    begun = wait_until(lambda: [one for one in runs_of(owner, thread) if one["status"] == "success"], "the cron's run", limit_s=15)
    assert [one["metadata"]["tag"] for one in begun] == ["of the cron"]
    assert begun[0]["kwargs"]["config"]["configurable"]["cron_id"] == in_thread["cron_id"]
    assert owner.get(f"/threads/{thread}/state").json()["values"]["messages"][0]["content"] == "hi"
    kept = wait_until(lambda: [one for one in owner.post("/threads/search", json={"metadata": {"tag": "kept"}}).json() if one["status"] == "idle" and one["values"]], "the kept thread", limit_s=15)
    assert len(kept) == 1 and kept[0]["values"]["messages"][-1]["content"]
    stranger = user(embedded)
    assert stranger.post("/threads/search", json={}).json() == [] and stranger.get(f"/threads/{thread}/runs").status_code == 404
    assert len(runs_of(owner, thread)) == 1, "however many times were missed"


def test_whoever_may_no_longer_begin_a_run_begins_none_by_the_clock(serve, project):
    """Handlers are asked when it is due; an account that was disabled, or removed, does not come in."""
    server = serve(project.write("auth.py", """
        import pathlib
        from langgraph_sdk import Auth
        auth = Auth()

        @auth.authenticate
        async def who(authorization: str | None):
            return {"identity": (authorization or "").removeprefix("Bearer ")}

        @auth.on
        async def own(ctx, value):
            value.setdefault("metadata", {})["owner"] = ctx.user.identity
            return {"owner": ctx.user.identity}

        @auth.on.threads.create_run
        async def begin(ctx, value):
            if pathlib.Path(__file__).with_name(f"no-{ctx.user.identity}").exists():
                raise Auth.exceptions.HTTPException(status_code=403, detail="not today")
            value.setdefault("metadata", {})["owner"] = ctx.user.identity
            return {"owner": ctx.user.identity}
    """))
    ann, eve = user(server), user(server)
    threads = {one.token: one.post("/threads", json={}).json()["thread_id"] for one in (ann, eve)}
    (project.home / f"no-{eve.token}").touch()
    make_due(server, make(eve, threads[eve.token]), make(ann, threads[ann.token]))
    wait_until(lambda: runs_of(ann, threads[ann.token]), "the other cron's run", limit_s=15)
    refused = wait_until(lambda: [line for line in server.command("audit", "list", "--action", "run:create") if line["outcome"] == "denied"], "the refusal in the audit log", limit_s=15)
    assert eve.token in str(refused) and "cron" in str(refused)
    assert runs_of(eve, threads[eve.token]) == []


def test_a_disabled_account_runs_nothing(serve):
    server = serve(None)
    ann, bob = (person(server.url) for _ in range(2))
    clients = [Client(server.mount("langgraph"), one.tokens.access) for one in (ann, bob)]
    threads = [one.post("/threads", json={}).json()["thread_id"] for one in clients]
    crons = [make(client, thread) for client, thread in zip(clients, threads, strict=True)]
    server.command("user", "disable", ann.id)
    make_due(server, *crons)
    wait_until(lambda: runs_of(clients[1], threads[1]), "the other cron's run", limit_s=15)
    denied = wait_until(lambda: [line for line in server.command("audit", "list", "--action", "run:create") if line["outcome"] == "denied"], "the refusal in the audit log", limit_s=15)
    assert [(line["reason"], line["method"], line["resource"]) for line in denied] == [("user_disabled", "cron", crons[0]["cron_id"])]
    with sqlite3.connect(server.data_dir / "doorward.db") as store:
        assert store.execute("SELECT COUNT(*) FROM run WHERE thread = ?", (threads[0],)).fetchone() == (0,)
        kept = json.loads(store.execute("SELECT body FROM document WHERE id = ?", (crons[0]["cron_id"],)).fetchone()[0])
    assert kept["enabled"] is False, "until its owner says so again"
    assert not [word for word in ("local|", "roles", ann.id) if word in kept["maker"]], "who made it is sealed"


def test_many_that_are_due_at_once_each_run_once(uncovered):
    someone = user(uncovered)
    threads = [someone.post("/threads", json={}).json()["thread_id"] for _ in range(40)]
    make_due(uncovered, *[make(someone, thread) for thread in threads])
    wait_until(lambda: all(runs_of(someone, thread) for thread in threads), "each cron's run", limit_s=20)
    assert [len(runs_of(someone, thread)) for thread in threads] == [1] * 40


def test_a_change_while_it_is_due_and_a_thread_that_is_gone(embedded):
    owner = user(embedded)
    thread, gone = (owner.post("/threads", json={}).json()["thread_id"] for _ in range(2))
    cron, orphan = make(owner, thread), make(owner, gone)
    make_due(embedded, cron)
    with ThreadPoolExecutor(4) as pool:
        changes = list(pool.map(lambda n: owner.patch(f"/runs/crons/{cron['cron_id']}", json={"metadata": {f"k{n}": n}}).status_code, range(8)))
    assert set(changes) <= {200, 409} and 200 in changes
    wait_until(lambda: runs_of(owner, thread), "the cron's run", limit_s=15)
    assert len(runs_of(owner, thread)) == 1
    owner.delete(f"/threads/{gone}").raise_for_status()
    assert owner.get(f"/runs/crons/{orphan['cron_id']}").status_code == 404


def test_a_cron_whose_thread_somebody_else_removed_goes_when_it_is_due(uncovered):
    owner = user(uncovered)
    thread = owner.post("/threads", json={}).json()["thread_id"]
    cron = make(owner, thread)
    with sqlite3.connect(uncovered.data_dir / "doorward.db", timeout=20) as store:
        assert store.execute("DELETE FROM thread WHERE id = ?", (thread,)).rowcount == 1
    assert owner.get(f"/runs/crons/{cron['cron_id']}").status_code == 200
    make_due(uncovered, cron)
    wait_until(lambda: owner.get(f"/runs/crons/{cron['cron_id']}").status_code == 404, "the end of the cron", limit_s=15)
    assert owner.get(f"/threads/{thread}").status_code == 404, "no run made it again"


def test_an_assistant_takes_its_runs_and_its_crons_along(embedded):
    owner = user(embedded)
    one = owner.post("/assistants", json={"graph_id": "agent"}).json()["assistant_id"]
    cron = make(owner, assistant_id=one)
    assert cron["assistant_id"] == one and [found["cron_id"] for found in owner.post("/runs/crons/search", json={"assistant_id": one}).json()] == [cron["cron_id"]]
    thread = owner.post("/threads", json={}).json()["thread_id"]
    run = owner.post(f"/threads/{thread}/runs", json={**say("later"), "assistant_id": one, "after_seconds": 600}).json()
    others = owner.post(f"/threads/{owner.post('/threads', json={}).json()['thread_id']}/runs", json={**say("later"), "after_seconds": 600}).json()
    owner.delete(f"/assistants/{one}").raise_for_status()
    wait_until(lambda: owner.get(f"/threads/{thread}/runs/{run['run_id']}").json()["status"] == "interrupted", "the end of the assistant's run", limit_s=10)
    assert owner.get(f"/threads/{others['thread_id']}/runs/{others['run_id']}").json()["status"] == "pending"
    assert owner.get(f"/runs/crons/{cron['cron_id']}").status_code == 404 and owner.post("/runs/crons/count", json={}).json() == 0


BAD = {
    "no schedule": ({"schedule": None}, 422),
    "schedule no text": ({"schedule": 5}, 422),
    "empty": ({"schedule": ""}, 422),
    "six fields": ({"schedule": "* * * * * *"}, 422),
    "seven fields": ({"schedule": "* * * * * * 2030"}, 422),
    "four fields": ({"schedule": "* * * *"}, 422),
    "31 february": ({"schedule": "0 0 31 2 *"}, 422),
    "minute 61": ({"schedule": "61 * * * *"}, 422),
    "thousands of characters": ({"schedule": "1," * 50_000 + "1 * * * *"}, 422),
    "thousands of spaces": ({"schedule": "*" + " " * 50_000 + "* * * *"}, 422),
    "nul": ({"schedule": "0\u0000 0 * * *"}, 422),
    "reboot": ({"schedule": "@reboot"}, 422),
    "zone": ({"timezone": "Mars/Olympus"}, 422),
    "zone that is a path": ({"timezone": "../../etc/passwd"}, 422),
    "end in the past": ({"end_time": "2001-01-01T00:00:00Z"}, 422),
    "end that is none": ({"end_time": "tomorrow"}, 422),
    "end in year 0": ({"end_time": "0000-01-01T00:00:00Z"}, 422),
    "enabled": ({"enabled": "yes"}, 422),
    "completed": ({"on_run_completed": "explode"}, 422),
    "metadata": ({"metadata": []}, 422),
    "large metadata": ({"metadata": {"x": "y" * 17_000}}, 422),
    "large input": ({"input": {"messages": [], "x": "y" * 70_000}}, 422),
    "config": ({"config": []}, 422),
    "strategy": ({"multitask_strategy": "explode"}, 422),
    "webhook": ({"webhook": "http://127.0.0.1:1/"}, 422),
    "interrupt": ({"interrupt_before": "*"}, 422),
    "checkpoint": ({"config": {"configurable": {"checkpoint_id": "c"}}}, 422),
    "assistant that is none": ({"assistant_id": "nope"}, 422),
    "assistant that there is not": ({"assistant_id": str(uuid.UUID(int=7))}, 404),
}


@pytest.mark.parametrize("kind", ["alone", "thread"])
def test_what_does_not_fit_is_refused(tutorial, kind):
    someone = user(tutorial)
    at = "/runs/crons" if kind == "alone" else f"/threads/{someone.post('/threads', json={}).json()['thread_id']}/runs/crons"
    wrong = {}
    for name, (change, status) in BAD.items():
        answer = someone.post(at, json={key: value for key, value in {**DAILY, **change}.items() if value is not None})
        if answer.status_code != status or len(answer.text) > 1_000:
            wrong[name] = (answer.status_code, answer.text[:200])
    assert wrong == {}
    assert someone.post("/runs/crons/count", json={}).json() == 0


def test_changes_that_do_not_fit_are_refused(tutorial):
    someone = user(tutorial)
    cron = make(someone)
    at, wrong = f"/runs/crons/{cron['cron_id']}", {}
    for name, (change, status) in BAD.items():
        change = {key: value for key, value in change.items() if value is not None and key != "assistant_id"}
        answer = someone.patch(at, json=change) if change else None
        if answer is not None and answer.status_code != status:
            wrong[name] = (answer.status_code, answer.text[:200])
    assert wrong == {}
    assert someone.patch(at, json={}).status_code == 400
    assert someone.get(at).json() == cron
    # Whose it is and which assistant it runs stay, whatever is said.
    said_otherwise = someone.patch(at, json={"assistant_id": str(uuid.uuid4()), "user_id": "root", "metadata": {"owner": "root"}, "config": {"configurable": {"langgraph_auth_user_id": "root"}}}).json()
    assert (said_otherwise["assistant_id"], said_otherwise["user_id"], said_otherwise["metadata"]) == (cron["assistant_id"], someone.token, {"owner": someone.token})
    assert said_otherwise["payload"]["config"]["configurable"] == {"cron_id": cron["cron_id"]}


def test_searches_are_sorted_paged_and_bounded(tutorial):
    someone = user(tutorial)
    for schedule in ("0 3 * * *", "0 1 * * *", "0 2 * * *"):
        make(someone, schedule=schedule, enabled=schedule != "0 2 * * *")
    schedules = lambda **search: [one["schedule"] for one in someone.post("/runs/crons/search", json=search).json()]  # noqa: E731
    assert schedules() == ["0 2 * * *", "0 1 * * *", "0 3 * * *"] and schedules(enabled=False) == ["0 2 * * *"] and schedules(assistant_id=str(uuid.uuid4())) == []
    paged = someone.post("/runs/crons/search", json={"limit": 2, "select": ["schedule"]})
    assert paged.json() == [{"schedule": "0 2 * * *"}, {"schedule": "0 1 * * *"}]
    assert (paged.headers["x-pagination-total"], paged.headers["x-pagination-next"]) == ("3", "2")
    assert schedules(limit=1, offset=2) == ["0 3 * * *"]
    for wrong in ({"limit": 0}, {"limit": -1}, {"limit": 1 << 70}, {"offset": -1}, {"offset": 1 << 40}, {"sort_by": "owner"}, {"select": ["maker"]}, {"thread_id": "x"}, {"assistant_id": "x"}, {"metadata": []}):
        assert someone.post("/runs/crons/search", json=wrong).status_code == 422, wrong
    for method, body in (("GET", None), ("PATCH", {"enabled": True}), ("DELETE", None)):
        assert said(someone.request(method, "/runs/crons/x", json=body)) == "Invalid cron ID: must be a UUID"


def test_an_owner_has_so_many(tutorial):
    someone = user(tutorial)
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: someone.post("/runs/crons", json=DAILY).status_code, range(104)))
    assert sorted(statuses) == [200] * 100 + [409] * 4
    assert user(tutorial).post("/runs/crons", json=DAILY).status_code == 200, "others have theirs"


def test_handlers_are_asked_of_each_act(standing_in):
    someone = user(standing_in)
    cron = make(someone)
    for method, path, body in (
        ("POST", "/runs/crons", DAILY), ("POST", "/runs/crons/search", {}), ("POST", "/runs/crons/count", {}),
        ("GET", f"/runs/crons/{cron['cron_id']}", None), ("PATCH", f"/runs/crons/{cron['cron_id']}", {"enabled": True}), ("DELETE", f"/runs/crons/{cron['cron_id']}", None),
    ):
        assert someone.request(method, path, json=body, headers=case(ask="who")).status_code == 418, path
    assert someone.get(f"/runs/crons/{cron['cron_id']}").json() == cron


SHARED = """
    import pathlib
    from langgraph_sdk import Auth
    auth = Auth()

    @auth.authenticate
    async def who(authorization: str | None):
        return {"identity": (authorization or "").removeprefix("Bearer ")}

    @auth.on.crons
    async def team(ctx, value):
        value.setdefault("metadata", {})["team"] = "red"
        return {"team": "red"}

    @auth.on.threads.create_run
    async def begin(ctx, value):
        if pathlib.Path(__file__).with_name(f"no-{ctx.user.identity}").exists():
            raise Auth.exceptions.HTTPException(status_code=403, detail="not today")
        return None
"""
NEXT_RUNS = ({"schedule": "0 8 * * *"}, {"enabled": True}, {"end_time": None}, {"on_run_completed": "keep"}, say("somebody else's words"))


def shares(ann: Client, bob: Client) -> str:
    """What a handler lets a team reach is turned off by any of it, and run as nobody else than who made it."""
    at = f"/runs/crons/{make(ann)['cron_id']}"
    for change in NEXT_RUNS:
        answer = bob.patch(at, json=change)
        assert answer.status_code == 403 and "owner" in answer.text, (change, answer.text)
        assert ann.patch(at, json=change).status_code == 200, change
    assert bob.patch(at, json={"metadata": {"note": "red"}}).status_code == 200
    assert bob.patch(at, json={"enabled": False}).json()["enabled"] is False
    return at


def test_a_cron_that_is_shared_is_its_owners_to_run(serve, project):
    server = serve(project.write("auth.py", SHARED))
    shares(user(server), user(server))


def test_behind_the_gateway_a_cron_goes_on_for_its_owner_who_may_begin_runs(tmp_path, upstream):
    with gateway(tmp_path, upstream.url, SHARED) as server:
        ann, bob = user(server), user(server)
        at = shares(ann, bob)
        next(tmp_path.rglob("auth.py")).with_name(f"no-{ann.token}").touch()
        for change in NEXT_RUNS:
            assert ann.patch(at, json=change).status_code == 403, change
        assert ann.patch(at, json={"enabled": False}).status_code == 200, "what ends runs needs no leave for them"
        assert ann.delete(at).status_code == 204


def test_behind_the_gateway_a_cron_carries_whose_it_is(door, behind):
    ann, bob = user(door), user(door)
    thread = ann.post("/threads", json={}).json()["thread_id"]
    cron = make(ann, thread, metadata={STAMP: f"langgraph|{bob.token}"}, config={"configurable": {"langgraph_auth_user_id": "root", "user_id": "root", "m": 1}})
    kept = behind.get(f"/runs/crons/{cron['cron_id']}").json()
    assert kept["metadata"][STAMP] == kept["payload"]["metadata"][STAMP] == f"langgraph|{ann.token}"
    assert kept["payload"]["config"]["configurable"] == {"cron_id": cron["cron_id"], "m": 1}
    assert ann.patch(f"/runs/crons/{cron['cron_id']}", json={"metadata": {STAMP: f"langgraph|{bob.token}", "k": 1}}).json()["metadata"][STAMP] == f"langgraph|{ann.token}"
    at = f"/runs/crons/{cron['cron_id']}"
    for method, body in (("GET", None), ("PATCH", {"enabled": False}), ("PATCH", say("x")), ("DELETE", None)):
        assert bob.request(method, at, json=body).status_code == 404, method
    assert bob.post(f"/threads/{thread}/runs/crons", json=DAILY).status_code == 404
    assert ann.post("/runs/crons", json={**DAILY, "schedule": "* * * * * *"}).status_code == 422, "every second is too often"
    assert ann.post("/runs/crons", json={**DAILY, "webhook": "http://127.0.0.1:1/"}).status_code == 422
    # One that nobody stamped is nobody's.
    wild = behind.post("/runs/crons", json=DAILY).json()
    assert bob.get(f"/runs/crons/{wild['cron_id']}").status_code == 404 and bob.post("/runs/crons/search", json={"limit": 1000}).json() == []
    behind.delete(f"/runs/crons/{wild['cron_id']}")
    assert behind.get(at).json()["enabled"] is True
    assert ann.delete(at).status_code == 204
