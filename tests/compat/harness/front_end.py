"""A front end beside the hub: pages of its own at one origin, everything else passed on, as a reverse proxy does it."""

import asyncio
import re
import threading

from harness.programs import SHARED, left_out

DOCUMENT = SHARED / "seeds" / "hypha-authentication.md"


def block(holding: str) -> str:
    """The one JavaScript block of the document that holds this text."""
    if not DOCUMENT.is_file():
        raise left_out("Hypha's document is absent (../shared/seeds)")
    blocks = re.findall(r"^```javascript\n(.*?)^```$", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    found = [block for block in blocks if holding in block]
    assert len(found) == 1, f"{len(found)} blocks hold {holding!r}"
    return found[0]


class FrontEnd:
    """A context that listens from its first moment; `pages` are by path, `to` is the port that gets everything else."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[str, str]] = {}
        self.to: int | None = None
        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> "FrontEnd":
        started = threading.Event()

        async def serve():
            server = await asyncio.start_server(self._answer, "127.0.0.1", 0, limit=1 << 16)
            self.origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            started.set()

        def run():
            self._loop.create_task(serve())
            self._loop.run_forever()

        threading.Thread(target=run, daemon=True).start()
        assert started.wait(10)
        return self

    def __exit__(self, *_) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)

    def page(self, path: str, text: str, kind: str = "text/html; charset=utf-8") -> str:
        self.pages[path] = (kind, text)
        return self.origin + path

    async def _answer(self, reader, writer) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode().split("?")[0]
            if path in self.pages or self.to is None:
                kind, text = self.pages.get(path, ("text/plain", ""))
                status, body = ("200 OK" if path in self.pages else "404 Not Found"), text.encode()
                writer.write(f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
                await writer.drain()
            else:
                # One request a connection, so that each is looked at.
                await self._pass_on(re.sub(rb"(?i)connection: keep-alive", b"Connection: close", head), reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _pass_on(self, head: bytes, reader, writer) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self.to)
        back.write(head)

        async def copy(source, sink):
            try:
                while piece := await source.read(1 << 16):
                    sink.write(piece)
                    await sink.drain()
            except ConnectionError:
                pass
            sink.close()

        await asyncio.gather(copy(reader, back), copy(there, writer))
