"""Commands that pages name in passing exist, with their flags."""

import re

from docs.blocks import PAGES
from harness.doorward import run_command
from harness.programs import ROOT

# `doorward user create --json …` up to the end of the code or the comment after it.
COMMAND = re.compile(r"(?<![\w/.-])doorward ([a-z][a-z-]*(?: [a-z][a-z-]*)?)([^`|#\n]*)")


def named_commands() -> set[tuple[str, tuple[str, ...]]]:
    """(words, flags) of every command in the code of a page; ids and values are no words."""
    found = set()
    for page in PAGES:
        text = (ROOT / page).read_text()
        code = re.findall(r"```(?:console|sh)\n(.*?)```", text, re.DOTALL) + re.findall(r"`([^`\n]+)`", text)
        for words, rest in (match for piece in code for match in COMMAND.findall(piece.replace("$(", "\n"))):
            found.add((words, tuple(re.findall(r"(?<!\S)--[a-z][a-z-]*", rest))))
    return found


def test_every_command_and_flag_that_a_page_names_exists(tmp_path):
    commands = named_commands()
    assert len(commands) > 40, commands
    wrong = []
    for words, flags in sorted(commands):
        shown = run_command(*words.split(), "--help", cwd=tmp_path)
        unknown = [flag for flag in flags if not re.search(rf"{flag}\b", shown.stdout)]
        if shown.returncode != 0 or unknown:
            wrong.append((words, unknown, shown.stderr))
    assert wrong == []
