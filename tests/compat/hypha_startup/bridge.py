"""The channel of a start-up process, piped to a running hub by a WebSocket: what the socket's other end says goes out as binary messages."""

import asyncio
import socket
from uuid import uuid4

import msgpack

from harness.hypha import Hub, Person, packed, unpacked, until

LARGEST = (1 << 20) + (64 << 10)


class Bridge:
    """An async context; `theirs` is the end for the process, whose first frame is there already."""

    def __init__(self, hub: Hub, who: Person) -> None:
        self.hub, self.who = hub, who
        self.sent: list[bytes] = []

    async def __aenter__(self) -> "Bridge":
        self.wire = await self.hub.wire().__aenter__()
        self.info = await self.wire.hello(token=self.who.token)
        assert self.info["type"] == "connection_info", self.info
        self.info["server_id"] = self.info["manager_id"].removeprefix("manager-")
        ours, self.theirs = socket.socketpair()
        ours.setblocking(False)
        self.reader, self.writer = await asyncio.open_unix_connection(sock=ours)
        self.hand(msgpack.packb(self.info))
        self.pumps = [asyncio.ensure_future(self.inward()), asyncio.ensure_future(self.outward())]
        return self

    async def __aexit__(self, *_) -> None:
        for pump in self.pumps:
            pump.cancel()
        await asyncio.gather(*self.pumps, return_exceptions=True)
        self.writer.close()
        await self.wire.__aexit__()

    def hand(self, frame: bytes) -> None:
        """Puts a frame into the channel, whoever it is from."""
        self.writer.write(len(frame).to_bytes(4, "big") + frame)

    async def asked(self, method: str, *args, sender: str = "somewhere/somebody", named: dict | None = None, **main):
        """Calls the process past the hub, as if the hub had let it through; answers what the reply's `main` and argument are."""
        session = uuid4().hex
        head = {"type": "method", "from": sender, "to": f"{self.info['workspace']}/{self.info['client_id']}", "method": method, "session": session}
        extra = {"args": [*args, *([named] if named else [])], "promise": "*", "t": 15.0, **({"with_kwargs": True} if named else {})}
        self.hand(packed({**head, "ws": sender.split("/")[0], "user": {"id": "somebody", "roles": []}, **main}, extra))
        ends = {f"{session}.resolve", f"{session}.reject"}

        async def reply():
            for frame in self.sent:
                main, extra = unpacked(frame)
                if main.get("method") in ends:
                    return main, extra["args"][0]

        return await until(reply, f"{method} is answered")

    async def inward(self) -> None:
        while True:
            frame = await self.wire.socket.recv()
            if isinstance(frame, bytes):
                self.hand(frame)
                await self.writer.drain()

    async def outward(self) -> None:
        while True:
            size = int.from_bytes(await self.reader.readexactly(4), "big")
            assert size <= LARGEST, size
            frame = await self.reader.readexactly(size)
            self.sent.append(frame)
            await self.wire.socket.send(frame)
