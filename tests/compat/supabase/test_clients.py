"""PyPI `supabase-auth`, unmodified: L-045, L-050, L-052, L-053."""

import pytest
from supabase_auth import SyncGoTrueClient
from supabase_auth.errors import AuthApiError, AuthWeakPasswordError

from harness.doorward import Doorward
from harness.supabase import PASSWORD, Supabase, address, digits_of, fragment_of, keys_of, link_of, open_link, token_of


@pytest.fixture(scope="module")
def supabase(tmp_path_factory):
    """The client calls from 127.0.0.1, whose refusals must not add up with others'."""
    config = tmp_path_factory.mktemp("supabase-auth-config") / "doorward.toml"
    config.write_text("[mounts.supabase]\nletters_per_network = 0\n[mounts.supabase-strangers]\nsurface = \"supabase\"\nsign_up = \"open\"\nanonymous_sign_ins = true\n")
    with Doorward("dev", "--listen", "127.0.0.1:0", "--config", config, home=tmp_path_factory.mktemp("supabase-auth")) as server:
        made = Supabase(server)
        made.config = config
        yield made


def service(supabase) -> SyncGoTrueClient:
    headers = {"apikey": supabase.service_key, "Authorization": f"Bearer {supabase.service_key}"}
    return SyncGoTrueClient(url=supabase.auth_url, headers=headers, persist_session=False, auto_refresh_token=False)


def strangers(supabase) -> Supabase:
    return Supabase(supabase.server, "supabase-strangers", keys_of(supabase.server, supabase.config)["supabase-strangers"])


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


def test_letters_let_in_and_are_sent_again(supabase):
    auth, email = client(supabase), address()
    auth.sign_in_with_otp({"email": email, "options": {"data": {"name": "Ann"}, "email_redirect_to": "http://127.0.0.1:9/x"}})
    proven = auth.verify_otp({"email": email, "token": digits_of(supabase.mail(email)), "type": "email"})
    assert proven.user.user_metadata == {"name": "Ann"} and auth.get_user().user.id == proven.user.id
    assert [one.provider for one in auth.get_user_identities().identities] == ["email"]
    other = address()
    auth.sign_up({"email": other, "password": PASSWORD})
    with pytest.raises(AuthApiError) as raised:
        auth.resend({"type": "signup", "email": other})
    assert (raised.value.status, raised.value.code) == (429, "over_email_send_rate_limit")
    assert auth.verify_otp({"type": "signup", "token_hash": token_of(supabase.mail(other))}).user.email == other


def test_scopes_of_logging_out_and_a_nonce(supabase):
    email = address()
    made = service(supabase).admin.create_user({"email": email, "password": PASSWORD, "email_confirm": True})
    auths = [client(supabase) for _ in range(3)]
    for auth in auths:
        assert auth.sign_in_with_password({"email": email, "password": PASSWORD}).user.id == made.user.id
    auths[0].reauthenticate()
    nonce = digits_of(supabase.mail(email))
    assert auths[0].update_user({"password": "another password", "nonce": nonce}).user.id == made.user.id
    with pytest.raises(AuthApiError) as raised:
        auths[1].get_user()
    assert raised.value.code == "session_not_found", "a new password ends the others"
    auths[1].sign_in_with_password({"email": email, "password": "another password"})
    auths[1].sign_out({"scope": "others"})
    with pytest.raises(AuthApiError):
        auths[0].get_user()
    auths[1].sign_out({"scope": "local"})


def test_a_stranger_stays_and_takes_a_name(supabase):
    mount = strangers(supabase)
    auth, email = client(mount), address()
    made = auth.sign_in_anonymously({"options": {"data": {"cart": 1}}})
    assert made.user.is_anonymous and made.user.user_metadata == {"cart": 1}
    assert auth.get_claims()["claims"]["is_anonymous"] is True
    changed = auth.update_user({"email": email})
    assert changed.user.new_email == email and changed.user.is_anonymous
    proven = auth.verify_otp({"type": "email_change", "token_hash": token_of(mount.mail(email))})
    assert (proven.user.id, proven.user.email, proven.user.is_anonymous) == (made.user.id, email, False)


def test_accounts_are_administered(supabase):
    admin, email = service(supabase).admin, address()
    made = admin.create_user({"email": email, "password": PASSWORD, "email_confirm": True, "app_metadata": {"plan": "gold"}}).user
    assert admin.get_user_by_id(made.id).user.email == email
    assert made.id in [user.id for user in admin.list_users(page=1, per_page=5)]
    assert admin.update_user_by_id(made.id, {"user_metadata": {"name": "Bo"}, "ban_duration": "1h"}).user.user_metadata == {"name": "Bo"}
    assert admin.mfa.list_factors({"user_id": made.id}) is not None
    with pytest.raises(AuthApiError) as raised:
        client(supabase).sign_in_with_password({"email": email, "password": PASSWORD})
    assert raised.value.code == "user_banned"
    admin.update_user_by_id(made.id, {"ban_duration": "none"})
    auth = client(supabase)
    session = auth.sign_in_with_password({"email": email, "password": PASSWORD}).session
    admin.sign_out(session.access_token)
    with pytest.raises(AuthApiError):
        auth.get_user()
    link = admin.generate_link({"type": "magiclink", "email": email})
    assert link.properties.verification_type == "magiclink" and link.user.id == made.id
    assert auth.verify_otp({"type": "magiclink", "token_hash": link.properties.hashed_token}).user.id == made.id
    other = address()
    invited = admin.invite_user_by_email(other, {"data": {"team": "a"}}).user
    assert invited.invited_at and auth.verify_otp({"type": "invite", "token_hash": token_of(supabase.mail(other))}).user.id == invited.id
    admin.delete_user(made.id, should_soft_delete=True)
    admin.delete_user(invited.id)
    with pytest.raises(AuthApiError) as raised:
        admin.get_user_by_id(invited.id)
    assert (raised.value.status, raised.value.code) == (404, "user_not_found")
    with pytest.raises(AuthApiError) as raised:
        client(supabase).admin.list_users()
    assert raised.value.status == 401
