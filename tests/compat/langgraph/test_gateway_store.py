"""The real server's store behind the gateway: its reads ignore what handlers return, ours do not. L-002, L-037."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
import storing
from agentserver import STAMP, gateway, said, user
from test_store import BY_NAMESPACE, HOSTILE, found, get, namespaces, put, root

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
