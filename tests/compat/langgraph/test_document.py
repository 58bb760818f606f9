"""LangGraph's tutorial from its sign-ups to its last line, its own code: L-044 to L-069 as far as the document's client has them.

Its blocks are taken from the document; what is put in is what it says to put in (CHANGEME) and where the server is.
"""

import json
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from agentserver import APP, RealServer, interpreter

from harness.programs import clean_environment
from harness.supabase import Supabase, address, link_of
from harness.tutorial import Place, block

JOKE = "Echo: Tell me a short joke"
#: What each SDK makes of the refusals, 401 and 404: the one of the tutorial's day shows the status, the newest the server's words.
WORDS = {"older": ("'401 Unauthorized'", "'404 Not Found'"), "ours": ("Invalid token", "Thread with ID {thread_id} not found")}


@pytest.fixture(scope="module", params=["embedded", "gateway"])
def place(request, tmp_path_factory):
    """The template's project with the document's handlers, the auth server beside them, and an agent server: ours, or the real one behind."""
    place = Place(tmp_path_factory.mktemp("document"))
    if request.param == "embedded":
        with place.whole() as server:
            yield server
        return
    real = RealServer(tmp_path_factory.mktemp("behind"), guarded=False)
    try:
        with place.whole(f'[mounts.langgraph]\nupstream = "{real.wait().url}"') as server:
            yield server
    finally:
        real.program.stop()


def filled(text: str, **values: str) -> str:
    for name, value in values.items():
        text, count = re.subn(rf'^({name}(?:: str)?) = "CHANGEME"', lambda found, value=value: f"{found[1]} = {value!r}", text, flags=re.MULTILINE)
        assert count == 1, name
    assert "CHANGEME" not in text
    return text


def run(kind: str, *blocks: str) -> dict:
    # The document leaves `X-Api-Key` to the environment; here is none of the cloud's.
    environment = {name: value for name, value in clean_environment().items() if not name.endswith("_API_KEY")}
    command = [interpreter(kind), APP / "document.py"]
    done = subprocess.run(command, input=json.dumps(blocks), env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def followed(server, kind: str) -> tuple[dict, str]:
    """What the client's three blocks printed and raised, once both people have clicked their links; and what the service calls the first."""
    supabase, emails = Supabase(server), [address("first"), address("second")]
    setup = filled(
        block("async def sign_up"),
        supabase_url=supabase.url, supabase_anon_key=supabase.anon_key, user_1_email=emails[0], user_2_email=emails[1],
    )
    made = run(kind, setup, block("# Create our test users"))
    assert made["raised"] == []
    for email in emails:
        assert requests.get(link_of(supabase.mail(email)), allow_redirects=False, timeout=10).status_code == 303
    client = [block(first) for first in ("# Log in as user 1", "# Try to access without a token", "# Log in as user 2")]
    moved = [text.replace("http://localhost:2024", server.mount("langgraph")) for text in client]
    assert [before != after for before, after in zip(client, moved, strict=True)] == [True] * 3
    session = supabase.client().post("/token?grant_type=password", json={"email": emails[0], "password": "password"}).json()
    return run(kind, setup, *moved), session["user"]["id"]


def test_the_documents_client_runs_word_for_word_with_each_sdk(place):
    with ThreadPoolExecutor() as pool:
        told = dict(zip(WORDS, pool.map(lambda kind: followed(place, kind), WORDS), strict=True))
    for kind, (found, first) in told.items():
        lines, thread = found["printed"].splitlines(), found["thread"]
        assert lines[0] == f"Created thread: {thread['thread_id']}" and thread["metadata"]["owner"] == first, found
        for begins, says in zip(("Failed without token: ", "Failed to access other user's thread: "), WORDS[kind], strict=True):
            (line,) = [line for line in lines if line.startswith(begins)]
            assert says.format(**thread) in line, found
        # "This passes" with nobody: the line uses the client without a token.
        raised = {statement: (what, text) for statement, what, text in found["raised"]}
        what, text = raised.pop("thread2 = await unauthenticated_client.threads.create()")
        assert WORDS[kind][0] in text, (what, text)
        if kind == "older":
            assert raised == {} and lines[1] == JOKE, found
            assert [message["content"] for message in thread["values"]["messages"]] == ["Tell me a short joke", JOKE]
        else:
            # The loop with two names is of the SDK of its day: a part has three fields since.
            ((statement, (what, text)),) = raised.items()
            assert statement.startswith("async for") and (what, text) == ("ValueError", "too many values to unpack (expected 2)")
