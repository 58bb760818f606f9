"""A real Redis on this machine, on a port of its own, that keeps nothing."""

import contextlib
import shutil
import socket
from pathlib import Path

from harness.programs import Program, clean_environment, free_port, left_out, wait_until


class Redis:
    """`redis-server`, running within `with`."""

    def __init__(self, home: Path) -> None:
        binary = shutil.which("redis-server")
        if binary is None:
            raise left_out("redis-server is not there: run `cargo xtask setup`")
        self.port = free_port()
        home.mkdir(parents=True, exist_ok=True)
        own = ["--bind", "127.0.0.1", "--port", self.port, "--save", "", "--appendonly", "no", "--dir", home]
        self.program = Program([binary, *own], log=home / "redis.log", environment=clean_environment(), cwd=home)
        try:
            wait_until(self._answers, "Redis answers")
        except BaseException:
            self.program.stop()
            raise

    def _answers(self) -> bool:
        self.program.require_running()
        with contextlib.suppress(OSError):
            return self.say("PING") == "+PONG"
        return False

    def say(self, *words: str) -> str:
        """The first line of what Redis answers to a command, such as `:1` or `+OK`."""
        spelled = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection, connection.makefile("rb") as answer:
            connection.sendall(f"*{len(words)}\r\n{spelled}".encode())
            return answer.readline().decode().rstrip("\r\n")

    def __enter__(self) -> "Redis":
        return self

    def __exit__(self, *_) -> None:
        self.program.stop()
