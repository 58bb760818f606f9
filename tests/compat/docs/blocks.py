"""The fenced blocks of the pages, and what the Markdown around them says to this suite.

A comment before a block is not shown to readers and means:

    <!-- file: doorward.toml -->   the block is that file, for the commands after it on the page
    <!-- in: examples/x -->        the commands are run among copies of that directory's files
    <!-- first: doorward … -->     another command is run before them: what an earlier day left
    <!-- walk -->                  (in a page's first lines) the page is run as a whole, from above to below, in one shell
"""

import re
from dataclasses import dataclass
from pathlib import Path

from harness.programs import ROOT

#: What is published: the pages for users, and those for whoever changes the project.
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md", "tests/compat/README.md")
    for path in ROOT.glob(pattern)
)
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\S*)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
NOTE = re.compile(r"<!-- (?P<word>file|in|first): (?P<what>[^>]+?) -->\s*$")


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    language: str
    text: str
    #: The page is run as a whole.
    walk: bool
    file: str | None = None
    #: A directory whose files lie where the commands are run: that of an example's own page.
    among: str | None = None
    first_run: str | None = None

    @property
    def beside(self) -> str | None:
        """What has to run for the commands: they ask a server that they do not start."""
        asks = re.search(r"curl .*127\.0\.0\.1:8420", self.text)
        starts = re.search(r"^(\$ )?(doorward|cargo run --release --) (dev|serve)\b", self.text, re.MULTILINE)
        return "serve" if asks and not starts else None

    @property
    def begins(self) -> str:
        return self.text.split("\n", 1)[0].strip()

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: str, text: str) -> list[Block]:
    walk = "<!-- walk -->" in text.split("\n## ", 1)[0]
    found = []
    for fence in FENCE.finditer(text):
        note = NOTE.search(text[: fence.start()].rstrip())
        said = {note["word"]: note["what"]} if note else {}
        said.setdefault("in", page.rpartition("/")[0] if page.startswith("examples/") else None)
        inside = re.sub(rf"^{fence['indent']}", "", fence["text"], flags=re.MULTILINE)
        found.append(Block(page, text[: fence.start()].count("\n") + 1, fence["language"], inside, walk, said.get("file"), said["in"], said.get("first")))
    return found


def all_blocks() -> list[Block]:
    return [block for page in PAGES for block in blocks_of(page, Path(ROOT / page).read_text())]


@dataclass(frozen=True)
class Command:
    text: str
    #: What the page shows of its output; empty where it shows none.
    output: str


def commands(block: Block) -> list[Command]:
    """The commands of a shell block: all of it as one, or each line after a `$ ` with the output that is shown below it."""
    if not re.search(r"^\$ ", block.text, re.MULTILINE):
        return [Command(block.text, "")]
    found: list[list[str]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append([line[2:], ""])
        elif found and not found[-1][1] and (found[-1][0].endswith("\\") or line.startswith("> ")):
            found[-1][0] += "\n" + line.removeprefix("> ")
        else:
            assert found, f"{block.place}: output before the first command"
            found[-1][1] += line + "\n"
    return [Command(text, output) for text, output in found]
