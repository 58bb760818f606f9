"""Servers of the AgentFlow suite that tests may share: each test brings users of its own."""

from uuid import uuid4

import pytest

from harness.agentflow.server import AgentFlowServer
from harness.agentflow.settings import write_settings
from harness.agentflow.tokens import token
from harness.client import Client
from harness.doorward import Doorward
from harness.programs import LeftOut


@pytest.fixture(scope="session")
def real_server(tmp_path_factory):
    """The real AgentFlow API server, `auth: null`."""
    try:
        running = AgentFlowServer(tmp_path_factory.mktemp("agentflow-server"))
    except LeftOut as absent:
        pytest.skip(str(absent))
    with running:
        yield running


def _session_dev(tmp_path_factory, name: str, *arguments, auth):
    home = tmp_path_factory.mktemp(name)
    settings = write_settings(home / "app", auth=auth)
    return Doorward("dev", "--listen", "127.0.0.1:0", "--agentflow", settings, *arguments, home=home)


@pytest.fixture(scope="session")
def jwt_dev(tmp_path_factory):
    """`doorward dev` with `auth: "jwt"`, HS256, and the embedded agent server."""
    with _session_dev(tmp_path_factory, "jwt-dev", auth="jwt") as server:
        yield server


@pytest.fixture(scope="session")
def open_dev(tmp_path_factory):
    """`doorward dev` with `auth: null`."""
    with _session_dev(tmp_path_factory, "open-dev", auth=None) as server:
        yield server


@pytest.fixture(scope="session")
def gateway(tmp_path_factory, real_server):
    """`doorward dev` with `auth: "jwt"` in front of the real server."""
    upstream = ["--upstream", real_server.url, "--surface", "agentflow"]
    with _session_dev(tmp_path_factory, "gateway", *upstream, auth="jwt") as server:
        yield server


@pytest.fixture(params=["embedded", "gateway"])
def surface(request) -> str:
    """Base URL of the AgentFlow mount, once embedded and once before the real server."""
    name = {"embedded": "jwt_dev", "gateway": "gateway"}[request.param]
    return request.getfixturevalue(name).mount("agentflow")


def new_user() -> str:
    return f"user-{uuid4().hex[:12]}"


@pytest.fixture
def alice(surface) -> Client:
    return Client(surface, token(new_user()))


@pytest.fixture
def bob(surface) -> Client:
    return Client(surface, token(new_user()))


@pytest.fixture
def anyone(jwt_dev) -> Client:
    """No token; a new address for every request, so refusals do not add up to a 429."""
    return Client(jwt_dev.mount("agentflow"), roaming=True)
