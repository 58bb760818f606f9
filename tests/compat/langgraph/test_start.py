"""What a `langgraph.json` says and how the start takes it: L-001, L-008 to L-010, L-015, L-038 to L-042, L-070."""

import json
import os
import subprocess
import time

import pytest
from agentserver import APP, TUTORIAL, Project, anyone, interpreter, said, say, user

from harness import native
from harness.client import Client
from harness.doorward import Doorward, Refused, run_command
from harness.programs import doorward_binary, left_out

HEAD = "from langgraph_sdk import Auth\n\nauth = Auth()\n\n"
WHO = "@auth.authenticate\nasync def who():\n    return 'ann'\n\n"


@pytest.mark.parametrize(
    ("auth", "code", "says"),
    [
        ("./nowhere.py:auth", WHO, ["langgraph.json", "there is no ./nowhere.py"]),
        ("./auth.py:other", WHO, ["auth.py", "has no other"]),
        ("./auth.py", WHO, ["langgraph.json", "names no file and variable"]),
        ("", WHO, ["langgraph.json", "names no file of handlers"]),
        ("./auth.ts:auth", WHO, ["langgraph.json", "there is no ./auth.ts"]),
        ("nowhere:auth", WHO, ["nowhere"]),
        ("./auth.py:auth", "auth = 5\n", ["auth.py", "not a langgraph_sdk.Auth"]),
        ("./auth.py:auth", "auth = Auth\n", ["auth.py", "not a langgraph_sdk.Auth"]),
        ("./auth.py:auth", "", ["auth.py", "registers nothing"]),
        ("./auth.py:auth", "@auth.on\nasync def f(ctx, value): ...\n", ["auth.py", "no @auth.authenticate"]),
        ("./auth.py:auth", WHO + WHO.replace("who", "again"), ["auth.py:9", "already set"]),
        ("./auth.py:auth", WHO + "@auth.on\nasync def f(ctx, value): ...\n\n@auth.on\nasync def g(ctx, value): ...\n", ["auth.py:12", "already set"]),
        ("./auth.py:auth", "@auth.authenticate\nasync def who(token):\n    return 'ann'\n", ["auth.py:", "asks for 'token'"]),
        ("./auth.py:auth", WHO + "@auth.on\ndef f(ctx, value): ...\n", ["auth.py:", "async"]),
        ("./auth.py:auth", "def broken(:\n", ["auth.py:5"]),
        ("./auth.py:auth", "1 / 0\n", ["auth.py:5", "ZeroDivisionError"]),
        ("./auth.py:auth", "import os; os._exit(3)\n", ["3"]),
        ("./auth.py:auth", "raise SystemExit(0)\n", ["auth.py", "ended before it had loaded"]),
        ("./auth.py:auth", "import not_there\n", ["auth.py:5", "not_there"]),
    ],
)
def test_a_file_that_cannot_be_used_stops_the_start_with_its_line(serve, tmp_path, auth, code, says):
    project = Project(tmp_path / "app").use(auth).write("auth.py", HEAD + code)
    with pytest.raises(Refused) as refused:
        serve(project)
    assert refused.value.code not in (0, 101)
    assert [part for part in says if part not in refused.value.output] == [], refused.value.output


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "langgraph.json"),
        ("[]", "langgraph.json"),
        ('{"auth": 5}', "auth"),
        ('{"auth": {"path": 5}}', "path"),
        ('{"auth": {"path": "./auth.py:auth"}, "env": 5}', "env"),
        ('{"auth": {"path": "./auth.py:auth"}, "env": "nowhere.env"}', "nowhere.env"),
        ('{"auth": {"path": "./auth.py:auth", "disable_studio_auth": "yes"}}', "disable_studio_auth"),
        ('{"auth": {"path": "./auth.py:auth"}, "graphs": []}', "graphs"),
        ('{"atuh": {"path": "./auth.py:auth"}}', "did you mean auth?"),
        ('{"Auth": {"path": "./auth.py:auth"}, "graphs": {}}', "did you mean auth?"),
        ('{"authentication": {"path": "./auth.py:auth"}}', "did you mean auth?"),
        ('{"auth": {"path": "./auth.py:auth"}, "evn": ".env"}', "did you mean env?"),
        ('{"auth": {"path": "./auth.py:auth"}, "graph": {"agent": "./a.py:a"}}', "did you mean graphs?"),
    ],
)
def test_a_settings_file_that_is_wrong_is_refused_by_name(serve, project, text, says):
    project.settings.write_text(text)
    with pytest.raises(Refused) as refused:
        serve(project)
    assert refused.value.code not in (0, 101) and says in refused.value.output, refused.value.output


def test_the_check_refuses_a_key_that_is_misspelt_too(project, tmp_path):
    project.settings.write_text('{"atuh": {"path": "./auth.py:auth"}, "graphs": {"agent": "./a.py:a"}}')
    done = run_command("handlers", "check", project.settings, "--python", interpreter("bare"), cwd=tmp_path)
    assert done.returncode not in (0, 101) and "did you mean auth?" in done.stderr, done.stderr


@pytest.mark.parametrize("parameters", ["authorization: str | None", "headers: dict", "authorization: str | None, method: str"])
def test_remember_s_without_effect_is_said_at_the_start_and_by_the_check(serve, project, tmp_path, parameters):
    project.write("auth.py", f"""
        from langgraph_sdk import Auth

        auth = Auth()

        @auth.authenticate
        async def who({parameters}):
            return "ann"
    """)
    has_effect = parameters == "authorization: str | None"
    log = serve(project, more="remember_s = 60").log
    assert any("remember_s has no effect" in line and "WARN" in line for line in log.splitlines()) != has_effect, log
    asked = ["handlers", "check", project.settings, "--python", interpreter("bare")]
    told, plain = (run_command(*asked, "--json", cwd=tmp_path, environment={"DOORWARD__HANDLERS__REMEMBER_S": seconds}) for seconds in ("60", "0"))
    assert (told.returncode, plain.returncode) == (0, 0), told.stderr
    assert any("remember_s has no effect" in warning for warning in json.loads(told.stdout)["warnings"]) != has_effect
    assert json.loads(plain.stdout)["warnings"] == []


@pytest.mark.parametrize("text", ["{}", '{"graphs": {"agent": "./graph.py:graph"}}', '{"auth": null}'])
def test_without_an_auth_entry_dev_is_open_and_says_so_loudly(serve, tmp_path, text):
    project = Project(tmp_path / "app")
    project.settings.write_text(text)
    server = serve(project)
    warned = [line for line in server.log.splitlines() if "WARN" in line and "langgraph" in line]
    assert warned and any("everybody" in line or "anybody" in line or "whoever" in line or "open" in line for line in warned), server.log
    someone = Client(server.mount("langgraph"))
    thread = someone.post("/threads", json={"metadata": {"a": 1}}).json()
    assert someone.get(f"/threads/{thread['thread_id']}").json()["metadata"] == {"a": 1}
    assert someone.post("/runs/wait", json=say("hello")).json()["messages"][-1]["content"] == "Echo: hello"


def served(tmp_path, project: Project, *lines: str) -> Doorward:
    """`doorward serve` on a loopback address, as an operator runs it."""
    key = tmp_path / "keys" / "master.key"
    key.parent.mkdir(exist_ok=True)
    key.write_text(os.urandom(32).hex())
    key.chmod(0o600)
    home = tmp_path / "serve"
    home.mkdir(exist_ok=True)
    (home / "data").mkdir(mode=0o700, exist_ok=True)
    config = home / "doorward.toml"
    config.write_text("\n".join([
        f'[handlers]\npython = "{interpreter("bare")}"', f'[secrets]\nmaster_key_file = "{key}"', f'[store]\npath = "{home}/data/doorward.db"',
        "[mounts.langgraph]", f'langgraph = "{project.settings}"', 'listen = "127.0.0.1:0"', *lines,
    ]) + "\n")
    config.chmod(0o600)
    return Doorward("serve", "--listen", "127.0.0.1:0", "--config", config, home=home)


def test_without_an_auth_entry_serve_refuses_until_it_is_told(tmp_path):
    project = Project(tmp_path / "app")
    project.settings.write_text("{}")
    with pytest.raises(Refused) as refused:
        served(tmp_path, project)
    assert "allow_anonymous" in refused.value.output and "langgraph" in refused.value.output, refused.value.output
    with served(tmp_path, project, "allow_anonymous = true") as server:
        assert Client(server.mount("langgraph")).post("/threads", json={}).status_code == 200


def test_serve_with_an_auth_entry_lets_in_whom_the_handlers_let_in(tmp_path, project):
    with served(tmp_path, project) as server:
        assert user(server).post("/threads", json={}).status_code == 200
        assert anyone(server).post("/threads", json={}).status_code == 401


def test_paths_are_relative_to_the_file_and_the_start_lists_what_was_found(serve, tmp_path):
    project = Project(tmp_path / "project").use("src/security/auth.py:auth").write("src/security/auth.py", TUTORIAL)
    server = serve(project)  # its working directory is another one
    assert user(server).post("/threads", json={}).status_code == 200
    assert "src/security/auth.py" in server.log and "authenticate" in server.log, server.log


def test_a_module_is_found_from_the_projects_directory(serve, tmp_path):
    project = Project(tmp_path / "project").use("security.auth:auth").write("security/auth.py", TUTORIAL).write("security/__init__.py", "")
    assert user(serve(project)).post("/threads", json={}).status_code == 200


def test_a_file_with_an_auth_key_alone_is_enough(serve, project):
    assert json.loads(project.settings.read_text()) == {"auth": {"path": "./auth.py:auth"}}
    server = serve(project)
    assert user(server).post("/runs/wait", json=say("x")).status_code == 200
    assert "WARN" not in server.log, server.log


def test_keys_that_have_no_effect_are_named_at_the_start(serve, project):
    project.use(
        "./auth.py:auth", auth={"disable_studio_auth": True, "allow_langsmith_api_keys": True, "openapi": {"security": []}},
        dependencies=["."], graphs={"agent": "./graph.py:graph"}, store={"index": {}}, checkpointer={"ttl": {}}, http={"app": "./app.py:app"},
        dockerfile_lines=["RUN true"], made_up=1,
    )
    log = serve(project).log
    # Of the keys that build or run an agent server, those that somebody may rely on.
    for key in ("store", "checkpointer", "http", "made_up", "openapi", "allow_langsmith_api_keys"):
        assert any(key in line and "WARN" in line for line in log.splitlines()), f"{key}: {log}"


@pytest.mark.parametrize("auth", [{}, {"disable_studio_auth": True}, {"disable_studio_auth": False}, {"allow_langsmith_api_keys": True}], ids=str)
def test_the_studio_header_and_the_clouds_keys_let_nobody_in(serve, project, auth):
    server = serve(project.use("./auth.py:auth", auth=auth))
    for headers in (
        {"x-auth-scheme": "langsmith"},
        {"x-auth-scheme": "langsmith", "x-api-key": "lsv2_pt_key"},
        {"x-auth-scheme": "langsmith-agent", "x-api-key": "lsv2_pt_key", "x-tenant-id": "t", "x-user-id": "u"},
        {"x-api-key": "lsv2_pt_key"},
    ):
        answer = anyone(server).post("/threads", json={}, headers=headers)
        assert (answer.status_code, said(answer)) == (401, "Invalid token"), headers
    mine = user(server)
    made = mine.post("/threads", json={}, headers={"x-auth-scheme": "langsmith", "x-api-key": "k"})
    assert made.json()["metadata"] == {"owner": mine.token}


LIST = """
    from langgraph_sdk import Auth

    auth = Auth()

    @auth.authenticate
    async def who(authorization):
        if authorization != "Bearer boss":
            raise Auth.exceptions.HTTPException(status_code=401, detail="not on the list")
        return {"identity": "boss"}
"""


def test_a_key_of_doorwards_passes_no_list_of_the_handlers(serve, project):
    server = serve(project.write("auth.py", LIST).use("./auth.py:auth"))
    native_client = Client(server.url)
    name = native.new_name()
    assert native.sign_up(native_client, name).status_code == 201
    token = native.Tokens.of(native.log_in(native_client, name)).access
    made = Client(server.url, token).post("/v1/api-keys", json={"name": "outsider", "scopes": ["*"], "expires_in": 3600})
    key = made.json()["key"]
    assert anyone(server).post("/threads", json={}, headers={"Authorization": "Bearer boss"}).status_code == 200
    for headers in ({"Authorization": f"Bearer {key}"}, {"Authorization": f"ApiKey {key}"}, {"x-api-key": key}, {"Authorization": f"Bearer {token}"}):
        answer = anyone(server).post("/threads", json={}, headers=headers)
        assert (answer.status_code, said(answer)) == (401, "not on the list"), headers


BY_KEY = """
    from langgraph_sdk import Auth

    auth = Auth()

    @auth.authenticate
    async def who(headers: dict, authorization):
        if headers.get(b"x-api-key") != b"key-of-ann":
            raise Auth.exceptions.HTTPException(status_code=401, detail=f"{authorization} is nobody")
        return {"identity": "ann"}
"""


@pytest.mark.parametrize("headers", [{"x-api-key": "key-of-ann"}, {"x-api-key": "key-of-ann", "authorization": "Basic YTpi"}, {"x-api-key": "key-of-ann", "authorization": "Bearer x"}])
def test_a_handler_may_go_by_the_api_key_alone(serve, project, headers):
    server = serve(project.write("auth.py", BY_KEY))
    assert anyone(server).post("/threads", json={}, headers=headers).status_code == 200
    refused = anyone(server).post("/threads", json={}, headers={**headers, "x-api-key": "key-of-eve"})
    assert (refused.status_code, said(refused)) == (401, f"{headers.get('authorization')} is nobody")


ENVIRONMENT = """
    import json
    import os
    from langgraph_sdk import Auth

    auth = Auth()

    @auth.authenticate
    async def who():
        raise Auth.exceptions.HTTPException(status_code=403, detail=json.dumps(dict(os.environ)))
"""


def environment_of(server) -> dict:
    return json.loads(said(anyone(server).get("/threads/x")))


@pytest.mark.parametrize("env", [".env", {"ORG": "acme", "SUPABASE_URL": "http://x"}], ids=["file", "object"])
def test_handlers_find_the_projects_variables_and_no_secret_of_the_server(serve, project, env):
    project.write("auth.py", ENVIRONMENT).write(".env", 'ORG=acme\nSUPABASE_URL="http://x"\n').use("./auth.py:auth", env=env)
    server = serve(project, DOORWARD__TOKENS__ISSUER="hidden-word", MY_SECRET="hidden-word", AWS_SECRET_ACCESS_KEY="hidden-word")
    found = environment_of(server)
    assert {"ORG": "acme", "SUPABASE_URL": "http://x"}.items() <= found.items()
    assert "hidden-word" not in json.dumps(found) and server.admin_key not in json.dumps(found)
    assert set(found) <= {"ORG", "SUPABASE_URL", "PATH", "LANG", "HOME", "LC_ALL", "LC_CTYPE", "TZ", "VIRTUAL_ENV", "TMPDIR", "PYTHONUNBUFFERED"}, set(found)


def test_a_plain_variable_reaches_the_handlers_only_if_the_project_names_it(serve, project):
    """L-070: what the server's environment holds is not handed on by itself; the file's `env` decides."""
    project.write("auth.py", ENVIRONMENT)
    assert "ORG" not in environment_of(serve(project, ORG="acme"))


@pytest.mark.parametrize("uncovered", ["own", "allow", "deny", None])
def test_what_no_handler_covers_is_the_callers_own_unless_the_setting_says_otherwise(serve, project, uncovered):
    project.write("auth.py", TUTORIAL.partition("@auth.on")[0] + """
    @auth.on.threads.delete
    async def never(ctx, value):
        return False
    """)
    server = serve(project, mount=f'uncovered = "{uncovered}"' if uncovered else "")
    ann, bob = user(server), user(server)
    made = ann.post("/threads", json={})
    if uncovered == "deny":
        assert made.status_code == 403 and ann.post("/runs/wait", json=say("x")).status_code == 403
        assert ann.post("/threads/search", json={}).status_code == 403
        return
    thread = made.json()["thread_id"]
    theirs = {"own": 404, "allow": 200, None: 404}[uncovered]
    assert ann.get(f"/threads/{thread}").status_code == 200 and bob.get(f"/threads/{thread}").status_code == theirs
    assert len(bob.post("/threads/search", json={}).json()) == (1 if uncovered == "allow" else 0)
    assert bob.post(f"/threads/{thread}/runs/wait", json=say("x")).status_code == theirs
    assert ann.delete(f"/threads/{thread}").status_code == 403, "covered"
    assert "threads.create" in server.log, "the start lists what is not covered"
    assert "threads.delete" not in [word for line in server.log.splitlines() if "not covered" in line for word in line.replace(",", " ").split()]


def test_the_start_refuses_another_word_for_what_is_not_covered(serve, project):
    with pytest.raises(Refused) as refused:
        serve(project, mount='uncovered = "perhaps"')
    assert "uncovered" in refused.value.output and "deny" in refused.value.output


def test_the_node_of_the_streams_has_the_name_that_the_mount_gives_it(serve, project):
    server = serve(project, mount='node = "joker"')
    text = user(server).post("/runs/stream", json={**say("x"), "stream_mode": "messages-tuple"}).text
    assert '"langgraph_node":"joker"' in text and "chatbot" not in text


def test_the_graphs_of_the_file_are_what_clients_may_run(serve, project):
    server = serve(project.use("./auth.py:auth", graphs={"first": "./a.py:a", "second": "./b.py:b"}))
    someone = user(server)
    assert [someone.post("/runs/wait", json={**say("x"), "assistant_id": name}).status_code for name in ("first", "second")] == [200, 200]
    unknown = someone.post("/runs/wait", json={**say("x"), "assistant_id": "agent"})
    assert unknown.status_code == 422 and "first" in said(unknown) and "second" in said(unknown)


def test_the_command_of_the_page_answers_the_tutorial_on_its_port_without_a_network(project, tmp_path):
    """`langgraph dev --no-browser`'s place and port, in a network of its own that has no way out."""
    try:
        subprocess.run(["unshare", "--net", "--map-root-user", "true"], check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.CalledProcessError) as absent:
        raise left_out("no network of one's own can be made here, so nothing is run without one") from absent
    client = f"{interpreter('older')}|{APP / 'older.py'}"
    arguments = [interpreter("ours"), APP / "offline.py", doorward_binary(), project.settings, client, tmp_path]
    done = subprocess.run(["unshare", "--net", "--map-root-user", *map(str, arguments)], capture_output=True, text=True, timeout=80, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert "".join(told["printed"]) == "Echo: Tell me a short joke" and told["created"]["metadata"] == {"owner": "user-first"}


def test_under_a_prefix_the_routes_are_the_same(serve, project, tmp_path):
    home = tmp_path / "prefixed"
    home.mkdir()
    config = home / "doorward.toml"
    config.write_text(f'[handlers]\npython = "{interpreter("bare")}"\n')
    config.chmod(0o600)
    with Doorward("dev", "--listen", "127.0.0.1:0", "--config", config, "--langgraph", project.settings, home=home) as server:
        assert server.mount("langgraph").endswith("/langgraph")
        someone = user(server)
        answer = someone.post("/runs/stream", json={**say("x"), "stream_mode": "values"})
        assert answer.status_code == 200
        assert Client(server.url, someone.token).post("/threads", json={}).status_code in (401, 404)


def test_handlers_check_agrees_with_the_start(project, tmp_path):
    done = run_command("handlers", "check", project.settings, "--python", interpreter("bare"), "--json", cwd=tmp_path)
    assert done.returncode == 0 and json.loads(done.stdout)["registers"][0] == "authenticate(authorization)"


def test_the_tutorials_variables_may_stand_in_the_projects_env_object(serve, project):
    """L-070 as far as it holds: the contents of `.env` as an object in `langgraph.json`, and no file."""
    project.write("auth.py", ENVIRONMENT).use("./auth.py:auth", env={"SUPABASE_URL": "http://x", "SUPABASE_SERVICE_KEY": "k"})
    assert {"SUPABASE_URL": "http://x", "SUPABASE_SERVICE_KEY": "k"}.items() <= environment_of(serve(project)).items()


def test_a_run_that_waits_for_its_time_does_not_keep_the_server(serve, project):
    server = serve(project)
    assert user(server).post("/runs", json={**say("x"), "after_seconds": 3000}).status_code == 200
    begun = time.monotonic()
    assert server.program.stop() == 0
    assert time.monotonic() - begun < 5


def test_in_dev_pages_of_this_machine_may_read_answers_and_no_others(serve, project):
    server = serve(project)
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    for origin, let_in in [("http://localhost:3000", True), ("http://127.0.0.1:5173", True), ("http://localhost:3001", False), ("https://evil.example", False)]:
        preflight = anyone(server).request("OPTIONS", "/threads", headers={"Origin": origin, **asked})
        assert ("access-control-allow-origin" in preflight.headers) == let_in, origin
