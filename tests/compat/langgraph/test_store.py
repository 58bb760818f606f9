"""The store of the embedded agent server: both SDKs through every method, handlers' filters on every read, hostile names and filters. L-002, L-037."""

import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
import storing
from agentserver import TUTORIAL, UNCOVERED, Project, case, doorward, said, user

from harness.client import Client
from harness.programs import wait_until

#: The platform's own example for a store: a namespace begins with who asks.
BY_NAMESPACE = UNCOVERED + """
    @auth.on.store
    async def own_namespace(ctx, value):
        namespace = tuple(value["namespace"] or ())
        if namespace[:1] == ("shared",):
            return None
        if namespace[:1] != (ctx.user.identity,):
            value["namespace"] = (ctx.user.identity, *namespace)
        return None
"""
#: What it kept says whose it is, as the real server can be told in searches alone.
BY_VALUE = UNCOVERED + """
    @auth.on.store.put
    async def put(ctx, value):
        value["value"]["owner"] = ctx.user.identity
        return {"owner": ctx.user.identity}

    @auth.on.store
    async def others(ctx, value):
        return {"owner": ctx.user.identity}
"""

#: What it leaves where it does not know whose a namespace is: a label of the search says which.
BY_WHAT_IT_KNOWS = UNCOVERED + """
    @auth.on.store
    async def known(ctx, value):
        asked = [*(value.get("namespace") or ()), *(value.get("suffix") or ())]
        if "is-null" in asked:
            value["namespace"] = None
        if "is-away" in asked:
            del value["namespace"]
        if "is-text" in asked:
            value["namespace"] = "text"
        if "no-suffix" in asked:
            value["suffix"] = None
"""
#: Searches and lists of which it makes ones of everything.
UNKNOWN = [
    ("/store/items/search", {"namespace_prefix": ["is-null"]}),
    ("/store/items/search", {"namespace_prefix": ["is-away"]}),
    ("/store/items/search", {"namespace_prefix": ["is-text"]}),
    ("/store/namespaces", {"prefix": ["is-null"]}),
    ("/store/namespaces", {"prefix": ["is-away"]}),
    ("/store/namespaces", {"suffix": ["is-away"]}),
    ("/store/namespaces", {"suffix": ["no-suffix"]}),
]


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """One server for each rule."""
    running = {}
    for name, handlers in {"owner": TUTORIAL, "namespace": BY_NAMESPACE, "value": BY_VALUE, "uncovered": UNCOVERED, "known": BY_WHAT_IT_KNOWS}.items():
        home = tmp_path_factory.mktemp(f"store-{name}")
        running[name] = doorward(home, Project(home / "app").use().write("auth.py", handlers))
    yield running
    for server in running.values():
        server.program.stop()


@pytest.fixture
def owner(servers):
    return servers["owner"]


def root() -> str:
    return f"r-{os.urandom(6).hex()}"


def put(client: Client, namespace: list, key: str, value: dict, **more):
    return client.put("/store/items", json={"namespace": namespace, "key": key, "value": value, **more})


def get(client: Client, namespace: list, key: str):
    answer = client.get("/store/items", params={"namespace": ".".join(namespace), "key": key})
    assert answer.status_code == 200, answer.text
    return answer.json()


def found(client: Client, **search) -> list:
    answer = client.post("/store/items/search", json=search)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def namespaces(client: Client, **search) -> list:
    answer = client.post("/store/namespaces", json=search)
    assert answer.status_code == 200, answer.text
    return answer.json()["namespaces"]


@pytest.mark.parametrize("rule", ["owner", "value", "uncovered"])
@pytest.mark.parametrize("flow", [storing.by_the_python_sdk, storing.by_the_javascript_sdk])
def test_every_method_of_both_sdks(servers, flow, rule):
    token, other = (f"user-{os.urandom(6).hex()}" for _ in range(2))
    under = root()
    told = flow(servers[rule].mount("langgraph"), token, other, under)
    if rule == "value":
        for name in ("got", "still", "kept"):
            assert told[name]["value"].pop("owner") == token
    storing.check(told, under)


@pytest.mark.parametrize("rule", ["owner", "value", "uncovered"])
def test_two_who_do_not_see_each_other_each_have_their_own_of_a_name(servers, rule):
    ann, bob = user(servers[rule]), user(servers[rule])
    under = root()
    for someone, text in ((ann, "ann's"), (bob, "bob's")):
        assert put(someone, [under], "k", {"text": text}).status_code == 204
    for someone, text in ((ann, "ann's"), (bob, "bob's")):
        assert get(someone, [under], "k")["value"]["text"] == text
        assert [item["value"]["text"] for item in found(someone, namespace_prefix=[under])] == [text]
        assert [item["value"]["text"] for item in found(someone)] == [text]
    assert bob.delete("/store/items", json={"namespace": [under], "key": "k"}).status_code == 204
    assert get(bob, [under], "k") is None and get(ann, [under], "k")["value"]["text"] == "ann's"
    assert namespaces(bob) == [] and namespaces(ann) == [[under]]


@pytest.mark.parametrize("rule", ["owner", "value"])
def test_a_value_that_claims_another_owner_is_the_writers(servers, rule):
    ann, eve, under = user(servers[rule]), user(servers[rule]), root()
    assert put(eve, [under], "k", {"owner": ann.token}).status_code == 204
    assert get(ann, [under], "k") is None and found(ann) == [] and namespaces(ann) == []
    assert get(eve, [under], "k") is not None


def test_a_rule_of_namespaces_is_applied_as_the_handler_left_it(servers):
    ann, bob = user(servers["namespace"]), user(servers["namespace"])
    assert put(ann, ["notes"], "k", {"n": 1}).status_code == 204
    assert get(ann, ["notes"], "k")["namespace"] == [ann.token, "notes"]
    assert get(bob, ["notes"], "k") is None and found(bob) == [] and namespaces(bob) == []
    assert get(bob, [ann.token, "notes"], "k") is None, "it is looked for under the caller's own"
    assert [item["key"] for item in found(ann, namespace_prefix=["notes"])] == ["k"]
    assert namespaces(ann, prefix=["notes"]) == [[ann.token, "notes"]]
    # A namespace that is let be is everybody's: one item of a name, whoever writes.
    under = root()
    for someone, text in ((ann, "first"), (bob, "second")):
        assert put(someone, ["shared", under], "k", {"text": text}).status_code == 204
    for someone in (ann, bob):
        assert get(someone, ["shared", under], "k")["value"] == {"text": "second"}
        assert len(found(someone, namespace_prefix=["shared", under])) == 1


def test_one_name_has_one_item_however_many_write_it_at_once(servers):
    for rule, space in (("namespace", ["shared"]), ("owner", [])):
        one = user(servers[rule])
        under = [*space, root()]
        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(lambda n: put(one, under, "k", {"n": n}).status_code, range(24)))
        assert set(statuses) <= {204, 409} and statuses.count(204) >= 8
        assert len(found(one, namespace_prefix=under)) == 1


def test_what_a_writer_could_not_read_again_is_not_kept(standing_in):
    someone, under = user(standing_in), root()
    refused = someone.put("/store/items", json={"namespace": [under], "key": "k", "value": {}}, headers=case(filter={"team": "red"}))
    assert refused.status_code == 403
    assert someone.put("/store/items", json={"namespace": [under], "key": "k", "value": {"team": "red"}}, headers=case(filter={"team": "red"})).status_code == 204
    for told, sees in (({"team": "red"}, True), ({"team": "blue"}, False), ({"owner": someone.token}, False), ({"team": {"$eq": "red"}}, True)):
        answer = someone.get("/store/items", params={"namespace": under, "key": "k"}, headers=case(filter=told))
        assert (answer.json() is not None) is sees, told
        listed = someone.post("/store/items/search", json={"namespace_prefix": [under]}, headers=case(filter=told))
        assert bool(listed.json()["items"]) is sees, told
        spaces = someone.post("/store/namespaces", json={"prefix": [under]}, headers=case(filter=told))
        assert bool(spaces.json()["namespaces"]) is sees, told


@pytest.mark.parametrize("what", [{"filter": {"a": {"$gt": 1}}}, {"filter": {"$not": {"a": 1}}}, {"on": "str"}, {"on": "raise KeyError"}])
def test_a_rule_that_cannot_be_enforced_lets_nothing_through(standing_in, what):
    someone, under = user(standing_in), root()
    assert put(someone, [under], "k", {"a": 5}).status_code == 204
    named = {"namespace": [under], "key": "k"}
    for method, path, more in (
        ("PUT", "/store/items", {"json": {**named, "value": {"a": 6}}}),
        ("GET", "/store/items", {"params": {"namespace": under, "key": "k"}}),
        ("DELETE", "/store/items", {"json": named}),
        ("POST", "/store/items/search", {"json": {}}),
        ("POST", "/store/namespaces", {"json": {}}),
    ):
        answer = someone.request(method, path, headers=case(**what), **more)
        assert answer.status_code == 500 and under not in answer.text, (method, path, answer.text)
    assert get(someone, [under], "k")["value"] == {"a": 5}


def refused_for_lack_of_a_namespace(server) -> None:
    ann, bob, under = user(server), user(server), root()
    assert put(ann, [under], "k", {"text": "ann's"}).status_code == 204
    for path, asked in UNKNOWN:
        answer = bob.post(path, json=asked)
        assert (answer.status_code, said(answer)) == (500, "The authorization handler left no namespace that can be enforced."), (path, asked)
    # That nobody asked for a namespace is something else.
    assert [under] in namespaces(bob, prefix=[], limit=1000) and [under] in namespaces(bob, limit=1000)
    assert [item["key"] for item in found(bob, namespace_prefix=[under])] == ["k"]


def test_a_namespace_that_a_handler_does_not_know_is_not_the_root(servers):
    refused_for_lack_of_a_namespace(servers["known"])


def test_a_refusal_of_a_handler_is_its_own(standing_in):
    someone = user(standing_in)
    refused = someone.post("/store/items/search", json={}, headers=case(on="False"))
    assert (refused.status_code, said(refused)) == (403, "Forbidden")
    asked = someone.put("/store/items", json={"namespace": ["a", "b"], "key": "k", "value": {"x": 1}, "ttl": 5}, headers=case(ask="ctx"))
    told = json.loads(said(asked))
    assert (told["resource"], told["action"]) == ("store", "put")
    assert told["value"] == {"namespace": ["a", "b"], "key": "k", "value": {"x": 1}, "index": None, "ttl": 5}


HOSTILE = [
    {"namespace": [], "key": "k", "value": {}},
    {"namespace": [""], "key": "k", "value": {}},
    {"namespace": ["a.b"], "key": "k", "value": {}},
    {"namespace": ["langgraph", "x"], "key": "k", "value": {}},
    {"namespace": ["a\u0000b"], "key": "k", "value": {}},
    {"namespace": ["a"] * 17, "key": "k", "value": {}},
    {"namespace": ["a" * 300], "key": "k", "value": {}},
    {"namespace": [["a"]], "key": "k", "value": {}},
    {"namespace": [None], "key": "k", "value": {}},
    {"namespace": {"a": 1}, "key": "k", "value": {}},
    {"namespace": ["a"], "key": "", "value": {}},
    {"namespace": ["a"], "key": "k\r\nx", "value": {}},
    {"namespace": ["a"], "key": "k" * 513, "value": {}},
    {"namespace": ["a"], "key": 5, "value": {}},
    {"namespace": ["a"], "key": "k", "value": "text"},
    {"namespace": ["a"], "key": "k", "value": None},
    {"namespace": ["a"], "key": "k"},
    {"namespace": ["a"], "key": "k", "value": {"x": "y" * (257 << 10)}},
    {"namespace": ["a"], "key": "k", "value": {}, "ttl": -1},
    {"namespace": ["a"], "key": "k", "value": {}, "ttl": 1e18},
    {"namespace": ["a"], "key": "k", "value": {}, "index": "all"},
]


@pytest.mark.parametrize("body", HOSTILE, ids=lambda body: json.dumps(body)[:60])
def test_hostile_items_are_refused_and_nothing_is_kept(owner, body):
    someone = user(owner)
    answer = someone.put("/store/items", json=body)
    assert answer.status_code == 422 and said(answer), answer.text
    assert found(someone) == []


def test_names_that_look_like_patterns_are_only_names(owner):
    someone = user(owner)
    for label in ("%", "_", "a%", "*", "'; DROP TABLE document; --", "日本", "\U0001f600", "a/b", "~"):
        assert put(someone, [label, "x"], label, {"is": label}).status_code == 204, label
    for label in ("%", "_", "'; DROP TABLE document; --", "日本", "\U0001f600", "a/b"):
        assert get(someone, [label, "x"], label)["value"] == {"is": label}
        assert [item["value"]["is"] for item in found(someone, namespace_prefix=[label])] == [label]
    assert found(someone, namespace_prefix=["a"]) == [], "a label is whole"
    assert len(namespaces(someone, prefix=["*"])) == 9, "and in a pattern, * is any one label"


@pytest.mark.parametrize("search", [
    {"filter": {"a": {"$where": "1"}}},
    {"filter": {"$or": [{"a": 1}, {"b": 2}]}},
    {"filter": {"a": {"$gt": "x"}}},
    {"filter": []},
    {"filter": {"a": [[[[[[[[[[1]]]]]]]]]]}},
    {"namespace_prefix": ["a.b"]},
    {"namespace_prefix": "a"},
    {"limit": 1001},
    {"limit": -1},
    {"offset": 10001},
    {"query": "what does it mean"},
])
def test_searches_that_are_not_understood_are_refused(owner, search):
    someone = user(owner)
    assert put(someone, [root()], "k", {"a": 5}).status_code == 204
    answer = someone.post("/store/items/search", json=search)
    assert answer.status_code == 422, answer.text


def test_filters_of_a_search_compare_values(owner):
    someone, under = user(owner), root()
    for n in range(5):
        assert put(someone, [under], f"k{n}", {"n": n, "even": n % 2 == 0, "o": {"n": n}}).status_code == 204
    for wanted, keys in (
        ({"n": 3}, ["k3"]),
        ({"n": {"$eq": 3}}, ["k3"]),
        ({"n": {"$ne": 3}}, ["k0", "k1", "k2", "k4"]),
        ({"n": {"$gt": 1, "$lte": 3}}, ["k2", "k3"]),
        ({"n": {"$gte": 4}}, ["k4"]),
        ({"n": {"$lt": 1}}, ["k0"]),
        ({"even": True, "o": {"n": {"$gt": 2}}}, ["k4"]),
        ({"missing": 1}, []),
        ({"n": "3"}, []),
    ):
        assert sorted(item["key"] for item in found(someone, namespace_prefix=[under], filter=wanted)) == keys, wanted
    newest = [item["key"] for item in found(someone, namespace_prefix=[under])]
    assert newest == ["k4", "k3", "k2", "k1", "k0"], "what changed last comes first"
    assert [item["key"] for item in found(someone, namespace_prefix=[under], limit=2, offset=1)] == ["k3", "k2"]


def test_an_item_ends_and_a_look_puts_it_off(owner):
    someone, under = user(owner), root()
    assert put(someone, [under], "short", {}, ttl=0.01).status_code == 204
    assert put(someone, [under], "long", {}, ttl=60).status_code == 204
    wait_until(lambda: [item["key"] for item in found(someone, namespace_prefix=[under], refresh_ttl=False)] == ["long"], "the short one to end")
    assert get(someone, [under], "short") is None and namespaces(someone, prefix=[under]) == [[under]]
    assert put(someone, [under], "short", {"again": True}).status_code == 204
    again = get(someone, [under], "short")
    assert again["value"] == {"again": True} and again["created_at"] == again["updated_at"]


def test_an_owner_has_so_much_in_the_store(owner):
    someone, under = user(owner), root()
    big = {"x": "y" * (250 << 10)}
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda n: put(someone, [under], f"k{n}", big).status_code, range(270)))
    assert set(statuses) == {204, 409} and statuses.count(204) == (64 << 20) // (250 << 10)
    assert put(user(owner), [under], "k", big).status_code == 204, "others' room is theirs"
    assert len(found(someone, namespace_prefix=[under], limit=1000)) < 20, "one answer holds so much"


def test_no_token_no_store(owner):
    stranger = Client(owner.mount("langgraph"), roaming=True)
    for method, path, more in (
        ("PUT", "/store/items", {"json": HOSTILE[0]}),
        ("GET", "/store/items", {}),
        ("DELETE", "/store/items", {"json": {"key": "k"}}),
        ("POST", "/store/items/search", {"json": {}}),
        ("POST", "/store/namespaces", {"json": {}}),
    ):
        assert stranger.request(method, path, **more).status_code == 401
