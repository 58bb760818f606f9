"""Filters that handlers return, beside the real server: L-029, L-036. Each filter meets each object, by id and by search."""

import json
import os

import pytest
from agentserver import case, user

OBJECTS = [
    {},
    {"a": 5},
    {"a": "5"},
    {"a": 5.0},
    {"a": None},
    {"a": True},
    {"a": 1},
    {"a": [1, 2, 3]},
    {"a": [1, [2]]},
    {"a": [True, 2]},
    {"a": ["x", "y"]},
    {"a": {"b": 1}},
    {"a": {"b": 1, "c": 2}},
    {"a": "x", "b": "y"},
    {"a": "x"},
    {"b": "y"},
    {"a": ""},
    {"a": "X"},
    {"$eq": "x", "a": "z"},
    {"a": "ä"},
]

#: Filters that both servers know: they match the same objects.
KNOWN = [
    {},
    {"a": 5},
    {"a": "5"},
    {"a": 5.0},
    {"a": None},
    {"a": True},
    {"a": 1},
    {"a": [1, 2, 3]},
    {"a": [3, 2, 1]},
    {"a": "x"},
    {"a": ""},
    {"a": "ä"},
    {"a": "x", "b": "y"},
    {"none": "x"},
    {"a": {"$eq": 5}},
    {"a": {"$eq": "5"}},
    {"a": {"$eq": None}},
    {"a": {"$eq": {"b": 1}}},
    {"a": {"$eq": [1, 2, 3]}},
    {"a": {"$contains": 2}},
    {"a": {"$contains": "x"}},
    {"a": {"$contains": [1, 3]}},
    {"a": {"$contains": [1, 4]}},
    {"a": {"$contains": [2]}},
    {"a": {"$contains": []}},
    {"$or": [{"a": "x"}, {"b": "y"}]},
    {"$and": [{"a": "x"}, {"b": "y"}]},
    {"$or": [{"a": 5}, {"a": "5"}, {"a": {"$contains": 1}}]},
    {"$or": [{"a": "x"}, {"a": "X"}], "b": "y"},
    {"$and": [{"$or": [{"a": "x"}, {"a": "X"}]}, {"b": "y"}]},
    {"$or": [{"$and": [{"a": "x"}, {"b": "y"}]}, {"a": 5}]},
    {"$or": [{"a": "x"}, {"b": "y"}], "$and": [{"a": "x"}, {"b": "y"}]},
]

#: What the real server matches besides, because Python takes true and 1 for equal: here they are two values.
STRICTER = {
    '{"a": true}': [{"a": 1}],
    '{"a": 1}': [{"a": True}],
    '{"$or": [{"a": 5}, {"a": "5"}, {"a": {"$contains": 1}}]}': [{"a": [True, 2]}],
}

#: Filters that the real server does not understand, and then lets everything or something through: here 500 and nothing.
UNKNOWN = [
    {"a": {"$gt": 4}},
    {"a": {"$ne": "x"}},
    {"a": {"$in": ["x", "y"]}},
    {"a": {"b": 1}},
    {"a": {}},
    {"a": {"$not": {"$eq": "x"}}},
    {"a": {"$eq": "x", "$contains": "y"}},
    {"$not": {"a": "x"}},
    {"$nor": [{"a": "x"}, {"a": "y"}]},
    {"$or": []},
    {"$or": [{"a": "x"}]},
    {"$or": {"a": "x"}},
    {"$or": "x"},
    {"$or": [{"a": "x"}, "y"]},
    {"$or": [{"a": "x"}, {}]},
    {"$and": []},
    {"$and": [{"a": "x"}]},
    {"$and": None},
    {"$or": [{"a": "x"}, {"$or": [{"a": "y"}, {"$or": [{"a": "z"}, {"a": "w"}]}]}]},
    {"$or": [{"a": {"$gt": 1}}, {"b": "y"}]},
    {"$eq": "x"},
]


@pytest.fixture(scope="module")
def objects():
    """By server: an id for each of OBJECTS, and the tag that a search finds exactly them by."""
    made = {}

    def of(server):
        if id(server) not in made:
            someone, tag = user(server), os.urandom(6).hex()
            ids = [someone.post("/threads", json={"metadata": {**held, "tag": tag}}, headers=case(on="None")).json()["thread_id"] for held in OBJECTS]
            made[id(server)] = server, ids, tag
        return made[id(server)][1:]

    return of


def found(server, objects, filters) -> tuple[list[int], list[int], set[int]]:
    """The objects that are told by id, those that a search finds, and every status there was."""
    ids, tag = objects(server)
    someone, header = user(server), case(filter=filters)
    answers = [someone.get(f"/threads/{thread}", headers=header) for thread in ids]
    listed = someone.post("/threads/search", json={"metadata": {"tag": tag}, "limit": 100}, headers=header)
    counted = someone.post("/threads/count", json={"metadata": {"tag": tag}}, headers=header)
    searched = [ids.index(thread["thread_id"]) for thread in listed.json()] if listed.status_code == 200 else []
    assert listed.status_code != 200 or counted.json() == len(searched)
    by_id = [number for number, answer in enumerate(answers) if answer.status_code == 200]
    return by_id, sorted(searched), {answer.status_code for answer in [*answers, listed, counted]}


@pytest.mark.parametrize("filters", KNOWN, ids=json.dumps)
def test_a_filter_matches_what_it_matches_on_the_real_server(standing_in, real, objects, filters):
    theirs, ours = found(real, objects, filters), found(standing_in, objects, filters)
    more = [OBJECTS[number] for number in theirs[0] if number not in ours[0]]
    assert more == STRICTER.get(json.dumps(filters), []) and set(ours[0]) <= set(theirs[0])
    assert ours[1] == ours[0] and ours[2] <= {200, 404}


@pytest.mark.parametrize("filters", UNKNOWN, ids=json.dumps)
def test_a_filter_that_nobody_understands_is_an_error_and_tells_nothing(standing_in, objects, filters):
    by_id, searched, statuses = found(standing_in, objects, filters)
    assert (by_id, searched, statuses) == ([], [], {500})


@pytest.mark.parametrize("filters", UNKNOWN, ids=json.dumps)
def test_an_act_under_a_filter_that_nobody_understands_changes_nothing(standing_in, filters):
    someone, header = user(standing_in), case(filter=filters)
    thread = someone.post("/threads", json={"metadata": {"a": "x"}}).json()["thread_id"]
    before = someone.get(f"/threads/{thread}").content
    assert {
        someone.patch(f"/threads/{thread}", json={"metadata": {"a": "y"}}, headers=header).status_code,
        someone.post(f"/threads/{thread}/copy", headers=header).status_code,
        someone.post(f"/threads/{thread}/state", json={"values": {"messages": [{"role": "user", "content": "x"}]}}, headers=header).status_code,
        someone.post(f"/threads/{thread}/runs", json={"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": "x"}]}}, headers=header).status_code,
        someone.delete(f"/threads/{thread}", headers=header).status_code,
        someone.post("/threads/prune", json={"thread_ids": [thread]}, headers=header).status_code,
    } == {500}
    assert someone.get(f"/threads/{thread}").content == before


def test_a_new_thread_that_its_own_filter_does_not_match(standing_in, real):
    def made(server):
        someone = user(server)
        answer = someone.post("/threads", json={"metadata": {"a": 1}}, headers=case(filter={"a": 2}))
        return answer.status_code, someone.post("/threads/count", json={}, headers=case(filter={"a": 1})).status_code

    assert made(standing_in) == made(real)


@pytest.mark.parametrize("filters", [{"n": {"$contains": 1}}, {"$or": [{"kind": "x"}, {"kind": "y"}]}, {"kind": {"$eq": "x"}}], ids=json.dumps)
def test_pages_hold_what_the_filter_matches_and_nothing_counts_the_rest(standing_in, filters):
    someone, tag = user(standing_in), os.urandom(6).hex()
    for number in range(30):
        metadata = {"tag": tag, "n": [1], "kind": "x"} if number % 6 == 0 else {"tag": tag, "n": [2], "kind": "z"}
        assert someone.post("/threads", json={"metadata": metadata}, headers=case(on="None")).status_code == 200
    pages = [someone.post("/threads/search", json={"metadata": {"tag": tag}, "limit": 3, "offset": offset}, headers=case(filter=filters)) for offset in (0, 3, 6)]
    assert [len(page.json()) for page in pages] == [3, 2, 0]
    assert {thread["metadata"]["kind"] for page in pages for thread in page.json()} == {"x"}
    assert all(int(page.headers["x-pagination-total"]) <= 6 for page in pages)
    assert len({thread["thread_id"] for page in pages for thread in page.json()}) == 5
    assert someone.post("/threads/count", json={"metadata": {"tag": tag}}, headers=case(filter=filters)).json() == 5
