"""What the gateway relies on, checked against the real server itself, without Doorward.

When a new release of the package changes one of these, this file says so before the gateway's
tests fail in less obvious ways.
"""

import json

import pytest
import requests

from harness.agentflow.wire import run_body, text_message, texts


@pytest.fixture
def call(real_server):
    def send(method: str, path: str, **options) -> requests.Response:
        return requests.request(method, real_server.url + path, timeout=30, allow_redirects=False, **options)

    return send


def test_answers_come_in_an_envelope_with_matching_ids(call):
    answer = call("GET", "/ping")
    metadata = answer.json()["metadata"]
    assert answer.json()["data"] == "pong"
    assert metadata["message"] == "OK"
    assert metadata["request_id"] == answer.headers["X-Request-ID"]
    assert metadata["timestamp"] == answer.headers["X-Timestamp"]


def test_a_run_without_thread_id_names_the_thread_it_made(call):
    answer = call("POST", "/v1/graph/invoke", json=run_body("hello")).json()["data"]
    thread_id = answer["meta"]["thread_id"]
    assert texts(answer["messages"]) == ["hello", "Echo: hello"]
    listed = call("GET", "/v1/threads").json()["data"]["threads"]
    assert thread_id in [thread["thread_id"] for thread in listed]


def test_any_thread_id_a_client_names_is_created_and_shared_by_everyone(call):
    call("POST", "/v1/graph/invoke", json=run_body("secret of one caller", "chosen-by-client"))
    messages = call("GET", "/v1/threads/chosen-by-client/messages").json()["data"]["messages"]
    assert "Echo: secret of one caller" in texts(messages)


def test_an_unknown_thread_is_not_an_error_upstream(call):
    assert call("GET", "/v1/threads/never-seen").json()["data"] == {"thread_data": {"thread": None}}
    assert call("GET", "/v1/threads/never-seen/state").json()["data"] == {"state": None}
    assert call("GET", "/v1/threads/never-seen/messages").json()["data"] == {"messages": []}


@pytest.mark.parametrize("spelling", ["  trimmed ", "trimmed\x1c", "trimmed\u00a0", "\u2003trimmed"])
def test_white_space_round_a_thread_id_in_a_body_names_the_same_thread(call, spelling):
    answer = call("POST", "/v1/graph/invoke", json=run_body("hello", spelling)).json()
    assert answer["data"]["meta"]["thread_id"] == "trimmed"


def test_a_thread_id_of_another_type_becomes_its_text(call):
    answer = call("POST", "/v1/graph/invoke", json=run_body("hello", 42)).json()
    assert answer["data"]["meta"]["thread_id"] == "42"


def test_the_last_of_two_equal_keys_wins(call):
    config = '"config":{"thread_id":"first-key","thread_id":"second-key"}'
    body = f'{{"messages":[{json.dumps(text_message("hello"))}],{config}}}'
    answer = call("POST", "/v1/graph/invoke", data=body, headers={"Content-Type": "application/json"})
    assert answer.json()["data"]["meta"]["thread_id"] == "second-key"


def test_a_utf_16_body_is_understood(call):
    body = json.dumps(run_body("hello", "from-utf-16")).encode("utf-16")
    answer = call("POST", "/v1/graph/invoke", data=body, headers={"Content-Type": "application/json"})
    assert answer.json()["data"]["meta"]["thread_id"] == "from-utf-16"


def test_a_stream_is_one_json_object_per_line_under_the_sse_content_type(call):
    answer = call("POST", "/v1/graph/stream", json=run_body("one two"))
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    lines = [json.loads(line) for line in answer.text.splitlines()]
    deltas = [texts([line["message"]])[0] for line in lines if line["message"]["delta"]]
    assert "".join(deltas) == "Echo: one two"
    assert len({line["thread_id"] for line in lines}) == 1


def test_a_held_stream_goes_on_when_its_gate_opens(real_server):
    url = f"{real_server.url}/v1/graph/stream"
    body = run_body("gate:self-check and the rest")
    with requests.post(url, json=body, stream=True, timeout=30) as answer:
        lines = (json.loads(line) for line in answer.iter_lines(chunk_size=1))
        first = next(line for line in lines if line["message"]["delta"])
        assert texts([first["message"]]) == ["Echo: "]
        real_server.open_gate("self-check")
        assert texts([list(lines)[-1]["message"]]) == ["Echo: gate:self-check and the rest"]


def test_the_documents_routes_do_not_exist_upstream(call):
    assert call("POST", "/threads").status_code == 404
    assert call("POST", "/v1/threads", json={}).status_code == 405
    assert call("GET", "/v1/ping").status_code == 404


def test_identity_in_a_body_is_not_kept(call):
    forged = {
        "thread_id": "forged",
        "user_id": "mallory",
        "user": {"user_id": "mallory"},
        "metadata": {"a": 1},
    }
    call("POST", "/v1/graph/invoke", json={**run_body("hello"), "config": forged})
    thread = call("GET", "/v1/threads/forged").json()["data"]["thread_data"]["thread"]
    assert thread["user_id"] is None
    assert thread["metadata"] is None
