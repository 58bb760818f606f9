"""Doorward and a FastAPI app, with real proxies in front."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from forward_auth.proxies import PROXIES, answers, started

from harness.client import Client
from harness.doorward import Doorward
from harness.native import PASSWORD, Tokens, log_in, new_name
from harness.programs import ROOT, Program, clean_environment, free_port, left_out, wait_until

POLICY = """
[server]
trusted_proxies = ["127.0.0.1"]

[mounts.native]
cookie_sessions = true

[forward_auth]
login_url = "/v1/login/example"

[areas.app]
prefixes = ["/app"]
roles = ["user"]

[areas.reports]
prefixes = ["/app/reports"]
methods = ["GET", "HEAD"]
roles = ["premium"]

[areas.welcome]
prefixes = ["/welcome"]
roles = ["anonymous"]
"""


@dataclass
class House:
    """What stands behind the proxies; tokens of a user, of a premium user, and a key that only reads."""

    server: Doorward
    app: str
    user_id: str
    user: str
    premium: str
    reading_key: str


@pytest.fixture(scope="session")
def house(tmp_path_factory):
    home = tmp_path_factory.mktemp("forward-auth")
    (home / "policy.toml").write_text(POLICY)
    python = ROOT / ".venvs" / "agentflow-server" / "bin" / "python"
    if not python.exists():
        raise left_out("FastAPI is absent (.venvs/agentflow-server)")
    port = free_port()
    command = [python, "-m", "uvicorn", "app:app", "--app-dir", Path(__file__).parent, "--port", port, "--log-level", "warning"]
    app = Program(command, log=home / "app.log", environment=clean_environment(PYTHONDONTWRITEBYTECODE="1"), cwd=home)
    try:
        with Doorward("dev", "--listen", "127.0.0.1:0", "--config", home / "policy.toml", home=home / "doorward") as server:
            admin = Client(server.url, server.admin_key)

            def person(*roles: str):
                name = new_name()
                made = admin.post("/v1/users", json={"username": name, "password": PASSWORD, "roles": ["user", *roles]})
                assert made.status_code == 201, made.text
                return made.json()["id"], Tokens.of(log_in(Client(server.url), name)).access

            user_id, user = person()
            _, premium = person("premium")
            made = Client(server.url, premium).post("/v1/api-keys", json={"name": "reads", "scopes": ["read"], "expires_in": 3600})
            assert made.status_code == 201, made.text
            wait_until(lambda: answers(f"http://127.0.0.1:{port}/"), "the app")
            yield House(server, f"127.0.0.1:{port}", user_id, user, premium, made.json()["key"])
    finally:
        app.stop()


@pytest.fixture(scope="session", params=PROXIES)
def proxy(request, house, tmp_path_factory):
    """The address of one of them, before the app."""
    home = tmp_path_factory.mktemp(request.param)
    with started(request.param, house.server.url.removeprefix("http://"), house.app, home) as url:
        yield url
