"""LangGraph's tutorial with both halves on one server, its auth server and its agent server: L-005, L-006, L-008, L-027, L-070."""

import asyncio
import json
import os

import pytest
from langgraph_sdk import get_client
from langgraph_sdk.errors import AuthenticationError, NotFoundError

from harness.client import Client
from harness.doorward import Doorward, Refused
from harness.supabase import Supabase
from harness.tutorial import TEMPLATE, Place, block

#: Writes down each time that the handler goes to the auth server.
COUNTED = """
import os as _os
import httpx as _httpx
_get = _httpx.AsyncClient.get


async def _counted(*positional, **named):
    with open(_os.environ["LOOK_UPS"], "a") as file:
        file.write("x")
    return await _get(*positional, **named)


_httpx.AsyncClient.get = _counted
"""

#: The backend checks for itself, by the secret or by the public keys.
OFFLINE = """
import asyncio
import os

import jwt
from langgraph_sdk import Auth

auth = Auth()


def claims_of(token):
    if secret := os.environ.get("JWT_SECRET"):
        return jwt.decode(token, secret, algorithms=["HS256"], audience="authenticated")
    keys = jwt.PyJWKClient(os.environ["SUPABASE_URL"] + "/auth/v1/.well-known/jwks.json")
    return jwt.decode(token, keys.get_signing_key_from_jwt(token), algorithms=["ES256"], audience="authenticated")


@auth.authenticate
async def get_current_user(authorization: str | None):
    try:
        claims = await asyncio.to_thread(claims_of, (authorization or "").removeprefix("Bearer "))
    except jwt.PyJWTError as error:
        raise Auth.exceptions.HTTPException(status_code=401, detail=type(error).__name__)
    return {"identity": claims["sub"], "email": claims["email"], "is_authenticated": True}
"""


def walk(server: Doorward, mine: str, other: str) -> None:
    """The tutorial's last step: a thread is its owner's, and nobody comes in without a token."""

    def client(token):
        return get_client(url=server.mount("langgraph"), headers={"Authorization": f"Bearer {token}"} if token else {})

    async def go():
        thread = (await client(mine).threads.create())["thread_id"]
        assert (await client(mine).threads.get(thread))["thread_id"] == thread
        said = {"messages": [{"role": "user", "content": "hello"}]}
        assert (await client(mine).runs.wait(thread, "agent", input=said))["messages"][0]["content"] == "hello"
        with pytest.raises(NotFoundError):
            await client(other).threads.get(thread)
        for bad in (None, "junk"):
            with pytest.raises(AuthenticationError):
                await client(bad).threads.get(thread)

    asyncio.run(go())


def tokens_of_two(server: Doorward) -> list[str]:
    supabase = Supabase(server)
    return [supabase.confirmed().session["access_token"] for _ in range(2)]


def test_the_whole_tutorial_runs_on_one_server_from_the_templates_layout(tmp_path):
    with Place(tmp_path).whole() as server:
        walk(server, *tokens_of_two(server))


def test_the_dotenvs_contents_may_be_variables_of_the_server(tmp_path):
    place = Place(tmp_path)
    (place.app / ".env").unlink()
    place.settings({name: value for name, value in TEMPLATE.items() if name != "env"})
    with place.whole(f"pass_environment = {json.dumps(list(place.variables))}", **place.variables) as server:
        walk(server, *tokens_of_two(server))


def test_variables_that_are_not_named_do_not_reach_handlers(tmp_path):
    place = Place(tmp_path)
    place.settings({name: value for name, value in TEMPLATE.items() if name != "env"})
    with pytest.raises(Refused, match="SUPABASE_URL"):
        place.whole(**place.variables)


def test_a_slow_handlers_answers_are_remembered_and_a_log_out_is_seen_at_once(tmp_path):
    place, look_ups = Place(tmp_path), tmp_path / "look-ups"
    place.handler(COUNTED + "\n".join((block("async def get_current_user"), block("async def add_owner"))))
    place.dotenv({**place.variables, "LOOK_UPS": look_ups})
    with place.whole("remember_s = 60") as server:
        person = Supabase(server).confirmed()
        client = Client(server.mount("langgraph"), person.session["access_token"])
        thread = client.post("/threads", json={}).json()["thread_id"]
        assert {client.get(f"/threads/{thread}").status_code for _ in range(1000)} == {200}
        assert len(look_ups.read_text()) == 1
        assert person.client.post("/logout").status_code == 204
        assert client.get(f"/threads/{thread}").status_code == 401


@pytest.mark.parametrize("way", ["secret", "public keys"])
def test_a_backend_that_checks_the_token_itself_finds_whom_the_auth_server_tells(tmp_path, way):
    secret, tokens = os.urandom(32).hex(), ""
    if way == "secret":
        (tmp_path / "secret").write_text(secret)
        (tmp_path / "secret").chmod(0o600)
        tokens = f'[tokens]\nalgorithm = "HS256"\nkey_files = ["{tmp_path / "secret"}"]'
    place = Place(tmp_path, tokens)
    asks = (place.app / "src/security/auth.py").read_text()
    found = []
    with place.whole() as server:
        session = Supabase(server).confirmed().session
        found.append(owner_of_a_thread(server, session))
    place.handler(OFFLINE + asks[asks.index("@auth.on"):])
    place.dotenv({**place.variables, **({"JWT_SECRET": secret} if way == "secret" else {})})
    with place.whole(home="third") as server:
        found.append(owner_of_a_thread(server, session))
        forged = session["access_token"][:-8] + "AAAAAAAA"
        assert Client(server.mount("langgraph"), forged).post("/threads", json={}).status_code == 401
    assert found == [session["user"]["id"]] * 2


def owner_of_a_thread(server: Doorward, session: dict) -> str:
    made = Client(server.mount("langgraph"), session["access_token"]).post("/threads", json={})
    assert made.status_code == 200, made.text
    return made.json()["metadata"]["owner"]
