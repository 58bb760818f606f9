"""A handler's process: loads a file of the user's, says what it registers, and answers calls until the socket closes.

The event loop reads the socket, so that a call wakes one thread and not two; a thread of its own waits for nothing but the socket's end, so
that a handler which blocks the loop does not outlive whoever asks. Functions that are no coroutines run in threads.
"""

import asyncio
import concurrent.futures
import functools
import importlib
import inspect
import json
import linecache
import os
import select
import signal
import socket
import sys
import threading
import traceback

VERSION = 1
LARGEST = 16 << 20


class Broken(Exception):
    """A file that cannot be used; `where` is a place in it."""

    def __init__(self, what, where=None):
        super().__init__(what)
        self.what = what
        self.where = where


class Refuse(Exception):
    """The handler's own refusal."""

    def __init__(self, status, detail, headers=()):
        super().__init__(status)
        self.status = status
        # Handlers quote what callers send; half of a surrogate pair is no text.
        self.detail = detail.encode("utf-8", "replace").decode() if isinstance(detail, str) else detail
        self.headers = [[str(name), str(value)] for name, value in headers]


class Invalid(Exception):
    """An answer that the platform does not know what to make of; the text names the expected shape."""


class Loaded:
    """What an adapter made of a file: functions by the name they are called by, and what it registers, for people to read."""

    def __init__(self, functions, registers, by_authorization=False):
        self.functions = functions
        self.registers = registers
        #: Whether `authenticate` looks at the Authorization header and at nothing else of a request.
        self.by_authorization = by_authorization


async def run_user_code(in_thread, function, *positional, **named):
    """A coroutine on the event loop, anything else in a thread."""
    if inspect.iscoroutinefunction(function):
        return await function(*positional, **named)
    said = await in_thread(function, *positional, **named)
    return await said if inspect.isawaitable(said) else said


def asgi_scope(given):
    """The request that a call is about, as ASGI spells it. There is no body."""
    return {
        "type": "http",
        "http_version": "1.1",
        "method": given["method"],
        "scheme": "http",
        "path": given["path"],
        "raw_path": given["path"].encode(),
        "root_path": "",
        "query_string": given.get("query", "").encode("latin-1"),
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in given["headers"]],
        "client": (given["client"], 0) if given.get("client") else None,
        "server": None,
    }


class Frames:
    """JSON with its length before it, both ways. Read by the event loop as it comes; threads may write at once."""

    def __init__(self, connection):
        self.connection = connection
        self.writing = threading.Lock()
        self.kept = bytearray()

    def arrived(self):
        """The frames that are here whole; `None` when nothing more comes."""
        try:
            part = self.connection.recv(1 << 18, socket.MSG_DONTWAIT)
        except (BlockingIOError, InterruptedError):
            return []
        except OSError:
            return None
        if not part:
            return None
        self.kept += part
        frames = []
        while len(self.kept) >= 4:
            end = 4 + int.from_bytes(self.kept[:4], "big")
            if len(self.kept) < end:
                break
            frames.append(json.loads(bytes(self.kept[4:end])))
            del self.kept[:end]
        return frames

    def write(self, frame):
        body = json.dumps(frame, separators=(",", ":"), allow_nan=False).encode()
        if len(body) > LARGEST:
            raise Invalid(f"the answer is larger than {LARGEST} bytes")
        with self.writing:
            self.connection.sendall(len(body).to_bytes(4, "big") + body)


def end_with(connection):
    """Ends this process when whoever asks is gone, also while user code blocks the event loop."""
    waiting = select.poll()
    # Nothing but the end is waited for: data are the event loop's to read.
    waiting.register(connection.fileno(), select.POLLRDHUP)
    while not waiting.poll():
        pass
    end_all()


def end_all():
    """Ends this process and what it started: it leads a group of its own."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


def own_files(directory):
    """The user's files that were loaded, to look whether they change."""
    found = set()
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file and file.startswith(directory + os.sep) and "site-packages" not in file:
            found.add(file)
    return sorted(found)


def place(error, directory):
    """The last line of the user's own that an exception passed, as `file:line`."""
    where = None
    if isinstance(error, SyntaxError) and error.filename:
        where = (error.filename, error.lineno or 0)
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename.startswith(directory + os.sep) and not isinstance(error, SyntaxError):
            where = (frame.filename, frame.lineno)
    if where is None:
        return None
    return f"{os.path.relpath(where[0], directory)}:{where[1]}"


def failed_to_load(error, directory):
    """What went wrong while a file of the user's was loaded, and where."""
    if isinstance(error, ModuleNotFoundError):
        what = f"it imports {error.name or '?'}, which is not installed for {sys.executable}"
    elif isinstance(error, SyntaxError):
        what = f"{type(error).__name__}: {error.msg}"
    else:
        what = f"it fails while it is loaded: {type(error).__name__}: {error}"
    return Broken(what, place(error, directory))


def load_attribute(target, directory):
    """`module:name`, the module relative to the directory; what is wrong is said in words."""
    module_name, _, name = target.partition(":")
    if not module_name or not name:
        raise Broken(f"{target!r} names no module and class; write it like auth.custom:MyAuthBackend")
    file = os.path.join(*module_name.split(".")) + ".py"
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        missing = getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None
        if missing and (module_name == missing or module_name.startswith(missing + ".")):
            raise Broken(f"there is no {file} in {directory}") from None
        raise failed_to_load(error, directory) from None
    if not hasattr(module, name):
        public = sorted(key for key, value in vars(module).items() if isinstance(value, type) and value.__module__ == module.__name__)
        defines = f"; it defines {', '.join(public)}" if public else ""
        raise Broken(f"{file} has no {name}{defines}")
    return getattr(module, name)


class Runner:
    def __init__(self, frames, begin):
        self.frames = frames
        self.directory = os.path.realpath(begin["directory"])
        self.threads = concurrent.futures.ThreadPoolExecutor(begin.get("threads", 32), "handler")
        self.tasks = {}
        self.cancelled = set()
        self.held = {}
        adapter = importlib.import_module(f"_doorward_{begin['kind']}")
        self.loaded = adapter.load(begin["target"], self.directory)

    async def call(self, number, name, given):
        try:
            function = self.loaded.functions[name]
            answer = await function(given, functools.partial(self.in_thread, number))
            self.answer(number, {"answer": answer})
        except Refuse as refused:
            self.answer(number, {"refuse": {"status": refused.status, "detail": refused.detail, "headers": refused.headers}})
        except Invalid as invalid:
            self.answer(number, {"invalid": str(invalid)})
        except BaseException as error:  # noqa: BLE001 - whatever user code raises
            if number not in self.cancelled:
                where = place(error, self.directory)
                traceback.print_exc()
                sys.stderr.flush()
                self.answer(number, {"fault": f"{type(error).__name__}{f' at {where}' if where else ''}"})

    def ended(self, number):
        self.tasks.pop(number, None)
        thread = self.held.pop(number, None)
        if number in self.cancelled:
            self.cancelled.discard(number)
            if thread is None:
                self.over(number)
            else:
                thread.add_done_callback(lambda _: self.over(number))

    def over(self, number):
        """Says that a call nobody waits for has come to an end, its thread too."""
        try:
            self.frames.write({"id": number, "over": True})
        except OSError:
            pass

    def answer(self, number, frame):
        try:
            self.frames.write({"id": number, **frame})
        except Invalid as invalid:
            self.frames.write({"id": number, "invalid": str(invalid)})
        except (TypeError, ValueError, RecursionError) as error:
            self.frames.write({"id": number, "invalid": f"the answer is no JSON: {error}"})

    async def in_thread(self, number, function, *positional, **named):
        thread = self.held[number] = self.threads.submit(function, *positional, **named)
        return await asyncio.wrap_future(thread)

    def begin_call(self, frame):
        number = frame["id"]
        task = self.tasks[number] = asyncio.get_running_loop().create_task(self.call(number, frame["call"], frame.get("with") or {}))
        # Not at the end of the call itself: one that is cancelled before it began has none.
        task.add_done_callback(lambda _: self.ended(number))

    def cancel(self, number):
        task = self.tasks.get(number)
        if task is not None:
            self.cancelled.add(number)
            task.cancel()

    def take(self):
        frames = self.frames.arrived()
        if frames is None:
            # Whoever asked is gone; threads of user code must not keep the process.
            end_all()
        for frame in frames:
            if "call" in frame:
                self.begin_call(frame)
            elif "cancel" in frame:
                self.cancel(frame["cancel"])
            elif "ping" in frame:
                self.frames.write({"pong": frame["ping"]})

    async def live(self):
        asyncio.get_running_loop().add_reader(self.frames.connection.fileno(), self.take)
        await asyncio.Event().wait()


def limit_memory(bytes_):
    import resource

    try:
        resource.setrlimit(resource.RLIMIT_AS, (bytes_, bytes_))
    except (ValueError, OSError) as error:
        print(f"the memory limit cannot be set: {error}", file=sys.stderr)


def run(connection, begin):
    frames = Frames(connection)
    # Before anything of the user's runs: also a file that hangs while it is loaded goes with whoever asked.
    threading.Thread(target=end_with, args=(connection,), name="doorward", daemon=True).start()
    sys.path.insert(0, begin["directory"])
    if begin.get("memory_bytes"):
        limit_memory(begin["memory_bytes"])
    try:
        runner = Runner(frames, begin)
    except Broken as broken:
        frames.write({"broken": {"what": broken.what, "where": broken.where}})
        sys.exit(1)
    linecache.checkcache()
    frames.write({
        "ready": VERSION,
        "python": ".".join(str(part) for part in sys.version_info[:3]),
        "registers": runner.loaded.registers,
        "by_authorization": runner.loaded.by_authorization,
        "files": own_files(runner.directory),
    })
    asyncio.run(runner.live())
