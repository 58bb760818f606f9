"""`import doorward`: what a handler may ask Doorward itself. Its own hook is never among what answers, so asking cannot go in a circle.

The socket is one of its own and blocking: a coroutine that asks waits for the answer and for nothing else, also while calls pile up.
"""

import json
import threading

_LARGEST = 1 << 20
_asking = threading.Lock()
_socket = None


class Unavailable(RuntimeError):
    """There is no answer: the question was refused, or Doorward is gone."""


def _begin(socket):
    global _socket
    _socket = socket


def _whole(count):
    parts = bytearray()
    while len(parts) < count:
        part = _socket.recv(count - len(parts))
        if not part:
            raise Unavailable("Doorward does not answer")
        parts += part
    return bytes(parts)


def _ask(function, **given):
    if _socket is None:
        raise Unavailable("this process was not started by Doorward")
    body = json.dumps({"ask": function, "with": given}).encode()
    if len(body) > _LARGEST:
        raise Unavailable("the question is too large")
    with _asking:
        _socket.sendall(len(body).to_bytes(4, "big") + body)
        said = json.loads(_whole(int.from_bytes(_whole(4), "big")))
    if "unavailable" in said:
        raise Unavailable(said["unavailable"])
    return said["answer"]


def identify(authorization):
    """Who an Authorization header is, by Doorward's own tokens and API keys and those of the issuers that the mount takes.

    A dict with `subject`, `authority`, `roles`, `scopes` (None for no limit), `method`, `expires_at` (seconds, or None) and `claims`;
    None for a header that lets nobody in. Raises `Unavailable` when that cannot be found out now.
    """
    if authorization is not None and not isinstance(authorization, str):
        raise TypeError("authorization is the text of the header, or None")
    return _ask("identify", authorization=authorization)
