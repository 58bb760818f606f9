"""LangGraph's custom auth files in Python (langgraph_sdk.Auth), as langgraph-api 0.16.7 loads and asks them: with the published SDK, and with ours in its place.

Here the process is asked by frames, as the surface asks it, and `handlers check` loads the file; tests/compat/langgraph asks over HTTP. What holds in
every language is in test_langgraph_rules.py.
"""

import json
import os
import re
import sys
import sysconfig
import uuid
from pathlib import Path

import pytest
from frames import Process
from languages import may, who
from samples import SEED

from harness.interpreters import interpreter
from harness.doorward import run_command
from harness.programs import left_out
from harness.recorder import Recorder

HEAD = "from langgraph_sdk import Auth\n\nauth = Auth()\n\n"
LETS_ANN_IN = "\n@auth.authenticate\nasync def who():\n    return 'ann'\n"


@pytest.fixture(params=["bare", "ours", "older"], ids=["standing-in", "sdk-0.4.14", "sdk-0.1.48"])
def load(request, tmp_path):
    """Loads a file with this text in a new process; the text is what follows `auth = Auth()`."""
    running = []

    def start(text: str, head: str = HEAD, target: str = "./auth.py:auth", **environment: str) -> Process:
        directory = tmp_path / f"graph-{len(running)}"
        file = directory / target.partition(":")[0]
        file.parent.mkdir(parents=True)
        file.write_text(head + text)
        python = interpreter(request.param)
        running.append(Process(python, "langgraph", target, directory, {"PATH": os.environ["PATH"], **environment}))
        return running[-1]

    yield start
    for process in running:
        process.stop()


@pytest.fixture
def rules(load):
    """Loads a file of rules, with an `@auth.authenticate` behind them: without one no file is taken."""
    return lambda text: load(text + LETS_ANN_IN)


def test_the_interpreters_differ_in_whose_sdk_they_load(load, request):
    standing_in = "standing-in" in request.node.callspec.id
    process = load("import langgraph_sdk\n@auth.authenticate\nasync def who():\n    return langgraph_sdk.__spec__.origin\n")
    assert who(process)["answer"]["user"]["identity"].startswith("<doorward") == standing_in


@pytest.mark.parametrize(
    ("returned", "user", "permissions"),
    [
        ("'ann'", {"identity": "ann", "display_name": "ann", "is_authenticated": True}, []),
        ("(['x'], {'identity': 'ann', 'permissions': ['y']})", {"identity": "ann", "permissions": ["x"]}, ["x"]),
        ("type('U', (), {'identity': 'ann', 'permissions': ['z']})()", {"identity": "ann", "permissions": ["z"]}, ["z"]),
    ],
)
@pytest.mark.parametrize("form", ["async def", "def"])
def test_pythons_own_shapes_of_a_user_are_taken(load, form, returned, user, permissions):
    answer = who(load(f"@auth.authenticate\n{form} who():\n    return {returned}\n"))["answer"]
    assert user.items() <= answer["user"].items() and answer["permissions"] == permissions


def test_a_tuple_of_three_is_refused_with_the_shape(load):
    refused = who(load("@auth.authenticate\nasync def who():\n    return ('a', 'b', 'c')\n"))["refuse"]
    assert refused["status"] == 400 and "expected" in refused["detail"]


@pytest.mark.parametrize(
    ("raised", "status", "detail", "headers"),
    [
        ("Auth.exceptions.HTTPException(status_code=418)", 500, "Internal Server Error", []),
        ("ValueError('odd')", 400, "odd", []),
    ],
)
def test_what_the_server_answers_in_its_own_way_is_a_refusal(load, raised, status, detail, headers):
    refused = who(load(f"@auth.authenticate\nasync def who():\n    raise {raised}\n"))["refuse"]
    assert refused == {"status": status, "detail": detail, "headers": headers}


@pytest.mark.parametrize("raised", ["AssertionError('secret-word')", "SystemExit(0)"])
def test_every_other_error_is_no_answer_and_its_text_stays_inside(load, raised):
    process = load(f"@auth.authenticate\nasync def who():\n    raise {raised}\n")
    said = who(process)
    assert set(said) == {"fault"} and "auth.py:7" in said["fault"] and "secret-word" not in json.dumps(said)


def test_parameters_are_given_by_name(load):
    process = load(
        "@auth.authenticate\n"
        "async def who(authorization: str | None, method, path, path_params, headers, user, scopes, scope, spare=3, **rest):\n"
        "    assert rest == {} and user is None and scopes == [] and path_params == {}\n"
        "    assert scope['client'][0] == '127.0.0.1' and scope['query_string'] == b'a=1&a=2'\n"
        "    return {'identity': ' '.join([authorization, method, path, headers[b'x-org'].decode(), str(spare)])}\n"
    )
    assert who(process)["answer"]["user"]["identity"] == "Bearer t GET /threads acme 3"
    assert "answer" not in who(process, headers=[])


def test_a_request_is_given_to_whoever_asks_for_it(load):
    process = load(
        "@auth.authenticate\n"
        "async def who(request, query_params):\n"
        "    return request.headers['X-Org'] + request.url.path + request.method + query_params['a']\n"
    )
    assert who(process)["answer"]["user"]["identity"] == "acme/threadsGET2"


#: What cannot be used, by words of ours or the SDK's, and the line of it where one is wrong: `HEAD` has four.
UNUSABLE = pytest.mark.parametrize(
    ("text", "says", "line"),
    [
        ("@auth.authenticate\nasync def who(token):\n    return 'a'\n", "asks for 'token'", 5),
        ("auth = 5\n", "not a langgraph_sdk.Auth", None),
        ("", "registers nothing", None),
        ("@auth.on\nasync def f(ctx, value): ...\n", "registers no @auth.authenticate", None),
        ("import not_there\n", "not_there, which is not installed", 5),
        ("@auth.on\ndef f(ctx, value): ...\n", "async", 5),
        ("@auth.on\nasync def f(value): ...\n", "ctx", 5),
        ("@auth.on\nasync def f(ctx, value): ...\n@auth.on\nasync def g(ctx, value): ...\n", "already set", 7),
        ("@auth.on.threads.read\nasync def f(ctx, value): ...\n@auth.on.threads.read\nasync def g(ctx, value): ...\n", "already set", 7),
        ("@auth.authenticate\nasync def f(): ...\n@auth.authenticate\nasync def g(): ...\n", "already set", 7),
    ],
)


@UNUSABLE
def test_a_file_that_cannot_be_used_says_why(load, text, says, line):
    broken = load(text).first["broken"]
    assert says in broken["what"] and broken["where"] == (line and f"auth.py:{line}")


#: What the older SDK does not have: `auth.on.store`, and a look at the names of actions.
NEWER = pytest.mark.parametrize("load", ["bare", "ours"], ids=["standing-in", "sdk-0.4.14"], indirect=True)


@NEWER
def test_an_action_that_a_resource_does_not_have_is_refused(load):
    assert "put" in load("@auth.on.threads(actions=['put'])\nasync def f(ctx, value): ...\n").first["broken"]["what"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("assert ctx.user.org.plan == 'free', 'paid only'", {"refuse": {"status": 403, "detail": "paid only", "headers": []}}),
        ("raise ValueError('odd')", {"refuse": {"status": 400, "detail": "odd", "headers": []}}),
    ],
)
def test_pythons_own_errors_of_a_decision_have_the_servers_meaning(rules, body, said):
    assert may(rules(f"@auth.on\nasync def f(ctx, value):\n    {body}\n"), "threads", "read", {"thread_id": "t"}) == said


@pytest.mark.parametrize("returned", ["()", "0.0", "1.0"])
def test_a_result_of_another_kind_lets_nobody_through(rules, returned):
    refused = may(rules(f"@auth.on\nasync def f(ctx, value):\n    return {returned}\n"), "threads", "read", {})["refuse"]
    assert refused["status"] == 500 and refused["detail"].startswith("Auth handler returned invalid result.")


def test_changes_in_place_come_back_and_a_replaced_metadata_does_not(rules):
    process = rules(
        "@auth.on.threads\nasync def f(ctx, value):\n    value['metadata']['owner'] = ctx.user.identity\n"
        "    value['metadata'] = {'owner': 'eve'}\n    value['seen'] = isinstance(value['thread_id'], __import__('uuid').UUID)\n"
    )
    thread = str(uuid.uuid4())
    value = may(process, "threads", "create", {"thread_id": thread, "metadata": {"a": 1}}, uuids=["thread_id"])["answer"]["value"]
    assert value == {"thread_id": thread, "metadata": {"a": 1, "owner": "ann"}, "seen": True}


@NEWER
def test_a_namespace_is_a_tuple_and_its_replacement_counts(rules):
    process = rules(
        "@auth.on.store\nasync def g(ctx, value):\n    assert isinstance(value['namespace'], tuple)\n"
        "    value['namespace'] = (ctx.user.identity, *value['namespace'])\n"
    )
    value = may(process, "store", "put", {"namespace": ["notes"], "key": "k", "value": {}})["answer"]["value"]
    assert value["namespace"] == ["ann", "notes"]


def test_the_user_is_read_by_attribute_by_key_and_as_a_mapping(rules):
    process = rules(
        "@auth.on\nasync def f(ctx, value):\n    user = ctx.user\n"
        "    assert user['identity'] == user.identity == user.display_name and user.is_authenticated\n"
        "    assert 'org' in user and user.get('none') is None and set(user.keys()) == set(user) and dict(user.items())['identity'] == 'ann'\n"
        "    assert not hasattr(user, 'none') and ctx.permissions == ['threads:read'] and (ctx.resource, ctx.action) == ('crons', 'read')\n"
    )
    assert "answer" in may(process, "crons", "read", {})


def document() -> str:
    """The tutorial's `src/security/auth.py`: its two blocks, word for word."""
    tutorial = SEED.with_name("langgraph-custom-auth.md")
    if not tutorial.exists():
        raise left_out("the LangGraph tutorial is not here, so its file cannot be run")
    blocks = re.findall(r"```python\n(.*?)```", tutorial.read_text(), re.DOTALL)
    return "\n".join(blocks[:2])


def without_sdk(directory: Path) -> str:
    """A place to import from that holds the client the tutorial uses, and no SDK."""
    directory.mkdir()
    installed = Path(sysconfig.get_path("purelib"))
    for name in ("anyio", "certifi", "h11", "httpcore", "httpx", "idna"):
        (directory / name).symlink_to(installed / name)
    (directory / "typing_extensions.py").symlink_to(installed / "typing_extensions.py")
    return str(directory)


def test_the_tutorials_file_runs_word_for_word(load, request, tmp_path):
    def answer(seen):
        known = seen.all("authorization") == ["Bearer ann"] and seen.all("apikey") == ["service"]
        return (200, {"id": "u-1", "name": None}) if known else (401, {"msg": "invalid JWT"})

    with Recorder(answer=answer) as supabase:
        environment = {"SUPABASE_URL": supabase.url, "SUPABASE_SERVICE_KEY": "service"}
        if "standing-in" in request.node.callspec.id:
            environment["PYTHONPATH"] = without_sdk(tmp_path / "packages")
        process = load(document(), head="", target="src/security/auth.py:auth", **environment)
        assert process.first["registers"] == ["authenticate(authorization)", "on everything else"]
        user = who(process, headers=[["authorization", "Bearer ann"]])["answer"]["user"]
        assert (user["identity"], user["display_name"], user["is_authenticated"]) == ("u-1", None, True)
        refused = {"refuse": {"status": 401, "detail": "Invalid token", "headers": []}}
        assert who(process, headers=[["authorization", "Bearer eve"]]) == refused and who(process, headers=[]) == refused
        said = may(process, "threads", "create", {"thread_id": "t"})["answer"]
        assert said["filter"] == {"owner": "ann"} and said["value"] == {"thread_id": "t", "metadata": {"owner": "ann"}}
    assert who(process, headers=[["authorization", "Bearer ann"]]) == refused, "an issuer that is down lets nobody in"


@pytest.fixture
def graph(tmp_path):
    """A directory with a `langgraph.json`."""
    home = tmp_path / "graph"
    (home / "src" / "security").mkdir(parents=True)

    def write(auth, env=None, code: str = HEAD + "import os\nNAME = os.environ['ORG']\n@auth.authenticate\nasync def who():\n    return NAME\n"):
        (home / "src" / "security" / "auth.py").write_text(code)
        (home / "langgraph.json").write_text(json.dumps({"graphs": {"agent": "./agent.py:graph"}, "auth": auth, "env": env}))
        return home

    return write


def check(home, *more, cwd, python: str = "bare"):
    return run_command("handlers", "check", home / "langgraph.json", "--python", interpreter(python), *more, cwd=cwd)


@pytest.mark.parametrize("python", ["bare", "ours"])
@pytest.mark.parametrize("env", [".env", {"ORG": "acme"}])
def test_handlers_check_loads_the_file_that_langgraph_json_names(graph, tmp_path, python, env):
    home = graph({"path": "./src/security/auth.py:auth"}, env)
    (home / ".env").write_text("ORG=acme\n")
    done = check(home, "--json", cwd=tmp_path, python=python)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["target"] == "./src/security/auth.py:auth" and said["registers"][0] == "authenticate()"
    assert said["files"] == [str(home.resolve() / "src" / "security" / "auth.py")]


@pytest.mark.parametrize(
    ("auth", "env", "says"),
    [
        ({"path": "./src/security/auth.py:other"}, {"ORG": "a"}, "has no other"),
        ({"path": "./src/missing.py:auth"}, None, "there is no ./src/missing.py"),
        ({"path": "./src/security/auth.py"}, None, "names no file and variable"),
        ({"path": "./src/security/auth.py:auth"}, None, "KeyError: 'ORG'"),
        ({"path": "./src/security/auth.py:auth"}, "nowhere.env", "nowhere.env"),
        ({"path": "./src/security/auth.py:auth"}, 5, "no path and no object"),
        ({"path": "./auth.mjs:auth"}, None, "there is no ./auth.mjs"),
        ({"path": ""}, None, "names no file of handlers"),
        (None, None, "names no file of handlers"),
    ],
)
def test_handlers_check_says_what_is_wrong_with_it(graph, tmp_path, auth, env, says):
    done = check(graph(auth, env), cwd=tmp_path)
    assert done.returncode not in (0, 101) and says in done.stderr, done.stderr


@UNUSABLE
def test_the_line_is_the_users_also_where_the_sdk_stands_in_the_project(graph, tmp_path, text, says, line):
    home = graph({"path": "./src/security/auth.py:auth"}, code=HEAD + text)
    # The interpreter of a project is found in its `.venv`, and with it the published SDK.
    (home / ".venv").symlink_to(sys.prefix)
    done = run_command("handlers", "check", home / "langgraph.json", cwd=tmp_path)
    assert done.returncode not in (0, 101) and says in done.stderr, done.stderr
    assert (f" src/security/auth.py:{line}: " in done.stderr) == (line is not None) and "site-packages" not in done.stderr, done.stderr
