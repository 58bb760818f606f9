"""The certificate is replaced while the server runs, together with its key or not at all."""

import secrets
import signal
import socket
import ssl

import requests
from cryptography import x509

from harness.operations import LIMIT_S, Identity, Manager, metrics, put, put_identity
from harness.programs import wait_until


def connect(server) -> ssl.SSLSocket:
    host, port = server.url.removeprefix("https://").split(":")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(socket.create_connection((host, int(port)), LIMIT_S), server_hostname=host)


def shown(server) -> int:
    """The serial number of the certificate that a new connection is shown."""
    with connect(server) as connection:
        return x509.load_der_x509_certificate(connection.getpeercert(binary_form=True)).serial_number


def keyless(home, identity: Identity) -> None:
    put(home / "tls.key", b"nothing\n")
    put(home / "tls.pem", identity.certificate)


def answers(connection: ssl.SSLSocket) -> bool:
    connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    read = b""
    while b'"live"' not in read:
        part = connection.recv(4096)
        assert part, "the connection was closed"
        read += part
    return read.startswith(b"HTTP/1.1 200")


def renewals(server, outcome: str) -> float:
    return metrics(server)["doorward_certificate_renewals_total", ("outcome", outcome)]


def test_a_renewed_certificate_is_shown_to_new_connections_and_old_ones_live_on(serve):
    server = serve(tls=True)
    old = connect(server)
    assert answers(old)
    renewed = Identity(days=90)
    put_identity(server.home, renewed)
    wait_until(lambda: shown(server) == renewed.serial, "the renewed certificate", LIMIT_S)
    assert answers(old), "it goes on under the certificate it was begun with"
    assert metrics(server)[("doorward_certificate_expires_seconds",)] == renewed.ends
    assert (renewals(server, "taken"), renewals(server, "refused")) == (1, 0)
    assert "the certificate was renewed" in server.log


def test_a_renewal_that_cannot_be_shown_is_said_and_leaves_the_old_one(serve):
    server = serve(tls=True)
    before, renewed, over = shown(server), Identity(days=90), Identity(days=-1)
    for count, (what, break_it, said) in enumerate(
        [
            ("half-written", lambda: put(server.home / "tls.pem", renewed.certificate[:200]), "cannot be read"),
            ("of two renewals", lambda: put(server.home / "tls.pem", renewed.certificate), "does not belong"),
            ("over", lambda: put_identity(server.home, over), "expired"),
            ("without a key", lambda: keyless(server.home, renewed), "holds no PEM private key"),
        ],
        start=1,
    ):
        break_it()
        server.program.process.send_signal(signal.SIGHUP)
        wait_until(lambda count=count: renewals(server, "refused") >= count, what, LIMIT_S)
        assert shown(server) == before, what
        line = server.log.strip().splitlines()[-1]
        assert "the one before it stays" in line and said in line, line
    put_identity(server.home, renewed)
    server.program.process.send_signal(signal.SIGHUP)
    wait_until(lambda: shown(server) == renewed.serial, "what was mended", LIMIT_S)
    assert "BEGIN" not in server.log


def test_who_sends_sighup_is_told_when_it_is_read(serve, manager: Manager):
    server = serve(tls=True, environment={"NOTIFY_SOCKET": str(manager.path)})
    assert manager.next() == {"READY": "1"}
    renewed = Identity(days=90)
    put_identity(server.home, renewed)
    server.program.process.send_signal(signal.SIGHUP)
    reloading = manager.next()
    assert reloading["RELOADING"] == "1" and int(reloading["MONOTONIC_USEC"]) > 0
    assert manager.next() == {"READY": "1"}
    assert shown(server) == renewed.serial, "read at once"


def test_a_reload_that_is_refused_is_said_to_the_service_manager_until_it_is_mended(serve, manager: Manager):
    server = serve(tls=True, environment={"NOTIFY_SOCKET": str(manager.path)})
    assert manager.next() == {"READY": "1"}

    def reload() -> list[dict]:
        """What is told from the signal until it was answered."""
        server.program.process.send_signal(signal.SIGHUP)
        told = [manager.next()]
        while told[-1] != {"READY": "1"}:
            told.append(manager.next())
        return told

    put_identity(server.home, Identity(days=-1))
    [status] = [one["STATUS"] for one in reload() if "STATUS" in one]
    assert "the one before it stays" in status and "expired" in status
    put_identity(server.home, Identity(days=90))
    assert {"STATUS": ""} in reload()


def test_without_a_certificate_sighup_ends_no_server_of_others(tmp_path, serve):
    (tmp_path / "master.key").write_text(secrets.token_hex(32))
    (tmp_path / "master.key").chmod(0o600)
    more = f'[secrets]\nmaster_key_file = "{tmp_path}/master.key"\n'
    server = serve(more, mode="serve")
    server.program.process.send_signal(signal.SIGHUP)
    server.program.process.send_signal(signal.SIGHUP)
    assert requests.get(f"{server.url}/health/ready", timeout=LIMIT_S).status_code == 200
    server.program.require_running()
