"""A tenant's access tokens at a hub: whose they are, what they say, and what is refused. Everything is signed by the tenant itself."""

import base64
import hashlib
import hmac
import json
import time

import pytest

from harness.hypha import Hub, Script
from harness.tenant import AUDIENCE, ISSUER, NAMESPACE, Site, Tenant, serve

ROLES, EMAIL = f"{NAMESPACE}/roles", f"{NAMESPACE}/email"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("auth0"))
    yield site
    site.stop()


def refused(site, token: str) -> str:
    answer = site.hub.http(token).get("/assets/config.json")
    assert answer.status_code == 401, answer.text
    assert set(answer.json()) == {"detail"}, answer.text
    return answer.json()["detail"]


async def test_a_bearer_of_the_tenants_connects_with_both_clients_and_is_the_same_person_everywhere(site):
    token = site.tenant.token("google-oauth2|1")
    known = site.who(token)["user"]
    assert (known["is_anonymous"], known["email"], known["roles"]) == (False, "ann@organization.example", ["user", "premium"])
    async with site.hub.enter(token) as server:
        await server.register_service({"id": "who", "config": {"require_context": True, "visibility": "protected"}, "who": lambda context: context["user"]})
        assert server.config.workspace == known["scope"]["current_workspace"] == f"ws-user-{known['id']}"
        async with site.hub.enter(token, client_id="again") as other:
            told = await (await other.get_service("who")).who()
            assert (told["id"], told["email"], told["roles"]) == (known["id"], known["email"], known["roles"])
        async with Script(site.hub, "serve", token=token) as script:
            assert (await script.told())["ready"] == server.config.workspace
            mirror = await server.get_service("javascript:mirror")
            assert (await mirror.who())["id"] == known["id"]
            script.dismiss()
    assert site.who(site.tenant.token("auth0|1"))["user"]["id"] != known["id"]


async def test_what_comes_back_after_a_pause_has_the_same_address_and_roles(site):
    async with site.hub.wire() as first:
        info = await first.hello(token=site.tenant.token("auth0|back"), client_id="comes-back")
    back = {"reconnection_token": info["reconnection_token"], "client_id": "comes-back", "workspace": info["workspace"]}
    async with site.hub.wire() as second:
        again = await second.hello(**back)
    for said in ("id", "email", "roles"):
        assert again["user"][said] == info["user"][said]
    assert info["user"]["email"] == "ann@organization.example"


async def test_the_audience_is_enforced_at_both_doors(site):
    for other in ("https://another.example/", ["https://another.example/", f"{AUDIENCE}x"], [], None):
        token = site.tenant.token(aud=other)
        assert refused(site, token)
        async with site.hub.wire() as wire:
            assert (await wire.hello(token=token))["type"] == "error"
            assert (await wire.closed())[0] == 1008
    assert site.who(site.tenant.token(aud=["https://another.example/", AUDIENCE]))["user"]["email"]


def test_the_tenants_name_and_the_organizations_are_one_issuer_and_a_third_is_none(site):
    own = [site.who(site.tenant.token("auth0|two", iss=issuer))["user"] for issuer in (f"{site.tenant.url}/", ISSUER)]
    assert own[0]["id"] == own[1]["id"]
    for third in (site.tenant.url, ISSUER.rstrip("/"), "https://evil.example/", "doorward", None):
        assert refused(site, site.tenant.token(iss=third))


def test_roles_are_those_of_the_claim_or_none_and_reach_nothing_administrative(site):
    def roles(claim):
        return site.who(site.tenant.token(**{ROLES: claim}))["user"]["roles"]

    assert roles(["premium", "premium", "nonsense"])[:2] == ["user", "premium"] and "nonsense" not in roles(["nonsense"])
    assert roles([]) == roles(None) == ["user"]
    for bad in ("premium", {"premium": True}, [1], True):
        assert refused(site, site.tenant.token(**{ROLES: bad}))
    assert site.who(site.tenant.token(roles=["premium"], **{ROLES: None}))["user"]["roles"] == ["user"], "a claim without the namespace"
    admin = site.tenant.token("auth0|boss", **{ROLES: ["admin"]})
    known = site.who(admin)["user"]
    assert known["roles"] == ["user", "admin"] and "*" not in known["scope"]["workspaces"]
    other = site.who(site.tenant.token("auth0|other"))["user"]["scope"]["current_workspace"]
    assert site.hub.http(admin).get(f"/{other}/info").status_code in (403, 404)


def test_the_address_is_the_claims_if_it_is_one_and_nobody_says_that_it_is_not_confirmed(site):
    def email(**claims):
        return site.who(site.tenant.token(**claims))["user"]["email"]

    assert email(**{EMAIL: "Ann@Organization.example"}) == "ann@organization.example"
    assert email(**{EMAIL: None}) is None and email(**{EMAIL: None}, email="eve@evil.example") is None
    assert email(email_verified=False) is None and email(**{f"{NAMESPACE}/email_verified": False}) is None
    assert email(email_verified=True) == "ann@organization.example"
    for bad in ("no address", "a@b@c", "", 7, ["ann@organization.example"]):
        assert refused(site, site.tenant.token(**{EMAIL: bad}))


def part(value: dict) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_another_algorithm_is_refused_by_its_name(site):
    good = site.tenant.token()
    claims = good.split(".")[1]
    for name in ("none", "None", "HS256", "HS512", "RS384", "PS256", "ES256", "XY7"):
        tampered = f"{part({'alg': name, 'typ': 'JWT'})}.{claims}.{good.split('.')[2]}"
        assert refused(site, tampered) == f"Invalid algorithm: {name}"
    assert refused(site, f"{part({'alg': 'none', 'typ': 'JWT'})}.{claims}.") == "Invalid algorithm: none"
    # The tenant's public key is no secret: whoever signs with it is nobody.
    key = site.tenant.public_key()
    for secret in (json.dumps(key), json.dumps(key, separators=(",", ":")), key["n"]):
        text = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': key['kid']})}.{claims}"
        seal = base64.urlsafe_b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()).rstrip(b"=").decode()
        assert refused(site, f"{text}.{seal}") == "Invalid algorithm: HS256"


def test_what_is_tampered_with_too_old_or_too_long_is_refused(site):
    good, now = site.tenant.token(), int(time.time())
    head, claims, seal = good.split(".")
    assert refused(site, f"{head}.{part({'iss': site.tenant.url + '/', 'aud': AUDIENCE, 'sub': 'auth0|eve', 'exp': now + 60, 'iat': now})}.{seal}")
    assert refused(site, f"{head}.{claims}.{seal[:-4]}AAAA")
    assert refused(site, site.tenant.token(iat=now - 600, exp=now - 120))
    assert refused(site, site.tenant.token(exp=None)) and refused(site, site.tenant.token(iat=now, exp=now + 40 * 86_400))
    assert refused(site, site.tenant.token(sub=None)) and refused(site, site.tenant.token("")) and refused(site, site.tenant.token("a\nb"))
    for header in ({"jku": "http://127.0.0.1:9/keys"}, {"jwk": site.tenant.public_key(), "kid": "mine"}):
        token = site.tenant.token(header=header)
        assert site.hub.http(token).get("/assets/config.json").status_code == (401 if "kid" in header else 200), "keys are the tenant's alone"


def test_a_new_key_is_fetched_once_and_a_withdrawn_one_is_worth_nothing(tmp_path):
    site = Site(tmp_path)
    try:
        old = site.tenant.token()
        assert site.who(old)["user"]["email"] and len(site.tenant.seen("/.well-known/jwks.json")) == 1
        site.tenant.rotate(drop=True)
        new = site.tenant.token()
        assert site.who(new)["user"]["email"]
        assert refused(site, old)
        for _ in range(3):
            assert refused(site, site.tenant.token(header={"kid": "made-up"}))
        assert len(site.tenant.seen("/.well-known/jwks.json")) == 2, "strangers cause no more"
        assert site.who(new)["user"]["email"]
    finally:
        site.stop()


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_namespace_is_the_same_with_and_without_its_slash_and_the_operator_may_trust_administrators(tmp_path, slash):
    tenant = Tenant(tmp_path)
    config = f"""
[mounts.hypha.auth0]
domain = "{tenant.url}"
client_id = "spa"
audience = "{AUDIENCE}"
namespace = "{NAMESPACE}{slash}"
administrators = true
"""
    # What the configuration says is whole: the variables of another tenant change nothing of it.
    other = {"AUTH0_DOMAIN": "other.example", "AUTH0_ISSUER": ISSUER}
    try:
        with serve(tenant, tmp_path / "doorward", other, config) as server:
            hub = Hub(server)

            def who(token):
                return hub.http(token).get("/assets/config.json")

            user = who(tenant.token(**{ROLES: ["admin"]})).json()["user"]
            assert (user["roles"], user["email"]) == (["user", "admin"], "ann@organization.example")
            assert user["scope"]["workspaces"]["*"] == "a"
            assert who(tenant.token(iss=ISSUER)).status_code == 401, "no second issuer was configured"
    finally:
        tenant.stop()
