"""Stands for the package where it is not installed: `Auth`, as handler files use it."""

import inspect
from http import HTTPStatus

from _doorward_langgraph import RESOURCES


class HTTPException(Exception):
    def __init__(self, status_code=401, detail=None, headers=None):
        self.status_code = status_code
        self.detail = HTTPStatus(status_code).phrase if detail is None else detail
        self.headers = headers
        super().__init__(f"{self.status_code}: {self.detail}")


class _Exceptions:
    HTTPException = HTTPException


class _Types:
    """Every name is a type that says nothing: annotations alone use them."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return _Types()

    def __getitem__(self, _):
        return self

    def __call__(self, *_, **fields):
        return fields

    def __or__(self, _):
        return self

    __ror__ = __or__


def _checked(function):
    if not inspect.iscoroutinefunction(function):
        raise ValueError(f"Auth handlers must be async functions. Got {type(function)} for {function}.")
    names = inspect.signature(function).parameters
    variadic = any(parameter.kind is parameter.VAR_KEYWORD for parameter in names.values())
    for needed in ("ctx", "value"):
        if needed not in names and not variadic:
            raise ValueError(f"Auth handlers must have a parameter named {needed!r}. Got {list(names)}.")
    return function


def _register(auth, resource, action, function):
    _checked(function)
    pair = (resource or "*", action or "*")
    if pair == ("*", "*"):
        if auth._global_handlers:
            raise ValueError("Global handler already set.")
        auth._global_handlers.append(function)
    elif pair in auth._handlers:
        raise ValueError(f"types.Handler already set for {pair[0]}, {pair[1]}.")
    else:
        auth._handlers[pair] = [function]
    return function


def _listed(given, known, what):
    names = [given] if isinstance(given, str) else list(given)
    if not names or len(set(names)) != len(names) or any(name not in known for name in names):
        raise ValueError(f"Invalid {what}: {given!r}. Known: {', '.join(known)}.")
    return names


class _One:
    def __init__(self, auth, resource, action):
        self._auth, self._resource, self._action = auth, resource, action

    def __call__(self, function):
        return _register(self._auth, self._resource, self._action, function)


class _Resource:
    def __init__(self, auth, resource):
        self._auth, self._resource = auth, resource
        for action in RESOURCES[resource]:
            setattr(self, action, _One(auth, resource, action))

    def __call__(self, function=None, *, resources=None, actions=None):
        if resources is not None and _listed(resources, (self._resource,), "resources") != [self._resource]:
            raise ValueError("foreign resource")
        if function is not None:
            return _register(self._auth, self._resource, "*", function)
        wanted = ["*"] if actions is None else _listed(actions, RESOURCES[self._resource], "actions")

        def decorate(function):
            for action in wanted:
                _register(self._auth, self._resource, action, function)
            return function

        return decorate


class _On:
    def __init__(self, auth):
        self._auth = auth
        for resource in RESOURCES:
            setattr(self, resource, _Resource(auth, resource))

    def __call__(self, function=None, *, resources=None, actions=None):
        if function is not None:
            return _register(self._auth, None, None, function)
        of = ["*"] if resources is None else ([resources] if isinstance(resources, str) else list(resources))
        to = ["*"] if actions is None else ([actions] if isinstance(actions, str) else list(actions))

        def decorate(function):
            for resource in of:
                for action in to:
                    _register(self._auth, resource, action, function)
            return function

        return decorate


class Auth:
    types = _Types()
    exceptions = _Exceptions()

    def __init__(self):
        self._handlers = {}
        self._global_handlers = []
        self._authenticate_handler = None
        self._handler_cache = {}
        self.on = _On(self)

    def authenticate(self, function):
        if self._authenticate_handler is not None:
            raise ValueError(f"Authentication handler already set as {self._authenticate_handler}.")
        self._authenticate_handler = function
        return function
