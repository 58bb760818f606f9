"""Doorward as a person runs it: the binary, its flags, its ready file, its command line."""

import json
import stat
import subprocess
from pathlib import Path

from harness.programs import Program, clean_environment, doorward_binary, wait_until

COMMAND_LIMIT_S = 60


class Refused(AssertionError):
    """Doorward would not start; `code` and `output` say why."""

    def __init__(self, code: int, output: str) -> None:
        super().__init__(f"exit {code}\n{output}")
        self.code = code
        self.output = output


class Doorward:
    """A running `doorward dev` or `doorward serve`.

    `home` is a fresh directory: it holds the store, the ready file and the log, and is the
    working directory, so nothing of one server can be seen by another. `--data-dir` among the
    arguments puts the store elsewhere, as a restart on the same store needs it.
    """

    def __init__(self, mode: str, *arguments, home: Path, environment: dict[str, str] | None = None) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        ready_file = home / "ready.json"
        ready_file.unlink(missing_ok=True)
        given = dict(zip(arguments, arguments[1:], strict=False))
        self.settings = given.get("--agentflow")
        self.data_dir = given.get("--data-dir", home / "data")
        own = ["--data-dir", self.data_dir] if mode == "dev" and "--data-dir" not in given else []
        self.program = Program(
            [doorward_binary(), mode, *own, "--ready-file", ready_file, *arguments],
            log=home / "doorward.log",
            environment=clean_environment(**(environment or {})),
            cwd=home,
        )
        self.ready = self._wait_for(ready_file)
        self.ready_mode = stat.S_IMODE(ready_file.stat().st_mode)

    def _wait_for(self, ready_file: Path) -> dict:
        def written():
            if ready_file.exists() and ready_file.read_text().strip():
                return json.loads(ready_file.read_text())
            code = self.program.process.poll()
            if code is not None:
                raise Refused(code, self.program.output)
            return None

        try:
            return wait_until(written, "the ready file", limit_s=30)
        except TimeoutError as late:
            self.program.stop()
            raise AssertionError(f"{late}\n{self.program.output}") from None

    def __enter__(self) -> "Doorward":
        return self

    def __exit__(self, *_) -> None:
        self.program.stop()

    @property
    def url(self) -> str:
        return self.ready["url"].rstrip("/")

    @property
    def admin_key(self) -> str:
        return self.ready["admin_key"]

    @property
    def log(self) -> str:
        return self.program.output

    def mount(self, name: str) -> str:
        return self.ready["mounts"][name].rstrip("/")

    def command(self, *arguments, typed: str = "") -> dict | list:
        """Runs another `doorward` command on this server's store and answers its JSON."""
        return command_json(*arguments, "--data-dir", self.data_dir, cwd=self.home, typed=typed)


def run_command(
    *arguments, cwd: Path, environment: dict[str, str] | None = None, typed: str = ""
) -> subprocess.CompletedProcess:
    """One `doorward` command to its end, whatever its exit code; `typed` is its standard input."""
    return subprocess.run(
        [str(doorward_binary()), *(str(part) for part in arguments)],
        cwd=cwd,
        env=clean_environment(**(environment or {})),
        input=typed,
        capture_output=True,
        text=True,
        timeout=COMMAND_LIMIT_S,
        check=False,
    )


def command_json(*arguments, cwd: Path, typed: str = "") -> dict | list:
    done = run_command(*arguments, "--json", cwd=cwd, typed=typed)
    assert done.returncode == 0, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout)
