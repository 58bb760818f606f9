"""The native API as its own document says: read by a validator, made into types for TypeScript, and asked by schemathesis."""

import json
import subprocess
import sys

import pytest
import requests
from openapi_spec_validator import OpenAPIV31SpecValidator

from harness.browser import let_scripts_of_the_test_run
from harness.client import Client
from harness.doorward import Doorward
from harness.native import person
from harness.programs import clean_environment, node_binary, node_modules

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
]
# They end what schemathesis comes with; whatever is asked afterwards would be a 401, and prove nothing. They are asked last.
ENDING = [
    "revokeApiKey", "revokeTokens", "surrenderToken", "deleteOwnAccount", "deleteUser", "changeUser",
    "endSessions", "endSession", "logOut", "endBrowserSession",
]
# What has to be answered well at least once; a run in which everything is refused would prove little.
USER = {
    "GET /v1/me", "PATCH /v1/me", "GET /v1/me/identities", "GET /v1/sessions", "GET /v1/api-keys", "POST /v1/api-keys", "POST /v1/introspect",
    "POST /v1/threads", "GET /v1/threads", "GET /v1/threads/{id}", "PATCH /v1/threads/{id}", "POST /v1/threads/{id}/messages",
    "GET /v1/threads/{id}/messages", "GET /v1/threads/{id}/messages/{message}", "POST /v1/threads/{id}/runs", "GET /v1/threads/{id}/runs",
}
ADMINISTRATOR = {
    "GET /v1/users", "GET /v1/users/{id}", "GET /v1/users/{id}/identities", "POST /v1/users", "POST /v1/tokens", "GET /v1/audit",
    "GET /v1/signing-keys", "POST /v1/signing-keys", "DELETE /v1/signing-keys/{id}",
}
NOBODY = {"POST /v1/users", "POST /v1/token", "GET /v1/login", "GET /.well-known/jwks.json", "GET /v1/docs", "GET /_mail"}
# What somebody without a credential is refused everywhere else, the others' runs and the unit tests show.
TAGS_OF_NOBODY = ["Getting in", "Providers", "Tokens", "Letters", "Description"]
# No proxy is trusted here, so whoever asks is answered alike; tests/compat/forward_auth asks through proxies.
TAGS_OF_THE_ADMINISTRATOR = ["Forward-auth", "Letters", "Description"]


@pytest.fixture(scope="module")
def document(server) -> dict:
    answer = Client(server.url).get("/v1/openapi.json")
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "application/json"
    return answer.json()


def test_the_document_is_openapi_3_1(document):
    OpenAPIV31SpecValidator(document).validate()
    assert document["openapi"] == "3.1.0"


def test_types_for_typescript_are_made_from_it_and_hold_a_program_to_them(document, tmp_path):
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    node, modules = node_binary(), node_modules("openapi-typescript")
    made = subprocess.run(
        [node, modules / "openapi-typescript" / "bin" / "cli.js", "openapi.json", "--output", "doorward.d.ts"],
        cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, timeout=60, check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    good = """
import type { components, operations, paths } from "./doorward";
type Thread = components["schemas"]["Thread"];
type Made = paths["/v1/threads"]["post"]["responses"]["201"]["content"]["application/json"];
type Refused = operations["makeThread"]["responses"]["401"]["content"]["application/problem+json"]["code"];
const thread = (made: Made): Thread => made;
const body: components["schemas"]["NewMessage"] = { content: "hello", role: "user" };
const code: Refused = "token_expired";
export { thread, body, code };
"""
    for name, text, wrong in [("good", good, None), ("bad", good.replace('"token_expired"', '"no_such_code"'), "no_such_code")]:
        (tmp_path / f"{name}.ts").write_text(text)
        checked = subprocess.run(
            [node, modules / "typescript" / "bin" / "tsc", "--noEmit", "--strict", "--skipLibCheck", f"{name}.ts"],
            cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, timeout=60, check=False,
        )
        assert (checked.returncode == 0) == (wrong is None), checked.stdout + checked.stderr
        assert wrong is None or wrong in checked.stdout, checked.stdout


def ask(document: str, home, *options: str) -> tuple[int, str, set[str]]:
    """One run of schemathesis, which asks the same each time: its exit code, what it says, and the operations that were answered well."""
    report = home / "report.ndjson"
    done = subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", "--no-color", "run", document, "--generation-with-security-parameters", "false",
            "--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "5",
            "--seed", "1", "--generation-deterministic", "--suppress-health-check", "all", "--warnings", "off",
            "--max-redirects", "0", "--request-timeout", "20", "--report", "ndjson", "--report-ndjson-path", report, *options,
        ],
        cwd=home, env=clean_environment(), capture_output=True, text=True, timeout=240, check=False,
    )
    well = set()
    for line in report.read_text().splitlines() if report.exists() else []:
        recorder = json.loads(line).get("ScenarioFinished", {}).get("recorder", {})
        asked = recorder.get("interactions", {}).values()
        if any(200 <= one["response"]["status_code"] < 400 and one["request"]["method"] != "OPTIONS" for one in asked if one.get("response")):
            well.add(recorder["label"])
    return done.returncode, done.stdout + done.stderr, well


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("who", "expected"), [("administrator", USER | ADMINISTRATOR), ("user", USER), ("nobody", NOBODY)])
def test_the_server_answers_as_its_document_says_whatever_schemathesis_sends(who, expected, tmp_path):
    with Doorward("dev", "--listen", "127.0.0.1:0", home=tmp_path / "server") as server:
        token = {"administrator": lambda: server.admin_key, "user": lambda: person(server.url).tokens.access, "nobody": lambda: None}[who]()
        document, reached = f"{server.url}/v1/openapi.json", Client(server.url, token)
        shown = ["--header", f"Authorization: Bearer {token}"] if token else []
        if token:
            # So that ids that it finds in lists lead to something.
            thread = reached.post("/v1/threads", json={"name": "first"}).json()["id"]
            assert reached.post(f"/v1/threads/{thread}/runs", json={"messages": [{"content": "hello"}]}).status_code == 200
        if who == "nobody":
            shown += [f"--include-tag={name}" for name in TAGS_OF_NOBODY]
        if who == "user":
            shown += [f"--exclude-tag={name}" for name in TAGS_OF_THE_ADMINISTRATOR]
        code, said, well = ask(document, tmp_path, *shown, *(f"--exclude-operation-id={name}" for name in ENDING))
        assert code == 0, said
        assert expected <= well, f"never answered well: {sorted(expected - well)}\n{said}"
        if token is None:
            return
        assert reached.get("/v1/me").status_code == 200, "what it came with is as good as before"
        code, said, _ = ask(document, tmp_path, *shown, *(f"--include-operation-id={name}" for name in ENDING))
        assert code == 0, said


@pytest.mark.parametrize("wrong", ["an answer without a member", "a code that is not listed"])
def test_a_document_that_says_otherwise_is_found_out(server, document, wrong, tmp_path):
    """What the test above holds, and would notice."""
    changed = json.loads(json.dumps(document))
    if wrong == "an answer without a member":
        changed["components"]["schemas"]["User"]["required"].append("no_such_member")
    else:
        changed["components"]["schemas"]["Problem"]["properties"]["code"] = {"const": "no_such_code"}
    (tmp_path / "changed.json").write_text(json.dumps(changed))
    shown = ["--header", f"Authorization: Bearer {person(server.url).tokens.access}"] if wrong == "an answer without a member" else []
    code, said, _ = ask("changed.json", tmp_path, "--url", server.url, *shown, "--include-operation-id=readOwnAccount")
    assert code == 1 and "no_such" in said, said


def test_the_page_is_read_in_a_browser_in_any_width_and_its_links_open_what_they_name(server, browser):
    page = f"{server.url}/v1/docs"
    for width in (1280, 360):
        browser.set_window_size(width, 900)
        browser.get(page)
        assert browser.execute_script("return document.documentElement.scrollWidth <= document.documentElement.clientWidth"), width
    assert browser.title == "Doorward API"
    browser.get(f"{page}#op-logIn")
    opened = "return document.getElementById('op-logIn').parentElement.open"
    assert browser.execute_script(opened), "what is linked to is open"
    assert browser.execute_script("return getComputedStyle(document.querySelector('nav ul')).listStyleType") == "none", "its style counts"
    assert [line for line in browser.get_log("browser") if line["level"] == "SEVERE" and "favicon" not in line["message"]] == []


def test_axe_finds_nothing_wrong_with_the_page(server, browser):
    let_scripts_of_the_test_run(browser)
    browser.get(f"{server.url}/v1/docs")
    browser.execute_script("document.querySelectorAll('details').forEach((one) => { one.open = true })")
    browser.execute_script((node_modules("axe-core") / "axe-core" / "axe.min.js").read_text())
    found = browser.execute_async_script("const done = arguments[0]; axe.run().then((it) => done(it.violations), (error) => done([String(error)]));")
    assert found == [], json.dumps(found, indent=1)[:4000]


def test_the_command_lines_of_the_page_are_what_a_shell_takes(server, document):
    """That of each operation with a body is run by a shell; what it needs is there, so no member is refused."""
    import html
    import re

    text = requests.get(f"{server.url}/v1/docs", timeout=20).text
    lines = [html.unescape(line) for line in re.findall(r"<h3>Command line</h3>\n<pre><code>(.*?)</code></pre>", text, re.S)]
    assert len(lines) == sum(len(item) for item in document["paths"].values())
    somebody = person(server.url)
    environment = {"DOORWARD": server.url, "TOKEN": somebody.tokens.access, "ID": "no-such-id", "MESSAGE": "m", "RUN": "r", "IDENTITY": "i", "PROVIDER": "p", "REQUEST_PATH": "x"}
    for line in (one for one in lines if "-d '" in one):
        asked = line.replace("curl ", "curl -s -o /dev/null -w '%{http_code}' ", 1)
        done = subprocess.run(["sh", "-c", asked], env=clean_environment(**environment), capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0 and done.stdout not in ("415", "500"), (line, done.stdout, done.stderr)
