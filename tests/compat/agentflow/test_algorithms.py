"""Nine algorithms, their keys in every spelling, and no confusion between them (A-013 to A-019)."""

import base64
import hashlib
import hmac
import json
import subprocess
from pathlib import Path

import jwt
import pytest

from harness.agentflow import document
from harness.agentflow.keys import DOTENV_SPELLINGS, dotenv_multi_line, key_pair
from harness.agentflow.settings import SECRET, jwt_variables, write_settings
from harness.agentflow.tokens import claims, node_token, token
from harness.client import Client

# 64 bytes, so that no library complains about its length under HS512.
LONG_SECRET = "0123456789abcdef" * 4
SHARED_SECRET = ["HS256", "HS384", "HS512"]
KEY_PAIRS = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"]


def server_with(start, tmp_path: Path, algorithm: str, dotenv_value: str) -> Client:
    dotenv = f"JWT_SECRET_KEY={dotenv_value}\nJWT_ALGORITHM={algorithm}\n"
    settings = write_settings(tmp_path / f"app-{algorithm}", dotenv=dotenv)
    return Client(start("dev", "--agentflow", settings).mount("agentflow"), roaming=True)


def status(client: Client, credential: str) -> int:
    return client.get("/threads", token=credential).status_code


def assert_invalid(client: Client, forged: str) -> None:
    answer = client.get("/threads", token=forged)
    assert answer.status_code == 401, answer.text
    assert answer.json()["error"]["code"] == "INVALID_TOKEN"


@pytest.mark.parametrize("algorithm", SHARED_SECRET)
def test_a_shared_secret_works_with_one_hash_and_no_other(start, tmp_path, algorithm):
    client = server_with(start, tmp_path, algorithm, LONG_SECRET)
    assert status(client, token(key=LONG_SECRET, algorithm=algorithm)) == 200
    assert status(client, node_token(key=LONG_SECRET, algorithm=algorithm)) == 200
    for other in set(SHARED_SECRET) - {algorithm}:
        assert_invalid(client, token(key=LONG_SECRET, algorithm=other))


@pytest.mark.parametrize("half", ["public_pem", "private_pem"])
@pytest.mark.parametrize("algorithm", KEY_PAIRS)
def test_a_pem_verifies_whichever_half_the_server_was_given(start, tmp_path, algorithm, half):
    pair = key_pair(algorithm)
    client = server_with(start, tmp_path, algorithm, dotenv_multi_line(getattr(pair, half)))
    assert status(client, token(key=pair.private_pem, algorithm=algorithm)) == 200
    assert status(client, node_token(key=pair.private_pem, algorithm=algorithm)) == 200


@pytest.mark.parametrize("spelling", sorted(DOTENV_SPELLINGS))
@pytest.mark.parametrize("half", ["public_pem", "private_pem"])
def test_an_rsa_pem_is_read_in_every_spelling_of_a_dotenv_file(start, tmp_path, half, spelling):
    pair = key_pair("RS256")
    client = server_with(start, tmp_path, "RS256", DOTENV_SPELLINGS[spelling](getattr(pair, half)))
    assert status(client, token(key=pair.private_pem, algorithm="RS256")) == 200


@pytest.mark.parametrize("escaped", [False, True], ids=["line_ends", "escaped"])
def test_an_rsa_pem_is_read_from_the_environment(start, tmp_path, escaped):
    pair = key_pair("RS256")
    value = pair.public_pem.replace("\n", "\\n") if escaped else pair.public_pem
    settings = write_settings(tmp_path / "app", variables={})
    server = start("dev", "--agentflow", settings, environment=jwt_variables(value, "RS256"))
    client = Client(server.mount("agentflow"))
    assert status(client, token(key=pair.private_pem, algorithm="RS256")) == 200


def unsigned(header: dict) -> str:
    def part(content: dict) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    return f"{part(header)}.{part(claims())}."


def signed_with_the_public_key(public_pem: str, algorithm: str = "HS256") -> str:
    """PyJWT refuses to make this one, so it is made by hand."""
    signing_input = unsigned({"alg": algorithm, "typ": "JWT"}).rstrip(".")
    mac = hmac.new(public_pem.encode(), signing_input.encode(), hashlib.sha256).digest()
    return f"{signing_input}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


@pytest.mark.parametrize("spelling", ["none", "None", "NONE", "nOnE"])
def test_an_unsigned_token_is_invalid(anyone, spelling):
    assert_invalid(anyone, unsigned({"alg": spelling, "typ": "JWT"}))


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_a_public_key_is_never_a_shared_secret(start, tmp_path, algorithm):
    pair = key_pair(algorithm)
    client = server_with(start, tmp_path, algorithm, dotenv_multi_line(pair.public_pem))
    for pem in (pair.public_pem, pair.public_pem.strip(), pair.public_pem.replace("\n", "\\n")):
        assert_invalid(client, signed_with_the_public_key(pem))
    assert_invalid(client, unsigned({"alg": "none"}))


def test_another_hash_or_family_on_the_same_rsa_key_is_invalid(start, tmp_path):
    pair = key_pair("RS256")
    client = server_with(start, tmp_path, "RS256", dotenv_multi_line(pair.public_pem))
    for other in ("RS384", "RS512", "PS256"):
        assert_invalid(client, token(key=pair.private_pem, algorithm=other))


def test_a_key_of_another_curve_is_invalid(start, tmp_path):
    client = server_with(start, tmp_path, "ES256", dotenv_multi_line(key_pair("ES256").public_pem))
    for other in ("ES384", "ES512"):
        assert_invalid(client, token(key=key_pair(other).private_pem, algorithm=other))


def test_a_key_carried_in_the_token_is_never_trusted(anyone):
    pair = key_pair("ES256")
    jwk = json.loads(
        jwt.algorithms.ECAlgorithm.to_jwk(jwt.algorithms.ECAlgorithm("0").prepare_key(pair.public_pem))
    )
    for header in ({"jwk": jwk}, {"jku": "http://127.0.0.1:1/keys"}, {"x5u": "http://127.0.0.1:1/c"}):
        assert_invalid(anyone, token(key=pair.private_pem, algorithm="ES256", headers=header))
        assert_invalid(anyone, token(key="another-" + SECRET, headers=header))


def test_secrets_made_by_the_documents_commands_work(start, tmp_path):
    commands = [line for line in document.hmac_secret_block().splitlines() if not line.startswith("#")]
    assert len(commands) == 2
    for number, command in enumerate(commands):
        made = subprocess.run(
            ["bash", "-c", command.replace("python -c", "python3 -c")],
            capture_output=True,
            text=True,
            check=True,
        )
        secret = made.stdout.strip()
        assert len(secret) >= 32
        client = server_with(start, tmp_path / str(number), "HS256", secret)
        assert status(client, token(key=secret)) == 200


def test_rsa_files_made_by_the_documents_commands_work(start, tmp_path):
    made = subprocess.run(
        ["bash", "-e", "-c", document.rsa_block()], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    private, public = (tmp_path / "private.pem").read_text(), (tmp_path / "public.pem").read_text()
    assert made.stdout == private
    for name, pem in (("private", private), ("public", public)):
        client = server_with(start, tmp_path / name, "RS256", dotenv_multi_line(pem))
        assert status(client, token(key=private, algorithm="RS256")) == 200
