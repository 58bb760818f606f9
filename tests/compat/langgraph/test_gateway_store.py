"""The real server's store behind the gateway: its reads ignore what handlers return, ours do not. L-002, L-037."""

import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
import storing
from agentserver import STAMP, TUTORIAL, gateway, said, user
from test_store import BY_NAMESPACE, BY_WHAT_IT_KNOWS, HOSTILE, found, get, namespaces, put, refused_for_lack_of_a_namespace, root

from harness.recorder import Recorder

OURS = (STAMP, "doorward_metadata")


@pytest.mark.parametrize("flow", [storing.by_the_python_sdk, storing.by_the_javascript_sdk])
def test_every_method_of_both_sdks(door, flow):
    token, other = (f"user-{os.urandom(6).hex()}" for _ in range(2))
    under = root()
    storing.check(flow(door.mount("langgraph"), token, other, under), under)


def test_whose_an_item_is_stands_in_its_value_and_is_shown_to_nobody(door, behind):
    ann, bob, under = user(door), user(door), root()
    forged = {STAMP: f"langgraph|{bob.token}", "doorward_metadata": {"owner": bob.token}, "owner": bob.token, "text": "ann's"}
    assert put(ann, [under], "k", forged).status_code == 204
    kept = get(behind, [under], "k")["value"]
    assert kept[STAMP] == f"langgraph|{ann.token}" and kept["doorward_metadata"].get("owner", ann.token) == ann.token
    shown = get(ann, [under], "k")
    assert shown["value"] == {"owner": bob.token, "text": "ann's"}
    assert [item["value"] for item in found(ann, namespace_prefix=[under])] == [shown["value"]]
    assert get(bob, [under], "k") is None and found(bob, namespace_prefix=[under]) == [] and namespaces(bob, prefix=[under]) == []


def test_a_name_that_is_taken_is_not_taken_over(door, behind):
    ann, bob, under = user(door), user(door), root()
    assert put(ann, [under], "k", {"text": "ann's"}).status_code == 204
    taken = put(bob, [under], "k", {"text": "bob's"})
    assert (taken.status_code, said(taken)) == (409, "Conflict")
    assert bob.delete("/store/items", json={"namespace": [under], "key": "k"}).status_code == 204
    assert get(behind, [under], "k")["value"]["text"] == "ann's"
    assert put(ann, [under], "k", {"text": "again"}).status_code == 204
    assert ann.delete("/store/items", json={"namespace": [under], "key": "k"}).status_code == 204
    assert get(behind, [under], "k") is None
    assert put(bob, [under], "k", {"text": "bob's"}).status_code == 204, "it is free again"


def test_of_many_who_take_a_name_at_once_one_has_it(door, behind):
    everybody, under = [user(door) for _ in range(8)], root()
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda one: put(one, [under], "k", {"text": one.token}).status_code, everybody))
    assert sorted(statuses) == [204, *[409] * 7]
    winner = everybody[statuses.index(204)]
    assert get(behind, [under], "k")["value"]["text"] == winner.token


def test_what_nobody_stamped_is_nobodys(door, behind):
    ann, under = user(door), root()
    assert put(behind, [under], "k", {"text": "the graph's"}).status_code == 204
    assert get(ann, [under], "k") is None and found(ann, namespace_prefix=[under]) == [] and namespaces(ann, prefix=[under]) == []
    assert put(ann, [under], "k", {"text": "ann's"}).status_code == 409
    assert get(behind, [under], "k")["value"] == {"text": "the graph's"}


def test_what_a_graph_keeps_is_reached_by_what_it_says_or_where_it_stands(tutorial_gateway, upstream, behind, tmp_path):
    ann, bob, under = user(tutorial_gateway), user(tutorial_gateway), root()
    assert put(behind, [under], "k", {"owner": ann.token}).status_code == 204
    assert get(ann, [under], "k")["value"] == {"owner": ann.token} and get(bob, [under], "k") is None
    with gateway(tmp_path, upstream.url, BY_NAMESPACE) as server:
        eve = user(server)
        assert put(behind, [eve.token, under], "k", {"text": "the graph's"}).status_code == 204
        assert get(eve, [under], "k")["value"] == {"text": "the graph's"}
        assert namespaces(eve, prefix=[under]) == [[eve.token, under]]
        assert [item["key"] for item in found(eve, namespace_prefix=[under])] == ["k"]
        assert put(eve, [under], "k", {"text": "eve's"}).status_code == 204
        assert get(user(server), [eve.token, under], "k") is None
        assert STAMP not in str(found(eve, namespace_prefix=[under]))


def test_pages_are_of_what_one_may_see(door, behind):
    ann, bob, under = user(door), user(door), root()
    for n in range(4):
        for someone in (ann, bob):
            assert put(someone, [under, someone.token], f"k{n}", {"n": n}).status_code == 204
    for someone in (ann, bob):
        every = [item["key"] for item in found(someone, namespace_prefix=[under])]
        assert sorted(every) == ["k0", "k1", "k2", "k3"]
        paged = [found(someone, namespace_prefix=[under], limit=1, offset=n)[0]["key"] for n in range(4)]
        assert paged == every and found(someone, namespace_prefix=[under], limit=1, offset=4) == []
        assert namespaces(someone, prefix=[under], suffix=["*"], max_depth=2) == [[under, someone.token]]
    assert len(found(behind, namespace_prefix=[under])) == 8


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_items_never_reach_the_server(tutorial_gateway, body):
    someone = user(tutorial_gateway)
    assert someone.put("/store/items", json=body).status_code == 422
    assert found(someone) == []


def test_hostile_names_in_a_query_never_reach_the_server(tutorial_gateway):
    someone = user(tutorial_gateway)
    for namespace, key in (("a..b", "k"), ("", "k"), ("a", ""), ("a%00", "k"), ("a", "k%0d%0a"), (".".join("a" * 20), "k")):
        assert someone.get(f"/store/items?namespace={namespace}&key={key}").status_code in (400, 422), (namespace, key)


def test_names_that_look_like_queries_are_only_names(door):
    someone, under = user(door), root()
    for label in ("a&key=b", "a/b?c#d", "%2e%2e", "a b+c", "\u65e5\u672c", "'; --"):
        assert put(someone, [under, label], label, {"is": label}).status_code == 204, label
        answer = someone.get("/store/items", params={"namespace": f"{under}.{label}", "key": label})
        assert answer.json()["value"] == {"is": label}


class LikePostgres(Recorder):
    """A server whose store takes a prefix letter by letter, as `LIKE 'user-1%'` does, and compares equal values."""

    def __init__(self) -> None:
        self.rows: list[dict] = []
        super().__init__(answer=self._told)

    def keeps(self, token: str, namespace: list, key: str, value: dict) -> None:
        """What somebody put through the gateway."""
        ours = {STAMP: f"langgraph|{token}", "doorward_metadata": {"owner": token}}
        at = "2026-01-01T00:00:00Z"
        self.rows.append({"namespace": namespace, "key": key, "value": {**value, **ours}, "created_at": at, "updated_at": at})

    def searches(self) -> list[dict]:
        return [request.json() for request in self.taken() if request.target == "/store/items/search"]

    def _told(self, request) -> tuple[int, object]:
        path, asked = request.target.split("?")[0], json.loads(request.body or b"{}")
        if path not in ("/store/items/search", "/store/namespaces"):
            return 200, None
        part = slice(asked["offset"], asked["offset"] + asked["limit"])
        begins = ".".join(asked.get("namespace_prefix") or asked.get("prefix") or [])
        rows = [row for row in self.rows if ".".join(row["namespace"]).startswith(begins)]
        if path == "/store/namespaces":
            ends = ".".join(asked.get("suffix") or [])
            spaces = sorted({tuple(row["namespace"][: asked.get("max_depth")]) for row in rows if ".".join(row["namespace"]).endswith(ends)})
            return 200, {"namespaces": spaces[part]}
        wanted = (asked.get("filter") or {}).items()
        return 200, {"items": [row for row in rows if all(row["value"].get(name) == value for name, value in wanted)][part]}


@pytest.fixture
def postgres():
    with LikePostgres() as upstream:
        yield upstream


def test_what_others_keep_changes_no_answer_to_a_filter(door):
    """The real server compares with everything it has, and fails over what is no number."""
    ann, bob, under = user(door), user(door), root()
    assert put(ann, [under], "secret", {"pin": "ann's"}).status_code == 204
    for n in range(3):
        assert put(bob, [under], f"k{n}", {"pin": n, "o": {"n": n}}).status_code == 204
    for wanted, keys in (({"pin": {"$gte": 1}}, ["k1", "k2"]), ({"pin": 2.0}, ["k2"]), ({"o": {"n": {"$lt": 1}}}, ["k0"]), ({"pin": "ann's"}, [])):
        assert sorted(item["key"] for item in found(bob, namespace_prefix=[under], filter=wanted)) == keys, wanted
    assert [item["key"] for item in found(bob, namespace_prefix=[under], filter={"pin": {"$gte": 0}}, limit=1, offset=2)] == ["k2"]
    for name, whose in ((STAMP, f"langgraph|{ann.token}"), ("doorward_metadata", {"owner": ann.token}), (STAMP, f"langgraph|{bob.token}")):
        assert found(bob, namespace_prefix=[under], filter={name: whose}) == [], "those members are none"


@pytest.mark.parametrize("rule", [TUTORIAL, BY_NAMESPACE], ids=["condition", "namespace"])
def test_a_clients_filter_is_not_asked_of_the_server(postgres, tmp_path, rule):
    with gateway(tmp_path, postgres.url, rule) as server:
        bob = user(server)
        for n in range(70):
            postgres.keeps(bob.token, [bob.token, "notes"], f"k{n}", {"n": n})
        postgres.taken()
        keys = [item["key"] for item in found(bob, namespace_prefix=[bob.token], filter={"n": {"$gte": 40}}, limit=4, offset=2)]
        assert keys == ["k42", "k43", "k44", "k45"]
        asked = postgres.searches()
        assert [search.get("filter") for search in asked] == [None, None] and {search["limit"] for search in asked} == {30}


def test_large_items_of_others_stop_no_search(postgres, tmp_path):
    with gateway(tmp_path, postgres.url) as server:
        ann, bob = user(server), user(server)
        # As many as filled an answer once, then as a graph may keep them: two too large for one answer, and one too large for any.
        sizes = [*[250_000] * 40, *[3 << 20] * 5, 9 << 20, *[3 << 20] * 3]
        for n, size in enumerate(sizes):
            postgres.keeps(bob.token, ["bobs"], f"k{n}", {"x": "y" * size})
        postgres.keeps(ann.token, ["anns"], "k", {"n": 1})
        assert [item["key"] for item in found(ann, filter={"n": 1})] == ["k"] and namespaces(ann) == [["anns"]]
        asked = {search["offset"] for search in postgres.searches()}
        assert len(sizes) - 4 in asked, "the largest was left out by itself"
        answer = bob.post("/store/items/search", json={"limit": 1, "offset": 47})
        assert [item["key"] for item in answer.json()["items"]] == ["k48"], "what nobody can look at is in no list"


@pytest.mark.parametrize("rule", [TUTORIAL, BY_NAMESPACE], ids=["condition", "namespace"])
def test_a_neighbour_whose_name_begins_alike_is_not_told(postgres, tmp_path, rule):
    with gateway(tmp_path, postgres.url, rule) as server:
        one, ten = user(server, "1"), user(server, "10")
        for someone in (one, ten):
            postgres.keeps(one.token, [someone.token, "notes", "old"], someone.token, {"n": 1})
            postgres.keeps(one.token, [someone.token, "files", "cold"], someone.token, {"n": 2})
        own = [[one.token, "files", "cold"], [one.token, "notes", "old"]]
        assert [item["namespace"] for item in found(one, namespace_prefix=[one.token])] == own[::-1]
        assert found(one, namespace_prefix=[one.token, "note"]) == [], "a label is whole"
        assert namespaces(one, prefix=[one.token]) == own
        assert namespaces(one, prefix=[one.token], max_depth=1) == [[one.token]]
        assert namespaces(one, prefix=[one.token], suffix=["old"]) == own[1:]
        assert namespaces(one, prefix=[one.token], suffix=["old"], max_depth=2) == [[one.token, "notes"]]
        assert namespaces(one, prefix=[one.token], limit=1, offset=1) == own[1:]
        assert namespaces(one, prefix=[one.token, "note"]) == []


def test_a_namespace_that_a_handler_does_not_know_is_not_the_root(upstream, tmp_path):
    with gateway(tmp_path, upstream.url, BY_WHAT_IT_KNOWS) as server:
        refused_for_lack_of_a_namespace(server)
