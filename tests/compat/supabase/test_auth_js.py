"""npm `@supabase/auth-js`, unmodified, in Node: L-045, L-050, L-052, L-053, L-072."""

import json

import pytest

from harness.auth_js import run
from harness.clock import HOUR_S, Clock
from harness.doorward import Doorward
from harness.supabase import PASSWORD, Supabase, address, digits_of, keys_of, token_of


@pytest.fixture(scope="module")
def supabase(tmp_path_factory):
    """The client calls from 127.0.0.1, whose refusals must not add up with others'."""
    config = tmp_path_factory.mktemp("auth-js-config") / "doorward.toml"
    config.write_text("[mounts.supabase]\nletters_per_network = 0\n[mounts.supabase-strangers]\nsurface = \"supabase\"\nsign_up = \"open\"\nanonymous_sign_ins = true\n")
    with Doorward("dev", "--listen", "127.0.0.1:0", "--config", config, home=tmp_path_factory.mktemp("auth-js")) as server:
        made = Supabase(server)
        made.config = config
        yield made


@pytest.fixture
def email(supabase) -> str:
    email = address()
    made = run(supabase, "signUp", email=email, password=PASSWORD)
    assert made["error"] is None and made["data"]["session"] is None
    user = made["data"]["user"]
    assert user["email"] == email and user["user_metadata"] == {"name": "Ann"}
    proven = run(supabase, "verify", email=email, token=digits_of(supabase.mail(email)))
    assert proven["error"] is None and proven["data"]["session"]["user"]["id"] == user["id"]
    return email


def test_a_whole_stay(supabase, email):
    out = run(supabase, "life", email=email, password=PASSWORD)
    assert all(out[step]["error"] is None for step in ("login", "user", "claims", "update", "refresh", "out"))
    user = out["login"]["data"]["user"]
    assert out["user"]["data"]["user"]["id"] == out["claims"]["data"]["claims"]["sub"] == user["id"]
    assert out["claims"]["data"]["header"]["alg"] == "ES256"
    assert out["update"]["data"]["user"]["user_metadata"] == {"name": "Bo"}
    tokens = [out[step]["data"]["session"]["refresh_token"] for step in ("login", "refresh")]
    assert tokens[0] != tokens[1]
    # What the client makes of `session_not_found`.
    assert out["after"]["error"]["name"] == "AuthSessionMissingError"


def test_refusals_have_their_names(supabase):
    out = run(supabase, "refusals", email=address())
    assert out["weak"]["error"]["name"] == "AuthWeakPasswordError" and out["weak"]["error"]["reasons"] == ["length"]
    codes = {step: out[step]["error"]["code"] for step in ("wrong", "otp", "junk", "refresh", "anonymous")}
    assert codes == {
        "wrong": "invalid_credentials", "otp": "otp_expired", "junk": "bad_jwt", "refresh": "refresh_token_not_found", "anonymous": "anonymous_provider_disabled",
    }
    assert out["reset"]["error"] is None


def test_letters_let_in(supabase):
    email, other = address(), address()
    out = run(supabase, "letters", email=email)
    assert out["otp"]["error"] is None
    codes = {step: out[step]["error"]["code"] for step in ("resend", "phone", "provider")}
    assert codes == {"resend": "over_email_send_rate_limit", "phone": "phone_provider_disabled", "provider": "provider_disabled"}
    out = run(supabase, "byToken", token=token_of(supabase.mail(email)), type="email", other=other)
    user = out["verify"]["data"]["user"]
    assert user["user_metadata"] == {"name": "Ann"} and out["nonce"]["error"]["code"] == "over_email_send_rate_limit"
    assert [one["provider"] for one in out["identities"]["data"]["identities"]] == ["email"]
    assert out["factors"]["data"]["all"] == [] and out["enroll"]["error"]["code"] == "mfa_totp_enroll_not_enabled"
    # The present address was written to a moment ago, the new one not: both letters leave all the same.
    assert out["move"]["error"] is None and out["move"]["data"]["user"]["new_email"] == other and out["others"]["error"] is None
    assert supabase.mail(other) and supabase.mail(email, 2)


def test_a_stranger_stays(supabase):
    strangers = Supabase(supabase.server, "supabase-strangers", keys_of(supabase.server, supabase.config)["supabase-strangers"])
    out = run(strangers, "stranger", email=address(), password=PASSWORD)
    assert all(out[step]["error"] is None for step in ("in", "claims", "named")), out
    assert out["in"]["data"]["user"]["is_anonymous"] is out["claims"]["data"]["claims"]["is_anonymous"] is True
    assert out["named"]["data"]["user"]["id"] == out["in"]["data"]["user"]["id"]


def test_accounts_are_administered(supabase):
    out = run(supabase, "administer", key=supabase.service_key, email=address(), other=address(), invited=address("invited"), password=PASSWORD, phone="+41793333333")
    named = {step: (answer["error"] or {}).get("code") for step, answer in out.items()}
    assert named == dict.fromkeys(out, None) | {"link": "user_not_found", "missing": "user_not_found"}, "nobody is let in while banned"
    assert out["got"]["data"]["user"]["phone"] == "41793333333" and out["changed"]["data"]["user"]["user_metadata"] == {"name": "Bo"}
    assert len(out["listed"]["data"]["users"]) == 1 and out["listed"]["data"]["total"] >= 1
    assert out["moving"]["data"]["properties"]["verification_type"] == "email_change_new"


def test_a_browser_stays_logged_in_past_the_end_of_its_token(tmp_path):
    clock = Clock(tmp_path)
    with Doorward("dev", "--listen", "127.0.0.1:0", home=tmp_path / "server", environment=clock.environment) as server:
        supabase = Supabase(server)
        person = supabase.confirmed()
        left = run(supabase, "leave", email=person.email, password=PASSWORD)
        assert left["error"] is None
        clock.set(2 * HOUR_S)
        assert person.client.get("/user").json()["error_code"] == "bad_jwt", "the token has expired"
        back = run(supabase, "comeBack", stored=left["stored"], later_ms=2 * HOUR_S * 1000)
        assert back["token"] and back["token"] not in json.dumps(left["stored"])
        assert "TOKEN_REFRESHED" in back["events"] and "SIGNED_OUT" not in back["events"]
        assert back["user"]["error"] is None and back["user"]["data"]["user"]["email"] == person.email
