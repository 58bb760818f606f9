"""Refreshing, logging out, one's own account: the rules of the contract."""

import concurrent.futures

import pytest

from harness.clock import Clock
from harness.doorward import Doorward
from harness.supabase import PASSWORD, Supabase, address


def refused(answer, status: int, code: str) -> None:
    assert (answer.status_code, answer.json().get("error_code")) == (status, code), answer.text


def test_the_token_before_the_present_one_gets_the_present_one_again(person):
    first = person.session["refresh_token"]
    answer = person.refresh(first)
    second = answer.json()
    assert answer.headers["sb-auth-user-id"] == second["user"]["id"] and "sb-auth-refresh-token-reuse" not in answer.headers
    again = person.refresh(first)
    assert again.status_code == 200 and again.json()["refresh_token"] == second["refresh_token"]
    assert again.headers["sb-auth-refresh-token-reuse"] == "true"
    assert again.headers["sb-auth-session-id"] == answer.headers["sb-auth-session-id"]


def test_an_older_token_gets_the_present_one_for_ten_seconds_and_then_ends_the_session(tmp_path):
    clock = Clock(tmp_path)
    with Doorward("dev", "--listen", "127.0.0.1:0", home=tmp_path / "server", environment=clock.environment) as server:
        person = Supabase(server).confirmed()
        tokens = [person.session["refresh_token"]]
        for _ in range(3):
            newest = person.refresh(tokens[-1]).json()
            tokens.append(newest["refresh_token"])
        for older in tokens[:3]:
            answer = person.refresh(older)
            assert answer.json()["refresh_token"] == tokens[-1] and answer.headers["sb-auth-refresh-token-reuse"] == "true"
        clock.set(15)
        assert person.refresh(tokens[2]).json()["refresh_token"] == tokens[-1], "the one before the present one, whenever"
        refused(person.refresh(tokens[0]), 400, "refresh_token_already_used")
        refused(person.refresh(tokens[-1]), 400, "refresh_token_not_found")
        refused(person.client.get("/user", token=newest["access_token"]), 403, "session_not_found")


def test_an_old_token_of_another_client_ends_the_session_at_once(person):
    first = person.session["refresh_token"]
    second = person.refresh(first).json()
    thief = person.supabase.client()
    stolen = {"json": {"refresh_token": first}, "headers": {"User-Agent": "another client"}}
    refused(thief.post("/token?grant_type=refresh_token", **stolen), 400, "refresh_token_already_used")
    refused(person.refresh(second["refresh_token"]), 400, "refresh_token_not_found")


def test_raced_refreshes_all_go_on_with_one_successor(person):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: person.refresh(), range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1


def test_what_is_no_refresh_token_is_not_found(person):
    client = person.supabase.client(roaming=True)
    good = person.session["refresh_token"]
    for bad in ["", "junk", good[:-1], good + "x", person.session["access_token"], "x" * 5_000]:
        refused(client.post("/token?grant_type=refresh_token", json={"refresh_token": bad}), 400, "refresh_token_not_found")
    refused(client.post("/token?grant_type=refresh_token", json={}), 400, "validation_failed")
    refused(client.post("/token?grant_type=nonsense", json={}), 400, "invalid_credentials")
    refused(client.post("/token", json={"email": person.email, "password": PASSWORD}), 400, "invalid_credentials")


@pytest.mark.parametrize(("scope", "mine", "others"), [("global", 403, 403), ("", 403, 403), ("local", 403, 200), ("others", 200, 403)])
def test_logging_out_ends_the_sessions_meant_at_once(person, scope, mine, others):
    other = person.session
    own = person.log_in()
    query = f"?scope={scope}" if scope else ""
    assert person.client.post(f"/logout{query}").status_code == 204
    for session, status in [(own, mine), (other, others)]:
        answer = person.client.get("/user", token=session["access_token"])
        assert answer.status_code == status
        refreshed = person.refresh(session["refresh_token"])
        if status == 403:
            refused(answer, 403, "session_not_found")
            refused(refreshed, 400, "refresh_token_not_found")
        else:
            assert refreshed.status_code == 200


def test_an_unknown_scope_ends_nothing(person):
    refused(person.client.post("/logout?scope=all"), 400, "validation_failed")
    assert person.client.get("/user").status_code == 200
    refused(person.client.post("/logout", token=None), 401, "no_authorization")


def test_metadata_merges_and_null_removes(person):
    person.client.put("/user", json={"data": {"a": 1, "b": {"c": 2}}})
    changed = person.client.put("/user", json={"data": {"a": None, "d": [3]}})
    assert changed.status_code == 200
    assert changed.json()["user_metadata"] == {"b": {"c": 2}, "d": [3]}
    refused(person.client.put("/user", json={"app_metadata": {"admin": True}}), 403, "not_admin")
    refused(person.client.put("/user", json={"data": {"x": "y" * 20_000}}), 400, "validation_failed")


def test_a_new_password_ends_the_other_sessions_and_must_be_new(person):
    other = person.session
    person.log_in()
    refused(person.client.put("/user", json={"password": PASSWORD}), 422, "same_password")
    weak = person.client.put("/user", json={"password": "12345"})
    refused(weak, 422, "weak_password")
    assert weak.json()["weak_password"] == {"reasons": ["length"]}
    assert person.client.put("/user", json={"password": "another password"}).status_code == 200
    assert person.client.get("/user").status_code == 200
    refused(person.client.get("/user", token=other["access_token"]), 403, "session_not_found")
    refused(person.supabase.client().post("/token?grant_type=password", json={"email": person.email, "password": PASSWORD}), 400, "invalid_credentials")
    person.password = "another password"
    person.log_in()


def test_a_disabled_account_is_banned_everywhere(person):
    person.supabase.server.command("user", "disable", person.email)
    refused(person.client.post("/token?grant_type=password", json={"email": person.email, "password": PASSWORD}, token=None), 400, "user_banned")
    assert person.client.get("/user").status_code == 403
    assert person.refresh().status_code == 400


def test_both_forms_of_an_error_name_it(person):
    body = {"email": person.email, "password": "wrong password"}
    old = person.client.post("/token?grant_type=password", json=body, token=None)
    assert old.json() == {"code": 400, "error_code": "invalid_credentials", "msg": "Invalid login credentials"}
    new = person.client.post("/token?grant_type=password", json=body, token=None, headers={"X-Supabase-Api-Version": "2024-01-01"})
    assert new.json() == {"code": "invalid_credentials", "message": "Invalid login credentials"}
    assert new.headers["X-Supabase-Api-Version"] == "2024-01-01"
    assert old.headers["x-sb-error-code"] == new.headers["x-sb-error-code"] == "invalid_credentials"


def test_a_mount_that_confirms_by_itself_answers_a_session(confirming):
    client, email = confirming.client(), address()
    made = client.post("/signup", json={"email": email, "password": PASSWORD, "data": {"name": "Ann"}})
    assert made.status_code == 200, made.text
    session = made.json()
    assert session["access_token"] and session["user"]["email_confirmed_at"] and session["user"]["user_metadata"] == {"name": "Ann"}
    assert client.get("/user", token=session["access_token"]).json()["id"] == session["user"]["id"]
    refused(client.post("/signup", json={"email": email, "password": PASSWORD}), 422, "user_already_exists")
    changed = client.put("/user", json={"email": address("new")}, token=session["access_token"])
    assert changed.status_code == 200 and changed.json()["email"].startswith("new")
    other = client.post("/signup", json={"email": address(), "password": PASSWORD}).json()["user"]["email"]
    refused(client.put("/user", json={"email": other}, token=session["access_token"]), 422, "email_exists")
    assert confirming.mails(email) == []


def test_what_waits_for_its_way_of_logging_in_is_refused_by_name(supabase, person):
    client = person.client
    for method, path, status, code in [
        ("GET", "/authorize?provider=google", 400, "validation_failed"), ("POST", "/sso", 404, "saml_provider_disabled"),
        ("POST", "/factors", 422, "mfa_totp_enroll_not_enabled"), ("DELETE", "/factors/x", 404, "mfa_factor_not_found"),
        ("POST", "/factors/x/challenge", 404, "mfa_factor_not_found"), ("POST", "/factors/x/verify", 404, "mfa_factor_not_found"),
        ("GET", "/user/identities/authorize", 404, "manual_linking_disabled"), ("DELETE", "/user/identities/x", 404, "manual_linking_disabled"),
        ("POST", "/token?grant_type=id_token", 400, "provider_disabled"),
        ("POST", "/token?grant_type=web3", 422, "web3_provider_disabled"),
    ]:
        refused(client.request(method, path), status, code)
    # A browser that is sent there brings no key.
    refused(supabase.client().get("/authorize?provider=google", headers={"apikey": None}), 400, "validation_failed")
    for method, path in [("GET", "/callback"), ("POST", "/passkeys"), ("GET", "/admin/audit")]:
        assert client.request(method, path).status_code == 404, path
    assert client.get("/settings").json()["external"]["email"] is True
    assert client.get("/health").json()["name"] == "GoTrue"


def test_the_bare_paths_are_the_same_routes(supabase, person):
    bare = supabase.client(person.session["access_token"])
    bare.base = supabase.url
    assert bare.get("/user").json()["id"] == person.session["user"]["id"]
    assert bare.get("/user", headers={"apikey": None}).status_code == 401
    assert bare.get("/.well-known/jwks.json").json() == supabase.client().get("/.well-known/jwks.json").json()
    refused(bare.get("/admin/users"), 403, "not_admin")
    assert bare.post("/logout").status_code == 204
    refused(supabase.client(person.session["access_token"]).get("/user"), 403, "session_not_found")
