"""Letters to log in with, nonces, and strangers who stay: otp, magiclink, reauthenticate, anonymous sign-in. L-045, L-053."""

import threading

import pytest
import requests

from harness.clock import Clock
from harness.doorward import Doorward
from harness.supabase import PASSWORD, Supabase, address, digits_of, fragment_of, link_of, open_link, token_of


def refused(answer, status: int, code: str) -> None:
    assert (answer.status_code, answer.json().get("error_code")) == (status, code), answer.text


@pytest.fixture(scope="module")
def jumping(tmp_path_factory):
    """A server whose clock the tests move, each further than the one before."""
    home = tmp_path_factory.mktemp("otp")
    clock, at = Clock(home), [0]

    def later(seconds: int) -> None:
        at[0] += seconds
        clock.set(at[0])

    config = home / "doorward.toml"
    config.write_text("[mounts.supabase]\nanonymous_sign_ins = true\n")
    with Doorward("dev", "--listen", "127.0.0.1:0", "--config", config, home=home / "server", environment=clock.environment) as server:
        yield Supabase(server), later


def asked(supabase, path: str, **body) -> None:
    answer = supabase.client().post(path, json=body)
    assert (answer.status_code, answer.json()) == (200, {}), answer.text


def proven(supabase, email: str, kind: str, token: str) -> dict:
    answer = supabase.client(roaming=True).post("/verify", json={"type": kind, "email": email, "token": token})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("path", ["/otp", "/magiclink"])
def test_a_letter_makes_an_account_and_later_opens_it(jumping, path):
    supabase, later = jumping
    email = address()
    asked(supabase, path, email=email, data={"name": "Ann"})
    first = proven(supabase, email, "email", digits_of(supabase.mail(email)))
    assert first["user"]["user_metadata"] == {"name": "Ann"} and first["user"]["email_confirmed_at"]
    # It has no password to guess.
    login = supabase.client(roaming=True).post("/token?grant_type=password", json={"email": email, "password": ""})
    refused(login, 400, "invalid_credentials")
    later(61)
    asked(supabase, path, email=email, data={"name": "somebody else's words"})
    session = fragment_of(open_link(link_of(supabase.mail(email, 2))))
    assert session["type"] == "magiclink"
    user = supabase.client(session["access_token"]).get("/user").json()
    assert (user["id"], user["user_metadata"]) == (first["user"]["id"], {"name": "Ann"})


def test_nobody_learns_who_has_an_account_nor_is_one_made_unasked(jumping):
    supabase, later = jumping
    person, unknown = supabase.confirmed(), address("unknown")
    later(61)
    for status in (200, 429):
        both = [supabase.client().post("/otp", json={"email": email, "create_user": False}) for email in (person.email, unknown)]
        assert [answer.status_code for answer in both] == [status] * 2
        assert both[0].json() == both[1].json() and sorted(both[0].headers) == sorted(both[1].headers)
    assert "magiclink" in link_of(supabase.mail(person.email, 2)) and supabase.mails(unknown) == []


def test_a_proof_is_for_one_purpose_and_a_newer_letter_voids_older_ones(jumping):
    supabase, later = jumping
    person = supabase.confirmed()
    later(61)
    asked(supabase, "/otp", email=person.email)
    magic = supabase.mail(person.email, 2)
    stranger = supabase.client(roaming=True)
    for kind in ("signup", "recovery", "invite", "email_change", "sms", "phone_change"):
        refused(stranger.post("/verify", json={"type": kind, "token_hash": token_of(magic)}), 403, "otp_expired")
        refused(stranger.post("/verify", json={"type": kind, "email": person.email, "token": digits_of(magic)}), 403, "otp_expired")
    later(61)
    asked(supabase, "/recover", email=person.email)
    supabase.mail(person.email, 3)
    refused(stranger.post("/verify", json={"type": "magiclink", "token_hash": token_of(magic)}), 403, "otp_expired")


def test_a_link_that_is_opened_twice_at_once_opens_once(jumping):
    supabase, _ = jumping
    email = address()
    asked(supabase, "/otp", email=email)
    link, opened = link_of(supabase.mail(email)), []
    threads = [threading.Thread(target=lambda: opened.append("access_token" in fragment_of(open_link(link)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(opened) == [False] * 7 + [True]


def test_whoever_comes_by_a_letter_is_rid_of_a_strangers_password(jumping):
    """Somebody signed up with another's address; its holder logs in by a letter, and the password of that sign-up is worth nothing."""
    supabase, later = jumping
    victim, stranger = address("victim"), supabase.client(roaming=True)
    assert stranger.post("/signup", json={"email": victim, "password": "the stranger's"}).status_code == 200
    later(61)
    asked(supabase, "/otp", email=victim)
    proven(supabase, victim, "email", digits_of(supabase.mail(victim, 2)))
    refused(stranger.post("/token?grant_type=password", json={"email": victim, "password": "the stranger's"}), 400, "invalid_credentials")


def test_a_nonce_stands_for_a_password_once_and_for_its_account_alone(jumping):
    supabase, later = jumping
    person, other = supabase.confirmed(), supabase.confirmed()
    later(601)
    refused(person.client.put("/user", json={"password": "a new password"}), 400, "reauthentication_needed")
    assert person.client.get("/reauthenticate").json() == {}
    refused(person.client.get("/reauthenticate"), 429, "over_email_send_rate_limit")
    text = supabase.mail(person.email, 2)
    assert "http" not in text
    nonce = digits_of(text)
    refused(other.client.put("/user", json={"password": "a new password", "nonce": nonce}), 422, "reauthentication_not_valid")
    for kind in ("magiclink", "email"):
        answer = supabase.client(roaming=True).post("/verify", json={"type": kind, "email": person.email, "token": nonce})
        refused(answer, 403, "otp_expired")
    refused(person.client.put("/user", json={"password": "short", "nonce": nonce}), 422, "weak_password")
    assert person.client.put("/user", json={"password": "a new password", "nonce": nonce}).status_code == 200
    refused(person.client.put("/user", json={"password": "yet another one", "nonce": nonce}), 422, "reauthentication_not_valid")
    refused(supabase.client().get("/reauthenticate"), 401, "no_authorization")


def test_a_nonce_has_five_tries(jumping):
    supabase, later = jumping
    person = supabase.confirmed()
    later(601)
    assert person.client.get("/reauthenticate").status_code == 200
    nonce = digits_of(supabase.mail(person.email, 2))
    roaming = supabase.client(person.client.token, roaming=True)
    for n in [*range(1, 6), 0]:
        guess = f"{(int(nonce) + n) % 1_000_000:06}"
        refused(roaming.put("/user", json={"password": "a new password", "nonce": guess}), 422, "reauthentication_not_valid")


def test_a_stranger_stays_until_a_name_is_proven(jumping):
    supabase, _ = jumping
    answer = supabase.client().post("/signup", json={"data": {"cart": 3}})
    assert answer.status_code == 200, answer.text
    session = answer.json()
    user = session["user"]
    assert (user["is_anonymous"], user["email"], user["identities"], user["app_metadata"]) == (True, "", [], {})
    client = supabase.client(session["access_token"])
    assert client.put("/user", json={"data": {"cart": 4}}).json()["user_metadata"] == {"cart": 4}
    refused(client.put("/user", json={"password": PASSWORD}), 422, "validation_failed")
    refused(client.get("/reauthenticate"), 400, "validation_failed")
    refused(client.put("/user", json={"email": supabase.confirmed().email}), 422, "email_exists")
    email = address()
    assert client.put("/user", json={"email": email, "password": PASSWORD}).json()["new_email"] == email
    assert client.get("/user").json()["is_anonymous"] is True
    opened = fragment_of(open_link(link_of(supabase.mail(email))))
    named = supabase.client(opened["access_token"]).get("/user").json()
    assert (named["id"], named["email"], named["is_anonymous"]) == (user["id"], email, False)
    assert named["user_metadata"] == {"cart": 4} and named["app_metadata"]["providers"] == ["email"]
    assert supabase.client().post("/token?grant_type=password", json={"email": email, "password": PASSWORD}).status_code == 200


def test_strangers_of_one_network_are_few(jumping):
    supabase, _ = jumping
    client = supabase.client()
    answers = [client.post("/signup", json={}) for _ in range(31)]
    assert {answer.status_code for answer in answers[:30]} == {200}
    refused(answers[30], 429, "over_request_rate_limit")
    assert 0 < int(answers[30].headers["Retry-After"]) <= 3600
    assert supabase.client().post("/signup", json={}).status_code == 200, "another network"


def test_strangers_stay_only_where_the_mount_lets_them(confirming):
    refused(confirming.client().post("/signup", json={}), 422, "anonymous_provider_disabled")
    assert confirming.client().get("/settings").json()["external"]["anonymous_users"] is False


def test_nobody_is_called(supabase, person):
    for method, path, body in [
        ("POST", "/otp", {"phone": "+41791234567"}), ("POST", "/signup", {"phone": "+41791234567", "password": PASSWORD}),
        ("POST", "/resend", {"type": "sms", "phone": "+41791234567"}), ("PUT", "/user", {"phone": "+41791234567"}),
    ]:
        refused(person.client.request(method, path, json=body), 400, "phone_provider_disabled")


def test_many_letters_from_one_network_are_too_many(start):
    supabase = Supabase(start("dev"))
    client = supabase.client()
    asked = [client.post("/otp", json={"email": address()}) for _ in range(31)]
    assert {answer.status_code for answer in asked[:30]} == {200}
    for path, body in [("/otp", {"email": address()}), ("/recover", {"email": address()}), ("/signup", {"email": address(), "password": PASSWORD})]:
        limited = client.post(path, json=body)
        refused(limited, 429, "over_request_rate_limit")
        assert 0 < int(limited.headers["Retry-After"]) <= 300
    newer = client.post("/otp", json={"email": address()}, headers={"X-Supabase-Api-Version": "2024-01-01"})
    assert newer.json() == {"code": "over_request_rate_limit", "message": "Request rate limit reached"}
    assert supabase.client().post("/otp", json={"email": address()}).status_code == 200, "another network"


def test_bodies_that_are_none_are_refused(supabase):
    client = supabase.client(roaming=True)
    for path in ("/otp", "/magiclink", "/recover"):
        for body in ({}, {"email": None}, {"email": "nobody"}, {"email": ""}, {"email": "a" * 2_000 + "@example.org"}):
            refused(client.post(path, json=body), 400, "validation_failed")
        for body in ({"email": 5}, {"email": ["a"]}, []):
            assert client.post(path, json=body).status_code == 400, body
    for kind in (None, "nonsense", "recovery"):
        refused(client.post("/resend", json={"email": address(), "type": kind}), 400, "validation_failed")
    assert requests.get(f"{supabase.auth_url}/verify", params={"token": "\x00", "type": "magiclink"}, allow_redirects=False, timeout=10).status_code == 400
