"""Limits: ten failures per address, and the `rate_limit` block (A-074, A-075)."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.agentflow.settings import SECRET, write_settings
from harness.agentflow.tokens import token
from harness.client import Client
from harness.doorward import Refused
from harness.native import log_in, person

ALLOWED_FAILURES = 10
ALLOWED_LOG_INS = 5
BAD = token(key="another-" + SECRET)


def fail_until_refused(client: Client) -> list:
    return [client.get("/threads", token=BAD) for _ in range(ALLOWED_FAILURES + 1)]


# A-074 ----------------------------------------------------------------------------------------


def test_the_eleventh_failure_of_an_address_is_too_many(jwt_dev):
    answers = fail_until_refused(Client(jwt_dev.mount("agentflow")))
    assert [answer.status_code for answer in answers] == [401] * ALLOWED_FAILURES + [429]
    last = answers[-1]
    assert int(last.headers["Retry-After"]) > 0
    assert last.json()["detail"] == "Too many attempts"
    assert last.json()["error"]["code"] == "RATE_LIMIT_EXCEEDED"
    assert "X-Request-ID" in last.headers


def test_a_valid_credential_is_never_refused(jwt_dev):
    client = Client(jwt_dev.mount("agentflow"))
    fail_until_refused(client)
    for _ in range(20):
        assert client.get("/threads", token=token()).status_code == 200
        assert client.get("/threads", token=BAD).status_code == 429


def test_a_good_call_between_does_not_reset_the_count(jwt_dev):
    """Else one known-good token would make guessing free."""
    client = Client(jwt_dev.mount("agentflow"))
    statuses = []
    for _ in range(ALLOWED_FAILURES + 1):
        statuses.append(client.get("/threads", token=BAD).status_code)
        client.get("/threads", token=token())
    assert statuses[-1] == 429


def test_another_address_is_not_disturbed(jwt_dev):
    fail_until_refused(Client(jwt_dev.mount("agentflow")))
    assert Client(jwt_dev.mount("agentflow")).get("/threads", token=BAD).status_code == 401


def test_an_open_route_still_answers_a_limited_address(jwt_dev):
    client = Client(jwt_dev.mount("agentflow"))
    fail_until_refused(client)
    assert client.get("/ping").status_code == 200


@pytest.mark.parametrize(
    "header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "True-Client-IP", "CF-Connecting-IP"]
)
def test_a_header_nobody_vouches_for_does_not_change_the_address(jwt_dev, header):
    client = Client(jwt_dev.mount("agentflow"))
    statuses = [
        client.get("/threads", token=BAD, headers={header: f"203.0.113.{n}"}).status_code
        for n in range(ALLOWED_FAILURES + 1)
    ]
    assert statuses[-1] == 429


def test_failures_at_the_same_moment_are_all_counted(jwt_dev):
    client = Client(jwt_dev.mount("agentflow"))
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: client.get("/threads", token=BAD).status_code, range(40)))
    assert set(statuses) == {401, 429}
    assert statuses.count(401) <= ALLOWED_FAILURES


def test_a_missing_token_is_no_guess(jwt_dev):
    """Browsers and probes call without one; only a wrong credential is an attempt."""
    client = Client(jwt_dev.mount("agentflow"))
    for _ in range(ALLOWED_FAILURES + 5):
        client.get("/threads")
    assert client.get("/threads", token=BAD).status_code == 401


def test_guessing_passwords_is_limited_and_the_right_one_still_works(jwt_dev):
    someone = person(jwt_dev.url)
    guesser = Client(jwt_dev.url)
    answers = [log_in(guesser, someone.name, f"wrong guess {n}") for n in range(ALLOWED_LOG_INS + 1)]
    assert [answer.status_code for answer in answers[:ALLOWED_LOG_INS]] == [401] * ALLOWED_LOG_INS
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert answers[-1].json()["code"]
    assert log_in(Client(jwt_dev.url), someone.name).status_code == 200


# A-075 ----------------------------------------------------------------------------------------


def limited(start, tmp_path, **block) -> Client:
    settings = write_settings(tmp_path / "app", rate_limit={"enabled": True, "backend": "memory", **block})
    return Client(start("dev", "--agentflow", settings).mount("agentflow"), token())


def test_requests_past_the_configured_rate_are_refused_with_the_packages_headers(start, tmp_path):
    client = limited(start, tmp_path, requests=3, window=3600, by="ip")
    answers = [client.get("/threads") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
    last = answers[-1]
    assert last.headers["X-RateLimit-Limit"] == "3"
    assert 0 < int(last.headers["Retry-After"]) <= 3600
    assert 0 < int(last.headers["X-RateLimit-Reset-After"]) <= 3600
    assert abs(int(last.headers["X-RateLimit-Reset"]) - time.time()) <= 3660
    assert last.json()["error"]["code"] == "RATE_LIMIT_EXCEEDED"


def test_the_rate_is_counted_per_address(start, tmp_path):
    client = limited(start, tmp_path, requests=1, window=3600, by="ip")
    assert [client.get("/threads").status_code for _ in range(2)] == [200, 429]
    assert Client(client.base, token()).get("/threads").status_code == 200


def test_the_rate_may_be_counted_for_everybody_together(start, tmp_path):
    client = limited(start, tmp_path, requests=2, window=3600, by="global")
    callers = [Client(client.base, token()) for _ in range(3)]
    assert [caller.get("/threads").status_code for caller in callers] == [200, 200, 429]


def test_an_excluded_path_is_not_counted_or_refused(start, tmp_path):
    client = limited(start, tmp_path, requests=1, window=3600, by="ip", exclude_paths=["/ping"])
    for _ in range(3):
        assert client.get("/ping").status_code == 200
    assert [client.get("/threads").status_code for _ in range(2)] == [200, 429]
    assert client.get("/ping").status_code == 200


def test_the_window_ends(start, tmp_path):
    client = limited(start, tmp_path, requests=1, window=1, by="ip")
    assert client.get("/threads").status_code == 200
    deadline = time.monotonic() + 5
    while client.get("/threads").status_code == 429:
        assert time.monotonic() < deadline, "the window of one second never ended"


def test_a_disabled_block_limits_nothing(start, tmp_path):
    settings = write_settings(tmp_path / "app", rate_limit={"enabled": False, "requests": 1, "window": 3600})
    client = Client(start("dev", "--agentflow", settings).mount("agentflow"), token())
    assert {client.get("/threads").status_code for _ in range(5)} == {200}


@pytest.mark.parametrize(
    "block",
    [
        {"requests": 0},
        {"requests": -1},
        {"requests": "many"},
        {"window": 0},
        {"by": "moon"},
        {"backend": "carrier-pigeon"},
        {"requests": 10**30},
    ],
    ids=["none", "negative", "text", "no_window", "unknown_by", "unknown_backend", "beyond_numbers"],
)
def test_a_rate_limit_that_makes_no_sense_stops_the_start(start, tmp_path, block):
    with pytest.raises(Refused) as refused:
        limited(start, tmp_path, **{"requests": 5, "window": 60, "by": "ip", **block})
    assert "rate_limit" in refused.value.output
