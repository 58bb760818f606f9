"""`import doorward` in a handler: what it asks is answered by what is built in, never by itself, however busy its event loop is."""

import concurrent.futures
import json

import httpx
import pytest

from harness.doorward import Doorward
from harness.interpreters import interpreter

ASKING = """
import asyncio
import doorward
from langgraph_sdk import Auth

auth = Auth()


@auth.authenticate
KIND who(authorization: str | None):
    known = doorward.identify(authorization)
    if known is None:
        raise Auth.exceptions.HTTPException(status_code=401, detail="nobody of Doorward's")
    return {"identity": known["subject"], "roles": known["roles"], "method": known["method"]}


@auth.on
async def mine(ctx, value):
    value.setdefault("metadata", {}).update(owner=ctx.user.identity, method=ctx.user.method)
    return {"owner": ctx.user.identity}
"""


ASKING_IN_JAVASCRIPT = """
import { identify, once, Unavailable } from "doorward";
import { Auth, HTTPException } from "@langchain/langgraph-sdk/auth";

const who = async (request) => {
  const key = request.headers.get("x-once");
  if (key !== null && !(await once(key, 60))) throw new HTTPException(403, { message: "used" });
  const known = await identify(request.headers.get("authorization"));
  if (known === null) throw new HTTPException(401, { message: "nobody of Doorward's" });
  return { identity: known.subject, roles: known.roles, method: known.method };
};

export const auth = new Auth()
  .authenticate(FORM)
  .on("*", ({ value, user }) => {
    Object.assign((value.metadata ??= {}), { owner: user.identity, method: user.method });
    return { owner: user.identity };
  });
"""


@pytest.fixture(params=["bare", "ours", "javascript"], ids=["standing-in", "sdk-0.4.14", "javascript"])
def language(request):
    return request.param


@pytest.fixture
def asking(language):
    """The file, in its language; `form` is how its function is declared."""
    forms = {"async def": "who", "def": "(request) => Promise.resolve(request).then(who)"}
    return lambda form="async def": ASKING_IN_JAVASCRIPT.replace("FORM", forms[form]) if language == "javascript" else ASKING.replace("KIND", form)


@pytest.fixture
def serve(language, tmp_path):
    running = []

    def start(text: str) -> Doorward:
        home = tmp_path / "graph"
        home.mkdir()
        file = "auth.mjs" if language == "javascript" else "auth.py"
        (home / file).write_text(text)
        settings = home / "langgraph.json"
        settings.write_text(json.dumps({"auth": {"path": f"./{file}:auth"}}))
        config = tmp_path / "doorward.toml"
        config.write_text(f'[handlers]\npython = "{interpreter("ours" if language == "javascript" else language)}"\n')
        config.chmod(0o600)
        arguments = ["--listen", "127.0.0.1:0", "--config", config, "--langgraph", settings]
        running.append(Doorward("dev", *arguments, home=tmp_path / "doorward"))
        return running[-1]

    yield start
    for server in running:
        server.program.stop()


def signed_up(server: Doorward, name: str) -> tuple[str, str]:
    person = {"username": name, "password": "correct horse battery 1"}
    user = httpx.post(f"{server.url}/v1/users", json=person).json()["id"]
    token = httpx.post(f"{server.url}/v1/token", json={**person, "grant_type": "password"}).json()["access_token"]
    return user, token


@pytest.mark.parametrize("form", ["async def", "def"])
def test_a_handler_asks_doorward_who_a_token_is(serve, asking, form):
    server = serve(asking(form))
    user, token = signed_up(server, "ada")
    threads = f"{server.mount('langgraph')}/threads"
    # Many at once: each waits for an answer while others wait for the same process.
    with httpx.Client(headers={"Authorization": f"Bearer {token}"}) as client:
        for _ in range(20):
            made = client.post(threads, json={})
            assert made.status_code == 200, made.text
    assert made.json()["metadata"] == {"owner": user, "method": "own_token"}
    for header in ({}, {"Authorization": "Bearer junk"}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer"}):
        refused = httpx.post(threads, json={}, headers=header)
        assert (refused.status_code, refused.json()) == (401, {"detail": "nobody of Doorward's"}), header


def test_a_token_that_was_logged_out_is_nobodys_to_a_handler_at_once(serve, asking):
    server = serve(asking())
    _, token = signed_up(server, "ada")
    bearer = {"Authorization": f"Bearer {token}"}
    threads = f"{server.mount('langgraph')}/threads"
    assert httpx.post(threads, json={}, headers=bearer).status_code == 200
    assert httpx.post(f"{server.url}/v1/logout", json={}, headers=bearer).status_code == 204
    assert httpx.post(threads, json={}, headers=bearer).status_code == 401


def test_what_is_asked_while_the_file_is_loaded_has_no_answer_yet(serve, asking, language):
    if language == "javascript":
        early = 'const told = await identify("Bearer x").catch((why) => why instanceof Unavailable && why.message);\n'
        server = serve(asking().replace("export const", early + "export const").replace('"nobody of Doorward\'s"', "told"))
    else:
        server = serve("import doorward\ntry:\n    doorward.identify('Bearer x')\nexcept doorward.Unavailable as why:\n    told = str(why)\n" + ASKING.replace(
            'detail="nobody of Doorward\'s"', "detail=told").replace("KIND", "async def"))
    refused = httpx.post(f"{server.mount('langgraph')}/threads", json={})
    assert refused.json() == {"detail": "Doorward is not ready yet; ask within a call"}


@pytest.mark.parametrize("language", ["javascript"], indirect=True)
def test_many_questions_at_once_are_answered_each_and_a_key_is_good_once(serve, asking):
    server = serve(asking())
    user, token = signed_up(server, "ada")
    threads, bearer = f"{server.mount('langgraph')}/threads", {"Authorization": f"Bearer {token}"}
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: httpx.post(threads, json={}, headers={**bearer, "X-Once": f"key {n % 10}"}, timeout=30), range(40)))
    assert sorted(answer.status_code for answer in answers) == [200] * 10 + [403] * 30
    assert {answer.json()["metadata"]["owner"] for answer in answers if answer.status_code == 200} == {user}
    assert {answer.json()["detail"] for answer in answers if answer.status_code == 403} == {"used"}
