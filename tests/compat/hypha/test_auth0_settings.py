"""How a tenant is named: the document's variables, a `.env`, or the configuration; and what is said when a part is missing."""

import json

import pytest

from harness.client import Client
from harness.doorward import Doorward, run_command
from harness.hypha import Hub, Visitor
from harness.tenant import AUDIENCE, PAGE, Tenant, serve


@pytest.fixture(scope="module")
def tenant(tmp_path_factory):
    tenant = Tenant(tmp_path_factory.mktemp("tenant"))
    yield tenant
    tenant.stop()


def effective(home, environment=None) -> dict[str, tuple[str, str]]:
    """Key to value and place, as `doorward config show` has it."""
    done = run_command("config", "show", "--config", home / "doorward.toml", "--json", cwd=home, environment=environment)
    assert done.returncode == 0, done.stderr
    return {row["key"].removeprefix("mounts.hypha.auth0."): (json.loads(row["value"]), row["origin"]) for row in json.loads(done.stdout) if ".auth0." in row["key"]}


def check(home, text: str, environment: dict[str, str], dotenv: str | None = None) -> str:
    """What `doorward dev` says instead of starting."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "doorward.toml").write_text(text)
    if dotenv is not None:
        (home / ".env").write_text(dotenv)
    done = run_command("dev", "--listen", "127.0.0.1:0", "--config", home / "doorward.toml", cwd=home, environment=environment)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stderr


def test_with_no_variable_the_page_is_doorwards_own_and_nobody_is_asked_anything(tmp_path):
    with Doorward("dev", "--listen", "127.0.0.1:0", home=tmp_path) as server:
        hub = Hub(server)
        known = hub.http().get("/assets/config.json").json()
        assert [known[f"auth0_{name}"] for name in ("domain", "client_id", "audience", "issuer")] == [None] * 4
        login = hub.http().post("/public/services/hypha-login/start", json={}).json()
        assert login["login_url"].startswith(hub.url)
        page = Visitor(hub).open(login["login_url"])
        assert 'type="password"' in page.text and "auth0" not in page.text.lower()
        assert Client(server.url).get("/", params={"code": "x", "state": "y"}).status_code == 404, "no tenant sends anybody here"
        assert Visitor(hub).open(f"{hub.url}{PAGE}", "POST", data={"act": "tenant"}).status_code == 400
        assert Visitor(hub).open(f"{hub.url}{PAGE}?code=x&state=y").status_code == 200, "the page, as ever"
        assert not [line for line in server.log.splitlines() if "auth0" in line.lower() or "issuer" in line.lower()]


def test_a_dotenv_in_the_start_directory_counts_and_the_environment_before_it(tenant, tmp_path):
    dotenv = "".join(f"export {name}='{text}'\n" for name, text in tenant.variables(CLIENT_ID="of-the-file").items())
    home = tmp_path / "doorward"
    with serve(tenant, home, {}, "[mounts.hypha]\n", dotenv) as server:
        assert Hub(server).http().get("/assets/config.json").json()["auth0_client_id"] == "of-the-file"
        assert Hub(server).http(tenant.token()).get("/assets/config.json").json()["user"]["email"] == "ann@organization.example"
    assert effective(home)["client_id"] == ("of-the-file", "environment AUTH0_CLIENT_ID of .env")
    with serve(tenant, home, {"AUTH0_CLIENT_ID": "spa"}, "[mounts.hypha]\n", dotenv) as server:
        assert Hub(server).http().get("/assets/config.json").json()["auth0_client_id"] == "spa"
    both = effective(home, {"AUTH0_CLIENT_ID": "spa"})
    assert both["client_id"] == ("spa", "environment AUTH0_CLIENT_ID") and both["domain"] == (tenant.url, "environment AUTH0_DOMAIN of .env")


def test_what_the_configuration_says_of_a_tenant_is_whole(tenant, tmp_path):
    section = f'[mounts.hypha.auth0]\ndomain = "{tenant.url}"\nclient_id = "written"\naudience = "{AUDIENCE}"\n'
    with serve(tenant, tmp_path, {"AUTH0_CLIENT_ID": "variable", "AUTH0_NAMESPACE": "https://organization.example"}, section) as server:
        hub = Hub(server)
        assert hub.http().get("/assets/config.json").json()["auth0_client_id"] == "written"
        assert hub.http(tenant.token()).get("/assets/config.json").json()["user"]["email"] is None, "no namespace is written there"


def test_a_part_that_is_missing_is_named_with_its_reason(tenant, tmp_path):
    for name, variable in (("domain", "DOMAIN"), ("client_id", "CLIENT_ID"), ("audience", "AUDIENCE")):
        said = check(tmp_path, "", tenant.variables(**{variable: None}))
        assert f"mounts.hypha.auth0.{name}: it is missing" in said and f"set AUTH0_{variable}" in said
        assert said.count("it is missing") == 1, "and nothing else is"
    alone = check(tmp_path, "", {"AUTH0_NAMESPACE": "https://organization.example/"})
    assert alone.count("it is missing") == 3
    assert "refers to NOWHERE" in check(tmp_path / "a", "", {}, "AUTH0_DOMAIN=${NOWHERE}\n")


@pytest.mark.parametrize(
    ("domain", "word"),
    [
        ("http://tenant.example", "is not a tenant's domain"),
        ("http://127.0.0.1.evil.example:80", "is not a tenant's domain"),
        ("http://localhost.evil.example", "is not a tenant's domain"),
        ("http://evil.example/http://127.0.0.1", "is not a tenant's domain"),
        ("tenant.example/path", "is not a tenant's domain"),
        ("user@tenant.example", "is not a tenant's domain"),
        ("ftp://tenant.example", "is not a tenant's domain"),
        ("tenant example", "it is empty, or has spaces"),
        ("http://127.0.0.1:9", "list http://127.0.0.1:9 in outbound.allow"),
        ("127.0.0.1:9", "list https://127.0.0.1:9 in outbound.allow"),
        ("10.0.0.7", "list https://10.0.0.7 in outbound.allow"),
    ],
)
def test_a_domain_is_a_name_and_plain_http_is_for_this_machine_alone(tenant, tmp_path, domain, word):
    assert word in check(tmp_path, "", tenant.variables(DOMAIN=domain))


def test_other_surfaces_have_no_tenant_and_no_issuer_comes_twice(tenant, tmp_path):
    assert "mounts.native.auth0" in check(tmp_path, '[mounts.native.auth0]\ndomain = "tenant.example"\n', {})
    twice = f"""
[outbound]
allow = ["{tenant.url}"]
[issuers.company]
issuer = "{tenant.url}/"
audience = ["x"]
[mounts.hypha]
issuers = ["company"]
"""
    assert "as issuers.company" in check(tmp_path, twice, tenant.variables())


def test_the_root_is_the_landing_place_wherever_the_mount_stands_and_nothing_more(tenant, tmp_path):
    with serve(tenant, tmp_path) as server:
        root = Client(server.url)
        assert root.get("/").status_code == 404 and root.post("/", json={}).status_code == 405
        assert root.get("/nothing-here").json()["code"] == "no_route", "everything else at the root is still the native mount's"
        assert root.get("/v1/login").status_code == 200
        state = "A" * 43
        assert root.get("/", params={"code": "x", "state": state}).status_code == 400


def test_the_sites_own_pages_may_call_it_and_others_when_they_are_listed(tenant, tmp_path):
    variables = {**tenant.variables(), "ALLOW_ORIGINS": "https://app.example"}
    with serve(tenant, tmp_path, variables) as server:
        http = Hub(server).http(tenant.token())

        def asked(origin: str, site: str):
            answer = http.get("/assets/config.json", headers={"Origin": origin, "Sec-Fetch-Site": site})
            return answer.status_code, answer.headers.get("Access-Control-Allow-Origin")

        assert asked(tenant.site, "same-origin")[0] == 200
        assert asked("https://app.example", "cross-site") == (200, "https://app.example")
        assert asked("https://evil.example", "cross-site")[1] is None
        call = "/public/services/hypha-login/start"
        assert http.post(call, json={}, headers={"Origin": tenant.site, "Sec-Fetch-Site": "same-origin"}).status_code == 200
        foreign = Client(Hub(server).url).post(call, json={}, headers={"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"})
        assert foreign.status_code == 403


def test_a_tenant_that_is_away_keeps_nobody_out_who_has_another_way_in(tmp_path):
    home = tmp_path / "tenant"
    home.mkdir()
    tenant = Tenant(home)
    token = tenant.token()
    variables = tenant.variables()
    with serve(tenant, tmp_path / "doorward", variables, "[mounts.hypha]\n") as server:
        tenant.stop()
        hub = Hub(server)
        assert hub.http(token).get("/assets/config.json").status_code >= 401, "nobody can say whose it is"
        person = hub.person()
        assert hub.http(person.token).get("/assets/config.json").json()["user"]["id"] == person.id
        assert hub.http().get("/assets/config.json").json()["user"]["is_anonymous"]
