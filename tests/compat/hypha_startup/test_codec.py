"""MessagePack of start-up processes against the package that Hypha's clients use."""

import random

import msgpack
import pytest
from _doorward_hypha.msgpack import DEEPEST, Extension, Malformed, pack, unpack

EDGES = [0, 1, 127, 128, 255, 256, 65535, 65536, 2**31, 2**32 - 1, 2**32, 2**63, 2**64 - 1, -1, -32, -33, -128, -129, -32768, -32769, -(2**31), -(2**31) - 1, -(2**63)]
VALUES = [
    None, True, False, *EDGES, 0.0, -1.5, 1e300, float("inf"), "", "a" * 31, "a" * 32, "é" * 200, "x" * 70_000, b"", b"a" * 255, b"a" * 256, b"a" * 70_000,
    [], list(range(15)), list(range(16)), list(range(70_000)), {}, {str(n): n for n in range(15)}, {str(n): n for n in range(70_000)},
    {"a": [{"b": [1, 2.5, None, b"\0"]}], 7: "whole", b"k": "bytes"},
]


def test_every_value_is_written_and_read_as_the_package_does():
    for value in VALUES:
        assert pack(value) == msgpack.packb(value)
        assert unpack(pack(value)) == (value, len(pack(value)))


def test_numbers_of_half_width_and_other_types_values_are_read_too():
    assert unpack(msgpack.packb(1.5, use_single_float=True))[0] == 1.5
    for data in (b"", b"a", b"ab", b"abcd", b"a" * 8, b"a" * 16, b"a" * 300, b"a" * 70_000):
        extension = Extension(-7, data)
        assert msgpack.unpackb(pack(Extension(7, data))) == msgpack.ExtType(7, data)
        assert unpack(pack(extension))[0] == extension


def test_the_second_value_begins_where_the_first_ends():
    both = pack({"type": "method"}) + pack({"args": [1]})
    first, at = unpack(both)
    assert first == {"type": "method"} and unpack(both, at) == ({"args": [1]}, len(both))


@pytest.mark.parametrize(
    ("case", "hostile"),
    [
        ("nothing", b""),
        ("cut off", pack({"a": "bcd"})[:-1]),
        ("a list that says four billion", b"\xdd\xff\xff\xff\xff\xc0"),
        ("a map that says four billion", b"\xdf\xff\xff\xff\xff\xc0\xc0"),
        ("bytes that say four billion", b"\xc6\xff\xff\xff\xffa"),
        ("too deep", b"\x91" * (DEEPEST + 1) + b"\xc0"),
        ("very deep", b"\x91" * 500_000 + b"\xc0"),
        ("no such byte", b"\xc1"),
        ("no UTF-8", b"\xa1\xff"),
        ("a list for a name", b"\x81\x90\xc0"),
        ("a name twice", b"\x82\xa1a\x01\xa1a\x02"),
    ],
)
def test_hostile_bytes_are_refused(case, hostile):
    with pytest.raises(Malformed):
        unpack(hostile)


def test_random_bytes_are_a_value_or_refused():
    chance = random.Random(7)
    for _ in range(20_000):
        try:
            unpack(chance.randbytes(chance.randrange(1, 40)))
        except Malformed:
            pass


def test_what_has_no_bytes_is_said():
    for value in (object(), 2**64, -(2**63) - 1, {1, 2}):
        with pytest.raises(Malformed):
            pack(value)
    loop: list = []
    loop.append(loop)
    with pytest.raises(Malformed):
        pack(loop)
