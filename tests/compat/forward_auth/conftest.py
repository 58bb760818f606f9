"""Doorward and a FastAPI app, with real proxies in front that are configured as docs/forward-auth.md has it."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from harness.client import Client
from harness.doorward import Doorward
from harness.native import PASSWORD, Tokens, log_in, new_name
from harness.programs import ROOT, Program, clean_environment, free_port, left_out, wait_until

PAGE = ROOT / "docs" / "forward-auth.md"
POLICY = """
[server]
trusted_proxies = ["127.0.0.1"]

[mounts.native]
cookie_sessions = true

[forward_auth]
login_url = "/v1/login/example"

[areas.app]
prefixes = ["/app"]
roles = ["user"]

[areas.reports]
prefixes = ["/app/reports"]
methods = ["GET", "HEAD"]
roles = ["premium"]

[areas.welcome]
prefixes = ["/welcome"]
roles = ["anonymous"]
"""


def block(heading: str, language: str) -> str:
    section = PAGE.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.search(rf"^```{language}\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)[1]


@dataclass
class House:
    """What stands behind the proxies; tokens of a user, of a premium user, and a key that only reads."""

    server: Doorward
    app: str
    user_id: str
    user: str
    premium: str
    reading_key: str


@pytest.fixture(scope="session")
def house(tmp_path_factory):
    home = tmp_path_factory.mktemp("forward-auth")
    (home / "policy.toml").write_text(POLICY)
    python = ROOT / ".venvs" / "agentflow-server" / "bin" / "python"
    if not python.exists():
        raise left_out("FastAPI is absent (.venvs/agentflow-server)")
    port = free_port()
    command = [python, "-m", "uvicorn", "app:app", "--app-dir", Path(__file__).parent, "--port", port, "--log-level", "warning"]
    app = Program(command, log=home / "app.log", environment=clean_environment(PYTHONDONTWRITEBYTECODE="1"), cwd=home)
    try:
        with Doorward("dev", "--listen", "127.0.0.1:0", "--config", home / "policy.toml", home=home / "doorward") as server:
            admin = Client(server.url, server.admin_key)

            def person(*roles: str):
                name = new_name()
                made = admin.post("/v1/users", json={"username": name, "password": PASSWORD, "roles": ["user", *roles]})
                assert made.status_code == 201, made.text
                return made.json()["id"], Tokens.of(log_in(Client(server.url), name)).access

            user_id, user = person()
            _, premium = person("premium")
            made = Client(server.url, premium).post("/v1/api-keys", json={"name": "reads", "scopes": ["read"], "expires_in": 3600})
            assert made.status_code == 201, made.text
            wait_until(lambda: answers(f"http://127.0.0.1:{port}/"), "the app")
            yield House(server, f"127.0.0.1:{port}", user_id, user, premium, made.json()["key"])
    finally:
        app.stop()


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).status_code > 0
    except requests.ConnectionError:
        return False


def nginx(home: Path, text: str) -> list:
    (home / "site.conf").write_text(text)
    temporary = "".join(f"{kind}_temp_path {home}/{kind};" for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"])
    around = f"daemon off; master_process off; pid {home}/pid; error_log stderr; events {{}} http {{ access_log off; {temporary} include {home}/site.conf; }}"
    (home / "nginx.conf").write_text(around)
    return ["nginx", "-e", "stderr", "-c", home / "nginx.conf"]


def caddy(home: Path, text: str) -> list:
    (home / "Caddyfile").write_text("{\n\tadmin off\n\tauto_https off\n}\n" + text)
    return ["caddy", "run", "--config", home / "Caddyfile"]


def haproxy(home: Path, text: str) -> list:
    (home / "haproxy.cfg").write_text(text)
    return ["haproxy", "-db", "-f", home / "haproxy.cfg"]


def apache(home: Path, text: str) -> list:
    text = text.replace("modules/", "/usr/lib/apache2/modules/").replace("forward_auth.lua", str(home / "forward_auth.lua"))
    (home / "httpd.conf").write_text(f"ServerRoot {home}\nPidFile {home}/pid\nDefaultRuntimeDir {home}\nErrorLog /dev/stderr\n{text}\n")
    return ["apache2", "-D", "FOREGROUND", "-f", home / "httpd.conf"]


PROXIES = {"nginx": ("nginx", nginx), "caddy": ("Caddy", caddy), "haproxy": ("HAProxy", haproxy), "apache2": ("Apache", apache)}


@pytest.fixture(scope="session", params=PROXIES)
def proxy(request, house, tmp_path_factory):
    """The address of one of them, before the app."""
    name = request.param
    if shutil.which(name, path=f"/usr/sbin:{clean_environment()['PATH']}") is None:
        pytest.skip(str(left_out(f"{name} is absent")))
    heading, configure = PROXIES[name]
    home, port = tmp_path_factory.mktemp(name), free_port()

    def placed(text: str) -> str:
        doorward = house.server.url.removeprefix("http://")
        return text.replace("127.0.0.1:8420", doorward).replace("127.0.0.1:8000", house.app).replace(":8080", f":{port}")

    section = PAGE.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    if "```lua" in section:
        (home / "forward_auth.lua").write_text(placed(block(heading, "lua")))
    language = {"apache2": "apache"}.get(name, name)
    command = configure(home, placed(block(heading, language)))
    paths = clean_environment()["PATH"]
    environment = clean_environment(PATH=f"/usr/sbin:{paths}", HOME=str(home), XDG_DATA_HOME=str(home), XDG_CONFIG_HOME=str(home))
    command[0] = shutil.which(command[0], path=environment["PATH"])
    program = Program(command, log=home / "log", environment=environment, cwd=home)
    url = f"http://127.0.0.1:{port}"

    def up():
        program.require_running()
        return answers(f"{url}/welcome")

    try:
        wait_until(up, name, limit_s=30)
        yield url
    finally:
        program.stop()
