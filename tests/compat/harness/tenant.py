"""npm `oidc-provider` as an Auth0 tenant, and Doorwards that have it."""

import html
import json
import re
import time
from pathlib import Path
from urllib.parse import parse_qsl, urljoin, urlsplit

import requests

from harness.doorward import Doorward
from harness.hypha import Form, Hub
from harness.programs import ROOT, Program, clean_environment, free_port, node_binary, node_modules, wait_until

APP = ROOT / "tests" / "compat" / "hypha" / "app" / "tenant.cjs"
AUDIENCE = "https://tenant.example/api/v2/"
NAMESPACE = "https://organization.example"
ISSUER = "https://organization.example/"
PAGE = "/public/apps/hypha-login/"


class Tenant:
    """A tenant that allows one site, whose port is taken beforehand."""

    def __init__(self, home: Path, prefix: str = "/hypha") -> None:
        self.port, self.site_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.site = f"http://127.0.0.1:{self.site_port}"
        self.page = f"{self.site}{prefix}{PAGE}"
        self.program = Program(
            [node_binary(), APP, self.port, self.site, self.page],
            log=home / "tenant.log",
            environment=clean_environment(NODE_PATH=str(node_modules("oidc-provider"))),
            cwd=home,
        )

        def ready() -> bool:
            self.program.require_running()
            return "ready" in self.program.output

        wait_until(ready, "the tenant")

    def stop(self) -> None:
        self.program.stop()

    def variables(self, **other: str | None) -> dict[str, str]:
        """The document's variables; `other` changes some of them or takes them away."""
        named = {"DOMAIN": self.url, "CLIENT_ID": "spa", "AUDIENCE": AUDIENCE, "ISSUER": ISSUER, "NAMESPACE": f"{NAMESPACE}/", **other}
        return {f"AUTH0_{name}": text for name, text in named.items() if text is not None}

    def seen(self, path: str) -> list[dict]:
        return [one for one in requests.get(f"{self.url}/_test/seen", timeout=10).json() if one["path"] == path]

    def rotate(self, drop: bool = False) -> None:
        requests.post(f"{self.url}/_test/rotate{'?drop=1' if drop else ''}", timeout=10).raise_for_status()

    def token(self, subject: str = "auth0|ann", *, header: dict | None = None, **claims) -> str:
        """An access token as the tenant makes them; a claim that is None is left out."""
        now = int(time.time())
        usual = {
            "iss": f"{self.url}/", "sub": subject, "aud": [AUDIENCE], "iat": now, "exp": now + 600, "azp": "spa",
            "scope": "openid profile email",
            f"{NAMESPACE}/roles": ["premium", "nonsense"], f"{NAMESPACE}/email": "ann@organization.example",
        }
        said = {name: value for name, value in {**usual, **claims}.items() if value is not None}
        body = json.dumps({"claims": said, **({"header": header} if header else {})})
        answer = requests.post(f"{self.url}/_test/sign", data=body, timeout=10)
        answer.raise_for_status()
        return answer.text

    def public_key(self) -> dict:
        return requests.get(f"{self.url}/.well-known/jwks.json", timeout=10).json()["keys"][0]


def serve(tenant: Tenant, home: Path, variables: dict[str, str] | None = None, config: str = "", dotenv: str | None = None) -> Doorward:
    """`doorward dev` at the site that the tenant allows, by variables, a `.env` or a configuration."""
    home.mkdir(parents=True, exist_ok=True)
    if dotenv is not None:
        (home / ".env").write_text(dotenv)
    file = home / "doorward.toml"
    file.write_text(f'[outbound]\nallow = ["{tenant.url}"]\n{config}')
    environment = tenant.variables() if variables is None else variables
    return Doorward("dev", "--listen", f"127.0.0.1:{tenant.site_port}", "--config", file, home=home, environment=environment)


class Site:
    """A tenant with its Doorward and hub."""

    def __init__(self, home: Path, **how) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.tenant = Tenant(home)
        self.server = serve(self.tenant, home / "doorward", **how)
        self.hub = Hub(self.server)

    def stop(self) -> None:
        self.server.__exit__(None, None, None)
        self.tenant.stop()

    def who(self, token: str | None = None) -> dict:
        """What the hub says of a bearer, or the refusal."""
        return self.hub.http(token).get("/assets/config.json").json()



    def start(self) -> dict:
        """A program asks somebody to let it in."""
        return self.hub.http().post("/public/services/hypha-login/start", json={}).json()

    def check(self, key: str) -> str | None:
        answer = self.hub.http().get("/public/services/hypha-login/check", params={"key": key, "timeout": 0})
        assert answer.status_code == 200, answer.text
        return answer.json()


def way_out(page: str) -> str:
    """Where a page of ours sends the browser on to."""
    found = re.search(r'http-equiv="refresh" content="0;url=([^"]+)"', page)
    assert found, page
    return html.unescape(found[1])


def at_tenant(url: str, name: str | None, session: requests.Session | None = None) -> str:
    """Logs `name` in at the tenant (or is known there already); where the tenant sends the browser then."""
    session = session or requests.Session()
    own = "{0.scheme}://{0.netloc}".format(urlsplit(url))
    answer = session.get(url, allow_redirects=False, timeout=20)
    for _ in range(8):
        while answer.is_redirect:
            url = urljoin(url, answer.headers["Location"])
            if not url.startswith(own):
                return url
            answer = session.get(url, allow_redirects=False, timeout=20)
        form = Form(answer.text)
        assert answer.status_code == 200 and name and form.action, answer.text
        url = urljoin(url, form.action)
        answer = session.post(url, data={**form.fields, "login": name, "password": "x"}, allow_redirects=False, timeout=20)
    raise AssertionError(f"the tenant leads nowhere: {url}")


def parameters(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))
