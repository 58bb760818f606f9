"""Two users on one server: what belongs to the other does not exist (A-028, A-029, A-030, A-051).

Everything runs twice: on the embedded agent server, and in front of the real one, which by itself
shares every thread with everybody (`test_real_server.py`).
"""

import json
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
import requests

from harness.agentflow.tokens import token
from harness.agentflow.wire import (
    DOCUMENT_ROUTES,
    JSON,
    THREAD_ROUTES,
    Comparable,
    run_body,
    send,
    texts,
)
from harness.client import Client, values_of

SECRET_TEXT = "alices-secret"
RACERS = 8


@pytest.fixture
def thread(alice) -> str:
    """A thread of Alice's with one exchange in it."""
    answer = alice.post("/v1/graph/invoke", json=run_body(SECRET_TEXT))
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["meta"]["thread_id"]


def messages_of(client, thread_id: str) -> list[dict]:
    answer = client.get(f"/v1/threads/{thread_id}/messages")
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["messages"]


def unknown_id() -> str:
    return str(uuid4())


def names(routes: list[tuple]) -> list[str]:
    return [f"{method} {path}" for method, path, _ in routes]


def test_each_list_holds_the_callers_threads_only(alice, bob):
    own = {
        client: {client.post("/threads").json()["thread_id"], client.post("/threads").json()["thread_id"]}
        for client in (alice, bob)
    }
    for path in ("/threads", "/v1/threads"):
        for client, other in ((alice, bob), (bob, alice)):
            listed = set(values_of("thread_id", client.get(path).json()))
            assert own[client] <= listed, path
            assert not own[other] & listed, path


def test_a_list_is_not_widened_by_its_parameters(alice, bob, thread):
    for query in ("limit=1000", "offset=0", "search=", "user_id=" + "x", "search=" + SECRET_TEXT):
        answer = bob.get(f"/v1/threads?{query}")
        assert answer.status_code in (200, 400), answer.text
        assert thread not in answer.text
        assert SECRET_TEXT not in answer.text


@pytest.mark.parametrize(
    "route", [*DOCUMENT_ROUTES, *THREAD_ROUTES], ids=names([*DOCUMENT_ROUTES, *THREAD_ROUTES])
)
def test_somebody_elses_thread_is_answered_like_an_unknown_one(alice, bob, thread, route):
    before = messages_of(alice, thread)
    message, unknown = before[0]["message_id"], unknown_id()
    foreign = send(bob, route, id=thread, message=message)
    missing = send(bob, route, id=unknown, message=message)
    assert foreign.status_code == 404, foreign.text
    assert Comparable.of(foreign, thread) == Comparable.of(missing, unknown)
    assert messages_of(alice, thread) == before, "and nothing has happened to it"


@pytest.mark.parametrize("path", ["/v1/graph/invoke", "/v1/graph/stream"])
def test_a_run_cannot_enter_somebody_elses_thread_by_its_body(alice, bob, thread, path):
    refused = bob.post(path, json=run_body("intruder", thread))
    assert refused.status_code == 404, refused.text
    refused = bob.post(path, json={**run_body("intruder"), "thread_id": thread})
    assert refused.status_code == 404, refused.text
    assert "intruder" not in json.dumps(messages_of(alice, thread))


@pytest.mark.parametrize("path", ["/v1/graph/invoke", "/v1/graph/stream", "/v1/graph/stop"])
def test_two_thread_ids_that_disagree_are_a_bad_request(alice, bob, thread, path):
    own = bob.post("/threads").json()["thread_id"]
    for body in (
        {**run_body("intruder", own), "thread_id": thread},
        {**run_body("intruder", thread), "thread_id": own},
    ):
        assert bob.post(path, json=body).status_code == 400
    assert "intruder" not in json.dumps(messages_of(alice, thread))


@pytest.mark.parametrize(
    "spell",
    [
        lambda own: f" {own}",
        lambda own: f"{own} ",
        lambda own: f"{own}\u001c",
        lambda own: f"{own}\u00a0",
        lambda own: f"\u2003{own}",
        lambda own: f"{own}\u0000",
        lambda own: [own],
        lambda own: {"$eq": own},
        lambda own: {"toString": own},
    ],
    ids=[
        "leading",
        "trailing",
        "file_separator",
        "no_break",
        "em_space",
        "nul",
        "list",
        "operator",
        "object",
    ],
)
def test_another_spelling_of_a_foreign_id_does_not_reach_it(alice, bob, thread, spell):
    for path in ("/v1/graph/invoke", "/v1/graph/stream"):
        answer = bob.post(path, json=run_body("intruder", spell(thread)))
        assert 400 <= answer.status_code < 500, answer.text
    assert "intruder" not in json.dumps(messages_of(alice, thread))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-7", "utf-8-sig"])
def test_a_body_in_another_encoding_does_not_smuggle_an_id(alice, bob, thread, encoding):
    body = json.dumps(run_body("intruder", thread)).encode(encoding)
    headers = {"Content-Type": f"application/json; charset={encoding}"}
    answer = bob.post("/v1/graph/invoke", data=body, headers=headers)
    assert 400 <= answer.status_code < 500, answer.text
    assert "intruder" not in json.dumps(messages_of(alice, thread))


@pytest.mark.parametrize("order", ["own_first", "own_last"])
def test_a_repeated_key_does_not_smuggle_an_id(alice, bob, thread, order):
    own = bob.post("/threads").json()["thread_id"]
    first, second = (own, thread) if order == "own_first" else (thread, own)
    messages = json.dumps(run_body("intruder")["messages"])
    for body in (
        f'{{"messages":{messages},"config":{{"thread_id":"{first}","thread_id":"{second}"}}}}',
        f'{{"messages":{messages},"config":{{"thread_id":"{first}"}},"config":{{"thread_id":"{second}"}}}}',
        f'{{"messages":{messages},"config":{{"thread_id":"{first}","thread\\u005fid":"{second}"}}}}',
    ):
        assert bob.post("/v1/graph/invoke", data=body, headers=JSON).status_code == 400, body
    assert "intruder" not in json.dumps(messages_of(alice, thread))


def test_an_id_hidden_in_a_content_type_that_is_not_json_is_refused(alice, bob, thread):
    body = json.dumps(run_body("intruder", thread))
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "application/vnd.api+json", ""):
        answer = bob.post("/v1/graph/invoke", data=body, headers={"Content-Type": content_type})
        assert 400 <= answer.status_code < 500, f"{content_type}: {answer.text}"
    assert "intruder" not in json.dumps(messages_of(alice, thread))


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda own, foreign: f"/v1/threads/{own}/../{foreign}/messages",
        lambda own, foreign: f"/v1/threads/{own}/..%2f{foreign}/messages",
        lambda own, foreign: f"/v1/threads/{own}%2f..%2f{foreign}/messages",
        lambda own, foreign: f"/v1/threads/{own};/../{foreign}/messages",
        lambda own, foreign: f"/v1/threads//{foreign}/messages",
        lambda own, foreign: f"/v1/./threads/{foreign}/messages",
        lambda own, foreign: f"/v1/threads/{foreign}%00/messages",
        lambda own, foreign: f"/v1/threads/{foreign}%20/messages",
        lambda own, foreign: f"/v1/threads/%20{foreign}/messages",
        lambda own, foreign: f"/v1/threads/{foreign}/messages/",
        lambda own, foreign: f"/V1/THREADS/{foreign}/messages",
        lambda own, foreign: f"/v1\\threads\\{foreign}\\messages",
    ],
    ids=[
        "dots",
        "encoded_slash",
        "encoded_slashes",
        "semicolon",
        "empty_segment",
        "dot_segment",
        "nul",
        "space_after",
        "space_before",
        "final_slash",
        "upper_case",
        "backslash",
    ],
)
def test_no_spelling_of_a_path_reaches_a_foreign_thread(bob, thread, rewrite):
    own = bob.post("/threads").json()["thread_id"]
    target = rewrite(own, thread)
    answer = untidied(bob, target)
    assert answer.status_code in (400, 404), f"{target}: {answer.status_code} {answer.text}"
    assert SECRET_TEXT not in answer.text


def untidied(client: Client, target: str):
    """A GET whose path goes out as it is written: `requests` alone would resolve the dots."""
    prepared = requests.Request(
        "GET", client.base, headers={"Authorization": f"Bearer {client.token}"}
    ).prepare()
    prepared.url = client.base + target
    return client.send(prepared)


def test_the_owner_is_never_taken_from_a_body(alice, bob):
    """A-051: identity in a body changes nothing."""
    forged = {"user_id": "mallory", "user": {"user_id": "mallory"}, "authz": {"scope": "none"}}
    body = {**run_body("mine"), "config": forged, **forged}
    answer = alice.post("/v1/graph/invoke", json=body)
    assert answer.status_code in (200, 400), answer.text
    if answer.status_code == 200:
        made = answer.json()["data"]["meta"]["thread_id"]
        assert alice.get(f"/v1/threads/{made}").status_code == 200
        mallory = Client(alice.base, token("mallory"))
        assert mallory.get(f"/v1/threads/{made}").status_code == 404
        assert bob.get(f"/v1/threads/{made}").status_code == 404


def test_a_name_raced_for_by_many_goes_to_one_at_most(surface):
    """The first claim is atomic: whoever else asked for the id is told that it does not exist."""
    raced = f"raced-{uuid4().hex[:10]}"
    racers = [Client(surface, token(f"racer-{uuid4().hex[:8]}")) for _ in range(RACERS)]

    def enter(racer: Client) -> int:
        return racer.post("/v1/graph/invoke", json=run_body("was here", raced)).status_code

    with ThreadPoolExecutor(RACERS) as pool:
        statuses = list(pool.map(enter, racers))
    winners = [racer for racer, status in zip(racers, statuses, strict=True) if status == 200]
    assert set(statuses) <= {200, 404}, statuses
    assert len(winners) <= 1, statuses
    for racer in racers:
        expected = 200 if racer in winners else 404
        assert racer.get(f"/v1/threads/{raced}").status_code == expected


def test_the_loser_of_a_deleted_thread_stays_out_of_what_was_in_it(alice, bob, thread):
    assert alice.delete(f"/v1/threads/{thread}", json={"config": {}}).status_code == 200
    later = bob.post("/v1/graph/invoke", json=run_body("new owner", thread))
    assert later.status_code in (200, 404), later.text
    if later.status_code == 200:
        assert SECRET_TEXT not in " ".join(texts(messages_of(bob, thread)))


def test_a_user_whose_id_looks_like_another_is_another(surface):
    """Ids differ by case, white space, composition: each is its own person."""
    first = Client(surface, token("Zoë"))
    thread_id = first.post("/threads").json()["thread_id"]
    assert first.get(f"/threads/{thread_id}").status_code == 200
    for near in ("zoë", "Zoe\u0308", "ZOË", "Zoë\u200b", "Zo"):
        other = Client(surface, token(near))
        assert other.get(f"/threads/{thread_id}").status_code in (401, 404), near
