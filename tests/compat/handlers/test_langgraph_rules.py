"""What LangGraph's handlers mean, the same in every language: asked by frames, with the published SDKs and with ours in their place.

What a language has for itself is in test_langgraph_file.py and test_javascript.py.
"""

import json

import pytest
from languages import LANGUAGES, Fails, Loads, Refuses, Says, may, who


@pytest.fixture(params=LANGUAGES.values(), ids=list(LANGUAGES))
def language(request):
    return request.param


@pytest.fixture
def load(language, tmp_path):
    """Loads a file of this language: who somebody is, and rules by their events."""
    loads = Loads(tmp_path)
    yield lambda who="ann", **rules: loads.file(language, language.file(who, **rules))
    loads.stop()


@pytest.fixture
def loads(tmp_path):
    loads = Loads(tmp_path)
    yield loads
    loads.stop()


@pytest.mark.parametrize(
    ("returned", "user", "permissions"),
    [
        ("ann", {"identity": "ann", "display_name": "ann", "is_authenticated": True, "permissions": []}, []),
        ({"identity": "ann", "display_name": "Ann", "org": {"a": 1}}, {"identity": "ann", "display_name": "Ann", "org": {"a": 1}}, []),
        ({"identity": "ann", "permissions": ["a:b"]}, {"identity": "ann", "permissions": ["a:b"]}, ["a:b"]),
        ({"identity": "ann", "is_authenticated": False}, {"identity": "ann", "is_authenticated": False}, []),
    ],
)
def test_every_shape_of_a_user_is_taken(load, returned, user, permissions):
    answer = who(load(returned))["answer"]
    assert user.items() <= answer["user"].items() and answer["permissions"] == permissions


@pytest.mark.parametrize("returned", [None, 7, {}, {"identity": ""}, {"identity": 5}, [], ["ann"]], ids=str)
def test_what_is_no_user_is_refused_with_the_shape(load, language, returned):
    body = "return None" if returned is None else None
    refused = who(load(Says(body, "return null;") if body else returned))["refuse"]
    assert refused["status"] == language.no_user and "expected" in refused["detail"]


@pytest.mark.parametrize(
    ("raised", "status", "detail"),
    [
        (Refuses(401, "no", {"x-why": "because"}), 401, "no"),
        (Refuses(403, "no"), 403, "no"),
        (Refuses(), 401, "Unauthorized"),
    ],
    ids=["401", "403", "default"],
)
def test_what_authenticate_raises_is_a_refusal(load, language, raised, status, detail):
    headers = [list(pair) for pair in (raised.headers or {}).items()] if language.keeps_headers else []
    assert who(load(raised))["refuse"] == {"status": status, "detail": detail, "headers": headers}


def test_every_other_error_is_no_answer_and_its_text_stays_inside(load, language):
    process = load(Fails(), **{"*": Fails()})
    said = who(process)
    assert set(said) == {"fault"} and "secret-word" not in json.dumps(said)
    assert said["fault"].split(" at ")[0] == language.failure.split(" at ")[0] and language.target[2:].split(":")[0] in said["fault"]
    assert set(may(process, "threads", "read", {})) == {"fault"}
    assert "secret-word" in process.output()


def test_a_file_that_cannot_be_used_says_why(loads, language):
    for text, says in ((language.file(), language.nothing), (language.file(**{"*": True}), "lets nobody in")):
        assert says in loads.file(language, text).first["broken"]["what"]
    assert language.none in loads.file(language, "auth = 5\n" if language.target.endswith(".py:auth") else "export const auth = 5;\n").first["broken"]["what"]


DISPATCH = {"threads:create": {"by": "threads:create"}, "threads": {"by": "threads"}, "*:search": {"by": "*:search"}}


def test_one_handler_decides_the_nearest(load):
    process = load(**DISPATCH, **{"*": {"by": "global"}})
    asked = ("threads.create", "threads.read", "threads.search", "assistants.search", "crons.delete", "store.put", "threads.create_run")
    by = {pair: may(process, *pair.split("."), {})["answer"]["filter"]["by"] for pair in asked}
    assert by == {
        "threads.create": "threads:create", "threads.read": "threads", "threads.search": "threads", "threads.create_run": "threads",
        "assistants.search": "*:search", "crons.delete": "global", "store.put": "global",
    }
    without = load(**DISPATCH)
    assert may(without, "crons", "delete", {}) == {"answer": {"covered": False}}
    assert "not covered: assistants.create" in "\n".join(without.first["registers"])


VALUE = {"thread_id": "t"}


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (Says("return None", "return;"), {"answer": {"covered": True, "value": VALUE}}),
        (Says("return None", "return null;"), {"answer": {"covered": True, "value": VALUE}}),
        (True, {"answer": {"covered": True, "value": VALUE}}),
        (1, {"answer": {"covered": True, "value": VALUE}}),
        ({}, {"answer": {"covered": True, "value": VALUE, "filter": {}}}),
        ({"owner": "ann", "n": {"$eq": 5}, "$or": [{"a": None}, {"b": {"$contains": ["x"]}}]}, None),
        (False, {"refuse": {"status": 403, "detail": "Forbidden", "headers": []}}),
        (Refuses(402, "pay", {"x-plan": "pro"}), {"refuse": {"status": 402, "detail": "pay", "headers": [["x-plan", "pro"]]}}),
    ],
    ids=["nothing", "null", "true", "1", "empty", "filter", "false", "refusal"],
)
def test_every_result_of_a_decision_has_the_servers_meaning(load, act, said):
    said = said or {"answer": {"covered": True, "value": VALUE, "filter": act}}
    assert may(load(**{"*": act}), "threads", "read", VALUE) == said


@pytest.mark.parametrize("returned", ["yes", "", 2, 0, [], ["owner"], 1.5, "1"], ids=repr)
def test_a_result_of_another_kind_lets_nobody_through(load, returned):
    refused = may(load(**{"*": returned}), "threads", "read", {})["refuse"]
    assert refused["status"] == 500 and refused["detail"].startswith("Auth handler returned invalid result.")


def test_changes_in_place_come_back(load):
    process = load(**{"threads": Says("value['metadata']['owner'] = ctx.user.identity", "value.metadata.owner = user.identity;")})
    value = may(process, "threads", "create", {"thread_id": "t", "metadata": {"a": 1}})["answer"]["value"]
    assert value == {"thread_id": "t", "metadata": {"a": 1, "owner": "ann"}}


def test_a_replaced_namespace_counts(load):
    act = Says("value['namespace'] = (ctx.user.identity, *value['namespace'])", "value.namespace = [user.identity, ...value.namespace];")
    value = may(load(**{"store:put": act}), "store", "put", {"namespace": ["notes"], "key": "k", "value": {}})["answer"]["value"]
    assert value["namespace"] == ["ann", "notes"]


def test_a_handler_knows_who_asks_for_what(load):
    act = Says(
        "return {'told': [ctx.user.identity, ctx.user['org']['plan'], ctx.permissions, ctx.resource, ctx.action]}",
        "return { told: [user.identity, user.org.plan, permissions, resource, action, event].slice(0, 5) };",
    )
    filters = may(load(**{"*": act}), "crons", "read", {})["answer"]["filter"]
    assert filters == {"told": ["ann", "pro", ["threads:read"], "crons", "read"]}


def test_two_questions_in_one_frame_are_answered_each_by_its_number(load):
    process = load({"identity": "bob", "permissions": ["p"]}, **{"*": Says("return {'owner': ctx.user.identity}", "return { owner: user.identity };")})
    then = {"id": 8, "call": "authorize", "with": {"resource": "threads", "action": "read", "value": VALUE}, "take": ["user", "permissions"]}
    line = {"method": "GET", "path": "/", "query": "", "headers": [], "client": None}
    process.send({"id": 7, "call": "authenticate", "with": line, "then": then})
    told = {frame.pop("id"): frame for frame in (process.receive(), process.receive())}
    assert told[7]["answer"]["user"]["identity"] == "bob" and told[8]["answer"]["filter"] == {"owner": "bob"}


def test_calls_that_come_together_are_answered_in_any_order_and_a_ping_by_the_loop(load):
    process = load(who=Says("import asyncio; await asyncio.sleep(0.05); return 'ann'", "await new Promise((done) => setTimeout(done, 50)); return 'ann';"), **{"*": True})
    line = {"method": "GET", "path": "/", "query": "", "headers": [], "client": None}
    asked = {"resource": "threads", "action": "read", "value": VALUE, "user": {"identity": "a"}, "permissions": []}
    frames = [{"id": 1, "call": "authenticate", "with": line}, {"id": 2, "call": "authorize", "with": asked}, {"ping": 3}]
    body = b"".join(len(text).to_bytes(4, "big") + text for text in (json.dumps(frame).encode() for frame in frames))
    process.socket.sendall(body)
    told = [process.receive() for _ in frames]
    assert told[-1]["id"] == 1 and {frame.get("id", frame.get("pong")) for frame in told} == {1, 2, 3}


def test_a_call_that_was_given_up_says_when_it_is_over(load):
    process = load(who=Says("import asyncio; await asyncio.sleep(0.05); return 'ann'", "await new Promise((done) => setTimeout(done, 50)); return 'ann';"))
    process.send({"id": 1, "call": "authenticate", "with": {"method": "GET", "path": "/", "query": "", "headers": [], "client": None}})
    process.send({"cancel": 1})
    assert process.receive() == {"id": 1, "over": True}
