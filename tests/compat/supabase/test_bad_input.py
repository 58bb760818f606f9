"""What nobody should send: a clear refusal, never a 500. And pages of other origins: who may read what."""

import concurrent.futures
import json

import pytest

from harness.doorward import Doorward
from harness.supabase import PASSWORD, Supabase, address

ROUTES = [("POST", "/signup"), ("POST", "/token?grant_type=password"), ("POST", "/token?grant_type=refresh_token"), ("POST", "/recover"), ("POST", "/otp"), ("POST", "/magiclink"), ("POST", "/resend"), ("POST", "/verify"), ("PUT", "/user")]


def answer_of(client, method: str, path: str, **more):
    answer = client.request(method, path, **more)
    assert answer.status_code < 500, (path, answer.text)
    if answer.status_code >= 400:
        body = answer.json()
        assert body["code"] == answer.status_code and body["error_code"] == answer.headers["x-sb-error-code"] and body["msg"], path
    return answer


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_bodies_that_are_none_are_refused(supabase, person, method, path):
    client = supabase.client(person.session["access_token"] if path == "/user" else None, roaming=True)
    as_json = {"Content-Type": "application/json"}
    for name, body, status in [
        ("cut short", b'{"email":', 400),
        ("a list", b"[]", 400),
        ("a text", b'"x"', 400),
        ("members twice", b'{"email":"a@example.org","email":"b@example.org"}', 400),
        ("deep", b'{"data":' + b"[" * 64 + b"]" * 64 + b"}", 400),
        ("not UTF-8", b'{"email":"\xff"}', 400),
        ("a number for a text", b'{"email":7,"password":[],"refresh_token":{},"type":1}', 400),
        ("two megabytes", b'{"email":"' + b"x" * (2 << 20) + b'"}', 413),
    ]:
        answer = answer_of(client, method, path, data=body, headers=as_json)
        assert answer.status_code == status, (name, answer.text)
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16"]:
        assert answer_of(client, method, path, data=b"email=x", headers={"Content-Type": kind}).status_code == 400
    assert 400 <= answer_of(client, method, path).status_code < 500 or path == "/user"
    assert answer_of(client, method, f"{path}{'&' if '?' in path else '?'}redirect_to=%ff", json={"email": address(), "password": PASSWORD}).status_code == 400 or path.startswith("/token")


def test_fields_of_every_length_and_kind(supabase):
    client = supabase.client(roaming=True)
    for name, body, code in [
        ("no address", {"password": PASSWORD}, "validation_failed"),
        ("nothing", {}, "anonymous_provider_disabled"),
        ("null", {"email": None, "password": None}, "anonymous_provider_disabled"),
        ("empty password", {"email": address(), "password": ""}, "validation_failed"),
        ("no password", {"email": address()}, "validation_failed"),
        ("a phone", {"phone": "+491701234567", "password": PASSWORD}, "phone_provider_disabled"),
        ("long address", {"email": "x" * 300 + "@example.org", "password": PASSWORD}, "validation_failed"),
        ("line end", {"email": "a@example.org\r\nBcc: b@example.org", "password": PASSWORD}, "validation_failed"),
        ("two addresses", {"email": "a@example.org,b@example.org", "password": PASSWORD}, "validation_failed"),
        ("long password", {"email": address(), "password": "x" * 73}, "weak_password"),
        ("huge password", {"email": address(), "password": "x" * 100_000}, "weak_password"),
        ("much metadata", {"email": address(), "password": PASSWORD, "data": {"x": "y" * 20_000}}, "validation_failed"),
        ("metadata that is none", {"email": address(), "password": PASSWORD, "data": "x"}, "bad_json"),
    ]:
        assert answer_of(client, "POST", "/signup", json=body).json()["error_code"] == code, name
    for name, body in [("long address", {"email": "x" * 5_000, "password": PASSWORD}), ("huge password", {"email": address(), "password": "x" * 100_000})]:
        assert answer_of(client, "POST", "/token?grant_type=password", json=body).json()["error_code"] == "invalid_credentials", name
    assert answer_of(client, "POST", "/token?grant_type=password", json={"phone": "+491701234567", "password": PASSWORD}).json()["error_code"] == "phone_provider_disabled"


def test_a_host_that_is_not_this_machine_is_no_place_for_links(supabase):
    email = address()
    for host in ["evil.example", "203.0.113.5", "127.0.0.1:80@evil.example", "localhost.evil.example"]:
        answer = supabase.client(roaming=True).post("/signup", json={"email": email, "password": PASSWORD}, headers={"Host": host})
        assert answer.status_code == 400, (host, answer.text)
    assert supabase.mails(email) == []


def test_roles_cannot_be_brought_along(supabase):
    email = address()
    body = {"email": email, "password": PASSWORD, "roles": ["admin"], "role": "service_role", "app_metadata": {"admin": True}, "data": {"roles": ["admin"]}}
    user = supabase.client().post("/signup", json=body).json()
    assert user["role"] == "authenticated" and user["app_metadata"] == {"provider": "email", "providers": ["email"]}
    assert supabase.server.command("user", "show", email)["roles"] == ["user"]


def test_an_address_that_guesses_is_slowed_down_in_the_surfaces_words(supabase, person):
    guesser = supabase.client()
    answers = [guesser.post("/token?grant_type=password", json={"email": person.email, "password": f"guess {n}"}) for n in range(12)]
    assert answers[-1].status_code == 429 and int(answers[-1].headers["Retry-After"]) > 0
    assert answers[-1].json()["error_code"] == "over_request_rate_limit"
    assert guesser.post("/token?grant_type=password", json={"email": person.email, "password": PASSWORD}).status_code == 200, "who knows it is let in"


def test_only_listed_pages_may_read_answers(supabase):
    client = supabase.client(roaming=True)
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "apikey,authorization,content-type,x-client-info,x-supabase-api-version"}
    let_in = client.request("OPTIONS", "/signup", headers={"apikey": None, "Origin": "https://app.example", **asked})
    assert let_in.status_code == 204 and let_in.headers["Access-Control-Allow-Origin"] == "https://app.example"
    allowed = {name.strip() for name in let_in.headers["Access-Control-Allow-Headers"].split(",")}
    assert set(asked["Access-Control-Request-Headers"].split(",")) <= allowed
    assert "access-control-allow-credentials" not in let_in.headers
    body = {"email": address(), "password": PASSWORD}
    wrong = client.post("/token?grant_type=password", json=body, headers={"Origin": "https://app.example"})
    assert wrong.status_code == 400 and "x-sb-error-code" in wrong.headers["Access-Control-Expose-Headers"]
    for origin in ["https://evil.example", "null", "http://localhost:3000"]:
        refused = client.request("OPTIONS", "/signup", headers={"apikey": None, "Origin": origin, **asked})
        assert "access-control-allow-origin" not in refused.headers, origin
        made = client.post("/signup", json={"email": address(), "password": PASSWORD}, headers={"Origin": origin})
        assert made.status_code == 403, origin


def test_in_dev_pages_of_this_machine_may_read_answers(start):
    client = Supabase(start("dev")).client(roaming=True)
    for origin, let_in in [("http://localhost:3000", True), ("http://127.0.0.1:5173", True), ("http://localhost:3001", False), ("https://evil.example", False)]:
        answer = client.get("/settings", headers={"Origin": origin})
        assert ("access-control-allow-origin" in answer.headers) == let_in, origin


BACKEND = '''
import json, os, urllib.request
from agentflow_cli import BaseAuth
from fastapi import HTTPException

class Backend(BaseAuth):
    def authenticate(self, res, credential):
        with open(os.environ["SUPABASE_READY"]) as file:
            ready = json.load(file)
        headers = {"Authorization": "Bearer " + credential.credentials, "apiKey": ready["supabase"]["service_key"]}
        request = urllib.request.Request(ready["mounts"]["supabase"] + "/auth/v1/user", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return {"user_id": json.load(answer)["id"]}
        except urllib.error.HTTPError:
            raise HTTPException(status_code=401, detail="Invalid token")
'''


def test_a_handler_that_asks_the_same_process_does_not_wait_for_itself(tmp_path):
    app = tmp_path / "app"
    (app / "auth").mkdir(parents=True)
    (app / "auth" / "custom.py").write_text(BACKEND)
    (app / ".env").write_text(f"SUPABASE_READY={tmp_path}/doorward/ready.json\n")
    settings = app / "agentflow.json"
    settings.write_text(json.dumps({"agent": "graph.react:app", "auth": {"method": "custom", "path": "auth.custom:Backend"}, "env": ".env"}))
    with Doorward("dev", "--listen", "127.0.0.1:0", "--agentflow", settings, home=tmp_path / "doorward") as server:
        supabase = Supabase(server)
        person = supabase.confirmed()
        token = person.session["access_token"]

        def ask(_):
            client = supabase.client(token)
            client.base = server.mount("agentflow")
            return client.get("/v1/threads").status_code

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            assert set(pool.map(ask, range(32))) == {200}
        assert person.client.post("/logout").status_code == 204
        assert ask(0) == 401, "logged out there is logged out here"
