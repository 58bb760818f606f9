"""Projects of LangGraph, the servers that run them, and how their answers are read; users are Bearer tokens."""

import importlib.util
import json
import os
import shutil
import sys
import textwrap
from pathlib import Path

import requests

from harness.client import Client
from harness.doorward import Doorward
from harness.programs import ROOT, Program, clean_environment, free_port, left_out, wait_until

APP = Path(__file__).parent / "app"


def tables():
    """`app/security/auth.py` itself, for the names in its tables."""
    spec = importlib.util.spec_from_file_location("langgraph_app_auth", APP / "security" / "auth.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


#: The tutorial's rule, with names for tokens.
TUTORIAL = """
    from langgraph_sdk import Auth

    auth = Auth()

    @auth.authenticate
    async def who(authorization: str | None):
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.startswith("user-"):
            raise Auth.exceptions.HTTPException(status_code=401, detail="Invalid token")
        return {"identity": token}

    @auth.on
    async def add_owner(ctx, value):
        filters = {"owner": ctx.user.identity}
        value.setdefault("metadata", {}).update(filters)
        return filters
"""


def interpreter(kind: str) -> str:
    """`bare` has no SDK, so ours stands in; `ours` the newest SDK, `older` that of the tutorial's time, `server` the real server's packages."""
    suite = {"older": "handlers", "server": "langgraph"}.get(kind)
    if suite is None:
        return sys.executable if kind == "ours" else sys._base_executable
    made = ROOT / ".venvs" / f"{suite}-server" / "bin" / "python"
    python = Path(os.environ.get(f"DOORWARD_{suite.upper()}_PYTHON", made))
    if not python.exists():
        raise left_out(f"{python} is not there: run `cargo xtask setup`")
    return str(python)


class Project:
    """A directory with `langgraph.json` and modules."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.settings = home / "langgraph.json"
        home.mkdir(parents=True, exist_ok=True)

    def write(self, path: str, text: str) -> "Project":
        file = self.home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        return self

    def use(self, target: str | None = "./auth.py:auth", **more) -> "Project":
        auth = {} if target is None else {"auth": {"path": target, **more.pop("auth", {})}}
        self.settings.write_text(json.dumps({**auth, **more}))
        return self


def doorward(home: Path, project: Project | Path | None, python: str = "bare", mount: str = "", more: str = "", mode: str = "dev", **environment: str) -> Doorward:
    """`doorward dev` with the surface at the root of a listener of its own; `mount` and `more` are lines of doorward.toml."""
    home.mkdir(parents=True, exist_ok=True)
    config = home / "doorward.toml"
    config.write_text(f'[handlers]\npython = "{interpreter(python)}"\n{more}\n[mounts.langgraph]\n{mount}\n')
    config.chmod(0o600)
    named = [] if project is None else ["--langgraph", project.settings if isinstance(project, Project) else project]
    arguments = ["--listen", "127.0.0.1:0", "--config", config, "--mount", "langgraph=127.0.0.1:0", *named]
    return Doorward(mode, *arguments, home=home, environment=environment)


class RealServer:
    """`langgraph dev` with the same project, in a copy: it keeps its state beside the project."""

    def __init__(self, home: Path) -> None:
        self.python = Path(interpreter("server"))
        self._told: dict = {}
        shutil.copytree(APP, home / "app", ignore=shutil.ignore_patterns("__pycache__"))
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        arguments = ["dev", "--no-browser", "--no-reload", "--host", "127.0.0.1", "--port", port]
        self.program = Program(
            [self.python.parent / "langgraph", *arguments],
            log=home / "langgraph.log",
            environment=clean_environment(PATH=f"{self.python.parent}:{os.environ['PATH']}", LANGSMITH_TRACING="false"),
            cwd=home / "app",
        )

    def once(self, key, ask):
        """What `ask(self)` answers; asked once for every Doorward it is compared with: a run takes this server a second."""
        if key not in self._told:
            self._told[key] = ask(self)
        return self._told[key]

    def wait(self) -> "RealServer":
        def ready() -> bool:
            self.program.require_running()
            try:
                return requests.get(f"{self.url}/ok", timeout=5).status_code == 200
            except requests.ConnectionError:
                return False

        wait_until(ready, "langgraph dev")
        return self


def user(server, name: str | None = None) -> Client:
    """Somebody new, or of that name, at a Doorward or a real server."""
    url = server if isinstance(server, str) else server.url if isinstance(server, RealServer) else server.mount("langgraph")
    return Client(url, f"user-{name or os.urandom(6).hex()}")


def anyone(server) -> Client:
    """No token; a new address for every request, so refusals do not add up to a 429."""
    url = server.url if isinstance(server, RealServer) else server.mount("langgraph")
    return Client(url, roaming=True)


def case(**what) -> dict[str, str]:
    """The header that tells the handlers what to do."""
    return {"x-case": json.dumps(what)}


def said(answer: requests.Response):
    """What an answer says of an error: its `detail`, or its text where it is none of ours."""
    try:
        return answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return answer.text


def say(text: str) -> dict:
    """A run's body."""
    return {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": text}]}}


def events(text: str) -> list[tuple[str, object]]:
    """A stream's events as (name, data)."""
    found = []
    for block in text.split("\r\n\r\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\r\n") if ": " in line and not line.startswith(":"))
        if "event" in lines:
            found.append((lines["event"], json.loads(lines["data"]) if lines.get("data") else None))
    return found


def until_status(client: Client, thread: str, run: str, *statuses: str) -> dict:
    """The run, once it has one of these."""

    def reached():
        found = client.get(f"/threads/{thread}/runs/{run}").json()
        return found if found["status"] in statuses else None

    return wait_until(reached, f"a run that is {statuses}", limit_s=12)

