"""Key pairs for the asymmetric algorithms, as PEM text."""

from dataclasses import dataclass
from functools import cache

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

CURVES = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}


@dataclass(frozen=True)
class KeyPair:
    private_pem: str
    public_pem: str


@cache
def key_pair(algorithm: str) -> KeyPair:
    """One pair per family and curve for the whole run: RSA keys are slow to make."""
    if algorithm.startswith("RS"):
        return _rsa_pair()
    return _pems(ec.generate_private_key(CURVES[algorithm]()))


@cache
def _rsa_pair() -> KeyPair:
    return _pems(rsa.generate_private_key(public_exponent=65537, key_size=2048))


def _pems(private) -> KeyPair:
    return KeyPair(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
        private.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode(),
    )


def dotenv_multi_line(pem: str) -> str:
    """A PEM over several lines inside double quotes."""
    return f'"{pem}"'


def dotenv_escaped(pem: str) -> str:
    """A PEM on one line, its line ends written as backslash-n inside double quotes."""
    return '"' + pem.replace("\n", "\\n") + '"'


def dotenv_escaped_bare(pem: str) -> str:
    """The same without quotes, as deployment panels write it."""
    return pem.strip().replace("\n", "\\n")


DOTENV_SPELLINGS = {
    "multi_line": dotenv_multi_line,
    "escaped": dotenv_escaped,
    "escaped_without_quotes": dotenv_escaped_bare,
}
