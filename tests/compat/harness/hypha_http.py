"""The plain HTTP transport of Hypha, frame by frame, and a relay that can cut connections."""

import asyncio
import contextlib
import struct
from uuid import uuid4

import httpx
import msgpack

from harness.client import next_address
from harness.hypha import LIMIT_S, Hub, Refusal, packed, unpacked

#: What the server says by itself.
CONTROL = {"connection_info", "ping", "pong", "reconnection_token", "error"}


def client_of(address: str | None = None, **options) -> httpx.AsyncClient:
    """As hypha-rpc has one, from an address of its own; it keeps cookies."""
    transport = httpx.AsyncHTTPTransport(local_address=address or next_address())
    return httpx.AsyncClient(transport=transport, timeout=LIMIT_S, trust_env=False, **options)


class Line:
    """A stream that is open, and requests beside it: an async context that ends it."""

    def __init__(self, hub: Hub, token: str | None = None, **query) -> None:
        self.url, self.token = f"{hub.url}/rpc", token
        self.query = {"client_id": f"line-{uuid4().hex[:12]}", **query}
        self.http, self.info, self.ended = client_of(), {}, False

    @property
    def headers(self) -> dict:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    async def __aenter__(self) -> "Line":
        request = self.http.build_request("GET", self.url, params=self.query, headers=self.headers)
        self.answer = await self.http.send(request, stream=True)
        self._bytes, self._buffer = self.answer.aiter_raw(), b""
        if self.answer.status_code == 200:
            self.info = (await self.frame())[0]
        else:
            await self.answer.aread()
        return self

    async def __aexit__(self, *_) -> None:
        await self.answer.aclose()
        await self.http.aclose()

    async def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._buffer += await asyncio.wait_for(anext(self._bytes), LIMIT_S)
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    async def frame(self, wanted=lambda main: main["type"] != "ping") -> tuple[dict, dict | None]:
        """The next frame that `wanted(main)` takes."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                (length,) = struct.unpack(">I", await self._take(4))
                main, extra = unpacked(await self._take(length))
                if wanted(main):
                    return main, extra

    async def end(self) -> list[dict]:
        """What the server says until it ends the stream."""
        said = []
        with contextlib.suppress(StopAsyncIteration, httpx.HTTPError):
            while True:
                said.append((await self.frame(lambda _: True))[0])
        return said

    @property
    def address(self) -> str:
        return f"{self.info['workspace']}/{self.info['client_id']}"

    async def post(self, body: bytes, *, http: httpx.AsyncClient | None = None, token: str | None = "own", query: dict | None = None, **headers) -> httpx.Response:
        """A request beside the stream; `http` and `token` are somebody else's where they are given."""
        shown = self.headers if token == "own" else {"Authorization": f"Bearer {token}"} if token else {}
        query = {"client_id": self.info["client_id"], "workspace": self.info["workspace"]} if query is None else query
        return await (http or self.http).post(self.url, params=query, content=body, headers={**shown, **headers})

    def call_of(self, to: str, method: str, *args) -> tuple[str, bytes]:
        session = uuid4().hex
        head = {"type": "method", "from": self.address, "to": to, "method": method, "session": session}
        return session, packed(head, {"args": list(args), "promise": "*", "t": 15.0})

    async def call(self, to: str, method: str, *args):
        session, body = self.call_of(to, method, *args)
        answer = await self.post(body)
        assert (answer.status_code, answer.content) == (200, b""), answer.text
        ends = {f"{session}.resolve", f"{session}.reject"}
        main, extra = await self.frame(lambda main: main.get("method") in ends)
        value = ((extra or {}).get("args") or [None])[0]
        if main["method"].endswith(".reject"):
            raise Refusal(value["_rvalue"] if isinstance(value, dict) else value)
        return value

    async def ask_hub(self, method: str, *args):
        return await self.call(f"*/{self.info['manager_id']}", f"services.default.{method}", *args)

    async def alive(self) -> None:
        assert await self.ask_hub("echo", "still here") == "still here"


def said(**members) -> bytes:
    """A map that goes nowhere."""
    return msgpack.packb(members)


class Relay:
    """Passes bytes on to the hub, and cuts every connection when it is told to: an async context."""

    def __init__(self, hub: Hub) -> None:
        host, _, rest = hub.url.removeprefix("http://").partition("/")
        name, port = host.split(":")
        self._to, self._path = (name, int(port)), f"/{rest}"
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> "Relay":
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}{self._path}"
        return self

    async def __aexit__(self, *_) -> None:
        self._server.close()
        self.cut()

    def cut(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _pass_on(self, reader, writer) -> None:
        there, back = await asyncio.open_connection(*self._to)
        self._writers |= {writer, back}
        try:
            await asyncio.gather(self._copy(reader, back), self._copy(there, writer))
        finally:
            for one in (writer, back):
                self._writers.discard(one)
                one.transport.abort()

    @staticmethod
    async def _copy(reader, writer) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(1 << 16):
                writer.write(piece)
                await writer.drain()
        writer.transport.abort()
