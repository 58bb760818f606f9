"""`@auth.authenticate` over HTTP, beside the real server: L-016 to L-018, L-020 to L-024."""

import pytest
from agentserver import TUTORIAL, Project, anyone, case, doorward, said, tables, user

from harness.client import Client

RAISES, RETURNS = tables().RAISES, tables().RETURNS

#: Where the text is ours on purpose: it names what was returned and every shape that is taken, and not only one of them.
OWN_WORDS = {"None", "int", "True", "empty dict", "dict without identity", "list", "one", "three", "object without identity"}
SHAPES = ("a string", "a dict with identity", "an object with .identity", "a tuple of permissions and user")


def answer(server, **what):
    return anyone(server).post("/threads/count", json={}, headers=case(**what), token="user-ann")


@pytest.mark.parametrize("name", RETURNS)
def test_what_authenticate_returns_means_what_the_real_server_takes_it_for(cases, real, name):
    theirs, ours = answer(real, **{"return": name}), answer(cases, **{"return": name})
    assert ours.status_code == theirs.status_code
    if name in OWN_WORDS:
        assert theirs.status_code == 400 and all(shape in said(ours) for shape in SHAPES)
    else:
        assert (theirs.status_code, said(ours)) == (418, said(theirs))


def same_refusal(server, real, name: str) -> None:
    theirs = real.once(f"raise {name}", lambda asked: answer(asked, **{"raise": name}))
    ours = answer(server, **{"raise": name})
    assert (ours.status_code, said(ours)) == (theirs.status_code, said(theirs))
    assert [ours.headers.get(name) for name in ("x-why", "retry-after")] == [theirs.headers.get(name) for name in ("x-why", "retry-after")]
    assert "secret-word" not in ours.text


@pytest.mark.parametrize("name", [name for name in RAISES if not name.startswith("Starlette")])
def test_what_authenticate_raises_has_the_real_servers_status(cases, real, name):
    same_refusal(cases, real, name)


@pytest.mark.parametrize("name", [name for name in RAISES if name.startswith("Starlette")])
def test_starlettes_own_errors_keep_their_status_and_headers(sdk, real, name):
    same_refusal(sdk, real, name)


@pytest.mark.parametrize("name", ["request", "path", "method", "path_params", "query_params", "headers", "authorization", "user", "scopes", "scope", "spare"])
def test_every_parameter_is_what_the_real_server_gives(cases, real, name):
    def ask(server):
        return anyone(server).get("/threads/nowhere?a=1&a=2&b=", headers={**case(echo=name), "X-Probe": "acme"}, token="x")

    theirs, ours = ask(real), ask(cases)
    assert theirs.status_code == 403
    assert (ours.status_code, said(ours)) == (403, said(theirs))


@pytest.mark.parametrize("path", ["/nowhere", "/threads/x/y/z", "/metrics", "/docs", "/deploy", "/internal/truncate", "/store/items", "/"])
def test_the_authenticator_is_asked_before_the_route_is_looked_for(cases, path):
    refused = anyone(cases).get(path)
    assert (refused.status_code, said(refused)) == (401, "Invalid token")
    echoed = anyone(cases).get(path, headers=case(echo="path"))
    assert (echoed.status_code, said(echoed)) == (403, repr(path))


@pytest.mark.parametrize("authorization", [None, "Bearer nobody", "bearer", "Basic dXNlcg==", "Bearer user-a b", "Bearer " + "x" * 4000, "user-a"])
def test_a_missing_or_bad_token_is_the_handlers_401(cases, real, authorization):
    def told(server):
        headers = {} if authorization is None else {"authorization": authorization}
        answer = anyone(server).get("/threads/61b5f00f-b5dc-49cc-89c1-a39090a99b85", headers=headers)
        return answer.status_code, answer.json()

    assert told(cases) == told(real)


@pytest.mark.parametrize("authorization", [None, "Bearer x", "Basic dXNlcg==", "", "Bearer  two spaces"])
def test_the_authorization_parameter_is_the_whole_header(cases, real, authorization):
    def told(server):
        headers = case(echo="authorization") | ({} if authorization is None else {"authorization": authorization.encode("latin-1")})
        return anyone(server).get("/threads/nowhere", headers=headers).text

    assert told(cases) == told(real)


def test_an_authorization_that_is_no_text_is_refused_as_on_the_real_server(cases, real):
    statuses = [anyone(server).get("/threads/x", headers={"authorization": b"tok\xe9n"}).status_code for server in (cases, real)]
    assert statuses == [400, 400]


SLOW = """
    import asyncio

    @auth.on.threads.read
    async def slow(ctx, value):
        await asyncio.sleep(60)
"""


@pytest.fixture(scope="module")
def impatient(tmp_path_factory):
    home = tmp_path_factory.mktemp("impatient")
    with doorward(home, Project(home / "app").use().write("auth.py", TUTORIAL + SLOW), more="timeout_ms = 300") as server:
        yield server


def test_refusals_of_credentials_add_up_to_a_429_and_whoever_is_let_in_is_not_told_to_wait(impatient):
    caller = Client(impatient.mount("langgraph"))
    told = [caller.post("/threads", json={}, token=token) for token in [None] * 12 + ["junk"] * 11]
    assert [answer.status_code for answer in told] == [401] * 22 + [429]
    assert {answer.headers["www-authenticate"] for answer in told[:-1]} == {'Bearer realm="langgraph"'}
    assert said(told[-1]) == "Too many attempts" and int(told[-1].headers["retry-after"]) > 0
    assert caller.post("/threads", json={}, token="user-ann").status_code == 200


def test_a_decision_that_takes_too_long_is_503_in_the_words_of_any_missing_answer(impatient):
    ann = user(impatient)
    thread = ann.post("/threads", json={}).json()["thread_id"]
    late = ann.get(f"/threads/{thread}")
    assert (late.status_code, late.headers["retry-after"], said(late)) == (503, "1", "Who you are cannot be found out now.")
    assert ann.delete(f"/threads/{thread}").status_code == 204
