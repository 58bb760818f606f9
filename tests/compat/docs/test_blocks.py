"""Every block of code on the pages is run or checked: shells, settings, files, programs (issue: the document site's commands, extracted and run)."""

import ast
import json
import re
import shutil
import tomllib
from pathlib import Path

import pytest
import yaml
from mmdb_writer import MMDBWriter

from docs import table
from docs.blocks import PAGES, Block, all_blocks, blocks_of, commands
from harness.doorward import run_command
from harness.programs import ROOT
from docs.prepared import Prepared
from docs.stage import Stage, shows, until_shown

BLOCKS = all_blocks()
SHELL = {"sh", "console"}
#: What a variable or a file is that settings name.
VARIABLE = "Zb2mVJk1Xe0c4WqYt7Rr8Lh5Sf3Dg6Na"
#: What a fragment leaves to the rest of its file: where the store is and under which key, and a role of one's own.
AROUND = {
    "DOORWARD__STORE__PATH": "data/doorward.db",
    "DOORWARD__SECRETS__MASTER_KEY_FILE": "master.key",
    "DOORWARD__ROLES__EDITOR__INHERITS": "user",
}


ROWS = table.ELSEWHERE + table.NOT_RUN


def excused(block: Block) -> bool:
    return any(table.excuses(row, block) for row in ROWS)


def named(blocks: list[Block]):
    return pytest.mark.parametrize("block", blocks, ids=[block.place for block in blocks])


SCENES = [block for block in BLOCKS if block.language in SHELL and not block.walk and not excused(block)]
SETTINGS = [block for block in BLOCKS if block.language == "toml" and not block.walk and not excused(block) and not block.file]
WALKS = sorted({block.page for block in BLOCKS if block.walk})


def kept(block: Block) -> bool:
    """Whether something below runs or checks the block."""
    if block.language in SHELL or block.language == "toml" or block.language in table.PROSE:
        return True
    return block.file is not None or block.language in CHECKS


def test_every_block_is_run_or_checked_or_in_the_table():
    left = [f"{block.place}: ```{block.language}: {block.begins}" for block in BLOCKS if not kept(block) and not excused(block)]
    assert left == [], "run it (blocks.py says how a page asks for it), check it, or give a reason in table.py"


def test_every_row_of_the_table_is_about_a_block_and_every_proof_is_there():
    stale = [row for row in ROWS if not any(table.excuses(row, block) for block in BLOCKS)]
    assert stale == []
    for _, _, proof in table.ELSEWHERE:
        path, test = proof.split("::")
        assert f"def {test}(" in (ROOT / path).read_text(), proof
    said = "\n".join(block.text for block in BLOCKS if block.language in SHELL)
    assert [line for line in table.REFUSED if line not in said] == []


@named(SCENES)
def test_the_commands_of_a_block_work(block, prepared, tmp_path):
    with Stage(tmp_path / "stage", prepared=prepared.home) as stage:
        for neighbour in blocks_of(block.page, (ROOT / block.page).read_text()):
            if neighbour.file and neighbour.line < block.line:
                stage.write(neighbour.file, prepared.fill(neighbour.text))
        for path in (ROOT / block.among).iterdir() if block.among else []:
            # What somebody's run has left there is none of it.
            if path.is_file():
                shutil.copy(path, stage.home)
        for new in re.findall(r"--(?:output|report) (\S+)", block.text):
            if f"import {new}" not in block.text:
                (stage.home / new).unlink(missing_ok=True)
        stage.beside(block.text)
        if block.beside:
            stage.run([f"doorward {block.beside}"])
        if block.first_run:
            stage.run([prepared.fill(block.first_run)])
        for command in commands(block):
            printed = stage.run([prepared.fill(refusals_allowed(command.text, stage))])[0]
            assert shows(printed, stage.here(command.output)), f"{command.text}\n{printed}\ndoes not show\n{command.output}"
        for line, code in table.REFUSED.items():
            if line in block.text:
                assert code in (stage.home / "refused.txt").read_text()


def refusals_allowed(text: str, stage: Stage) -> str:
    """The command lines that the table says are refused say so into a file, and the others after them go on."""
    for line in table.REFUSED:
        text = re.sub(rf"^({re.escape(line)})( *#.*)?$", r"! \1 --json 2> refused.txt", text, flags=re.MULTILINE)
    return text


@named(SETTINGS)
def test_settings_are_taken_as_they_are_written(block, prepared, tmp_path):
    """The block is a whole file for `doorward config check`, which does all that a start does; the rest comes from the environment."""
    with Stage(tmp_path / "stage", prepared=prepared.home) as stage:
        stage.beside(block.text)
        stage.write("page.toml", prepared.fill(block.text))
        for path in re.findall(rf'"({re.escape(str(stage.home))}/[^"]+)"', (stage.home / "page.toml").read_text()):
            provide(Path(path), prepared)
        own = AROUND | dict.fromkeys(re.findall(r"\$\{(\w+)\}", block.text), VARIABLE)
        done = run_command("config", "check", "--config", "page.toml", cwd=stage.home, environment=own)
        assert done.returncode == 0, done.stderr


def provide(path: Path, prepared: Prepared) -> None:
    """A file that settings name, of the kind that its name says, unless something else made it."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".mmdb":
        MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="Test-City").to_db_file(str(path))
        return
    of_a_shape = {"hook.secret": prepared.placeholders["whsec_…"], "otlp.headers": f"x-api-key={VARIABLE}"}
    path.write_text(of_a_shape.get(path.name, VARIABLE))
    path.chmod(0o600)


def python(text: str) -> None:
    compile(text, "page", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


#: What a block is checked by that no shell runs.
CHECKS = {
    "python": python,
    "json": json.loads,
    "yaml": yaml.safe_load,
    "toml": tomllib.loads,
}
CHECKED = [block for block in BLOCKS if block.language in CHECKS and not excused(block)]


@named(CHECKED)
def test_a_block_of_data_or_of_a_program_can_be_read(block):
    CHECKS[block.language](block.text)


@pytest.mark.parametrize("page", WALKS)
def test_a_page_that_is_walked_holds_from_above_to_below(page, stage):
    pieces, shown = [], []
    for block in (block for block in BLOCKS if block.page == page and not excused(block)):
        if block.file:
            # Put in place when its turn comes, so that a page can change a file.
            kept = f".stage/files/{len(pieces)}"
            stage.write(kept, block.text)
            pieces.append(f"install -m 600 -D '{stage.home}/{kept}' '{block.file}'")
            shown.append("")
        elif block.language in SHELL:
            for command in commands(block):
                pieces.append(until_shown(command.text, command.output))
                shown.append(command.output)
        else:
            assert block.language in table.PROSE, f"{block.place}: a page that is walked says by `file:` where a block belongs"
    stage.beside((ROOT / page).read_text())
    printed = stage.run(pieces)
    wrong = [f"{piece}\n{got}\ndoes not show\n{want}" for piece, got, want in zip(pieces, printed, shown, strict=True) if not shows(got, stage.here(want))]
    assert wrong == [], "\n\n".join(wrong)


def test_the_pages_are_found_and_each_kind_of_block_is_met():
    assert {"README.md", "docs/operations.md", "examples/hypha-basic/README.md"} <= set(PAGES)
    assert len(SCENES) > 10 and len(SETTINGS) > 10, (len(SCENES), len(SETTINGS))


@pytest.mark.parametrize("line", ["doorward user creat", "doorward key list --usr ada", "docker build .", "false\ntrue", "cargo install something"])
def test_a_page_that_says_what_does_not_work_fails(line, stage):
    with pytest.raises(AssertionError, match="exit "):
        stage.run(["true", line])


def test_what_a_page_shows_is_looked_for_line_by_line():
    assert shows("a key_12 b\nnoise\n404\n", "key_…\n404")
    assert not shows("404\nkey_12\n", "key_…\n404")
    assert shows("anything", "")
    [block] = blocks_of("p", "<!-- walk -->\n# P\n\n- <!-- file: a/b.json -->\n\n  ```json\n  {}\n  ```\n")
    assert (block.file, block.walk, block.text) == ("a/b.json", True, "{}\n")
    [one, two] = commands(blocks_of("p", "```console\n$ a \\\n  b\nout\n$ c\n```\n")[0])
    assert (one.text, one.output, two.text) == ("a \\\n  b", "out\n", "c")
