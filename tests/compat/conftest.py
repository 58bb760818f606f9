"""Fixtures of every compatibility suite: fresh directories, servers that are always stopped."""

from pathlib import Path

import pytest

from harness.doorward import Doorward
from harness.programs import LeftOut


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """A test that needs the document is skipped without it; `left_out` has said so loudly."""
    try:
        return (yield)
    except LeftOut as absent:
        pytest.skip(str(absent))


@pytest.fixture
def browser():
    """A browser of the test's own, as people have it: the pages' own rules about scripts hold."""
    from harness.browser import open_browser

    try:
        opened = open_browser()
    except LeftOut as absent:
        pytest.skip(str(absent))
    yield opened
    opened.quit()


@pytest.fixture
def start(tmp_path: Path):
    """Starts Doorward servers in directories of their own and stops them after the test.

    `start("dev", "--agentflow", path)`; keywords: `environment`.
    """
    running: list[Doorward] = []

    def start_one(mode: str, *arguments, environment: dict[str, str] | None = None) -> Doorward:
        home = tmp_path / f"{mode}-{len(running)}"
        listen = [] if "--listen" in arguments else ["--listen", "127.0.0.1:0"]
        server = Doorward(mode, *listen, *arguments, home=home, environment=environment)
        running.append(server)
        return server

    yield start_one
    for server in reversed(running):
        server.program.stop()
