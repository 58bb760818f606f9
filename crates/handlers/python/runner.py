"""A handler's process: loads a file of the user's, says what it registers, and answers calls until the socket closes.

The event loop reads the socket, so that a call wakes one thread and not two; a thread of its own waits for nothing but the socket's end, so
that a handler which blocks the loop does not outlive whoever asks. Functions that are no coroutines run in threads.
"""

import asyncio
import concurrent.futures
import contextvars
import functools
import importlib
import importlib.util
import inspect
import json
import linecache
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback

VERSION = 1
LARGEST = 16 << 20
#: How long an answer is kept for others to go with it.
TOGETHER_S = 0.001


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

    def __init__(self, functions, registers, by_authorization=False, spell=None):
        self.functions = functions
        self.registers = registers
        #: Whether `authenticate` looks at the Authorization header and at nothing else of a request.
        self.by_authorization = by_authorization
        #: What stands in an answer for something that is no JSON, as `default` of `json`.
        self.spell = spell


def user_code(function):
    """A function to await, given `in_thread` first: a coroutine runs on the event loop, anything else in a thread."""
    if inspect.iscoroutinefunction(function):
        return lambda _, *positional, **named: function(*positional, **named)

    async def run(in_thread, *positional, **named):
        said = await in_thread(function, *positional, **named)
        return await said if inspect.isawaitable(said) else said

    return run


def begun(loop, coroutine):
    """A task that has run until it first waits, where this Python can do that: most calls end without waiting, and need no turn of the loop."""
    if sys.version_info >= (3, 12):
        return asyncio.Task(coroutine, loop=loop, eager_start=True)
    return loop.create_task(coroutine)


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
        self.process = os.getpid()
        self.writing = threading.Lock()
        self.kept = b""
        self.decode = json.JSONDecoder().raw_decode
        self.encode = spelling(None)
        #: Answers that go out together: what the calls of one wake-up came to. `None` between wake-ups.
        self.together = None
        self.since = 0.0

    def spell(self, default):
        """Uses an adapter's own `default` for what is no JSON."""
        self.encode = spelling(default)

    def arrived(self):
        """The frames that are here whole; `None` when nothing more comes."""
        self.end_child()
        try:
            part = self.connection.recv(1 << 18, socket.MSG_DONTWAIT)
        except (BlockingIOError, InterruptedError):
            return []
        except OSError:
            return None
        if not part:
            return None
        kept = self.kept + part if self.kept else part
        frames, at = [], 0
        while len(kept) - at >= 4:
            begin = at + 4
            end = begin + int.from_bytes(kept[at:begin], "big")
            if len(kept) < end:
                break
            frames.append(self.decode(kept[begin:end].decode())[0])
            at = end
        self.kept = kept[at:]
        return frames

    def write(self, frame):
        """From the event loop: at once, or with the other answers of this wake-up."""
        bytes_ = self.bytes_of(frame)
        if self.together is None:
            self.send(bytes_)
        else:
            self.together.append(bytes_)
            # Whoever was answered does not wait for a call that blocks the loop, if the ones before took their time too.
            if time.monotonic() - self.since > TOGETHER_S:
                self.flush()

    def write_now(self, frame):
        """From any thread."""
        self.send(self.bytes_of(frame))

    def copied(self, value):
        return self.decode(self.encode(value))[0]

    def bytes_of(self, frame):
        self.end_child()
        body = self.encode(frame).encode()
        if len(body) > LARGEST:
            raise Invalid(f"the answer is larger than {LARGEST} bytes")
        return len(body).to_bytes(4, "big") + body

    def send(self, bytes_):
        with self.writing:
            self.connection.sendall(bytes_)

    def gather(self):
        self.together, self.since = [], time.monotonic()

    def flush(self):
        if self.together:
            self.end_child()
            bytes_, self.together, self.since = b"".join(self.together), [], time.monotonic()
            self.send(bytes_)

    def end_child(self):
        """A handler that forked comes back here twice; the call is its parent's to answer."""
        if os.getpid() != self.process:
            os._exit(0)


def spelling(default):
    return json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=default).encode


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


def is_own(file, directory):
    """Whether a file is the user's: in the directory, and of no environment that stands in it, as a project's `.venv` does."""
    if not file.startswith(directory + os.sep):
        return False
    installed = sys.prefix != directory and file.startswith(sys.prefix + os.sep)
    return not installed and "site-packages" not in file[len(directory):].split(os.sep)


def own_files(directory):
    """The user's files that were loaded, to look whether they change."""
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return sorted({file for file in files if file and is_own(file, directory)})


def place(error, directory):
    """The last line of the user's own that an exception passed, as `file:line`."""
    where = None
    if isinstance(error, SyntaxError) and error.filename:
        where = (error.filename, error.lineno or 0)
    for frame in traceback.extract_tb(error.__traceback__):
        if is_own(frame.filename, directory) and not isinstance(error, SyntaxError):
            where = (frame.filename, frame.lineno)
    if where is None:
        return None
    return f"{os.path.relpath(where[0], directory)}:{where[1]}"


def place_of(function, directory):
    """Where a function of the user's begins, as `file:line`."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None or not is_own(code.co_filename, directory):
        return None
    return f"{os.path.relpath(code.co_filename, directory)}:{code.co_firstlineno}"


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


def load_target(target, directory, example):
    """`./file.py:name` relative to the directory, or `module:name`. A file that was loaded before is the same module."""
    path, _, name = target.rpartition(":")
    if not path or not name:
        raise Broken(f"{target!r} names no file and variable; write it like {example}")
    if not path.endswith(".py") and "/" not in path:
        return load_attribute(target, directory)
    file = os.path.normpath(os.path.join(directory, path))
    if not os.path.isfile(file):
        raise Broken(f"there is no {path} in {directory}")
    spec = importlib.util.spec_from_file_location(os.path.splitext(os.path.basename(file))[0], file)
    module = sys.modules.get(spec.name)
    if getattr(module, "__file__", None) != file:
        module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            raise failed_to_load(error, directory) from None
    if not hasattr(module, name):
        raise Broken(f"{path} has no {name}")
    return getattr(module, name)


class Runner:
    def __init__(self, frames, begin, channel):
        self.frames = frames
        self.directory = os.path.realpath(begin["directory"])
        self.threads = concurrent.futures.ThreadPoolExecutor(begin.get("threads", 32), "handler")
        self.tasks = {}
        self.cancelled = set()
        self.held = {}
        adapter = importlib.import_module(f"_doorward_{begin['kind']}")
        if channel is None:
            self.loaded = adapter.load(begin["targets"][0], self.directory)
        else:
            self.loaded = adapter.load(begin["targets"], self.directory, channel)
        frames.spell(self.loaded.spell)

    async def call(self, number, name, given, then):
        try:
            function = self.loaded.functions[name]
            answer = await function(given, functools.partial(self.in_thread, number))
            if self.answer(number, {"answer": answer}) and then is not None:
                self.begin_next(then, answer)
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
            self.frames.write_now({"id": number, "over": True})
        except OSError:
            pass

    def answer(self, number, frame):
        try:
            self.frames.write({"id": number, **frame})
            return True
        except Invalid as invalid:
            self.frames.write({"id": number, "invalid": str(invalid)})
        except (TypeError, ValueError, RecursionError) as error:
            self.frames.write({"id": number, "invalid": f"the answer is no JSON: {error}"})
        return False

    async def in_thread(self, number, function, *positional, **named):
        thread = self.held[number] = self.threads.submit(function, *positional, **named)
        return await asyncio.wrap_future(thread)

    def begin_call(self, frame):
        number = frame["id"]
        task = begun(self.loop, self.call(number, frame["call"], frame.get("with") or {}, frame.get("then")))
        if task.done():
            return self.ended(number)
        self.tasks[number] = task
        # Not at the end of the call itself: one that is cancelled before it began has none.
        task.add_done_callback(lambda _: self.ended(number))

    def begin_next(self, frame, answer):
        """The question behind one that was answered. It sees of the answer what Doorward does: JSON, and nothing that user code still holds."""
        taken = self.frames.copied({name: answer[name] for name in frame["take"]})
        # A call of its own, as if it had come alone: what the first has set in its context is not the second's.
        self.context.copy().run(self.begin_call, {**frame, "with": {**frame["with"], **taken}})

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
        self.frames.gather()
        try:
            for frame in frames:
                if "call" in frame:
                    self.begin_call(frame)
                elif "cancel" in frame:
                    self.cancel(frame["cancel"])
                elif "ping" in frame:
                    self.frames.write({"pong": frame["ping"]})
            self.frames.flush()
        finally:
            self.frames.together = None

    async def live(self):
        self.loop, self.context = asyncio.get_running_loop(), contextvars.copy_context()
        self.loop.add_reader(self.frames.connection.fileno(), self.take)
        await asyncio.Event().wait()


def limit_memory(bytes_):
    import resource

    try:
        resource.setrlimit(resource.RLIMIT_AS, (bytes_, bytes_))
    except (ValueError, OSError) as error:
        print(f"the memory limit cannot be set: {error}", file=sys.stderr)


def run(connection, begin, channel=None):
    frames = Frames(connection)
    # Before anything of the user's runs: also a file that hangs while it is loaded goes with whoever asked.
    threading.Thread(target=end_with, args=(connection,), name="doorward", daemon=True).start()
    sys.path.insert(0, begin["directory"])
    if begin.get("memory_bytes"):
        limit_memory(begin["memory_bytes"])
    if begin.get("one_time_codes"):
        importlib.import_module("_doorward_codes").watch()
    try:
        runner = Runner(frames, begin, channel)
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
