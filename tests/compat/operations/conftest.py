"""Servers of this suite change while they run, so each test has its own. Processes that took a place are stopped with it."""

import contextlib
import os
import signal

import pytest
import requests

from harness.doorward import Doorward
from harness.native import PASSWORD, new_name
from harness.operations import Identity, Manager, put_identity, ready_file, tls_configuration
from harness.programs import gone, wait_until


@pytest.fixture
def manager(tmp_path):
    made = Manager(tmp_path)
    yield made
    made.close()


@pytest.fixture
def serve(tmp_path):
    """`serve(configuration="…", tls=True)`: `doorward dev` by a file of its own."""
    running = []

    def start(more: str = "", tls: bool = False, environment=None, mode: str = "dev", arguments=()) -> Doorward:
        home = tmp_path / f"server-{len(running)}"
        home.mkdir()
        if tls:
            put_identity(home, Identity())
            config = tls_configuration(home, more)
        else:
            config = home / "doorward.toml"
            config.write_text(f'[metrics]\nlisten = "127.0.0.1:0"\n{more}')
        server = Doorward(
            mode, "--listen", "127.0.0.1:0", "--config", config, *arguments, home=home, environment=environment
        )
        running.append(server)
        return server

    yield start
    for server in running:
        pid = ready_file(server)["pid"]
        server.program.stop()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda pid=pid: gone(pid), "the process that took over")


@pytest.fixture
def credentials():
    """Signs somebody up and in, by any client that has `post`."""

    def of(url: str, verify=True) -> str:
        name = new_name()
        made = requests.post(
            f"{url}/v1/users", json={"username": name, "password": PASSWORD}, verify=verify, timeout=30
        )
        assert made.status_code == 201, made.text
        body = {"grant_type": "password", "username": name, "password": PASSWORD}
        return requests.post(f"{url}/v1/token", json=body, verify=verify, timeout=30).json()["access_token"]

    return of
