"""For files that import `shortuuid`, which came along with Hypha; where it is installed it comes before this."""

import secrets
import uuid as _uuid

_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def uuid(name=None, pad_length=22):
    """A UUID in 22 letters and digits that are told apart by eye: a random one, or that of a name (RFC 9562, versions 4 and 5)."""
    if name is None:
        number = _uuid.uuid4().int
    else:
        space = _uuid.NAMESPACE_URL if name.lower().startswith(("http://", "https://")) else _uuid.NAMESPACE_DNS
        number = _uuid.uuid5(space, name).int
    letters = ""
    while number:
        number, at = divmod(number, len(_LETTERS))
        letters = _LETTERS[at] + letters
    return letters.rjust(pad_length, _LETTERS[0])


def random(length=22):
    """So many of them, at random."""
    return "".join(secrets.choice(_LETTERS) for _ in range(length))
