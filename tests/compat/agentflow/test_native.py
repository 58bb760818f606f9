"""The main job by the native API: get in, reach what is one's own, be refused the rest.

Sessions, refresh families, API keys, threads and administration of `/v1/...`, with `requests`
against `doorward dev`. Problems are RFC 9457 documents with a stable `code` (A-070, A-082).
"""

import json
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import jwt
import pytest

from harness.client import Client, values_of
from harness.native import PASSWORD, Tokens, log_in, new_name, person, refresh, sign_up
from harness.programs import wait_until
from harness.raw import exchange, request_bytes


@pytest.fixture(scope="module")
def url(jwt_dev) -> str:
    return jwt_dev.url


@pytest.fixture
def alice(url):
    return person(url)


@pytest.fixture
def bob(url):
    return person(url)


@pytest.fixture(scope="module")
def admin(jwt_dev) -> Client:
    return Client(jwt_dev.url, jwt_dev.admin_key)


def assert_problem(answer, status: int, code: str | None = None) -> None:
    """RFC 9457, with our code."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    problem = answer.json()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["code"]
    if code is not None:
        assert problem["code"] == code, problem
    if status == 401:
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def status_of(url: str, credential: str) -> int:
    return Client(url).get("/v1/me", token=credential).status_code


# Getting in -----------------------------------------------------------------------------------


def test_signing_up_logging_in_and_asking_who_one_is(url):
    client, name = Client(url), new_name()
    made = sign_up(client, name, display_name="Some Body")
    assert made.status_code == 201, made.text
    tokens = Tokens.of(log_in(client, name))
    me = client.get("/v1/me", token=tokens.access)
    assert me.status_code == 200
    assert me.json()["id"] == made.json()["id"]
    assert me.json()["username"] == name
    assert me.json()["display_name"] == "Some Body"
    assert "password" not in me.text.lower()


def test_an_address_may_be_the_login_name(url):
    client, address = Client(url), f"{new_name()}@mail.example"
    assert client.post("/v1/users", json={"email": address, "password": PASSWORD}).status_code == 201
    assert log_in(client, address).status_code == 200
    assert log_in(client, address.upper()).status_code == 200


@pytest.mark.parametrize("encoding", ["json", "data"])
def test_a_token_is_granted_to_json_and_to_a_form(url, alice, encoding):
    form = {"grant_type": "password", "username": alice.name, "password": PASSWORD}
    answer = Client(url).post("/v1/token", **{encoding: form})
    tokens = Tokens.of(answer)
    assert tokens.expires_in_s == 3600
    assert answer.headers["Cache-Control"] == "no-store"
    assert status_of(url, tokens.access) == 200


def test_unknown_people_and_wrong_passwords_are_not_told_apart(url, alice):
    wrong = log_in(Client(url), alice.name, "not the password")
    unknown = log_in(Client(url), new_name(), "not the password")
    assert_problem(wrong, 401)
    assert_problem(unknown, 401)

    def comparable(answer):
        return {key: value for key, value in answer.json().items() if key not in ("request_id", "instance")}

    assert comparable(wrong) == comparable(unknown)
    assert sorted(wrong.headers) == sorted(unknown.headers)


def test_a_taken_name_is_a_conflict_in_any_case(url, alice):
    assert_problem(sign_up(Client(url), alice.name), 409, "username_taken")
    assert_problem(sign_up(Client(url), alice.name.upper()), 409, "username_taken")


def test_a_name_raced_for_is_given_once(url):
    name = new_name()
    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(lambda _: sign_up(Client(url), name).status_code, range(8)))
    assert statuses == [201] + [409] * 7


def test_a_token_verifies_against_the_published_keys(url, alice):
    keys = Client(url).get("/.well-known/jwks.json").json()
    assert keys["keys"]
    assert not {"d", "p", "q", "k", "dp", "dq", "qi"} & {member for key in keys["keys"] for member in key}
    header = jwt.get_unverified_header(alice.tokens.access)
    key = next(jwt.PyJWK(key) for key in keys["keys"] if key["kid"] == header["kid"])
    claims = jwt.decode(
        alice.tokens.access,
        key.key,
        algorithms=[header["alg"]],
        options={"verify_aud": False, "require": ["exp", "iat", "iss", "aud", "sub", "jti"]},
    )
    assert claims["sub"] == alice.id
    assert claims["exp"] - claims["iat"] == 3600
    assert claims["sid"] == alice.tokens.session


# Being refused --------------------------------------------------------------------------------

PROTECTED = [
    ("GET", "/v1/me"),
    ("PATCH", "/v1/me"),
    ("POST", "/v1/logout"),
    ("GET", "/v1/sessions"),
    ("DELETE", "/v1/sessions"),
    ("DELETE", "/v1/sessions/some-session"),
    ("GET", "/v1/api-keys"),
    ("POST", "/v1/api-keys"),
    ("DELETE", "/v1/api-keys/some-key"),
    ("GET", "/v1/threads"),
    ("POST", "/v1/threads"),
    ("GET", "/v1/threads/some-thread"),
    ("PATCH", "/v1/threads/some-thread"),
    ("DELETE", "/v1/threads/some-thread"),
    ("GET", "/v1/threads/some-thread/messages"),
    ("POST", "/v1/threads/some-thread/messages"),
    ("POST", "/v1/threads/some-thread/runs"),
    ("GET", "/v1/users"),
    ("GET", "/v1/audit"),
    ("POST", "/v1/tokens/revoke"),
]
ADMINISTRATION = [("GET", "/v1/users"), ("GET", "/v1/audit"), ("GET", "/v1/signing-keys")]


@pytest.mark.parametrize(("method", "path"), PROTECTED)
def test_a_protected_route_needs_a_credential(url, method, path):
    assert_problem(Client(url).request(method, path), 401, "credentials_missing")
    assert_problem(Client(url).request(method, path, token="junk"), 401)


@pytest.mark.parametrize(("method", "path"), ADMINISTRATION)
def test_administration_is_for_administrators(alice, admin, method, path):
    assert_problem(alice.client.request(method, path), 403)
    assert admin.request(method, path).status_code == 200


def test_nothing_is_at_a_path_nobody_declared(alice):
    assert_problem(alice.client.get("/v1/unheard-of"), 404, "no_route")
    wrong_method = alice.client.put("/v1/me")
    assert_problem(wrong_method, 405, "method_not_allowed")
    assert "GET" in wrong_method.headers["Allow"]


def test_answers_carry_the_headers_that_keep_browsers_out(url):
    headers = Client(url).get("/v1/me").headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "Server" not in headers
    assert (
        "Access-Control-Allow-Origin"
        not in Client(url).get("/v1/me", headers={"Origin": "https://evil.example"}).headers
    )


# One's own account ----------------------------------------------------------------------------


def test_a_person_changes_what_is_its_own_and_nothing_else(alice):
    changed = alice.client.patch(
        "/v1/me", json={"display_name": "New Name", "user_metadata": {"theme": "dark"}}
    )
    assert changed.status_code == 200, changed.text
    assert changed.json()["display_name"] == "New Name"
    for forbidden in (
        {"roles": ["admin"]},
        {"admin_metadata": {"plan": "gold"}},
        {"disabled": False},
        {"id": "x"},
    ):
        assert 400 <= alice.client.patch("/v1/me", json=forbidden).status_code < 500, forbidden
    me = alice.client.get("/v1/me").json()
    assert me["roles"] == ["user"]
    assert me["user_metadata"] == {"theme": "dark"}


# Sessions -------------------------------------------------------------------------------------


def sessions_of(client: Client) -> list[dict]:
    answer = client.get("/v1/sessions")
    assert answer.status_code == 200, answer.text
    return answer.json()["sessions"]


def test_sessions_are_listed_with_where_they_came_from(url, alice):
    client = Client(url)
    answer = client.post(
        "/v1/token",
        json={"grant_type": "password", "username": alice.name, "password": PASSWORD},
        headers={"User-Agent": "compat-suite/1"},
    )
    second = Tokens.of(answer)
    listed = {session["id"]: session for session in sessions_of(alice.client)}
    assert set(listed) == {alice.tokens.session, second.session}
    assert listed[second.session]["address"] == client.address
    assert listed[second.session]["user_agent"] == "compat-suite/1"


def test_logging_out_ends_the_session_and_its_tokens_at_once(url, alice):
    other = Tokens.of(log_in(Client(url), alice.name))
    assert alice.client.post("/v1/logout").status_code in (200, 204)
    assert_problem(alice.client.get("/v1/me"), 401)
    assert_problem(refresh(Client(url), alice.tokens.refresh), 401)
    assert status_of(url, other.access) == 200, "the other session goes on"


def test_one_session_can_be_ended_from_another(url, alice):
    other = Tokens.of(log_in(Client(url), alice.name))
    assert alice.client.delete(f"/v1/sessions/{other.session}").status_code in (200, 204)
    assert status_of(url, other.access) == 401
    assert refresh(Client(url), other.refresh).status_code == 401
    assert status_of(url, alice.tokens.access) == 200


def test_all_other_sessions_can_be_ended(url, alice):
    others = [Tokens.of(log_in(Client(url), alice.name)) for _ in range(2)]
    assert alice.client.delete("/v1/sessions?keep=current").status_code in (200, 204)
    assert [status_of(url, other.access) for other in others] == [401, 401]
    assert [session["id"] for session in sessions_of(alice.client)] == [alice.tokens.session]


def test_all_sessions_can_be_ended(url, alice):
    assert alice.client.delete("/v1/sessions").status_code in (200, 204)
    assert status_of(url, alice.tokens.access) == 401


def test_somebody_elses_session_does_not_exist(url, alice, bob):
    foreign = bob.client.delete(f"/v1/sessions/{alice.tokens.session}")
    unknown = bob.client.delete(f"/v1/sessions/{uuid4()}")
    assert foreign.status_code == unknown.status_code
    assert 400 <= foreign.status_code < 500
    assert status_of(url, alice.tokens.access) == 200


# Refresh families (A-070) ---------------------------------------------------------------------


def test_a_refresh_token_is_exchanged_for_a_new_pair(url, alice):
    renewed = Tokens.of(refresh(Client(url), alice.tokens.refresh))
    assert renewed.access != alice.tokens.access
    assert renewed.refresh != alice.tokens.refresh
    assert renewed.session == alice.tokens.session
    assert status_of(url, renewed.access) == 200


def test_a_refresh_token_is_no_access_token_nor_the_other_way_round(url, alice):
    assert_problem(Client(url).get("/v1/me", token=alice.tokens.refresh), 401)
    assert_problem(refresh(Client(url), alice.tokens.access), 401)


def test_a_lost_answer_is_answered_with_the_same_successor(url, alice):
    first = Tokens.of(refresh(Client(url), alice.tokens.refresh))
    again = Tokens.of(refresh(Client(url), alice.tokens.refresh))
    assert again.refresh == first.refresh


def test_a_race_of_refreshes_has_one_successor(url, alice):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: refresh(Client(url), alice.tokens.refresh), range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1


def test_an_old_refresh_token_ends_its_family(url, alice):
    """Two exchanges later even the window for lost answers no longer covers it."""
    client = Client(url)
    second = Tokens.of(refresh(client, alice.tokens.refresh))
    third = Tokens.of(refresh(client, second.refresh))
    assert_problem(refresh(client, alice.tokens.refresh), 401, "refresh_token_reused")
    assert_problem(refresh(client, third.refresh), 401)


def test_a_family_is_bound_to_its_client(url, alice):
    client = Client(url)
    bound = Tokens.of(log_in(client, alice.name, client_id="first-application"))
    assert_problem(refresh(client, bound.refresh, client_id="second-application"), 401)


# API keys (A-082) -----------------------------------------------------------------------------


def make_key(client: Client, **fields) -> dict:
    answer = client.post(
        "/v1/api-keys", json={"name": "compat", "scopes": ["*"], "expires_in": 3600, **fields}
    )
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.mark.parametrize(
    "header",
    [
        lambda key: {"X-API-Key": key},
        lambda key: {"Authorization": f"Bearer {key}"},
        lambda key: {"Authorization": f"ApiKey {key}"},
    ],
    ids=["x_api_key", "bearer", "api_key_scheme"],
)
def test_a_key_is_taken_in_three_places(url, alice, header):
    answer = Client(url).get("/v1/me", headers=header(make_key(alice.client)["key"]))
    assert answer.status_code == 200, answer.text
    assert answer.json()["id"] == alice.id


def test_a_key_is_shown_once_and_never_again(alice, jwt_dev):
    made = make_key(alice.client)
    listed = alice.client.get("/v1/api-keys")
    assert made["id"] in values_of("id", listed.json())
    assert made["key"] not in listed.text
    assert made["key"] not in jwt_dev.log
    for path in jwt_dev.data_dir.rglob("*"):
        if path.is_file():
            assert made["key"].encode() not in path.read_bytes(), path


def test_a_revoked_key_is_refused_at_once(url, alice):
    made = make_key(alice.client)
    assert status_of(url, made["key"]) == 200
    assert alice.client.delete(f"/v1/api-keys/{made['id']}").status_code in (200, 204)
    assert_problem(Client(url).get("/v1/me", headers={"X-API-Key": made["key"]}), 401)


def test_a_keys_scopes_are_its_limit(url, alice):
    reader = make_key(alice.client, scopes=["read"])["key"]
    assert Client(url).get("/v1/threads", token=reader).status_code == 200
    assert_problem(Client(url).post("/v1/threads", json={}, token=reader), 403)


def test_a_key_cannot_make_a_wider_one(url, alice):
    narrow = Client(url, make_key(alice.client, scopes=["read", "api_key:create"])["key"])
    wider = narrow.post("/v1/api-keys", json={"name": "wider", "scopes": ["*"], "expires_in": 60})
    assert 400 <= wider.status_code < 500, wider.text


def test_a_user_makes_no_admin_key(alice):
    answer = alice.client.post(
        "/v1/api-keys", json={"name": "admin", "kind": "admin", "scopes": ["*"], "expires_in": 60}
    )
    assert_problem(answer, 403)


def test_somebody_elses_key_does_not_exist(url, alice, bob):
    made = make_key(alice.client)
    assert made["id"] not in bob.client.get("/v1/api-keys").text
    assert_problem(bob.client.delete(f"/v1/api-keys/{made['id']}"), 404)
    assert status_of(url, made["key"]) == 200


def test_a_credential_in_two_places_is_refused(url, alice):
    headers = {"Authorization": f"Bearer {alice.tokens.access}", "X-API-Key": make_key(alice.client)["key"]}
    assert_problem(Client(url).get("/v1/me", headers=headers), 400, "bad_header")


# Threads --------------------------------------------------------------------------------------


def new_thread(client: Client, **fields) -> str:
    answer = client.post("/v1/threads", json=fields)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def test_a_thread_is_made_talked_in_read_and_deleted(alice):
    thread = new_thread(alice.client, name="first", metadata={"topic": "doors"})
    said = alice.client.post(f"/v1/threads/{thread}/messages", json={"role": "user", "content": "Hello"})
    assert said.status_code == 201, said.text
    ran = alice.client.post(f"/v1/threads/{thread}/runs", json={})
    assert ran.status_code in (200, 201), ran.text
    kept = alice.client.get(f"/v1/threads/{thread}/messages").json()["messages"]
    assert [message["role"] for message in kept] == ["user", "assistant"]
    assert "Hello" in json.dumps(kept[1])
    assert alice.client.get(f"/v1/threads/{thread}").json()["metadata"] == {"topic": "doors"}
    renamed = alice.client.patch(f"/v1/threads/{thread}", json={"name": "second"})
    assert renamed.json()["name"] == "second"
    assert alice.client.delete(f"/v1/threads/{thread}").status_code in (200, 204)
    assert_problem(alice.client.get(f"/v1/threads/{thread}"), 404)


def test_a_run_can_be_followed_as_events(url, alice):
    thread = new_thread(alice.client)
    alice.client.post(f"/v1/threads/{thread}/messages", json={"role": "user", "content": "one two three"})
    answer = alice.client.post(
        f"/v1/threads/{thread}/runs", json={}, headers={"Accept": "text/event-stream"}, stream=True
    )
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    events = answer.text
    assert events.count("\ndata:") + events.startswith("data:") >= 2, events
    assert "three" in events


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/threads/{id}", None),
        ("PATCH", "/v1/threads/{id}", {"name": "mine now"}),
        ("GET", "/v1/threads/{id}/messages", None),
        ("POST", "/v1/threads/{id}/messages", {"role": "user", "content": "intruder"}),
        ("POST", "/v1/threads/{id}/runs", {}),
        ("DELETE", "/v1/threads/{id}", None),
    ],
)
def test_somebody_elses_thread_is_answered_like_an_unknown_one(alice, bob, method, path, body):
    thread = new_thread(alice.client, name="private")
    options = {} if body is None else {"json": body}
    foreign = bob.client.request(method, path.format(id=thread), **options)
    unknown = bob.client.request(method, path.format(id=uuid4()), **options)
    assert_problem(foreign, 404)
    assert_problem(unknown, 404)
    assert foreign.json()["code"] == unknown.json()["code"]
    assert foreign.json().get("detail") == unknown.json().get("detail")
    assert alice.client.get(f"/v1/threads/{thread}").json()["name"] == "private"
    assert alice.client.get(f"/v1/threads/{thread}/messages").json()["messages"] == []


def test_each_list_holds_the_callers_threads_only(alice, bob):
    mine, theirs = new_thread(alice.client), new_thread(bob.client)
    assert mine in values_of("id", alice.client.get("/v1/threads").json())
    assert theirs not in alice.client.get("/v1/threads").text


def test_a_thread_of_one_mount_is_unknown_on_another(jwt_dev, alice):
    thread = new_thread(alice.client)
    from_other = Client(jwt_dev.mount("agentflow"), alice.tokens.access).get(f"/v1/threads/{thread}")
    assert from_other.status_code in (401, 404), from_other.text


# Administration -------------------------------------------------------------------------------


def test_a_disabled_user_is_out_at_once_and_back_when_enabled(url, admin, alice):
    key = make_key(alice.client)["key"]
    assert admin.patch(f"/v1/users/{alice.id}", json={"disabled": True}).status_code == 200
    assert status_of(url, alice.tokens.access) == 401
    assert status_of(url, key) == 401
    assert log_in(Client(url), alice.name).status_code == 401
    assert refresh(Client(url), alice.tokens.refresh).status_code == 401
    assert admin.patch(f"/v1/users/{alice.id}", json={"disabled": False}).status_code == 200
    assert log_in(Client(url), alice.name).status_code == 200


def test_a_deleted_user_leaves_nothing_that_works(url, admin, alice):
    key = make_key(alice.client)["key"]
    assert admin.delete(f"/v1/users/{alice.id}").status_code in (200, 204)
    assert status_of(url, alice.tokens.access) == 401
    assert status_of(url, key) == 401
    assert log_in(Client(url), alice.name).status_code == 401
    assert_problem(admin.get(f"/v1/users/{alice.id}"), 404)
    assert sign_up(Client(url), alice.name).status_code == 201, "the name is free again"


def test_roles_given_by_an_administrator_count_from_the_next_request(url, admin, alice):
    assert alice.client.get("/v1/users").status_code == 403
    assert admin.patch(f"/v1/users/{alice.id}", json={"roles": ["admin"]}).status_code == 200
    assert Client(url, Tokens.of(log_in(Client(url), alice.name)).access).get("/v1/users").status_code == 200
    assert admin.patch(f"/v1/users/{alice.id}", json={"roles": ["user"]}).status_code == 200
    assert alice.client.get("/v1/users").status_code == 403


def test_an_administrator_revokes_every_token_of_a_user(url, admin, alice, bob):
    revoked = admin.post("/v1/tokens/revoke", json={"user_id": alice.id})
    assert revoked.status_code in (200, 204), revoked.text
    assert status_of(url, alice.tokens.access) == 401
    assert status_of(url, bob.tokens.access) == 200


def test_what_was_done_is_in_the_audit_log(admin, alice):
    assert_problem(alice.client.get("/v1/users"), 403)

    def lines() -> set[tuple]:
        """(action, outcome, what) of the lines that speak of Alice or of her session."""
        entries = admin.get("/v1/audit", params={"limit": 200}).json()["entries"]
        own = (alice.id, alice.tokens.session)
        told = [line for line in entries if any(name in json.dumps(line) for name in own)]
        return {(line["action"], line["outcome"], line["resource"]) for line in told}

    expected = {
        ("user:sign_up", "done", alice.id),
        ("session:login", "done", alice.tokens.session),
        ("user:list", "denied", None),
    }
    wait_until(lambda: expected <= lines(), f"the audit lines {expected}", limit_s=5)


# Two processes on one store -------------------------------------------------------------------


def test_a_command_beside_the_server_is_seen_within_half_a_second(jwt_dev, url, alice):
    jwt_dev.command("user", "disable", alice.id)
    wait_until(lambda: status_of(url, alice.tokens.access) == 401, "the refusal", limit_s=0.5)
    jwt_dev.command("user", "enable", alice.id)
    wait_until(lambda: log_in(Client(url), alice.name).status_code == 200, "the way back", limit_s=5)


def test_a_session_ended_by_command_is_over_within_half_a_second(jwt_dev, url, alice):
    jwt_dev.command("session", "end", alice.tokens.session)
    wait_until(lambda: status_of(url, alice.tokens.access) == 401, "the refusal", limit_s=0.5)


# The first administrator ----------------------------------------------------------------------


def test_setup_without_its_secret_makes_nobody_an_administrator(url):
    for body in ({}, {"secret": "guess", "username": "root", "password": PASSWORD}):
        answer = Client(url).post("/v1/setup", json=body)
        assert 400 <= answer.status_code < 500, answer.text
        assert answer.json()["code"]


def test_head_and_options_do_nothing_surprising(url):
    for method in ("HEAD", "OPTIONS"):
        answer = exchange(url, request_bytes(method, "/v1/users", [("Connection", "close")]))
        assert answer.status in (200, 204, 401, 404, 405), answer
