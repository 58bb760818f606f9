"""The recorder sees what the gateway's tests rely on it to see."""

import pytest

from harness.raw import exchange, request_bytes
from harness.recorder import Recorder

HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([("Content-Length", "2")], b"{}"),
        ([("Transfer-Encoding", "chunked")], b"2\r\n{}\r\n0\r\n\r\n"),
    ],
    ids=["length", "chunked"],
)
def test_a_second_request_behind_the_first_is_seen(headers, body):
    with Recorder() as recorder:
        answer = exchange(recorder.url, request_bytes("POST", "/v1/graph", headers, body + HIDDEN))
        [seen] = recorder.taken()
    assert answer.status == 200
    assert seen.body == b"{}"
    assert seen.after == HIDDEN


def test_headers_are_kept_as_they_came():
    spelled = [("X_User", "a"), ("x-user", "b"), ("X-USER", "c")]
    with Recorder() as recorder:
        exchange(recorder.url, request_bytes("GET", "/v1/graph?a=%20b", spelled))
        [seen] = recorder.taken()
    assert seen.target == "/v1/graph?a=%20b"
    assert seen.all("x-user") == ["b", "c"]
    assert seen.all("x_user") == ["a"]
    assert b"X-USER: c" in seen.head
