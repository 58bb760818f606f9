"""Authlib, unmodified: tokens by password and refresh, introspection (RFC 7662), revocation (RFC 7009)."""

import pytest
import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.integrations.base_client.errors import OAuthError

from harness.client import Client, FromAddress, next_address
from harness.native import PASSWORD, new_name, sign_up


def public_client(client_id: str) -> OAuth2Session:
    """Authlib's client of that name, at an address of its own: refusals of one test must not slow down another."""
    session = OAuth2Session(client_id, token_endpoint_auth_method="none")
    session.mount("http://", FromAddress(next_address()))
    return session


class App:
    """A public client that somebody logged in with."""

    def __init__(self, url: str, client_id: str = "app") -> None:
        self.url = url
        self.name = new_name()
        assert sign_up(Client(url), self.name).status_code == 201
        self.session = public_client(client_id)
        self.granted = self.session.fetch_token(
            f"{url}/v1/token", grant_type="password", username=self.name, password=PASSWORD
        )

    @property
    def bearer(self) -> dict:
        return {"Authorization": f"Bearer {self.granted['access_token']}"}

    def me(self) -> int:
        me = Client(self.url, self.granted["access_token"])
        return me.get("/v1/me").status_code

    def introspect(self, token: str, hint: str | None, as_whom: dict) -> dict:
        answer = self.session.introspect_token(
            f"{self.url}/v1/introspect", token=token, token_type_hint=hint, headers=as_whom
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def revoke(self, token: str, hint: str | None) -> requests.Response:
        return self.session.revoke_token(f"{self.url}/v1/revoke", token=token, token_type_hint=hint)


@pytest.fixture
def app(server) -> App:
    return App(server.url)


@pytest.fixture
def resource_server(server) -> dict:
    """A program that asks about everybody's tokens, by a key of an administrator."""
    return {"Authorization": f"Bearer {server.admin_key}"}


HINTS = ["access_token", "refresh_token", None]


@pytest.mark.parametrize("hint", HINTS)
def test_a_resource_server_learns_whose_token_it_is_whatever_the_hint(app, resource_server, hint):
    told = app.introspect(app.granted["access_token"], hint, resource_server)
    assert told["active"] is True
    assert (told["username"], told["token_type"]) == (app.name, "Bearer")
    assert told["sub"] == app.granted["user_id"] and told["exp"] > told["iat"]
    refresh = app.introspect(app.granted["refresh_token"], hint, resource_server)
    assert refresh["active"] is True
    assert refresh["client_id"] == "app" and refresh["sub"] == app.granted["user_id"]


def test_people_learn_of_their_own_tokens_and_of_nobody_elses(app, server):
    other = App(server.url)
    assert app.introspect(app.granted["access_token"], None, app.bearer)["active"] is True
    assert app.introspect(other.granted["access_token"], None, app.bearer) == {"active": False}


@pytest.mark.parametrize("hint", HINTS)
def test_a_revoked_access_token_works_no_more_and_its_session_goes_on(app, resource_server, hint):
    assert app.me() == 200
    assert app.revoke(app.granted["access_token"], hint).status_code == 200
    assert app.me() == 401
    assert app.introspect(app.granted["access_token"], None, resource_server) == {"active": False}
    app.granted = app.session.refresh_token(f"{app.url}/v1/token", refresh_token=app.granted["refresh_token"])
    assert app.me() == 200


@pytest.mark.parametrize("hint", HINTS)
def test_a_revoked_refresh_token_takes_its_session_along(app, resource_server, hint):
    assert app.revoke(app.granted["refresh_token"], hint).status_code == 200
    assert app.me() == 401
    for token in (app.granted["access_token"], app.granted["refresh_token"]):
        assert app.introspect(token, None, resource_server) == {"active": False}
    with pytest.raises(OAuthError):
        app.session.refresh_token(f"{app.url}/v1/token", refresh_token=app.granted["refresh_token"])


def test_what_is_no_token_is_revoked_too_and_counts_as_no_guess(app):
    for _ in range(15):
        assert app.revoke("no-token-of-anybody", "refresh_token").status_code == 200
    assert app.me() == 200


def test_a_wrong_password_and_a_wrong_grant_are_errors_by_their_oauth_names(server):
    for fields, name in [
        ({"grant_type": "password", "username": new_name(), "password": "wrong"}, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "dwr_x"}, "invalid_grant"),
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({"grant_type": "password", "username": "x"}, "invalid_request"),
    ]:
        session = public_client("app")
        with pytest.raises(OAuthError) as refused:
            session.fetch_token(f"{server.url}/v1/token", **fields)
        assert refused.value.error == name, fields
        assert refused.value.description


def test_too_many_failures_are_an_error_and_no_token(server):
    session = public_client("app")
    errors = []
    for _ in range(12):
        with pytest.raises(OAuthError) as refused:
            session.fetch_token(f"{server.url}/v1/token", grant_type="refresh_token", refresh_token="dwr_x")
        errors.append(refused.value.error)
    assert errors[0] == "invalid_grant" and errors[-1] == "temporarily_unavailable", errors
