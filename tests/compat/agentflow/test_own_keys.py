"""Doorward's own tokens signed with keys of the operator's, and a claim of the operator's choice."""

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from harness.client import Client

PASSWORD = "correct horse battery"


def pem(key) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@pytest.fixture
def keys(tmp_path):
    made = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("old", "new")}
    for name, key in made.items():
        path = tmp_path / f"{name}.pem"
        path.write_text(pem(key))
        path.chmod(0o600)
    return made


def settings(tmp_path, *names):
    files = ", ".join(f'"{name}.pem"' for name in names)
    file = tmp_path / f"doorward-{'-'.join(names)}.toml"
    file.write_text(f'[tokens]\nkey_files = [{files}]\nidentity_claim = "user_id"\n')
    return file


def log_in(url: str) -> str:
    body = {"grant_type": "password", "username": "ada", "password": PASSWORD}
    answer = Client(url).post("/v1/token", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["access_token"]


def test_the_first_file_signs_all_verify_and_the_public_halves_are_published(start, tmp_path, keys):
    data = tmp_path / "data"
    first = start("dev", "--data-dir", data, "--config", settings(tmp_path, "old"))
    made = Client(first.url).post("/v1/users", json={"username": "ada", "password": PASSWORD})
    assert made.status_code == 201, made.text
    token = log_in(first.url)
    claims = jwt.decode(token, keys["old"].public_key(), algorithms=["ES256"], audience="doorward")
    assert claims["user_id"] == claims["sub"] == made.json()["id"]
    assert jwt.get_unverified_header(token)["kid"] == "old"
    first.program.stop()

    second = start("dev", "--data-dir", data, "--config", settings(tmp_path, "new", "old"))
    assert Client(second.url, token).get("/v1/me").status_code == 200, "the old key still verifies"
    assert jwt.get_unverified_header(log_in(second.url))["kid"] == "new"
    published = Client(second.url).get("/.well-known/jwks.json").json()["keys"]
    assert {key["kid"] for key in published} == {"old", "new"}
    assert all("d" not in key for key in published)
    second.program.stop()

    third = start("dev", "--data-dir", data, "--config", settings(tmp_path, "new"))
    assert Client(third.url, token).get("/v1/me").status_code == 401, "its key is gone"
