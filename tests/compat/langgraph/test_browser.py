"""A front end on another origin, in Chromium: sign-in page, tokens and streaming with npm `@supabase/auth-js` and `@langchain/langgraph-sdk`: L-071."""

import http.server
import json
import mimetypes
import os
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urlencode, urlsplit

import pytest

from harness.browser import LIMIT_S, fetch
from harness.client import Client
from harness.programs import LeftOut, node_modules, wait_until
from harness.supabase import PASSWORD, Supabase
from harness.tutorial import Place

PAGE = Path(__file__).parent / "browser"
PACKAGES = ("@supabase/auth-js", "@langchain/langgraph-sdk")

#: Says its first word, waits until somebody writes into the pipe when it is told to, and says the rest.
AGENT = """
import json, sys
said = json.loads(sys.stdin.readline())["messages"][-1]["content"]
def tell(**what): print(json.dumps(what), flush=True)
tell(type="token", text="You ")
if said == "wait": open(sys.argv[1]).read()
tell(type="token", text="said ")
tell(type="token", text=said)
tell(type="done")
"""


class Site:
    """An origin of its own that serves the page, and npm's packages as they were published."""

    def __init__(self) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                file = file_of(unquote(urlsplit(self.path).path))
                body = file.read_bytes() if file else b""
                self.send_response(200 if file else 404)
                self.send_header("Content-Type", "text/javascript" if file and file.suffix == ".mjs" else mimetypes.guess_type(file or "")[0] or "text/plain")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def __enter__(self) -> "Site":
        return self

    def __exit__(self, *_) -> None:
        self.http.shutdown()
        self.http.server_close()


def file_of(path: str) -> Path | None:
    """The file of an address. auth-js imports its files without their suffix, as bundlers take it."""
    npm = path.startswith("/npm/")
    root = (node_modules() if npm else PAGE).resolve()
    named = root / path.removeprefix("/npm" if npm else "").lstrip("/")
    for file in (named, Path(f"{named}.js")):
        if file.is_file() and file.resolve().is_relative_to(root):
            return file
    return None


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The tutorial's project on one server that lets pages of `site` in, and pages of `stranger` not."""
    for package in PACKAGES:
        node_modules(package)
    home = tmp_path_factory.mktemp("browser")
    try:
        place = Place(home)
    except LeftOut as absent:
        pytest.skip(str(absent))
    agent, pipe = home / "agent.py", home / "go-on"
    agent.write_text(AGENT)
    os.mkfifo(pipe)
    command = json.dumps([sys.executable, str(agent), str(pipe)])
    with Site() as site, Site() as stranger:
        cors = f"cors_origins = {json.dumps([site.origin])}"
        mounts = f"[mounts.supabase]\n{cors}\n[mounts.langgraph]\n{cors}"
        with place.whole(f'[agents]\nrunner = "command"\ncommand = {command}\n{mounts}') as server:
            yield SimpleNamespace(server=server, supabase=Supabase(server), langgraph=server.mount("langgraph"), site=site, stranger=stranger, pipe=pipe)


class Page:
    """The page in a browser, as a person sees it."""

    def __init__(self, browser, world, site: Site) -> None:
        self.browser = browser
        query = urlencode({"supabase": world.supabase.url, "key": world.supabase.anon_key, "langgraph": world.langgraph})
        browser.get(f"{site.origin}/app.html?{query}")
        self.until("who", "Signed out")

    def text(self, place: str) -> str:
        return self.browser.execute_script("return document.getElementById(arguments[0]).textContent", place)

    def until(self, place: str, text: str) -> None:
        try:
            wait_until(lambda: self.text(place) == text, f"{text!r} in {place}", limit_s=LIMIT_S)
        except TimeoutError as late:
            raise AssertionError(f"{late}: {self.text(place)!r}, {self.complaints()}") from None

    def submit(self, form: str, **fields: str) -> None:
        for name, text in fields.items():
            field = self.browser.find_element("css selector", f"#{form} [name={name}]")
            field.clear()
            field.send_keys(text)
        self.browser.find_element("css selector", f"#{form} button").click()

    def ends(self) -> str:
        wait_until(lambda: self.text("status") in ("done", "failed"), "the end of what the page does", limit_s=LIMIT_S)
        return self.text("status")

    def does(self, form: str, **fields: str) -> None:
        self.submit(form, **fields)
        assert self.ends() == "done", (self.text("error"), self.complaints())

    def fails(self, form: str, **fields: str) -> str:
        self.submit(form, **fields)
        assert self.ends() == "failed"
        return self.text("error")

    def signs_in(self, person) -> None:
        self.does("sign-in", email=person.email, password=PASSWORD)
        self.until("who", f"Signed in as {person.email}")

    def events(self) -> list[dict]:
        return [json.loads(line) for line in self.text("events").splitlines()]

    def complaints(self) -> list[str]:
        """What the browser's console has of errors and warnings since it was last asked."""
        return [line["message"] for line in self.browser.get_log("browser") if line["level"] in ("SEVERE", "WARNING")]


@pytest.fixture
def page(browser, world) -> Page:
    return Page(browser, world, world.site)


def thread_of(world, person) -> str:
    made = Client(world.langgraph, person.session["access_token"]).post("/threads", json={})
    assert made.status_code == 200, made.text
    return made.json()["thread_id"]


def test_a_page_of_another_origin_signs_in_streams_and_is_kept_from_what_is_anothers(world, page):
    ann, bob = (world.supabase.confirmed(name) for name in ("ann", "bob"))
    others = thread_of(world, bob)
    page.signs_in(ann)
    page.does("ask", words="hello")
    assert page.text("answer") == "You said hello"
    said = [["human", "hello"], ["ai", "You said hello"]]
    assert json.loads(page.text("state")) == said
    events = page.events()
    assert {event["event"] for event in events} == {"metadata", "values", "messages"}
    pieces = [event["data"][0]["content"] for event in events if event["event"] == "messages"]
    assert [piece for piece in pieces if piece] == ["You ", "said ", "hello"]
    last = [event["data"] for event in events if event["event"] == "values"][-1]
    assert [[message["type"], message["content"]] for message in last["messages"]] == said
    # The answer's Content-Location, which the SDK reads.
    mine = page.text("thread")
    assert page.text("run") == f"{mine}/{events[0]['data']['run_id']}"
    owner = Client(world.langgraph, ann.session["access_token"]).get(f"/threads/{mine}").json()["metadata"]["owner"]
    assert owner == ann.session["user"]["id"]
    page.does("open", thread=mine)
    assert json.loads(page.text("state")) == said
    assert page.complaints() == []

    refusal = page.fails("open", thread=others)
    assert refusal.startswith("404 ") and others in refusal and page.text("state") == ""
    [complaint] = page.complaints()
    assert f"/threads/{others}" in complaint and "404" in complaint


def test_pieces_of_an_answer_are_there_before_its_end(world, page):
    page.signs_in(world.supabase.confirmed())
    page.submit("ask", words="wait")
    page.until("answer", "You ")
    assert page.text("status") == "busy"
    world.pipe.write_text("go on")
    assert page.ends() == "done"
    assert page.text("answer") == "You said wait" and page.complaints() == []


def test_a_page_that_lost_its_stream_asks_for_what_came_after_the_last_event(world, page):
    page.signs_in(world.supabase.confirmed())
    page.does("ask", words="hello")
    events = page.events()
    page.does("resume", after=events[1]["id"])
    assert page.events() == events[2:] and page.complaints() == []


def test_a_page_that_is_loaded_again_is_still_signed_in_until_it_signs_out(world, browser, page):
    person = world.supabase.confirmed()
    page.signs_in(person)
    browser.refresh()
    page.until("who", f"Signed in as {person.email}")
    page.does("ask", words="again")
    assert page.text("answer") == "You said again"
    browser.find_element("id", "sign-out").click()
    page.until("who", "Signed out")
    assert page.ends() == "done"
    assert page.complaints() == []
    assert page.fails("ask", words="once more").startswith("401 ")
    [complaint] = page.complaints()
    assert "/langgraph/threads" in complaint and "401" in complaint


def test_a_wrong_password_is_told_in_words(world, page):
    person = world.supabase.confirmed()
    assert page.fails("sign-in", email=person.email, password="wrong password") == "400 Invalid login credentials"
    assert page.text("who") == "Signed out"
    [complaint] = page.complaints()
    assert "/token?grant_type=password" in complaint and "400" in complaint


READ = """
    const [url, options, names, done] = arguments;
    fetch(url, options).then((answer) => done([answer.status, ...names.map((name) => answer.headers.get(name))]), (error) => done([0, String(error)]));
"""


def test_headers_that_clients_read_are_shown_to_the_page(world, browser, page):
    person = world.supabase.confirmed()
    headers = {"Authorization": f"Bearer {person.session['access_token']}", "Content-Type": "application/json"}
    thread = thread_of(world, person)

    def read(path: str, body: dict, *names: str) -> list:
        sent = {"method": "POST", "headers": headers, "body": json.dumps(body)}
        return browser.execute_async_script(READ, world.langgraph + path, sent, names)

    run = {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": "x"}]}, "stream_mode": "values"}
    status, content_location, location, request_id = read(f"/threads/{thread}/runs/stream", run, "Content-Location", "Location", "X-Request-Id")
    assert status == 200 and content_location.startswith(f"/threads/{thread}/runs/") and location == f"{content_location}/stream" and request_id
    assert read("/threads/search", {}, "X-Pagination-Total") == [200, "1"]
    api = browser.execute_async_script(READ, f"{world.supabase.auth_url}/user", {"headers": {"apikey": world.supabase.anon_key}}, ["X-Sb-Error-Code", "X-Request-Id"])
    assert api[:2] == [401, "no_authorization"] and api[2]


def test_the_headers_and_methods_of_the_clients_pass_the_preflight(world, browser, page):
    person = world.supabase.confirmed()
    bearer = {"Authorization": f"Bearer {person.session['access_token']}"}
    user, thread = f"{world.supabase.auth_url}/user", f"{world.langgraph}/threads/{thread_of(world, person)}"
    json_body = {"Content-Type": "application/json"}

    def status(url: str, method: str = "GET", **options) -> int:
        return fetch(browser, url, method=method, **options)[0]

    with_key = {**bearer, "apikey": world.supabase.anon_key}
    for header in [{}, json_body, {"X-Client-Info": "x"}, {"X-Supabase-Api-Version": "2024-01-01"}]:
        assert status(user, headers={**with_key, **header}) == 200, header
    assert status(user, "PUT", headers={**with_key, **json_body}, body='{"data": {}}') == 200
    # No key of ours, and the browser hands over the answer that says so.
    assert status(user, headers={"X-Api-Key": "x"}) == 401
    # LangGraph's clients send a key of their cloud beside the token.
    for header in [json_body, {"X-Api-Key": "lsv2_pt_key"}]:
        assert status(thread, headers={**bearer, **header}) == 200, header
    assert status(thread, "PATCH", headers={**bearer, **json_body}, body='{"metadata": {}}') == 200
    assert status(thread, "DELETE", headers=bearer) == 204


def test_a_page_of_an_origin_that_is_not_listed_gets_nothing(world, browser):
    person = world.supabase.confirmed()
    token = person.session["access_token"]
    thread = thread_of(world, person)
    page = Page(browser, world, world.stranger)
    assert "Failed to fetch" in page.fails("sign-in", email=person.email, password=PASSWORD)
    assert page.text("who") == "Signed out"
    assert "Failed to fetch" in page.fails("ask", words="hello")
    bearer = {"Authorization": f"Bearer {token}"}
    for url, options in [
        (f"{world.supabase.auth_url}/health", {}),
        (f"{world.supabase.auth_url}/.well-known/jwks.json", {}),
        (f"{world.supabase.auth_url}/user", {"headers": {**bearer, "apikey": world.supabase.anon_key}}),
        (f"{world.langgraph}/info", {}),
        (f"{world.langgraph}/threads/{thread}", {"headers": bearer}),
        (f"{world.langgraph}/threads", {"method": "POST", "headers": {**bearer, "Content-Type": "application/json"}, "body": "{}"}),
        (f"{world.langgraph}/threads/{thread}", {"method": "DELETE", "headers": bearer}),
    ]:
        assert fetch(browser, url, **options) == (0, "TypeError: Failed to fetch"), url
    complaints = page.complaints()
    assert complaints and all("blocked by CORS policy" in line or "net::ERR_FAILED" in line for line in complaints)
    found = Client(world.langgraph, token).post("/threads/search", json={}).json()
    assert [one["thread_id"] for one in found] == [thread], "nothing was made and nothing removed"
    told = [line for line in world.server.log.splitlines() if "cors_origins" in line and world.stranger.origin in line]
    assert len(told) == 2 and not any(world.site.origin in line for line in told), "one line for each mount"
