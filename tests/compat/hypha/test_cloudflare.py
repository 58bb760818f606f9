"""Cloudflare Access in front of a hub, by configuration alone: H-061, H-132.

Cloudflare cannot run here. Its application tokens are RS256 JWTs: `iss` is `https://TEAM.cloudflareaccess.com`, `aud` a list with the application's
AUD tag, `kid` one of the keys at `/cdn-cgi/access/certs` (a JWK set with certificates beside it), shown in the header `Cf-Access-Jwt-Assertion` and
the cookie `CF_Authorization` (https://developers.cloudflare.com/cloudflare-one/identity/authorization-cookie/validating-json/).
"""

import base64
import hmac
import json
import time
from dataclasses import dataclass, field

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from harness.client import Client
from harness.doorward import Doorward
from harness.hypha import Hub, asked
from harness.recorder import Recorder

AUD = "4714c1358e65fe4b408ad6d432a5f878f08194bdb4752441fd56faefa9b2b6f2"
CERTS = "/cdn-cgi/access/certs"


def new_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Team:
    """What Cloudflare publishes for a team, and signs."""

    name: str = "https://my-team.cloudflareaccess.com"
    keys: dict = field(default_factory=lambda: {"k1": new_key()})

    def answer(self, request):
        if request.target != CERTS:
            return 404, {}
        published = [{**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())), "kid": kid, "use": "sig", "alg": "RS256"} for kid, key in self.keys.items()]
        return 200, {"keys": published, "public_cert": {"kid": "k1", "cert": "-----"}, "public_certs": [{"kid": kid, "cert": "-----"} for kid in self.keys]}

    def token(self, kid: str = "k1", key=None, algorithm: str = "RS256", **changed) -> str:
        now = int(time.time())
        claims = {
            "aud": [AUD], "email": "ann@example.org", "exp": now + 3600, "iat": now, "nbf": now, "iss": self.name, "type": "app",
            "identity_nonce": "x", "sub": "f174e90a-fafe-4643-bbbc-4a0ed4fc8415", "country": "DE",
        }  # fmt: skip
        claims = {name: value for name, value in {**claims, **changed}.items() if value is not None}
        return jwt.encode(claims, self.keys[kid] if key is None else key, algorithm=algorithm, headers={"kid": kid})


@pytest.fixture
def team():
    return Team()


@pytest.fixture
def hub(tmp_path, team):
    with Recorder(answer=team.answer) as cloudflare:
        config = tmp_path / "doorward.toml"
        config.write_text(
            f"""
[outbound]
allow = ["{cloudflare.url}"]
[issuers.access]
issuer = "{team.name}"
jwks_url = "{cloudflare.url}{CERTS}"
audience = ["{AUD}"]
[mounts.hypha]
issuers = ["access"]
token_sources = ["header:Cf-Access-Jwt-Assertion", "header:CF-Authorization", "authorization", "cookie:access_token", "cookie:CF_Authorization"]
"""
        )
        config.chmod(0o600)
        with Doorward("dev", "--listen", "127.0.0.1:0", "--config", config, home=tmp_path / "doorward") as server:
            hub = Hub(server)
            hub.fetches = lambda: sum(request.target == CERTS for request in cloudflare.taken())
            yield hub


async def whom(hub, **options):
    answer = await asked(hub.http(), "GET", "/assets/config.json", **options)
    return answer.json()["user"] if answer.status_code == 200 else answer.status_code


async def test_whoever_access_let_in_is_somebody_wherever_it_puts_the_token(hub, team):
    token = team.token()
    seen = [await whom(hub, headers={name: token}) for name in ("CF-Authorization", "Cf-Access-Jwt-Assertion")]
    seen.append(await whom(hub, headers={"Cookie": f"CF_Authorization={token}"}))
    assert len({(user["id"], user["email"], *user["roles"]) for user in seen}) == 1, seen
    assert not seen[0]["is_anonymous"] and seen[0]["id"].endswith("f174e90a-fafe-4643-bbbc-4a0ed4fc8415")
    assert "admin" not in seen[0]["roles"], "no claim makes administrators"
    assert hub.fetches() == 1, "keys are kept"
    async with hub.enter(token) as server:
        assert server.config.user["id"] == seen[0]["id"] and (await server.echo("hello")) == "hello"
    async with hub.wire("/ws", additional_headers={"Cf-Access-Jwt-Assertion": token}) as wire:
        assert (await wire.hello())["user"]["id"] == seen[0]["id"], "as the proxy adds it to the handshake"
    assert token.split(".")[2] not in hub.server.log


async def test_its_keys_rotate(hub, team):
    assert (await whom(hub, headers={"CF-Authorization": team.token()}))["roles"]
    team.keys = {"k2": new_key(), "k1": team.keys["k1"]}
    assert (await whom(hub, headers={"CF-Authorization": team.token("k2")}))["roles"]
    assert (await whom(hub, headers={"CF-Authorization": team.token("k1")}))["roles"], "both are published"
    assert hub.fetches() == 2


async def test_what_access_did_not_sign_for_this_application_lets_nobody_in(hub, team):
    good, secret = team.token(), serialization.PublicFormat.SubjectPublicKeyInfo
    pem = team.keys["k1"].public_key().public_bytes(serialization.Encoding.PEM, secret)
    assert (await whom(hub, headers={"CF-Authorization": good}))["roles"]
    now = int(time.time())
    unsigned = jwt.encode({"iss": team.name, "aud": [AUD], "sub": "x", "exp": now + 60, "iat": now}, None, algorithm="none", headers={"kid": "k1"})
    head, body, _ = good.split(".")
    for name, token in {
        "another application": team.token(aud=["f" * 64]),
        "no application": team.token(aud=None),
        "another team": team.token(iss="https://other-team.cloudflareaccess.com"),
        "a slash too many": team.token(iss=f"{team.name}/"),
        "expired": team.token(iat=now - 7200, nbf=now - 7200, exp=now - 3600),
        "not yet": team.token(nbf=now + 600),
        "without an end": team.token(exp=None),
        "another key": team.token(key=new_key()),
        "the public key as a secret": forged(head, body, pem),
        "unsigned": unsigned,
        "cut": good[:-8],
    }.items():
        client = Client(hub.url, roaming=True)
        for headers in ({"CF-Authorization": token}, {"Cookie": f"CF_Authorization={token}"}):
            answer = await asked(client, "GET", "/assets/config.json", headers=headers)
            assert answer.status_code == 401 and answer.json()["detail"], (name, answer.text)


async def test_keys_own_tokens_and_those_of_access_stand_side_by_side(hub, team):
    """The document's chain of prefixes, without code: the first that knows a text is the last that is asked."""
    person = hub.person()
    key = hub.server.command("key", "create", "--user", person.name, "--name", "job", "--expires", "1h")["key"]
    for shown, id in ((key, person.id), (person.token, person.id), (team.token(), "access|f174e90a-fafe-4643-bbbc-4a0ed4fc8415")):
        for headers in ({"Authorization": f"Bearer {shown}"}, {"CF-Authorization": shown}):
            assert (await whom(hub, headers=headers))["id"] == id, shown[:8]
    wrong = key[:-1] + ("a" if key[-1] != "a" else "b")
    for shown in (wrong, f"{key}.{team.token()}", f"sk_{team.token()}", f"custom_{person.token}", f"saml_{key}"):
        assert await whom(hub, headers={"CF-Authorization": shown, "Authorization": f"Bearer {person.token}"}) == 401, shown[:8]


def forged(head: str, body: str, pem: bytes) -> str:
    """HS256 by the public key."""
    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    named = json.loads(base64.urlsafe_b64decode(head + "=="))
    head = part(json.dumps({**named, "alg": "HS256"}).encode())
    return f"{head}.{body}.{part(hmac.digest(pem, f'{head}.{body}'.encode(), 'sha256'))}"
