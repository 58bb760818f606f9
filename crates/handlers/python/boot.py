"""The first lines of a handler's process: takes the socket from standard input, and the rest of our code from the socket."""

import importlib.abc
import importlib.util
import json
import os
import socket
import struct
import sys


def _whole(connection, count):
    parts = []
    while count:
        part = connection.recv(min(count, 65536))
        if not part:
            sys.exit(0)
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


class _Ours(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Modules that came over the socket. It is asked last, so whatever is installed comes first."""

    def __init__(self, sources):
        self.sources = sources

    def find_spec(self, name, path=None, target=None):
        if name not in self.sources:
            return None
        return importlib.util.spec_from_loader(name, self, origin=f"<doorward {name}>", is_package=self.is_package(name))

    def is_package(self, name):
        return any(other.startswith(name + ".") for other in self.sources)

    def get_source(self, name):
        return self.sources[name]

    def exec_module(self, module):
        code = compile(self.sources[module.__name__], f"<doorward {module.__name__}>", "exec")
        exec(code, module.__dict__)


def _leave(*sockets):
    """A child of user code has its parent's sockets: what stands on them is the parent's to read, and their end is the parent's to see."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for ours in sockets:
        os.dup2(nothing, ours.fileno(), inheritable=False)
    os.close(nothing)


def _start():
    # User code that reads standard input must not read our frames, nor its children hold our socket.
    inherited = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    connection = socket.socket(fileno=inherited)
    # Other sockets come with the first byte: for what user code asks us while our frames wait, and a channel where the adapter has one.
    _, descriptors, _, _ = socket.recv_fds(connection, 1, 2)
    if not descriptors:
        sys.exit(0)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    asking, *channels = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    (size,) = struct.unpack(">I", _whole(connection, 4))
    begin = json.loads(_whole(connection, size))
    os.register_at_fork(after_in_child=lambda: _leave(connection, asking, *channels))
    sys.meta_path.append(_Ours(begin.pop("modules")))
    from _doorward_asking import _begin
    from _doorward_runner import run

    _begin(asking)
    run(connection, begin, *channels)


_start()
