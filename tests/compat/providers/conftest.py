"""A real OpenID provider, one shaped as GitHub, a Doorward that takes both, and a browser."""

from pathlib import Path

import pytest

from harness.browser import let_scripts_of_the_test_run
from harness.doorward import Doorward
from harness.github import CLIENT_ID, CLIENT_SECRET, GitHub
from harness.programs import Program, clean_environment, free_port, node_binary, node_modules, wait_until

APP = Path(__file__).parent / "app" / "provider.cjs"
SECRET = "a secret: with & signs of its own"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("providers")


@pytest.fixture(scope="module")
def github():
    github = GitHub()
    yield github
    github.stop()


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def company(place, port):
    """npm `oidc-provider`; the URL that is its issuer."""
    own = free_port()
    program = Program(
        [node_binary(), APP, own, f"http://127.0.0.1:{port}/v1/login/company/callback"],
        log=place / "provider.log",
        environment=clean_environment(NODE_PATH=str(node_modules("oidc-provider"))),
        cwd=place,
    )

    def ready() -> bool:
        program.require_running()
        return "ready" in program.output

    wait_until(ready, "the provider")
    yield f"http://127.0.0.1:{own}"
    program.stop()


def configuration(place: Path, company: str, github: GitHub, more: str = "") -> Path:
    path = place / "doorward.toml"
    path.write_text(
        f"""
[outbound]
allow = ["{company}", "{github.url}"]

[providers.company]
kind = "oidc"
label = "Company <account>"
issuer = "{company}"
client_id = "doorward"
client_secret = "{SECRET}"

[providers.github]
client_id = "{CLIENT_ID}"
client_secret = "{CLIENT_SECRET}"
authorize_url = "{github.url}/login/oauth/authorize"
token_url = "{github.url}/login/oauth/access_token"
user_url = "{github.url}/user"
emails_url = "{github.url}/user/emails"
{more}
"""
    )
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def server(place, port, company, github):
    config = configuration(place, company, github)
    with Doorward("dev", "--listen", f"127.0.0.1:{port}", "--config", config, home=place / "doorward") as server:
        yield server


@pytest.fixture
def browser(browser):
    let_scripts_of_the_test_run(browser)
    return browser
