"""LangGraph's custom auth: a file that makes a `langgraph_sdk.Auth` (SDK 0.1.48 to 0.4.14), loaded and asked as langgraph-api 0.16.7 does."""

import inspect
import uuid

from _doorward_runner import Broken, Invalid, Loaded, Refuse, asgi_scope, load_target, place_of, user_code

#: What `@auth.authenticate` may ask for by name.
PARAMETERS = {
    "request", "path", "method", "path_params", "query_params", "headers", "authorization", "user", "scopes", "scope", "body",
}
RESOURCES = {
    "threads": ("create", "read", "update", "delete", "search", "create_run"),
    "assistants": ("create", "read", "update", "delete", "search"),
    "crons": ("create", "read", "update", "delete", "search"),
    "store": ("put", "get", "search", "delete", "list_namespaces"),
}
SHAPE = "a string, a dict with identity, an object with .identity, or a tuple of permissions and user"


def load(target, directory):
    auth = load_target(target, directory, "./auth.py:auth")
    from langgraph_sdk import Auth

    if not isinstance(auth, Auth):
        raise Broken(f"{target} is {type(auth).__name__}, not a langgraph_sdk.Auth")
    authenticate, registers = auth._authenticate_handler, []
    if authenticate is None and not auth._handlers and not auth._global_handlers:
        raise Broken(f"{target} registers nothing: use @auth.authenticate and @auth.on")
    if authenticate is None:
        raise Broken(f"{target} lets nobody in: it registers no @auth.authenticate")
    functions = {"authorize": authorizing(auth), "authenticate": authenticating(authenticate, directory)}
    by_authorization = list(inspect.signature(authenticate).parameters) == ["authorization"]
    registers.append(f"authenticate({', '.join(inspect.signature(authenticate).parameters)})")
    registers += [f"on {resource}.{action}" for resource, action in auth._handlers]
    registers += ["on everything else"] * len(auth._global_handlers)
    uncovered = [f"{r}.{a}" for r, actions in RESOURCES.items() for a in actions if handler_for(auth, r, a) is None]
    if uncovered:
        registers.append(f"not covered: {', '.join(uncovered)}")
    return Loaded(functions, registers, by_authorization, spell)


def authenticating(function, directory):
    parameters = inspect.signature(function).parameters
    for name, parameter in parameters.items():
        if name not in PARAMETERS and parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD:
            what = f"authenticate asks for {name!r}; it may ask for {', '.join(sorted(PARAMETERS))}"
            raise Broken(what, place_of(function, directory))
    wanted = [name for name in parameters if name in PARAMETERS]
    run, alone = user_code(function), wanted == ["authorization"]

    async def authenticate(given, in_thread):
        try:
            if alone:
                said = await run(in_thread, authorization=authorization_of(given))
            else:
                said = await run(in_thread, **available(given, wanted))
        except Exception as error:
            raise refusal_of_authentication(error) from None
        return identified(said)

    return authenticate


def authorization_of(given):
    for name, value in given["headers"]:
        if name == "authorization":
            return value or None
    return None


def available(given, wanted):
    """What a handler asks for by name, and nothing that costs something and that it does not ask for."""
    scope = {**asgi_scope(given), "path_params": {}}
    found = {
        "path": given["path"], "method": given["method"], "path_params": {}, "headers": dict(scope["headers"]),
        "authorization": authorization_of(given), "user": None, "scopes": [], "scope": scope,
    }
    if "request" in wanted or "query_params" in wanted:
        request = make_request(scope)
        found["request"], found["query_params"] = request, request.query_params
    return {name: found[name] for name in wanted if name in found}


def make_request(scope):
    try:
        from starlette.requests import Request
    except ImportError:
        from fastapi import Request

        return Request(scope)

    async def receive():
        raise RuntimeError("an authentication handler sees a request without its body")

    return Request(scope, receive)


def is_auth_exception(error):
    from langgraph_sdk import Auth

    return isinstance(error, Auth.exceptions.HTTPException)


def refusal_of_authentication(error):
    status = getattr(error, "status_code", None)
    if is_auth_exception(error):
        # The server keeps these two, drops the headers, and calls every other status its own failure.
        return Refuse(status, error.detail) if status in (401, 403) else Refuse(500, "Internal Server Error")
    if isinstance(status, int) and hasattr(error, "detail"):
        return Refuse(status, error.detail, (getattr(error, "headers", None) or {}).items())
    if isinstance(error, ValueError):
        return Refuse(400, str(error))
    return error


def identified(said):
    permissions, user = None, said
    if isinstance(said, tuple):
        if len(said) != 2:
            raise Refuse(400, f"authenticate returned a tuple of {len(said)}; expected {SHAPE}")
        permissions, user = said
    if isinstance(user, str):
        user = {"identity": user}
    elif not isinstance(user, dict):
        if not hasattr(user, "identity"):
            raise Refuse(400, f"authenticate returned {type(user).__name__}; expected {SHAPE}")
        public = getattr(user, "model_dump", None) or getattr(user, "dict", None)
        fields = public() if callable(public) else {k: v for k, v in vars(user).items() if not k.startswith("_")}
        user = {**fields, "identity": user.identity, "permissions": getattr(user, "permissions", [])}
    if not isinstance(user.get("identity"), str) or not user["identity"]:
        raise Refuse(400, f"authenticate returned a user without identity; expected {SHAPE}")
    chosen = permissions if permissions is not None else user.get("permissions") or []
    return {
        "user": {"is_authenticated": True, "display_name": user["identity"], **user, "permissions": list(chosen)},
        "permissions": [str(one) for one in chosen],
    }


class User:
    """The caller as handlers know it: by attribute, by key, nested ones too."""

    def __init__(self, fields):
        object.__setattr__(self, "_fields", fields)

    def __getattr__(self, name):
        try:
            value = self._fields[name]
        except KeyError:
            raise AttributeError(name) from None
        return User(value) if isinstance(value, dict) else value

    def __getitem__(self, name):
        return self._fields[name]

    def __contains__(self, name):
        return name in self._fields

    def __iter__(self):
        return iter(self._fields)

    def get(self, name, default=None):
        return self._fields.get(name, default)

    def keys(self):
        return self._fields.keys()

    def items(self):
        return self._fields.items()

    def values(self):
        return self._fields.values()


class Context:
    def __init__(self, given):
        self.user = User(given["user"])
        self.permissions = list(given.get("permissions") or [])
        self.resource = given["resource"]
        self.action = given["action"]


def handler_for(auth, resource, action):
    """One handler: the exact pair, the resource, the action, everything, the global one."""
    for pair in ((resource, action), (resource, "*"), ("*", action), ("*", "*")):
        if auth._handlers.get(pair):
            return auth._handlers[pair][-1]
    return auth._global_handlers[-1] if auth._global_handlers else None


def authorizing(auth):
    async def authorize(given, in_thread):
        handler = handler_for(auth, given["resource"], given["action"])
        if handler is None:
            return {"covered": False}
        value = typed(given["value"], given.get("uuids") or ())
        metadata = value.get("metadata") if given["resource"] != "store" else None
        try:
            said = await handler(ctx=Context(given), value=value)
        except Exception as error:
            raise refusal_of_authorization(error) from None
        if metadata is not None:
            # The server goes on with the object it had: a new one in its place is not seen.
            value["metadata"] = metadata
        answer = {"covered": True, "value": value}
        if said is None or said is True or said == 1 and isinstance(said, int):
            return answer
        if said is False:
            raise Refuse(403, "Forbidden")
        if isinstance(said, dict):
            return {**answer, "filter": said}
        kind = type(said)
        raise Refuse(500, f"Auth handler returned invalid result. Expected filter dict, None, or boolean. Got {kind} instead.")

    return authorize


def refusal_of_authorization(error):
    status = getattr(error, "status_code", None)
    if isinstance(status, int) and hasattr(error, "detail"):
        return Refuse(status, error.detail, (getattr(error, "headers", None) or {}).items())
    if isinstance(error, AssertionError):
        return Refuse(403, str(error) or "unknown error")
    if isinstance(error, ValueError):
        return Refuse(400, str(error))
    return error


def typed(value, uuids):
    """What the server hands on: ids as UUIDs where it has them as such, a namespace as a tuple."""
    made = dict(value)
    for path in uuids:
        within, (*above, name) = made, path.split(".")
        for step in above:
            # A copy of its own: what was given stays as it is.
            within[step] = dict(within.get(step) or {})
            within = within[step]
        if isinstance(within.get(name), str):
            within[name] = uuid.UUID(within[name])
        elif isinstance(within.get(name), list):
            within[name] = [uuid.UUID(one) for one in within[name]]
    for name in ("namespace", "suffix"):
        if isinstance(made.get(name), list):
            made[name] = tuple(made[name])
    return made


def spell(one):
    """What the platform takes in an answer although it is no JSON."""
    if isinstance(one, uuid.UUID):
        return str(one)
    raise Invalid(f"it holds {type(one).__name__}, which is no JSON")
