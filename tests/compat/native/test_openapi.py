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
ENDING = {
    "administrator": ["revokeApiKey", "revokeTokens", "deleteOwnAccount", "deleteUser", "changeUser", "endSessions", "endSession", "logOut", "endBrowserSession"],
    "user": ["revokeTokens", "surrenderToken", "deleteOwnAccount", "endSessions", "endSession", "logOut", "endBrowserSession", "revokeApiKey"],
}


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


def ask(url: str, credential: str, home, *options: str) -> None:
    """One run of schemathesis: the same requests each time, and nothing kept."""
    done = subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", "--no-color", "run", f"{url}/v1/openapi.json",
            "--header", f"Authorization: Bearer {credential}", "--generation-with-security-parameters", "false",
            "--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "5",
            "--seed", "1", "--generation-deterministic", "--generation-database", "none", "--suppress-health-check", "all", "--warnings", "off",
            "--max-redirects", "0", "--request-timeout", "20", *options,
        ],
        cwd=home, env=clean_environment(), capture_output=True, text=True, timeout=240, check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(300)
@pytest.mark.parametrize("who", ["administrator", "user"])
def test_the_server_answers_as_its_document_says_whatever_schemathesis_sends(who, tmp_path):
    with Doorward("dev", "--listen", "127.0.0.1:0", home=tmp_path / "server") as server:
        credential = server.admin_key if who == "administrator" else person(server.url).tokens.access
        reached = Client(server.url, credential)
        # So that ids that it finds in lists lead to something.
        thread = reached.post("/v1/threads", json={"name": "first"}).json()["id"]
        assert reached.post(f"/v1/threads/{thread}/runs", json={"messages": [{"content": "hello"}]}).status_code == 200
        ending = ENDING[who]
        ask(server.url, credential, tmp_path, *(f"--exclude-operation-id={name}" for name in ending))
        assert reached.get("/v1/me").status_code == 200, "what it came with is as good as before"
        ask(server.url, credential, tmp_path, *(f"--include-operation-id={name}" for name in ending))


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
