"""The examples as somebody runs them: each `run.sh` prints what its directory says, and the index names each (H-160, but for SAML)."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.browser import screenshot
from harness.client import Client
from harness.doorward import Doorward
from harness.programs import ROOT, clean_environment, doorward_binary, left_out, wait_until

EXAMPLES = ROOT / "examples"
LIMIT_S = 60
#: Platforms' own servers that an example starts: the suite whose environment has them, and their command.
SERVERS = {"gateway-agentflow": ("agentflow", "agentflow"), "gateway-langgraph": ("langgraph", "langgraph")}
#: Lines of somebody's own code that an example may have.
MOST_LINES = 60


def directories() -> list[str]:
    return sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())


def server_beside(name: str) -> list[str]:
    """Where the command of the platform's own server is, if the example needs one."""
    if name not in SERVERS:
        return []
    suite, command = SERVERS[name]
    made = ROOT / ".venvs" / f"{suite}-server" / "bin" / "python"
    beside = Path(os.environ.get(f"DOORWARD_{suite.upper()}_PYTHON", made)).parent
    if not (beside / command).is_file():
        raise left_out(f"{beside / command} is not there: run `cargo xtask setup`")
    return [str(beside)]


def run(example: Path, tmp_path: Path, **environment: str) -> subprocess.CompletedProcess:
    """From another directory, as a script has to stand; Python writes nothing beside what it reads."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"], *server_beside(example.name)])
    own = {"PATH": path, "DOORWARD_BIN": str(doorward_binary()), "TMPDIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    return subprocess.run([str(example / "run.sh")], cwd=tmp_path, env=clean_environment() | own, capture_output=True, text=True, timeout=LIMIT_S, check=False)


@pytest.mark.parametrize("name", directories())
def test_an_example_prints_what_it_says_and_leaves_nothing(name, tmp_path):
    done = run(EXAMPLES / name, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (EXAMPLES / name / "expected.txt").read_text(), done.stderr
    assert not list(tmp_path.iterdir()), "a store or a log stays behind"


def test_people_sign_up_and_let_a_program_in_at_the_page_of_the_basic_example(browser, tmp_path):
    target = f"{EXAMPLES / 'hypha-basic' / 'local_auth.py'}:hypha_startup"
    with Doorward("dev", "--listen", "127.0.0.1:0", "--mount", "hypha=127.0.0.1:0", "--startup-functions", target, home=tmp_path) as server:
        hub = Client(server.mount("hypha"))
        started = hub.post("/public/services/hypha-login/start", json={}).json()

        def at_the_page(button: str, password: str, said: str) -> None:
            browser.get(started["login_url"])
            browser.find_element("name", "email").send_keys("ann@example.org")
            browser.find_element("name", "password").send_keys(password)
            browser.find_element("css selector", f"button[value={button}]").click()
            wait_until(lambda: browser.find_element("css selector", "[role=status]").text == said, said, limit_s=LIMIT_S)

        at_the_page("login", "correct horse battery", "Invalid credentials")
        at_the_page("signup", "short", "An e-mail address and a password of ten characters, please")
        at_the_page("signup", "correct horse battery", "Done. The program can go on.")
        screenshot(browser, tmp_path / "page.png")
        token = hub.get(f"/public/services/hypha-login/check?key={started['key']}&timeout=0").json()
        assert hub.get("/assets/config.json", token=token).json()["user"]["email"] == "ann@example.org"
        # That a refused form answers 4xx is no fault of the page's.
        assert [line for line in browser.get_log("browser") if "the server responded with a status of" not in line["message"]] == []


def test_an_example_whose_server_does_not_start_says_why_and_fails(tmp_path):
    done = run(EXAMPLES / "hypha-multi-provider", tmp_path, DOORWARD__TOKENS__ALGORITHM="none")
    assert done.returncode != 0 and not done.stdout
    assert "Doorward did not start" in done.stderr and "tokens.algorithm" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", directories())
def test_an_example_is_small_and_the_index_names_it(name):
    assert f"({name}/README.md)" in (EXAMPLES / "README.md").read_text()
    for path in (path for path in (EXAMPLES / name).iterdir() if path.suffix in (".py", ".rs", ".sh")):
        lines = [line for line in path.read_text().splitlines() if line.strip()]
        assert len(lines) <= MOST_LINES, path
    assert re.search(r"^\$ \./run\.sh$", (EXAMPLES / name / "README.md").read_text(), re.MULTILINE)
