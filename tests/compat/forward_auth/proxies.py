"""Real proxies, configured as docs/forward-auth.md has it."""

import re
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from harness.programs import ROOT, Program, clean_environment, free_port, left_out, wait_until

PAGE = ROOT / "docs" / "forward-auth.md"


def block(heading: str, language: str) -> str:
    section = PAGE.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.search(rf"^```{language}\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)[1]


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


@contextmanager
def started(name: str, doorward: str, app: str, home: Path):
    """One of them, before the app, that asks whoever is at the address `doorward`."""
    if shutil.which(name, path=f"/usr/sbin:{clean_environment()['PATH']}") is None:
        pytest.skip(str(left_out(f"{name} is absent")))
    (heading, configure), port = PROXIES[name], free_port()

    def placed(text: str) -> str:
        return text.replace("127.0.0.1:8420", doorward).replace("127.0.0.1:8000", app).replace(":8080", f":{port}")

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
