"""LangGraph's custom auth files in JavaScript and TypeScript (@langchain/langgraph-sdk/auth): what is theirs alone, asked by frames.

Real behaviour is that of @langchain/langgraph-api 1.5.1 as observed; what holds in every language is in test_langgraph_rules.py.
"""

import json
import subprocess

import pytest
from languages import JavaScript, Loads, install, may, who

from harness.doorward import run_command
from harness.programs import newest_node, node_binary, node_modules

HEAD = 'import { Auth, HTTPException } from "@langchain/langgraph-sdk/auth";\nexport const auth = new Auth();\n'
BARE, SDK = JavaScript("bare"), JavaScript("sdk")
NEWEST = JavaScript("sdk", newest_node())


@pytest.fixture
def load(tmp_path):
    """Loads a file; the text is what follows `new Auth()`."""
    loads = Loads(tmp_path)
    yield lambda text, language=BARE, head=HEAD, **more: loads.file(language, head + text, **more)
    loads.stop()


def lets_in(body: str) -> str:
    return f"auth.authenticate(async (request) => {{ {body} }});\n"


def rules(body: str) -> str:
    return lets_in('return "ann";') + f'auth.on("*", async ({{ value, user }}) => {{ {body} }});\n'


@pytest.mark.parametrize("language", [BARE, SDK], ids=["standing-in", "sdk-2.0.0"])
def test_the_package_is_the_users_where_it_is_installed(load, language):
    process = load(lets_in("return import.meta.resolve('@langchain/langgraph-sdk/auth');") if language is SDK else lets_in("return new HTTPException(404).message;"), language)
    assert who(process)["answer"]["user"]["identity"].endswith("langgraph-sdk/dist/auth/index.js" if language is SDK else "Not Found")
    assert process.first["node"].count(".") == 2 and process.first["by_authorization"] is False


@pytest.mark.parametrize("language", [BARE, SDK], ids=["standing-in", "sdk-2.0.0"])
def test_a_request_is_the_standards_and_has_no_body(load, language):
    process = load(
        "auth.authenticate(async (request) => { const url = new URL(request.url); if (!(request instanceof Request) || request.body) throw new Error();\n"
        "  return JSON.stringify([request.method, url.host, url.pathname, url.searchParams.getAll('a'), request.headers.get('X-Org'), await request.text()]); });\n",
        language,
    )
    headers = [["host", "agents.example:2024"], ["x-org", "acme"], ["x-org", "other"]]
    told = json.loads(who(process, method="POST", path="/threads/x", headers=headers)["answer"]["user"]["identity"])
    assert told == ["POST", "agents.example:2024", "/threads/x", ["1", "2"], "acme, other", ""]


def test_nothing_a_client_writes_changes_what_the_url_says_of_the_path(load):
    process = load(lets_in("return JSON.stringify([new URL(request.url).host, new URL(request.url).pathname, request.method]);"))

    def told(path="/threads", method="GET", *hosts):
        return json.loads(who(process, path=path, method=method, headers=[["host", host] for host in hosts])["answer"]["user"]["identity"])

    for host in ("a/public?", "u:p@a", "a#", "a b", "", "a:99999", "[::1", "a\\b", "//evil"):
        assert told("/threads", "GET", host) == ["localhost", "/threads", "GET"], host
    assert told("/threads", "GET", "[::1]:2024")[0] == "[::1]:2024"
    assert told("/a?b#c")[1] == "/a%3Fb%23c"
    assert told("//evil.example/x")[:2] == ["localhost", "//evil.example/x"]
    for method in ("TRACE", "CONNECT", "PURGE"):
        assert told(method=method)[2] == method
    assert "answer" in who(process, headers=[["x-odd", "\u20ac"]])


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        ("new HTTPException(418)", {"refuse": {"status": 418, "detail": "I'm a Teapot", "headers": []}}),
        ("{ status: 402, headers: { 'x-plan': 'pro' }, message: 'duck' }", {"refuse": {"status": 402, "detail": "duck", "headers": [["x-plan", "pro"]]}}),
        ("new HTTPException(401, { message: 'half \\ud800', headers: [['set-cookie', 'a=1'], ['set-cookie', 'b=2']] })",
         {"refuse": {"status": 401, "detail": "half \ufffd", "headers": [["set-cookie", "a=1"], ["set-cookie", "b=2"]]}}),
        ("new HTTPException(401, { headers: { 'bad name': 'x' } })", {"refuse": {"status": 401, "detail": "Unauthorized", "headers": []}}),
        ("'secret-word'", {"fault": "string"}),
        ("null", {"fault": "object"}),
        ("Object.create(null, { message: { get() { throw 1; } }, stack: { get() { throw 1; } } })", {"fault": "object"}),
    ],
)
def test_what_is_thrown_is_a_refusal_if_it_has_a_status_and_headers(load, raised, said):
    process = load(lets_in(f"throw {raised};") + f'auth.on("*", () => {{ throw {raised}; }});\n')
    assert who(process) == said and may(process, "threads", "read", {}) == said


def test_a_replaced_metadata_counts_as_on_the_platform(load):
    process = load(rules("value.metadata = { ...value.metadata, owner: user.identity };"))
    assert may(process, "threads", "create", {"metadata": {"a": 1}})["answer"]["value"] == {"metadata": {"a": 1, "owner": "ann"}}


@pytest.mark.parametrize(
    "filters",
    ["{ owner: undefined }", "{ owner: user.no_such_claim }", "{ owner: NaN }", "{ owner: Symbol('x') }", "{ owner: () => 1 }", "{ owner: 1n }", "{ at: new Date() }",
     "new Map([['owner', 'x']])", "new (class Filter { owner = 'x' })()", "{ $or: [{ owner: undefined }, { a: 1 }] }", "{ a: [,] }",
     "(() => { const a = {}; a.a = a; return a; })()", "1n", "Symbol('x')", "() => ({})", "[1]", "'1'"],
)  # fmt: skip
def test_a_filter_that_json_would_thin_out_lets_nobody_through(load, filters):
    refused = may(load(rules(f"return {filters};")), "threads", "read", {})["refuse"]
    assert refused["status"] == 500 and refused["detail"].startswith("Auth handler returned invalid result.")


ODD = {
    "a bigint": "{ identity: 'ann', n: 1n }",
    "a circle": "(() => { const user = { identity: 'ann' }; user.me = user; return user; })()",
    "a depth": "(() => { let deep = []; for (let n = 0; n < 100_000; n += 1) deep = [deep]; return { identity: 'ann', deep }; })()",
    "a toJSON that throws": "{ identity: 'ann', toJSON: undefined, x: { toJSON() { throw new Error('secret-word'); } } }",
    "too large": "{ identity: 'ann', x: 'x'.repeat(17 * 1048576) }",
}


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """One process whose users are what a header names."""
    loads = Loads(tmp_path_factory.mktemp("odd"))
    cases = "\n".join(f"{json.dumps(name)}: () => ({text})," for name, text in ODD.items())
    yield loads.file(BARE, HEAD + f"const ODD = {{ {cases} }};\n" + lets_in("const odd = request.headers.get('x-odd'); return odd ? ODD[odd]() : String(process.pid);"))
    loads.stop()


@pytest.mark.parametrize("name", ODD)
def test_an_answer_that_is_no_json_is_the_trouble_of_its_own_call(odd, name):
    before = who(odd)["answer"]["user"]["identity"]
    assert set(who(odd, headers=[["x-odd", name]])) == {"invalid"}
    assert who(odd)["answer"]["user"]["identity"] == before


@pytest.mark.parametrize("returned", ["Symbol('ann')", "{ identity: Symbol('ann') }", "{ identity: 7n }", "new Map([['identity', 'ann']])", "Promise.resolve(() => 'ann')", "''"])
def test_what_is_no_text_is_nobody(load, returned):
    assert who(load(lets_in(f"return {returned};")))["refuse"]["status"] == 500


STRAY = """
const later = (act) => new Promise(() => setTimeout(act, 5));
auth.authenticate(async (request) => {
  const how = request.headers.get("x-how");
  if (how === "timer") return later(() => { throw new Error("secret-word"); });
  if (how === "promise") { Promise.reject(new Error("secret-word")); return later(() => {}); }
  if (how === "nested") return later(async () => { await 1; null.nothing; });
  if (how === "nothing") return later(() => Promise.reject(undefined));
  return String(process.pid);
});
"""


def test_what_is_thrown_where_nobody_waits_fails_its_own_call_and_no_other(load):
    process = load(STRAY)
    before = who(process)
    for how, kind in (("timer", "Error at auth.mjs:7"), ("promise", "Error at auth.mjs:8"), ("nested", "TypeError at auth.mjs:9"), ("nothing", "undefined")):
        assert who(process, headers=[["x-how", how]]) == {"fault": kind}
    assert who(process) == before and "secret-word" in process.output()


def test_a_member_named_proto_is_a_member_and_changes_no_prototype(load):
    process = load(rules("value.metadata.seen = [{}.admin ?? 'clean', Object.keys(value.metadata).length]; return { owner: value.metadata.owner ?? 'nobody' };"))
    given = '{"metadata":{"__proto__":{"admin":true,"owner":"eve"},"constructor":{"prototype":{"admin":true}}}}'
    body = f'{{"id":9,"call":"authorize","with":{{"user":{{"identity":"ann"}},"permissions":[],"resource":"threads","action":"create","value":{given}}}}}'.encode()
    process.socket.sendall(len(body).to_bytes(4, "big") + body)
    answer = process.receive()["answer"]
    assert answer["filter"] == {"owner": "nobody"} and answer["value"]["metadata"]["seen"] == ["clean", 2]
    assert answer["value"]["metadata"]["__proto__"] == {"admin": True, "owner": "eve"}


def test_prototypes_that_user_code_has_spoilt_open_nothing(load):
    spoilt = "Object.assign(Object.prototype, { identity: 'admin', permissions: ['*'], cancel: 1, ping: 1, answered: 1, unavailable: 'x', filter: {} });\n"
    process = load(spoilt + lets_in("return request.headers.get('x-user') ?? {};") + 'auth.on("threads", ({ value }) => false);\n')
    assert who(process)["refuse"]["status"] == 500
    assert who(process, headers=[["x-user", "bob"]])["answer"]["user"]["identity"] == "bob"
    assert may(process, "threads", "read", {})["refuse"]["status"] == 403
    assert may(process, "crons", "read", {})["answer"] == {"covered": False}


def test_standard_input_is_empty_and_what_is_started_has_no_socket_of_ours(load):
    process = load(
        "import { execFileSync } from 'node:child_process';\nimport { readFileSync, readlinkSync } from 'node:fs';\n"
        + lets_in(
            "const seen = execFileSync('/bin/sh', ['-c', 'cat; ls -l /proc/$$/fd'], { stdio: ['inherit', 'pipe', 'inherit'], encoding: 'utf8' });\n"
            "return JSON.stringify([readFileSync(0, 'utf8'), /socket:/.test(seen.replace(/ 1 -> .*/, '')), readlinkSync('/proc/self/fd/0')]);"
        )
    )
    assert json.loads(who(process)["answer"]["user"]["identity"]) == ["", False, "/dev/null"]


FORMS = {
    "require": ("auth.cjs:auth", 'const { Auth } = require("@langchain/langgraph-sdk/auth");\nexports.auth = new Auth().authenticate(() => "ann");\n', {}),
    "module.exports": ("auth.js:auth", 'const { Auth } = require("@langchain/langgraph-sdk/auth");\nconst made = { auth: new Auth() };\nmade.auth.authenticate(() => "ann");\nmodule.exports = made;\n', {}),
    "js as a module": ("auth.js:auth", HEAD + lets_in('return "ann";'), {"package.json": '{"type": "module"}'}),
    "the default": ("auth.mjs", 'import { Auth } from "@langchain/langgraph-sdk/auth";\nexport default new Auth().authenticate(() => "ann");\n', {}),
    "several events": ("auth.mjs:auth", HEAD + lets_in('return "ann";') + 'auth.on(["threads", "store:put"], () => true);\n', {}),
    "with its source map": ("auth.mjs:auth", HEAD + 'const { name } = await import("./who.mjs");\n' + lets_in("return name;"), {"who.mjs": 'export const name = "ann";\n'}),
}  # fmt: skip


@pytest.mark.parametrize("language", [BARE, SDK], ids=["standing-in", "sdk-2.0.0"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_module_is_taken(load, language, form):
    target, text, beside = FORMS[form]
    process = load(text, language, head="", target=f"./{target}", beside=beside)
    assert who(process)["answer"]["user"]["identity"] == "ann", process.first
    files = {*(name for name in beside if name.endswith("js")), target.split(":")[0]}
    assert {file.rpartition("/")[2] for file in process.first["files"]} == files


TYPED = """import { Auth, HTTPException } from "@langchain/langgraph-sdk/auth";
import { type Known, isKnown } from "./known.js";

enum Scheme { Bearer = "Bearer" }
interface Caller { identity: string; permissions: string[] }

export const auth = new Auth()
  .authenticate(async (request: Request): Promise<Caller> => {
    const [scheme, token] = (request.headers.get("authorization") ?? "").split(" ");
    if (scheme !== Scheme.Bearer || !isKnown(token)) throw new HTTPException(401, { message: "Invalid token" });
    return { identity: token satisfies Known, permissions: [] };
  })
  .on("threads", ({ user }) => ({ owner: user.identity }));
"""
KNOWN = {"known.ts": 'export type Known = "t";\nexport const isKnown = (token: string): token is Known => token === "t";\n', "package.json": '{"type": "module"}'}


class TypeScript(JavaScript):
    """With these packages in the project's own `node_modules`."""

    def __init__(self, *packages: str) -> None:
        super().__init__("sdk")
        self.packages = packages

    def place(self, directory):
        install(directory, "@langchain/langgraph-sdk", *self.packages)


@pytest.mark.parametrize("tool", ["tsx", "esbuild", "typescript"])
def test_typescript_runs_as_it_is_by_what_the_project_has(load, tool):
    process = load(TYPED, TypeScript(tool), head="", target="./auth.ts:auth", beside=KNOWN)
    assert process.first.get("registers", process.first)[:2] == ["authenticate(request)", "on threads.*"]
    assert {file.rpartition("/")[2] for file in process.first["files"]} == {"auth.ts", "known.ts"}
    assert who(process)["answer"]["user"]["identity"] == "t"
    assert who(process, headers=[])["refuse"] == {"status": 401, "detail": "Invalid token", "headers": []}
    broken = load(TYPED + "\nlet = ;\n", TypeScript(tool), head="", target="./auth.ts:auth", beside=KNOWN).first["broken"]
    assert broken["what"].startswith("SyntaxError") and broken["where"] == "auth.ts:15"


def test_typescript_runs_as_its_own_compiler_makes_it(tmp_path):
    install(tmp_path, "@langchain/langgraph-sdk", "typescript")
    for name, text in {"auth.ts": TYPED, **KNOWN}.items():
        (tmp_path / name).write_text(text)
    compiler = [node_binary(), node_modules("typescript") / "typescript" / "bin" / "tsc", "--module", "nodenext", "--target", "es2022", "--lib", "es2022,dom,dom.iterable", "--skipLibCheck", "--sourceMap", "auth.ts"]
    made = subprocess.run(compiler, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    (tmp_path / "langgraph.json").write_text(json.dumps({"auth": {"path": "./auth.js:auth"}}))
    done = run_command("handlers", "check", tmp_path / "langgraph.json", "--json", cwd=tmp_path)
    said = json.loads(done.stdout)
    assert said["registers"][:2] == ["authenticate(request)", "on threads.*"] and said["files"] == [str(tmp_path / "auth.js"), str(tmp_path / "known.js")]


NODE_STRIPS = json.loads(subprocess.run([node_binary(), "-p", "!!process.features.typescript"], capture_output=True, text=True, timeout=60, check=True).stdout)
#: As Node itself takes it: types that can be taken out, and files by their own names.
ERASABLE = TYPED.replace("known.js", "known.ts").replace("enum Scheme { Bearer", "const Scheme = { Bearer").replace('= "Bearer" }', ': "Bearer" }')
#: What each ending of TypeScript may hold; `.cts` is CommonJS and has no imports that are not types.
COMMON = """import type { Known } from "./known.ts";
const { Auth } = require("@langchain/langgraph-sdk/auth");
const who = (token: string): Known => token as Known;
exports.auth = new Auth().authenticate(() => who("t"));
"""
ENDINGS = {".ts": ERASABLE, ".mts": ERASABLE, ".cts": COMMON}


@pytest.mark.parametrize("ending", ENDINGS)
def test_typescript_of_each_ending_is_run_by_node_itself(load, tmp_path, ending):
    process = load(ENDINGS[ending], NEWEST, head="", target=f"./auth{ending}:auth", beside=KNOWN)
    assert who(process)["answer"]["user"]["identity"] == "t", process.first
    assert process.first["node"].startswith("24.")
    broken = load(ENDINGS[ending] + "\nlet = ;\n", NEWEST, head="", target=f"./auth{ending}:auth", beside=KNOWN).first["broken"]
    assert broken["what"].startswith("SyntaxError") and broken["where"].startswith(f"auth{ending}:")


def test_what_node_itself_does_not_take_out_is_named_with_its_line(tmp_path):
    install(tmp_path, "@langchain/langgraph-sdk")
    for name, text in {"auth.ts": TYPED.replace("known.js", "known.ts"), **KNOWN}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "langgraph.json").write_text(json.dumps({"auth": {"path": "./auth.ts:auth"}}))
    done = run_command("handlers", "check", tmp_path / "langgraph.json", "--node", newest_node(), cwd=tmp_path)
    assert done.returncode == 1 and "enum" in done.stderr and "auth.ts" in done.stderr, done.stderr
    (tmp_path / "auth.ts").write_text(ERASABLE)
    done = run_command("handlers", "check", tmp_path / "langgraph.json", "--node", newest_node(), "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["files"] == [str(tmp_path / "auth.ts"), str(tmp_path / "known.ts")], done.stderr


@pytest.mark.parametrize(("ending", "tool"), [(".mts", "tsx"), (".mts", "esbuild"), (".mts", "typescript"), (".cts", "tsx")])
def test_the_other_endings_of_typescript_run_by_what_the_project_has(load, ending, tool):
    process = load(ENDINGS[ending], TypeScript(tool), head="", target=f"./auth{ending}:auth", beside=KNOWN)
    assert who(process)["answer"]["user"]["identity"] == "t", process.first


@pytest.mark.parametrize(("ending", "tools"), [(".ts", ()), (".mts", ()), (".cts", ()), (".cts", ("esbuild", "typescript"))])
def test_typescript_without_anything_that_runs_it_says_what_to_install_or_is_run_by_node_itself(load, ending, tools):
    process = load(ENDINGS[ending], TypeScript(*tools), head="", target=f"./auth{ending}:auth", beside=KNOWN)
    if NODE_STRIPS:
        assert who(process)["answer"]["user"]["identity"] == "t"
    else:
        assert "npm install --save-dev tsx" in process.first["broken"]["what"]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("auth.mjs", "\nlet a = ;\n", "auth.mjs:2: SyntaxError: Unexpected token ';'"),
        ("auth.cjs", "\nlet a = ;\n", "auth.cjs:2: SyntaxError: Unexpected token ';'"),
        ("auth.mjs", '\nimport x from "not-there";\n', "auth.mjs:2: it imports not-there, which is not installed"),
        ("auth.mjs", '\n\nimport x from "./not-there.mjs";\n', "auth.mjs:3: it imports ./not-there.mjs, which is not there"),
        ("auth.mjs", 'import { nothing } from "node:fs";\n', "auth.mjs:1: SyntaxError: The requested module 'node:fs' does not provide an export named 'nothing'"),
        ("auth.mjs", "const deep = () => {\n  throw new RangeError('too deep');\n};\ndeep();\n", "auth.mjs:2: it fails while it is loaded: RangeError: too deep"),
        ("auth.mjs", "export const other = 1;\n", "exports no auth; it exports other"),
        ("auth.mjs", HEAD.replace("new Auth()", "new Date()"), "is date, not an Auth of @langchain/langgraph-sdk/auth"),
        ("auth.mjs", HEAD + lets_in("return 1;") + '\nauth.on("threads:creat", () => true);\n', 'auth.mjs:5: there is no event "threads:creat"'),
        ("auth.mjs", HEAD + lets_in("return 1;") + 'auth.on("threads", true);\n', 'on("threads") is given boolean'),
        ("auth.mjs", HEAD + "auth.authenticate('ann');\n", "authenticate is given string"),
        ("auth.mjs", "process.exit(7);\n", "exit code 7"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_by_the_check_with_its_line(tmp_path, name, text, says):
    (tmp_path / name).write_text(text)
    (tmp_path / "langgraph.json").write_text(json.dumps({"auth": {"path": f"./{name}:auth"}}))
    done = run_command("handlers", "check", tmp_path / "langgraph.json", cwd=tmp_path)
    assert done.returncode == 1 and says in done.stderr, done.stderr


def test_a_node_that_is_not_there_is_named(tmp_path):
    (tmp_path / "auth.mjs").write_text(HEAD + lets_in('return "ann";'))
    (tmp_path / "langgraph.json").write_text(json.dumps({"auth": {"path": "./auth.mjs:auth"}}))
    done = run_command("handlers", "check", tmp_path / "langgraph.json", "--node", "no-such-node", cwd=tmp_path)
    assert done.returncode == 1 and "there is no no-such-node" in done.stderr and "[handlers] node" in done.stderr
