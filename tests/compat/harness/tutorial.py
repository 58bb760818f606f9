"""LangGraph's tutorial: the code of the document itself, and a project that holds it."""

import json
import re
import sys
from pathlib import Path

from harness.doorward import Doorward
from harness.programs import SHARED, free_port, left_out

DOCUMENT = SHARED / "seeds" / "langgraph-custom-auth.md"

#: The settings of the template that the tutorial begins with (langgraph-cli 0.4.40, new-langgraph-project-python), and the tutorial's `auth`.
TEMPLATE = {
    "$schema": "https://langgra.ph/schema.json",
    "dependencies": ["."],
    "graphs": {"agent": "./src/agent/graph.py:graph"},
    "env": ".env",
    "image_distro": "wolfi",
    "auth": {"path": "src/security/auth.py:auth"},
}


def block(holding: str) -> str:
    """The Python block of the document that holds this text."""
    if not DOCUMENT.is_file():
        raise left_out("LangGraph's tutorial is absent (../shared/seeds)")
    blocks = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    found = [block for block in blocks if holding in block]
    assert len(found) == 1, f"{len(found)} blocks hold {holding!r}"
    return found[0]


class Place:
    """A project in the template's layout and where its server will stand, known before it does."""

    def __init__(self, home: Path, tokens: str = "") -> None:
        self.home, self.app = home, home / "app"
        self.listen = f"127.0.0.1:{free_port()}"
        for file in ("src/agent/graph.py", "src/security/auth.py"):
            (self.app / file).parent.mkdir(parents=True)
        (self.app / "src/agent/graph.py").write_text("graph = None  # Doorward has an agent of its own; this is never run.\n")
        self.handler("\n".join((block("async def get_current_user"), block("async def add_owner"))))
        self.settings(TEMPLATE)
        self.tokens = tokens
        with self.serve("", home="first") as first:
            self.service_key = first.ready["supabase"]["service_key"]
        self.variables = {"SUPABASE_URL": f"http://{self.listen}/supabase", "SUPABASE_SERVICE_KEY": self.service_key}
        self.dotenv(self.variables)

    def handler(self, text: str) -> None:
        (self.app / "src/security/auth.py").write_text(text)

    def settings(self, content: dict) -> None:
        (self.app / "langgraph.json").write_text(json.dumps(content))

    def dotenv(self, variables: dict) -> None:
        (self.app / ".env").write_text("".join(f"{name}={value}\n" for name, value in variables.items()))

    def serve(self, handlers: str, *arguments, home: str = "second", **environment) -> Doorward:
        config = self.home / f"{home}.toml"
        config.write_text(f'{self.tokens}\n[handlers]\npython = "{sys.executable}"\n{handlers}\n')
        config.chmod(0o600)
        placed = ["--listen", self.listen, "--data-dir", self.home / "data", "--config", config]
        return Doorward("dev", *placed, *arguments, home=self.home / home, environment=environment)

    def whole(self, handlers: str = "", home: str = "second", **environment) -> Doorward:
        return self.serve(handlers, "--langgraph", self.app / "langgraph.json", home=home, **environment)
