"""What the proxies do while Doorward is not there, is overrun, or does not answer: nobody gets in."""

import socket
import threading
from contextlib import suppress

import pytest
from forward_auth.proxies import PROXIES, started

from harness.client import Client

YES = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
ANSWERS = {
    "too many": b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "unavailable": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "broken": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "another protocol": b"220 smtp.example ESMTP\r\n",
    "silent": b"",
}


class Instead:
    """Listens where Doorward should, and answers each connection with these bytes; with none it says nothing."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.answer, self.held = b"", []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            if self.answer:
                connection.recv(65536)
                connection.sendall(self.answer)
                connection.close()
            else:
                self.held.append(connection)

    def close(self):
        # Closing alone would not wake whoever waits in accept().
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.mark.parametrize("name", PROXIES)
def test_nobody_gets_in_while_doorward_says_neither_yes_nor_no(name, house, tmp_path):
    instead = Instead()
    try:
        instead.answer = YES
        with started(name, instead.address, house.app, tmp_path) as url:
            client = Client(url)
            assert "headers" in client.get("/app/x", token=house.user).json(), "by a yes they do"
            for kind, answer in ANSWERS.items():
                instead.answer = answer
                refused = client.get("/app/x", token=house.user)
                assert refused.status_code >= 400 and "headers" not in refused.text, f"{kind}: {refused.status_code} {refused.text[:200]}"
            instead.close()
            refused = client.get("/app/x", token=house.user)
            assert refused.status_code >= 400 and "headers" not in refused.text, f"gone: {refused.status_code} {refused.text[:200]}"
    finally:
        instead.close()
