"""What the tests of `operations` share: certificates, servers over TLS, metrics, and the socket of a service manager."""

import datetime
import ipaddress
import json
import socket
from pathlib import Path

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from prometheus_client.openmetrics.parser import text_string_to_metric_families

LIMIT_S = 20


class Identity:
    """A certificate for 127.0.0.1 that signed itself, and its key, as PEM."""

    def __init__(self, days: int = 30, begins_days_ago: int = 60) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "doorward test")])
        now = datetime.datetime.now(datetime.timezone.utc)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=begins_days_ago))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
            .sign(key, hashes.SHA256())
        )
        self.serial = made.serial_number
        self.ends = int(made.not_valid_after_utc.timestamp())
        self.certificate = made.public_bytes(serialization.Encoding.PEM)
        self.key = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def put(path: Path, content: bytes) -> None:
    """Replaces a file as programs that renew certificates do: whole, by another one."""
    draft = path.with_name("draft")
    draft.write_bytes(content)
    draft.chmod(0o600)
    draft.rename(path)


def put_identity(home: Path, identity: Identity) -> None:
    put(home / "tls.pem", identity.certificate)
    put(home / "tls.key", identity.key)


def tls_configuration(home: Path, more: str = "") -> Path:
    config = home / "doorward.toml"
    config.write_text(
        f'[server]\ntls_certificate_file = "{home}/tls.pem"\ntls_key_file = "{home}/tls.key"\n'
        f'[metrics]\nlisten = "127.0.0.1:0"\n{more}'
    )
    return config


def at_metrics_listener(server, path: str) -> str:
    return server.ready["metrics"].removesuffix("/metrics") + path


def metrics(server) -> dict[tuple, float]:
    """Every sample by its name and labels."""
    answer = requests.get(server.ready["metrics"], timeout=LIMIT_S)
    families = text_string_to_metric_families(answer.text)
    return {(s.name, *sorted(s.labels.items())): s.value for family in families for s in family.samples}


def ready_file(server) -> dict:
    return json.loads((server.home / "ready.json").read_text())


class Manager:
    """A service manager's end of sd_notify(3)."""

    def __init__(self, home: Path) -> None:
        self.path = home / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self._socket.settimeout(LIMIT_S)

    def next(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self._socket.recv(4096).decode().splitlines())

    def close(self) -> None:
        self._socket.close()
