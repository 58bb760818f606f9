"""A tenant and start-up files' own tokens together: whoever signs in at the tenant gets the file's tokens, which end as ours do."""

import textwrap

import hypha_rpc.sync
import pytest

from harness.hypha import Visitor
from harness.tenant import PAGE, Site, at_tenant, way_out

FILE = """
    import secrets
    from hypha.core.auth import _parse_token
    MADE = {}

    async def parse(token):
        text = token.removeprefix("Bearer ")
        return MADE[text] if text in MADE else _parse_token(token)

    async def generate(user_info, expires_in):
        token = "files-" + secrets.token_urlsafe(24)
        MADE[token] = user_info
        return token

    async def hypha_startup(server):
        await server.register_auth_service(parse_token=parse, generate_token=generate)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    home = tmp_path_factory.mktemp("auth0-startup")
    file = home / "tenant_files.py"
    file.write_text(textwrap.dedent(FILE))
    site = Site(home, config=f'[mounts.hypha]\nstartup_functions = ["{file}:hypha_startup"]\n')
    yield site
    site.stop()


def signed_in(site, visitor: Visitor, key: str | None = None) -> str:
    page = f"{site.hub.url}{PAGE}" + (f"?key={key}" if key else "")
    sent = visitor.submit(page, visitor.open(page).text, act="tenant", at=site.tenant.site)
    done = visitor.open(at_tenant(way_out(sent.text), "auth0|ann"))
    assert done.status_code == 200, done.text
    return done.text


def test_whoever_comes_from_the_tenant_gets_the_files_tokens_everywhere(site):
    visitor, login = Visitor(site.hub), site.start()
    assert "The program can go on" in signed_in(site, visitor, login["key"])
    token, kept = site.check(login["key"]), visitor.cookies["access_token"]
    assert token.startswith("files-") and kept.startswith("files-"), "the cookie is made the same way"
    user = site.who(token)["user"]
    assert user["email"] == "ann@organization.example"
    by_tenant = site.who(site.tenant.token("auth0|ann"))["user"]
    assert by_tenant["scope"]["current_workspace"] == user["scope"]["current_workspace"], "the same person"
    with hypha_rpc.sync.connect_to_server({"server_url": site.hub.url, "token": token}) as server:
        assert server.config.workspace == user["scope"]["current_workspace"]
    page = visitor.open(f"{site.hub.url}{PAGE}")
    assert "signed in as <strong><bdi>ann@organization.example" in page.text
    # What was let in from this browser ends with its stay.
    visitor.open(f"{site.hub.url}{PAGE}?logout=true", allow_redirects=False)
    for ended in (token, kept):
        assert site.hub.http(ended).get("/assets/config.json").status_code == 401
