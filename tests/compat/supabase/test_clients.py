"""PyPI `supabase-auth`, unmodified: L-045, L-050, L-052, L-053."""

import pytest
from supabase_auth import SyncGoTrueClient
from supabase_auth.errors import AuthApiError, AuthWeakPasswordError

from harness.doorward import Doorward
from harness.supabase import PASSWORD, Supabase, address, digits_of, fragment_of, link_of, open_link


@pytest.fixture(scope="module")
def supabase(tmp_path_factory):
    """The client calls from 127.0.0.1, whose refusals must not add up with others'."""
    with Doorward("dev", "--listen", "127.0.0.1:0", home=tmp_path_factory.mktemp("supabase-auth")) as server:
        yield Supabase(server)


def client(supabase, **more) -> SyncGoTrueClient:
    headers = {"apikey": supabase.anon_key, "Authorization": f"Bearer {supabase.anon_key}"}
    return SyncGoTrueClient(url=supabase.auth_url, headers=headers, **more)


def test_sign_up_confirm_log_in_change_and_log_out(supabase):
    auth, email = client(supabase), address()
    made = auth.sign_up({"email": email, "password": PASSWORD, "options": {"data": {"name": "Ann"}, "email_redirect_to": "http://127.0.0.1:9/x"}})
    assert made.session is None and made.user.email == email and made.user.user_metadata == {"name": "Ann"}
    assert [identity.provider for identity in made.user.identities] == ["email"]
    with pytest.raises(AuthApiError) as raised:
        auth.sign_in_with_password({"email": email, "password": PASSWORD})
    assert (raised.value.status, raised.value.code) == (400, "email_not_confirmed")

    proven = auth.verify_otp({"email": email, "token": digits_of(supabase.mail(email)), "type": "email"})
    assert proven.session.user.id == made.user.id and proven.user.email_confirmed_at

    session = auth.sign_in_with_password({"email": email, "password": PASSWORD}).session
    assert session.token_type == "bearer" and session.expires_in == 3600
    assert auth.get_user().user.id == made.user.id
    claims = auth.get_claims()["claims"]
    assert (claims["sub"], claims["role"], claims["aal"]) == (made.user.id, "authenticated", "aal1")
    changed = auth.update_user({"data": {"name": "Bo"}, "password": "another password"})
    assert changed.user.user_metadata == {"name": "Bo"}
    refreshed = auth.refresh_session().session
    assert refreshed.refresh_token != session.refresh_token and refreshed.user.id == made.user.id
    auth.sign_out()
    with pytest.raises(AuthApiError) as raised:
        auth.get_user(refreshed.access_token)
    assert (raised.value.status, raised.value.code) == (403, "session_not_found")


def test_refusals_have_their_names(supabase):
    auth, email = client(supabase), address()
    with pytest.raises(AuthWeakPasswordError) as weak:
        auth.sign_up({"email": email, "password": "short"})
    assert weak.value.reasons == ["length"]
    cases = {
        "invalid_credentials": lambda: auth.sign_in_with_password({"email": email, "password": PASSWORD}),
        "bad_jwt": lambda: auth.get_user("a.b.c"),
        "otp_expired": lambda: auth.verify_otp({"email": email, "token": "123456", "type": "signup"}),
        "validation_failed": lambda: auth.sign_up({"email": "nobody", "password": PASSWORD}),
        "refresh_token_not_found": lambda: auth.refresh_session("junk"),
        "anonymous_provider_disabled": lambda: auth.sign_in_anonymously(),
    }
    for code, ask in cases.items():
        with pytest.raises(AuthApiError) as raised:
            ask()
        assert raised.value.code == code


def test_a_session_out_of_a_link_is_taken_over(supabase):
    auth, email = client(supabase), address()
    auth.sign_up({"email": email, "password": PASSWORD})
    session = fragment_of(open_link(link_of(supabase.mail(email))))
    auth.set_session(session["access_token"], session["refresh_token"])
    assert auth.get_user().user.email == email
