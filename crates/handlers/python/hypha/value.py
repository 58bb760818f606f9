"""Values as Hypha's RPC writes them: what MessagePack has, and maps with `_rtype` for everything else (seen with hypha-rpc 0.21.47)."""

import collections
import importlib
import inspect
import io
import sys
import traceback
import types
import uuid

#: What a file is to the other side.
FILE_MEMBERS = ("name", "mode", "closed", "read", "readline", "readlines", "write", "writelines", "seek", "tell", "truncate", "flush", "close")


class RemoteException(Exception):
    """What the other side of a call raised."""


class Fields(dict):
    """A map whose members are attributes too."""

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name, value):
        self[name] = value

    def __delattr__(self, name):
        try:
            del self[name]
        except KeyError:
            raise AttributeError(name) from None


class Published:
    """A service's object: its functions go by names that last as long as the service, not by ones of a session."""

    def __init__(self, members, names):
        self.members = members
        #: By the function's `id`.
        self.names = names


class Codec:
    """How values of a type of the user's are written and read."""

    def __init__(self, name, type_, encoder=None, decoder=None):
        self.name = name
        self.type = type_
        self.encoder = encoder
        self.decoder = decoder


def is_generator(value):
    if inspect.isgenerator(value) or inspect.isasyncgen(value):
        return True
    if isinstance(value, (io.IOBase, types.ModuleType, type)):
        return False
    return hasattr(value, "__anext__") or hasattr(value, "__next__")


def steps_of(generator):
    """The two functions that the other side goes through it with: the next value, and that it wants no more."""
    waits = hasattr(generator, "__anext__")

    async def following():
        try:
            return await generator.__anext__() if waits else next(generator)
        except (StopAsyncIteration, StopIteration):
            return {"_rtype": "stop_iteration"}

    async def close():
        ends = getattr(generator, "aclose", None) or getattr(generator, "close", None)
        if ends is not None:
            said = ends()
            if inspect.isawaitable(said):
                await said
        return True

    return following, close


class Writer:
    """Writes the values of one message. Functions among them are kept by `keep(name, function)`, which answers the name to call them by."""

    def __init__(self, server, own, keep, codecs, names=None):
        self.server = server
        self.own = own
        self.keep = keep
        self.codecs = codecs
        self.names = names or {}

    def write(self, value):
        if value is None or isinstance(value, (bool, int, float, str, bytes)):
            return value
        if isinstance(value, Published):
            return Writer(self.server, self.own, self.keep, self.codecs, value.names).write(value.members)
        remote = getattr(value, "__rpc_object__", None)
        if isinstance(remote, dict):
            return dict(remote)
        for codec in self.codecs.values():
            if codec.encoder is not None and isinstance(codec.type, type) and isinstance(value, codec.type):
                return self.by_codec(codec, value)
        if isinstance(value, collections.OrderedDict):
            return {"_rtype": "orderedmap", "_rvalue": [[self.write(name), self.write(one)] for name, one in value.items()]}
        if isinstance(value, dict):
            return {name: self.write(one) for name, one in value.items() if not (name == "_rintf" and one is True)}
        if isinstance(value, (list, tuple)):
            return [self.write(one) for one in value]
        if isinstance(value, (set, frozenset)):
            return {"_rtype": "set", "_rvalue": [self.write(one) for one in value]}
        if isinstance(value, bytearray):
            return bytes(value)
        if isinstance(value, memoryview):
            return {"_rtype": "memoryview", "_rvalue": value.tobytes()}
        if isinstance(value, BaseException):
            return written_error(value)
        if callable(getattr(value, "model_dump", None)) and not isinstance(value, type):
            return self.write(value.model_dump())
        array = self.array(value)
        if array is not None:
            return array
        if isinstance(value, io.IOBase):
            members = {name: getattr(value, name) for name in FILE_MEMBERS if hasattr(value, name)}
            return {"_rtype": "iostream", "_rnative": f"py:{type(value)}", **self.write(members)}
        if callable(value):
            return self.function(value)
        if is_generator(value):
            return self.generator(value)
        raise TypeError(f"{type(value).__name__} cannot be sent; register_codec says how to")

    def by_codec(self, codec, value):
        said = codec.encoder(value)
        if not isinstance(said, dict):
            return self.write(said)
        made = {name: self.write(one) for name, one in said.items()}
        made.setdefault("_rtype", codec.name)
        return made

    @staticmethod
    def array(value):
        numpy = sys.modules.get("numpy")
        if numpy is None or not isinstance(value, (numpy.ndarray, numpy.generic)):
            return None
        return {"_rtype": "ndarray", "_rvalue": value.tobytes(), "_rshape": list(value.shape), "_rdtype": str(value.dtype)}

    def function(self, function):
        named = getattr(function, "__name__", None)
        method = self.names.get(id(function)) or self.keep(f"{uuid.uuid4().hex}#{named}" if named else uuid.uuid4().hex, function)
        doc = getattr(function, "__doc__", None)
        made = {"_rtype": "method", "_rserver": self.server, "_rtarget": self.own, "_rmethod": method, "_rname": named, "_rpromise": "*"}
        made.update({"_rasync": inspect.iscoroutinefunction(function), "_rdoc": doc if isinstance(doc, str) else None})
        schema = getattr(function, "__schema__", None)
        if isinstance(schema, dict):
            made["_rschema"] = schema
        return made

    def generator(self, generator):
        following, close = steps_of(generator)
        name = uuid.uuid4().hex
        made = {"_rtype": "generator", "_rserver": self.server, "_rtarget": self.own, "_rpromise": "*", "_rdoc": None}
        made.update({"_rmethod": self.keep(name, following), "_rclose_method": self.keep(f"{name}:close", close)})
        return made


def written_error(error):
    """An exception as the other side is told it: its words. Where it was raised is for our log, not for callers."""
    return {"_rtype": "error", "_rvalue": traceback.format_exception_only(type(error), error)[-1].strip(), "_rtrace": ""}


class Reader:
    """Reads the values of one message. `method(encoded)` makes a function of one that the other side has."""

    def __init__(self, method, codecs):
        self.method = method
        self.codecs = codecs

    def read(self, value):
        if isinstance(value, list):
            return [self.read(one) for one in value]
        if not isinstance(value, dict):
            return value
        kind = value.get("_rtype")
        if kind is None:
            return Fields({name: self.read(one) for name, one in value.items()})
        codec = self.codecs.get(kind) if isinstance(kind, str) else None
        if codec is not None and codec.decoder is not None:
            return codec.decoder(Fields({name: self.read(one) for name, one in value.items() if name != "_rtype"}))
        reads = _TAGGED.get(kind) if isinstance(kind, str) else None
        if reads is not None:
            return reads(self, value)
        # A tag that nobody here knows is somebody else's: it goes through as it came.
        return Fields({name: self.read(one) for name, one in value.items()})

    def generator(self, value):
        following = self.method({**value, "_rpromise": "*"})
        closing = value.get("_rclose_method")
        close = self.method({**value, "_rtype": "method", "_rmethod": closing, "_rpromise": "*"}) if closing else None
        return values_of(following, close)

    def array(self, value):
        try:
            numpy = importlib.import_module("numpy")
        except ImportError:
            return Fields(value)
        return numpy.frombuffer(value["_rvalue"], dtype=plain_dtype(numpy, value)).reshape([int(side) for side in value["_rshape"]])

    def typed(self, value):
        try:
            numpy = importlib.import_module("numpy")
        except ImportError:
            return value["_rvalue"]
        return numpy.frombuffer(value["_rvalue"], dtype=plain_dtype(numpy, value))

    def pairs(self, value):
        return collections.OrderedDict(tuple(pair) for pair in self.read(value["_rvalue"]))

    def members(self, value):
        return Fields({name: self.read(one) for name, one in value.items() if not str(name).startswith("_")})


async def values_of(following, close):
    """What a generator of the other side gives; it is told when nobody wants the rest."""
    done = False
    try:
        while True:
            value = await following()
            if isinstance(value, dict) and value.get("_rtype") == "stop_iteration":
                done = True
                return
            yield value
    finally:
        if not done and close is not None:
            try:
                await close()
            except Exception:  # noqa: BLE001 - the other side may be gone; there is nobody to tell
                pass


def plain_dtype(numpy, value):
    """Only of numbers: a dtype is a language of its own, and an object's is a pointer."""
    dtype = numpy.dtype(str(value["_rdtype"]))
    if dtype.hasobject or dtype.fields is not None:
        raise TypeError("an array of that type is not taken")
    return dtype


def remote_exception(value):
    trace = value.get("_rtrace")
    return RemoteException(f"RemoteError:{value.get('_rvalue')}\n{trace if isinstance(trace, str) else ''}")


_TAGGED = {
    "method": lambda reader, value: reader.method(value),
    "generator": Reader.generator,
    "ndarray": Reader.array,
    "typedarray": Reader.typed,
    "memoryview": lambda reader, value: memoryview(value["_rvalue"]),
    "set": lambda reader, value: set(reader.read(value["_rvalue"])),
    "orderedmap": Reader.pairs,
    "iostream": Reader.members,
    "error": lambda reader, value: remote_exception(value),
}
