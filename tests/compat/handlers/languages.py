"""Files of LangGraph handlers in each language that they may be written in: the same rules, in each language's words."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from frames import NODE, PYTHON, Process, Runtime

from harness.interpreters import interpreter
from harness.programs import node_binary, node_modules


@dataclass(frozen=True)
class Refuses:
    """The SDK's own exception."""

    status: int | None = None
    detail: str | None = None
    headers: dict[str, str] | None = None


@dataclass(frozen=True)
class Fails:
    """An error that is no refusal; what it says is a secret."""


@dataclass(frozen=True)
class Says:
    """A body in a language's own words."""

    python: str
    javascript: str


class Python:
    target = "./auth.py:auth"
    runtime: Runtime = PYTHON
    #: What an answer that is no user is refused with, and whether a refusal of `authenticate` keeps its headers: as each platform's server has it.
    no_user, keeps_headers = 400, False
    nothing = "registers nothing"
    failure = "KeyError at auth.py:7"
    none = "not a langgraph_sdk.Auth"

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def program(self) -> str:
        return interpreter(self.kind)

    def place(self, directory: Path) -> None:
        """What stands beside the file for this kind."""

    def file(self, who=None, **rules) -> str:
        parts = ["from langgraph_sdk import Auth\n\nauth = Auth()\n"]
        if who is not None:
            parts.append(f"@auth.authenticate\nasync def who():\n    {self.body(who)}\n")
        for number, (event, act) in enumerate(rules.items()):
            resource, _, action = event.partition(":")
            on = f"(actions={action!r})" if resource == "*" and action else "" if resource == "*" else f".{resource}" + (f".{action}" if action else "")
            parts.append(f"@auth.on{on}\nasync def rule{number}(ctx, value):\n    {self.body(act)}\n")
        return "\n".join(parts)

    def body(self, act) -> str:
        if isinstance(act, Says):
            return act.python
        if isinstance(act, Fails):
            return "raise KeyError('secret-word')"
        if isinstance(act, Refuses):
            given = {"status_code": act.status, "detail": act.detail, "headers": act.headers}
            return f"raise Auth.exceptions.HTTPException({', '.join(f'{name}={value!r}' for name, value in given.items() if value is not None)})"
        return f"return {act!r}"


class JavaScript:
    target = "./auth.mjs:auth"
    runtime: Runtime = NODE
    no_user, keeps_headers = 500, True
    nothing = "registers nothing"
    failure = "TypeError at auth.mjs:4"
    none = "not an Auth of @langchain/langgraph-sdk/auth"

    def __init__(self, kind: str, node: str | None = None) -> None:
        self.kind, self.node = kind, node

    def program(self) -> str:
        return self.node or node_binary()

    def place(self, directory: Path) -> None:
        if self.kind == "sdk":
            install(directory, "@langchain/langgraph-sdk")

    def file(self, who=None, **rules) -> str:
        parts = ['import { Auth, HTTPException } from "@langchain/langgraph-sdk/auth";\nexport const auth = new Auth();\n']
        if who is not None:
            parts.append(f"auth.authenticate(async (request) => {{ {self.body(who)} }});\n")
        parts += [f"auth.on({json.dumps(event)}, async ({{ event, resource, action, value, user, permissions }}) => {{ {self.body(act)} }});\n" for event, act in rules.items()]
        return "".join(parts)

    def body(self, act) -> str:
        if isinstance(act, Says):
            return act.javascript
        if isinstance(act, Fails):
            return 'throw new TypeError("secret-word");'
        if isinstance(act, Refuses):
            options = {name: value for name, value in {"message": act.detail, "headers": act.headers}.items() if value is not None}
            return f"throw new HTTPException({401 if act.status is None else act.status}, {json.dumps(options)});"
        return f"return {json.dumps(act)};"


def install(directory: Path, *packages: str) -> None:
    """The project's own `node_modules`, with these of the suites' packages."""
    for package in packages:
        place = directory / "node_modules" / package
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(node_modules(package) / package)


LANGUAGES = {
    "python, standing-in": Python("bare"),
    "python, sdk-0.4.14": Python("ours"),
    "javascript, standing-in": JavaScript("bare"),
    "javascript, sdk-2.0.0": JavaScript("sdk"),
}


class Loads:
    """Loads files in new processes, each in a directory of its own, and stops them."""

    def __init__(self, home: Path) -> None:
        self.home, self.running = home, []

    def file(self, language, text: str, target: str | None = None, beside: dict[str, str] | None = None, **environment: str) -> Process:
        target = target or language.target
        directory = self.home / f"graph-{len(self.running)}"
        file = directory / target.partition(":")[0]
        file.parent.mkdir(parents=True)
        file.write_text(text)
        for name, content in (beside or {}).items():
            (directory / name).write_text(content)
        language.place(directory)
        path = str(Path(shutil.which("sh") or "/bin/sh").parent)
        self.running.append(Process(language.program(), "langgraph", target, directory, {"PATH": path, **environment}, runtime=language.runtime))
        return self.running[-1]

    def stop(self) -> None:
        for process in self.running:
            process.stop()


USER = {"identity": "ann", "display_name": "ann", "is_authenticated": True, "permissions": ["threads:read"], "org": {"plan": "pro"}}


def who(process: Process, **more) -> dict:
    given = {"method": "GET", "path": "/threads", "query": "a=1&a=2", "headers": [["authorization", "Bearer t"], ["x-org", "acme"]], "client": "127.0.0.1"}
    return process.call("authenticate", **{**given, **more})


def may(process: Process, resource: str, action: str, value: dict, **more) -> dict:
    return process.call("authorize", user=USER, permissions=USER["permissions"], resource=resource, action=action, value=value, **more)
