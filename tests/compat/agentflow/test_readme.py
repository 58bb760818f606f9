"""The pages keep their word: the README's walk-through when pasted, and every command that a page names."""

import re
import subprocess

import pytest

from harness.doorward import Doorward, run_command
from harness.programs import ROOT, clean_environment


def walk_through() -> list[str]:
    """The commands of "Try it", in order, without the prompt."""
    section = (ROOT / "README.md").read_text().split("## Try it", 1)[1].split("\n## ", 1)[0]
    blocks = re.findall(r"```console\n(.*?)```", section, re.DOTALL)
    lines = [
        line.removeprefix("$ ") for block in blocks for line in block.splitlines() if line.startswith("$ ")
    ]
    assert len(lines) > 5, "the walk-through was found"
    return lines


@pytest.fixture(params=["embedded", "gateway"])
def fresh(request, tmp_path):
    """`doorward dev` as the README starts it, but on a free port and in a directory of its own."""
    upstream = []
    if request.param == "gateway":
        upstream = ["--upstream", request.getfixturevalue("real_server").url, "--surface", "agentflow"]
    with Doorward("dev", "--listen", "127.0.0.1:0", *upstream, home=tmp_path / "dev") as server:
        yield server


def test_the_readmes_walk_through_works_when_pasted(fresh, tmp_path):
    """Each command's output follows a line with its number."""
    script = []
    for number, line in enumerate(walk_through()):
        script += [f"printf '\\n==%s==\\n' {number}", line.replace("http://127.0.0.1:8420", fresh.url)]
    done = subprocess.run(
        ["bash", "-u", "-c", "\n".join(script)],
        cwd=tmp_path,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    parts = re.split(r"\n==\d+==\n", done.stdout)[1:]
    printed = dict(zip(walk_through(), parts, strict=True))
    told = f"{done.stdout}\n{done.stderr}"
    [spoken] = [out for line, out in printed.items() if "/messages" in line]
    assert "Hello" in spoken and "Echo" in spoken, told
    refused, hidden = (out for line, out in printed.items() if line.startswith("curl -i"))
    assert refused.startswith("HTTP/1.1 401 "), told
    assert hidden.startswith("HTTP/1.1 404 "), told


def test_dev_prints_the_readmes_walk_through(fresh):
    for line in walk_through():
        assert line.replace("http://127.0.0.1:8420", fresh.url) in fresh.log, line


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
