"""LangGraph's JavaScript server (`langgraphjs dev`, @langchain/langgraph-api 1.5.1) beside Doorward with the same `auth.ts`, unmodified: L-004, L-002, L-037.

The published SDK does the document's steps, and a stranger's, at three doors: the server by itself, the server behind the gateway, Doorward's own agent server.
"""

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from agentserver import Project, doorward
from test_tutorial import run

from harness.programs import ROOT, Program, clean_environment, free_port, left_out, node_binary, node_modules, wait_until

APP = Path(__file__).parent / "app_js"
PACKAGES = ROOT / ".tools" / "langgraph-server" / "node_modules"
VERSION = "1.5.1"

#: Where not all three say the same: what the server by itself answers, the server behind the gateway, and ours. docs/surfaces/langgraph.md says why.
DIFFERS = {
    "a run of an unknown graph": ({"status": 404}, {"status": 422}, {"status": 422}),
    "an assistant of an unknown graph": ("nope", "nope", {"status": 404}),
    # A handler's namespace counts there where an item is put, read and deleted, and not where items are looked for.
    "search the store": ([], ["one", "two"], ["one", "two"]),
    "search by value": ([], ["two"], ["two"]),
    "namespaces": ([], [["notes"], ["old"]], [["notes"], ["old"]]),
    "a stranger searches under the other's name": (2, 0, 0),
    "a stranger lists under the other's name": (2, 0, 0),
}


def project(home: Path, *, guarded: bool) -> Project:
    """`app_js` in a copy, with the server's packages as its own; `guarded=False` is without auth, for a gateway."""
    shutil.copytree(APP, home / "app")
    (home / "app" / "node_modules").symlink_to(PACKAGES)
    made = Project(home / "app")
    if not guarded:
        made.use(None, **{name: value for name, value in json.loads(made.settings.read_text()).items() if name != "auth"})
    return made


class NpmServer:
    """`langgraphjs dev`, in a process group of its own."""

    def __init__(self, home: Path, *, guarded: bool) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        program = PACKAGES / ".bin" / "langgraphjs"
        if not program.exists():
            raise left_out(f"{program} is not there: run `cargo xtask setup`")
        self.program = Program(
            [node_binary(), program.resolve(), "dev", "--no-browser", "--no-reload", "--host", "127.0.0.1", "--port", port],
            log=home / "langgraphjs.log",
            environment=clean_environment(LANGSMITH_TRACING="false", DO_NOT_TRACK="1"),
            cwd=project(home, guarded=guarded).home,
        )

    def wait(self) -> "NpmServer":
        def ready() -> bool:
            self.program.require_running()
            try:
                return requests.get(f"{self.url}/info", timeout=5).json()["version"] == VERSION
            except requests.ConnectionError:
                return False

        wait_until(ready, f"langgraphjs dev {VERSION}")
        return self


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What each step came to, by door."""
    home = tmp_path_factory.mktemp("npm-server")
    running = []
    try:
        servers = {guarded: NpmServer(home / f"guarded-{guarded}", guarded=guarded) for guarded in (True, False)}
        running += [server.program for server in servers.values()]
        ours = project(home / "ours", guarded=True)
        embedded = doorward(home / "embedded", ours)
        running.append(embedded.program)
        behind = doorward(home / "gateway", ours, mount=f'upstream = "{servers[False].wait().url}"')
        running.append(behind.program)
        doors = {"alone": servers[True].wait().url, "behind": behind.mount("langgraph"), "embedded": embedded.mount("langgraph")}
        with ThreadPoolExecutor() as pool:
            yield dict(zip(doors, pool.map(steps, doors.values()), strict=True))
    finally:
        for program in running:
            program.stop()


def steps(url: str) -> dict:
    token, other = (f"user-{os.urandom(6).hex()}" for _ in range(2))
    return run([node_binary(), APP / "steps.mjs", node_modules("@langchain/langgraph-sdk"), url, token, other])


@pytest.mark.parametrize("door", ["behind", "embedded"])
def test_the_same_file_gives_the_same_answers(told, door):
    alone, ours = told["alone"], told[door]
    assert list(alone) == list(ours) and len(alone) >= 65
    differing = {name: (alone[name], ours[name]) for name in alone if alone[name] != ours[name]}
    place = ("alone", "behind", "embedded").index(door)
    assert differing == {name: (row[0], row[place]) for name, row in DIFFERS.items() if row[0] != row[place]}


@pytest.mark.parametrize("door", ["alone", "behind", "embedded"])
def test_a_stranger_finds_none_of_it(told, door):
    found = {name: answer for name, answer in told[door].items() if name.startswith("a stranger")}
    nothing = [None, 0, {"status": 404}]
    # A copy of what is not there is a conflict on the platform; what a stranger deletes of a name of their own leaves the other's.
    expected = {"a stranger copies it": {"status": 409}, "a stranger deletes the item": "first"}
    if door == "alone":
        expected |= {name: row[0] for name, row in DIFFERS.items() if name.startswith("a stranger")}
    assert len(found) >= 20
    for name, answer in found.items():
        assert answer == expected[name] if name in expected else answer in nothing, name
