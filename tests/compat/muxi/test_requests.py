"""The HTTP half of Muxi's authentication document, by real requests (M-005, M-036 to M-057, M-070 to M-093)."""

import re
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from harness.client import Client
from harness.programs import SHARED, left_out, wait_until

PASSWORD = "correct horse battery staple 7"
DOCUMENT = SHARED / "seeds" / "muxi-core-authentication.md"
GUARDED = [
    ("GET", "/users/me"),
    ("POST", "/chat?message=x"),
    ("POST", "/chat/jwt?message=x"),
    ("GET", "/features/basic"),
    ("GET", "/features/premium"),
    ("GET", "/admin/dashboard"),
    ("POST", "/auth/logout"),
]


def claims(token: str) -> dict:
    return jwt.decode(token, options={"verify_signature": False})


def refused(answer, status: int, detail, challenge: str | None = None) -> None:
    assert (answer.status_code, answer.json()["detail"]) == (status, detail), answer.text
    assert answer.headers.get("WWW-Authenticate") == challenge


def api_key(muxi, name: str) -> str:
    return muxi.command("key", "create", "--user", name, "--name", "compat")["key"]


def test_every_route_of_the_document_is_there(anyone):
    """The document's own decorators say which routes there are."""
    if not DOCUMENT.is_file():
        raise left_out("Muxi's authentication document is absent (../shared/seeds)")
    found = re.findall(r'@app\.(get|post)\("([^"]+)"', DOCUMENT.read_text(encoding="utf-8"))
    assert len(found) >= 12
    for method, path in found:
        answer = anyone.request(method.upper(), path)
        assert answer.status_code in (401, 422), (method, path, answer.text)


def test_the_seven_steps_from_credentials_to_a_decision(person, anyone):
    person.client.token = person.log_in().json()["access_token"]
    assert person.client.get("/users/me").status_code == 200
    refused(person.client.get("/features/premium"), 403, "Requires premium role")
    refused(anyone.get("/users/me"), 401, "Not authenticated", "Bearer")


def test_registering_answers_a_token_that_names_its_user(person):
    assert set(person.registered) == {"access_token", "token_type", "expires_in"}
    assert (person.registered["token_type"], person.registered["expires_in"]) == ("bearer", 3600)
    assert claims(person.registered["access_token"])["username"] == person.name
    me = person.client.get("/users/me").json()
    assert me == {"username": person.name, "email": person.email, "user_id": me["user_id"]}
    assert me["user_id"] == claims(person.registered["access_token"])["sub"]


def test_a_taken_name_or_address_is_a_conflict_and_a_weak_password_has_its_reason(person, anyone):
    other = f"other-{uuid4().hex[:8]}"

    def register(username, email, password=PASSWORD):
        body = {"username": username, "password": password, "email": email}
        return anyone.post("/auth/register", json=body)

    refused(register(person.name, f"{other}@example.org"), 409, "This user name is taken.")
    refused(register(other, person.email), 409, "This e-mail address is taken.")
    weak = register(other, f"{other}@example.org", "short")
    assert weak.status_code == 422, weak.text
    assert weak.json()["detail"][0]["loc"] == ["body", "password"]


@pytest.mark.parametrize("field", ["username", "password", "email"])
@pytest.mark.parametrize("value", ["absent", None, 7, ["x"]])
def test_a_missing_or_wrong_typed_field_is_named(anyone, field, value):
    body = {"username": "someone", "password": PASSWORD, "email": "someone@example.org", field: value}
    if value == "absent":
        del body[field]
    answer = anyone.post("/auth/register", json=body)
    assert answer.status_code == 422, answer.text
    assert [flaw["loc"] for flaw in answer.json()["detail"]] == [["body", field]]


def test_logging_in_by_form_answers_what_the_document_shows(person):
    alone = person.log_in("/token").json()
    assert set(alone) == {"access_token", "token_type"}
    assert alone["token_type"] == "bearer"
    pair = person.log_in().json()
    assert set(pair) == {"access_token", "refresh_token", "token_type", "expires_in"}
    access, refresh = claims(pair["access_token"]), claims(pair["refresh_token"])
    assert access["exp"] - access["iat"] == 3600 == pair["expires_in"]
    assert refresh["exp"] - refresh["iat"] == 30 * 86400
    assert (refresh["token_type"], access["sub"]) == ("refresh", refresh["sub"])


@pytest.mark.parametrize("path", ["/token", "/auth/token"])
def test_a_form_endpoint_refuses_json(anyone, path):
    answer = anyone.post(path, json={"username": "a", "password": "b"})
    assert answer.status_code == 422
    assert [flaw["loc"][1] for flaw in answer.json()["detail"]] == ["username", "password"]


@pytest.mark.parametrize("path", ["/token", "/auth/token"])
def test_an_unknown_user_and_a_wrong_password_are_answered_alike(person, anyone, path):
    wrong = person.log_in(path, "not the password at all 9")
    unknown = anyone.post(path, data={"username": f"no-{uuid4().hex}", "password": PASSWORD})
    for answer in (wrong, unknown):
        refused(answer, 401, "Incorrect username or password", "Bearer")
    assert wrong.content == unknown.content


def test_a_refresh_token_stays_good_and_the_answer_names_no_other(person, anyone):
    refresh = person.log_in().json()["refresh_token"]
    for _ in range(3):
        answer = anyone.post("/auth/refresh", json={"refresh_token": refresh})
        assert answer.status_code == 200, answer.text
        assert set(answer.json()) == {"access_token", "token_type", "expires_in"}
        assert person.client.get("/users/me", token=answer.json()["access_token"]).status_code == 200


def test_rotation_is_a_setting_whose_answer_carries_the_successor(start, tmp_path):
    config = tmp_path / "doorward.toml"
    config.write_text("[mounts.muxi]\nrefresh_rotation = true\n")
    client, form = Client(start("dev", "--config", config).mount("muxi")), {"username": "ann", "password": PASSWORD}
    assert client.post("/auth/register", json={**form, "email": "ann@example.org"}).status_code == 200
    first = client.post("/auth/token", data=form).json()["refresh_token"]
    second = client.post("/auth/refresh", json={"refresh_token": first}).json()["refresh_token"]
    third = client.post("/auth/refresh", json={"refresh_token": second}).json()["refresh_token"]
    assert len({first, second, third}) == 3
    refused(client.post("/auth/refresh", json={"refresh_token": first}), 401, "Invalid refresh token", "Bearer")


def test_an_access_token_at_refresh_is_told_so_and_stays_good(person):
    token = person.client.token
    answer = person.client.post("/auth/refresh", json={"refresh_token": token}, token=None)
    refused(answer, 400, "Not a refresh token")
    assert person.client.get("/users/me").status_code == 200


def test_a_bad_refresh_token_has_one_fixed_text(person, anyone):
    good = person.log_in().json()["refresh_token"]
    for bad in ["", "junk", good[:-4] + "AAAA", good + "x", "dwr_1.0.AAAA"]:
        answer = anyone.post("/auth/refresh", json={"refresh_token": bad})
        refused(answer, 401, "Invalid refresh token", "Bearer")


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_a_refresh_token_or_junk_or_nothing_opens_no_route(person, anyone, method, path):
    refresh = person.log_in().json()["refresh_token"]
    refused(anyone.request(method, path, token=refresh), 401, "Invalid token", "Bearer")
    refused(anyone.request(method, path, token="junk"), 401, "Invalid token", "Bearer")
    refused(anyone.request(method, path), 401, "Not authenticated", "Bearer")


def test_logging_out_ends_both_tokens_at_once_and_after_a_restart(start, tmp_path):
    data, form = tmp_path / "data", {"username": "ann", "password": PASSWORD}
    server = start("dev", "--data-dir", data)
    client = Client(server.mount("muxi"), roaming=True)
    assert client.post("/auth/register", json={**form, "email": "ann@example.org"}).status_code == 200
    pair = client.post("/auth/token", data=form).json()
    access, refresh = pair["access_token"], pair["refresh_token"]
    answer = client.post("/auth/logout", token=access)
    assert (answer.status_code, answer.json()) == (200, {"message": "Successfully logged out"})

    def gone(client):
        refused(client.post("/auth/logout", token=access), 401, "Invalid token", "Bearer")
        refused(client.get("/users/me", token=access), 401, "Invalid token", "Bearer")
        refreshed = client.post("/auth/refresh", json={"refresh_token": refresh})
        refused(refreshed, 401, "Invalid refresh token", "Bearer")

    gone(client)
    server.program.stop()
    gone(Client(start("dev", "--data-dir", data).mount("muxi"), roaming=True))


def test_roles_decide_and_count_on_the_very_next_request(muxi, person):
    statuses = {
        "user": (200, 403, 403),
        "premium": (200, 200, 403),
        "admin": (200, 200, 200),
    }
    bodies = {
        "/features/basic": {"features": ["chat", "search"]},
        "/features/premium": {"features": ["chat", "search", "advanced_tools", "priority_support"]},
        "/admin/dashboard": {"admin": "dashboard"},
    }
    user_id = claims(person.client.token)["sub"]
    admin = Client(muxi.url, muxi.admin_key)
    for role in ["user", "premium", "admin", "premium", "user"]:
        changed = admin.patch(f"/v1/users/{user_id}", json={"roles": [role]})
        assert changed.status_code == 200, changed.text
        for (path, body), status in zip(bodies.items(), statuses[role], strict=True):
            answer = person.client.get(path)
            assert answer.status_code == status, (role, path, answer.text)
            if status == 200:
                assert answer.json() == body
            else:
                refused(answer, 403, f"Requires {'admin' if path.startswith('/admin') else 'premium'} role")


def test_chat_answers_and_a_message_is_a_query_parameter(person):
    for path in ["/chat", "/chat/jwt"]:
        answer = person.client.post(path, params={"message": "hello there"})
        assert answer.status_code == 200, answer.text
        assert set(answer.json()) == {"response"}
        assert "hello there" in answer.json()["response"]
        absent = person.client.post(path)
        assert (absent.status_code, absent.json()["detail"][0]["loc"]) == (422, ["query", "message"])


@pytest.mark.parametrize("header", ["X-API-Key", "X-Muxi-Client-Key", "X-Muxi-Admin-Key"])
def test_an_api_key_opens_chat_in_each_of_its_headers(muxi, anyone, header):
    answer = anyone.post("/chat/api-key", params={"message": "hi"}, headers={header: muxi.admin_key})
    assert answer.status_code == 200, answer.text
    assert "hi" in answer.json()["response"]


def test_a_bad_key_is_refused_in_the_words_of_its_generation(muxi, person, anyone):
    for key in ["user_api_key_123", muxi.admin_key[:-2] + "xx"]:
        for header, challenge in [
            ("X-API-Key", "API-Key"),
            ("X-Muxi-Client-Key", 'ApiKey realm="client", header="X-Muxi-Client-Key"'),
            ("X-Muxi-Admin-Key", 'ApiKey realm="admin", header="X-Muxi-Admin-Key"'),
        ]:
            answer = anyone.post("/chat/api-key?message=x", headers={header: key})
            refused(answer, 401, "Invalid API key", challenge)
    refused(anyone.post("/chat/api-key?message=x"), 401, "Invalid API key", "API-Key")
    refused(person.client.post("/chat/api-key?message=x"), 401, "Invalid API key", "API-Key")


def test_a_token_without_a_username_and_one_of_a_removed_user_are_refused(muxi, person, anyone):
    admin = Client(muxi.url, muxi.admin_key)
    user_id = claims(person.client.token)["sub"]
    made = admin.post("/v1/tokens", json={"user_id": user_id})
    assert made.status_code == 201, made.text
    refused(anyone.get("/users/me", token=made.json()["access_token"]), 401, "Invalid token", "Bearer")
    assert admin.delete(f"/v1/users/{user_id}").status_code == 204
    refused(person.client.get("/users/me"), 401, "Invalid token", "Bearer")


def test_too_many_log_ins_are_slowed_down_for_that_address_alone(person, url):
    guesser = Client(url)
    for _ in range(30):
        answer = guesser.post("/token", data={"username": person.name, "password": "wrong wrong wrong 1"})
        if answer.status_code == 429:
            break
    refused(answer, 429, "Too many login attempts")
    assert int(answer.headers["Retry-After"]) > 0
    assert Client(url).post("/token", data={"username": person.name, "password": PASSWORD}).status_code == 200


def test_only_a_listed_origin_is_let_in(person, anyone):
    for origin, let_in in [("https://app.example", "https://app.example"), ("https://evil.example", None)]:
        asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
        before = anyone.request("OPTIONS", "/users/me", headers=asked)
        actual = person.client.get("/users/me", headers={"Origin": origin})
        missing = anyone.get("/users/me", headers={"Origin": origin})
        assert (before.status_code, actual.status_code, missing.status_code) == (204, 200, 401)
        for answer in (before, actual, missing):
            assert answer.headers.get("Access-Control-Allow-Origin") == let_in
            assert "Access-Control-Allow-Credentials" not in answer.headers
            assert "Origin" in answer.headers["Vary"]
        assert ("authorization" in before.headers.get("Access-Control-Allow-Headers", "")) == bool(let_in)


def test_the_pages_are_there_only_where_they_are_wanted(anyone, start, tmp_path):
    for path in ["/docs", "/redoc"]:
        page = anyone.get(path)
        assert page.status_code == 200
        assert 'action="token"' in page.text
        assert "script" not in page.text
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    scheme = anyone.get("/openapi.json").json()["components"]["securitySchemes"]["OAuth2PasswordBearer"]
    assert scheme["flows"]["password"]["tokenUrl"] == "token"
    config = tmp_path / "doorward.toml"
    config.write_text("[mounts.muxi]\ndocs = false\n")
    closed = Client(start("dev", "--config", config).mount("muxi"))
    for path in ["/docs", "/redoc", "/openapi.json"]:
        assert closed.get(path).status_code == 404, path


# What a setting of its own shows ---------------------------------------------------------------


def configured(start, tmp_path, text: str):
    config = tmp_path / "doorward.toml"
    config.write_text(text)
    return start("dev", "--config", config)


def registered(url: str, name: str = "ann") -> tuple[Client, dict]:
    client = Client(url)
    form = {"username": name, "password": PASSWORD, "email": f"{name}@example.org"}
    made = client.post("/auth/register", json=form)
    assert made.status_code == 200, made.text
    client.token = made.json()["access_token"]
    return client, client.post("/auth/token", data=form, token=None).json()


def test_a_limit_of_log_ins_is_kept_for_each_address(start, tmp_path):
    limit = '[rate_limits.login]\nactions = ["session:login"]\nrequests = 4\n'
    url = configured(start, tmp_path, limit).mount("muxi")
    client, _ = registered(url)
    form = {"username": "ann", "password": PASSWORD}
    statuses = [client.post("/token", data=form, token=None).status_code for _ in range(2)]
    assert statuses == [200, 200], "registering and its log-in were the first two"
    limited = client.post("/token", data=form, token=None)
    refused(limited, 429, "Too many login attempts")
    assert 0 < int(limited.headers["Retry-After"]) <= 60
    assert limited.headers["RateLimit-Remaining"] == "0"
    assert Client(url).post("/token", data=form).status_code == 200, "another address"


def test_expired_and_revoked_tokens_have_the_fixed_texts(start, tmp_path):
    short = "[tokens]\naccess_ttl_s = 1\nrefresh_ttl_s = 2\n"
    client, granted = registered(configured(start, tmp_path, short).mount("muxi"))
    access, refresh = granted["access_token"], granted["refresh_token"]

    def get(token):
        return client.get("/users/me", token=token)

    wait_until(lambda: get(access).status_code == 401, "the access token's end")
    refused(get(access), 401, "Invalid token", "Bearer")
    ask = {"refresh_token": refresh}

    def exchanged():
        return client.post("/auth/refresh", json=ask, token=None)

    wait_until(lambda: exchanged().status_code == 401, "the refresh token's end")
    refused(exchanged(), 401, "Invalid refresh token", "Bearer")


def test_a_refresh_token_of_a_session_that_ended_has_the_fixed_text(person):
    granted = person.log_in().json()
    assert person.client.post("/auth/logout", token=granted["access_token"]).status_code == 200
    answer = person.client.post("/auth/refresh", json={"refresh_token": granted["refresh_token"]}, token=None)
    refused(answer, 401, "Invalid refresh token", "Bearer")


def test_a_token_of_our_own_key_without_sub_or_username_is_refused(start, tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path / "signing.pem"
    path.write_bytes(pem)
    path.chmod(0o600)
    server = configured(start, tmp_path, f'[tokens]\nalgorithm = "ES256"\nkey_files = ["{path}"]\n')
    client, granted = registered(server.mount("muxi"))
    whole = claims(granted["access_token"])
    header = jwt.get_unverified_header(granted["access_token"])

    def signed(**changes) -> str:
        body = {name: value for name, value in {**whole, **changes}.items() if value is not None}
        return jwt.encode(body, pem, algorithm="ES256", headers={"kid": header["kid"], "typ": header["typ"]})

    assert client.get("/users/me", token=signed()).status_code == 200, "it is as good as ours"
    assert whole["username"] == "ann"
    for lacking in ("sub", "username", "jti", "iat", "exp"):
        refused(client.get("/users/me", token=signed(**{lacking: None})), 401, "Invalid token", "Bearer")


def test_the_agent_learns_who_chats(start, tmp_path):
    url = configured(start, tmp_path, '[agents]\nrunner = "config"\n').mount("muxi")
    for name in ("ann", "bob"):
        client, granted = registered(url, name)
        answer = client.post("/chat?message=hello")
        assert answer.status_code == 200, answer.text
        assert claims(granted["access_token"])["sub"] in answer.json()["response"]


def test_introspection_says_of_a_token_what_using_it_says(muxi, person):
    """A log-in here gives an access token that the native mount takes too, and a refresh token that it does not."""
    granted = person.log_in().json()
    admin = Client(muxi.url, muxi.admin_key)

    def active(token: str) -> bool:
        return admin.post("/v1/introspect", json={"token": token}).json()["active"]

    access, refresh = granted["access_token"], granted["refresh_token"]
    used = Client(muxi.url, access).get("/v1/me").status_code == 200
    assert used is True and active(access) is used
    asked = {"grant_type": "refresh_token", "refresh_token": refresh}
    exchanged = Client(muxi.url).post("/v1/token", json=asked).status_code == 200
    assert exchanged is False and active(refresh) is exchanged
