"""A machine in trouble: a full disk, a clock that jumps, a store that was damaged. Each has a clear message, and nothing that was
acknowledged is lost."""

import contextlib
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.client import Client
from harness.clock import HOUR_S, Clock
from harness.doorward import Doorward, Refused, run_command
from harness.native import log_in, new_name, person, sign_up
from harness.programs import wait_until


# A full disk ----------------------------------------------------------------------------------------------------------------


class SmallDisk:
    """A file system of 4 MiB of its own, or else a limit on the size of files: writes fail in the middle either way."""

    def __init__(self, place: Path) -> None:
        self.place = place
        place.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", str(place)]
        self.mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
        self.filler = place / "filler"

    def fill(self, server: Doorward) -> None:
        if not self.mounted:
            limit = [shutil.which("prlimit"), f"--pid={server.program.process.pid}", "--fsize=1:unlimited"]
            subprocess.run(limit, check=True)
            return
        with contextlib.suppress(OSError), self.filler.open("wb", buffering=0) as filler:
            while True:
                filler.write(b"x" * 1024)

    def free(self, server: Doorward) -> None:
        if not self.mounted:
            limit = [shutil.which("prlimit"), f"--pid={server.program.process.pid}", "--fsize=unlimited:unlimited"]
            subprocess.run(limit, check=True)
            return
        self.filler.unlink()

    def gone(self) -> None:
        if self.mounted:
            subprocess.run(["umount", "--lazy", str(self.place)], check=False)


@pytest.fixture
def small_disk(tmp_path):
    disk = SmallDisk(tmp_path / "small")
    yield disk
    disk.gone()


def test_on_a_full_disk_writes_are_503_reads_go_on_and_nothing_acknowledged_is_lost(small_disk, tmp_path):
    data = small_disk.place / "data"
    with Doorward("dev", "--listen", "127.0.0.1:0", "--data-dir", data, home=tmp_path / "home") as server:
        someone = person(server.url)
        acknowledged = []
        small_disk.fill(server)
        refused = []
        for _ in range(200):
            name = new_name()
            answer = sign_up(Client(server.url), name)
            if answer.status_code == 201:
                acknowledged.append(name)
            else:
                refused.append((answer.status_code, answer.json()["code"], answer.headers.get("Retry-After")))
            if len(refused) >= 3:
                break
        assert refused, "the disk never filled"
        assert {(status, code) for status, code, _ in refused} == {(503, "store_unavailable")}
        assert someone.client.get("/v1/me").status_code == 200, "what only reads goes on"
        # Where nothing can be written at all, the log cannot either; and that must not end the server.
        assert not small_disk.mounted or "disk is full" in server.log
        small_disk.free(server)

        def works():
            name = new_name()
            made = sign_up(Client(server.url), name).status_code == 201
            if made:
                acknowledged.append(name)
            return made

        wait_until(works, "writes after there is room again, without a restart", limit_s=20)
        for name in acknowledged:
            assert log_in(Client(server.url), name).status_code == 200, name
        assert server.command("audit", "verify") is not None
    again = ["dev", "--listen", "127.0.0.1:0", "--data-dir", data]
    with Doorward(*again, home=tmp_path / "again") as server:
        for name in acknowledged:
            assert log_in(Client(server.url), name).status_code == 200, name


# A clock that jumps ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(tmp_path):
    return Clock(tmp_path)


def test_a_clock_that_jumps_ahead_ends_what_has_run_out_and_nothing_else(clock, tmp_path):
    with Doorward("dev", "--listen", "127.0.0.1:0", home=tmp_path / "home", environment=clock.environment) as server:
        someone = person(server.url)
        assert someone.client.get("/v1/me").status_code == 200
        clock.set(2 * HOUR_S)
        expired = someone.client.get("/v1/me")
        assert (expired.status_code, expired.json()["code"]) == (401, "token_expired")
        again = log_in(Client(server.url), someone.name)
        assert again.status_code == 200
        fresh = Client(server.url, again.json()["access_token"])
        assert fresh.get("/v1/me").status_code == 200
        assert sign_up(Client(server.url), new_name()).status_code == 201
        assert server.program.process.poll() is None


def test_a_clock_that_is_set_back_lets_nothing_in_again_and_locks_nobody_out_for_good(clock, tmp_path):
    clock.set(HOUR_S)
    with Doorward("dev", "--listen", "127.0.0.1:0", home=tmp_path / "home", environment=clock.environment) as server:
        someone, revoked = person(server.url), person(server.url)
        assert revoked.client.post("/v1/logout").status_code == 204
        for _ in range(12):
            log_in(Client(server.url), someone.name, "a wrong password, surely")
        clock.set(0)
        ahead = someone.client.get("/v1/me")
        assert ahead.status_code in (200, 401), "a token of the future is at most not valid yet"
        assert revoked.client.get("/v1/me").status_code == 401, "what was revoked stays so"
        assert log_in(Client(server.url), someone.name).status_code == 200
        assert sign_up(Client(server.url), new_name()).status_code == 201
        assert server.command("audit", "verify") is not None
        clock.set(HOUR_S)
        assert revoked.client.get("/v1/me").status_code == 401


# A store that was damaged ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    """A store with people in it, closed."""
    home = tmp_path_factory.mktemp("healthy")
    with Doorward("dev", "--listen", "127.0.0.1:0", home=home) as server:
        names = [person(server.url).name for _ in range(8)]
    return home / "data", names


def damaged(healthy, tmp_path: Path) -> Path:
    data = tmp_path / "data"
    shutil.copytree(healthy[0], data)
    return data


def truncated_to(part: float):
    def damage(database: Path) -> None:
        content = database.read_bytes()
        database.write_bytes(content[: int(len(content) * part)])

    return damage


def overwritten(start: float, length: int):
    def damage(database: Path) -> None:
        content = bytearray(database.read_bytes())
        at = int(len(content) * start)
        content[at : at + length] = b"\xa5" * length
        database.write_bytes(bytes(content))

    return damage


def replaced(content: bytes):
    return lambda database: database.write_bytes(content)


DAMAGE = {
    "half of it is gone": truncated_to(0.5),
    "all but a page is gone": truncated_to(0.02),
    "its header is overwritten": overwritten(0, 100),
    "its first page is overwritten": overwritten(0.0001, 4000),
    "its middle is overwritten": overwritten(0.3, 40_000),
    "it is a text": replaced(b"this was a database once\n" * 200),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_store_is_refused_by_name_or_answers_503_and_never_lets_anybody_in(healthy, tmp_path, what):
    data = damaged(healthy, tmp_path)
    database = data / "doorward.db"
    DAMAGE[what](database)
    try:
        server = Doorward("dev", "--listen", "127.0.0.1:0", "--data-dir", data, home=tmp_path / "home")
    except Refused as refused:
        assert refused.code != 101, refused.output
        assert "panicked" not in refused.output
        assert "doorward.db" in refused.output or "store" in refused.output
        return
    with server:
        for name in healthy[1]:
            answer = log_in(Client(server.url), name)
            assert answer.status_code in (200, 401, 429, 503), answer.text
        assert log_in(Client(server.url), healthy[1][0], "a wrong password, surely").status_code != 200
        assert server.program.process.poll() is None and "panicked" not in server.log


def test_an_empty_file_in_the_stores_place_becomes_a_new_store_and_a_directory_is_refused(tmp_path):
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (data / "doorward.db").touch(mode=0o600)
    with Doorward("dev", "--listen", "127.0.0.1:0", "--data-dir", data, home=tmp_path / "home") as server:
        assert sign_up(Client(server.url), new_name()).status_code == 201
    other = tmp_path / "other"
    (other / "doorward.db").mkdir(parents=True)
    with pytest.raises(Refused) as refused:
        Doorward("dev", "--listen", "127.0.0.1:0", "--data-dir", other, home=tmp_path / "elsewhere")
    assert "doorward.db" in refused.value.output and "panicked" not in refused.value.output


def test_a_line_of_the_audit_log_that_was_changed_is_found(healthy, tmp_path):
    data = damaged(healthy, tmp_path)
    import sqlite3

    with contextlib.closing(sqlite3.connect(data / "doorward.db")) as outsider:
        outsider.execute("UPDATE audit SET principal = 'local|somebody' WHERE action = 'session:login'")
        outsider.commit()
    verified = run_command("audit", "verify", "--data-dir", data, cwd=tmp_path)
    assert verified.returncode != 0, verified.stdout
