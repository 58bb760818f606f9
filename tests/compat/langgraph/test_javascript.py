"""Handlers in JavaScript over HTTP: those that misbehave, those that change, and what a project's file gives them. L-004's flow is in test_tutorial.py."""

import json
import os
import signal

import pytest
import requests
from agentserver import Project, doorward, said, user
from test_bad_input import misbehaves_in_authenticate, misbehaves_in_authorize

from harness.doorward import Refused
from harness.programs import gone, wait_until

HEAD = 'import { Auth, HTTPException } from "@langchain/langgraph-sdk/auth";\n'

#: What a handler does when the header `x-do` or `x-do-first` tells it to. The names are those of test_bad_input.py, which says what each may come to.
MISBEHAVING = HEAD + r"""
import { writeSync } from "node:fs";

const never = () => new Promise(() => {});
const grows = (make) => { const kept = []; for (;;) kept.push(make(kept.length)); };

const WORDS = {
  sleep: never,
  spin: () => { for (;;); },
  exit: () => process.exit(0),
  kill: () => process.kill(process.pid, "SIGKILL"),
  abort: () => process.abort(),
  memory: () => grows((n) => new Array(100_000).fill(n)),
  buffers: () => grows(() => Buffer.alloc(32 << 20, 1)),
  recursion: () => WORDS.recursion() + 1,
  print: () => { for (let n = 0; n < 40; n += 1) console.log("x".repeat(100_000)); return true; },
  garbage: () => { for (const to of [1, 2]) writeSync(to, Buffer.from("\0\x01{]".repeat(1000))); return 7; },
  answer: () => { writeSync(1, '{"id": 1, "answer": {"user": {"identity": "root"}, "permissions": []}}\n'); throw new Error("secret-word"); },
  timer: () => { setTimeout(() => { throw new Error("secret-word"); }, 1); return never(); },
  rejection: () => { Promise.reject(new Error("secret-word")); return never(); },
  throw: () => { throw new Error("secret-word"); },
  bigint: () => ({ identity: "ann", n: 1n }),
  cyclic: () => { const user = { identity: "ann" }; user.self = user; return user; },
  symbol: () => Symbol("ann"),
  "symbol identity": () => ({ identity: Symbol("ann"), owner: Symbol("ann") }),
  function: () => () => "ann",
  undefined: () => ({ identity: undefined, owner: undefined }),
  huge: () => ({ identity: "ann", more: "x".repeat(20_000_000) }),
  surrogate: () => ({ identity: "\ud800", owner: "\ud800" }),
  nul: () => ({ identity: "a\0b" }),
  "status 200": () => { throw new HTTPException(200, { message: "come in" }); },
  "status text": () => { throw new HTTPException("401"); },
  "headers broken": () => { throw new HTTPException(401, { headers: { "x-a": "1", "content-length": "1", "x-b": "1\r\nset-cookie: c=1" } }); },
  "then that throws": () => ({ then() { throw new Error("secret-word"); } }),
};

export const auth = new Auth()
  .authenticate(async (request) => {
    const word = request.headers.get("x-do-first");
    if (word) return WORDS[word]();
    const token = (request.headers.get("authorization") ?? "").replace("Bearer ", "");
    if (!token.startsWith("user-")) throw new HTTPException(401, { message: "Invalid token" });
    return { identity: token, do: request.headers.get("x-do") };
  })
  .on("*", async ({ value, user }) => {
    if (user.do) return WORDS[user.do]();
    (value.metadata ??= {}).owner = user.identity;
    return { owner: user.identity };
  });
"""

KEEPS = [
    "recursion", "garbage", "answer", "timer", "rejection", "throw", "bigint", "cyclic", "symbol", "symbol identity", "function", "undefined", "huge", "surrogate", "nul",
    "status 200", "status text", "headers broken", "then that throws",
]  # fmt: skip
LOSES = ["sleep", "spin", "exit", "kill", "abort", "memory", "buffers"]
LIMITS = "timeout_ms = 500\nmemory_mb = 256\n"


def javascript(home, text: str, **more) -> Project:
    return Project(home / "app").use("./auth.mjs:auth", **more).write("auth.mjs", text)


@pytest.fixture(scope="module")
def misbehaving(tmp_path_factory):
    home = tmp_path_factory.mktemp("misbehaving")
    with doorward(home, javascript(home, MISBEHAVING), more=LIMITS) as server:
        yield server


@pytest.mark.parametrize("word", KEEPS)
def test_handlers_that_answer_nonsense_let_nobody_in_and_give_nothing_away(misbehaving, word):
    misbehaves_in_authenticate(misbehaving, word)
    misbehaves_in_authorize(misbehaving, word)
    assert "the process is gone" not in misbehaving.log and "started again" not in misbehaving.log


def test_megabytes_of_output_are_read_and_the_log_has_a_bound(misbehaving):
    misbehaves_in_authorize(misbehaving, "print")
    assert len(misbehaving.log) < 2_000_000


@pytest.mark.parametrize("word", LOSES)
def test_handlers_that_break_their_process_let_nobody_in_and_the_next_request_works(serve, tmp_path, word):
    server = serve(javascript(tmp_path, MISBEHAVING), more=LIMITS)
    misbehaves_in_authenticate(server, word)
    if word == "buffers":
        wait_until(lambda: "more than 256 MB of memory" in server.log, "that it is said why", limit_s=8)


def test_a_process_whose_loop_is_blocked_goes_with_its_server_and_takes_along_what_it_started(serve, tmp_path):
    server = serve(javascript(tmp_path, HEAD + """
        import { spawn } from "node:child_process";
        import { writeFileSync } from "node:fs";
        export const auth = new Auth().authenticate(() => {
          const child = spawn("/bin/sleep", ["300"]);
          writeFileSync("pids.part", `${process.pid} ${child.pid}`);
          renameSync("pids.part", "pids");
          for (;;);
        });
    """.replace("writeFileSync }", "renameSync, writeFileSync }")))
    with pytest.raises(requests.exceptions.Timeout):
        requests.post(f"{server.mount('langgraph')}/threads", json={}, timeout=1)
    pids = (tmp_path / "app" / "pids").read_text().split()
    os.kill(server.ready["pid"], signal.SIGKILL)
    wait_until(lambda: all(gone(int(pid)) for pid in pids), "the end of both", limit_s=8)


def test_a_changed_file_is_loaded_anew_in_dev_and_a_broken_one_is_not(serve, tmp_path):
    text = HEAD + 'import { name } from "./name.mjs";\nexport const auth = new Auth().authenticate(() => name).on("*", ({ value, user }) => { value.metadata = { owner: user.identity }; });\n'
    project = javascript(tmp_path, text).write("name.mjs", 'export const name = "first";\n')
    server = serve(project)

    def owner() -> str:
        return user(server).post("/threads", json={}).json()["metadata"]["owner"]

    assert owner() == "first"
    project.write("name.mjs", 'export const name = "the second";\n')
    wait_until(lambda: owner() == "the second", "the new file")
    project.write("name.mjs", "export const name = ;\n")
    wait_until(lambda: "what was loaded before goes on" in server.log, "the complaint")
    assert owner() == "the second" and "name.mjs:1: SyntaxError" in server.log


def test_the_env_of_the_project_is_all_it_finds(serve, tmp_path):
    names = "JSON.stringify(Object.keys(process.env).filter((name) => !['PATH', 'HOME', 'LANG', 'LC_ALL', 'TMPDIR', 'TZ', 'PWD', 'OLDPWD', 'SHLVL', '_'].includes(name)))"
    project = javascript(tmp_path, HEAD + f"export const auth = new Auth().authenticate(() => {{ throw new HTTPException(401, {{ message: {names} }}); }});\n", env=".env")
    project.write(".env", "ORG=acme\n")
    server = serve(project, SECRET_OF_THE_SERVER="x")
    assert json.loads(said(user(server).post("/threads", json={}))) == ["ORG"]


def test_a_file_that_cannot_be_used_stops_the_start_with_its_line(serve, tmp_path):
    with pytest.raises(Refused) as refused:
        serve(javascript(tmp_path, HEAD + "export const auth = new Auth(\n"))
    assert "auth.mjs:3: SyntaxError" in refused.value.output or "auth.mjs:2: SyntaxError" in refused.value.output, refused.value.output
