"""Letters as `dev` keeps them: confirming, resetting, changing an address; links used twice, too late, and to the wrong place. L-049."""

import re
from pathlib import Path

import pytest
import requests

from harness.client import Client
from harness.clock import Clock
from harness.doorward import Doorward
from harness.supabase import PASSWORD, Supabase, address, digits_of, fragment_of, link_of, native_id, open_link

SITE = "https://app.example/welcome"


def sign_up(supabase, email: str | None = None, query: str = "", password: str = PASSWORD):
    email = email or address()
    answer = supabase.client().post(f"/signup{query}", json={"email": email, "password": password})
    assert answer.status_code == 200, answer.text
    return email, answer.json()


def log_in(supabase, email: str, password: str = PASSWORD):
    return supabase.client(roaming=True).post("/token?grant_type=password", json={"email": email, "password": password})


def is_refused(opened: requests.Response, place: str = SITE) -> None:
    assert opened.status_code == 303 and opened.headers["Location"].split("#")[0] == place
    assert fragment_of(opened) == {
        "error": "access_denied", "error_code": "otp_expired", "error_description": "Email link is invalid or has expired",
    }


def test_a_link_confirms_once_and_brings_a_session(supabase):
    email, user = sign_up(supabase)
    assert "email_confirmed_at" not in user and user["confirmation_sent_at"]
    link = link_of(supabase.mail(email))
    assert link.startswith(f"{supabase.auth_url}/verify?token=")
    # A program that only looks at the link does not use it up.
    assert requests.head(link, allow_redirects=False, timeout=10).status_code == 204
    opened = open_link(link)
    assert opened.status_code == 303 and opened.headers["Location"].startswith(f"{SITE}#access_token=")
    assert opened.headers["Cache-Control"] == "no-store" and opened.headers["Referrer-Policy"] == "no-referrer"
    session = fragment_of(opened)
    assert set(session) == {"access_token", "expires_at", "expires_in", "refresh_token", "sb", "token_type", "type"}
    assert session["type"] == "signup"
    found = supabase.client(session["access_token"]).get("/user").json()
    assert found["id"] == user["id"] and found["email_confirmed_at"]
    is_refused(open_link(link))
    assert log_in(supabase, email).status_code == 200


def test_the_digits_confirm_too_and_either_ends_the_other(supabase):
    email, user = sign_up(supabase)
    text = supabase.mail(email)
    body = {"type": "signup", "email": email, "token": digits_of(text)}
    proven = supabase.client().post("/verify", json=body)
    assert proven.status_code == 200 and proven.json()["user"]["id"] == user["id"]
    assert supabase.client().post("/verify", json=body).json()["error_code"] == "otp_expired"
    is_refused(open_link(link_of(text)))


def test_what_a_link_holds_can_be_sent_by_a_client(supabase):
    email, user = sign_up(supabase)
    token = re.search(r"token=([^&]+)", link_of(supabase.mail(email)))[1]
    proven = supabase.client().post("/verify", json={"type": "email", "token_hash": token})
    assert proven.status_code == 200 and proven.json()["user"]["id"] == user["id"]


def test_digits_have_five_tries_and_the_link_lives_on(supabase):
    email, _ = sign_up(supabase)
    text = supabase.mail(email)
    good = digits_of(text)
    wrong = [f"{(int(good) + n) % 1_000_000:06}" for n in range(1, 6)]
    stranger = supabase.client(roaming=True)
    for digits in [*wrong, good]:
        answer = stranger.post("/verify", json={"type": "signup", "email": email, "token": digits})
        assert (answer.status_code, answer.json()["error_code"]) == (403, "otp_expired"), digits
    assert "access_token" in fragment_of(open_link(link_of(text)))


def test_digits_of_somebody_else_or_of_no_form_prove_nothing(supabase):
    one = sign_up(supabase)[0]
    digits = digits_of(supabase.mail(one))
    # Two may have the same digits, by a chance of one in a million; three hardly.
    others = (sign_up(supabase)[0] for _ in range(3))
    two = next(other for other in others if digits_of(supabase.mail(other)) != digits)
    stranger = supabase.client(roaming=True)
    for email, token in [(two, digits), (address("unknown"), digits), (one, digits[:5]), (one, digits + "0"), (one, "٣٣٣٣٣٣"), (one, ""), ("x" * 5_000, digits)]:
        answer = stranger.post("/verify", json={"type": "signup", "email": email, "token": token})
        assert (answer.status_code, answer.json()["error_code"]) == (403, "otp_expired"), (email, token)
    for body in [{}, {"type": "signup"}, {"type": "signup", "email": one}, {"type": "nonsense", "email": one, "token": digits}, {"type": "signup", "email": one, "token": digits, "token_hash": "x"}]:
        answer = stranger.post("/verify", json=body)
        assert (answer.status_code, answer.json()["error_code"]) == (400, "validation_failed"), body
    assert stranger.post("/verify", json={"type": "recovery", "email": one, "token": digits}).json()["error_code"] == "otp_expired"
    assert stranger.post("/verify", json={"type": "signup", "email": one.upper(), "token": digits}).status_code == 200


def test_what_a_letter_holds_is_neither_in_the_store_nor_in_the_log(supabase):
    email, user = sign_up(supabase)
    text = supabase.mail(email)
    secret = re.search(r"token=[^.&]+\.([^&]+)", link_of(text))[1]
    kept = b"".join(file.read_bytes() for file in Path(supabase.server.data_dir).iterdir() if file.is_file())
    assert native_id(user["id"]).encode() in kept, "these are the store's files"
    assert secret.encode() not in kept
    assert secret not in supabase.server.log and email not in supabase.server.log


def test_links_that_are_none_lead_to_the_site_with_an_error(supabase):
    email, user = sign_up(supabase)
    good = re.search(r"token=([^&]+)", link_of(supabase.mail(email)))[1]
    verify = Client(f"{supabase.auth_url}", roaming=True)
    whose, secret = good.split(".")
    other_user = native_id(sign_up(supabase)[1]["id"]).removeprefix("usr_")
    for token in ["", "junk", f"{whose}.", f"{whose}.{'A' * 43}", f"{other_user}.{secret}", f"{good}.YUBiLmM", "x" * 3_000]:
        is_refused(verify.get("/verify", params={"token": token, "type": "signup"}))
    for kind in ["recovery", "email_change", "magiclink", "invite", "nonsense", ""]:
        is_refused(verify.get("/verify", params={"token": good, "type": kind}))
    assert "access_token" in fragment_of(verify.get("/verify", params={"token": good, "type": "signup"}))


@pytest.mark.parametrize(
    ("wanted", "followed"),
    [
        ("https://app.example/in?x=1", True),
        ("https://pr-7.preview.example/a/b", True),
        ("myapp://callback", True),
        ("https://app.example/in#fragment", "https://app.example/in"),
        ("https://evil.example/", False),
        ("//evil.example", False),
        ("/local", False),
        ("https://app.example@evil.example/", False),
        ("https://app.example.evil.example/", False),
        ("https://evil.example\\@app.example/", False),
        ("https:\\\\app.example", False),
        ("http://app.example/", False),
        ("https://app.example:444/", False),
        ("https://preview.example.evil/a", False),
        ("https://evil.example/.preview.example/a", False),
        ("javascript:alert(1)//https://app.example/", False),
        ("https://app.example/\r\nSet-Cookie: a=b", False),
        ("https://app.example%2f@evil.example/", False),
        ("https://аpp.example/", False),
        ("myapp://callback.evil", False),
    ],
)
def test_a_link_leads_where_it_may_and_nowhere_else(supabase, wanted, followed):
    email = address()
    made = supabase.client().post("/signup", params={"redirect_to": wanted}, json={"email": email, "password": PASSWORD})
    assert made.status_code == 200
    link = link_of(supabase.mail(email))
    expected = followed if isinstance(followed, str) else (wanted if followed else SITE)
    opened = open_link(link)
    assert opened.headers["Location"].split("#")[0] == expected
    # Whoever changes a link gets no further than whoever asked for it.
    head = link.split("&redirect_to=")[0]
    changed = requests.get(head, params={"redirect_to": wanted}, allow_redirects=False, timeout=10)
    assert changed.headers["Location"].split("#")[0] == expected


def test_nobody_learns_who_has_an_account(supabase, person):
    """The same answer for an address that is new, waits to be confirmed, and is confirmed."""
    waiting, _ = sign_up(supabase)
    supabase.mail(waiting)
    shapes = []
    for email in (address(), waiting, person.email):
        answer = supabase.client().post("/signup", json={"email": email, "password": "another password"})
        text = answer.text.replace(answer.json()["id"], "ID").replace(email, "EMAIL")
        shapes.append((answer.status_code, sorted(answer.headers), re.sub(r"\d{4}-\d\d-\d\dT[\d:]+Z", "TIME", text)))
    assert shapes[0] == shapes[1] == shapes[2]
    assert len(supabase.mails(person.email)) == 1, "the letter of the sign-up and no other"
    assert log_in(supabase, person.email).status_code == 200, "nothing of the account changed"

def test_asking_for_a_reset_tells_nobody_who_has_an_account(jumping):
    supabase, clock = jumping
    person = supabase.confirmed()
    clock.set(61)
    for status in (200, 429):
        asked = [supabase.client().post("/recover", json={"email": email}) for email in ("unknown@example.org", person.email)]
        assert [answer.status_code for answer in asked] == [status] * 2
        assert asked[0].json() == asked[1].json() and sorted(asked[0].headers) == sorted(asked[1].headers)
    supabase.mail(person.email, 2)
    assert supabase.mails("unknown@example.org") == []


def test_one_letter_a_minute_goes_to_an_address_whoever_has_it(supabase):
    unknown = address("unknown")
    client = supabase.client(roaming=True)
    assert client.post("/recover", json={"email": unknown}).status_code == 200
    for path, body in [("/recover", {"email": unknown}), ("/recover", {"email": unknown.upper()}), ("/resend", {"email": unknown, "type": "signup"})]:
        limited = client.post(path, json=body)
        assert (limited.status_code, limited.json()["error_code"]) == (429, "over_email_send_rate_limit")
        assert 0 < int(limited.headers["Retry-After"]) <= 60
        assert re.fullmatch(r"For security purposes, you can only request this after \d+ seconds\.", limited.json()["msg"])
    for bad in [{}, {"email": "nobody"}, {"email": ""}]:
        assert client.post("/recover", json=bad).json()["error_code"] == "validation_failed"
    assert client.post("/resend", json={"email": unknown, "type": "sms"}).json()["error_code"] == "validation_failed"


@pytest.fixture
def jumping(tmp_path):
    """A server whose clock the test moves."""
    clock = Clock(tmp_path)
    with Doorward("dev", "--listen", "127.0.0.1:0", home=tmp_path / "jumping", environment=clock.environment) as server:
        yield Supabase(server), clock


def test_links_end_after_a_day_and_a_reset_after_a_quarter_of_an_hour(jumping):
    supabase, clock = jumping
    email, _ = sign_up(supabase)
    stale = link_of(supabase.mail(email))
    clock.set(24 * 3600 + 5)
    is_refused(open_link(stale), f"{supabase.server.url}/")
    assert supabase.client().post("/resend", json={"type": "signup", "email": email}).json() == {}
    assert "access_token" in fragment_of(open_link(link_of(supabase.mail(email, 2))))
    clock.set(24 * 3600 + 70)
    assert supabase.client().post("/recover", json={"email": email}).json() == {}
    reset = link_of(supabase.mail(email, 3))
    clock.set(24 * 3600 + 70 + 16 * 60)
    is_refused(open_link(reset), f"{supabase.server.url}/")


def test_a_newer_letter_voids_the_older_one(jumping):
    supabase, clock = jumping
    email, _ = sign_up(supabase)
    first = link_of(supabase.mail(email))
    clock.set(61)
    supabase.client().post("/resend", json={"type": "signup", "email": email})
    second = link_of(supabase.mail(email, 2))
    is_refused(open_link(first), f"{supabase.server.url}/")
    assert "access_token" in fragment_of(open_link(second))


def test_a_forgotten_password_is_set_anew(jumping):
    supabase, clock = jumping
    person = supabase.confirmed()
    clock.set(61)
    assert supabase.client().post("/recover", json={"email": person.email}).json() == {}
    opened = open_link(link_of(supabase.mail(person.email, 2)))
    session = fragment_of(opened)
    assert session["type"] == "recovery"
    client = supabase.client(session["access_token"])
    assert client.put("/user", json={"password": "a new password"}).status_code == 200
    assert log_in(supabase, person.email, "a new password").status_code == 200
    assert log_in(supabase, person.email).json()["error_code"] == "invalid_credentials"
    clock.set(61 + 600)
    late = client.put("/user", json={"password": "yet another one"})
    assert (late.status_code, late.json()["error_code"]) == (400, "reauthentication_needed")
    proven = client.put("/user", json={"password": "yet another one", "current_password": "a new password"})
    assert proven.status_code == 200
    wrong = client.put("/user", json={"password": "and one more", "current_password": "a guess"})
    assert (wrong.status_code, wrong.json()["error_code"]) == (400, "invalid_credentials")


def test_the_page_of_kept_letters_is_plain_and_of_this_machine(supabase):
    email, _ = sign_up(supabase)
    supabase.mail(email)
    page = requests.get(f"{supabase.server.url}/_mail", headers={"Accept": "text/html"}, timeout=10)
    assert page.headers["Content-Type"] == "text/html; charset=utf-8" and email in page.text and '<a href="' in page.text
    assert page.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert "<script" not in page.text and "access-control-allow-origin" not in page.headers
    foreign = requests.get(f"{supabase.server.url}/_mail", headers={"Host": "evil.example"}, timeout=10)
    assert foreign.status_code == 400
