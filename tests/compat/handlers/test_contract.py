"""The BaseAuth contract: what a backend is given, what it may answer, and what comes of everything else."""

import concurrent.futures
import json
import os
import signal
import socket
import struct
import time

import pytest
import requests

from harness.doorward import Refused, run_command
from harness.programs import gone, wait_until


def backend(project, body: str, **more):
    """A class with this body for `authenticate`."""
    project.write("auth/custom.py", "").write_text(
        "from agentflow_cli import BaseAuth\nfrom fastapi import HTTPException, Response\n"
        "from fastapi.security import HTTPAuthorizationCredentials\n\n\n"
        "class Backend(BaseAuth):\n    def authenticate(self, res: Response, credential: HTTPAuthorizationCredentials):\n"
        + "".join(f"        {line}\n" for line in body.strip().split("\n"))
    )
    return project.use("auth.custom:Backend", **more)


def ask(server, method: str = "GET", path: str = "/v1/threads", token: str | None = "ann", **more):
    headers = {**({"Authorization": f"Bearer {token}"} if token else {}), **more.pop("headers", {})}
    return requests.request(method, server.mount("agentflow") + path, headers=headers, timeout=30, **more)


def user_of(server, **more) -> dict:
    """What a run's user configuration holds, as the runner prints it."""
    body = {"messages": [{"role": "user", "content": "who am I?"}], **more.pop("body", {})}
    answer = ask(server, "POST", "/v1/graph/invoke", json=body, **more)
    assert answer.status_code == 200, answer.text
    said = [message for message in answer.json()["data"]["messages"] if message["role"] == "assistant"][-1]
    return json.loads(said["content"][0]["text"])["user"]


@pytest.mark.parametrize("python", ["bare", "real"])
def test_a_class_is_loaded_relative_to_its_file_and_its_answer_is_the_runs_user(project, serve, python):
    backend(project, 'return {"user_id": credential.credentials, "subscription": {"plan": "pro", "seats": [1, 2]}, "scheme": credential.scheme}')
    server = serve(project, python)
    forged = {"user": {"user_id": "eve", "subscription": "stolen"}, "config": {"user": {"user_id": "eve"}, "authz": {"user_id": "eve"}}}
    user = user_of(server, body=forged)
    assert (user["user_id"], user["scheme"], user["subscription"]) == ("ann", "Bearer", {"plan": "pro", "seats": [1, 2]})
    assert ask(server, "POST", "/threads").status_code == 200
    lines = server.command("audit", "list", "--action", "thread:create")
    lines = lines["entries"] if isinstance(lines, dict) else lines
    assert lines[0]["principal"] == "agentflow|ann" and lines[0]["method"] == "custom"


@pytest.mark.parametrize("python", ["bare", "real"])
def test_the_newer_form_sees_headers_cookies_and_the_address(project, serve, python):
    project.write(
        "auth/custom.py",
        """
        from agentflow_cli import BaseAuth

        class Backend(BaseAuth):
            def authenticate(self, request, response, credential):
                return {
                    "user_id": request.headers["X-Tenant"], "cookie": request.cookies.get("shop"), "all": dict(request.cookies),
                    "path": request.url.path, "query": request.query_params.get("q"), "host": request.client.host,
                    "none": credential is None, "method": request.method,
                }
        """,
    )
    server = serve(project.use("auth.custom:Backend"), python)
    headers = {"x-tenant": "acme", "Cookie": "shop=42; __Host-doorward-session=ours; other=x"}
    user = user_of(server, token=None, headers=headers)
    assert (user["user_id"], user["cookie"], user["none"], user["method"]) == ("acme", "42", True, "POST")
    assert user["all"] == {"shop": "42", "other": "x"}, "our own cookie is not shown"
    assert (user["path"], user["host"]) == ("/v1/graph/invoke", "127.0.0.1")


@pytest.mark.parametrize("python", ["bare", "real"])
@pytest.mark.parametrize("refusing", [False, True])
def test_headers_and_cookies_set_on_the_response_reach_the_client(project, serve, python, refusing):
    end = 'raise HTTPException(401, "no", headers={"X-Why": "because"})' if refusing else 'return {"user_id": "ann"}'
    backend(
        project,
        f"""
res.headers["X-Account"] = "42"
res.set_cookie("seen", "yes", httponly=True, samesite="strict")
res.set_cookie("__Host-doorward-session", "planted")
res.headers["Content-Length"] = "1"
{end}
""",
    )
    answer = ask(serve(project, python))
    assert answer.status_code == (401 if refusing else 200)
    assert answer.headers["X-Account"] == "42" and answer.cookies["seen"] == "yes"
    assert "planted" not in answer.headers["Set-Cookie"] and answer.json()
    assert (answer.headers.get("X-Why") == "because") == refusing


def test_an_asynchronous_backend_is_awaited(project, serve):
    project.write(
        "auth/custom.py",
        """
        import asyncio
        from agentflow_cli import BaseAuth
        from fastapi import HTTPException

        class Backend(BaseAuth):
            async def authenticate(self, res, credential):
                await asyncio.sleep(0.01)
                if credential.credentials != "good":
                    raise HTTPException(401, "Invalid")
                return {"user_id": "ann"}
        """,
    )
    server = serve(project.use("auth.custom:Backend"))
    assert ask(server, token="good").status_code == 200
    refused = ask(server, token="bad")
    assert (refused.status_code, refused.json()["detail"]) == (401, "Invalid")


@pytest.mark.parametrize("status", [401, 402, 403, 429, 503])
def test_a_backends_refusal_keeps_its_status_and_words_in_both_styles(project, serve, status):
    backend(project, f'raise HTTPException({status}, detail="In its own words")')
    refused = ask(serve(project))
    body = refused.json()
    assert refused.status_code == status and body["detail"] == "In its own words"
    assert (body["error"]["code"], body["error"]["message"]) == ("HTTPException", "In its own words")
    assert ("WWW-Authenticate" in refused.headers) == (status == 401)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("return None", 401),
        ("return []", 401),
        ('return "ann"', 401),
        ('return {"username": "ann"}', 401),
        ('return {"user_id": ""}', 401),
        ('return {"user_id": None}', 401),
        ('return {"user_id": "a\\nb"}', 401),
        ('return {"user_id": {"nested": 1}}', 401),
        ('return {"user_id": "ann", "x": object()}', 401),
        ('return {"user_id": "ann", "x": float("nan")}', 401),
        ('return {"user_id": "x" * (17 << 20)}', 401),
        ('raise HTTPException(200, "not a refusal")', 401),
        ('raise HTTPException(999, "no status")', 401),
    ],
)
def test_an_answer_that_says_nobody_lets_nobody_in(project, serve, body, status):
    answer = ask(serve(backend(project, body), more="memory_mb = 0"))
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    "body",
    [
        'raise KeyError("a secret of the database")',
        "1 / 0",
        "import sys; sys.exit(3)",
        "raise BaseException('out of the ordinary')",
        "raise RecursionError",
    ],
)
def test_any_other_exception_is_503_and_tells_the_client_nothing(project, serve, body):
    server = serve(backend(project, body))
    answer = ask(server)
    assert answer.status_code == 503 and answer.json()["error"]["code"] == "HANDLER_UNAVAILABLE"
    assert "secret of the database" not in answer.text and "Retry-After" in answer.headers
    if "KeyError" in body:
        wait_until(lambda: "secret of the database" in server.log, "the traceback in the log")
        assert "auth/custom.py:8" in server.log or "custom.py:8" in server.log
    assert ask(server, path="/ping", token=None).status_code == 200


def test_an_empty_dict_is_nobody_in_particular(project, serve):
    backend(project, 'return {} if credential.credentials == "nobody" else {"user_id": credential.credentials}')
    server = serve(project)
    made = ask(server, "POST", "/threads", token="ann")
    thread = made.json()["thread_id"]
    assert ask(server, token="nobody", path="/v1/threads").status_code == 200
    assert ask(server, token="nobody", path=f"/v1/threads/{thread}").status_code in (403, 404)


def test_nothing_was_sent_and_the_backend_fails_over_it_is_401(project, serve):
    """The document's own samples read `credential.credentials` without looking whether there is one."""
    server = serve(backend(project, 'return {"user_id": credential.credentials}'))
    missing = ask(server, token=None)
    assert (missing.status_code, missing.json()["detail"]) == (401, "Not authenticated")
    basic = ask(server, token=None, headers={"Authorization": "Basic YTpi"})
    assert basic.status_code == 401


def test_a_blocking_backend_does_not_stop_others(project, serve):
    backend(
        project,
        """
import time
if credential.credentials == "slow":
    time.sleep(2)
return {"user_id": credential.credentials}
""",
    )
    server = serve(project)
    assert ask(server).status_code == 200
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        slow = [pool.submit(ask, server, token="slow") for _ in range(4)]
        quick, begun = 0, time.monotonic()
        while not any(one.done() for one in slow) and quick < 50:
            assert ask(server, token="quick").status_code == 200
            quick += 1
        assert quick == 50, f"only {quick} requests in {time.monotonic() - begun:.1f} s beside four that block"
        assert all(one.result().status_code == 200 for one in slow)


@pytest.mark.parametrize("body", ["import time; time.sleep(30)", "while True: pass", "import signal; signal.pause()"])
def test_a_backend_that_never_answers_is_503_in_time(project, serve, body):
    backend(project, f'if credential.credentials == "hang":\n    {body}\nreturn {{"user_id": "ann"}}')
    server = serve(project, more="timeout_ms = 500")
    assert ask(server).status_code == 200
    assert ask(server, token="hang").status_code == 503
    wait_until(lambda: ask(server).status_code == 200, "it answers others again")


def test_an_event_loop_that_is_blocked_is_started_anew(project, serve):
    server = serve(slow(project).use("auth.custom:Coroutine"), more="timeout_ms = 500")
    assert ask(server, token="block").status_code == 503
    wait_until(lambda: ask(server).status_code == 200, "a new process")
    assert "its event loop is blocked" in server.log


@pytest.mark.parametrize("death", ["os._exit(1)", "os.kill(os.getpid(), 9)", "os.kill(os.getpid(), 11)", "os.closerange(3, 4096)"])
def test_a_process_that_dies_is_503_and_is_started_again(project, serve, death):
    backend(project, f'import os\nif credential.credentials == "die":\n    {death}\nreturn {{"user_id": "ann", "pid": os.getpid()}}')
    server = serve(project)
    pid = user_of(server)["pid"]
    assert ask(server, token="die").status_code == 503
    wait_until(lambda: ask(server).status_code == 200, "a new process")
    assert user_of(server)["pid"] != pid


ODD = {
    "a-text-that-is-none": (401, 'raise HTTPException(401, "no key \\ud800")'),
    "half-a-pair-in-the-user": (401, 'return {"user_id": "ann", "name": "\\ud800"}'),
    "a-number-without-end": (401, 'return {"user_id": "ann", "n": 10**400}'),
    "a-name-twice": (401, 'return {"user_id": "ann", "n": {1: 1, "1": 2}}'),
    "too-deep": (401, 'deep = []\n    for _ in range(100):\n        deep = [deep]\n    return {"user_id": "ann", "n": deep}'),
    "far-too-deep": (401, 'deep = []\n    for _ in range(100_000):\n        deep = [deep]\n    return {"user_id": "ann", "n": deep}'),
    "cancelled-by-itself": (503, "import asyncio\n    raise asyncio.CancelledError"),
}


@pytest.mark.parametrize(("status", "odd"), ODD.values(), ids=ODD)
def test_an_answer_that_cannot_be_read_is_the_trouble_of_its_own_call(project, serve, status, odd):
    """Handlers quote what callers send: nobody may end the process that way, whom everybody waits for."""
    backend(project, f'import os\nif credential.credentials == "odd":\n    {odd}\nreturn {{"user_id": "ann", "pid": os.getpid()}}')
    server = serve(project)
    pid = user_of(server)["pid"]
    for _ in range(3):
        assert ask(server, token="odd").status_code == status
        assert user_of(server)["pid"] == pid
    assert "the process is gone" not in server.log


def slow(project) -> object:
    """Sleeps for a minute, with the loop, beside it or in a thread, and says who it is otherwise."""
    project.write("auth/custom.py", """
        import asyncio, os, tempfile, time
        from agentflow_cli import BaseAuth

        class Coroutine(BaseAuth):
            async def authenticate(self, res, credential):
                if credential.credentials == "block":
                    open("blocking", "w").close()
                    time.sleep(60)
                if credential.credentials == "wait":
                    tempfile.mkstemp(prefix="waiting-", dir=".")
                    await asyncio.sleep(60)
                return {"user_id": "ann", "pid": os.getpid()}

        class Thread(BaseAuth):
            def authenticate(self, res, credential):
                if credential.credentials == "wait":
                    time.sleep(60)
                return {"user_id": "ann", "pid": os.getpid()}
    """)
    return project


def test_calls_that_were_given_up_hold_nothing_once_they_have_ended(project, serve):
    server = serve(slow(project).use("auth.custom:Coroutine"), more="timeout_ms = 200\nthreads = 4")
    pid = user_of(server)["pid"]
    for _ in range(15):
        assert ask(server, token="wait").status_code == 503
    assert user_of(server)["pid"] == pid and "hold its threads" not in server.log


def test_calls_that_never_end_are_ended_with_their_process(project, serve):
    server = serve(slow(project).use("auth.custom:Thread"), more="timeout_ms = 200\nthreads = 4")
    pid = user_of(server)["pid"]
    assert [ask(server, token="wait").status_code for _ in range(2)] == [503, 503]
    wait_until(lambda: "hold its threads" in server.log, "that it is noticed")
    wait_until(lambda: ask(server).status_code == 200, "a new process")
    assert user_of(server)["pid"] != pid


def test_one_network_cannot_take_the_places_of_all_others(project, serve):
    more = 'timeout_ms = 8000\nworkers = 1\nqueue = 4\n[server]\ntrusted_proxies = ["127.0.0.1/32"]'
    server = serve(slow(project).use("auth.custom:Coroutine"), more=more)
    one, other = {"X-Forwarded-For": "198.51.100.7"}, {"X-Forwarded-For": "203.0.113.9"}
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(ask, server, token="wait", headers=one) for _ in range(2)]
        wait_until(lambda: len(list(project.home.glob("waiting-*"))) == 2, "that its share is taken")
        assert ask(server, headers=one).status_code == 503
        assert ask(server, headers=other).status_code == 200
        assert [held.result().status_code for held in waiting] == [503, 503], "their time is over"
    assert "has its share of calls" in server.log


def test_a_blocked_loop_is_noticed_when_whoever_asked_has_left(project, serve):
    server = serve(slow(project).use("auth.custom:Coroutine"), more="timeout_ms = 3000")
    host, port = server.url.removeprefix("http://").split(":")
    path = server.mount("agentflow").removeprefix(server.url) + "/v1/threads"
    with socket.create_connection((host, int(port))) as client:
        # Closing it resets the connection.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer block\r\n\r\n".encode())
        wait_until((project.home / "blocking").exists, "that it blocks")
    wait_until(lambda: "its event loop is blocked" in server.log, "that it is noticed")
    wait_until(lambda: ask(server).status_code == 200, "a new process")


def test_memory_beyond_the_limit_is_an_error_of_the_call_or_the_process_and_of_nothing_else(project, serve):
    backend(project, 'if credential.credentials == "eat":\n    x = bytearray(3 << 30)\nreturn {"user_id": "ann"}')
    server = serve(project, more="memory_mb = 1024")
    assert ask(server, token="eat").status_code == 503
    wait_until(lambda: ask(server).status_code == 200, "it answers others")


def test_what_a_backend_prints_goes_to_the_log_under_its_name_and_breaks_nothing(project, serve):
    backend(
        project,
        """
import os, sys
print("hello from the backend")
print("\\x1b[31mred\\x00", file=sys.stderr)
os.write(1, b"\\xff\\xfe not text\\n")
print("x" * 100_000)
sys.stdin.read()
return {"user_id": "ann"}
""",
    )
    server = serve(project)
    assert ask(server).status_code == 200
    wait_until(lambda: "hello from the backend" in server.log, "its words")
    assert "handler=agentflow" in server.log and "\x1b[31m" not in server.log and "\x00" not in server.log


def test_the_environment_is_that_of_the_env_file_and_nothing_of_the_servers(project, serve):
    backend(project, 'import os\nreturn {"user_id": os.environ["TENANT"], "all": sorted(os.environ)}', env="TENANT=acme\nREF=${TENANT}-x\n")
    server = serve(project, SECRET_OF_THE_SERVER="x")
    user = user_of(server)
    assert user["user_id"] == "acme" and "REF" in user["all"]
    assert not [name for name in user["all"] if name.startswith("DOORWARD") or "SECRET" in name]


def test_processes_go_with_the_server_and_with_everything_they_started(project, serve):
    backend(
        project,
        """
import os, subprocess
child = subprocess.Popen(["sleep", "300"])
return {"user_id": "ann", "pids": [os.getpid(), child.pid]}
""",
    )
    server = serve(project)
    pids = user_of(server)["pids"]
    server.program.process.send_signal(signal.SIGTERM)
    server.program.process.wait(timeout=30)

    wait_until(lambda: all(gone(pid) for pid in pids), "the end of both")


@pytest.mark.parametrize("busy", [False, True])
def test_a_server_that_is_killed_leaves_no_process_behind(project, serve, busy):
    """Nobody is left to kill the group: the process itself has to notice, also when user code blocks its loop."""
    project.write(
        "auth/custom.py",
        """
        import os, subprocess, time
        from agentflow_cli import BaseAuth

        class Backend(BaseAuth):
            async def authenticate(self, res, credential):
                if credential.credentials == "block":
                    time.sleep(300)
                child = subprocess.Popen(["sleep", "300"])
                return {"user_id": "ann", "pids": [os.getpid(), child.pid]}
        """,
    )
    server = serve(project.use("auth.custom:Backend"))
    pids = user_of(server)["pids"]
    if busy:
        with pytest.raises(requests.exceptions.Timeout):
            requests.get(server.mount("agentflow") + "/v1/threads", headers={"Authorization": "Bearer block"}, timeout=0.5)
    os.kill(server.ready["pid"], signal.SIGKILL)

    wait_until(lambda: all(gone(pid) for pid in pids), "the end of both")


@pytest.mark.parametrize("path", ["/ping", "/v1/ping"])
def test_ping_is_open_whatever_the_backend_says(project, serve, path):
    server = serve(backend(project, 'raise HTTPException(401, "nobody")'))
    for token in (None, "x"):
        assert ask(server, path=path, token=token).status_code == 200
    assert ask(server).status_code == 401


def test_a_changed_file_is_loaded_anew_and_a_broken_one_is_not(project, serve):
    backend(project, 'return {"user_id": "first"}')
    server = serve(project)
    assert user_of(server)["user_id"] == "first"
    file = project.home / "auth" / "custom.py"
    text = file.read_text()
    file.write_text(text.replace('"first"', '"second" + ""'))
    wait_until(lambda: user_of(server)["user_id"] == "second", "the new file")
    file.write_text(text + "\n    def broken(:\n")
    wait_until(lambda: "what was loaded before goes on" in server.log, "the complaint")
    assert user_of(server)["user_id"] == "second"
    file.write_text(text.replace('"first"', '"third, much longer than that"'))
    wait_until(lambda: user_of(server)["user_id"].startswith("third"), "the mended file")


@pytest.mark.parametrize(
    ("files", "target", "said"),
    [
        ({}, "auth.custom:Backend", "there is no auth/custom.py in"),
        ({"auth/custom.py": "class Other: pass\n"}, "auth.custom:Backend", "has no Backend; it defines Other"),
        ({"auth/custom.py": "class Backend: pass\n"}, "auth.custom:Backend", "no class that extends agentflow_cli.BaseAuth"),
        ({"auth/custom.py": "Backend = 5\n"}, "auth.custom:Backend", "no class that extends agentflow_cli.BaseAuth"),
        ({"auth/custom.py": "def x(:\n"}, "auth.custom:Backend", "auth/custom.py:1: SyntaxError"),
        ({"auth/custom.py": "\nimport nowhere_to_be_found\n"}, "auth.custom:Backend", "auth/custom.py:2: it imports nowhere_to_be_found"),
        ({"auth/custom.py": "\n\n1 / 0\n"}, "auth.custom:Backend", "auth/custom.py:3: it fails while it is loaded: ZeroDivisionError"),
        (
            {"auth/custom.py": "from agentflow_cli import BaseAuth\nclass Backend(BaseAuth): pass\n"},
            "auth.custom:Backend",
            "abstract",
        ),
        (
            {"auth/custom.py": "from agentflow_cli import BaseAuth\nclass Backend(BaseAuth):\n    def authenticate(self, a): pass\n"},
            "auth.custom:Backend",
            "it takes (res, credential) or (request, response, credential)",
        ),
        (
            {"auth/custom.py": "from agentflow_cli import BaseAuth\nclass Backend(BaseAuth):\n    def __init__(self, x): pass\n    def authenticate(self, a, b): pass\n"},
            "auth.custom:Backend",
            "TypeError",
        ),
        ({"auth/custom.py": "import os\nos._exit(7)\n"}, "auth.custom:Backend", "exit code 7"),
        ({}, "auth.custom", "write it like auth.custom:MyAuthBackend"),
    ],
)
def test_a_file_that_cannot_be_used_stops_the_start_and_is_named_by_the_check(project, serve, files, target, said):
    for path, text in files.items():
        project.write(path, text)
    project.use(target)
    with pytest.raises(Refused) as refused:
        serve(project)
    assert said in refused.value.output
    checked = run_command("handlers", "check", project.settings, cwd=project.home)
    assert checked.returncode == 1 and said in checked.stderr, checked.stdout + checked.stderr


def test_the_check_prints_what_is_registered(project, serve):
    backend(project, 'return {"user_id": "ann"}')
    checked = run_command("handlers", "check", project.settings, "--json", cwd=project.home.parent)
    shown = json.loads(checked.stdout)
    assert shown["registers"] == ["auth.custom.Backend.authenticate(response, credential)"]
    assert shown["files"] == [str((project.home / "auth" / "custom.py").resolve())]


def test_doorwards_api_keys_are_taken_beside_the_backend(project, serve):
    server = serve(backend(project, 'raise HTTPException(401, "not mine")'))
    assert ask(server, token=server.admin_key).status_code == 200
    assert ask(server, token="else").status_code == 401


def test_commands_on_the_store_start_no_user_code(project, serve, tmp_path):
    backend(project, 'return {"user_id": "ann"}')
    with (project.home / "auth" / "custom.py").open("a") as file:
        file.write('\n\nwith open("loaded", "a") as loaded:\n    loaded.write("once\\n")\n')
    server = serve(project)
    before = (project.home / "loaded").read_text()
    assert before and isinstance(server.command("user", "list"), list)
    assert (project.home / "loaded").read_text() == before
