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


def _start():
    # User code that reads standard input must not read our frames, nor its children hold our socket.
    inherited = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    connection = socket.socket(fileno=inherited)
    # A second socket comes with the first byte: for what user code asks us while our frames wait.
    _, descriptors, _, _ = socket.recv_fds(connection, 1, 1)
    if len(descriptors) != 1:
        sys.exit(0)
    os.set_inheritable(descriptors[0], False)
    asking = socket.socket(fileno=descriptors[0])
    (size,) = struct.unpack(">I", _whole(connection, 4))
    begin = json.loads(_whole(connection, size))
    sys.meta_path.append(_Ours(begin.pop("modules")))
    from _doorward_asking import _begin
    from _doorward_runner import run

    _begin(asking)
    run(connection, begin)


_start()
