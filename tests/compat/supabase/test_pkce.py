"""Letters of flows that end in the program that began them (PKCE): `code` instead of a session. L-045, L-046."""

import base64
import hashlib
import json
import threading
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from supabase_auth import SyncGoTrueClient
from supabase_auth.errors import AuthApiError

from harness.auth_js import run
from harness.doorward import Doorward
from harness.supabase import PASSWORD, Supabase, address, fragment_of, keys_of, link_of, open_link, token_of

VERIFIER = "verifier-of-the-tests~with.enough_characters-0123"
APP = "https://app.example/in?a=1"


def challenge(verifier: str = VERIFIER) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


FLOW = {"code_challenge": challenge(), "code_challenge_method": "s256"}


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two mounts of one process."""
    config = tmp_path_factory.mktemp("pkce-config") / "doorward.toml"
    rules = 'site_url = "https://app.example/welcome"\nletters_per_network = 0\n'
    config.write_text(f'[mounts.supabase]\n{rules}[mounts.supabase-other]\nsurface = "supabase"\nsign_up = "open"\n{rules}')
    with Doorward("dev", "--listen", "127.0.0.1:0", "--config", config, home=tmp_path_factory.mktemp("pkce")) as server:
        first = Supabase(server)
        yield first, Supabase(server, "supabase-other", keys_of(server, config)["supabase-other"])


@pytest.fixture(scope="module")
def supabase(two):
    return two[0]


def ask(supabase, path: str = "/otp", *, email: str | None = None, token: str | None = None, **body) -> str:
    """Asks for a letter; gives the address."""
    email = email or address()
    answer = supabase.client(token).request("PUT" if path == "/user" else "POST", path, params={"redirect_to": APP}, json={"email": email, **FLOW, **body})
    assert answer.status_code == 200, answer.text
    return email


def query_of(response) -> dict[str, str]:
    assert response.status_code == 303, response.text
    return dict(parse_qsl(urlsplit(response.headers["Location"]).query, strict_parsing=True))


def code_of(supabase, email: str, number: int = 1) -> str:
    opened = open_link(link_of(supabase.mail(email, number)))
    query = query_of(opened)
    assert "#" not in opened.headers["Location"] and opened.headers["Location"].startswith("https://app.example/in?")
    assert query.pop("a") == "1" and set(query) == {"code"}, query
    return query["code"]


def exchange(supabase, code: str, verifier: str = VERIFIER):
    return supabase.client(roaming=True).post("/token?grant_type=pkce", json={"auth_code": code, "code_verifier": verifier})


def refused(answer, status: int, code: str) -> None:
    assert (answer.status_code, answer.json().get("error_code")) == (status, code), answer.text
    assert "access_token" not in answer.text


@pytest.mark.parametrize("method", ["s256", "S256", "plain"])
def test_a_link_brings_a_code_and_the_code_a_session_once(supabase, method):
    email = ask(supabase, code_challenge=VERIFIER if method == "plain" else challenge(), code_challenge_method=method)
    text = supabase.mail(email)
    assert token_of(text).startswith("pkce_") and VERIFIER not in text, "the letter does not hold what opens"
    code = code_of(supabase, email)
    for wrong in ("x" * 43, VERIFIER + "x", challenge()):
        refused(exchange(supabase, code, wrong), 400, "bad_code_verifier")
    session = exchange(supabase, code)
    assert session.status_code == 200, session.text
    assert session.json()["user"]["email"] == email and session.json()["user"]["email_confirmed_at"]
    assert supabase.client(session.json()["access_token"]).get("/user").json()["email"] == email
    refused(exchange(supabase, code), 404, "flow_state_not_found")
    again = open_link(link_of(supabase.mail(email)))
    assert query_of(again)["error_code"] == fragment_of(again)["error_code"] == "otp_expired", "servers read the query"


def test_each_kind_of_letter_ends_in_the_flow(two):
    supabase, _ = two
    email = ask(supabase, "/signup", password=PASSWORD)
    session = exchange(supabase, code_of(supabase, email)).json()
    claims = json.loads(base64.urlsafe_b64decode(session["access_token"].split(".")[1] + "=="))
    assert claims["amr"][0]["method"] == "email/signup"
    # A move, with the letter to the present address and to the new one.
    moved = ask(supabase, "/user", email=address("moved"), token=session["access_token"])
    half = open_link(link_of(supabase.mail(email, 2)))
    assert "accepted" in query_of(half)["message"] and "accepted" in fragment_of(half)["message"]
    moving = exchange(supabase, code_of(supabase, moved)).json()
    assert (moving["user"]["email"], moving["user"]["id"]) == (moved, session["user"]["id"])
    for path in ("/recover", "/magiclink"):
        admin = supabase.client(supabase.service_key, key=supabase.service_key)
        other = address()
        made = admin.post("/admin/users", json={"email": other, "password": PASSWORD, "email_confirm": True})
        assert made.status_code == 200, made.text
        ask(supabase, path, email=other)
        opened = exchange(supabase, code_of(supabase, other))
        assert opened.json()["user"]["id"] == made.json()["id"], path


def test_what_the_link_holds_can_be_sent_by_a_client_too(supabase):
    """As GoTrue: servers that render pages send `token_hash` themselves."""
    email = ask(supabase)
    proven = supabase.client(roaming=True).post("/verify", json={"type": "email", "token_hash": token_of(supabase.mail(email))})
    assert proven.status_code == 200 and proven.json()["user"]["email"] == email


def test_a_code_is_of_one_mount_one_challenge_and_no_link(two):
    supabase, other = two
    code = code_of(supabase, ask(supabase))
    refused(exchange(other, code), 404, "flow_state_not_found")
    # Its own challenge instead of the one it was made for.
    mine = "y" * 50
    refused(exchange(supabase, code.rsplit(".", 1)[0] + "." + challenge(mine), mine), 404, "flow_state_not_found")
    email = ask(supabase)
    token = token_of(supabase.mail(email))
    forged = token.replace(challenge(), challenge(mine))
    assert forged != token
    for wrong in (forged, token.split(".", 1)[1], "pkce_" + token):
        opened = open_link(f"{supabase.auth_url}/verify?token={wrong}&type=signup")
        assert "otp_expired" in opened.headers["Location"] and "code=" not in opened.headers["Location"].replace("error_code=", "")
    refused(exchange(supabase, token), 404, "flow_state_not_found")
    digits = supabase.client(roaming=True).post("/verify", json={"type": "signup", "token_hash": code})
    refused(digits, 403, "otp_expired")
    assert exchange(supabase, code).status_code == 200 and exchange(supabase, code_of(supabase, email)).status_code == 200


def test_of_many_who_exchange_a_code_at_once_one_gets_in(supabase):
    code = code_of(supabase, ask(supabase))
    answers, ready = [], threading.Barrier(8)

    def one() -> None:
        client = supabase.client(roaming=True)
        ready.wait()
        answers.append(client.post("/token?grant_type=pkce", json={"auth_code": code, "code_verifier": VERIFIER}).status_code)

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200] + [404] * 7


def test_a_new_password_ends_codes_that_nobody_has_exchanged(supabase):
    other = address()
    admin = supabase.client(supabase.service_key, key=supabase.service_key)
    made = admin.post("/admin/users", json={"email": other, "password": PASSWORD, "email_confirm": True}).json()
    ask(supabase, "/recover", email=other)
    code = code_of(supabase, other)
    assert admin.put(f"/admin/users/{made['id']}", json={"password": "another password"}).status_code == 200
    refused(exchange(supabase, code), 404, "flow_state_not_found")


def test_challenges_and_codes_that_are_none_are_refused(supabase):
    for body in (
        {"code_challenge": challenge()}, {"code_challenge_method": "s256"}, {"code_challenge": "x" * 42, "code_challenge_method": "plain"},
        {"code_challenge": "x" * 129, "code_challenge_method": "plain"}, {"code_challenge": challenge(), "code_challenge_method": "none"},
        {"code_challenge": "a b" * 15, "code_challenge_method": "plain"}, {"code_challenge": "é" * 43, "code_challenge_method": "plain"},
        {"code_challenge": ["x"], "code_challenge_method": "s256"},
    ):
        email = address()
        for path in ("/otp", "/recover", "/signup", "/magiclink"):
            answer = supabase.client(roaming=True).post(path, json={"email": email, "password": PASSWORD, **body})
            assert answer.status_code == 400 and answer.json()["error_code"] in ("validation_failed", "bad_json"), (path, body, answer.text)
        assert supabase.mails(email) == []
    # An empty challenge is none: clients that know no flow send null.
    email = address()
    ask(supabase, email=email, code_challenge=None, code_challenge_method=None)
    assert not token_of(supabase.mail(email)).startswith("pkce_")
    for body in ({}, {"auth_code": "x"}, {"code_verifier": VERIFIER}, {"auth_code": "", "code_verifier": ""}):
        refused(supabase.client(roaming=True).post("/token?grant_type=pkce", json=body), 400, "validation_failed")
    for code in ("x", "a.b.c.d", "x" * 100_000, f"a.b.YQ.{challenge()}", "\u0000", "'; --"):
        refused(exchange(supabase, code), 404, "flow_state_not_found")


def test_whoever_made_the_link_does_not_say_the_code_too(supabase):
    email = address()
    there = "https://app.example/in?code=evil&x=1&%63ode=evil&error=no"
    answer = supabase.client().post("/otp", params={"redirect_to": there}, json={"email": email, **FLOW})
    assert answer.status_code == 200
    query = parse_qs(urlsplit(open_link(link_of(supabase.mail(email))).headers["Location"]).query)
    assert set(query) == {"x", "code"} and len(query["code"]) == 1 and query["code"] != ["evil"]


@pytest.mark.parametrize("how", ["signUp", "otp", "recover", "move"])
def test_npm_auth_js_ends_each_flow_in_another_process(supabase, how):
    email, other = address(), address()
    given = {"how": how, "email": email, "other": other, "password": PASSWORD, "to": APP}
    if how in ("recover", "move"):
        admin = supabase.client(supabase.service_key, key=supabase.service_key)
        assert admin.post("/admin/users", json={"email": email, "password": PASSWORD, "email_confirm": True}).status_code == 200
    begun = run(supabase, "beginFlow", **given)
    assert begun["asked"]["error"] is None, begun
    if how == "move":
        open_link(link_of(supabase.mail(email)))
    code = code_of(supabase, other if how == "move" else email)
    ended = run(supabase, "endFlow", stored=begun["stored"], code=code, password="another password" if how == "recover" else None)
    assert ended["error"] is None and ended["user"]["data"]["user"]["email"] == (other if how == "move" else email), ended
    assert ended["again"]["error"], "once"
    if how == "recover":
        assert "PASSWORD_RECOVERY" in ended["events"] and ended["changed"]["error"] is None
    # Whoever has the code alone, in a browser of their own, has nothing.
    alone = run(supabase, "endFlow", stored=[], code=code, password=None)
    assert alone["error"]["name"] == "AuthPKCECodeVerifierMissingError"


def test_pypi_supabase_auth_ends_a_flow(supabase):
    headers = {"apikey": supabase.anon_key, "Authorization": f"Bearer {supabase.anon_key}"}
    for begin in ("sign_up", "sign_in_with_otp"):
        auth, email = SyncGoTrueClient(url=supabase.auth_url, headers=headers, flow_type="pkce"), address()
        body = {"email": email, "options": {"email_redirect_to": APP}}
        getattr(auth, begin)(body | ({"password": PASSWORD} if begin == "sign_up" else {}))
        code = code_of(supabase, email)
        ended = auth.exchange_code_for_session({"auth_code": code})
        assert ended.user.email == email and auth.get_user().user.id == ended.user.id
        with pytest.raises(AuthApiError) as raised:
            auth.exchange_code_for_session({"auth_code": code, "code_verifier": VERIFIER})
        assert raised.value.code == "flow_state_not_found"
