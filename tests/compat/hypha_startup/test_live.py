"""The document's start-up files in a running server, word for word, with Hypha's own client
(H-039 to H-046, H-048, H-050 to H-057, H-062, H-065, H-070 to H-079, H-084, H-085, H-104 to H-106, H-109 to H-116, H-119 to H-123, H-131, H-138, H-139)."""

import asyncio
import json

import pytest
from hypha_rpc import connect_to_server, login, logout
from startup import WITH_SECRETS, block

from harness.doorward import Refused, run_command
from harness.hypha import asked
from harness.interpreters import interpreter

SERVICE = "/public/services/hypha-login"
SHORTUUID = {"shortuuid.py": "import uuid as ids\n\ndef uuid():\n    return ids.uuid4().hex\n"}
LOCAL = "local_auth_example.py"
#: A parser that refuses with what it was given, so that callers see it.
SAYS = "from hypha.core import UserInfo\nasync def custom_parse_token(token):\n    raise ValueError(f'got {token}')\n"


async def call(hub, method: str, as_: str | None = None, /, **given):
    answer = await asked(hub.http(as_), "POST", f"{SERVICE}/{method}", json=given)
    return answer.status_code, answer.json()


async def who(hub, token: str) -> dict:
    async with connect_to_server({"server_url": hub.url, "token": token}) as server:
        return dict(server.config.user) | {"workspace_entered": server.config.workspace}


async def refusal(hub, token: str) -> str:
    with pytest.raises(Exception) as caught:
        await connect_to_server({"server_url": hub.url, "token": token})
    return str(caught.value)


async def test_my_auth_is_loaded_from_where_it_is_and_changes_nothing(live):
    hub = live({"my_auth.py": block("# my_auth.py")})
    assert "Initializing custom authentication" in hub.server.log and "Custom authentication initialized" in hub.server.log
    status, started = await call(hub, "start")
    assert status == 200 and started["login_url"].startswith(hub.url)
    person = hub.person()
    assert (await who(hub, person.token))["id"] == person.id


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def hypha_startup(server):\n    pass\n", ["my_auth.py:1", "no async def"]),
        ("async def hypha_startup(server):\n    raise RuntimeError('no database')\n", ["my_auth.py:2", "no database"]),
        ("x = 1\n", ["no hypha_startup"]),
    ],
)
def test_a_file_that_cannot_be_used_stops_the_start(live, text, said):
    with pytest.raises(Refused) as caught:
        live({"my_auth.py": text})
    assert caught.value.code != 0 and all(word in caught.value.output for word in said), caught.value.output


async def test_local_auth_example_signs_up_logs_in_connects_and_logs_out(live):
    hub = live({**SHORTUUID, LOCAL: block(f"# {LOCAL}")}, f"{LOCAL}:hypha_startup")
    assert "Initializing custom authentication" in hub.server.log and "Custom authentication service registered" in hub.server.log
    ann = {"name": "Ann", "email": "ann@example.com", "password": "correct horse"}
    assert await call(hub, "signup", email="x") == (200, {"success": False, "error": "Missing required fields"})
    status, made = await call(hub, "signup", **ann)
    assert (status, made["success"]) == (200, True)
    assert await call(hub, "signup", **ann) == (200, {"success": False, "error": "Email already registered"})
    assert await call(hub, "login", email="ann@example.com", password="wrong") == (200, {"success": False, "error": "Invalid credentials"})
    assert await call(hub, "login", email="bob@example.com", password="wrong") == (200, {"success": False, "error": "Invalid credentials"})
    page = await asked(hub.http(), "GET", "/public/apps/hypha-login/")
    assert page.status_code == 200 and page.headers["Content-Type"].startswith("text/html") and "Custom Login" in page.text

    seen = []

    async def by_page(context):
        seen.append(dict(context))
        status, said = await call(hub, "login", email=ann["email"], password=ann["password"], key=context["key"])
        assert status == 200 and said["success"] and said["user_id"] == made["user_id"]

    token = await asyncio.wait_for(login({"server_url": hub.url, "login_callback": by_page, "login_timeout": 30}), 40)
    assert seen[0]["login_url"] == f"{hub.url}/public/apps/hypha-login/?key={seen[0]['key']}"
    user = await who(hub, token)
    own = f"ws-user-{made['user_id']}"
    assert (user["id"], user["email"], user["workspace_entered"]) == (made["user_id"], "ann@example.com", own)
    assert user["scope"]["workspaces"][own] == "a" and "*" not in user["scope"]["workspaces"]
    with pytest.raises(Exception, match="ermission|not exist|not match"):
        await connect_to_server({"server_url": hub.url, "token": token, "workspace": hub.person().workspace})
    for headers in ({"X-Custom-Token": token}, {"Cookie": f"auth_token={token}"}, {"Authorization": f"Bearer {token}"}):
        assert (await asked(hub.http(), "GET", f"/{own}/services/", headers=headers)).status_code == 200, headers
    assert (await asked(hub.http(), "GET", f"/{own}/services/", headers={"X-Custom-Token": "junk"})).status_code == 401

    told = []

    async def leave(context):
        told.append(context["logout_url"])

    await logout({"server_url": hub.url, "logout_callback": leave})
    assert told == [f"{hub.url}/public/apps/hypha-login/?logout=true&close=true"]
    status, started = await call(hub, "start")
    for forged in ("junk", ""):
        assert (await call(hub, "report", key=started["key"], token=forged, email="e"))[0] >= 400
    assert (await call(hub, "report", key=started["key"], token=token, email="e")) == (200, {"success": True})
    status, said = await call(hub, "check", key="unknown")
    assert status == 400 and "Invalid login key" in said["detail"]
    assert (await call(hub, "check", key=started["key"], timeout=1)) == (200, token)


async def test_custom_auth_refuses_what_it_did_not_make(live):
    hub = live({"custom_auth.py": block("# custom_auth.py")})
    assert "Custom authentication configured" in hub.server.log
    text = await refusal(hub, "nobodys")
    assert "Invalid token" in text
    answer = await asked(hub.http("nobodys"), "GET", "/public/services/")
    assert answer.status_code == 401 and "Invalid token" in answer.text
    async with connect_to_server({"server_url": hub.url}) as server:
        assert server.config.user["is_anonymous"] is True


async def test_custom_login_completes_with_a_key_and_an_address_alone(live):
    hub = live({**SHORTUUID, "custom_login.py": block("# custom_login.py")}, "custom_login.py:hypha_startup")
    person = hub.person()
    _, started = await call(hub, "start")
    assert started["login_url"] == f"{hub.url}/public/apps/hypha-login/?key={started['key']}"
    assert started["report_url"] == f"{hub.url}{SERVICE}/report" and started["check_url"] == f"{hub.url}{SERVICE}/check"

    async def by_page(context):
        assert (await call(hub, "report", key=context["key"], token="forged"))[0] >= 400
        assert await call(hub, "report", key=context["key"], token=person.token, email="e") == (200, None)

    token = await asyncio.wait_for(login({"server_url": hub.url, "login_callback": by_page, "login_timeout": 30}), 40)
    assert token == person.token
    assert await call(hub, "report", key="unknown", token=person.token) == (200, None)
    status, said = await call(hub, "check", key="unknown", timeout=1)
    assert status >= 500 and "Login timeout" in said["detail"]


async def test_api_key_auth_connects_its_key_and_leaves_the_rest_as_it_is(live):
    hub = live({"api_key_auth.py": block("# api_key_auth.py")})
    user = await who(hub, "sk_live_abc123")
    assert (user["id"], user["email"]) == ("api_user_1", "api@example.com") and user["scope"]["workspaces"]["api-workspace"] == "a"
    assert set(user["roles"]) == {"read", "write"}
    assert "Invalid API key" in await refusal(hub, "sk_other")
    answer = await asked(hub.http("sk_other"), "GET", "/public/services/")
    assert answer.status_code == 401 and "Invalid API key" in answer.json()["detail"]
    person = hub.person()
    assert (await who(hub, person.token))["id"] == person.id
    assert (await asked(hub.http("junk"), "GET", "/public/services/")).status_code == 401


async def got(hub, headers: dict, path: str = "/public/services/") -> str:
    """What the parser was given, as its refusal says; the answer's status where nobody was asked."""
    answer = await asked(hub.http(), "GET", path, headers=headers)
    return answer.json()["detail"].rsplit("got ", 1)[-1] if answer.status_code == 401 else str(answer.status_code)


async def test_custom_token_extraction_finds_each_source(live):
    hub = live({"custom_token_extraction.py": SAYS + block("# custom_token_extraction.py")})
    for headers in ({"CF-Authorization": "T=="}, {"X-API-Key": "T=="}, {"Cookie": "app_token=T=="}, {"Cookie": "CF_Authorization=T=="}):
        assert await got(hub, headers) == "T==", headers
    # None of its own: the usual places are looked at.
    assert await got(hub, {"Authorization": "Bearer U"}) == "U" and await got(hub, {"Cookie": "access_token=V"}) == "V"
    assert await got(hub, {}) == "200"


@pytest.mark.parametrize(
    ("name", "sources"),
    [
        ("cloudflare_get_token", [({"CF-Authorization": "T"}, "T"), ({"Cookie": "CF_Authorization=a=b=="}, "a=b==")]),
        ("api_key_get_token", [({"x-api-key": "T"}, "T"), ({"API-KEY": "T"}, "T"), ({"X-Auth-Token": "T"}, "T"), ({"x-key": "T"}, "200")]),
        ("session_get_token", [({"Cookie": "session_id=abc"}, "session:abc"), ({"Cookie": "sid=abc"}, "200")]),
    ],
)
async def test_each_get_token_of_the_document_on_http(live, name, sources):
    startup = f"\nasync def hypha_startup(server):\n    await server.register_auth_service(get_token={name}, parse_token=custom_parse_token)\n"
    hub = live({"getter.py": SAYS + block(f"def {name}(scope)") + startup})
    for headers, expected in sources:
        assert await got(hub, headers) == expected, headers


async def test_query_param_get_token_reads_the_query_and_logs_none_of_it(live):
    startup = "\nasync def hypha_startup(server):\n    await server.register_auth_service(get_token=query_param_get_token, parse_token=custom_parse_token)\n"
    hub = live({"getter.py": SAYS.replace("got {token}", "got {len(token)}") + block("def query_param_get_token(scope)") + startup})
    path = "/public/services/?token=very-secret-text"
    assert await got(hub, {}, path) == "16" and await got(hub, {}, path.replace("?token", "?access_token")) == "16"
    assert await got(hub, {"Authorization": "abc"}, path) == "3"
    assert "very-secret-text" not in hub.server.log


async def test_nothing_found_may_mean_nobody_as_the_real_server_has_it(live):
    text = SAYS + "async def hypha_startup(server):\n    await server.register_auth_service(get_token=lambda scope: None, parse_token=custom_parse_token)\n"
    assert await got(live({"my_auth.py": text}), {"Authorization": "Bearer U"}) == "U"
    assert await got(live({"my_auth.py": text}, mount='get_token_none = "anonymous"'), {"Authorization": "Bearer U"}) == "200"


async def test_multi_source_and_multi_provider_send_each_token_to_its_own(live):
    validators = "from hypha.core import UserInfo\n" + "".join(f"def validate_{kind}(one):\n    if one == 'bad': raise ValueError('bad {kind}')\n    return UserInfo(id='by-{kind}')\n" for kind in ("api_key", "session"))
    hub = live({"multi_source_auth.py": validators + block("# multi_source_auth.py")})
    own = "/ws-user-by-api_key/services/"
    assert (await asked(hub.http(), "GET", own, headers={"X-API-Key": "k"})).status_code == 200
    person = hub.person()
    for headers in ({"Authorization": f"Bearer {person.token}"}, {"CF-Authorization": person.token}, {"Cookie": f"auth_token={person.token}"}, {"Cookie": f"access_token={person.token}"}):
        assert (await asked(hub.http(), "GET", f"/{person.workspace}/services/", headers=headers)).status_code == 200, headers
    for headers, words in (({"X-API-Key": "bad"}, "bad api_key"), ({"Cookie": "session_id=bad"}, "bad session")):
        answer = await asked(hub.http(), "GET", "/public/services/", headers=headers)
        assert (answer.status_code, words in answer.text) == (401, True)

    names = {"sk_": "parse_api_key", "saml_": "parse_saml_token", "oauth2_": "parse_oauth_token", "custom_": "parse_custom_token"}
    parsers = "from hypha.core import UserInfo\n" + "".join(f"async def {name}(token):\n    return UserInfo(id='{name}')\n" for name in names.values())
    hub = live({"multi_auth.py": parsers + block("# multi_auth.py")})
    for prefix, name in names.items():
        assert (await who(hub, f"{prefix}1"))["id"] == name
    person = hub.person()
    assert (await who(hub, person.token))["id"] == person.id


async def test_hybrid_startup_sends_each_prefix_to_its_parser_with_the_real_client(live):
    parsers = "".join(
        f"async def parse_{kind}_token(token):\n    if 'bad' in token: raise ValueError('bad {kind}')\n    return UserInfo(id='by-{kind}')\n" for kind in ("local", "oauth", "ldap")
    )
    text = "from hypha.core import UserInfo\nfrom hypha.core.auth import _parse_token\n" + parsers + block("async def hybrid_auth_startup")
    hub = live({"hybrid.py": text}, "hybrid.py:hybrid_auth_startup")
    person = hub.person()
    for token, id_ in (("local_1", "by-local"), ("oauth_1", "by-oauth"), ("ldap_1", "by-ldap"), (person.token, person.id)):
        assert (await who(hub, token))["id"] == id_
    assert "bad ldap" in await refusal(hub, "ldap_bad")


async def test_each_hook_alone_leaves_the_others_as_they_are(live):
    alone = "async def hypha_startup(server):\n    await server.register_auth_service({})\n"
    hub = live({"my_auth.py": alone.format("get_token=lambda scope: dict(scope['headers']).get(b'x-mine', b'').decode() or None")})
    person = hub.person()
    for headers in ({"X-Mine": person.token}, {"Authorization": f"Bearer {person.token}"}):
        assert (await asked(hub.http(), "GET", f"/{person.workspace}/services/", headers=headers)).status_code == 200
    assert (await asked(hub.http(), "GET", "/public/services/", headers={"X-Mine": "junk"})).status_code == 401
    hub = live({"my_auth.py": alone.format("index_handler=lambda event: {'status': 200, 'body': 'mine'}")})
    assert (await asked(hub.http(), "GET", "/public/apps/hypha-login/")).text == "mine"
    person = hub.person()
    status, started = await call(hub, "start")
    assert status == 200 and await call(hub, "check", key=started["key"], timeout=0) == (200, None)
    assert await call(hub, "report", key=started["key"], token=person.token) == (200, None)
    status, token = await call(hub, "check", key=started["key"], timeout=1)
    assert status == 200 and (await who(hub, token))["id"] == person.id


async def test_saml_auth_answers_at_the_login_page_and_at_its_own_service(live):
    hub = live({"saml_auth.py": "import time\n" + block("# saml_auth.py")})
    assert "SAML authentication configured" in hub.server.log
    for base in ("/public/apps/hypha-login", "/public/apps/saml-auth"):
        answer = await asked(hub.http(), "GET", f"{base}/saml/login")
        assert (answer.status_code, answer.headers.get("Location"), answer.text) == (302, "https://idp.example.com/metadata/sso?...", ""), base
    services = (await asked(hub.http(), "GET", "/public/services/")).json()
    assert not [one for one in services if "saml-auth" in one["id"]], "an address of a site is not listed"
    answer = await asked(hub.http(), "POST", "/public/apps/hypha-login/saml/acs", data=b"x" * (2 << 20))
    assert answer.status_code == 200 and answer.text.startswith("Login successful. Token: saml_")
    user = await who(hub, answer.text.rsplit(" ", 1)[1])
    assert (user["id"], user["email"], user["scope"]["workspaces"]["saml-workspace"]) == ("user", "user@example.com", "a")
    assert "Invalid SAML session" in await refusal(hub, "saml_none")


async def test_extras_are_methods_over_rpc_and_http_also_without_a_handler(live):
    text = "async def hypha_startup(server):\n    await server.register_auth_service(whoami=lambda context=None, **more: [context['user']['id'], sorted(more)])\n"
    hub = live({"my_auth.py": text})
    person = hub.person()
    assert await call(hub, "whoami", person.token, x=1, context={"user": {"id": "root"}}) == (200, [person.id, ["x"]])
    async with hub.enter(person) as server:
        service = await server.get_service("public/hypha-login")
        assert await service.whoami(y=2) == [person.id, ["y"]]
        assert "start" in service and (await service.start())["key"]


async def test_hooks_that_answer_nonsense_let_nobody_in_and_the_server_goes_on(live):
    text = """
        ANSWERS = {"none": None, "dict": {"id": "x"}, "str": "x"}
        def parse_token(token):
            if token in ANSWERS:
                return ANSWERS[token]
            from hypha.core.auth import _parse_token
            return _parse_token(token)
        async def hypha_startup(server):
            await server.register_auth_service(parse_token=parse_token, generate_token=lambda user, n: b"bytes")
    """
    hub = live({"my_auth.py": text})
    for token in ("none", "dict", "str"):
        assert (await asked(hub.http(token), "GET", "/public/services/")).status_code >= 400
    assert "parse_token of my_auth.py must give a UserInfo, it gave dict" in hub.server.log
    person = hub.person()
    answer = await asked(hub.http(person.token), "GET", f"/{person.workspace}/services/")
    assert answer.status_code == 200
    words = await refusal(hub, person.token)
    assert words and "credentials" not in words, "a connection needs a token to come back with, and that is not the person's fault"
    assert "generate_token of my_auth.py must give a str, it gave bytes" in hub.server.log
    assert (await asked(hub.http(person.token), "GET", f"/{person.workspace}/services/")).status_code == 200


async def test_service_authorization_of_a_file_sees_the_real_caller(live):
    hub = live({"service.py": block("async def start_service(server)")}, "service.py:start_service")
    stranger = hub.person(email="stranger@example.com")
    path = "/public/services/protected-service/protected_function"
    answer = await asked(stranger.http, "POST", path, json={"data": "x", "context": {"user": {"email": "admin@example.com"}}})
    assert answer.status_code >= 400 and "is not authorized" in answer.json()["detail"]
    assert (await asked(hub.http(), "POST", path, json={"data": "x"})).status_code >= 400
    keeper = hub.person(roles=("admin",))
    answer = await asked(keeper.http, "POST", path, json={"data": "x"})
    assert answer.status_code == 200 and answer.json().startswith("Protected data for ") and answer.json().endswith(": x")


def test_the_check_runs_a_file_and_names_the_import_that_the_document_forgot(tmp_path):
    (tmp_path / "saml_auth.py").write_text(block("# saml_auth.py"))
    command = ["handlers", "check", "saml_auth.py:hypha_startup", "--python", interpreter("bare"), "--json"]
    done = run_command(*command, cwd=tmp_path)
    line = block("# saml_auth.py").split("time.time()")[0].count("\n") + 1
    assert done.returncode == 0, done.stderr
    assert f"saml_auth.py:{line}: nothing is named time: is an import missing?" in json.loads(done.stdout)["registers"]
    (tmp_path / "saml_auth.py").write_text("import time\n" + block("# saml_auth.py"))
    assert not any("nothing is named" in one for one in json.loads(run_command(*command, cwd=tmp_path).stdout)["registers"])


async def test_a_second_factors_code_is_right_once_and_of_its_time_alone(live):
    import time

    import pyotp

    hub = live({"mfa.py": block("async def setup_mfa") + WITH_SECRETS}, python="ours")
    factor = pyotp.parse_uri((await call(hub, "enrol", user_id="ann"))[1])
    assert (factor.issuer, factor.name) == ("Hypha", "ann")
    now = int(time.time())
    for seconds, right in ((-300, False), (300, False), (-30, True), (0, True), (30, True)):
        code = factor.at(now + seconds)
        assert (await call(hub, "verify", user_id="ann", code=code))[1] is right, seconds
        assert (await call(hub, "verify", user_id="ann", code=code))[1] is False, f"{seconds}: a second time"
