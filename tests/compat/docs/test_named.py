"""Commands that pages name in passing exist, with their flags."""

import re
from pathlib import Path

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


def every_help(cwd: Path) -> dict[tuple[str, ...], str]:
    """What `--help` says of each command, by its words."""
    said = {(): run_command("--help", cwd=cwd).stdout}
    below = [()]
    while below:
        at = below.pop()
        commands = said[at].split("\nCommands:\n")[1].split("\n\n")[0] if "\nCommands:\n" in said[at] else ""
        for name in re.findall(r"^  ([a-z][a-z-]*) ", commands, re.MULTILINE):
            if name != "help":
                said[(*at, name)] = run_command(*at, name, "--help", cwd=cwd).stdout
                below.append((*at, name))
    return said


def test_every_example_of_a_help_names_commands_and_flags_that_exist(tmp_path):
    said = every_help(tmp_path)
    assert len(said) > 40, sorted(said)
    wrong, examples = [], 0
    for place, text in said.items():
        for line in re.findall(r"^  (.*\bdoorward .*(?:\n    .*)*)", text.split("\nExample", 1)[-1], re.MULTILINE) if "\nExample" in text else []:
            words = re.split(r"\bdoorward ", " ".join(line.split()))[1].split(" > ")[0].split(" < ")[0].split()
            command = max((own for own in said if tuple(words[: len(own)]) == own), key=len)
            examples += 1
            unknown = [word for word in words if word.startswith("--") and not re.search(rf"{word}\b", said[command])]
            if command == () or unknown:
                wrong.append((place, line, unknown))
    assert wrong == [] and examples > 60, examples


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
