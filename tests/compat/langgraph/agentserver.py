"""Projects of LangGraph, the servers that run them, and how their answers are read; users are Bearer tokens."""

import importlib.util
import json
import os
import shutil
import sys
import textwrap
from pathlib import Path

import requests
from langgraph_sdk import get_client

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

#: Nothing covers what callers do, so that it is each caller's own.
UNCOVERED = TUTORIAL.partition("@auth.on")[0]
#: Where the gateway says whose a thing of the real server is.
STAMP = "doorward_owner"


#: The tutorial's file as JavaScript has it: Supabase is asked who a token is, and what somebody makes is theirs.
TUTORIAL_IN_JAVASCRIPT = """
    import { Auth, HTTPException } from "@langchain/langgraph-sdk/auth";

    const { SUPABASE_URL, SUPABASE_SERVICE_KEY } = process.env;

    export const auth = new Auth()
      .authenticate(async (request) => {
        const authorization = request.headers.get("authorization");
        if (!authorization) throw new HTTPException(401, { message: "Invalid token" });
        const response = await fetch(`${SUPABASE_URL}/auth/v1/user`, { headers: { authorization, apiKey: SUPABASE_SERVICE_KEY } }).catch(() => null);
        if (!response?.ok) throw new HTTPException(401, { message: "Invalid token" });
        const user = await response.json();
        return { identity: user.id, display_name: user.name, is_authenticated: true, permissions: [] };
      })
      .on("*", ({ value, user }) => {
        const filters = { owner: user.identity };
        value.metadata = Object.assign(value.metadata ?? {}, filters);
        return filters;
      });
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


def gateway(home: Path, upstream: str, handlers: str = TUTORIAL, more: str = "") -> Doorward:
    return doorward(home, Project(home / "app").use().write("auth.py", handlers), mount=f'upstream = "{upstream}"\n{more}')


class RealServer:
    """`langgraph dev` with the same project, in a copy: it keeps its state beside the project. `guarded=False` is without auth, for a gateway."""

    def __init__(self, home: Path, *, guarded: bool = True) -> None:
        self.python = Path(interpreter("server"))
        self._told: dict = {}
        shutil.copytree(APP, home / "app", ignore=shutil.ignore_patterns("__pycache__"))
        if not guarded:
            settings = home / "app" / "langgraph.json"
            settings.write_text(json.dumps({name: value for name, value in json.loads(settings.read_text()).items() if name != "auth"}))
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        arguments = ["dev", "--no-browser", "--no-reload", "--host", "127.0.0.1", "--port", port]
        if not guarded:
            # Runs that a test holds are beside those of others.
            arguments += ["--n-jobs-per-worker", "8"]
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


async def conversation(url: str, token: str) -> dict:
    """What the published SDK can do with threads and runs, as shapes: ids and times differ."""
    client, tag = get_client(url=url, headers={"Authorization": f"Bearer {token}"}), {"tag": os.urandom(6).hex()}
    text = say("one two")["input"]
    told: dict = {"created": await client.threads.create(metadata=tag)}
    thread = told["created"]["thread_id"]
    told["waited"] = await client.runs.wait(thread, "agent", input=text)
    parts = [part async for part in client.runs.stream(thread, "agent", input=text, stream_mode=["values", "updates", "messages-tuple"])]
    told["streamed"] = [[part.event, part.data] for part in parts]
    told["run"] = await client.runs.create(thread, "agent", input=text, metadata={"k": 1})
    run = told["run"]["run_id"]
    told["joined"] = await client.runs.join(thread, run)
    told["got run"], told["listed"] = await client.runs.get(thread, run), await client.runs.list(thread)
    told["listed narrowly"] = await client.runs.list(thread, limit=1, offset=1, status="success")
    told["state"] = await client.threads.get_state(thread)
    told["state at"] = await client.threads.get_state(thread, checkpoint=told["state"]["parent_checkpoint"])
    told["history"] = await client.threads.get_history(thread, limit=100)
    told["history before"] = await client.threads.get_history(thread, limit=2, before={"configurable": told["history"][1]["checkpoint"]})
    told["updated state"] = await client.threads.update_state(thread, say("from outside")["input"])
    told["state now"] = await client.threads.get_state(thread)
    told["changed"] = await client.threads.update(thread, metadata={"more": [1]})
    told["got"] = await client.threads.get(thread)
    told["copy"] = await client.threads.copy(thread)
    told["state of copy"] = await client.threads.get_state(told["copy"]["thread_id"])
    told["searched"] = await client.threads.search(metadata=tag, sort_by="created_at", sort_order="asc")
    told["searched narrowly"] = await client.threads.search(metadata=tag, limit=1, offset=1, select=["thread_id", "status"])
    told["searched by id"] = await client.threads.search(ids=[thread], status="idle")
    told["counted"] = str(await client.threads.count(metadata=tag))
    told["alone"] = await client.runs.wait(None, "agent", input=text)
    told["batch"] = await client.runs.create_batch([{"assistant_id": "agent", "input": text}])
    told["run gone"] = await client.runs.delete(thread, run)
    told["pruned"] = await client.threads.prune([told["copy"]["thread_id"]])
    told["gone"] = await client.threads.delete(thread)
    told["left"] = str(await client.threads.count(metadata=tag))
    for what, asked in {
        "no thread": client.threads.get(thread), "no state": client.threads.get_state(thread), "no run": client.runs.get(thread, run),
        "no runs": client.runs.wait(thread, "agent", input=text), "no copy": client.threads.copy(thread), "no delete": client.threads.delete(thread),
        "no graph": client.runs.wait(None, "nonsense", input=text), "no patch": client.threads.update(thread, metadata={}),
    }.items():
        try:
            told[what] = await asked
        except Exception as error:
            told[what] = f"{type(error).__name__} {error}".replace(thread, "<thread>").replace(url, "<url>")
    return told
