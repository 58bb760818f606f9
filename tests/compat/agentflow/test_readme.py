"""The README keeps its word: its walk-through when pasted. What other pages say is run by `tests/compat/docs`."""

import re
import subprocess

import pytest

from harness.doorward import Doorward
from harness.programs import ROOT, clean_environment


LISTEN = "http://127.0.0.1:8420"


def blocks(heading: str) -> list[str]:
    """The shell blocks under a heading of the README."""
    section = (ROOT / "README.md").read_text().split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


@pytest.fixture(params=["embedded", "gateway"])
def fresh(request, tmp_path):
    """`doorward dev` as the README starts it, but on a free port and in a directory of its own."""
    upstream = []
    if request.param == "gateway":
        upstream = ["--upstream", request.getfixturevalue("real_server").url, "--surface", "agentflow"]
    with Doorward("dev", "--listen", "127.0.0.1:0", *upstream, home=tmp_path / "dev") as server:
        yield server


def pasted(script: str, server: Doorward, home) -> str:
    """What the lines print, one after the other, in one shell."""
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", script.replace(LISTEN, server.url)],
        cwd=home,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_readmes_walk_through_works_when_pasted(fresh, tmp_path):
    [first] = blocks("Try it")
    [second] = blocks("In front of the real AgentFlow")
    printed = pasted(f"{first}\nprintf '\\n== agentflow ==\\n'\n{second}", fresh, tmp_path)
    for part in printed.split("== agentflow =="):
        assert "Hello, agent" in part, printed
        assert " 401\n" in part, printed
        assert " 404\n" in part, printed


def test_dev_prints_the_readmes_walk_through(fresh):
    [walk_through] = blocks("Try it")
    for line in walk_through.splitlines():
        assert line.replace(LISTEN, fresh.url) in fresh.log, line
