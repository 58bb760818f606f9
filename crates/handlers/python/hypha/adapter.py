"""Hypha's start-up files: `path.py:function` or `module:function`, run in order with the server's API (packages 0.21.135 to 0.21.137 and the document).

One process runs all of them. `startup` enters the hub over the channel and runs the functions; what they registered is asked for by
`get_token`, `parse_token` and `generate_token`, and called over the channel.
"""

import importlib.abc
import importlib.util
import inspect
import logging
import os
import sys
import traceback

from _doorward_runner import Broken, Invalid, Loaded, Refuse, asgi_scope, load_target, place, user_code

from _doorward_hypha.client import Client
from _doorward_hypha.hooks import HOOKS, Hooks, Wrong, file_of, place_of
from _doorward_hypha.model import ValidationError
from _doorward_hypha.names import missing
from _doorward_hypha.server import Server

#: Under which names our stand-ins for Hypha's package are sent.
STAND_INS = "_doorward_hypha.stands_for."
#: What a hook raises to refuse. A bare `Exception` does too: the document's samples raise it.
REFUSALS = (ValueError, PermissionError, KeyError, LookupError, AssertionError, TimeoutError)
MOST_TOKEN_BYTES = 8 << 10
MOST_WORDS = 300
#: Those of this process, once its start-up files are loaded.
_hooks = None


def current_hooks():
    """For `hypha.core.auth`, which sets hooks without a server."""
    if _hooks is None:
        raise RuntimeError("hooks are set by start-up functions, which have not begun")
    return _hooks


class StandIns(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Hypha's package for start-up files. It is asked first: tokens are Doorward's to read, also where the real package is installed."""

    def find_spec(self, name, path=None, target=None):
        if STAND_INS + name not in __loader__.sources:
            return None
        return importlib.util.spec_from_loader(name, self, origin=f"<doorward {name}>", is_package=self.is_package(name))

    def is_package(self, name):
        return any(other.startswith(f"{STAND_INS}{name}.") for other in __loader__.sources)

    def get_source(self, name):
        return __loader__.sources[STAND_INS + name]

    def exec_module(self, module):
        exec(compile(self.get_source(module.__name__), f"<doorward {module.__name__}>", "exec"), module.__dict__)


def load(targets, directory, channel):
    global _hooks
    # Before any of them is loaded: what they import is ours, and files may set hooks as soon as they are.
    _hooks = Hooks(directory)
    # The package sets up logging as soon as it is imported; without it a file's own lines would be lost.
    logging.basicConfig(level=log_level(), stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    sys.meta_path.insert(0, StandIns())
    start_up = StartUp([checked(target, load_target(target, directory, "my_auth.py:hypha_startup"), directory) for target in targets], _hooks, directory, channel)
    for line in start_up.missing:
        print(f"WARNING {line}", file=sys.stderr)
    functions = {"startup": start_up.startup, **{name: getattr(start_up, name) for name in HOOKS}}
    return Loaded(functions, [f"start-up function {target}" for target in targets])


def log_level():
    level = os.environ.get("HYPHA_LOGLEVEL", "INFO").upper()
    return level if isinstance(logging.getLevelName(level), int) else "INFO"


def checked(target, function, directory):
    name, where = target.rpartition(":")[2], place_of(function, directory) if callable(function) else None
    if not inspect.iscoroutinefunction(function):
        raise Broken(f"{name} is no async def; a start-up function is `async def {name}(server)`", where)
    try:
        inspect.signature(function).bind(None)
    except TypeError as error:
        raise Broken(f"{name} is called with one argument, the server: {error}", where) from None
    return function


def one_line(words):
    return " ".join(str(words).split())[:MOST_WORDS]


def said_by(error):
    """An exception's words; those of a KeyError without the quotes that Python puts around them."""
    return one_line(error.args[0] if isinstance(error, KeyError) and len(error.args) == 1 else error)


def refusal(error):
    """The hook's own refusal, or `None` when it failed."""
    status = getattr(error, "status_code", None)
    if isinstance(status, int) and not isinstance(status, bool) and hasattr(error, "detail"):
        return Refuse(status if 400 <= status < 500 else 401, one_line(error.detail) or "Unauthorized")
    if isinstance(error, REFUSALS) or type(error) is Exception:
        return Refuse(401, said_by(error) or type(error).__name__)
    return None


class StartUp:
    def __init__(self, functions, hooks, directory, channel):
        self.functions = functions
        self.directory = directory
        self.channel = channel
        self.hooks = hooks
        modules = {function.__module__: sys.modules.get(function.__module__) for function in functions}
        self.missing = [
            f"{os.path.relpath(module.__file__, directory)}:{line}: nothing is named {name}: is an import missing?"
            for module in modules.values() for line, name in (missing(module) if module is not None else ())
        ]

    async def startup(self, given, in_thread):
        if self.channel is None:
            raise Invalid("startup was called before")
        channel, self.channel = self.channel, None
        self.client = await Client.connect(channel)
        server = await Server.enter(self.client, self.hooks)
        for function in self.functions:
            try:
                await function(server)
            except Wrong as wrong:
                raise Invalid(one_line(f"{wrong.where or place(wrong, self.directory)}: {wrong.what}")) from None
            except Exception as error:  # noqa: BLE001 - whatever user code raises
                traceback.print_exc()
                where = place(error, self.directory) or place_of(function, self.directory)
                raise Invalid(one_line(f"{where}: {type(error).__name__}: {error}")) from None
        self.hooks.closed = True
        login, app = await server.register_login()
        return {"hooks": [name for name in HOOKS if name in self.hooks.hooks], "login": login, "login_app": app, "registers": self.registers()}

    def registers(self):
        """For people to read."""
        lines = [f"{name} ({place_of(hook, self.directory) or '?'})" for name, hook in self.hooks.hooks.items()]
        if self.hooks.login:
            lines.append(f"login service: {', '.join(sorted(self.hooks.login))}")
        if self.hooks.app is not None:
            lines.append(f"login page ({place_of(self.hooks.app, self.directory) or '?'})")
        own = ("built-in", "start-up-login", "start-up-login-page")
        lines += self.missing
        return lines + [f"service {one.id} ({one.visibility})" for one in self.client.services.values() if one.id not in own]

    async def ask(self, name, in_thread, *given, refuses=True):
        hook = self.hooks.hooks.get(name)
        if hook is None:
            raise Invalid(f"no start-up function registered {name}")
        try:
            return await user_code(hook)(in_thread, *given)
        except Exception as error:  # noqa: BLE001 - whatever user code raises
            refused = refusal(error) if refuses or hasattr(error, "status_code") else None
            if refused is None:
                raise
            raise refused from None

    def must_give(self, name, what):
        return Invalid(one_line(f"{name} of {file_of(self.hooks.hooks[name], self.directory)} must give {what}"))

    async def get_token(self, given, in_thread):
        said = await self.ask("get_token", in_thread, scope_of(given["scope"]))
        if said is not None and not isinstance(said, str):
            raise self.must_give("get_token", f"a str or None, it gave {type(said).__name__}")
        if said and len(said.encode("utf-8", "replace")) > MOST_TOKEN_BYTES:
            raise self.must_give("get_token", f"at most {MOST_TOKEN_BYTES} bytes")
        return {"token": said or None}

    async def parse_token(self, given, in_thread):
        from hypha.core import UserInfo
        from hypha.core.auth import _handle_of

        said = await self.ask("parse_token", in_thread, given["token"])
        if not isinstance(said, UserInfo):
            raise self.must_give("parse_token", f"a UserInfo, it gave {type(said).__name__}")
        try:
            user = UserInfo.model_validate(said.model_dump()).model_dump(mode="json")
        except ValidationError as error:
            raise self.must_give("parse_token", f"a UserInfo: {error.field}: {error.what}") from None
        handle, unchanged = _handle_of(said)
        return {"user": user, "of": handle, **({"changed": True} if handle is not None and user != unchanged else {})}

    async def generate_token(self, given, in_thread):
        from hypha.core import UserInfo

        user = UserInfo.model_validate(given["user"])
        if given.get("handle"):
            user.__dict__["_doorward"] = (given["handle"], given["user"])
        said = await self.ask("generate_token", in_thread, user, given["expires_in"], refuses=False)
        if not isinstance(said, str):
            raise self.must_give("generate_token", f"a str, it gave {type(said).__name__}")
        if not 1 <= len(said) <= MOST_TOKEN_BYTES or not all("!" <= one <= "~" for one in said):
            raise self.must_give("generate_token", f"a str of 1 to {MOST_TOKEN_BYTES} visible ASCII characters")
        return {"token": said}


def scope_of(given):
    """The request as ASGI spells it, of a websocket too."""
    scope = asgi_scope({"method": "GET", **given})
    scope["asgi"] = {"version": "3.0", "spec_version": "2.3"}
    if given.get("type") == "websocket":
        del scope["method"]
        scope.update({"type": "websocket", "scheme": "ws", "subprotocols": []})
    return scope
