"""A real OpenID provider, and Doorward configured to take its tokens."""

import json

import pytest
import requests

from harness.doorward import Doorward
from harness.programs import Program, clean_environment, free_port, node_binary, node_modules, wait_until

from pathlib import Path

APP = Path(__file__).parent / "app" / "issuer.cjs"
AUDIENCE = "https://api.example.com"
SECRET = "a-secret-of-the-tests-alone-0123456789"


class Issuer:
    """npm `oidc-provider` on a port of its own; `start` and `stop` at will."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.program: Program | None = None

    def start(self) -> "Issuer":
        modules = node_modules("oidc-provider")
        self.program = Program(
            [node_binary(), APP, self.port],
            log=self.home / "issuer.log",
            environment=clean_environment(NODE_PATH=str(modules)),
            cwd=self.home,
        )

        def ready() -> bool:
            self.program.require_running()
            return "ready" in self.program.output

        wait_until(ready, "the issuer")
        return self

    def stop(self) -> None:
        if self.program is not None:
            self.program.stop()
            self.program = None

    def token(self, audience: str = AUDIENCE) -> str:
        form = {
            "grant_type": "client_credentials", "client_id": "robot", "client_secret": SECRET,
            "scope": "api", "resource": audience,
        }
        answer = requests.post(f"{self.url}/token", data=form, timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.json()["access_token"]

    def rotate(self, drop: bool = False) -> None:
        requests.post(f"{self.url}/_test/rotate{'?drop=1' if drop else ''}", timeout=10).raise_for_status()

    def revoke(self, token: str) -> None:
        form = {"token": token, "client_id": "robot", "client_secret": SECRET}
        requests.post(f"{self.url}/token/revocation", data=form, timeout=10).raise_for_status()

    @property
    def introspections(self) -> int:
        return int(requests.get(f"{self.url}/_test/introspections", timeout=10).text)

    @property
    def fetches(self) -> int:
        return int(requests.get(f"{self.url}/_test/fetches", timeout=10).text)


@pytest.fixture
def issuer(tmp_path):
    issuer = Issuer(tmp_path)
    yield issuer
    issuer.stop()


def configuration(home: Path, issuer: str, more: str = "", allow: str | None = None) -> Path:
    path = home / "doorward.toml"
    path.write_text(
        f"""
[outbound]
allow = {json.dumps([issuer if allow is None else allow])}

[issuers.company]
issuer = "{issuer}"
audience = ["{AUDIENCE}"]
roles_claim = "roles"
{more}

[mounts.native]
issuers = ["company"]
"""
    )
    return path


@pytest.fixture
def doorward(tmp_path):
    """Starts a `doorward dev` that takes this issuer's tokens on its native mount."""
    running = []

    def start(issuer: Issuer, more: str = "", allow: str | None = None) -> Doorward:
        config = configuration(tmp_path, issuer.url, more, allow)
        server = Doorward("dev", "--listen", "127.0.0.1:0", "--config", config, home=tmp_path / "doorward")
        running.append(server)
        return server

    yield start
    for server in running:
        server.program.stop()
