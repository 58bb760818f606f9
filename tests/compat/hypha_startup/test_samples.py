"""The document's start-up files, word for word, in an interpreter without Hypha's package: what each registers and answers
(H-040, H-043, H-054 to H-058, H-062 to H-064, H-070 to H-079, H-104 to H-107, H-109 to H-116, H-118 to H-123, H-126 to H-128, H-131)."""

import asyncio
import http.server
import json
import threading

import pytest
from startup import WITH_SECRETS, block

COOKIE = "cookie"
FIRST = 'from hypha.core import UserInfo\n'


async def test_my_auth_changes_nothing_and_logs_its_two_lines(files):
    async with files({"my_auth.py": block("# my_auth.py")}) as running:
        assert await running.begun() == {"hooks": [], "login": None, "login_app": None, "registers": []}
        output = await asyncio.to_thread(running.process.ended)
        assert "INFO my_auth: Initializing custom authentication" in output and "INFO my_auth: Custom authentication initialized" in output


async def test_custom_token_extraction_takes_its_four_sources(files):
    text = "async def custom_parse_token(token):\n    raise ValueError(token)\n" + block("# custom_token_extraction.py")
    async with files({"custom_token_extraction.py": text}) as running:
        assert (await running.begun())["hooks"] == ["parse_token", "get_token"]
        for header in (("cf-authorization", "T=="), ("CF-Authorization", "T=="), ("x-api-key", "T=="), (COOKIE, "a=b; app_token=T=="), (COOKIE, "CF_Authorization=T==; x=y")):
            assert await running.scoped(header) == "T==", header
        assert await running.scoped(("authorization", "Bearer T")) is None
        assert await running.refused("T") == (401, "T")


GETTERS = {
    "cloudflare_get_token": [(("cf-authorization", "T"), "T"), ((COOKIE, "x=y; CF_Authorization=a=b=="), "a=b=="), (("x-api-key", "T"), None)],
    "api_key_get_token": [*(((name, "T"), "T") for name in ("x-api-key", "api-key", "X-Auth-Token", "X-API-KEY")), (("x-key", "T"), None)],
    "session_get_token": [((COOKIE, "a=b; session_id=abc"), "session:abc"), ((COOKIE, "sid=abc"), None)],
    "query_param_get_token": [(("authorization", "Bearer T"), "Bearer T"), (("x", "y"), None)],
}


@pytest.mark.parametrize("name", GETTERS)
async def test_each_get_token_of_the_document(files, name):
    startup = f"\nasync def hypha_startup(server):\n    await server.register_auth_service(get_token={name})\n"
    async with files({"getter.py": block(f"def {name}(scope)") + startup}) as running:
        await running.begun()
        for header, token in GETTERS[name]:
            assert await running.scoped(header) == token, header
        if name == "query_param_get_token":
            for type_ in ("http", "websocket"):
                assert await running.scoped(query="a=b&token=T", type=type_) == "T" and await running.scoped(query="access_token=U", type=type_) == "U"
            assert await running.scoped(("authorization", "H"), query="token=T") == "H" and await running.scoped(query="x=y") is None


SHORTUUID = {"shortuuid.py": "import uuid as ids\n\ndef uuid():\n    return ids.uuid4().hex\n"}


async def test_local_auth_example_signs_up_logs_in_and_completes_a_login(files):
    async with files({**SHORTUUID, "local_auth_example.py": block("# local_auth_example.py")}, "local_auth_example.py:hypha_startup") as running:
        told = await running.begun()
        assert told["hooks"] == ["parse_token", "generate_token", "get_token"]
        assert told["login"]["methods"] == ["check", "index", "login", "logout", "logout_handler", "report", "signup", "start"]
        page = await running.login("index", {"path": "/"})
        assert page["status"] == 200 and page["headers"] == {"Content-Type": "text/html"} and "Custom Login" in page["body"]
        ann = {"name": "Ann", "email": "ann@example.com", "password": "p"}
        assert await running.login("signup", email="x") == {"success": False, "error": "Missing required fields"}
        made = await running.login("signup", **ann)
        assert made["success"] and made["user_id"]
        assert await running.login("signup", **ann) == {"success": False, "error": "Email already registered"}
        assert await running.login("login", email="ann@example.com") == {"success": False, "error": "Email and password required"}
        for email, password in (("ann@example.com", "wrong"), ("nobody@example.com", "p")):
            assert await running.login("login", email=email, password=password) == {"success": False, "error": "Invalid credentials"}
        started = await running.login("start", workspace=None, expires_in=None)
        assert started == {
            "login_url": f"/public/apps/hypha-login/?key={started['key']}", "key": started["key"],
            "report_url": "/public/services/hypha-login/report", "check_url": "/public/services/hypha-login/check",
        }
        waiting = asyncio.ensure_future(running.login("check", started["key"], timeout=60, profile=False))
        said = await running.login("login", email="ann@example.com", password="p", key=started["key"])
        assert (said["success"], said["email"], said["user_id"]) == (True, "ann@example.com", made["user_id"])
        assert await waiting == said["token"]
        assert await running.login("check", started["key"], profile=True) == {"token": said["token"], "email": "ann@example.com", "workspace": None}
        user = await running.user(said["token"])
        own = f"ws-user-{made['user_id']}"
        assert user["scope"]["workspaces"] == {own: "a"} and user["scope"]["current_workspace"] == own and user["roles"] == ["user"]
        assert running.tokens.asked[-2][1]["expires_in"] == 86_400 and (await running.user(""))["is_anonymous"] is True
        assert await running.refused("junk") == (401, "not one of ours")
        other = await running.login("start")
        assert await running.login("report", key=other["key"], token="t", email="e", more=1) == {"success": True}
        for call in (running.login("report", key="none", token="t"), running.login("check", "none")):
            with pytest.raises(AssertionError, match="ValueError: Invalid login key"):
                await call
        late = await running.login("start")
        with pytest.raises(AssertionError, match="TimeoutError: Login timeout after 0 seconds"):
            await running.login("check", late["key"], timeout=0)
        logout = {"logout_url": "/public/apps/hypha-login/?logout=true&close=true"}
        assert await running.login("logout", {}) == await running.login("logout_handler", {}) == logout
        for header, token in ((("x-custom-token", "T"), "T"), ((COOKIE, "auth_token=T"), "T"), (("authorization", "Bearer T"), None)):
            assert await running.scoped(header) == token
        made = (await running.call("generate_token", user={**user, "scope": {**user["scope"], "client_id": "c"}}, expires_in=60))["answer"]["token"]
        assert (await running.user(made))["scope"]["client_id"] == "c"


async def test_multi_source_auth_takes_eight_sources_and_sends_each_to_its_own(files):
    validators = FIRST + "def validate_api_key(key):\n    if key != 'k': raise ValueError('bad key')\n    return UserInfo(id='by-key')\ndef validate_session(id):\n    if id != 's': raise ValueError('bad session')\n    return UserInfo(id='by-session')\n"
    async with files({"multi_source_auth.py": validators + block("# multi_source_auth.py")}) as running:
        await running.begun()
        running.tokens.add("jwt")
        sources = [
            (("cf-authorization", "T"), "T"), (("x-api-key", "k"), "api:k"), (("api-key", "k"), "api:k"), (("authorization", "Bearer jwt"), "Bearer jwt"),
            *(((COOKIE, f"{name}=T"), "T") for name in ("CF_Authorization", "auth_token", "access_token")), ((COOKIE, "session_id=s"), "session:s"), ((COOKIE, "x=y"), None),
        ]
        for header, token in sources:
            assert await running.scoped(header) == token, header
        users = {token: (await running.user(token))["id"] for token in ("api:k", "session:s", "Bearer jwt")}
        assert users == {"api:k": "by-key", "session:s": "by-session", "Bearer jwt": "ann"}
        asked = len(running.tokens.asked)
        assert await running.refused("api:bad") == (401, "bad key") and await running.refused("session:bad") == (401, "bad session")
        assert len(running.tokens.asked) == asked, "a failed match is not tried as a token of ours"


async def test_hybrid_startup_sends_each_prefix_to_its_parser(files):
    parsers = "".join(f"async def parse_{kind}_token(token):\n    if 'bad' in token: raise ValueError('bad {kind}')\n    return UserInfo(id='{kind}')\n" for kind in ("local", "oauth", "ldap"))
    text = FIRST + "from hypha.core.auth import _parse_token\n" + parsers + block("async def hybrid_auth_startup")
    async with files({"hybrid.py": text}, "hybrid.py:hybrid_auth_startup") as running:
        await running.begun()
        running.tokens.add("jwt")
        for token, id_ in (("local_1", "local"), ("oauth_1", "oauth"), ("ldap_1", "ldap"), ("jwt", "ann")):
            assert (await running.user(token))["id"] == id_
        asked = len(running.tokens.asked)
        assert await running.refused("ldap_bad") == (401, "bad ldap") and len(running.tokens.asked) == asked


async def test_custom_auth_round_trips_its_own_tokens_and_ends_them(files):
    async with files({"custom_auth.py": block("# custom_auth.py")}) as running:
        assert (await running.begun())["hooks"] == ["parse_token", "generate_token"]
        scope = {"current_workspace": "w", "workspaces": {"w": "rw"}, "client_id": "c", "extra_scopes": []}
        given = {"id": "ann", "email": "ann@example.com", "roles": ["user"], "is_anonymous": False, "scope": scope, "parent": "p", "expires_at": 7.5, "current_workspace": None}
        token = (await running.call("generate_token", user=given, expires_in=3600))["answer"]["token"]
        assert await running.user(token) == given
        late = (await running.call("generate_token", user=given, expires_in=-1))["answer"]["token"]
        assert await running.refused(late) == (401, "Token expired") and await running.refused("x") == (401, "Invalid token")
        assert "Custom authentication configured" in await asyncio.to_thread(running.process.ended)


async def test_custom_login_needs_no_more_than_a_key_and_an_address(files):
    async with files({**SHORTUUID, "custom_login.py": block("# custom_login.py")}, "custom_login.py:hypha_startup") as running:
        assert (await running.begun())["login"]["methods"] == ["check", "index", "report", "start"]
        assert "<h1>Custom Login</h1>" in (await running.login("index", {}))["body"]
        started = await running.login("start")
        assert started == {"key": started["key"], "login_url": f"/public/apps/hypha-login/?key={started['key']}"}
        waiting = asyncio.ensure_future(running.login("check", started["key"], timeout=30, profile=False))
        assert await running.login("report", key="none", token="t") is None
        assert await running.login("report", key=started["key"], token="t", email="e", workspace=None) is None
        assert await waiting == "t"
        with pytest.raises(AssertionError, match="TimeoutError: Login timeout"):
            await running.login("check", "none", timeout=1)


async def test_api_key_auth_knows_its_keys_and_leaves_the_rest_to_doorward(files):
    async with files({"api_key_auth.py": block("# api_key_auth.py")}) as running:
        await running.begun()
        running.tokens.add("jwt")
        user = await running.user("sk_live_abc123")
        assert (user["id"], user["email"], user["roles"]) == ("api_user_1", "api@example.com", ["read", "write"])
        assert user["scope"]["workspaces"] == {"api-workspace": "a"} and user["is_anonymous"] is False
        assert await running.refused("sk_other") == (401, "Invalid API key") and not running.tokens.asked
        assert (await running.user("jwt"))["id"] == "ann" and await running.refused("x") == (401, "not one of ours")


async def test_saml_auth_redirects_takes_a_body_in_parts_and_knows_its_sessions(files):
    text = block("# saml_auth.py")
    async with files({"saml_auth.py": "import time\n" + text}) as running:
        told = await running.begun()
        assert told["login_app"].endswith(":start-up-login-page") and "service saml-auth (unlisted)" in told["registers"]
        base = f"/{running.bridge.info['workspace']}/apps/saml-auth"
        http_ = running.bridge.hub.http(running.bridge.who.token)
        answer = await asyncio.to_thread(http_.request, "GET", f"{base}/saml/login", allow_redirects=False)
        assert (answer.status_code, answer.headers["Location"]) == (302, "https://idp.example.com/metadata/sso?...")
        answer = await asyncio.to_thread(http_.request, "POST", f"{base}/saml/acs", data=b"x" * (2 << 20))
        assert answer.status_code == 200 and answer.text.startswith("Login successful. Token: saml_")
        user = await running.user(answer.text.rsplit(" ", 1)[1])
        assert (user["id"], user["email"], user["roles"]) == ("user", "user@example.com", ["developers", "admins"])
        assert user["scope"]["workspaces"] == {"saml-workspace": "a"}
        assert await running.refused("saml_none") == (401, "Invalid SAML session") and not running.tokens.asked


class Provider:
    """An OAuth2 provider of one answer; keeps what it was sent."""

    def __enter__(self):
        seen, self.seen = [], []
        self.seen, self.token, self.info = seen, {"access_token": "at"}, {"sub": "ann", "email": "ann@example.com", "roles": ["x"]}
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                seen.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
                self.say(provider.token)

            def do_GET(self):
                seen.append(self.headers["Authorization"])
                self.say(provider.info)

            def say(self, value):
                body = json.dumps(value).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        return self

    def __exit__(self, *_):
        self.server.shutdown()


async def test_oauth2_auth_exchanges_codes_and_knows_its_tokens(files):
    with Provider() as provider:
        text = "import time, uuid\n" + block("# oauth2_auth.py").replace("https://provider.com", provider.url)
        text = text.replace("        parse_token=oauth_auth.parse_token\n", "        parse_token=oauth_auth.parse_token, exchange=oauth_auth.exchange_code_for_token, held=lambda: list(oauth_auth.access_tokens.values())\n")
        async with files({"oauth2_auth.py": text}, python="ours") as running:
            await running.begun()
            token = await running.login("exchange", code="c")
            sent, bearer = provider.seen
            assert sorted(part.split("=")[0] for part in sent.split("&")) == ["client_id", "client_secret", "code", "grant_type", "redirect_uri"]
            assert bearer == "Bearer at" and token.startswith("oauth2_")
            user = await running.user(token)
            assert (user["id"], user["email"], user["roles"], user["scope"]["workspaces"]) == ("ann", "ann@example.com", ["x"], {"oauth-workspace": "a"})
            provider.info = {"id": "bob"}
            user = await running.user(await running.login("exchange", "c"))
            assert (user["id"], user["email"], user["roles"]) == ("bob", None, [])
            provider.token = {"access_token": "at", "expires_in": -1}
            assert await running.refused(await running.login("exchange", "c")) == (401, "Token expired")
            assert await running.refused("oauth2_none") == (401, "Invalid OAuth2 token") and not running.tokens.asked
            provider.token = {"error": "invalid_grant"}
            with pytest.raises(AssertionError, match="KeyError: 'access_token'"):
                await running.login("exchange", "c")


async def test_multi_auth_sends_each_prefix_to_its_provider(files):
    names = {"sk_": "parse_api_key", "saml_": "parse_saml_token", "oauth2_": "parse_oauth_token", "custom_": "parse_custom_token"}
    parsers = "".join(f"async def {name}(token):\n    return UserInfo(id='{name}')\n" for name in names.values())
    async with files({"multi_auth.py": parsers + block("# multi_auth.py")}) as running:
        await running.begun()
        running.tokens.add("jwt")
        for prefix, name in names.items():
            assert (await running.user(f"{prefix}1"))["id"] == name
        assert not running.tokens.asked and (await running.user("jwt"))["id"] == "ann"


async def test_service_authorization_sees_who_calls(files, person):
    text = block("async def start_service(server)")
    async with files({"service.py": text}, "service.py:start_service") as running:
        await running.begun()
        method = "services.protected-service.protected_function"
        for user, said in (({"id": "a", "email": "user@example.com"}, "Protected data for user@example.com: x"), ({"id": "b", "email": "b@example.com", "roles": ["developer"]}, "Protected data for b@example.com: x")):
            assert (await running.bridge.asked(method, "x", user=user))[1] == said
        for user in ({"id": "c", "email": "c@example.com", "roles": []}, {"id": "d", "email": None, "roles": ["anonymous"]}):
            assert "is not authorized" in (await running.bridge.asked(method, "x", named={"context": {"user": {"email": "user@example.com"}}}, user=user))[1]["_rvalue"]
        async with running.bridge.hub.enter(person) as other:
            service = await other.get_service(f"{running.bridge.info['workspace']}/{running.bridge.info['client_id']}:protected-service")
            with pytest.raises(Exception, match="is not authorized"):
                await service.protected_function("x")


async def test_rate_limit_of_the_document_counts_in_a_method(files):
    text = block("def check_rate_limit") + "\nasync def hypha_startup(server):\n    await server.register_auth_service(attempt=check_rate_limit)\n"
    async with files({"limits.py": text}) as running:
        await running.begun()
        for _ in range(5):
            assert await running.login("attempt", email="a") is None
        with pytest.raises(AssertionError, match="Too many login attempts. Try again in 300 seconds."):
            await running.login("attempt", email="a")


async def test_users_in_artifacts_are_made_through_whatever_service_has_that_name(files):
    manager = """
MADE = {}
async def hypha_startup(server):
    def read(artifact_id):
        if artifact_id not in MADE:
            raise KeyError(f"Artifact with ID '{artifact_id}' does not exist")
        return MADE[artifact_id]
    def create(alias, workspace=None, parent_id=None, type=None, manifest=None):
        made = MADE[f"{workspace or 'ws-user-root'}/{alias}"] = {"id": f"{workspace or 'ws-user-root'}/{alias}", "parent": parent_id, "type": type, "manifest": manifest}
        return made
    info = await server.register_service({"id": "artifact-manager", "read": read, "create": create})

    class Here:
        async def get_service(self, id):
            return await server.get_service(info["id"])

    await store_user_with_artifacts(Here(), {"id": "u1", "name": "Ann"})
    await store_user_with_artifacts(Here(), {"id": "u2", "name": "Bob"})
    assert MADE["ws-user-root/u2"] == {"id": "ws-user-root/u2", "parent": "ws-user-root/auth-users", "type": "user", "manifest": {"id": "u2", "name": "Bob"}}, MADE
"""
    async with files({"artifacts.py": block("async def store_user_with_artifacts") + manager}) as running:
        await running.begun()


async def test_codes_of_the_second_factor_run_as_methods(files):
    import pyotp

    async with files({"mfa.py": block("async def setup_mfa") + WITH_SECRETS}, python="ours") as running:
        await running.begun()
        factor = pyotp.parse_uri(await running.login("enrol", "ann"))
        assert (factor.issuer, factor.name) == ("Hypha", "ann")
        assert await running.login("verify", "ann", factor.now()) is True and await running.login("verify", "ann", "0") is False
