"""MessagePack as Hypha's frames have it. What comes in is hostile: its depth is bounded, and nothing is made that is larger than the frame."""

import struct

#: Deepest value, both ways.
DEEPEST = 64
_SIZED = {0xC4: ">B", 0xC5: ">H", 0xC6: ">I", 0xD9: ">B", 0xDA: ">H", 0xDB: ">I", 0xDC: ">H", 0xDD: ">I", 0xDE: ">H", 0xDF: ">I"}
_NUMBERS = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
_EXTENSIONS = {0xC7: ">B", 0xC8: ">H", 0xC9: ">I"}


class Malformed(ValueError):
    """Bytes that are no MessagePack, or a value that has none."""


class Extension:
    """A value of an application's own type, kept as it is."""

    __slots__ = ("code", "data")

    def __init__(self, code, data):
        self.code = code
        self.data = data

    def __eq__(self, other):
        return isinstance(other, Extension) and (self.code, self.data) == (other.code, other.data)

    def __hash__(self):
        return hash((self.code, self.data))

    def __repr__(self):
        return f"Extension({self.code}, {len(self.data)} bytes)"


def pack(value):
    """The bytes of a value; raises `Malformed` for what has none."""
    out = bytearray()
    _pack(value, out, DEEPEST)
    return bytes(out)


def _pack(value, out, depth):
    if depth < 0:
        raise Malformed(f"a value is at most {DEEPEST} levels deep")
    if value is None:
        out.append(0xC0)
    elif value is True or value is False:
        out.append(0xC3 if value else 0xC2)
    elif isinstance(value, int):
        _pack_whole(int(value), out)
    elif isinstance(value, float):
        out += struct.pack(">Bd", 0xCB, value)
    elif isinstance(value, str):
        # Half of a surrogate pair is no text.
        text = str.encode(value, "utf-8", "replace")
        _head(out, len(text), (0xA0, 31), (0xD9, 0xDA, 0xDB))
        out += text
    elif isinstance(value, (bytes, bytearray, memoryview)):
        data = bytes(value)
        _head(out, len(data), None, (0xC4, 0xC5, 0xC6))
        out += data
    elif isinstance(value, (list, tuple)):
        _head(out, len(value), (0x90, 15), (None, 0xDC, 0xDD))
        for one in value:
            _pack(one, out, depth - 1)
    elif isinstance(value, dict):
        _head(out, len(value), (0x80, 15), (None, 0xDE, 0xDF))
        for name, one in value.items():
            _pack(name, out, depth - 1)
            _pack(one, out, depth - 1)
    elif isinstance(value, Extension):
        _head(out, len(value.data), None, (0xC7, 0xC8, 0xC9))
        out += struct.pack(">b", value.code) + value.data
    else:
        raise Malformed(f"{type(value).__name__} cannot be sent")


def _pack_whole(value, out):
    if 0 <= value < 128:
        out.append(value)
    elif -32 <= value < 0:
        out.append(value & 0xFF)
    elif 0 <= value < 1 << 64:
        kind = 0xCC if value < 1 << 8 else 0xCD if value < 1 << 16 else 0xCE if value < 1 << 32 else 0xCF
        out += struct.pack(">B" + _NUMBERS[kind][1], kind, value)
    elif -(1 << 63) <= value < 0:
        kind = 0xD0 if value >= -(1 << 7) else 0xD1 if value >= -(1 << 15) else 0xD2 if value >= -(1 << 31) else 0xD3
        out += struct.pack(">B" + _NUMBERS[kind][1], kind, value)
    else:
        raise Malformed("a whole number has at most 64 bits")


def _head(out, size, short, kinds):
    if short is not None and size <= short[1]:
        out.append(short[0] | size)
    elif size < 1 << 8 and kinds[0] is not None:
        out += struct.pack(">BB", kinds[0], size)
    elif size < 1 << 16:
        out += struct.pack(">BH", kinds[1], size)
    elif size < 1 << 32:
        out += struct.pack(">BI", kinds[2], size)
    else:
        raise Malformed("a value is too large")


def unpack(data, at=0):
    """The value that begins at this byte, and where the next one does; raises `Malformed`."""
    reader = _Reader(data, at)
    return reader.value(DEEPEST), reader.at


class _Reader:
    def __init__(self, data, at):
        self.data = data
        self.at = at

    def take(self, size):
        begin, self.at = self.at, self.at + size
        if self.at > len(self.data):
            raise Malformed("the bytes end before the value does")
        return self.data[begin : self.at]

    def number(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def text(self, size):
        try:
            return str(self.take(size), "utf-8")
        except UnicodeDecodeError:
            raise Malformed("a text is no UTF-8") from None

    def value(self, depth):
        kind = self.take(1)[0]
        if kind < 0x80:
            return kind
        if kind >= 0xE0:
            return kind - 0x100
        if kind < 0x90:
            return self.map(kind & 15, depth)
        if kind < 0xA0:
            return self.list(kind & 15, depth)
        if kind < 0xC0:
            return self.text(kind & 31)
        if kind in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[kind]
        if kind in _NUMBERS:
            return self.number(_NUMBERS[kind])
        if kind in _SIZED:
            size = self.number(_SIZED[kind])
            if kind <= 0xC6:
                return bytes(self.take(size))
            if kind <= 0xDB:
                return self.text(size)
            return self.list(size, depth) if kind <= 0xDD else self.map(size, depth)
        if 0xD4 <= kind <= 0xD8:
            return self.extension(1 << (kind - 0xD4))
        if kind in _EXTENSIONS:
            return self.extension(self.number(_EXTENSIONS[kind]))
        raise Malformed("a byte begins no value")

    def extension(self, size):
        return Extension(self.number(">b"), bytes(self.take(size)))

    def room(self, least, depth):
        """Whether so many values can be there at all: each takes a byte at least."""
        if depth == 0:
            raise Malformed(f"a value is at most {DEEPEST} levels deep")
        if least > len(self.data) - self.at:
            raise Malformed("the bytes end before the value does")

    def list(self, size, depth):
        self.room(size, depth)
        return [self.value(depth - 1) for _ in range(size)]

    def map(self, size, depth):
        self.room(2 * size, depth)
        made = {}
        for _ in range(size):
            name = self.value(depth - 1)
            if not isinstance(name, (str, bytes, int)):
                raise Malformed("a name in a map is a text, bytes or a whole number")
            if name in made:
                raise Malformed("a name stands twice in a map")
            made[name] = self.value(depth - 1)
        return made
