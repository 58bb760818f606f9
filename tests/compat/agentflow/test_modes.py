"""The three modes of `auth`, and how a server starts or refuses to (A-001 to A-012)."""

import json

import pytest

from harness.agentflow.settings import SECRET, jwt_variables, write_settings
from harness.agentflow.tokens import token
from harness.agentflow.wire import DOCUMENT_ROUTES, PLAIN_ROUTES, THREAD_ROUTES, send
from harness.client import Client
from harness.doorward import Refused

MISSING_VARIABLES = "JWT_SECRET_KEY and JWT_ALGORITHM must be set"
RUN_ROUTES = [
    ("POST", "/threads", None),
    ("POST", "/v1/graph/invoke", {"messages": []}),
    ("POST", "/v1/graph/stream", {"messages": []}),
]
EVERY_ROUTE = [*DOCUMENT_ROUTES, *THREAD_ROUTES, *PLAIN_ROUTES, *RUN_ROUTES]


def refusal(start, *arguments, environment=None) -> Refused:
    with pytest.raises(Refused) as refused:
        start("dev", *arguments, environment=environment)
    assert refused.value.code != 0
    return refused.value


@pytest.mark.parametrize("absent", [False, True], ids=["null", "absent"])
def test_auth_null_or_absent_leaves_every_route_open(start, tmp_path, absent):
    settings = write_settings(tmp_path / "app", auth=None)
    if absent:
        content = json.loads(settings.read_text())
        del content["auth"]
        settings.write_text(json.dumps(content))
    client = Client(start("dev", "--agentflow", settings).mount("agentflow"))
    for route in EVERY_ROUTE:
        answer = send(client, route, id="some-thread", message="some-message")
        assert answer.status_code not in (401, 403), f"{route}: {answer.text}"


def test_auth_jwt_closes_every_route_but_ping(anyone):
    for route in EVERY_ROUTE:
        answer = send(anyone, route, id="some-thread", message="some-message")
        assert answer.status_code == 401, f"{route}: {answer.status_code} {answer.text}"
    assert anyone.get("/ping").status_code == 200


@pytest.mark.parametrize("mode", ["open_dev", "jwt_dev", "gateway"])
@pytest.mark.parametrize("path", ["/ping", "/v1/ping"])
def test_ping_answers_pong_without_a_token(request, mode, path):
    answer = Client(request.getfixturevalue(mode).mount("agentflow")).get(path)
    assert answer.status_code == 200
    assert answer.json()["data"] == "pong"


def test_a_thread_is_made_without_body_or_header(open_dev):
    client = Client(open_dev.mount("agentflow"))
    made = [client.post("/threads") for _ in range(2)]
    assert [answer.status_code for answer in made] == [200, 200]
    assert len({answer.json()["thread_id"] for answer in made}) == 2


@pytest.mark.parametrize(
    "content",
    [
        {"graphs": {"agent": "graph.react:app"}, "auth": None, "env": None, "redis": None},
        {
            "agent": "graph.react:app",
            "env": None,
            "auth": None,
            "authorization": None,
            "checkpointer": None,
            "injectq": None,
            "store": None,
            "redis": None,
            "remote_tools": [],
            "thread_name_generator": None,
            "observability": None,
            "websocket": {"max_connections": 4},
        },
    ],
    ids=["release_0_1_7", "release_0_6_1"],
)
def test_a_real_agentflow_json_is_read_as_it_is(start, tmp_path, content):
    settings = tmp_path / "agentflow.json"
    settings.write_text(json.dumps(content))
    server = start("dev", "--agentflow", settings)
    assert Client(server.mount("agentflow")).post("/threads").status_code == 200


def test_an_unknown_key_of_agentflow_json_is_named(start, tmp_path):
    settings = write_settings(tmp_path / "app", auth=None, colour_of_the_door="green")
    assert "colour_of_the_door" in start("dev", "--agentflow", settings).log


@pytest.mark.parametrize(
    ("auth", "text"),
    [
        ("basic", "Unsupported auth method: basic"),
        ({}, "Both method and path must be provided in auth config"),
        ({"method": "custom"}, "Both method and path must be provided in auth config"),
        ({"path": "auth.custom:MyAuthBackend"}, "Both method and path must be provided in auth config"),
    ],
    ids=["unknown_word", "empty_object", "method_only", "path_only"],
)
def test_bad_auth_stops_the_start_with_the_packages_text(start, tmp_path, auth, text):
    settings = write_settings(tmp_path / "app", auth=auth)
    assert text in refusal(start, "--agentflow", settings).output


def test_custom_auth_whose_class_is_not_there_is_refused_at_start_and_says_so(start, tmp_path):
    custom = {"method": "custom", "path": "auth.custom:MyAuthBackend"}
    settings = write_settings(tmp_path / "app", auth=custom)
    assert "there is no auth/custom.py in" in refusal(start, "--agentflow", settings).output


def test_secret_and_algorithm_may_come_from_the_dotenv_file(start, tmp_path):
    settings = write_settings(tmp_path / "app", variables=jwt_variables())
    client = Client(start("dev", "--agentflow", settings).mount("agentflow"), token())
    assert client.get("/threads").status_code == 200


def test_secret_and_algorithm_may_come_from_the_environment(start, tmp_path):
    settings = write_settings(tmp_path / "app", variables={})
    server = start("dev", "--agentflow", settings, environment=jwt_variables())
    assert Client(server.mount("agentflow"), token()).get("/threads").status_code == 200


def test_the_environments_secret_wins_over_the_dotenv_file(start, tmp_path):
    in_file, in_environment = "file-" + SECRET, "environment-" + SECRET
    settings = write_settings(tmp_path / "app", variables=jwt_variables(in_file))
    server = start("dev", "--agentflow", settings, environment=jwt_variables(in_environment))
    client = Client(server.mount("agentflow"))
    assert client.get("/threads", token=token(key=in_environment)).status_code == 200
    assert client.get("/threads", token=token(key=in_file)).status_code == 401


@pytest.mark.parametrize("missing", ["JWT_SECRET_KEY", "JWT_ALGORITHM"])
def test_a_missing_variable_stops_the_start_with_the_packages_sentence(start, tmp_path, missing):
    variables = jwt_variables()
    del variables[missing]
    settings = write_settings(tmp_path / "app", variables=variables)
    assert MISSING_VARIABLES in refusal(start, "--agentflow", settings).output


@pytest.mark.parametrize(("variable", "claim"), [("JWT_ISSUER", "iss"), ("JWT_AUDIENCE", "aud")])
def test_a_configured_issuer_or_audience_becomes_mandatory(start, tmp_path, variable, claim):
    settings = write_settings(tmp_path / "app", variables=jwt_variables(**{variable: "auth-service"}))
    client = Client(start("dev", "--agentflow", settings).mount("agentflow"))
    assert client.get("/threads", token=token(**{claim: "auth-service"})).status_code == 200
    assert client.get("/threads", token=token(**{claim: "another"})).status_code == 401
    assert client.get("/threads", token=token()).status_code == 401


def test_a_mount_with_a_listener_of_its_own_answers_at_the_root(start, tmp_path):
    settings = write_settings(tmp_path / "app", auth=None)
    server = start("dev", "--agentflow", settings, "--mount", "agentflow=127.0.0.1:0")
    base = server.mount("agentflow")
    assert base.count("/") == 2, f"{base} should have no path"
    assert base != server.url
    assert Client(base).post("/threads").status_code == 200


def test_the_ready_file_is_private_and_names_the_process_and_its_mounts(open_dev):
    assert open_dev.ready_mode == 0o600
    assert open_dev.ready["pid"] == open_dev.program.process.pid
    assert set(open_dev.ready["mounts"]) >= {"native", "agentflow"}
    assert open_dev.admin_key


def test_a_polite_signal_stops_the_server_with_exit_code_zero(start, tmp_path):
    settings = write_settings(tmp_path / "app", auth=None)
    server = start("dev", "--agentflow", settings)
    assert server.program.stop() == 0
