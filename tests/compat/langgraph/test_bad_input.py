"""Handlers that misbehave and bodies that nobody should send: refused, nothing let in, and the next request is answered as if nothing had been."""

import json
import os
import threading
import time
import uuid

import pytest
from agentserver import Project, anyone, doorward, said, say, user
from test_runs import Stream

from harness.programs import wait_until
from harness.raw import exchange, request_bytes

#: What a handler does when the header `x-do` tells it to; both handlers know every word.
MISBEHAVING = """
    import asyncio
    import os
    import signal
    import subprocess
    import sys
    import threading
    import time
    from langgraph_sdk import Auth

    auth = Auth()

    class Liar(str):
        def __eq__(self, other): return True
        __hash__ = str.__hash__

    class Endless(dict):
        def items(self):
            while True:
                yield "a", 1

    def deep(levels):
        value = "x"
        for _ in range(levels):
            value = {"a": value}
        return value

    def cyclic():
        value = {"identity": "ann"}
        value["self"] = value
        return value

    def forks(goes_on):
        if os.fork() == 0 and not goes_on:
            time.sleep(600)

    WORDS = {
        "sleep": lambda: time.sleep(60),
        "spin": lambda: [None for _ in iter(int, 1)],
        "exit": lambda: os._exit(0),
        "sys.exit": lambda: sys.exit(0),
        "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
        "abort": lambda: os.abort(),
        "recursion": lambda: (lambda f: f(f))(lambda f: f(f)),
        "memory": lambda: bytearray(1 << 34),
        "print": lambda: print("x" * 100_000, flush=True),
        "garbage": lambda: [os.write(number, b"\\x00\\x01{]" * 1000) for number in (1, 2)],
        "answer": lambda: os.write(1, b'{"id": 1, "answer": {"user": {"identity": "root"}, "permissions": []}}\\n'),
        "close": lambda: [os.close(number) for number in (0, 1, 2)],
        "fork": lambda: forks(False),
        "fork and go on": lambda: forks(True),
        "threads": lambda: [threading.Thread(target=time.sleep, args=(600,), daemon=True).start() for _ in range(50)],
        "BaseException": lambda: (_ for _ in ()).throw(BaseException("secret-word")),
        "KeyboardInterrupt": lambda: (_ for _ in ()).throw(KeyboardInterrupt()),
        "GeneratorExit": lambda: (_ for _ in ()).throw(GeneratorExit()),
        "CancelledError": lambda: (_ for _ in ()).throw(asyncio.CancelledError()),
        "StopIteration": lambda: next(iter(())),
        "MemoryError": lambda: (_ for _ in ()).throw(MemoryError("secret-word")),
        "bytes": lambda: b"ann",
        "function": lambda: print,
        "set": lambda: {"ann"},
        "nan": lambda: float("nan"),
        "cyclic": cyclic,
        "deep": lambda: {"identity": "ann", "more": deep(2000)},
        "huge": lambda: {"identity": "ann", "more": "x" * 20_000_000},
        "surrogate": lambda: {"identity": "\\ud800"},
        "unserialisable": lambda: {"identity": "ann", "more": object()},
        "identity list": lambda: {"identity": ["ann"]},
        "identity empty": lambda: {"identity": ""},
        "nul": lambda: {"identity": "a\\x00b"},
        "coroutine": lambda: asyncio.sleep(0),
        "endless": lambda: Endless(identity="ann"),
        "status text": lambda: (_ for _ in ()).throw(Auth.exceptions.HTTPException(status_code="401")),
        "status 200": lambda: (_ for _ in ()).throw(Auth.exceptions.HTTPException(status_code=200, detail="come in")),
        "status 9999": lambda: (_ for _ in ()).throw(Auth.exceptions.HTTPException(status_code=9999)),
        "detail object": lambda: (_ for _ in ()).throw(Auth.exceptions.HTTPException(status_code=401, detail=object())),
        "headers broken": lambda: (_ for _ in ()).throw(Auth.exceptions.HTTPException(status_code=401, detail="a", headers={"x-a\\r\\nx-b": "1\\r\\nset-cookie: c=1"})),
    }

    @auth.authenticate
    async def who(authorization, headers: dict):
        word = headers.get(b"x-do-first", b"").decode()
        if word:
            return WORDS[word]()
        if authorization is None or not authorization.startswith("Bearer user-"):
            raise Auth.exceptions.HTTPException(status_code=401, detail="Invalid token")
        return {"identity": authorization[7:], "do": headers.get(b"x-do", b"").decode()}

    @auth.on
    async def owner(ctx, value):
        word = ctx.user["do"]
        if word:
            return WORDS[word]()
        filters = {"owner": ctx.user.identity}
        value.setdefault("metadata", {}).update(filters)
        return filters
"""

#: What leaves the process as it was.
KEEPS = [
    "recursion", "print", "StopIteration", "MemoryError", "bytes", "function", "set", "nan", "cyclic", "deep", "huge", "surrogate", "unserialisable",
    "identity list", "identity empty", "nul", "coroutine", "status text", "status 200", "status 9999", "detail object", "headers broken", "memory",
    "CancelledError", "GeneratorExit",
]
#: What ends it, holds it, or leaves something in it; each has a server of its own, whose next process begins at once.
LOSES = ["sleep", "spin", "exit", "sys.exit", "kill", "abort", "garbage", "answer", "close", "fork", "fork and go on", "threads", "endless", "BaseException", "KeyboardInterrupt"]
#: Without an answer of the handler the caller is told to come again.
UNANSWERED = {"sleep", "spin", "exit", "kill", "abort"}
#: They return None in the end, which lets through, as on the real server.
YES = {"print", "fork", "fork and go on"}
LIMITS = "timeout_ms = 500\nmemory_mb = 512\n"
PATIENCE_S = 8


@pytest.fixture(scope="module")
def misbehaving(tmp_path_factory):
    home = tmp_path_factory.mktemp("misbehaving")
    with doorward(home, Project(home / "app").use().write("auth.py", MISBEHAVING), more=LIMITS) as server:
        yield server


def works(server) -> None:
    """An ordinary request is let in, and one without a token is not."""

    def told() -> bool:
        inside, outside = user(server).post("/threads", json={}), anyone(server).post("/threads", json={})
        # While a process is made anew the answer is 503, and never another.
        assert inside.status_code in (200, 503) and outside.status_code in (401, 503), (inside.text, outside.text)
        return (inside.status_code, outside.status_code) == (200, 401)

    wait_until(told, "handlers that answer again", limit_s=PATIENCE_S)


def misbehaves_in_authenticate(server, word: str) -> None:
    begun = time.monotonic()
    answer = anyone(server).post("/threads", json={}, headers={"x-do-first": word})
    assert time.monotonic() - begun < PATIENCE_S
    assert answer.status_code in ({503} if word in UNANSWERED else {400, 401, 500, 503}), (answer.status_code, answer.text)
    assert "secret-word" not in answer.text and "set-cookie" not in answer.headers and "x-b" not in answer.headers
    assert isinstance(answer.json()["detail"], str)
    works(server)


def misbehaves_in_authorize(server, word: str) -> None:
    thread = user(server).post("/threads", json={"metadata": {"tag": "secret-tag"}}).json()["thread_id"]
    begun = time.monotonic()
    answer = user(server).get(f"/threads/{thread}", headers={"x-do": word})
    assert time.monotonic() - begun < PATIENCE_S
    if word in YES:
        assert answer.status_code in (200, 503), answer.text
    else:
        assert answer.status_code in ({503} if word in UNANSWERED else {400, 401, 403, 404, 500, 503}), (answer.status_code, answer.text)
        assert "secret-tag" not in answer.text and "secret-word" not in answer.text and "set-cookie" not in answer.headers
    works(server)


@pytest.mark.parametrize("word", KEEPS)
def test_handlers_that_answer_nonsense_let_nobody_in_and_give_nothing_away(misbehaving, word):
    misbehaves_in_authenticate(misbehaving, word)
    misbehaves_in_authorize(misbehaving, word)


@pytest.mark.parametrize("word", LOSES)
def test_authenticators_that_break_their_process_let_nobody_in_and_the_next_request_works(serve, tmp_path, word):
    server = serve(Project(tmp_path / "app").use().write("auth.py", MISBEHAVING), more=LIMITS)
    misbehaves_in_authenticate(server, word)


@pytest.mark.parametrize("word", ["sleep", "exit", "garbage", "close", "fork", "fork and go on", "BaseException"])
def test_authorization_handlers_that_break_their_process_give_nothing_away_and_the_next_request_works(serve, tmp_path, word):
    server = serve(Project(tmp_path / "app").use().write("auth.py", MISBEHAVING), more=LIMITS)
    misbehaves_in_authorize(server, word)


@pytest.mark.parametrize("form", ["def", "async def"])
def test_a_slow_handler_does_not_hold_the_others(serve, project, form):
    gate = project.home / "gate"
    wait = "await asyncio.sleep(0.01)" if form == "async def" else "time.sleep(0.01)"
    project.write("auth.py", f"""
        import asyncio, os, time
        from langgraph_sdk import Auth

        auth = Auth()

        @auth.authenticate
        {form} who(headers: dict):
            if b"x-slow" in headers:
                open({str(gate)!r} + ".begun", "w").close()
                while not os.path.exists({str(gate)!r}):
                    {wait}
            return "ann"
    """)
    server = serve(project)
    slow = []
    thread = threading.Thread(target=lambda: slow.append(anyone(server).post("/threads", json={}, headers={"x-slow": "1"})))
    thread.start()
    wait_until(lambda: os.path.exists(f"{gate}.begun"), "the slow call", limit_s=PATIENCE_S)
    assert [user(server).post("/threads", json={}).status_code for _ in range(5)] == [200] * 5
    assert slow == []
    gate.touch()
    thread.join(PATIENCE_S)
    assert slow[0].status_code == 200


@pytest.mark.parametrize("form", ["def", "async def"])
def test_both_forms_of_an_authenticator_answer_alike(serve, project, form):
    project.write("auth.py", f"""
        from langgraph_sdk import Auth

        auth = Auth()

        @auth.authenticate
        {form} who(authorization: str | None):
            if authorization != "Bearer user-ann":
                raise Auth.exceptions.HTTPException(status_code=401, detail=f"{{authorization}} is nobody")
            return {{"identity": "ann"}}
    """)
    server = serve(project)
    assert user(server, "ann").post("/threads", json={}).status_code == 200
    refused = [anyone(server).post("/threads", json={}), user(server, "bob").post("/threads", json={})]
    assert [(answer.status_code, said(answer)) for answer in refused] == [(401, "None is nobody"), (401, "Bearer user-bob is nobody")]


# What nobody should send.


def test_a_body_of_ten_megabytes_is_413_and_the_next_is_answered(tutorial):
    someone = user(tutorial)
    big = "x" * 10_000_000
    for method, path, body in (
        ("POST", "/threads", {"metadata": {"big": big}}),
        ("POST", "/threads/search", {"metadata": {"big": big}}),
        ("POST", "/runs/wait", say(big)),
        ("POST", "/runs/batch", [say(big)]),
    ):
        answer = someone.request(method, path, json=body)
        assert answer.status_code == 413 and isinstance(answer.json()["detail"], str), path
    thread = someone.post("/threads", json={"metadata": {"a": 1}}).json()["thread_id"]
    assert someone.patch(f"/threads/{thread}", json={"metadata": {"big": big}}).status_code == 413
    assert someone.get(f"/threads/{thread}").json()["metadata"] == {"a": 1, "owner": someone.token}
    assert someone.post("/threads/count", json={}).json() == 1


def test_metadata_that_grows_by_updates_has_a_bound(tutorial):
    someone = user(tutorial)
    thread = someone.post("/threads", json={}).json()["thread_id"]
    statuses = [someone.patch(f"/threads/{thread}", json={"metadata": {f"k{number}": "x" * 900_000}}).status_code for number in range(6)]
    assert set(statuses) <= {200, 413, 422} and {413, 422} & set(statuses)
    assert someone.get(f"/threads/{thread}").status_code == 200


BODIES = {
    "empty": b"",
    "no JSON": b"{",
    "two values": b"{}{}",
    "not UTF-8": b'{"metadata":{"a":"\xff"}}',
    "UTF-16": json.dumps({}).encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "duplicate members": b'{"metadata":{"owner":"a"},"metadata":{"owner":"b"}}',
    "duplicate members inside": b'{"metadata":{"owner":"a","owner":"b"}}',
    "deep": b'{"metadata":' + b'{"a":' * 5000 + b"1" + b"}" * 5001,
    "deep list": b'{"metadata":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
    "NaN": b'{"metadata":{"a":NaN}}',
    "Infinity": b'{"metadata":{"a":1e999}}',
    "a lone surrogate": b'{"metadata":{"a":"\\ud800"}}',
    "a control character": b'{"metadata":{"a":"\x01"}}',
    "an array": b"[]",
    "a text": b'"x"',
    "null": b"null",
    "a trailing comma": b'{"metadata":{},}',
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("path", ["/threads", "/threads/search", "/threads/{thread}/runs", "/runs/wait", "/threads/{thread}/state"])
def test_a_body_that_is_none_is_422_in_the_platforms_form(tutorial, name, path):
    someone = user(tutorial)
    thread = someone.post("/threads", json={}).json()["thread_id"]
    answer = someone.post(path.replace("{thread}", thread), data=BODIES[name], headers={"content-type": "application/json"})
    assert answer.status_code in (400, 413, 422), (answer.status_code, answer.text)
    assert isinstance(answer.json()["detail"], str)
    assert someone.post("/threads/count", json={}).json() == 1


IDS = ["not-a-uuid", "", "0", "../threads", "%2e%2e", "01a2229a-dd00-7795-ae7d-fb869866c87", "01a2229a-dd00-7795-ae7d-fb869866c87ff", "{x}", "%00", "é" * 3, "a" * 5000, "%ff"]


@pytest.mark.parametrize("wrong", IDS, ids=lambda text: text[:20] or "empty")
def test_an_id_that_is_none_is_refused_on_every_kind_of_route(tutorial, wrong):
    someone = user(tutorial)
    # A refusal before the body is read may end the connection.
    someone.roaming = True
    thread = someone.post("/threads", json={}).json()["thread_id"]
    good = str(uuid.uuid4())
    answers = []
    for method, path, body in (
        ("GET", f"/threads/{wrong}", None), ("PATCH", f"/threads/{wrong}", {"metadata": {}}), ("DELETE", f"/threads/{wrong}", None),
        ("POST", f"/threads/{wrong}/copy", None), ("GET", f"/threads/{wrong}/state", None), ("POST", f"/threads/{wrong}/history", {}),
        ("POST", f"/threads/{wrong}/runs", say("x")), ("POST", f"/threads/{wrong}/runs/wait", say("x")), ("POST", f"/threads/{wrong}/runs/stream", say("x")),
        ("GET", f"/threads/{wrong}/runs", None), ("GET", f"/threads/{wrong}/runs/{good}", None),
        ("GET", f"/threads/{thread}/runs/{wrong}", None), ("GET", f"/threads/{thread}/runs/{wrong}/join", None), ("GET", f"/threads/{thread}/runs/{wrong}/stream", None),
        ("POST", f"/threads/{thread}/runs/{wrong}/cancel", None), ("DELETE", f"/threads/{thread}/runs/{wrong}", None),
        ("GET", f"/assistants/{wrong}", None), ("GET", f"/assistants/{wrong}/graph", None),
        ("POST", "/threads", {"thread_id": wrong}), ("POST", "/threads/search", {"ids": [wrong]}), ("POST", "/threads/prune", {"thread_ids": [wrong]}),
        ("POST", "/runs/cancel", {"thread_id": wrong, "run_ids": [good]}), ("POST", "/runs/cancel", {"thread_id": thread, "run_ids": [wrong]}),
        ("POST", "/runs/wait", {**say("x"), "assistant_id": wrong}),
    ):
        answer = someone.request(method, path, json=body)
        empties = not wrong and method == "GET" and path in ("/threads/", f"/threads/{thread}/runs/")
        if answer.status_code not in (400, 404, 405, 414, 422) and not empties:
            answers.append((method, path[:80], answer.status_code, answer.text[:100]))
    assert answers == []
    assert someone.get(f"/threads/{thread}").status_code == 200


@pytest.mark.parametrize("body", [
    {"assistant_id": None}, {"assistant_id": 5}, {"assistant_id": "nope"}, {}, {"assistant_id": ["agent"]},
    {**say("x"), "input": {"messages": [{"role": "user"}]}}, {**say("x"), "input": {"messages": [5]}}, {**say("x"), "input": {"messages": {"a": 1}}},
    {**say("x"), "stream_mode": "bogus"}, {**say("x"), "stream_mode": ["values", "bogus"]}, {**say("x"), "stream_mode": None},
    {**say("x"), "multitask_strategy": "bogus"}, {**say("x"), "if_not_exists": "bogus"}, {**say("x"), "config": "x"}, {**say("x"), "metadata": "x"},
    {**say("x"), "after_seconds": "2"}, {**say("x"), "after_seconds": 1e300}, {**say("x"), "after_seconds": -1e300},
    {**say("x"), "interrupt_before": ["chatbot"]}, {**say("x"), "interrupt_after": "*"}, {**say("x"), "command": {"resume": 1}},
    {**say("x"), "webhook": "http://127.0.0.1:1/"}, {**say("x"), "checkpoint": {"checkpoint_id": str(uuid.uuid4())}}, {**say("x"), "feedback_keys": ["k"]},
    {**say("x"), "stream_subgraphs": True}, {**say("x"), "config": {"configurable": {"checkpoint_id": str(uuid.uuid4())}}},
    {**say("x"), "config": {"configurable": {"checkpoint_ns": "a:b"}}}, {**say("x"), "context": {"checkpoint_map": {"": "x"}}},
], ids=lambda body: json.dumps({key: value for key, value in body.items() if key != "input" or value != say("x")["input"]})[:60])
def test_a_run_that_cannot_be_made_is_refused_before_anything_is(tutorial, body):
    someone = user(tutorial)
    thread = someone.post("/threads", json={}).json()["thread_id"]
    refused = [someone.post(f"/threads/{thread}/runs{kind}", json=body) for kind in ("", "/wait", "/stream")]
    refused += [someone.post(f"/runs{kind}", json=body) for kind in ("", "/wait", "/stream")]
    refused += [someone.post("/runs/batch", json=[{**say("x"), "on_completion": "keep"}, body])]
    # A negative delay is none, as on the real server.
    if body.get("after_seconds") == -1e300:
        assert {answer.status_code for answer in refused} <= {200, 422}
        return
    assert {answer.status_code for answer in refused} <= {400, 404, 422}, [(answer.status_code, answer.text[:90]) for answer in refused]
    assert {type(answer.json()["detail"]) for answer in refused} == {str}
    assert someone.get(f"/threads/{thread}/runs").json() == [] and someone.post("/threads/count", json={}).json() == 1


def test_a_stream_whose_client_vanishes_leaves_a_server_that_goes_on(tutorial):
    class Held:
        client = user(tutorial)

    for _ in range(20):
        stream = Stream(Held, "/runs/stream", {**say("one two three"), "stream_mode": "messages"})
        stream.cut()
    assert Held.client.post("/runs/wait", json=say("x")).status_code == 200
    wait_until(lambda: Held.client.post("/threads/count", json={}).json() == 0, "the threads of runs that nobody keeps", limit_s=20)


def test_methods_and_paths_that_are_none_are_told_in_the_platforms_form(tutorial):
    someone = user(tutorial)
    for method, path, status in (("PUT", "/threads", 405), ("GET", "/nowhere", 404), ("POST", "/store/items", 405), ("GET", "/runs/crons", 405), ("DELETE", "/runs", 405),
                                 ("POST", "/internal/truncate", 404), ("GET", "/deploy", 404), ("GET", "/metrics", 404), ("GET", "/docs", 404), ("GET", "/openapi.json", 404)):
        answer = someone.request(method, path, json={} if method == "POST" else None)
        assert answer.status_code == status and isinstance(answer.json()["detail"], str), (method, path, answer.status_code, answer.text)
    for path in ("/nowhere", "/internal/truncate", "/deploy", "/metrics", "/docs", "/store/items", "/threads/x"):
        answer = anyone(tutorial).get(path)
        assert (answer.status_code, said(answer)) == (401, "Invalid token"), path


def test_a_path_in_another_spelling_reaches_nothing_more(tutorial):
    owner, stranger = user(tutorial), user(tutorial)
    thread = owner.post("/threads", json={"metadata": {"tag": "secret-tag"}}).json()["thread_id"]
    for path in (f"/threads/{thread.upper()}", f"/threads/{thread.replace('-', '')}", f"/threads/{{{thread}}}", f"/threads/urn:uuid:{thread}", f"//threads/{thread}",
                 f"/threads/./{thread}", f"/threads/x/../{thread}", f"/threads/%{ord(thread[0]):x}{thread[1:]}", f"/threads/{thread}/", f"/threads/{thread}/state"):
        head = [("Authorization", f"Bearer {stranger.token}")]
        answer = exchange(stranger.base, request_bytes("GET", path, [*head, ("Connection", "close")]))
        assert answer.status in (400, 404, 422) and b"secret-tag" not in answer.body, (path, answer.status)
    assert owner.get(f"/threads/{thread.upper()}").json()["thread_id"] == thread


def test_two_credentials_in_one_request_are_not_guessed_between(tutorial):
    ann, bob = user(tutorial), user(tutorial)
    head = [("Authorization", f"Bearer {ann.token}"), ("Authorization", f"Bearer {bob.token}"), ("Content-Length", "2"), ("Content-Type", "application/json")]
    assert exchange(ann.base, request_bytes("POST", "/threads", head, b"{}")).status in (400, 401)
