"""Several configurations in one process, keys of several kinds, and two processes whose clocks differ. L-068, L-055."""

from urllib.parse import parse_qs, urlsplit

import jwt
import pytest

from harness.clock import Clock
from harness.doorward import Doorward
from harness.programs import wait_until
from harness.supabase import PASSWORD, Supabase, address, digits_of, fragment_of, keys_of, link_of, open_link

TWO = """
[mounts.shop]
surface = "supabase"
sign_up = "open"
site_url = "https://shop.example/"

[mounts.supabase]
sign_up = "closed"

[mounts.lax]
surface = "supabase"
listen = "127.0.0.1:0"
sign_up = "open"
auto_confirm = true
site_url = "https://lax.example/"
"""


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    config = tmp_path_factory.mktemp("mounts") / "doorward.toml"
    config.write_text(TWO)
    with Doorward("dev", "--listen", "127.0.0.1:0", "--config", config, home=tmp_path_factory.mktemp("two")) as server:
        keys = keys_of(server, config)
        yield [Supabase(server, name, keys[name]) for name in ("shop", "lax", "supabase")]


def refused(answer, status: int, code: str) -> None:
    assert (answer.status_code, answer.json().get("error_code")) == (status, code), answer.text


def test_keys_and_tokens_of_one_mount_open_nothing_of_another(two):
    shop, lax, _ = two
    person = shop.confirmed()
    for key in (shop.anon_key, shop.service_key):
        refused(lax.client(key=key).get("/settings"), 401, "invalid_api_key")
        refused(lax.client(key, roaming=True).get("/admin/users"), 403, "bad_jwt") if key == shop.service_key else None
    token, refresh = person.session["access_token"], person.session["refresh_token"]
    refused(lax.client(token, roaming=True).get("/user"), 403, "bad_jwt")
    refused(lax.client(roaming=True).post("/token?grant_type=refresh_token", json={"refresh_token": refresh}), 400, "refresh_token_not_found")
    # Who proved no address at one is nobody at the other, which asks for a proof.
    email = address()
    session = lax.client().post("/signup", json={"email": email, "password": PASSWORD}).json()
    assert lax.client(session["access_token"]).get("/user").status_code == 200
    refused(shop.client(session["access_token"], roaming=True).get("/user"), 403, "bad_jwt")
    refused(shop.client(roaming=True).post("/token?grant_type=password", json={"email": email, "password": PASSWORD}), 400, "email_not_confirmed")
    assert person.client.get("/user").status_code == 200


def test_letters_lead_back_to_the_mount_that_wrote_them_and_to_its_site(two):
    shop, lax, _ = two
    email = address()
    shop.client().post("/signup", params={"redirect_to": "https://lax.example/"}, json={"email": email, "password": PASSWORD})
    link = link_of(shop.mail(email))
    assert link.startswith(shop.auth_url)
    assert open_link(link).headers["Location"].startswith("https://shop.example/#access_token=")


def test_a_mount_of_its_own_listener_has_the_bare_paths_at_the_root(two):
    _, lax, _ = two
    assert lax.url.count("/") == 2
    bare = lax.client()
    bare.base = lax.url
    session = bare.post("/signup", json={"email": address(), "password": PASSWORD}).json()
    assert bare.get("/user", token=session["access_token"]).status_code == 200
    keys = jwt.PyJWKClient(f"{lax.url}/.well-known/jwks.json")
    assert jwt.decode(session["access_token"], keys.get_signing_key_from_jwt(session["access_token"]), algorithms=["ES256"], audience="authenticated")["sub"] == session["user"]["id"]


def test_where_sign_up_is_closed_no_letter_makes_an_account(two):
    shop, _, closed = two
    person, unknown = shop.confirmed(), address("unknown")
    refused(closed.client().post("/signup", json={"email": unknown, "password": PASSWORD}), 422, "signup_disabled")
    assert closed.client().get("/settings").json()["disable_signup"] is True
    assert closed.client().post("/otp", json={"email": unknown}).json() == {} and closed.mails(unknown) == []
    # An operator still invites.
    admin = closed.client(closed.service_key)
    assert admin.post("/invite", json={"email": unknown}).status_code == 200 and closed.mail(unknown)
    assert admin.post("/admin/generate_link", json={"type": "magiclink", "email": person.email}).status_code == 200


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
def test_tokens_are_signed_by_published_keys_of_the_kind_that_is_wanted(tmp_path, algorithm):
    config = tmp_path / "doorward.toml"
    config.write_text(f'[tokens]\nalgorithm = "{algorithm}"\n[mounts.supabase]\nauto_confirm = true\n')
    with Doorward("dev", "--listen", "127.0.0.1:0", "--config", config, home=tmp_path / "server") as server:
        supabase = Supabase(server)
        session = supabase.client().post("/signup", json={"email": address(), "password": PASSWORD}).json()
        token = session["access_token"]
        head = jwt.get_unverified_header(token)
        assert head["alg"] == algorithm and head["kid"]
        key = jwt.PyJWKClient(f"{supabase.auth_url}/.well-known/jwks.json").get_signing_key_from_jwt(token)
        assert jwt.decode(token, key, algorithms=[algorithm], audience="authenticated")["sub"] == session["user"]["id"]
        # An older key goes on verifying, and says so by its name.
        server.command("token", "rotate-key")

        def signed_anew():
            body = {"email": session["user"]["email"], "password": PASSWORD}
            newer = supabase.client().post("/token?grant_type=password", json=body).json()["access_token"]
            return jwt.get_unverified_header(newer)["kid"] != head["kid"] and newer

        newer = wait_until(signed_anew, "the new key in use")
        assert [supabase.client(one).get("/user").status_code for one in (token, newer)] == [200, 200]


def test_two_processes_whose_clocks_differ_by_minutes_know_one_anothers_proofs(tmp_path):
    fast, home = Clock(tmp_path), tmp_path / "both"
    fast.set(180)
    with Doorward("dev", "--listen", "127.0.0.1:0", home=home, environment=fast.environment) as first:
        ahead = Supabase(first)
        with Doorward("dev", "--listen", "127.0.0.1:0", home=home) as second:
            behind = Supabase(second)
            person = ahead.confirmed()
            # What one process wrote is opened at the other, once, whichever of them is ahead.
            for here, there in ((ahead, behind), (behind, ahead)):
                email = address()
                assert here.client().post("/otp", json={"email": email}).status_code == 200
                link = link_of(here.mail(email)).replace(here.auth_url, there.auth_url)
                assert fragment_of(open_link(link))["type"] == "signup"
                assert fragment_of(open_link(link.replace(there.auth_url, here.auth_url)))["error_code"] == "otp_expired"
            email = address()
            behind.client().post("/otp", json={"email": email})
            proven = ahead.client().post("/verify", json={"type": "email", "email": email, "token": digits_of(behind.mail(email))})
            assert proven.status_code == 200
            # A flow that is begun at one, and whose code is made at the other, ends at the first.
            for here, there in ((ahead, behind), (behind, ahead)):
                email, verifier = address(), "v" * 43
                flow = {"code_challenge": verifier, "code_challenge_method": "plain"}
                assert here.client().post("/otp", json={"email": email, **flow}).status_code == 200
                place = open_link(link_of(here.mail(email)).replace(here.auth_url, there.auth_url)).headers["Location"]
                body = {"auth_code": parse_qs(urlsplit(place).query)["code"][0], "code_verifier": verifier}
                exchanged = [one.client(roaming=True).post("/token?grant_type=pkce", json=body).status_code for one in (here, there)]
                assert exchanged == [200, 404]
            # Tokens, unlike proofs, say when they were made: one from further ahead than half a minute is not believed.
            mine = behind.confirmed()
            for token, expected in ((person.session["access_token"], [200, 403]), (mine.session["access_token"], [200, 200])):
                assert [one.client(token).get("/user").status_code for one in (ahead, behind)] == expected
            # Ended at one, it is ended at the other.
            assert behind.client(mine.session["access_token"]).post("/logout").status_code == 204
            wait_until(lambda: ahead.client(mine.session["access_token"]).get("/user").status_code == 403, "the log-out to be seen")
