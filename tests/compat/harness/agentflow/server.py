"""The real AgentFlow API server (`10xscale-agentflow-cli`) with the echo graph."""

import os
from pathlib import Path

import requests

from harness.programs import (
    ROOT,
    Program,
    clean_environment,
    free_port,
    left_out,
    wait_until,
)

APP = ROOT / "tests" / "compat" / "agentflow" / "app"


def server_command() -> Path:
    """`agentflow` beside the Python that `cargo xtask setup` made (or DOORWARD_AGENTFLOW_PYTHON)."""
    made = ROOT / ".venvs" / "agentflow-server" / "bin" / "python"
    command = Path(os.environ.get("DOORWARD_AGENTFLOW_PYTHON", made)).parent / "agentflow"
    if not command.is_file():
        raise left_out(
            "the real AgentFlow server is not installed: run `cargo xtask setup`, with Python 3.12"
        )
    return command


class AgentFlowServer:
    """The running server. `gates` is the directory whose files let held streams go on."""

    def __init__(self, home: Path, app: Path = APP) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.gates = home / "gates"
        self.gates.mkdir(exist_ok=True)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        arguments = ["--non-interactive", "--format", "plain", "api", "--no-reload"]
        self.program = Program(
            [server_command(), *arguments, "-c", app / "agentflow.json", "-H", "127.0.0.1", "-p", port],
            log=home / "agentflow.log",
            environment=clean_environment(COMPAT_GATE_DIR=str(self.gates), PYTHONDONTWRITEBYTECODE="1"),
            cwd=home,
        )
        try:
            wait_until(self._answers, "the AgentFlow server's /ping")
        except BaseException:
            self.program.stop()
            raise

    def _answers(self) -> bool:
        self.program.require_running()
        try:
            return requests.get(f"{self.url}/ping", timeout=5).json()["data"] == "pong"
        except requests.ConnectionError:
            return False

    def open_gate(self, name: str) -> None:
        (self.gates / name).touch()

    def stop(self) -> None:
        self.program.stop()

    def __enter__(self) -> "AgentFlowServer":
        return self

    def __exit__(self, *_) -> None:
        self.stop()
