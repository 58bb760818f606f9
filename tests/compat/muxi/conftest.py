"""One `doorward dev` for the Muxi suite: each test brings users of its own."""

from uuid import uuid4

import pytest

from harness.client import Client
from harness.doorward import Doorward

PASSWORD = "correct horse battery staple 7"


@pytest.fixture(scope="session")
def muxi(tmp_path_factory):
    config = tmp_path_factory.mktemp("muxi-config") / "doorward.toml"
    config.write_text('[mounts.muxi]\ncors_origins = ["https://app.example"]\n')
    home = tmp_path_factory.mktemp("muxi")
    with Doorward("dev", "--listen", "127.0.0.1:0", "--config", config, home=home) as server:
        yield server


class Person:
    def __init__(self, url: str) -> None:
        self.name = f"person-{uuid4().hex[:12]}"
        self.email = f"{self.name}@example.org"
        self.client = Client(url)
        made = self.client.post(
            "/auth/register", json={"username": self.name, "password": PASSWORD, "email": self.email}
        )
        assert made.status_code == 200, made.text
        self.registered = made.json()
        self.client.token = self.registered["access_token"]

    def log_in(self, path: str = "/auth/token", password: str = PASSWORD):
        form = {"username": self.name, "password": password}
        return self.client.post(path, data=form, token=None)


@pytest.fixture
def url(muxi) -> str:
    return muxi.mount("muxi")


@pytest.fixture
def person(url) -> Person:
    return Person(url)


@pytest.fixture
def anyone(url) -> Client:
    """No token; a new address for every request, so refusals do not add up to a 429."""
    return Client(url, roaming=True)
