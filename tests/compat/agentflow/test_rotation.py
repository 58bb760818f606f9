"""Keys that replace one another: `JWT_SECRET_KEYS`, newest first (A-065)."""

import json

import jwt
import pytest

from harness.agentflow.keys import key_pair
from harness.agentflow.settings import write_settings
from harness.agentflow.tokens import token
from harness.client import Client
from harness.doorward import Refused

NEWEST, MIDDLE, OLDEST = (
    f"{age}-secret-of-the-rotation-0123456789-abcdef" for age in ("newest", "middle", "oldest")
)
GENERATIONS = [NEWEST, MIDDLE, OLDEST]


def dotenv(**variables: str) -> str:
    return "".join(f"{name}={value}\n" for name, value in {"JWT_ALGORITHM": "HS256", **variables}.items())


def server_with(start, tmp_path, name: str, text: str):
    return start("dev", "--agentflow", write_settings(tmp_path / name, dotenv=text))


def statuses(server, keys: list[str], algorithm: str = "HS256") -> list[int]:
    client = Client(server.mount("agentflow"), roaming=True)
    return [client.get("/threads", token=token(key=key, algorithm=algorithm)).status_code for key in keys]


SPELLINGS = {
    "json_list": lambda keys: json.dumps(keys),
    "json_list_in_quotes": lambda keys: "'" + json.dumps(keys) + "'",
    "commas": lambda keys: ",".join(keys),
}


@pytest.mark.parametrize("spelling", sorted(SPELLINGS))
def test_every_listed_key_verifies(start, tmp_path, spelling):
    server = server_with(start, tmp_path, "app", dotenv(JWT_SECRET_KEYS=SPELLINGS[spelling](GENERATIONS)))
    assert statuses(server, [*GENERATIONS, "unlisted-" + NEWEST]) == [200, 200, 200, 401]


def test_a_key_that_left_the_list_verifies_no_longer(start, tmp_path):
    before = server_with(start, tmp_path, "before", dotenv(JWT_SECRET_KEYS=json.dumps(GENERATIONS)))
    assert statuses(before, GENERATIONS) == [200, 200, 200]
    before.program.stop()
    after = server_with(start, tmp_path, "after", dotenv(JWT_SECRET_KEYS=json.dumps([NEWEST, MIDDLE])))
    assert statuses(after, GENERATIONS) == [200, 200, 401]


def test_the_newest_key_signs(start, tmp_path):
    server = server_with(start, tmp_path, "app", dotenv(JWT_SECRET_KEYS=json.dumps(GENERATIONS)))
    made = server.command(
        *("token", "issue", "--mount", "agentflow", "--user-id", "user123", "--agentflow", server.settings)
    )["token"]
    assert jwt.decode(made, NEWEST, algorithms=["HS256"])["user_id"] == "user123"
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(made, MIDDLE, algorithms=["HS256"])


def test_a_list_of_public_keys_verifies_too(start, tmp_path):
    """Two P-256 keys, given as a JSON list whose line ends are escaped."""
    pems = [key_pair("ES256"), fresh_pair()]
    listed = json.dumps([pair.public_pem for pair in pems])
    server = server_with(start, tmp_path, "app", dotenv(JWT_ALGORITHM="ES256", JWT_SECRET_KEYS=f"'{listed}'"))
    keys = [pair.private_pem for pair in [*pems, fresh_pair()]]
    assert statuses(server, keys, "ES256") == [200, 200, 401]


def fresh_pair():
    return key_pair.__wrapped__("ES256")


def test_the_environments_list_wins_over_the_files(start, tmp_path):
    settings = write_settings(tmp_path / "app", dotenv=dotenv(JWT_SECRET_KEYS=json.dumps([OLDEST])))
    server = start("dev", "--agentflow", settings, environment={"JWT_SECRET_KEYS": json.dumps([NEWEST])})
    assert statuses(server, [NEWEST, OLDEST]) == [200, 401]


@pytest.mark.parametrize(
    "listed", ["[]", '["' + NEWEST + '", ""]', '["' + NEWEST + '", 7]', '{"a": "b"}', '["unclosed']
)
def test_a_list_that_makes_no_sense_stops_the_start_without_printing_it(start, tmp_path, listed):
    with pytest.raises(Refused) as refused:
        server_with(start, tmp_path, "app", dotenv(JWT_SECRET_KEYS=f"'{listed}'"))
    assert "JWT_SECRET_KEYS" in refused.value.output
    assert NEWEST not in refused.value.output


def test_a_kid_chooses_nothing_it_should_not(start, tmp_path):
    """The list has no key ids: a `kid` of the client's neither helps nor harms."""
    server = server_with(start, tmp_path, "app", dotenv(JWT_SECRET_KEYS=json.dumps(GENERATIONS)))
    client = Client(server.mount("agentflow"), roaming=True)
    for kid in ("0", "../../etc/passwd", "' or 1=1 --", "x" * 500):
        right = token(key=OLDEST, headers={"kid": kid})
        wrong = token(key="unlisted-" + NEWEST, headers={"kid": kid})
        assert client.get("/threads", token=right).status_code == 200, kid
        assert client.get("/threads", token=wrong).status_code == 401, kid
