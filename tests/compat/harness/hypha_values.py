"""Values of every kind, and a service that gives back what it gets."""

import asyncio

import numpy

LARGE_BYTES = 5 << 20

VALUES = {
    "nil": None,
    "yes": True,
    "no": False,
    "zero": 0,
    "negative": -(1 << 40),
    "large": (1 << 62) + 1,
    "half": 0.5,
    "text": "čaj 🍵 \0 end",
    "no text": "",
    "bytes": bytes(range(256)),
    "list": [1, ["two", [b"3"]], []],
    "map": {"a": {"b": {}}, "_underscore": 1, "with space": 2},
    "array": numpy.arange(24, dtype="float32").reshape(2, 3, 4),
    "small array": numpy.array([[1, -2]], dtype="int16"),
    "no array": numpy.zeros((0, 3), dtype="uint8"),
}


async def twice(callback, value):
    return [await callback(value), await callback(value)]


def count(end):
    yield from range(end)


async def count_slowly(end):
    for number in range(end):
        await asyncio.sleep(0)
        yield number


def fail(text):
    raise ValueError(text)


def mirror(**config) -> dict:
    """A service that gives back what it gets."""
    return {
        "id": "mirror",
        "name": "Mirror",
        "config": {"require_context": ["who"], **config},
        "mirror": lambda value: value,
        "size": lambda value: len(value),
        "twice": twice,
        "count": count,
        "count_slowly": count_slowly,
        "fail": fail,
        "named": lambda left, right=10: [left, right],
        "who": lambda context=None: {"id": context["user"]["id"], "ws": context["ws"], "from": context["from"], "to": context["to"], "user": context["user"]},
        "nested": {"deep": {"add": lambda left, right: left + right}},
        "constant": 42,
    }
