"""The document's own client snippets and the two families of routes (A-006, A-020 to A-027, A-030, A-093 to A-095)."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.agentflow import document
from harness.agentflow.settings import SECRET, jwt_variables, write_settings
from harness.agentflow.tokens import token
from harness.agentflow.wire import JSON, run_body, texts
from harness.client import Client, values_of
from harness.programs import clean_environment, node_binary, node_modules


def run(command: list, cwd: Path, **environment: str) -> str:
    """Runs a snippet to its end and answers what it printed."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=clean_environment(**environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def run_curl(snippet: str, cwd: Path) -> list[tuple[int, dict]]:
    """Runs the document's curl lines untouched; a `.curlrc` makes curl print each status."""
    mark = "\\n--status "
    (cwd / ".curlrc").write_text(f'write-out = "{mark}%{{http_code}}\\n"\nsilent\nshow-error\n')
    printed = run(["bash", "-e", "-c", snippet], cwd, CURL_HOME=str(cwd))
    answers, rest = [], printed
    while rest:
        body, _, rest = rest.partition("\n--status ")
        status, _, rest = rest.partition("\n")
        answers.append((int(status), json.loads(body)))
    return answers


# A-020, A-021 ---------------------------------------------------------------------------------


def token_printed_by(output: str) -> str:
    line = next(line for line in output.splitlines() if line.startswith("Token: "))
    return line.removeprefix("Token: ")


def test_the_documents_python_token_opens_the_threads(anyone, tmp_path):
    snippet = document.with_values(document.python_token_block(), secret=SECRET)
    made = token_printed_by(run([sys.executable, "-c", snippet], tmp_path))
    assert anyone.get("/threads", token=made).status_code == 200


def test_the_documents_node_token_opens_the_threads(anyone, tmp_path):
    snippet = document.with_values(document.node_token_block(), secret=SECRET)
    made = token_printed_by(run([node_binary(), "-e", snippet], tmp_path, NODE_PATH=str(node_modules())))
    assert anyone.get("/threads", token=made).status_code == 200


# A-024 -------------------------------------------------------------------


def test_the_documents_curl_lines_without_a_token_work_under_auth_null(open_dev, tmp_path):
    snippet = document.with_values(document.no_auth_curl_block(), url=open_dev.mount("agentflow"))
    ping, thread = run_curl(snippet, tmp_path)
    assert ping[0] == 200
    assert ping[1]["data"] == "pong"
    assert thread[0] == 200
    assert thread[1]["thread_id"]


def test_the_documents_curl_lines_make_a_thread_and_get_an_answer(surface, tmp_path):
    credential = token("curl-user")
    block = document.with_values(document.curl_block(), url=surface, token=credential)
    create, send = block.split("# Send a message")
    [(status, thread)] = run_curl(create, tmp_path)
    assert status == 200
    [(status, answer)] = run_curl(send.replace("abc123", thread["thread_id"]), tmp_path)
    assert status == 200
    assert "Hello" in texts_of(answer)[-1]


def test_the_documents_curl_line_to_somebody_elses_thread_is_not_found(surface, tmp_path):
    block = document.with_values(document.curl_block(), url=surface, token=token("curl-stranger"))
    _, send = block.split("# Send a message")
    [(status, answer)] = run_curl(send, tmp_path)
    assert status == 404
    assert answer["detail"]


# A-025, A-026 ---------------------------------------------------------------------------------


def test_the_documents_requests_block_prints_the_echo(surface, tmp_path):
    snippet = document.with_values(document.requests_block(), url=surface, token=token("python-user"))
    printed = run([sys.executable, "-c", snippet], tmp_path)
    assert printed.count("Hello, AI!") >= 1
    assert "'assistant'" in printed


def test_the_documents_fetch_block_prints_the_echo_under_node(surface, tmp_path):
    snippet = document.with_values(document.fetch_block(), url=surface, token=token("fetch-user"))
    # Node's console.log shows nested values only two levels deep; the answer is deeper.
    deep = "require('util').inspect.defaultOptions.depth = null;\n"
    printed = run([node_binary(), "-e", deep + snippet], tmp_path)
    assert "Hello, AI!" in printed
    assert "'assistant'" in printed


# A-095 --------------------------------------------------------------------------


# The block imports an application and FastAPI's client; here they stand for a running server.
STAND_INS = {
    "pytest.ini": "[pytest]\n",
    "app/__init__.py": "",
    "app/main.py": "import os\n\napp = os.environ['SERVER_URL']\n",
    "fastapi/__init__.py": "",
    "fastapi/testclient.py": (
        "import requests\n\n\n"
        "class TestClient:\n"
        "    __test__ = False\n\n"
        "    def __init__(self, app):\n"
        "        self.app = app\n\n"
        "    def post(self, path, **options):\n"
        "        return requests.post(self.app + path, timeout=30, **options)\n"
    ),
}


def api_key(server, user: str, *arguments) -> str:
    """A Doorward API key for a fresh user of the server."""
    password = "a long enough password 1\n"
    made = server.command("user", "create", "--username", user, "--password-stdin", typed=password)
    key = server.command("key", "create", "--user", made["id"], "--name", "compat", *arguments)
    return key["key"]


def test_the_documents_testing_lines_work_with_a_token_and_with_a_key(jwt_dev, tmp_path):
    block = document.with_values(
        document.testing_curl_block(),
        url=jwt_dev.mount("agentflow"),
        token=token("testing-user"),
        api_key=api_key(jwt_dev, "testing-lines", "--expires", "never"),
    )
    answers = run_curl(block, tmp_path)
    assert [status for status, _ in answers] == [200, 200, 200]


def test_the_documents_pytest_block_passes_against_a_running_server(start, tmp_path):
    block = document.testing_pytest_block()
    settings = write_settings(tmp_path / "app-settings", variables=jwt_variables("test-secret"))
    server = start("dev", "--agentflow", settings)
    assert "JWT_SECRET_KEY" in server.log, "a weak secret is warned about"
    suite = tmp_path / "suite"
    (suite / "tests").mkdir(parents=True)
    (suite / "tests" / "test_auth.py").write_text(block)
    for name, content in STAND_INS.items():
        path = suite / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    printed = run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        suite,
        PYTHONPATH=str(suite),
        SERVER_URL=server.mount("agentflow"),
    )
    assert "4 passed" in printed


# A-082 ----------------------------------------------------------------------------------------


def test_a_read_only_key_reads_and_does_not_write(jwt_dev):
    key = api_key(jwt_dev, "read-only-key", "--scope", "read", "--expires", "never")
    client = Client(jwt_dev.mount("agentflow"), roaming=True)
    for headers in (
        {"Authorization": f"Bearer {key}"},
        {"X-API-Key": key},
        {"Authorization": f"ApiKey {key}"},
    ):
        assert client.get("/threads", headers=headers).status_code == 200, headers
        assert client.post("/threads", headers=headers).status_code == 403, headers


def test_a_key_with_a_typing_error_is_invalid(jwt_dev):
    key = api_key(jwt_dev, "typing-error", "--expires", "never")
    client = Client(jwt_dev.mount("agentflow"), roaming=True)
    wrong = key[:-1] + ("a" if key[-1] != "a" else "b")
    answer = client.get("/threads", headers={"X-API-Key": wrong})
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "INVALID_TOKEN"


# A-030 --------------------------------------------------------------------------


def texts_of(answer: dict) -> list[str]:
    """The texts of an answer's messages, whether contents are plain or blocks."""
    [messages] = values_of("messages", answer)[:1]
    plain = [message["content"] for message in messages]
    return [content if isinstance(content, str) else texts([{"content": content}])[0] for content in plain]


@pytest.mark.parametrize(
    "options",
    [{}, {"headers": JSON}, {"headers": JSON, "data": b""}, {"json": {}}],
    ids=["nothing", "json_type_without_body", "json_type_and_empty_body", "empty_object"],
)
def test_an_empty_body_makes_a_thread(alice, options):
    answer = alice.post("/threads", **options)
    assert answer.status_code == 200, answer.text
    assert answer.json()["thread_id"]


def test_the_documents_routes_answer_at_the_top_level(alice):
    thread_id = alice.post("/threads").json()["thread_id"]
    sent = alice.post(f"/threads/{thread_id}/messages", json={"content": "Hello"})
    assert sent.status_code == 200, sent.text
    assert sent.json()["thread_id"] == thread_id
    assert alice.get(f"/threads/{thread_id}").json()["thread_id"] == thread_id
    assert thread_id in [thread["thread_id"] for thread in alice.get("/threads").json()["threads"]]
    messages = alice.get(f"/threads/{thread_id}/messages")
    assert "Hello" in texts_of(messages.json())


def test_todays_routes_answer_inside_data(alice):
    made = alice.post("/v1/graph/invoke", json=run_body("Hello"))
    assert made.status_code == 200, made.text
    assert set(made.json()) == {"data", "metadata"}
    thread_id = made.json()["data"]["meta"]["thread_id"]
    assert texts(made.json()["data"]["messages"])[-1] == "Echo: Hello"
    listed = alice.get("/v1/threads").json()["data"]["threads"]
    assert thread_id in [thread["thread_id"] for thread in listed]
    messages = alice.get(f"/v1/threads/{thread_id}/messages").json()["data"]["messages"]
    assert texts(messages)[-1] == "Echo: Hello"


def test_both_families_of_routes_see_the_same_thread(alice):
    by_document = alice.post("/threads").json()["thread_id"]
    again = alice.post("/v1/graph/invoke", json=run_body("second way", by_document))
    assert again.status_code == 200, again.text
    by_package = alice.post("/v1/graph/invoke", json=run_body("first way")).json()["data"]["meta"][
        "thread_id"
    ]
    sent = alice.post(f"/threads/{by_package}/messages", json={"content": "third way"})
    assert sent.status_code == 200, sent.text
    said = texts(alice.get(f"/v1/threads/{by_package}/messages").json()["data"]["messages"])
    assert "first way" in said
    assert "third way" in said


def test_a_conversation_keeps_its_messages_in_order(alice):
    thread_id = alice.post("/threads").json()["thread_id"]
    for number in range(3):
        said = alice.post(f"/threads/{thread_id}/messages", json={"content": f"message {number}"})
        assert said.status_code == 200
    kept = texts_of(alice.get(f"/threads/{thread_id}/messages").json())
    # The real server's checkpointer in memory keeps each message twice.
    said = list(dict.fromkeys(text for text in kept if text.startswith("message")))
    assert said == [f"message {n}" for n in range(3)]


def test_a_stream_ends_with_the_whole_echo(alice):
    answer = alice.post("/v1/graph/stream", json=run_body("one two three"))
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    lines = [line.removeprefix("data:").strip() for line in answer.text.splitlines()]
    parts = [json.loads(line) for line in lines if line.startswith("{")]
    deltas = [texts([part["message"]])[0] for part in parts if part.get("message", {}).get("delta")]
    assert "".join(deltas) == "Echo: one two three"


def test_a_deleted_thread_is_gone(alice):
    thread_id = alice.post("/v1/graph/invoke", json=run_body("short life")).json()["data"]["meta"][
        "thread_id"
    ]
    assert alice.delete(f"/v1/threads/{thread_id}", json={"config": {}}).status_code == 200
    assert alice.get(f"/v1/threads/{thread_id}").status_code == 404
    assert alice.get(f"/threads/{thread_id}/messages").status_code == 404
    assert thread_id not in values_of("thread_id", alice.get("/v1/threads").json())


def test_unicode_survives_the_journey(alice):
    said = 'héllo 世界 \U0001f6aa \u202eabc\u0301 "quoted" \\ back'
    thread_id = alice.post("/threads").json()["thread_id"]
    sent = alice.post(f"/threads/{thread_id}/messages", json={"content": said})
    assert sent.status_code == 200, sent.text
    assert said in texts_of(alice.get(f"/threads/{thread_id}/messages").json())
