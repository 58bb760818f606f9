"""What start-up functions put in the place of Hypha's own: three hooks, the login service's methods, and its page."""

import functools
import inspect
import os

#: Where `register_auth_service` takes a handler, and the methods of the login service that it becomes.
HANDLERS = {
    "index_handler": ("index",),
    "start_handler": ("start",),
    "check_handler": ("check",),
    "report_handler": ("report",),
    "logout_handler": ("logout", "logout_handler"),
}
HOOKS = ("parse_token", "generate_token", "get_token")
#: How each is called: all of these ways have to be possible.
CALLED = {
    "parse_token": [(("token",), {})],
    "generate_token": [(("user_info", 3600), {})],
    "get_token": [(({},), {})],
    "index": [(({},), {})],
    "start": [((), {}), ((), {"workspace": None, "expires_in": None})],
    "check": [(("key",), {}), (("key",), {"timeout": 1, "profile": False}), ((), {"key": "key", "timeout": 1, "profile": False})],
    "report": [((), {"key": "key", "token": "token"}), (("key", "token"), {})],
    "logout": [(({},), {})],
}
MOST_METHODS = 100
#: What names no member of a service map that is a function.
ABOUT = ("id", "name", "type", "config", "description", "docs")


class Wrong(Exception):
    """A registration that cannot be used; `where` is a place in the user's file."""

    def __init__(self, what, where=None):
        super().__init__(what)
        self.what = what
        self.where = where


def source_of(function):
    """File and line of a function, through whatever wraps it; `None` for what Python does not tell."""
    for _ in range(32):
        if isinstance(function, functools.partial):
            function = function.func
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif inspect.ismethod(function):
            function = function.__func__
        else:
            break
    if not hasattr(function, "__code__") and not isinstance(function, type):
        function = getattr(type(function), "__call__", function)
    code = getattr(function, "__code__", None)
    return None if code is None else (code.co_filename, code.co_firstlineno)


def place_of(function, directory):
    """As `file:line`, the file relative to the directory."""
    found = source_of(function)
    if found is None:
        return None
    file = os.path.realpath(found[0])
    return f"{os.path.relpath(file, directory) if file.startswith(directory + os.sep) else os.path.basename(file)}:{found[1]}"


def file_of(function, directory):
    place = place_of(function, directory)
    return place.rsplit(":", 1)[0] if place else "the start-up file"


class Hooks:
    def __init__(self, directory):
        self.directory = directory
        self.hooks = {}
        self.login = {}
        self.app = None
        #: Once `startup` is answered: Doorward knows by then what it asks here.
        self.closed = False

    def register(self, login_service=None, **given):
        """`register_auth_service`; nothing given changes nothing."""
        self.must_be_open("register_auth_service")
        methods = {} if login_service is None else self.methods_of(login_service)
        extras = {}
        for name, function in given.items():
            if function is None and (name in HOOKS or name in HANDLERS):
                continue
            if not callable(function):
                raise Wrong(f"register_auth_service: {name} is {type(function).__name__}, not a function")
            if name in HOOKS:
                self.set_hook(name, function)
            elif name in HANDLERS:
                for method in HANDLERS[name]:
                    methods.setdefault(method, function)
            elif name.startswith("_") or "." in name:
                raise Wrong(f"register_auth_service: {name} is no name of a method", place_of(function, self.directory))
            else:
                extras[name] = function
        # What is named by itself counts more than what a handler stands for.
        methods.update(extras)
        for name, function in methods.items():
            self.check(name, function)
        self.login.update(methods)
        if len(self.login) > MOST_METHODS:
            raise Wrong(f"the login service has at most {MOST_METHODS} methods")

    def methods_of(self, service):
        if not isinstance(service, dict):
            raise Wrong(f"register_auth_service: login_service is {type(service).__name__}, not a map of functions")
        methods = {name: one for name, one in service.items() if name not in ABOUT and not str(name).startswith("_")}
        for name, function in methods.items():
            if not callable(function):
                raise Wrong(f"register_auth_service: {name} of login_service is {type(function).__name__}, not a function")
        return methods

    def set_hook(self, name, function):
        self.must_be_open(f"set_{name}_function")
        if function is None:
            self.hooks.pop(name, None)
            return
        if not callable(function):
            raise Wrong(f"{name} is {type(function).__name__}, not a function")
        self.check(name, function)
        self.hooks[name] = function

    def set_app(self, app):
        self.must_be_open("set_login_service")
        if not callable(app):
            raise Wrong(f"set_login_service takes an ASGI application, not {type(app).__name__}")
        self.app = app

    def check(self, name, function):
        """Whether it can be called as it will be."""
        if name not in CALLED:
            return
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):
            return
        for positional, named in CALLED[name]:
            try:
                signature.bind(*positional, **named)
            except TypeError as error:
                spelled = ", ".join([*("…" for _ in positional), *(f"{one}=…" for one in named)])
                raise Wrong(f"{name}({spelled}) cannot be called: {error}; it takes {signature}", place_of(function, self.directory)) from None

    def must_be_open(self, what):
        if self.closed:
            raise RuntimeError(f"{what} counts only until the start-up functions are done: what they register is fixed by then")
