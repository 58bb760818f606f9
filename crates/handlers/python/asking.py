"""`import doorward`: what a handler may ask Doorward itself. Its own hook is never among what answers, so asking cannot go in a circle.

The socket is one of its own and blocking: a coroutine that asks waits for the answer and for nothing else, also while calls pile up.
"""

import hashlib
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


def once(key, seconds):
    """Whether this is the first time in so many seconds that anybody asks about this key: True once, then False until they are over.

    For codes, links and nonces that may be used once, whichever process and mount they come to. The key is a text or bytes and does not
    leave this process: a hash of it does. At most 86,400 seconds. Raises `Unavailable` when that cannot be told; whoever asks then lets
    nobody in.
    """
    if not isinstance(key, (str, bytes)):
        raise TypeError("the key is a text or bytes")
    if not isinstance(seconds, (int, float)) or not 0 < seconds <= 86_400:
        raise ValueError("seconds is a number above 0 and at most 86400")
    bytes_ = key if isinstance(key, bytes) else key.encode("utf-8", "surrogatepass")
    return first_use(hashlib.sha256(b"doorward once\0" + bytes_).hexdigest(), -int(-seconds // 1))


def first_use(name, seconds):
    """As `once`, by a name that tells nothing."""
    return _ask("once", name=name, seconds=min(max(seconds, 1), 86_400)) is True
