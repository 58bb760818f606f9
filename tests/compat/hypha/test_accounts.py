"""Accounts of the document's sample move in, and what passwords new ones may have: H-080, H-089, H-090."""

import asyncio
import hashlib
import json
import re
import secrets
import sqlite3
from uuid import uuid4

import pytest
from hypha_rpc import login

from harness import native
from harness.client import Client
from harness.doorward import Doorward, run_command
from harness.hypha import LIMIT_S, Form, Hub, Visitor

PASSWORD = "a long enough passphrase 7"
COLUMNS = ("id", "email", "name", "password_hash", "salt", "roles")


@pytest.fixture(scope="module")
def open_hub(tmp_path_factory):
    """Where whoever comes may sign up by the page, too."""
    home = tmp_path_factory.mktemp("open")
    (home / "settings.toml").write_text('[mounts.hypha]\nsign_up = "open"\n')
    with Doorward("dev", "--listen", "127.0.0.1:0", "--config", home / "settings.toml", home=home) as server:
        yield Hub(server)


def hashed(password: str, salt: str) -> str:
    """What the sample keeps: one SHA-256, in hex, of the password and the salt's text behind it."""
    return hashlib.sha256((password + salt).encode()).hexdigest()


def row(name: str, roles=("user",), password: str = PASSWORD, **more) -> dict:
    salt = secrets.token_hex(32)
    account = {"id": name, "email": f"{name}@example.org", "name": name.title(), "password_hash": hashed(password, salt)}
    return {**account, "salt": salt, "roles": json.dumps(list(roles)), **more}


def exported(tmp_path, rows: list[dict]) -> str:
    """The sample's table `users`, made and filled by SQLite and read out as JSON, as a person would take it out."""
    with sqlite3.connect(tmp_path / "users.db") as base:
        base.execute("CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT NOT NULL, name TEXT, password_hash TEXT, salt TEXT, roles TEXT)")
        base.executemany(f"INSERT INTO users VALUES ({', '.join('?' * len(COLUMNS))})", [[one[name] for name in COLUMNS] for one in rows])
        base.row_factory = sqlite3.Row
        return json.dumps([dict(found) for found in base.execute("SELECT * FROM users ORDER BY rowid")])


def run(hub, *arguments, typed: str = ""):
    on = ("--data-dir", hub.server.data_dir, "--config", hub.config)
    return run_command("user", *arguments, *on, cwd=hub.server.home, typed=typed)


def imported(hub, rows: str, *more) -> tuple[int, dict]:
    done = run(hub, "import", "-", "--json", *more, typed=rows)
    return done.returncode, json.loads(done.stdout or done.stderr)


def kept(hub, email: str) -> dict:
    """The account with its hash, as an export has it."""
    done = run(hub, "export", "--with-password-hashes")
    assert done.returncode == 0, done.stderr
    return next(one for one in map(json.loads, done.stdout.splitlines()) if one["email"] == email)


async def logged_in(hub, email: str, password: str = PASSWORD) -> str:
    async def person(context):
        answer = await asyncio.to_thread(Visitor(hub).sign_in, context["login_url"], email, password)
        assert answer.status_code == 200, answer.text

    return await asyncio.wait_for(login({"server_url": hub.url, "login_callback": person, "login_timeout": 30}), 2 * LIMIT_S)


async def test_an_account_of_the_samples_table_logs_in_and_its_hash_becomes_argon2id(hub, tmp_path):
    name = f"happy-cat-{uuid4().hex[:8]}"
    account = row(name)
    code, done = imported(hub, exported(tmp_path, [account]))
    assert code == 0 and (done["format"], done["made"], done["refused"]) == ("hypha", 1, 0), done
    before = kept(hub, account["email"])
    assert before["password_hash"].startswith("$sha256-suffix$") and "$argon2id$" in before["password_hash"], "never a bare SHA-256"
    assert account["password_hash"] not in before["password_hash"]
    page = f"{hub.url}/public/apps/hypha-login/"
    wrong = await asyncio.to_thread(Visitor(hub).sign_in, page, account["email"], "not the password 1")
    assert wrong.status_code == 401 and kept(hub, account["email"]) == before
    token = await logged_in(hub, account["email"])
    async with hub.enter(token) as server:
        assert server.config.user["id"] == f"usr_{name}" and server.config.workspace == f"ws-user-usr_{name}"
    after = kept(hub, account["email"])
    assert re.match(r"\$argon2id\$v=19\$m=\d+,t=\d+,p=\d+\$", after["password_hash"]) and after["password_normalization"] == "NFKC", after
    assert await logged_in(hub, account["email"]), "and again, with the hash of today"
    assert kept(hub, account["email"]) == after


async def test_roles_are_kept_and_what_does_not_fit_is_reported_by_its_row(hub, tmp_path):
    new = f"cat-{uuid4().hex[:8]}"
    developer, same_address = row(f"a-{new}", ["user", "developer"]), row(f"b-{new}", email=f"A-{new}@example.org")
    unknown, boss, there = row(f"c-{new}", ["emperor"]), row(f"d-{new}", ["admin"]), hub.person(email=f"e-{new}@example.org")
    taken = row(f"e-{new}")
    good = row(f"f-{new}", ["staff"])
    file = exported(tmp_path, [developer, same_address, unknown, boss, taken, good])
    more = ("--map-role", "staff=user")
    for dry in (("--dry-run",), ()):
        code, done = imported(hub, file, *more, *dry)
        assert code == 1 and (done["rows"], done["made"], done["refused"]) == (6, 2, 4), done
        assert [one["code"] for one in done["refused_rows"]] == ["email_taken", "unknown_role", "administrator_unasked", "email_taken"], done
        assert "example.org" not in json.dumps(done), "a report names lines, nobody"
    token = await logged_in(hub, developer["email"])
    async with hub.enter(token) as server:
        assert set(server.config.user["roles"]) == {"user", "developer"}
    assert kept(hub, there.email)["id"] == there.id, "whoever has the address stays who they are"
    code, again = imported(hub, file, *more)
    assert (again["made"], again["already_there"], again["refused"]) == (0, 2, 4), again
    assert kept(hub, developer["email"])["password_hash"].startswith("$argon2id$"), "nobody's password goes back"


SURFACES = {
    "native": lambda hub, name, email, password: Client(hub.server.url).post("/v1/users", json={"username": name, "email": email, "password": password}),
    "muxi": lambda hub, name, email, password: Client(hub.server.mount("muxi")).post("/auth/register", json={"username": name, "email": email, "password": password}),
    "hypha": lambda hub, name, email, password: signed_up_by_page(hub, name, email, password),
}


def signed_up_by_page(hub, name: str, email: str, password: str):
    page, browser = f"{hub.url}/public/apps/hypha-login/", Visitor(hub)
    return browser.submit(page, browser.open(page).text, username=name, email=email, password=password, act="sign-up")


def reason_of(surface: str, answer) -> tuple[str, str]:
    """The code and which of its reasons, as the surface says them."""
    if surface == "hypha":
        assert Form(answer.text).action is not None, "the form is there again"
        said = re.search(r'role="alert" data-code="(\w+)" data-reason="(\w+)"', answer.text)
        return said.groups() if said else (answer.text, "")
    if surface == "muxi":
        flaw = answer.json()["detail"][0]
        return flaw["type"], flaw["ctx"]["reason"]
    return answer.json()["code"], answer.json()["reason"]


@pytest.mark.parametrize("surface", SURFACES)
def test_weak_passwords_are_refused_with_the_reason(open_hub, surface):
    name = f"margarete-{uuid4().hex[:8]}"
    email = f"{name}.winter@example.org"
    for password, reason in {
        "12345678": "common",
        "football1": "common",
        email: "own_name",
        f"{name}.winter": "own_name",
        name: "own_name",
        "kurz1!": "too_short",
        "zzzzzzzzzz": "repeated",
        "xyzxyzxyz": "guessable",
        "changeme": "printed",
    }.items():
        answer = SURFACES[surface](open_hub, name, email, password)
        assert 400 <= answer.status_code < 500, (password, answer.text)
        assert reason_of(surface, answer) == ("weak_password", reason), password
    made = SURFACES[surface](open_hub, name, email, native.PASSWORD)
    assert made.status_code in (200, 201), f"nothing was made before: {made.text}"
