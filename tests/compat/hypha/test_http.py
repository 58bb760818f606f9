"""Services called over HTTP: H-048, H-049, H-050, H-051, H-138, H-141, H-142, H-147."""

import asyncio
import io
import json
import subprocess

import msgpack
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from harness.client import Client
from harness.hypha import Visitor, asked

JSON = {"Content-Type": "application/json"}
MSGPACK = {"Content-Type": "application/msgpack"}


async def slowly(end):
    for number in range(end):
        await asyncio.sleep(0)
        yield {"number": number}


def fails(kind, text="on purpose"):
    raise {"value": ValueError, "key": KeyError, "permission": PermissionError, "type": TypeError, "other": RuntimeError}[kind](text)


def offered() -> dict:
    """A provider as the document has it, and a method for each way that a call can end."""
    return {
        "id": "my-service",
        "config": {"visibility": "public", "require_context": ["who"]},
        "method": lambda data, times=1: {"data": data, "times": times},
        "mirror": lambda **kwargs: kwargs,
        "nothing": lambda: None,
        "bytes": lambda: b"\0\1\2",
        "size": lambda data: len(data),
        "who": lambda context=None: {"id": context["user"]["id"], "anonymous": context["user"]["is_anonymous"], "ws": context["ws"], "from": context["from"]},
        "fails": fails,
        "count": slowly,
        "nest": {"deeper": {"add": lambda a, b: a + b}},
        "constant": {"answer": 42},
    }


def served(test):
    """Runs the test beside a provider that its owner serves."""

    async def run(hub):
        owner = hub.person()
        async with hub.enter(owner, client_id="host") as host:
            await host.register_service(offered())
            await host.register_service({"id": "private", "method": lambda: "private"})
            await test(hub, owner, f"/{owner.workspace}/services/my-service")

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@served
async def test_json_in_is_keyword_arguments_and_json_out(hub, owner, path):
    caller = hub.person()
    for client in (caller.http, hub.http()):
        answer = await asked(client, "POST", f"{path}/method", json={"data": [1, {"a": None}], "times": 2})
        assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("application/json")
        assert answer.json() == {"data": [1, {"a": None}], "times": 2}
    assert (await asked(caller.http, "POST", f"{path}/nothing")).json() is None
    assert (await asked(caller.http, "POST", f"{path}/nothing", headers=JSON, data=b"")).json() is None
    assert (await asked(caller.http, "POST", f"{path}/nest.deeper.add", json={"a": 2, "b": 3})).json() == 5
    assert (await asked(caller.http, "GET", f"{path}/constant")).json() == {"answer": 42}
    with_client = path.replace("my-service", "host:my-service")
    assert (await asked(caller.http, "GET", f"{with_client}/nothing")).json() is None


@served
async def test_curl_calls_as_the_document_writes_it(hub, owner, path):
    caller = hub.person()
    command = ["curl", "-sS", "-X", "POST", f"{hub.url}{path}/who", "-H", f"Authorization: Bearer {caller.token}", "-H", "Content-Type: application/json", "-d", "{}"]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=30, check=True)
    assert json.loads(done.stdout)["id"] == caller.id


@served
async def test_a_query_becomes_typed_keyword_arguments(hub, owner, path):
    query = {"number": "7", "half": "0.5", "text": "seven", "map": '{"a": [1, 2]}', "negative": "-3", "spaced": "a b", "zero": "007x"}
    answer = await asked(hub.http(), "GET", f"{path}/mirror", params=query)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["number"], told["half"], told["negative"]) == (7, 0.5, -3)
    assert (told["text"], told["spaced"], told["zero"]) == ("seven", "a b", "007x")
    assert told["map"] == {"a": [1, 2]}


@served
async def test_booleans_of_a_query_are_booleans(hub, owner, path):
    """The document's promise; the real server leaves them as texts."""
    told = (await asked(hub.http(), "GET", f"{path}/mirror", params={"yes": "true", "no": "false"})).json()
    assert told == {"yes": True, "no": False}


@served
async def test_the_names_of_the_path_are_no_arguments(hub, owner, path):
    sent = {"workspace": "x", "service_id": "x", "function_key": "x", "_mode": "first", "kept": 1}
    assert (await asked(hub.http(), "POST", f"{path}/mirror", json=sent)).json() == {"kept": 1}
    assert (await asked(hub.http(), "GET", f"{path}/mirror", params=sent)).json() == {"kept": 1}


@served
async def test_msgpack_in_means_msgpack_out(hub, owner, path):
    body = msgpack.packb({"data": b"\0\xff", "times": 3})
    answer = await asked(hub.http(), "POST", f"{path}/method", data=body, headers=MSGPACK)
    assert answer.status_code == 200 and "msgpack" in answer.headers["Content-Type"]
    assert msgpack.unpackb(answer.content) == {"data": b"\0\xff", "times": 3}
    body = msgpack.packb({"data": bytes(5 << 20)})
    answer = await asked(hub.http(), "POST", f"{path}/size", data=body, headers=MSGPACK)
    assert answer.status_code == 200 and msgpack.unpackb(answer.content) == 5 << 20


@served
async def test_the_callee_sees_who_asked_and_where_it_runs(hub, owner, path):
    caller = hub.person()
    for client, id, workspace in ((owner.http, owner.id, owner.workspace), (caller.http, caller.id, caller.workspace)):
        told = (await asked(client, "GET", f"{path}/who")).json()
        assert told["id"] == id and not told["anonymous"] and told["ws"] == workspace
        assert told["from"].startswith(f"{workspace}/")
    told = (await asked(hub.http(), "GET", f"{path}/who")).json()
    assert told["anonymous"] and told["ws"].startswith("ws-user-anonymouz-")


@served
async def test_failures_have_a_status_by_kind_and_the_callees_words(hub, owner, path):
    caller = hub.person().http
    for name, kind, status in [("value", "ValueError", 400), ("type", "TypeError", 400), ("permission", "PermissionError", 403), ("key", "KeyError", 404), ("other", "RuntimeError", 500)]:
        answer = await asked(caller, "POST", f"{path}/fails", json={"kind": name})
        assert answer.status_code == status, (name, answer.text)
        body = answer.json()
        assert body["success"] is False and kind in body["detail"] and "on purpose" in body["detail"], body
        assert "\n" not in body["detail"] and "Traceback" not in body["detail"] and ".py" not in body["detail"], "no internals"
    for sent in ({"data": 1, "unheard": 2}, {}):
        answer = await asked(caller, "POST", f"{path}/method", json=sent)
        assert answer.status_code == 400 and "TypeError" in answer.json()["detail"], answer.text


@served
async def test_what_is_missing_is_404_and_what_is_private_403(hub, owner, path):
    caller, workspace = hub.person().http, owner.workspace
    gone = [f"/{workspace}/services/no-such/method", "/no-such-workspace/services/my-service/method"]
    for missing in (*gone, f"{path}/no_such", f"{path}/nest.no", f"{path}/nest.deeper.add.__globals__", f"{path}/method.__class__"):
        answer = await asked(caller, "GET", missing)
        assert answer.status_code == 404 and answer.json()["success"] is False, (missing, answer.text)
    for client in (caller, hub.http()):
        answer = await asked(client, "GET", f"/{workspace}/services/private/method")
        assert answer.status_code == 403 and "Permission denied" in answer.json()["detail"], answer.text
    assert (await asked(owner.http, "GET", f"/{workspace}/services/private/method")).json() == "private"


@served
async def test_bodies_that_are_none_are_refused(hub, owner, path):
    for name, body, headers in [
        ("cut short", b'{"data":', JSON),
        ("not UTF-8", b'{"data":"\xff"}', JSON),
        ("no msgpack", b"\xc1", MSGPACK),
        ("msgpack cut short", msgpack.packb({"data": "abc"})[:-1], MSGPACK),
    ]:
        answer = await asked(hub.http(), "POST", f"{path}/method", data=body, headers=headers)
        assert answer.status_code == 400 and "Invalid request body" in answer.json()["detail"], (name, answer.text)
    for body in (b"[1]", b"7", b'"x"'):
        answer = await asked(hub.http(), "POST", f"{path}/method", data=body, headers=JSON)
        assert answer.status_code == 400, (body, answer.text)
    answer = await asked(hub.http(), "POST", f"{path}/method", data=b"data=1", headers={"Content-Type": "text/plain"})
    assert answer.status_code >= 400


@served
async def test_a_generator_streams_as_events(hub, owner, path):
    answer = await asked(owner.http, "GET", f"{path}/count", params={"end": 3})
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/event-stream")
    events = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
    assert [json.loads(event) for event in events[:-1]] == [{"number": number} for number in range(3)] and events[-1] == "[DONE]"
    answer = await asked(owner.http, "POST", f"{path}/count", data=msgpack.packb({"end": 3}), headers=MSGPACK)
    assert list(msgpack.Unpacker(io.BytesIO(answer.content))) == [{"number": number} for number in range(3)]


@served
async def test_services_are_listed_and_described_to_whom_they_concern(hub, owner, path):
    answer = await asked(owner.http, "GET", f"/{owner.workspace}/services/")
    listed = {service["id"].split(":")[-1] for service in answer.json()}
    assert {"my-service", "private"} <= listed
    moved = await asked(owner.http, "GET", f"/{owner.workspace}/services")
    assert moved.status_code == 307 and moved.headers["Location"].endswith(f"/{owner.workspace}/services/")
    seen = await asked(hub.person().http, "GET", f"/{owner.workspace}/services/")
    assert seen.status_code in (403, 404) or not any("private" in service["id"] for service in seen.json())
    told = (await asked(hub.http(), "GET", path)).json()
    assert told["id"].endswith(":my-service") and told["config"]["visibility"] == "public"
    info = await asked(owner.http, "GET", f"/{owner.workspace}/info")
    assert info.status_code == 200 and info.json()["id"] == owner.workspace
    assert (await asked(hub.person().http, "GET", f"/{owner.workspace}/info")).status_code == 403


@served
async def test_tokens_are_taken_from_header_and_cookie_in_every_form(hub, owner, path):
    caller, other = hub.person(), hub.person()
    for name, headers in {
        "bearer": {"Authorization": f"Bearer {caller.token}"},
        "cookie": {"Cookie": f"access_token={caller.token}"},
        "among cookies": {"Cookie": f"a=b; access_token={caller.token}; c=d"},
        "header first": {"Authorization": f"Bearer {caller.token}", "Cookie": f"access_token={other.token}"},
    }.items():
        told = (await asked(hub.http(), "GET", f"{path}/who", headers=headers)).json()
        assert told.get("id") == caller.id, (name, told)
    told = (await asked(hub.http(), "GET", f"{path}/who", params={"token": caller.token})).json()
    assert "id" not in told or told["anonymous"], "a query is no place for a token"


@served
async def test_the_header_decides_before_a_cookie_in_either_order(hub, owner, path):
    caller, other = hub.person(), hub.person()
    for names in (("-H", "-b"), ("-b", "-H")):
        given = {"-H": f"Authorization: Bearer {caller.token}", "-b": f"access_token={other.token}"}
        pair = [part for name in names for part in (("-H", f"Cookie: {given[name]}") if name == "-b" else (name, given[name]))]
        done = await asyncio.to_thread(subprocess.run, ["curl", "-sS", *pair, f"{hub.url}{path}/who"], capture_output=True, text=True, timeout=30, check=True)
        assert json.loads(done.stdout)["id"] == caller.id, names


@served
async def test_a_token_that_is_bad_is_401_and_never_nobody(hub, owner, path):
    async with hub.enter(owner) as server:
        revoked = await server.generate_token({})
        await server.revoke_token(revoked)
    for token in ("junk", "a.b.c", revoked, owner.token[:-4] + "AAAA"):
        for headers in ({"Authorization": f"Bearer {token}"}, {"Cookie": f"access_token={token}"}):
            answer = await asked(Client(hub.url), "GET", f"{path}/who", headers=headers)
            assert answer.status_code == 401 and answer.json()["detail"], (token[:8], answer.text)


async def test_the_hub_says_that_it_lives_and_where_its_login_is(hub, person):
    for path in ("/health", "/health/readiness", "/health/liveness"):
        assert (await asked(hub.http(), "GET", path)).status_code == 200, path
    config = (await asked(person.http, "GET", "/assets/config.json")).json()
    assert config["public_base_url"] == hub.url and config["user"]["id"] == person.id
    assert config["hypha_version"] and config["login_service_url"].endswith("/public/services/hypha-login")
    assert (await asked(hub.http(), "GET", "/assets/config.json")).json()["user"]["is_anonymous"]
    login = await asked(hub.http(), "GET", "/login")
    assert login.status_code == 307 and login.headers["Location"].endswith("/public/apps/hypha-login/")


async def test_whoever_knows_the_address_alone_reads_how_to_log_in_and_does(hub, person):
    """Nothing here is known beforehand but `/assets/config.json`."""
    told = (await asked(hub.http(), "GET", "/assets/config.json")).json()
    service = Client(told["login_service_url"])
    described = (await asked(service, "GET", "")).json()
    assert {"start", "check", "report"} <= described["service_schema"].keys(), described
    started = (await asked(service, "POST", "/start", json={})).json()
    page = await asyncio.to_thread(Visitor(hub).sign_in, started["login_url"], person.name)
    assert page.status_code == 200, page.text
    token = (await asked(Client(started["check_url"]), "GET", "", params={"key": started["key"], "timeout": 0})).json()
    as_person = Client(told["public_base_url"], token)
    known = (await asked(as_person, "GET", "/assets/config.json")).json()
    assert known["user"]["id"] == person.id and known["login_service_url"] == told["login_service_url"]


async def test_the_openapi_document_says_how_to_authenticate_and_names_the_login_service(hub, person):
    """It is read by a validator, and a log-in that knows nothing else comes to a token that its scheme takes."""
    document = (await asked(hub.http(), "GET", "/openapi.json")).json()
    OpenAPIV31SpecValidator(document).validate()
    login = document["externalDocs"]["url"]
    config = (await asked(hub.http(), "GET", "/assets/config.json")).json()
    assert login == config["login_service_url"] and login in document["info"]["description"]
    schemes = document["components"]["securitySchemes"]
    assert schemes["bearer"]["scheme"] == "bearer" and login in schemes["bearer"]["description"]
    assert (schemes["cookie"]["in"], schemes["cookie"]["name"]) == ("cookie", "access_token")
    server = Client(document["servers"][0]["url"])
    start, check = (next(path for path in document["paths"] if path.endswith(end)) for end in ("/start", "/check"))
    started = (await asked(server, "POST", start, json={})).json()
    page = await asyncio.to_thread(Visitor(hub).sign_in, started["login_url"], person.name)
    assert page.status_code == 200, page.text
    token = (await asked(server, "GET", check, params={"key": started["key"], "timeout": 0})).json()
    for shown in ({"Authorization": f"Bearer {token}"}, {"Cookie": f"access_token={token}"}):
        known = (await asked(server, "GET", "/assets/config.json", headers=shown)).json()
        assert known["user"]["id"] == person.id, shown


async def test_functions_services_answer_requests(hub, person):
    seen = []

    async def hello(event):
        seen.append(event)
        body = event["body"] or b""
        return {"status": 201, "headers": {"Content-Type": "text/plain", "X-Own": "yes"}, "body": f"{event['method']} {event['query_string']} {len(body)}"}

    async def index(event):
        return {"status": 200, "body": "index"}

    async with hub.enter(person) as host:
        functions = {"id": "site", "type": "functions", "config": {"visibility": "public"}, "index": index, "hello": hello, "dir": {"hello": hello, "inner": {"index": index}}}
        await host.register_service(functions)
        base = f"/{person.workspace}/apps/site"
        answer = await asked(hub.http(), "POST", f"{base}/hello", params={"a": "1"}, data=b"body", headers={"X-Sent": "word"})
        assert (answer.status_code, answer.text, answer.headers["X-Own"]) == (201, "POST a=1 4", "yes")
        [event] = seen
        assert event["headers"]["x-sent"] == "word" and event["body"] == b"body"
        assert event["user"]["is_anonymous"] and event["type"] == "http"
        assert (await asked(person.http, "PUT", f"{base}/dir/hello")).status_code == 201
        assert seen[-1]["user"]["id"] == person.id and seen[-1]["body"] is None
        for path in ("/", "/dir/inner"):
            assert (await asked(hub.http(), "GET", base + path)).text == "index", path
        missing = await asked(hub.http(), "GET", f"{base}/nowhere")
        assert (missing.status_code, missing.text) == (404, "Function not found: nowhere")
        assert (await asked(hub.http(), "GET", base)).status_code == 307


async def application(scope, receive, send):
    """An ASGI application: says what it was asked, and how long the body was."""
    size, parts, more = 0, 0, True
    while more:
        message = await receive()
        size, parts, more = size + len(message.get("body") or b""), parts + 1, message.get("more_body", False)
    told = {"path": scope["path"], "method": scope["method"], "query": scope["query_string"].decode(), "size": size, "type": scope["type"]}
    headers = [[b"content-type", b"application/json"], [b"location", b"https://idp.example/sso"]]
    await send({"type": "http.response.start", "status": 302 if scope["path"].endswith("/login") else 200, "headers": headers})
    half = json.dumps(told).encode()
    await send({"type": "http.response.body", "body": half[:5], "more_body": True})
    await send({"type": "http.response.body", "body": half[5:], "more_body": False})


async def test_an_asgi_service_answers_for_its_paths(hub, person):
    async def serve(args):
        await application(args["scope"], args["receive"], args["send"])

    async with hub.enter(person) as host:
        await host.register_service({"id": "saml-auth", "type": "asgi", "config": {"visibility": "public"}, "serve": serve})
        base = f"/{person.workspace}/apps/saml-auth"
        answer = await asked(hub.http(), "GET", f"{base}/saml/login", params={"next": "/a"})
        assert answer.status_code == 302 and answer.headers["Location"] == "https://idp.example/sso"
        assert answer.json() == {"path": "/saml/login", "method": "GET", "query": "next=%2Fa", "size": 0, "type": "http"}
        pieces = (bytes(64 << 10) for _ in range(32))
        answer = await asked(hub.http(), "POST", f"{base}/saml/acs", data=pieces)
        assert answer.status_code == 200 and answer.json()["size"] == 2 << 20
        assert (await asked(hub.http(), "DELETE", f"{base}/")).json()["method"] == "DELETE"


async def test_other_services_are_no_applications(hub, person):
    async with hub.enter(person) as host:
        await host.register_service({"id": "plain", "config": {"visibility": "public"}, "say": lambda: 1})
        answer = await asked(hub.http(), "GET", f"/{person.workspace}/apps/plain/say")
        assert answer.status_code == 500 and answer.text == "Invalid service type: generic"
        assert (await asked(hub.http(), "GET", f"/{person.workspace}/apps/never-was/say")).status_code == 404


async def test_pages_of_other_origins_may_read_what_the_hub_says_they_may(hub, person):
    asked_for = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    start = "/public/services/hypha-login/start"
    # `dev` lists the ports that pages are developed at.
    for origin, allowed in (("http://localhost:3000", "http://localhost:3000"), ("https://elsewhere.example", None)):
        preflight = await asked(hub.http(), "OPTIONS", start, headers={"Origin": origin, **asked_for})
        answer = await asked(person.http, "GET", "/assets/config.json", headers={"Origin": origin})
        for told in (preflight, answer):
            assert told.headers.get("Access-Control-Allow-Origin") == allowed, (origin, told.headers)
            assert "Origin" in told.headers["Vary"]
        assert ("POST" in preflight.headers.get("Access-Control-Allow-Methods", "")) == (allowed is not None)


NO_NAMES = [
    "/..%2f..%2fetc/services/x/y",
    "/%00/services/x/y",
    "/a%2Fb/services/x/y",
    "/public/services/*/start",
    "/*/services/hypha-login/start",
    "/public/services/..%2f..%2fx/y",
    "/public/apps/hypha-login/..%2f..%2fetc%2fpasswd",
]


@pytest.mark.parametrize("path", NO_NAMES)
async def test_names_that_are_none_find_nothing(hub, path):
    answer = await asked(hub.http(), "GET", path)
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text[:200])


async def test_a_link_of_another_site_calls_no_function_in_anybodys_name(hub, person):
    cookie = {"Cookie": f"access_token={person.token}"}
    for said, status in (({"Sec-Fetch-Site": "cross-site"}, 403), ({"Sec-Fetch-Site": "same-site"}, 403), ({"Sec-Fetch-Site": "same-origin"}, 200), ({}, 200)):
        answer = await asked(hub.http(), "GET", "/public/services/hypha-login/profile", headers={**cookie, **said})
        assert answer.status_code == status, said
    nobody = await asked(hub.http(), "GET", "/public/services/hypha-login/profile", headers={"Sec-Fetch-Site": "cross-site"})
    assert nobody.json()["is_anonymous"]


async def test_a_link_of_another_site_to_an_application_is_followed_by_hand(hub, person):
    done = []
    cookie = {"Cookie": f"access_token={person.token}"}
    visited = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    async with hub.enter(person) as server:

        async def act(event, context=None):
            done.append((event["user"]["id"], event["query_string"]))
            return {"status": 200, "body": "done"}

        await server.register_service({"id": "app", "type": "functions", "config": {"visibility": "public"}, "act": act})
        path = f"/{person.workspace}/apps/app/act"
        page = await asked(hub.http(), "GET", f"{path}?x=1&y=%22", headers={**cookie, **visited})
        assert page.status_code == 200 and "Go on" in page.text and done == []
        assert f'href="/hypha{path}?x=1&amp;y=%22"' in page.text
        for said in ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, {"Sec-Fetch-Site": "same-site"}):
            assert (await asked(hub.http(), "GET", path, headers={**cookie, **said})).status_code == 403
        assert (await asked(hub.http(), "POST", path, headers={**cookie, **visited, "Origin": "https://evil.example"})).status_code == 403
        assert done == []
        for said in ({"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {}):
            assert (await asked(hub.http(), "GET", path, headers={**cookie, **said})).text == "done"
        assert [who for who, _ in done] == [person.id] * 3
        assert (await asked(hub.http(), "GET", path, headers=visited)).text == "done", "nobody in particular does no harm"
