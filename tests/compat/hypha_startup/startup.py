"""Whole processes of start-up files: started by frames as Doorward does it, with a running hub behind their channel and Doorward's tokens played here."""

import asyncio
import contextlib
import json
import os
import re
import textwrap
import threading
from pathlib import Path

from bridge import Bridge
from frames import Process

from harness.doorward import Doorward
from harness.hypha import Hub
from harness.interpreters import interpreter
from harness.programs import SHARED, left_out

DOCUMENT = SHARED / "seeds" / "hypha-authentication.md"


def block(*holding: str) -> str:
    """The one Python block of the document that holds these texts."""
    if not DOCUMENT.is_file():
        raise left_out("Hypha's document is absent (../shared/seeds)")
    blocks = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    found = [block for block in blocks if all(text in block for text in holding)]
    assert len(found) == 1, f"{len(found)} blocks hold {holding!r}"
    return found[0]


class Tokens:
    """Doorward's part of the questions that files ask: the tokens it made itself."""

    def __init__(self) -> None:
        self.users: dict[str, dict] = {}
        self.asked: list[tuple[str, dict]] = []

    def add(self, token: str, id_: str = "ann", **fields) -> None:
        base = {"id": id_, "roles": [], "is_anonymous": False, "scope": None, "email": None, "parent": None, "expires_at": None, "current_workspace": None}
        self.users[token] = {**base, **fields}

    def answer(self, name: str, given: dict) -> dict:
        self.asked.append((name, given))
        if name == "issue_token":
            token = f"doorward-{len(self.users)}"
            self.users[token] = given["user"]
            return {"token": token}
        user = self.users.get(given["token"])
        return {"user": user, "handle": f"handle of {given['token']}"} if user else {"refused": {"status": 401, "detail": "not one of ours"}}


class Running:
    """One process and its bridge."""

    def __init__(self, process: Process, bridge: Bridge) -> None:
        self.process, self.bridge, self.tokens = process, bridge, Tokens()
        threading.Thread(target=self.answer, daemon=True).start()

    def answer(self) -> None:
        """Questions over the asking socket, until it closes."""
        socket = self.process.asked

        def whole(count: int) -> bytes:
            kept = b""
            while len(kept) < count:
                part = socket.recv(count - len(kept))
                if not part:
                    raise EOFError
                kept += part
            return kept

        with contextlib.suppress(OSError, EOFError):
            while True:
                question = json.loads(whole(int.from_bytes(whole(4), "big")))
                body = json.dumps({"answer": self.tokens.answer(question["ask"], question["with"])}).encode()
                socket.sendall(len(body).to_bytes(4, "big") + body)

    async def call(self, name: str, **given) -> dict:
        return await asyncio.to_thread(self.process.call, name, **given)

    async def begun(self) -> dict:
        """What its functions registered; they have to succeed."""
        said = await self.call("startup")
        assert "answer" in said, said
        return said["answer"]

    async def login(self, method: str, *args, **named):
        """A method of its login service, as the hub calls it; raises what it raised."""
        info = self.bridge.info
        sender = f"public/{info['server_id']}"
        main, value = await self.bridge.asked(f"services.start-up-login.{method}", *args, named=named, sender=sender, ws="ws-anonymous")
        if main["method"].endswith(".reject"):
            raise AssertionError(value["_rvalue"])
        return value

    async def scoped(self, *headers: tuple[str, str], **scope):
        given = {"type": "http", "method": "GET", "path": "/x", "query": "", "headers": [list(pair) for pair in headers], "client": "192.0.2.7", **scope}
        return (await self.call("get_token", scope=given))["answer"]["token"]

    async def user(self, token: str) -> dict:
        return (await self.call("parse_token", token=token))["answer"]["user"]

    async def refused(self, token: str) -> tuple[int, str]:
        said = await self.call("parse_token", token=token)
        assert "refuse" in said, said
        return said["refuse"]["status"], said["refuse"]["detail"]


class Files:
    """Makes them, and stops those that a test left."""

    def __init__(self, home: Path, hub, keeper) -> None:
        self.home, self.hub, self.keeper = home, hub, keeper
        self.processes: list[Process] = []

    @contextlib.asynccontextmanager
    async def __call__(self, files: dict[str, str], *targets: str, python: str = "bare", **environment: str):
        self.home.mkdir(exist_ok=True)
        for name, text in files.items():
            (self.home / name).parent.mkdir(parents=True, exist_ok=True)
            (self.home / name).write_text(textwrap.dedent(text))
        wanted = list(targets) or [f"{name}:hypha_startup" for name in files]
        async with Bridge(self.hub, self.keeper) as bridge:
            given = {"PATH": os.environ["PATH"], **environment}
            process = await asyncio.to_thread(Process, interpreter(python), "hypha", wanted, self.home, given, bridge.theirs)
            self.processes.append(process)
            yield Running(process, bridge)

    async def checked(self, body: str, python: str = "bare", **environment: str) -> None:
        """Runs a body in a start-up function; it has to come to its end."""
        text = "async def hypha_startup(server):\n" + textwrap.indent(textwrap.dedent(body), "    ")
        async with self({"checks.py": text}, python=python, **environment) as running:
            running.tokens.add("good", email="ann@example.com", roles=["user"])
            await running.begun()

    def stop(self) -> None:
        for process in self.processes:
            process.stop()


class Live:
    """Servers that run start-up files, each with a directory and a listener of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.running: list[Doorward] = []

    def __call__(self, files: dict[str, str], *targets: str, python: str = "bare", mount: str = "", handlers: str = "", **environment: str) -> Hub:
        home = self.home / f"live-{len(self.running)}"
        for name, text in files.items():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_text(textwrap.dedent(text))
        config = home / "doorward.toml"
        config.write_text(f'[handlers]\npython = "{interpreter(python)}"\n{handlers}\n[mounts.hypha]\nsurface = "hypha"\n{mount}\n')
        config.chmod(0o600)
        wanted = list(targets) or [f"{name}:hypha_startup" for name in files]
        arguments = ["--listen", "127.0.0.1:0", "--config", config, "--mount", "hypha=127.0.0.1:0", "--startup-functions", *wanted]
        self.running.append(Doorward("dev", *arguments, home=home, environment=environment))
        return Hub(self.running[-1], config=config)

    def stop(self) -> None:
        for server in self.running:
            server.program.stop()


#: What the document leaves out around its second factor.
WITH_SECRETS = """
SECRETS = {}
async def get_user_mfa_secret(user_id):
    return SECRETS[user_id]
async def enrol(user_id):
    uri = await setup_mfa(user_id)
    SECRETS[user_id] = pyotp.parse_uri(uri).secret
    return uri
async def hypha_startup(server):
    await server.register_auth_service(enrol=enrol, verify=verify_mfa)
"""
