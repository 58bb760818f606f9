"""The pages keep their word: the README's walk-through when pasted, and every command that a page names."""

import re
import subprocess

import pytest

from harness.doorward import Doorward, run_command
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


PAGES = ["README.md", "SECURITY.md", "CHANGELOG.md", "docs/operations.md", "docs/reference", "docs/surfaces"]
# `doorward user create --json …` up to the end of the code or the comment after it.
COMMAND = re.compile(r"doorward ([a-z][a-z-]*(?: [a-z][a-z-]*)?)([^`|#\n]*)")


def named_commands() -> set[tuple[str, tuple[str, ...]]]:
    """(words, flags) of every command in the code of a page; ids and values are no words."""
    found = set()
    for name in PAGES:
        path = ROOT / name
        for page in sorted(path.glob("*.md")) if path.is_dir() else [path]:
            text = page.read_text()
            code = re.findall(r"```console\n(.*?)```", text, re.DOTALL) + re.findall(r"`([^`\n]+)`", text)
            for words, rest in (match for piece in code for match in COMMAND.findall(piece)):
                found.add((words, tuple(re.findall(r"--[a-z][a-z-]*", rest))))
    return found


def test_every_command_and_flag_that_a_page_names_exists(tmp_path):
    commands = named_commands()
    assert len(commands) > 10, commands
    wrong = []
    for words, flags in sorted(commands):
        shown = run_command(*words.split(), "--help", cwd=tmp_path)
        unknown = [flag for flag in flags if flag not in shown.stdout]
        if shown.returncode != 0 or unknown:
            wrong.append((words, unknown, shown.stderr))
    assert wrong == []
