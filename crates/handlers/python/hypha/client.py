"""A client of Hypha's RPC over a stream socket: frames of four bytes of length and what a WebSocket's binary message would hold.

    client = await Client.connect(socket)      the first frame says who we are
    await client.call(target, method, …)       answers, or raises what the other side raised
    client.services[id] = Service(…)           what others may call, once the hub knows of it

Only the event loop touches it.
"""

import asyncio
import concurrent.futures
import functools
import inspect
import sys
import traceback

from _doorward_hypha import parts
from _doorward_hypha.msgpack import Malformed, pack, unpack
from _doorward_hypha.remote import RemoteFunction
from _doorward_hypha.services import Service
from _doorward_hypha.sessions import Sessions
from _doorward_hypha.value import Fields, Published, Reader, Writer, written_error

#: Largest frame that is read. Doorward sends a mebibyte and a little at most.
LARGEST = 4 << 20
#: Most bytes that wait to be written, and most calls of others under way.
MOST_WAITING = 32 << 20
MOST_CALLS = 1024
#: How long a call of ours waits without a sign of life, and the least and the most between two of ours.
TIMEOUT_S = 30.0
BEATS_S = (0.5, 30.0)
#: Parts of one message that are under way at once.
TOGETHER = 16


class Client:
    def __init__(self, reader, writer, info, threads):
        self.loop = asyncio.get_running_loop()
        self.reader, self.writer = reader, writer
        self.info = info
        self.workspace, self.id = info["workspace"], info["client_id"]
        self.address = f"{self.workspace}/{self.id}"
        self.hub = f"*/{info['manager_id']}"
        self.server = info.get("public_base_url")
        self.timeout_s = TIMEOUT_S
        self.sessions, self.parts = Sessions(), parts.Parts()
        self.services, self.codecs, self.listeners = {}, {}, {}
        self.threads = concurrent.futures.ThreadPoolExecutor(threads, "service")
        self.tasks, self.calls, self.closed = set(), 0, False
        self.services["built-in"] = self.built_in()

    @classmethod
    async def connect(cls, socket, threads=32):
        """Reads who we are, and begins to read what comes after."""
        socket.setblocking(False)
        reader, writer = await asyncio.open_unix_connection(sock=socket, limit=1 << 20)
        info, _ = unpack(await cls.frame(reader))
        if not isinstance(info, dict) or info.get("type") != "connection_info":
            raise ConnectionError("the first frame is no connection_info")
        client = cls(reader, writer, Fields(info), threads)
        client.spawn(client.read())
        return client

    @staticmethod
    async def frame(reader):
        size = int.from_bytes(await reader.readexactly(4), "big")
        if size > LARGEST:
            raise Malformed(f"a frame has at most {LARGEST} bytes")
        return await reader.readexactly(size)

    def spawn(self, coroutine):
        task = self.loop.create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def read(self):
        try:
            while True:
                frame = await self.frame(self.reader)
                try:
                    self.take(frame)
                except Exception as error:  # noqa: BLE001 - what others send ends nothing but itself
                    print(f"a frame was passed over: {type(error).__name__}: {str(error)[:200]}", file=sys.stderr)
        except (OSError, EOFError, Malformed):
            pass
        finally:
            self.close("Connection is closed")

    def close(self, why):
        if not self.closed:
            self.closed = True
            self.sessions.end_with(None, why)
            self.writer.close()

    # What comes in.

    def take(self, frame, trusted=None):
        main, at = unpack(frame)
        if not isinstance(main, dict):
            raise Malformed("a frame begins with a map")
        main = {**main, **(trusted or {})}
        extra, at = unpack(frame, at) if at < len(frame) else ({}, at)
        if not isinstance(extra, dict) or at != len(frame):
            raise Malformed("a frame is one map or two")
        kind = main.get("type")
        if kind == "method":
            self.take_method(main, extra)
        elif kind == "peer_not_found" and "from" not in main:
            session = self.sessions.held.get(main.get("session"))
            if session is not None:
                session.settle(ConnectionError(str(main.get("error") or f"Target peer {main.get('peer_id')} is not connected")))
        elif isinstance(kind, str):
            if kind == "client_disconnected" and "from" not in main:
                self.forget(main.get("data"))
            self.fire(kind, Fields({**extra, **main}))

    def forget(self, data):
        gone = data.get("id") if isinstance(data, dict) else None
        if isinstance(gone, str):
            gone = gone if "/" in gone else f"{self.workspace}/{gone}"
            self.sessions.end_with(gone, f"Target peer {gone} is not connected")
            self.parts.drop(lambda sender, _: sender == gone)

    def take_method(self, main, extra):
        sender, method = main.get("from"), main.get("method")
        if not isinstance(sender, str) or "/" not in sender or not isinstance(method, str):
            raise Malformed("a call says who calls what")
        place, _, name = method.partition(".")
        reply = Reply(self, main, extra)
        try:
            if place != "services":
                session = self.sessions.of(place, sender)
                if name in ("resolve", "reject", "heartbeat"):
                    return self.settle(session, name, main, extra)
                if name not in session.kept:
                    raise KeyError(f"Method expired or not found: {method}")
                function, with_context, in_thread, trust = session.kept[name], False, False, False
            else:
                service_id, _, path = name.partition(".")
                service = self.services.get(service_id)
                if service is None or path not in service.methods:
                    raise KeyError(f"Method not found: {method}")
                service.may_call(sender, self.workspace, self.hub)
                found = service.methods[path]
                function, with_context, trust = found.function, found.with_context, service.context_where_taken
                in_thread = bool(service.config.get("run_in_executor"))
            if self.calls >= MOST_CALLS:
                raise RuntimeError("too many calls are under way")
            args, named = self.arguments(main, extra)
            if with_context or trust:
                named.pop("context", None)
            if with_context:
                named["context"] = self.context(main)
        except Exception as error:  # noqa: BLE001 - whoever called is told
            return reply.reject(error)
        self.calls += 1
        task = self.spawn(self.run(reply, function, args, named, in_thread))
        task.add_done_callback(lambda _: self.finished())

    def finished(self):
        self.calls -= 1

    def arguments(self, main, extra):
        args = self.reader_of(main["from"], main.get("session")).read(extra.get("args") or [])
        if not isinstance(args, list):
            raise TypeError("args is a list")
        named = args.pop() if extra.get("with_kwargs") and args else {}
        if not isinstance(named, dict):
            raise TypeError("the last of args is no map")
        return args, dict(named)

    def context(self, main):
        names = ("type", "from", "to", "method", "session", "parent", "ws", "user")
        about = Reader(lambda _: None, {}).read({name: main[name] for name in names if name in main})
        return Fields({**about, "connection_type": "websocket"})

    def settle(self, session, name, main, extra):
        if name == "heartbeat":
            return session.beat()
        try:
            args = self.reader_of(main["from"], main.get("session")).read(extra.get("args") or [])
            value = args[0] if args else None
        except Exception as error:  # noqa: BLE001 - the caller is told what cannot be read
            return session.settle(error)
        if name == "reject" and not isinstance(value, BaseException):
            value = RuntimeError(str(value))
        session.settle(value)

    async def run(self, reply, function, args, named, in_thread):
        beating = self.spawn(reply.beat()) if reply.beats_s is not None else None
        try:
            if in_thread and not inspect.iscoroutinefunction(function):
                said = await self.loop.run_in_executor(self.threads, functools.partial(function, *args, **named))
            else:
                said = function(*args, **named)
            if inspect.isawaitable(said):
                said = await said
        except BaseException as error:  # noqa: BLE001 - whatever user code raises, sys.exit among it
            if not isinstance(error, (ValueError, KeyError, PermissionError, TimeoutError)):
                traceback.print_exc()
            reply.reject(error)
            if not isinstance(error, (Exception, SystemExit)):
                raise
            return
        finally:
            if beating is not None:
                beating.cancel()
        reply.resolve(said)

    # What goes out.

    def call(self, target, method, args=(), named=None, parent=None, timeout_s=None, answered=True):
        """Calls a method, and gives what is to be waited for: its answer, or `None` at once where none is wanted."""
        if self.closed:
            raise ConnectionError("Connection is closed")
        target = target if "/" in target else f"{self.workspace}/{target}"
        session = self.sessions.begin(target)
        try:
            given = self.writer_of(session).write([*args, named] if named else list(args))
            main = {"type": "method", "from": self.address, "to": target, "method": method}
            extra = {**({"args": given} if given else {}), **({"with_kwargs": True} if named else {})}
            if parent:
                main["parent"] = parent
            if not answered:
                self.send_or_parts(pack(main) + (pack(extra) if extra else b""), target, None, None)
                return self.ready(None)
            main["session"] = session.id
            timeout_s = timeout_s or self.timeout_s
            extra.update({"promise": "*", "t": timeout_s / 2})
            bytes_ = pack(main) + pack(extra)
        except Exception:
            session.end()
            raise
        answer = session.wait(self.loop, f"{target}:{method}", timeout_s)
        self.send_or_parts(bytes_, target, None, session)
        return answer

    def ready(self, value):
        future = self.loop.create_future()
        future.set_result(value)
        return future

    def send_or_parts(self, frame, target, key, session):
        """`key` is the session that the message answers, `session` ours that waits for what it comes to."""
        if len(frame) <= parts.PART + parts.SLACK:
            try:
                self.send(frame)
            except ConnectionError as error:
                if session is None:
                    raise
                session.settle(error)
            return
        task = self.spawn(self.send_in_parts(frame, target, key))
        if session is not None:
            task.add_done_callback(lambda task: session.settle(task.exception()) if task.exception() else session.beat())

    async def send_in_parts(self, frame, target, key):
        of_answer, key = bool(key), key or self.sessions.begin(target).id
        put = functools.partial(self.call, target)
        await put("services.built-in.message_cache.create", [key, of_answer])
        slots = asyncio.Semaphore(TOGETHER)

        async def one(index):
            async with slots:
                part = frame[index * parts.PART : (index + 1) * parts.PART]
                await put("services.built-in.message_cache.set", [key, index, part, of_answer])

        try:
            await asyncio.gather(*(one(index) for index in range(-(-len(frame) // parts.PART))))
            await put("services.built-in.message_cache.process", [key, of_answer])
        except BaseException:
            if not self.closed:
                self.call(target, "services.built-in.message_cache.remove", [key])
            raise

    def send(self, frame):
        if self.closed:
            raise ConnectionError("Connection is closed")
        if self.writer.transport.get_write_buffer_size() + len(frame) > MOST_WAITING:
            raise ConnectionError("too much waits to be sent")
        self.writer.write(len(frame).to_bytes(4, "big") + frame)

    # Values.

    def writer_of(self, session):
        return Writer(self.server, self.address, session.keep, self.codecs)

    def reader_of(self, sender, session):
        theirs = sender.split("/", 1)[0]

        def method(encoded):
            target = str(encoded["_rtarget"])
            return RemoteFunction(self, {**encoded, "_rtarget": target if "/" in target else f"{theirs}/{target}"}, session)

        return Reader(method, self.codecs)

    # Events.

    def fire(self, kind, *given):
        for once, listener in list(self.listeners.get(kind, ())):
            if once:
                self.off(kind, listener)
            try:
                said = listener(*given)
                if inspect.isawaitable(said):
                    self.spawn(said)
            except Exception:  # noqa: BLE001 - a listener's own fault
                traceback.print_exc()

    def on(self, kind, listener, once=False):
        self.listeners.setdefault(kind, []).append((once, listener))

    def off(self, kind, listener=None):
        kept = [] if listener is None else [pair for pair in self.listeners.get(kind, ()) if pair[1] is not listener]
        self.listeners[kind] = kept

    # The service that every end has.

    def built_in(self):
        def sender_of(context, key=None, heartbeat=False):
            if heartbeat:
                # Whoever waits for the answer that comes in parts sees that it is on its way.
                self.sessions.of(key, context["from"]).beat()
            return context["from"]

        def process(key, heartbeat=False, context=None):
            whole = self.parts.take(sender_of(context, key, heartbeat), key)
            if "message_cache" in str(unpack(whole)[0].get("method")):
                raise ValueError("a message in parts is no part of another")
            # It says itself whom it is from; what counts is where its parts came from.
            self.take(whole, {name: context.get(name) for name in ("from", "to", "ws", "user")})

        def create(key, heartbeat=False, overwrite=False, context=None):
            self.parts.create(sender_of(context, key, heartbeat), key, overwrite)

        def put(key, index, data, heartbeat=False, context=None):
            self.parts.put(sender_of(context, key, heartbeat), key, index, data)

        def append(key, data, heartbeat=False, context=None):
            self.parts.put(sender_of(context, key, heartbeat), key, None, data)

        def remove(key, context=None):
            self.parts.remove(sender_of(context), key)

        return Service({
            "id": "built-in",
            "type": "built-in",
            "name": f"{self.address}:built-in",
            "config": {"visibility": "public", "require_context": True, "api_version": 3},
            "ping": lambda msg=None, context=None: "pong",
            "get_service": self.own_service,
            "message_cache": {"create": create, "append": append, "set": put, "process": process, "remove": remove},
        })

    def own_service(self, service_id, context=None):
        """An object of one of our services, for whom it is."""
        service = self.services.get(str(service_id).split("@")[0])
        if service is None:
            raise KeyError(f"Service not found: {service_id}")
        if service.only_from is not None and context["from"] != self.hub:
            service.may_call(context["from"], self.workspace, self.hub)
        if service.visibility == "protected" and context["ws"] != self.workspace and context["ws"] not in service.invited:
            raise PermissionError(f"Permission denied for getting protected service: {service_id}, workspace mismatch: {self.workspace} != {context['ws']}")
        return Published({**service.api, "config": {**service.config, "workspace": self.workspace}}, service.names)


class Reply:
    """Where the answer of a call goes: to who called, in the session that was named. Nobody else is told anything."""

    def __init__(self, client, main, extra):
        self.client = client
        self.to = main["from"]
        self.session = main.get("session") if extra.get("promise") else None
        if not isinstance(self.session, str):
            self.session = None
        self.beats_s = None
        if self.session is not None:
            promise = extra["promise"]
            beats = promise.get("interval") if isinstance(promise, dict) else extra.get("t")
            beats = beats if isinstance(beats, (int, float)) and beats == beats else 15.0
            self.beats_s = min(max(beats, BEATS_S[0]), BEATS_S[1])

    def main(self, name):
        return {"type": "method", "from": self.client.address, "to": self.to, "method": f"{self.session}.{name}"}

    async def beat(self):
        while True:
            try:
                self.client.send(pack(self.main("heartbeat")))
            except ConnectionError:
                return
            await asyncio.sleep(self.beats_s)

    def resolve(self, value):
        try:
            self.send("resolve", value)
        except (TypeError, ValueError, RuntimeError, RecursionError) as error:
            self.reject(error)
        except ConnectionError as error:
            print(f"an answer was not sent: {error}", file=sys.stderr)

    def reject(self, error):
        try:
            self.send("reject", None, written_error(error))
        except ConnectionError as failed:
            print(f"an answer was not sent: {failed}", file=sys.stderr)

    def send(self, name, value, written=None):
        if self.session is None or self.client.closed:
            return
        if written is None:
            # Functions of the answer stay callable by whoever got it, until it goes or room is needed.
            written = self.client.writer_of(self.client.sessions.begin(self.to)).write(value)
        main = {**self.main(name), "parent": self.session}
        self.client.send_or_parts(pack(main) + pack({"args": [written]}), self.to, self.session, None)
