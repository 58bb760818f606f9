"""AgentFlow projects with a backend of their own, loaded by different interpreters."""

import json
import sys
import textwrap
from pathlib import Path

import pytest

from harness.doorward import Doorward
from harness.interpreters import interpreter

sys.path.insert(0, str(Path(__file__).parent))


class Project:
    """A directory with `agentflow.json` and modules; `write` makes or replaces one."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.settings = home / "agentflow.json"
        home.mkdir(parents=True, exist_ok=True)

    def write(self, path: str, text: str) -> Path:
        file = self.home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        return file

    def use(self, target: str, env: str | None = None) -> "Project":
        auth = {"method": "custom", "path": target}
        self.settings.write_text(json.dumps({"agent": "graph.react:app", "auth": auth, "env": ".env" if env else None}))
        if env:
            (self.home / ".env").write_text(env)
        return self


@pytest.fixture
def project(tmp_path) -> Project:
    return Project(tmp_path / "app")


@pytest.fixture
def serve(tmp_path):
    """Starts `doorward dev` on a project, from another directory than the project's."""
    running = []

    def start(project: Project, python: str = "bare", more: str = "", **environment: str) -> Doorward:
        number = len(running)
        config = tmp_path / f"doorward-{number}.toml"
        config.write_text(f'[handlers]\npython = "{interpreter(python)}"\n{more}\n[agents]\nrunner = "config"\n')
        config.chmod(0o600)
        arguments = ["--listen", "127.0.0.1:0", "--config", config, "--agentflow", project.settings]
        running.append(Doorward("dev", *arguments, home=tmp_path / f"doorward-{number}", environment=environment))
        return running[-1]

    yield start
    for server in running:
        server.program.stop()
