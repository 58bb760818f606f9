"""Started as the document starts it: H-037, H-093, H-148, and each flag of the real server has its place in the text."""

import base64
import re
import secrets

import jwt
import pytest
import requests
from hypha_rpc import connect_to_server

from harness import native
from harness.client import Client
from harness.doorward import Doorward, run_command
from harness.hypha import Hub, Visitor, asked
from harness.programs import ROOT, free_port

#: Of Hypha 0.21.137.
FLAGS = """
from-env host port allow-origins base-path redis-uri reset-redis public-base-url triton-servers enable-server-apps enable-s3 s3-admin-type in-docker
endpoint-url endpoint-url-public region-name access-key-id secret-access-key ollama-host openai-base-url openai-api-key database-uri migrate-database
workspace-bucket executable-path static-mounts startup-functions server-id enable-s3-proxy cache-dir enable-service-search enable-a2a enable-mcp
disable-agent-skills enable-k8s-worker enable-terminal-worker enable-local-auth interactive enable-server start-minio-server minio-workdir minio-port
minio-console-port minio-root-user minio-root-password minio-version mc-version minio-file-system-mode s3-cleanup-period enable-s3-for-anonymous-users
disable-ssl root-token enable-admin-terminal
""".split()
#: Settings that the text names, each with a value that it takes.
NAMED = """
[server]
public_url = "https://hub.example"
trusted_proxies = ["127.0.0.1"]
[outbound]
allow = ["http://127.0.0.1:1"]
[log]
level = "info"
[mounts.hypha]
listen = "127.0.0.1:0"
prefix = "/base"
cors_origins = ["https://app.example"]
jwt_secret_file = "jwt"
sign_up = "open"
messages_per_s = 100
message_burst = 1000
[rate_limits.calls]
actions = ["hub_service:*"]
requests = 6000
window_s = 60
"""


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_one_flag_puts_the_hub_where_the_document_has_it(tmp_path, host):
    port = free_port()
    with Doorward("dev", "--listen", "127.0.0.1:0", "--mount", f"hypha=127.0.0.1:{port}", home=tmp_path) as server:
        hub, url = Hub(server), f"http://{host}:{port}"
        assert hub.url == f"http://127.0.0.1:{port}"
        person = hub.person()
        async with connect_to_server({"server_url": url, "token": person.token}) as own:
            assert own.config.workspace == person.workspace
            await own.register_service({"id": "my-service", "config": {"visibility": "public"}, "method": lambda param: param})
            called = requests.post(f"{url}/{person.workspace}/services/", timeout=10)
            assert called.status_code == 405
            answer = await asked(Client(url), "POST", f"/{person.workspace}/services/my-service/method", json={"param": "value"})
            assert answer.json() == "value"
        page = await asked(Client(url), "GET", "/public/apps/hypha-login/")
        assert page.status_code == 200 and "<form" in page.text
        assert (await asked(Client(url), "POST", "/public/services/hypha-login/start", json={})).json()["login_url"].startswith(hub.url)


async def test_an_administrators_key_is_the_root_token(tmp_path):
    with Doorward("dev", "--listen", "127.0.0.1:0", home=tmp_path) as server:
        hub = Hub(server)
        person = hub.person()
        server.command("user", "set-roles", person.name, "admin")
        made = server.command("key", "create", "--user", person.name, "--name", "root", "--admin", "--scope", "*", "--expires", "90d")
        for key in (server.admin_key, made["key"]):
            async with hub.enter(key) as root:
                assert "admin" in root.config.user["roles"] and not root.config.user["is_anonymous"]
        async with hub.enter(made["key"]) as root:
            await root.create_workspace({"id": "made-by-root", "name": "made-by-root"}, overwrite=True)
            assert "made-by-root" in [workspace["id"] for workspace in await root.list_workspaces()]


async def test_clients_are_told_the_public_address_and_cookies_are_for_tls_alone(tmp_path):
    public = {"DOORWARD__SERVER__PUBLIC_URL": "https://hub.example/base"}
    with Doorward("dev", "--listen", "127.0.0.1:0", home=tmp_path, environment=public) as server:
        hub = Hub(server)
        at = hub.url if hub.url.startswith("http://127.0.0.1") else f"http://127.0.0.1:{re.search(r':(\d+)', server.log)[1]}/hypha"
        started = requests.post(f"{at}/public/services/hypha-login/start", json={}, timeout=10).json()
        assert started["login_url"].startswith("https://hub.example/base/hypha/public/apps/hypha-login/?key=")
        page = requests.get(f"{at}/public/apps/hypha-login/", params={"key": started["key"]}, timeout=10)
        cookies = page.raw.headers.getlist("Set-Cookie")
        assert cookies and all("; Secure" in cookie and "; HttpOnly" in cookie for cookie in cookies), cookies


def test_settings_that_the_text_names_are_taken(tmp_path):
    (tmp_path / "jwt").write_text("c2f1b4d09e7a65830f4cd1e2a98b7766554c3b2a1f0e9d8c7b6a594837261504")
    (tmp_path / "jwt").chmod(0o600)
    (tmp_path / "doorward.toml").write_text(NAMED)
    done = run_command("config", "check", "--config", tmp_path / "doorward.toml", cwd=tmp_path)
    said = done.stdout + done.stderr
    assert "unknown key" not in said and "mounts.hypha" not in said, said
    text = (ROOT / "docs/surfaces/hypha-server-flags.md").read_text()
    for name in re.findall(r"`mounts\.hypha\.([a-z_]+)", text):
        assert name in NAMED or name == "startup_functions", name


#: By setting, each a secret of its own; `DOORWARD__SECTION__KEY` is its variable, and with `_FILE` that of a file with it.
SECRETS = {
    "secrets.master_key": secrets.token_hex(32),
    "mounts.hypha.jwt_secret": secrets.token_hex(32),
    "providers.company.client_secret": secrets.token_hex(16),
    "remote_tokens.partner.secret": secrets.token_hex(16),
    "webhooks.audit.secret": f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}",
    "webhooks.audit.previous_secret": f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}",
    "mail.password": secrets.token_hex(16),
    "telemetry.otlp_headers": f"x-key={secrets.token_hex(16)}",
}
#: What has to be said beside them.
AROUND_SECRETS = """
[server]
public_url = "http://127.0.0.1"
[store]
path = "data/doorward.db"
[mounts.hypha]
[mounts.native]
sign_up = "open"
[mail]
host = "127.0.0.1"
tls = "none"
from = "auth@example.com"
username = "auth"
[providers.company]
kind = "oidc"
issuer = "https://idp.example"
client_id = "doorward"
[remote_tokens.partner]
introspection_url = "https://idp.example/introspect"
client_id = "doorward"
[webhooks.audit]
url = "https://hooks.example/doorward"
[telemetry]
otlp_endpoint = "http://127.0.0.1:1"
"""


@pytest.mark.parametrize("by", ["environment", "file"])
async def test_every_secret_comes_from_the_environment_or_from_a_file(tmp_path, by):
    """The configuration file holds none; `config::tests` holds the list to be all there are (the store's URL has a suite of its own)."""
    given = {}
    for name, secret in SECRETS.items():
        variable = f"DOORWARD__{name.replace('.', '__').upper()}"
        if by == "environment":
            given[variable] = secret
        else:
            (file := tmp_path / "keys" / name).parent.mkdir(exist_ok=True)
            file.write_text(f"{secret}\n")
            file.chmod(0o600)
            given[f"{variable}_FILE"] = str(file)
    (config := tmp_path / "doorward.toml").write_text(AROUND_SECRETS)
    arguments = ["serve", "--listen", "127.0.0.1:0", "--config", config]
    shown = run_command("config", "show", *arguments[-2:], cwd=tmp_path, environment=given)
    assert shown.returncode == 0, shown.stderr
    for name in SECRETS:
        assert name in shown.stdout, "where it comes from is shown"
    with Doorward(*arguments, home=tmp_path / "home", environment=given) as server:
        hub = Hub(server)
        async with hub.enter(hub.person()) as own:
            token = await own.generate_token()
        header = jwt.get_unverified_header(token)
        claims = jwt.decode(token, SECRETS["mounts.hypha.jwt_secret"], algorithms=["HS256"], audience="hypha")
        assert header["alg"] == "HS256" and claims["sub"]
        said = server.log + shown.stdout + shown.stderr
    for name, secret in SECRETS.items():
        assert secret not in said, f"{name} is shown"


def test_a_public_address_wants_tls(tmp_path):
    (tmp_path / "doorward.toml").write_text("[mounts.hypha]\n")
    done = run_command("config", "check", "--config", tmp_path / "doorward.toml", "--mount", "hypha=0.0.0.0:9527", cwd=tmp_path)
    assert done.returncode != 0 and "TLS" in done.stdout + done.stderr and "0.0.0.0:9527" in done.stdout + done.stderr, done.stderr


def test_every_flag_of_the_real_server_has_a_row():
    text = (ROOT / "docs/surfaces/hypha-server-flags.md").read_text()
    named = re.findall(r"`--([a-z0-9-]+)`", "\n".join(line.split("|")[1] for line in text.splitlines() if line.startswith("|")))
    assert sorted(set(named)) == sorted(FLAGS) and len(named) == len(FLAGS)


async def test_people_sign_in_at_the_documents_address(tmp_path):
    with Doorward("dev", "--listen", "127.0.0.1:0", "--mount", f"hypha=127.0.0.1:{free_port()}", home=tmp_path) as server:
        hub = Hub(server)
        person, browser = hub.person(), Visitor(hub)
        start = (await asked(hub.http(), "POST", "/public/services/hypha-login/start", json={})).json()
        assert browser.sign_in(start["login_url"], person.name, native.PASSWORD).status_code == 200
        token = (await asked(hub.http(), "GET", "/public/services/hypha-login/check", params={"key": start["key"]})).json()
        async with hub.enter(token) as own:
            assert own.config.user["id"] == person.id
