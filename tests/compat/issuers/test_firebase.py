"""Firebase ID tokens by configuration alone, with the keys, claims and refusals that Firebase's documents describe: A-078.

Firebase itself cannot run here. Its tokens are RS256 JWTs: `iss` is `https://securetoken.google.com/PROJECT`, `aud` is PROJECT, `sub` the user's uid,
`kid` one of the keys of a JWK set that it publishes (https://firebase.google.com/docs/auth/admin/verify-id-tokens).
"""

import base64
import hmac
import json
import time

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from harness.client import Client
from harness.doorward import Doorward
from harness.recorder import Recorder

PROJECT = "my-project"
ISSUER = f"https://securetoken.google.com/{PROJECT}"
KEY, OTHER = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))


def published(key, kid: str) -> dict:
    return {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())), "kid": kid, "use": "sig", "alg": "RS256"}


def token(key=KEY, kid: str = "k1", algorithm: str = "RS256", **changed) -> str:
    now = int(time.time())
    claims = {
        "iss": ISSUER, "aud": PROJECT, "auth_time": now - 60, "user_id": "uid-1", "sub": "uid-1", "iat": now - 60, "exp": now + 3600,
        "email": "ann@example.org", "email_verified": True, "firebase": {"identities": {"email": ["ann@example.org"]}, "sign_in_provider": "password"},
    }
    claims = {name: value for name, value in {**claims, **changed}.items() if value is not None}
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid})


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    home = tmp_path_factory.mktemp("firebase")
    with Recorder(answer=lambda _: (200, {"keys": [published(KEY, "k1")]})) as google:
        config = home / "doorward.toml"
        config.write_text(
            f"""
[outbound]
allow = ["{google.url}"]
[issuers.firebase]
issuer = "{ISSUER}"
jwks_url = "{google.url}/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com"
audience = ["{PROJECT}"]
[mounts.native]
issuers = ["firebase"]
"""
        )
        config.chmod(0o600)
        with Doorward("dev", "--listen", "127.0.0.1:0", "--config", config, home=home / "doorward") as running:
            yield running


def ask(server, shown: str) -> requests.Response:
    # From a new address each time: refusals of one add up to a 429.
    return Client(server.url, shown, roaming=True).post("/v1/threads", json={})


def test_whoever_shows_an_id_token_of_the_project_is_its_uid(server):
    assert ask(server, token()).status_code == 201
    lines = server.command("audit", "list", "--action", "thread:create")
    lines = lines["entries"] if isinstance(lines, dict) else lines
    assert lines[0]["principal"] == "firebase|uid-1"


def by_the_public_key() -> str:
    """The classic forgery: an HMAC whose secret is the key that everybody may read. PyJWT would not make it."""
    public = KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    head = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "typ": "JWT", "kid": "k1"}).encode()).rstrip(b"=")
    signed = head + b"." + token().split(".")[1].encode()
    return (signed + b"." + base64.urlsafe_b64encode(hmac.digest(public, signed, "sha256")).rstrip(b"=")).decode()


@pytest.mark.parametrize(
    "forge",
    [
        lambda: token(aud="another-project"),
        lambda: token(iss="https://securetoken.google.com/another-project"),
        lambda: token(iss=f"{ISSUER}/"),
        lambda: token(exp=int(time.time()) - 3600),
        lambda: token(exp=None),
        lambda: token(sub=None),
        lambda: token(sub=""),
        lambda: token(iat=int(time.time()) + 3600),
        lambda: token(OTHER),
        lambda: token(OTHER, kid="k2"),
        lambda: token(None, algorithm="none"),
        by_the_public_key,
    ],
    ids=["project", "issuer", "issuer spelled otherwise", "expired", "for ever", "nobody", "nobody's name", "of tomorrow", "signature", "unknown key", "none", "HS256"],
)
def test_what_firebase_would_not_have_signed_lets_nobody_in(server, forge):
    refused = ask(server, forge())
    assert refused.status_code == 401 and "ann@example.org" not in refused.text
