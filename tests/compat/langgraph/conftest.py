"""Projects with handlers, served by Doorward and by the real agent server; users are Bearer tokens."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

sys.path.append(str(Path(__file__).parent))

from agentserver import APP, TUTORIAL, TUTORIAL_IN_JAVASCRIPT, UNCOVERED, Project, RealServer, doorward, gateway
from harness.client import Client
from harness.doorward import Doorward
from harness.programs import LeftOut, left_out, node_modules
from harness.recorder import Recorder


@pytest.fixture
def project(tmp_path) -> Project:
    return Project(tmp_path / "app").use().write("auth.py", TUTORIAL)


@pytest.fixture
def serve(tmp_path):
    """Starts servers of the test's own, and stops them."""
    running = []

    def start(project=None, *arguments, **options) -> Doorward:
        running.append(doorward(tmp_path / f"doorward-{len(running)}", project, *arguments, **options))
        return running[-1]

    yield start
    for server in running:
        server.program.stop()


@pytest.fixture(scope="session")
def tutorial(tmp_path_factory):
    """One server with the tutorial's rule; tests bring users of their own."""
    home = tmp_path_factory.mktemp("tutorial")
    with doorward(home, Project(home / "app").use().write("auth.py", TUTORIAL)) as server:
        yield server


@pytest.fixture(scope="session")
def javascript_tutorial(tmp_path_factory):
    """The tutorial's rule in JavaScript, with the published SDK in the project, asking an issuer that knows every `user-…`."""

    def answer(seen):
        token = "".join(seen.all("authorization")).removeprefix("Bearer ")
        known = token.startswith("user-") and seen.all("apikey") == ["service"]
        return (200, {"id": token, "name": None}) if known else (401, {"msg": "invalid JWT"})

    home = tmp_path_factory.mktemp("javascript-tutorial")
    with Recorder(answer=answer) as supabase:
        env = {"SUPABASE_URL": supabase.url, "SUPABASE_SERVICE_KEY": "service"}
        project = Project(home / "app").use("./auth.mjs:auth", env=env).write("auth.mjs", TUTORIAL_IN_JAVASCRIPT)
        package = "@langchain/langgraph-sdk"
        (project.home / "node_modules" / package).parent.mkdir(parents=True)
        (project.home / "node_modules" / package).symlink_to(node_modules(package) / package)
        with doorward(home, project) as server:
            yield server


def _cases(tmp_path_factory, python: str):
    try:
        running = doorward(tmp_path_factory.mktemp(f"cases-{python}"), APP / "langgraph.json", python)
    except LeftOut as absent:
        pytest.skip(str(absent))
    with running:
        yield running


@pytest.fixture(scope="session")
def standing_in(tmp_path_factory):
    """Doorward with `app/security/auth.py` and its own stand-in for the SDK."""
    yield from _cases(tmp_path_factory, "bare")


@pytest.fixture(scope="session")
def sdk(tmp_path_factory):
    """The same with the real server's packages."""
    yield from _cases(tmp_path_factory, "server")


@pytest.fixture(params=["standing_in", "sdk"])
def cases(request):
    """Once with each of the two: for what the handlers' own process does."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def real(tmp_path_factory):
    """The real agent server with `app/`; its version is checked, so that a table never compares with another one."""
    try:
        server = RealServer(tmp_path_factory.mktemp("langgraph-server"))
    except LeftOut as absent:
        pytest.skip(str(absent))
    try:
        server.wait()
        version = requests.get(f"{server.url}/info", timeout=10).json()["version"]
        if version != "0.16.7":
            try:
                raise left_out(f"the real agent server is {version}, and the tables are those of 0.16.7")
            except LeftOut as other:
                pytest.skip(str(other))
        yield server
    finally:
        server.program.stop()


@pytest.fixture(scope="session")
def upstream(tmp_path_factory):
    """The real server without auth, for gateways."""
    server = RealServer(tmp_path_factory.mktemp("open-server"), guarded=False)
    try:
        yield server.wait()
    finally:
        server.program.stop()


@pytest.fixture(scope="session")
def tutorial_gateway(tmp_path_factory, upstream):
    with gateway(tmp_path_factory.mktemp("gateway"), upstream.url) as server:
        yield server


@pytest.fixture(scope="session")
def uncovered_gateway(tmp_path_factory, upstream):
    with gateway(tmp_path_factory.mktemp("uncovered"), upstream.url, UNCOVERED) as server:
        yield server


@pytest.fixture(params=["tutorial_gateway", "uncovered_gateway"])
def door(request):
    """Once where a handler's filter says whose a thing is, and once where the stamp does."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def at_both(tutorial_gateway, uncovered_gateway):
    """A check at both doors at once: each run takes the real server a second, whoever else waits."""

    def at_once(check) -> None:
        with ThreadPoolExecutor() as pool:
            list(pool.map(check, (tutorial_gateway, uncovered_gateway)))

    return at_once


@pytest.fixture
def behind(upstream) -> Client:
    """The server behind, round the gateway."""
    return Client(upstream.url)
