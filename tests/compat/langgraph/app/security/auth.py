"""One file of handlers for every rule of LangGraph's custom auth; Doorward and the real server load it alike.

Who calls is the Bearer token. What is tried stands in the header `x-case`, as JSON:

    {"return": NAME}   authenticate returns RETURNS[NAME]
    {"raise": NAME}    authenticate raises RAISES[NAME]
    {"echo": NAME}     authenticate refuses with its parameter NAME as the detail
    {"on": NAME}       the authorization handler does as RESULTS[NAME] says
    {"filter": …}      the authorization handler returns this
    {"ask": "who"}     the authorization handler refuses with the name it was registered under
    {"ask": "ctx"}     … with what it was given

Whoever RETURNS made is shown as the authorization handlers see them. Without the header everybody reaches what they own, as in LangGraph's tutorial.
"""

import asyncio
import json

from langgraph_sdk import Auth

try:
    from starlette.exceptions import HTTPException as Starlette
except ImportError:  # the drop-in's interpreter
    Starlette = None

auth = Auth()
Refusal = Auth.exceptions.HTTPException


class Person:
    def __init__(self, **fields):
        self.__dict__.update(fields)


RETURNS = {
    "str": lambda: "ann",
    "dict": lambda: {"identity": "ann", "permissions": ["a:b"]},
    "object": lambda: Person(identity="ann", permissions=["c"], is_authenticated=True, display_name="Ann"),
    "object with nothing else": lambda: Person(identity="ann"),
    "pair of permissions and dict": lambda: (["x"], {"identity": "ann", "permissions": ["y"]}),
    "pair of permissions and str": lambda: (["x", "y"], "ann"),
    "not authenticated": lambda: {"identity": "ann", "is_authenticated": False},
    "display name None": lambda: {"identity": "ann", "display_name": None, "is_authenticated": True},
    "extra fields": lambda: {"identity": "ann", "org": {"plan": "pro", "seats": [1, 2]}},
    "None": lambda: None,
    "int": lambda: 7,
    "True": lambda: True,
    "empty dict": lambda: {},
    "dict without identity": lambda: {"name": "ann"},
    "list": lambda: ["ann"],
    "one": lambda: ({"identity": "ann"},),
    "three": lambda: (["x"], {"identity": "ann"}, "more"),
    "object without identity": lambda: Person(name="ann"),
}

RAISES = {
    "401": lambda: Refusal(status_code=401, detail="Invalid token"),
    "401 with headers": lambda: Refusal(status_code=401, detail="no", headers={"x-why": "because"}),
    "403": lambda: Refusal(status_code=403, detail="not you"),
    "default": lambda: Refusal(),
    "402": lambda: Refusal(status_code=402, detail="pay"),
    "404": lambda: Refusal(status_code=404, detail="nobody"),
    "429": lambda: Refusal(status_code=429, detail="slowly"),
    "500": lambda: Refusal(status_code=500, detail="broken"),
    "503": lambda: Refusal(status_code=503, detail="later"),
    "ValueError": lambda: ValueError("odd token"),
    "AssertionError": lambda: AssertionError("secret-word"),
    "KeyError": lambda: KeyError("secret-word"),
    "RuntimeError": lambda: RuntimeError("secret-word"),
    "TypeError": lambda: TypeError("secret-word"),
    "PermissionError": lambda: PermissionError("secret-word"),
    "Starlette 401": lambda: Starlette(401, "no"),
    "Starlette 403": lambda: Starlette(403, "never", headers={"x-why": "because"}),
    "Starlette 402": lambda: Starlette(402, "pay"),
    "Starlette 418": lambda: Starlette(418, "teapot"),
    "Starlette 503": lambda: Starlette(503, "later", headers={"retry-after": "7"}),
}

RESULTS = {
    "None": lambda ctx, value: None,
    "True": lambda ctx, value: True,
    "False": lambda ctx, value: False,
    "1": lambda ctx, value: 1,
    "0": lambda ctx, value: 0,
    "2": lambda ctx, value: 2,
    "1.0": lambda ctx, value: 1.0,
    "str": lambda ctx, value: "yes",
    "empty str": lambda ctx, value: "",
    "list": lambda ctx, value: ["owner"],
    "empty list": lambda ctx, value: [],
    "tuple": lambda ctx, value: ("owner", "ann"),
    "empty dict": lambda ctx, value: {},
    "another's": lambda ctx, value: {"owner": "nobody"},
}

RESULT_RAISES = {
    "401": lambda: Refusal(status_code=401, detail="again"),
    "402 with headers": lambda: Refusal(status_code=402, detail="pay", headers={"x-plan": "pro"}),
    "403": lambda: Refusal(status_code=403, detail="not that"),
    "404": lambda: Refusal(status_code=404, detail="hidden"),
    "409": lambda: Refusal(status_code=409, detail="taken"),
    "429 with headers": lambda: Refusal(status_code=429, detail="slowly", headers={"retry-after": "9"}),
    "500": lambda: Refusal(status_code=500, detail="broken"),
    "503": lambda: Refusal(status_code=503, detail="later"),
    "default": lambda: Refusal(),
    "AssertionError": lambda: AssertionError("paid only"),
    "AssertionError without text": lambda: AssertionError(),
    "ValueError": lambda: ValueError("odd value"),
    "KeyError": lambda: KeyError("secret-word"),
    "RuntimeError": lambda: RuntimeError("secret-word"),
    "TypeError": lambda: TypeError("secret-word"),
    "Starlette 402": lambda: Starlette(402, "pay", headers={"x-plan": "pro"}),
}


@auth.authenticate
async def who(request, path, method, path_params, query_params, headers, authorization: str | None, user, scopes, scope, spare="spare"):
    case = json.loads(headers.get(b"x-case") or b"{}")
    if "echo" in case:
        raise Refusal(status_code=403, detail=echo(case["echo"], locals()))
    if "return" in case:
        return RETURNS[case["return"]]()
    if "raise" in case:
        raise RAISES[case["raise"]]()
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.startswith("user-"):
        raise Refusal(status_code=401, detail="Invalid token")
    await asyncio.sleep(0)
    return {"identity": token, "case": case, "permissions": case.get("permissions", [])}


def echo(name, given):
    """The parameter as a text that two servers can be compared by."""
    value = given[name]
    if name == "headers":
        return json.dumps(sorted([key.decode(), text.decode()] for key, text in value.items() if key in (b"x-probe", b"x-upper", b"authorization")))
    if name == "query_params":
        return json.dumps([value.get("a"), sorted(value.keys()), str(value.get("none"))])
    if name == "request":
        return json.dumps([request_part(value, part) for part in ("method", "path", "query", "header", "type")])
    if name == "scope":
        return json.dumps([value["type"], value["method"], value["path"], value["query_string"].decode(), sorted(map(type_names, value["headers"][:1]))])
    return repr(value)


def request_part(request, part):
    return {
        "method": lambda: request.method,
        "path": lambda: request.url.path,
        "query": lambda: request.query_params.get("a"),
        "header": lambda: request.headers.get("X-Probe"),
        "type": lambda: request.scope["type"],
    }[part]()


def type_names(pair):
    return [type(part).__name__ for part in pair]


def plain(value):
    """A value of a handler as JSON, ids and times by their type alone."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, (str, int, float, bool)) else type(value).__name__


def shown(ctx):
    """Who RETURNS made, as a handler sees it."""
    user = ctx.user
    return json.dumps({
        "identity": [user.identity, user["identity"], user.get("identity")],
        "display_name": user.display_name,
        "is_authenticated": user.is_authenticated,
        "permissions": list(ctx.permissions),
        "org": [user.org.plan, user["org"]["seats"]] if "org" in user else None,
    })


def registered(name):
    """A handler that knows under which name it was registered."""

    async def handler(ctx, value):
        if ctx.user.identity == "ann":
            raise Refusal(status_code=418, detail=shown(ctx))
        case = ctx.user.get("case") or {}
        if case.get("ask") == "who":
            raise Refusal(status_code=418, detail=name)
        if case.get("ask") == "ctx":
            given = {"resource": ctx.resource, "action": ctx.action, "permissions": list(ctx.permissions), "identity": ctx.user.identity,
                     "value": plain(value)}
            raise Refusal(status_code=418, detail=json.dumps(given, sort_keys=True))
        if "on" in case:
            if case["on"].startswith("raise "):
                raise RESULT_RAISES[case["on"][6:]]()
            return RESULTS[case["on"]](ctx, value)
        if "filter" in case:
            return case["filter"]
        return owner(ctx, value, case.get("metadata"))

    return handler


def owner(ctx, value, how):
    """The tutorial's rule; `how` writes the metadata in another way."""
    filters = {"owner": ctx.user.identity}
    if how == "replaced":
        value["metadata"] = {"owner": "replaced", "by": "handler"}
    elif how == "both":
        value.setdefault("metadata", {})["in"] = "place"
        value["metadata"] = {"owner": "replaced"}
    elif how == "removed":
        value.get("metadata", {}).clear()
    elif how == "untouched":
        pass
    else:
        value.setdefault("metadata", {}).update(filters)
    return None if how else filters


auth.on.threads.create(registered("threads.create"))
auth.on.threads(registered("threads"))
auth.on(actions="search")(registered("*.search"))
auth.on(registered("global"))
