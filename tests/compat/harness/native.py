"""People of the native API: sign up, log in, and what a token answer holds."""

from dataclasses import dataclass
from uuid import uuid4

from harness.client import Client

PASSWORD = "correct horse battery staple 7"


@dataclass
class Tokens:
    """The answer of `POST /v1/token`."""

    access: str
    refresh: str
    session: str
    expires_in_s: int

    @staticmethod
    def of(answer) -> "Tokens":
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["token_type"] == "Bearer"
        return Tokens(body["access_token"], body["refresh_token"], body["session_id"], body["expires_in"])


@dataclass
class Person:
    """Somebody who signed up and logged in; `client` calls as that person."""

    name: str
    id: str
    tokens: Tokens
    client: Client


def new_name() -> str:
    return f"person-{uuid4().hex[:12]}"


def sign_up(client: Client, name: str, password: str = PASSWORD, **fields):
    return client.post("/v1/users", json={"username": name, "password": password, **fields}, token=None)


def log_in(client: Client, name: str, password: str = PASSWORD, **fields):
    body = {"grant_type": "password", "username": name, "password": password, **fields}
    return client.post("/v1/token", json=body, token=None)


def refresh(client: Client, refresh_token: str, **fields):
    body = {"grant_type": "refresh_token", "refresh_token": refresh_token, **fields}
    return client.post("/v1/token", json=body, token=None)


def person(url: str) -> Person:
    """A new user with a first session."""
    client, name = Client(url), new_name()
    made = sign_up(client, name)
    assert made.status_code == 201, made.text
    tokens = Tokens.of(log_in(client, name))
    client.token = tokens.access
    return Person(name, made.json()["id"], tokens, client)
