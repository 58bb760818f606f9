"""Services of this process: which functions they have, who may call them, and how they are run."""

import inspect

VISIBILITIES = ("public", "protected", "unlisted")
#: Members of a service that say something about it and are none of its functions.
ABOUT = ("id", "config", "name", "description", "type", "docs", "app_id", "service_schema")
#: Deepest nesting of functions in a service, and most of them.
DEEPEST = 16
MOST_METHODS = 1000


class Method:
    def __init__(self, path, function, service):
        self.path = path
        self.function = function
        self.service = service
        wanted = service.config.get("require_context")
        if service.context_where_taken:
            self.with_context = takes_context(function)
        else:
            self.with_context = path in wanted if isinstance(wanted, (list, tuple)) else bool(wanted)


class Service:
    """What `register_service` is given: a map, or an object whose public members count."""

    def __init__(self, api, *, context_where_taken=False, only_from=None):
        if not isinstance(api, dict):
            api = {"id": "default", **{name: getattr(api, name) for name in dir(api) if not name.startswith("_")}}
        self.api = {name: member for name, member in api.items() if not str(name).startswith("_")}
        self.id = self.api.get("id")
        if not isinstance(self.id, str) or not self.id:
            raise ValueError("a service needs an id, which is a text")
        if any(mark in self.id for mark in "./:@ ") or len(self.id) > 128:
            raise ValueError(f"{self.id!r} is no id of a service: it has at most 128 characters, and none of them is . / : @ or a space")
        self.config = dict(self.api.get("config") or {})
        # Nobody but the files themselves may read `public`: a site that is protected there would be a site for nobody.
        self.visibility = self.config.setdefault("visibility", "unlisted" if self.api.get("type") == "asgi" else "protected")
        if self.visibility not in VISIBILITIES:
            raise ValueError(f"visibility is one of {', '.join(VISIBILITIES)}, not {self.visibility!r}")
        invited = self.config.get("authorized_workspaces")
        if invited is not None and (self.visibility != "protected" or not isinstance(invited, list)):
            raise ValueError("authorized_workspaces is a list, and only a protected service has it")
        self.invited = tuple(invited or ())
        self.context_where_taken = context_where_taken
        #: The only ones who may call it, if it is not for everybody whom its visibility lets in.
        self.only_from = only_from
        self.methods = {}
        self.collect(self.api, "", DEEPEST)
        self.names = {id(method.function): f"services.{self.id}.{path}" for path, method in self.methods.items()}

    def collect(self, value, path, depth):
        if callable(value):
            self.methods[path] = Method(path, value, self)
            if len(self.methods) > MOST_METHODS:
                raise ValueError(f"a service has at most {MOST_METHODS} functions")
        elif isinstance(value, (dict, list, tuple)) and depth:
            for name, member in value.items() if isinstance(value, dict) else enumerate(value):
                if path or name not in ABOUT:
                    self.collect(member, f"{path}.{name}" if path else str(name), depth - 1)

    def may_call(self, sender, workspace, hub):
        """Raises for a sender, `workspace/client`, whom the service is not for."""
        if self.only_from is not None:
            if sender not in self.only_from:
                raise PermissionError(f"Permission denied: {self.id} is reached through the server alone")
            return
        theirs = sender.split("/", 1)[0]
        if self.visibility != "protected" or sender == hub or theirs == workspace or theirs in self.invited:
            return
        raise PermissionError(f"Permission denied for invoking protected service {self.id}, workspace mismatch: {workspace} != {theirs}")

    def record(self, workspace, client):
        """What the hub is told of it."""
        schema = {name: schema_of(self.api[name]) for name in self.api if name not in ABOUT and callable(self.api[name])}
        about = self.api.get
        return {
            "config": {**self.config, "workspace": workspace},
            "id": f"{workspace}/{client}:{self.id}",
            "name": about("name") or self.id,
            "description": about("description"),
            "type": about("type") or "generic",
            "docs": about("docs"),
            "app_id": about("app_id") or "*",
            "service_schema": about("service_schema") or schema,
        }


def schema_of(function):
    """As little as callers need to know: its name, what it says of itself, and its parameters by name."""
    given = getattr(function, "__schema__", None)
    if isinstance(given, dict):
        return {"type": "function", "function": given}
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        parameters = ()
    named = [p for p in parameters if p.name not in ("self", "context") and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    doc = inspect.getdoc(function) if inspect.isroutine(function) else None
    about = {
        "name": getattr(function, "__name__", type(function).__name__),
        "description": (doc or "")[:1024],
        "parameters": {
            "type": "object",
            "properties": {p.name: {} for p in named},
            "required": [p.name for p in named if p.default is p.empty],
        },
    }
    return {"type": "function", "function": about}


def takes_context(function):
    """Whether it can be given `context`, by its name or with everything else that is named."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(p.kind is p.VAR_KEYWORD or p.name == "context" and p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
