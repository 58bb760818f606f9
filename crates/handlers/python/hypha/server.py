"""`server`, as start-up functions get it: what the hub's manager offers, and what a client adds to it."""

import inspect
import re

from _doorward_hypha.services import Service
from _doorward_hypha.value import Codec, Fields

LOGIN_SERVICE = "start-up-login"
LOGIN_PAGE = "start-up-login-page"


class Absent:
    """Something of the real server that Doorward has no such object for."""

    def __init__(self, name, instead):
        object.__setattr__(self, "_about", f"server.{name} is not there with Doorward: {instead}")

    def __getattr__(self, name):
        raise AttributeError(f"{self._about} (asked for {name})")

    def __call__(self, *_, **__):
        raise NotImplementedError(self._about)


class Rpc:
    """As much of hypha-rpc's `RPC` object as services look at."""

    def __init__(self, client, server):
        self._client = client
        self.manager_id = client.info["manager_id"]
        self.client_id, self.workspace = client.id, client.workspace
        self.register_service, self.unregister_service = server.register_service, server.unregister_service
        self.register_codec, self.disconnect = server.register_codec, server.disconnect
        self.emit, self.on, self.off, self.once = server.emit, server.on, server.off, server.once
        self.get_manager_service = server.manager

    def get_client_info(self):
        client = self._client
        return {"id": client.id, "services": [service.record(client.workspace, client.id) for service in client.services.values()]}

    def get_all_local_services(self):
        return {id_: service.api for id_, service in self._client.services.items()}

    async def get_remote_service(self, uri=None, config=None):
        client = self._client
        target, _, service = (uri or f"{client.hub}:default").rpartition(":")
        return await client.call(target, "services.built-in.get_service", [service], timeout_s=(config or {}).get("timeout"))


class Server:
    """Functions and settings by attribute and by key, in Python's spelling and in JavaScript's."""

    def __init__(self, client, manager, hooks):
        self._client = client
        self._manager = manager
        self._hooks = hooks
        self.config = Fields(client.info)
        self.store = Absent("store", "services, workspaces and tokens are reached through the functions of server; get_root_user is one of them")
        self.rpc = Rpc(client, self)

    @classmethod
    async def enter(cls, client, hooks):
        """Does what every client does first: asks for the manager, and says what it offers itself."""
        manager = await client.call(client.hub, "services.built-in.get_service", ["default"])
        await manager.register_service(client.services["built-in"].record(client.workspace, client.id))
        if "subscribe" in manager:
            await manager.subscribe(["client_disconnected"])
        return cls(client, manager, hooks)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        own = re.sub(r"(?<=[a-z0-9])([A-Z])", lambda found: "_" + found.group(1).lower(), name)
        # What a client adds comes before what the manager has under the same name.
        if own != name and not own.startswith("_") and hasattr(type(self), own):
            return getattr(self, own)
        if own in self._manager:
            return self._manager[own]
        raise AttributeError(f"server has no {name}; it has {', '.join(self.keys())}")

    def __getitem__(self, name):
        if not isinstance(name, str) or name.startswith("_"):
            raise KeyError(name)
        try:
            return getattr(self, name)
        except AttributeError:
            raise KeyError(f"server has no {name}; it has {', '.join(self.keys())}") from None

    def __contains__(self, name):
        return isinstance(name, str) and not name.startswith("_") and hasattr(self, name)

    def get(self, name, default=None):
        return self[name] if name in self else default

    def keys(self):
        own = {name for name in dir(type(self)) if not name.startswith("_")} - {"enter", "get", "keys"}
        return sorted(own | {"config", "rpc"} | {name for name, one in self._manager.items() if callable(one)})

    def __iter__(self):
        return iter(self.keys())

    async def manager(self, config=None):
        """The hub's manager itself."""
        return self._manager

    # Services.

    async def register_service(self, api, config=None, **named):
        """Registers a map or an object; answers what the hub knows of it. `overwrite=True` replaces one of the same id."""
        options = {**(config or {}), **named}
        return await self._register(Service(api), bool(options.get("overwrite")))

    async def _register(self, service, overwrite=False):
        services = self._client.services
        if service.id == "built-in" or service.id in services and not overwrite:
            raise ValueError(f"Service already exists: {service.id}, please specify a different id or overwrite=True")
        before, services[service.id] = services.get(service.id), service
        record = service.record(self._client.workspace, self._client.id)
        try:
            await self._manager.register_service(record)
        except BaseException:
            if before is None:
                services.pop(service.id, None)
            else:
                services[service.id] = before
            raise
        return Fields({**record, "config": Fields(record["config"])})

    async def unregister_service(self, service, *_):
        """By its id, or by what `register_service` answered."""
        id_ = service if isinstance(service, str) else service["id"]
        own = id_.rsplit(":", 1)[-1].rsplit("/", 1)[-1].split("@")[0]
        if own == "built-in" or own not in self._client.services:
            raise KeyError(f"Service not found: {id_}")
        await self._manager.unregister_service(own)
        self._client.services.pop(own, None)

    async def export(self, api, config=None, **named):
        """Registers it as `default`."""
        return await self.register_service({**(api if isinstance(api, dict) else Service(api).api), "id": "default"}, config, overwrite=True, **named)

    async def get_app(self, client_id):
        return await self._manager.get_service(f"{client_id}:default")

    async def get_service_schema(self, service):
        return Service({"id": "schema", **service}).record(self._client.workspace, self._client.id)["service_schema"]

    def register_codec(self, config):
        """How values of one type travel: `name`, `type`, `encoder`, `decoder`."""
        codec = Codec(config["name"], config.get("type"), config.get("encoder"), config.get("decoder"))
        if codec.encoder is None and codec.decoder is None:
            raise ValueError("a codec has an encoder or a decoder")
        self._client.codecs[codec.name] = codec

    # Events.

    def emit(self, message, data=None):
        """A text is an event of this process; a map with `to` goes to who is named there."""
        if isinstance(message, str):
            return self._client.fire(message, data)
        if not isinstance(message, dict) or "type" not in message:
            raise ValueError("an event is a map with type")
        if "to" not in message:
            return self._client.fire(message["type"], message)
        from _doorward_hypha.msgpack import pack

        self._client.send(pack({**message, "from": self._client.address}))

    def on(self, event, handler):
        self._client.on(event, handler)

    def once(self, event, handler):
        self._client.on(event, handler, once=True)

    def off(self, event, handler=None):
        self._client.off(event, handler)

    async def disconnect(self):
        """Takes back every service; Doorward goes on asking the hooks."""
        for service in [one for one in self._client.services if one not in ("built-in", LOGIN_SERVICE, LOGIN_PAGE)]:
            await self.unregister_service(service)

    # What only start-up functions may.

    async def register_auth_service(self, **given):
        self._hooks.register(**given)

    async def set_parse_token_function(self, function):
        self._hooks.set_hook("parse_token", function)

    async def set_generate_token_function(self, function):
        self._hooks.set_hook("generate_token", function)

    async def set_get_token_function(self, function):
        self._hooks.set_hook("get_token", function)

    async def set_login_service(self, app):
        """An ASGI application that answers at the login page's address."""
        self._hooks.set_app(app)

    def get_root_user(self):
        from hypha.core import root_user

        return root_user()

    def get_workspace_interface(self, *_, **__):
        raise NotImplementedError(
            "server.get_workspace_interface is not there with Doorward: a start-up function stands in the workspace public;"
            " server.generate_token makes a token with which a client of hypha-rpc enters another"
        )

    # What becomes of the registrations.

    async def register_login(self):
        """The services behind the login page, once every start-up function is done: their ids, or `None`."""
        hooks, client = self._hooks, self._client
        login = app = None
        if hooks.login:
            # The hub calls them for whoever asks, and says who that is; it alone has seen that a reported token is good.
            trusted = {client.hub, f"public/{client.info.get('server_id')}"}
            # Plain functions run in threads: one that waits keeps nobody else from logging in.
            config = {"visibility": "unlisted", "run_in_executor": True}
            api = {**hooks.login, "id": LOGIN_SERVICE, "type": "functions", "config": config}
            await self._register(Service(api, context_where_taken=True, only_from=trusted), overwrite=True)
            login = {"service": f"{client.address}:{LOGIN_SERVICE}", "methods": sorted(hooks.login)}
        if hooks.app is not None:
            api = {"id": LOGIN_PAGE, "type": "asgi", "config": {"visibility": "unlisted"}, "serve": serving(hooks.app)}
            await self._register(Service(api), overwrite=True)
            app = f"{client.address}:{LOGIN_PAGE}"
        return login, app


def serving(app):
    """An ASGI application as a service's `serve`: what came as lists is pairs again."""

    async def serve(args):
        scope = dict(args["scope"])
        scope["headers"] = [(bytes(name), bytes(value)) for name, value in scope.get("headers") or []]
        for name in ("client", "server"):
            if isinstance(scope.get(name), list):
                scope[name] = tuple(scope[name])
        said = app(scope, args["receive"], args["send"])
        if inspect.isawaitable(said):
            await said

    return serve
