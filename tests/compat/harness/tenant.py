"""npm `oidc-provider` as an Auth0 tenant, and Doorwards that have it."""

import json
import time
from pathlib import Path

import requests

from harness.doorward import Doorward
from harness.hypha import Hub
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


