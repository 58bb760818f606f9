"""Access tokens, read by PyJWT with the published keys: L-055."""

import jwt

from harness.supabase import native_id


def decoded(supabase, token: str) -> dict:
    key = jwt.PyJWKClient(f"{supabase.auth_url}/.well-known/jwks.json").get_signing_key_from_jwt(token)
    return jwt.decode(token, key, algorithms=["ES256"], audience="authenticated", options={"require": ["exp", "iat", "sub", "iss", "aud"]})


def test_a_token_says_who_and_how(supabase, person):
    person.client.put("/user", json={"data": {"theme": "dark"}})
    session = person.log_in()
    claims = decoded(supabase, session["access_token"])
    user = session["user"]
    assert claims["sub"] == user["id"] and claims["email"] == person.email
    assert claims["role"] == claims["aud"] == "authenticated"
    assert (claims["aal"], claims["phone"], claims["is_anonymous"]) == ("aal1", "", False)
    assert claims["exp"] == session["expires_at"] and claims["exp"] - claims["iat"] == session["expires_in"] == 3600
    assert claims["app_metadata"] == {"provider": "email", "providers": ["email"]} == user["app_metadata"]
    assert claims["user_metadata"] == {"theme": "dark"} == user["user_metadata"]
    assert [entry["method"] for entry in claims["amr"]] == ["password"]
    assert abs(claims["amr"][0]["timestamp"] - claims["iat"]) <= 1
    assert claims["session_id"] and claims["iss"]


def test_metadata_that_would_not_fit_is_left_out_of_the_token_and_kept_in_the_account(supabase, person):
    person.client.put("/user", json={"data": {"long": "x" * 4_000}})
    session = person.log_in()
    assert decoded(supabase, session["access_token"])["user_metadata"] == {}
    assert len(session["user"]["user_metadata"]["long"]) == 4_000


def test_other_mounts_take_the_token_and_this_one_takes_none_of_theirs(supabase, person):
    native = person.supabase.client(person.session["access_token"])
    native.base = supabase.server.url
    assert native.get("/v1/me").json()["id"] == native_id(person.session["user"]["id"])
    body = {"grant_type": "password", "username": person.email, "password": person.password}
    token = native.post("/v1/token", json=body, token=None).json()["access_token"]
    refused = supabase.client(token).get("/user")
    assert (refused.status_code, refused.json()["error_code"]) == (403, "bad_jwt")


def test_no_secret_key_is_published(supabase):
    answer = supabase.client().get("/.well-known/jwks.json", headers={"apikey": None})
    keys = answer.json()["keys"]
    assert keys and all(key["kty"] == "EC" and "d" not in key for key in keys)
