"""A real mail server, PyPI `aiosmtpd`, that keeps what it takes."""

import contextlib
import email as letters

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from harness.programs import free_port


class Sink:
    """Takes letters; the first `away` are put off, those to `nobody@` refused."""

    def __init__(self, away: int = 0) -> None:
        self.away, self.tries, self.taken, self.logins = away, 0, [], []

    async def handle_RCPT(self, server, session, envelope, to, options):
        self.tries += 1
        if to.startswith("nobody@"):
            return f"550 5.1.1 no such mailbox: {to}"
        if self.tries <= self.away:
            return "451 4.7.1 come again"
        envelope.rcpt_tos.append(to)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.taken.append((envelope.rcpt_tos, letters.message_from_bytes(envelope.content)))
        return "250 taken"

    def authenticate(self, server, session, envelope, mechanism, data):
        self.logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=data.password == b"smtp password of the tests")

    def to(self, email: str) -> list:
        return [message for to, message in self.taken if to == [email]]


@contextlib.contextmanager
def listening(sink: Sink, **more):
    controller = Controller(sink, hostname="127.0.0.1", port=free_port(), ready_timeout=10, **more)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()
