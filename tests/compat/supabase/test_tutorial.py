"""LangGraph's tutorial, its own code: L-011, L-025, L-045, L-046, L-047, L-048, L-050, L-052, L-053."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from harness.doorward import Doorward
from harness.supabase import Supabase, address, fragment_of, link_of, open_link
from harness.tutorial import block

sys.path.insert(0, str(Path(__file__).parent))

from tutorial import Tutorial  # noqa: E402 - it stands beside this file


@pytest.fixture(scope="module")
def supabase(tmp_path_factory):
    """A server of its own: the document's code calls from 127.0.0.1, whose refusals must not add up with others'."""
    with Doorward("dev", "--listen", "127.0.0.1:0", home=tmp_path_factory.mktemp("tutorial")) as server:
        yield Supabase(server)


@pytest.fixture
def tutorial(supabase) -> Tutorial:
    return Tutorial(supabase)


def refusal(raised) -> tuple[str, int, dict]:
    text, status, body = raised.value.args
    return text, status, json.loads(body)


def test_two_people_sign_up_confirm_by_mail_and_log_in(supabase, tutorial):
    first, second = address("me+1"), address("me+2")
    made = [tutorial.sign_up(email) for email in (first, second)]
    assert tutorial.password == "password"
    assert [user["email"] for user in made] == [first, second]
    assert made[0]["id"] != made[1]["id"] and "access_token" not in made[0]
    with pytest.raises(ValueError) as raised:
        tutorial.login(first)
    text, status, body = refusal(raised)
    assert (text, status, body["error_code"]) == ("Login failed:", 400, "email_not_confirmed")
    for email, user in zip((first, second), made, strict=True):
        opened = open_link(link_of(supabase.mail(email)))
        assert opened.status_code == 303 and fragment_of(opened)["token_type"] == "bearer"
        session = tutorial.login(email)
        assert session["user"]["id"] == user["id"]
        for key, kind in {
            "access_token": str, "token_type": str, "expires_in": int, "expires_at": int, "refresh_token": str, "user": dict,
        }.items():
            assert isinstance(session[key], kind) and session[key], key


def test_addresses_that_differ_behind_a_plus_are_two_people_with_two_letters(supabase, tutorial):
    stem = address("plus").split("@")[0]
    emails = [f"{stem}+{n}@example.org" for n in (1, 2)]
    ids = {tutorial.sign_up(email)["id"] for email in emails}
    assert len(ids) == 2
    links = {link_of(supabase.mail(email)) for email in emails}
    assert len(links) == 2


def test_a_refused_sign_up_says_status_and_code(supabase, tutorial):
    for name, email, password, status, code in [
        ("no address", "nobody", "password", 400, "validation_failed"),
        ("short password", address(), "12345", 422, "weak_password"),
    ]:
        with pytest.raises(ValueError) as raised:
            tutorial.sign_up(email, password)
        text, found, body = refusal(raised)
        assert (text, found, body["error_code"]) == ("Sign up failed:", status, code), name


def test_sign_up_that_is_off_says_so(start, tmp_path):
    config = tmp_path / "closed.toml"
    config.write_text('[mounts.supabase]\nsign_up = "closed"\n')
    tutorial = Tutorial(Supabase(start("dev", "--config", config)))
    with pytest.raises(ValueError) as raised:
        tutorial.sign_up(address())
    assert refusal(raised)[1:] == (422, {"code": 422, "error_code": "signup_disabled", "msg": "Signups not allowed for this instance"})


def test_a_wrong_password_and_an_unknown_address_are_one_answer(person, tutorial):
    answers = []
    for email in (person.email, address("unknown")):
        with pytest.raises(ValueError) as raised:
            tutorial.login(email, "wrong password")
        answers.append(refusal(raised))
    assert answers[0] == answers[1]
    assert answers[0][:2] == ("Login failed:", 400) and answers[0][2]["error_code"] == "invalid_credentials"


def test_the_handler_of_the_tutorial_knows_who_shows_a_token(supabase, person, monkeypatch):
    from langgraph_sdk import Auth

    monkeypatch.setenv("SUPABASE_URL", supabase.url)
    monkeypatch.setenv("SUPABASE_SERVICE_KEY", supabase.service_key)
    names: dict = {}
    exec(compile(block("async def get_current_user"), "auth.py", "exec"), names)  # noqa: S102 - the document's own code
    ask = names["get_current_user"]
    user = asyncio.run(ask(f"Bearer {person.session['access_token']}"))
    assert user["identity"] == person.session["user"]["id"] and user["is_authenticated"]
    for bad in ["Bearer junk", "Bearer ", "junk", f"Bearer {supabase.anon_key}"]:
        with pytest.raises(Auth.exceptions.HTTPException) as raised:
            asyncio.run(ask(bad))
        assert raised.value.status_code == 401, bad


def test_the_user_is_told_to_whoever_shows_a_token_of_theirs_and_to_nobody_else(supabase, person):
    answer = person.client.get("/user", headers={"apiKey": supabase.service_key})
    assert answer.status_code == 200
    user = answer.json()
    assert (user["id"], user["email"], user["aud"]) == (person.session["user"]["id"], person.email, "authenticated")
    stranger = supabase.client(roaming=True)
    for token, status, code in [("junk", 403, "bad_jwt"), ("a.b.c", 403, "bad_jwt"), (None, 401, "no_authorization"), (supabase.anon_key, 403, "bad_jwt")]:
        refused = stranger.get("/user", token=token)
        assert (refused.status_code, refused.json()["error_code"]) == (status, code), token
