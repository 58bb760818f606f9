"""Hypha's routes of a running Doorward: people who come through its clients, and frames by hand."""

import asyncio
import contextlib
import io
import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin, urlsplit
from uuid import uuid4

import msgpack
import numpy
import requests
from hypha_rpc import connect_to_server
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from harness import native
from harness.client import Client, next_address
from harness.doorward import Doorward
from harness.programs import ROOT, clean_environment, node_binary, node_modules

#: The longest that anything here is waited for; no test comes near it unless it fails.
LIMIT_S = 20.0
APP = ROOT / "tests" / "compat" / "hypha" / "app" / "client.cjs"


@dataclass
class Person:
    """Somebody who signed up and logged in; `http` calls the hub as that person."""

    name: str
    id: str
    token: str
    http: Client = field(repr=False)
    email: str | None = None

    @property
    def workspace(self) -> str:
        return f"ws-user-{self.id}"


class Hub:
    """One mount: its address, people with a token, and ways to come in."""

    def __init__(self, server: Doorward, mount: str = "hypha", config: Path | None = None) -> None:
        self.server, self.config = server, config
        self.url = server.mount(mount)
        self.pid = server.program.process.pid

    def person(self, *, email: str | None = None, roles: tuple[str, ...] = ()) -> Person:
        """A new user; `roles` are given before the login."""
        client, name = Client(self.server.url), native.new_name()
        made = native.sign_up(client, name, **({"email": email} if email else {}))
        assert made.status_code == 201, made.text
        if roles:
            self.server.command("user", "set-roles", name, *roles, *(("--config", self.config) if self.config else ()))
        token = native.Tokens.of(native.log_in(client, name)).access
        return Person(name, made.json()["id"], token, Client(self.url, token), email)

    def http(self, token: str | None = None) -> Client:
        """From an address of its own."""
        return Client(self.url, token)

    def enter(self, who: Person | str | None = None, **config):
        """The Python client: `async with hub.enter(person) as server`."""
        token = who.token if isinstance(who, Person) else who
        return connect_to_server({"server_url": self.url, **({"token": token} if token else {}), **config})

    def wire(self, path: str = "/ws", **options) -> "Wire":
        return Wire(f"ws{self.url.removeprefix('http')}{path}", **options)

    async def wired(self, stack: contextlib.AsyncExitStack, who: Person | str | None = None, **hello) -> "Wire":
        """A raw client that has been let in, closed with the stack."""
        wire = await stack.enter_async_context(self.wire())
        token = who.token if isinstance(who, Person) else who
        answer = await wire.hello(token=token, **hello)
        assert answer["type"] == "connection_info", answer
        return wire


async def asked(client: Client, method: str, path: str, **options) -> requests.Response:
    """An HTTP request beside whatever the loop of the test does meanwhile."""
    return await asyncio.to_thread(client.request, method, path, **options)


async def until(ready, what: str, limit_s: float = LIMIT_S):
    """Polls the coroutine function `ready` until it answers something true, and returns that."""
    async with asyncio.timeout(limit_s):
        while True:
            answer = await ready()
            if answer:
                return answer
            await asyncio.sleep(0.02)
    raise AssertionError(what)


def unpacked(frame: bytes) -> tuple[dict, dict | None]:
    """The two maps of a binary frame."""
    unpacker = msgpack.Unpacker(io.BytesIO(frame), max_buffer_size=0)
    parts = list(unpacker)
    assert 1 <= len(parts) <= 2, parts
    return parts[0], parts[1] if len(parts) == 2 else None


def packed(main: dict, extra: dict | None = None) -> bytes:
    return msgpack.packb(main) + (b"" if extra is None else msgpack.packb(extra))


class Refusal(Exception):
    """What the other side rejected a call with."""


class Wire:
    """One websocket, frame by frame, from an address of its own."""

    def __init__(self, url: str, **options) -> None:
        self.url = url
        self.info: dict = {}
        self.address = next_address()
        self._options = {"local_addr": (self.address, 0), "proxy": None, "compression": None, "max_size": None, "ping_interval": None, **options}

    async def __aenter__(self) -> "Wire":
        self.socket = await asyncio.wait_for(connect(self.url, **self._options), LIMIT_S)
        return self

    async def __aexit__(self, *_) -> None:
        self.socket.transport.abort()

    async def send(self, frame: str | bytes) -> None:
        await asyncio.wait_for(self.socket.send(frame), LIMIT_S)

    async def receive(self, limit_s: float = LIMIT_S) -> str | bytes:
        return await asyncio.wait_for(self.socket.recv(), limit_s)

    async def text(self) -> dict:
        """The next text frame; binary ones before it are dropped, as the clients do."""
        async with asyncio.timeout(LIMIT_S):
            while not isinstance(frame := await self.receive(), str):
                pass
        return json.loads(frame)

    async def hello(self, **fields) -> dict:
        """Says who comes, and what is answered."""
        said = {"client_id": f"wire-{uuid4().hex[:12]}", "workspace": None, "token": None, "reconnection_token": None, **fields}
        await self.send(json.dumps(said))
        answer = await self.text()
        self.info = answer if answer.get("type") == "connection_info" else {}
        return answer

    @property
    def id(self) -> str:
        return self.info["client_id"]

    @property
    def address_of_hub(self) -> str:
        return f"*/{self.info['manager_id']}"

    async def closed(self, limit_s: float = LIMIT_S) -> tuple[int, str]:
        """Code and reason of the close, whatever comes before it."""
        async with asyncio.timeout(limit_s):
            try:
                while True:
                    await self.socket.recv()
            except ConnectionClosed as end:
                return (end.rcvd.code, end.rcvd.reason) if end.rcvd else (1006, "")

    async def start(self, to: str, method: str, *args, kwargs: dict | None = None, **main) -> str:
        """Sends a call and answers its session."""
        session = uuid4().hex
        given = [*args, kwargs] if kwargs is not None else list(args)
        extra = {"args": given, "promise": "*", "t": 15.0, **({"with_kwargs": True} if kwargs is not None else {})}
        head = {"type": "method", "from": f"{self.info['workspace']}/{self.id}", "to": to, "method": method, "session": session}
        await self.send(packed({**head, **main}, extra))
        return session

    async def frame(self, wanted, limit_s: float = LIMIT_S) -> tuple[dict, dict | None]:
        """The next binary frame that `wanted(main)` takes."""
        async with asyncio.timeout(limit_s):
            while True:
                frame = await self.socket.recv()
                if isinstance(frame, bytes):
                    main, extra = unpacked(frame)
                    if wanted(main):
                        return main, extra

    async def end_of(self, session: str):
        """What the session was resolved with; raises `Refusal` when it was rejected."""
        ends = {f"{session}.resolve", f"{session}.reject"}
        main, extra = await self.frame(lambda main: main.get("method") in ends or main.get("session") == session and main["type"] == "peer_not_found")
        if main["type"] == "peer_not_found":
            raise Refusal(main.get("error"))
        value = ((extra or {}).get("args") or [None])[0]
        if main["method"].endswith(".reject"):
            raise Refusal(value["_rvalue"] if isinstance(value, dict) else value)
        return value

    async def call(self, to: str, method: str, *args, kwargs: dict | None = None, **main):
        return await self.end_of(await self.start(to, method, *args, kwargs=kwargs, **main))

    async def ask_hub(self, method: str, *args, **kwargs):
        """A method of the workspace's manager."""
        return await self.call(self.address_of_hub, f"services.default.{method}", *args, kwargs=kwargs or None)

    async def alive(self) -> None:
        """The server still answers this connection."""
        assert await self.ask_hub("echo", "still here") == "still here"


def same(left, right) -> bool:
    """Equality at any depth, with arrays among the values."""
    if isinstance(left, numpy.ndarray) or isinstance(right, numpy.ndarray):
        return type(left) is type(right) and left.dtype == right.dtype and numpy.array_equal(left, right)
    if isinstance(left, dict):
        return isinstance(right, dict) and left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple)):
        return isinstance(right, (list, tuple)) and len(left) == len(right) and all(map(same, left, right))
    return type(left) is type(right) and left == right


class Script:
    """`hypha/app/client.cjs` in Node: the JavaScript client; an async context that ends it."""

    def __init__(self, hub: Hub, step: str, **given) -> None:
        self._command = [node_binary(), "--experimental-websocket", "--no-warnings", APP, hub.url, step, json.dumps(given)]

    async def __aenter__(self) -> "Script":
        pipe = asyncio.subprocess.PIPE
        environment = clean_environment(NODE_PATH=str(node_modules("hypha-rpc")))
        self.process = await asyncio.create_subprocess_exec(*map(str, self._command), stdin=pipe, stdout=pipe, stderr=pipe, env=environment, limit=1 << 24)
        return self

    async def __aexit__(self, *_) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()

    async def told(self) -> dict:
        """The next line of JSON; what the client logs in between is passed over."""
        async with asyncio.timeout(2 * LIMIT_S):
            while line := await self.process.stdout.readline():
                if line.startswith(b'{"'):
                    return json.loads(line)
        raise AssertionError((await self.process.stderr.read()).decode())

    def dismiss(self) -> None:
        self.process.stdin.close()


class Form(HTMLParser):
    """The first form of a page: where it goes and what it holds."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action: str | None = None
        self.method, self.fields, self._inside = "get", {}, False
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list) -> None:
        given = dict(attributes)
        if tag == "form" and self.action is None:
            self.action, self.method, self._inside = given.get("action") or "", (given.get("method") or "get").lower(), True
        elif tag in ("input", "button") and self._inside and given.get("name"):
            self.fields[given["name"]] = given.get("value") or ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False


class Visitor:
    """Somebody at the hub's pages, from an address of their own: keeps cookies as browsers do for this machine, Secure ones too."""

    def __init__(self, hub: Hub) -> None:
        self.client, self.cookies = Client(hub.url), {}
        self.origin = "{0.scheme}://{0.netloc}".format(urlsplit(hub.url))
        self.client.base = ""

    def request(self, method: str, url: str, **options) -> requests.Response:
        headers = {"Origin": self.origin, "Sec-Fetch-Site": "same-origin"} if method == "POST" else {}
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = self.client.request(method, url, headers={**headers, **options.pop("headers", {})}, **options)
        for line in answer.raw.headers.getlist("Set-Cookie"):
            name, value = line.split(";")[0].split("=", 1)
            gone = "max-age=0" in line.lower() or not value
            self.cookies.pop(name, None) if gone else self.cookies.update({name: value})
        return answer

    def open(self, url: str, method: str = "GET", **options) -> requests.Response:
        """As far as redirects lead."""
        for _ in range(5):
            answer = self.request(method, url, **options)
            if answer.status_code not in (301, 302, 303, 307, 308):
                return answer
            method, url, options = ("GET" if answer.status_code == 303 else method), urljoin(url, answer.headers["Location"]), {}
        raise AssertionError(f"redirects without end: {url}")

    def submit(self, url: str, page: str, **fields: str) -> requests.Response:
        """Fills the page's form and sends it."""
        form = Form(page)
        assert form.action is not None and form.method == "post", page
        return self.open(urljoin(url, form.action), "POST", data={**form.fields, **fields})

    def sign_in(self, login_url: str, name: str, password: str = native.PASSWORD) -> requests.Response:
        page = self.open(login_url)
        assert page.status_code == 200 and page.headers["Content-Type"].startswith("text/html"), page.text
        return self.submit(login_url, page.text, username=name, password=password)

    def sign_out(self, logout_url: str) -> requests.Response:
        """Visits the address; a page that asks first is answered."""
        answer = self.open(logout_url)
        if Form(answer.text).action is not None:
            return self.submit(logout_url, answer.text)
        return answer
