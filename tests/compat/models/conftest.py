"""A model server that speaks OpenAI's protocol, and Doorward with projects whose agent may ask it."""

import json

import pytest

from harness.doorward import Doorward
from harness.models import Aimock


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    with Aimock(tmp_path_factory.mktemp("aimock")) as server:
        yield server


@pytest.fixture
def start_project(tmp_path):
    """`doorward dev` with a project of LangGraph whose `.env` is this."""
    running = []

    def start(dotenv: str, config: str = "", **environment: str) -> Doorward:
        home = tmp_path / f"project-{len(running)}"
        (home / "app").mkdir(parents=True)
        (home / "app" / "langgraph.json").write_text(json.dumps({"graphs": {"agent": "./agent.py:graph"}, "env": ".env"}))
        (home / "app" / ".env").write_text(dotenv)
        (home / "doorward.toml").write_text(config)
        named = ["--langgraph", home / "app" / "langgraph.json", "--mount", "langgraph=127.0.0.1:0"]
        running.append(
            Doorward("dev", "--listen", "127.0.0.1:0", "--config", home / "doorward.toml", *named, home=home, environment=environment)
        )
        return running[-1]

    yield start
    for server in running:
        server.program.stop()
