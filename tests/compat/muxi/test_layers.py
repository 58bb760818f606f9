"""What needs more than requests: a clock, a browser, the store seen from outside, a second process
(M-041, M-044, M-045, M-051, M-071, M-079, M-087)."""

import contextlib
import json
import sqlite3
from uuid import uuid4

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from harness.browser import open_browser, screenshot
from harness.client import Client
from harness.clock import HOUR_S, Clock
from harness.doorward import Doorward, command_json
from harness.programs import wait_until

PASSWORD = "correct horse battery staple 7"
ROUTES = {"/features/basic": "user", "/features/premium": "premium", "/admin/dashboard": "admin"}


def register(url: str, name: str = "") -> tuple[str, Client]:
    name = name or f"person-{uuid4().hex[:12]}"
    client = Client(url)
    body = {"username": name, "password": PASSWORD, "email": f"{name}@example.org"}
    made = client.post("/auth/register", json=body)
    assert made.status_code == 200, made.text
    client.token = made.json()["access_token"]
    return name, client


def user_id(server: Doorward, name: str) -> str:
    return server.command("user", "show", name)["id"]


def test_the_user_behind_a_key_is_looked_up_for_each_key(start, tmp_path):
    config = tmp_path / "doorward.toml"
    config.write_text('[agents]\nrunner = "config"\n')
    server = start("dev", "--config", config)
    url = server.mount("muxi")
    for name in (register(url)[0], register(url)[0]):
        made = server.command("key", "create", "--user", name, "--name", "chat", "--expires", "1d")
        answer = Client(url).post("/chat/api-key?message=hello", headers={"X-API-Key": made["key"]})
        assert answer.status_code == 200, answer.text
        assert user_id(server, name) in answer.json()["response"]


def test_the_right_password_gets_in_a_wrong_one_does_not_and_argon2id_is_kept(muxi):
    url = muxi.mount("muxi")
    name, _ = register(url)
    client = Client(url)
    assert client.post("/token", data={"username": name, "password": PASSWORD}).status_code == 200
    assert client.post("/token", data={"username": name, "password": f"{PASSWORD}!"}).status_code == 401
    with contextlib.closing(sqlite3.connect(f"file:{muxi.data_dir}/doorward.db?mode=ro", uri=True)) as store:
        tables = [row[0] for row in store.execute("SELECT name FROM sqlite_master WHERE sql LIKE '%phc%'")]
        kept = [row[0] for table in tables for row in store.execute(f"SELECT phc FROM {table}")]
    assert kept and all(phc.startswith("$argon2id$v=19$m=") for phc in kept)
    assert not any(PASSWORD in phc for phc in kept)


def test_the_docs_page_offers_a_log_in_that_works_in_a_browser(muxi, tmp_path):
    url = muxi.mount("muxi")
    name, _ = register(url)
    described = requests.get(f"{url}/openapi.json", timeout=10).json()
    scheme = described["components"]["securitySchemes"]["OAuth2PasswordBearer"]
    assert scheme["flows"]["password"]["tokenUrl"] == "token"
    browser = open_browser()
    try:
        browser.get(f"{url}/docs")
        screenshot(browser, tmp_path / "docs.png")
        browser.find_element("name", "username").send_keys(name)
        browser.find_element("name", "password").send_keys(PASSWORD)
        browser.find_element("tag name", "button").click()
        wait_until(lambda: "access_token" in browser.page_source, "the token")
        granted = json.loads(browser.find_element("tag name", "body").text)
        assert PASSWORD not in browser.current_url
    finally:
        browser.quit()
    assert Client(url, granted["access_token"]).get("/users/me").json()["username"] == name


ORDER = ["user", "premium", "admin"]


@pytest.mark.parametrize("role", ORDER)
def test_admin_is_above_premium_above_user(muxi, role):
    url = muxi.mount("muxi")
    name, client = register(url)
    changed = Client(muxi.url, muxi.admin_key).patch(f"/v1/users/{user_id(muxi, name)}", json={"roles": [role]})
    assert changed.status_code == 200, changed.text
    for path, needed in ROUTES.items():
        expected = 200 if ORDER.index(role) >= ORDER.index(needed) else 403
        assert client.get(path).status_code == expected, (role, path)


def test_a_token_that_names_no_role_or_an_unknown_one_counts_as_what_its_user_is(start, tmp_path):
    """Tokens of our own key, made by another library: what they say of roles gives nothing."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "signing.pem").write_bytes(pem)
    (tmp_path / "signing.pem").chmod(0o600)
    config = tmp_path / "doorward.toml"
    config.write_text(f'[tokens]\nalgorithm = "ES256"\nkey_files = ["{tmp_path / "signing.pem"}"]\n')
    url = start("dev", "--config", config).mount("muxi")
    _, client = register(url)
    header = jwt.get_unverified_header(client.token)
    whole = jwt.decode(client.token, options={"verify_signature": False})
    for roles in (None, [], ["superuser"], ["admin"], "admin"):
        body = {name: value for name, value in {**whole, "roles": roles}.items() if value is not None}
        token = jwt.encode(body, pem, algorithm="ES256", headers={"kid": header["kid"], "typ": header["typ"]})
        statuses = [Client(url, token).get(path).status_code for path in ROUTES]
        assert statuses == [200, 403, 403], roles


def test_an_unknown_role_is_refused_everywhere(muxi):
    name, _ = register(muxi.mount("muxi"))
    admin = Client(muxi.url, muxi.admin_key)
    given = admin.patch(f"/v1/users/{user_id(muxi, name)}", json={"roles": ["superuser"]})
    assert (given.status_code, given.json()["code"]) == (400, "unknown_role")
    made = admin.post("/v1/users", json={"username": f"{name}-2", "password": PASSWORD, "roles": ["superuser"]})
    assert (made.status_code, made.json()["code"]) == (400, "unknown_role")


def test_an_internal_error_shows_a_fixed_text_and_its_id_alone(start):
    server = start("dev")
    url = server.mount("muxi")
    _, client = register(url)
    with contextlib.closing(sqlite3.connect(f"{server.data_dir}/doorward.db")) as outsider:
        outsider.execute("DROP TABLE session")
        outsider.commit()
    body = {"username": "late", "password": PASSWORD, "email": "late@example.org"}
    answer = client.post("/auth/register", json=body, token=None)
    assert answer.status_code in (500, 503), answer.text
    for inner in ("sql", "table", "session", "panic", ".rs", "/", "traceback", "doorward.db"):
        assert inner not in answer.text.lower(), (inner, answer.text)
    assert answer.headers["X-Request-ID"] in server.log, "the log says what it was"


def test_a_revocation_reaches_a_running_server_from_another_process_and_outlives_a_restart(start, tmp_path):
    data = tmp_path / "data"
    server = start("dev", "--data-dir", data)
    name, client = register(server.mount("muxi"))
    assert client.get("/users/me").status_code == 200
    command_json("token", "revoke", "--user", name, "--data-dir", data, cwd=tmp_path)
    wait_until(lambda: client.get("/users/me").status_code == 401, "the other process's revocation", limit_s=5)
    token = client.token
    server.program.stop()
    again = start("dev", "--data-dir", data)
    assert Client(again.mount("muxi"), token).get("/users/me").status_code == 401


def test_one_refresh_token_works_twice_an_hour_apart(tmp_path):
    clock = Clock(tmp_path)
    home = tmp_path / "home"
    with Doorward("dev", "--listen", "127.0.0.1:0", home=home, environment=clock.environment) as server:
        url = server.mount("muxi")
        name, _ = register(url)
        granted = Client(url).post("/auth/token", data={"username": name, "password": PASSWORD}).json()
        body = {"refresh_token": granted["refresh_token"]}
        first = Client(url).post("/auth/refresh", json=body)
        assert first.status_code == 200 and "refresh_token" not in first.json(), first.text
        clock.set(HOUR_S + 60)
        old = Client(url, first.json()["access_token"]).get("/users/me")
        assert old.status_code == 401, "the first access token has run out"
        second = Client(url).post("/auth/refresh", json=body)
        assert second.status_code == 200, second.text
        assert Client(url, second.json()["access_token"]).get("/users/me").status_code == 200
