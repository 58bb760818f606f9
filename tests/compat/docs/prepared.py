"""The store that pages speak of: an administrator, a session, a token, a thread, keys, roles, files that commands name."""

import base64
import hashlib
import json
import re
import secrets
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from docs.stage import PASSWORD
from harness.client import Client
from harness.doorward import Doorward, command_json

SETTINGS = """
[store]
path = "data/doorward.db"

[secrets]
master_key_file = "master.key"

[mounts.native]
sign_up = "open"

[webhooks.ops]
url = "RECEIVER/hook"
secret = "WEBHOOK_SECRET"

[outbound]
allow = ["RECEIVER"]

[roles.editor]
inherits = ["user"]
permissions = ["thread:read@any"]
"""
WEBHOOK_SECRET = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
POLICY = '[who.ada]\nroles = ["user"]\n\n[[cases]]\nname = "ada reads"\nwho = "ada"\naction = "thread:read"\nowner = "ada"\nexpect = "allow"\n'
PERSON = '{"email": "new@example.com", "email_confirmed": true, "roles": ["user"]}\n'


@dataclass
class Prepared:
    """The directory, and what the placeholders of the pages are in it."""

    home: Path
    placeholders: dict[str, str]

    def fill(self, text: str) -> str:
        for written, real in self.placeholders.items():
            text = text.replace(written, real)
        return text


def prepare(home: Path, receiver: str) -> Prepared:
    """Makes the directory; `receiver` is where webhooks go."""
    home.mkdir(mode=0o700)

    def write(name: str, text: str) -> None:
        (home / name).write_text(text)
        (home / name).chmod(0o600)

    write("doorward.toml", SETTINGS.replace("RECEIVER", receiver).replace("WEBHOOK_SECRET", WEBHOOK_SECRET))
    write("master.key", secrets.token_hex(32))
    write("policy-tests.toml", POLICY)
    write("users.json", PERSON)
    write("accounts.jsonl", PERSON)
    write("agentflow.json", '{"agent": "graph:app", "auth": "jwt", "env": ".env"}')
    write("langgraph.json", '{"graphs": {"agent": "./graph.py:graph"}, "auth": {"path": "./auth.py:auth"}}')
    write("auth.py", "from langgraph_sdk import Auth\n\nauth = Auth()\n\n\n@auth.authenticate\nasync def who(authorization: str | None):\n    return 'ann'\n")
    write("my_auth.py", "async def hypha_startup(server):\n    pass\n")
    write("local_auth.py", (home / "my_auth.py").read_text())
    write(".env", "JWT_SECRET_KEY=Zb2mVJk1Xe0c4WqYt7Rr8Lh5Sf3Dg6Na\nJWT_ALGORITHM=HS256\n")
    (home / "data").mkdir(mode=0o700)
    others = sqlite3.connect(home / "users.db")
    others.execute("create table users (id text, email text, name text, salt text, password_hash text, roles text)")
    old = hashlib.sha256(b"passwordab").hexdigest()
    others.execute("insert into users values ('1', 'old@example.com', 'Old', 'ab', ?, '[\"user\"]')", [old])
    others.commit()
    others.close()

    def command(*words: str, typed: str = ""):
        return command_json(*words, "--config", "doorward.toml", cwd=home, typed=typed)

    command("migrate", "apply")
    ada = command("user", "create", "--username", "ada", "--role", "admin", "--password-stdin", typed=PASSWORD)
    bob = command("user", "create", "--username", "bob", "--password-stdin", typed=PASSWORD)
    key = command("key", "create", "--user", "bob", "--name", "laptop", "--scope", "read", "--expires", "90d")
    with Doorward("serve", "--listen", "127.0.0.1:0", "--config", home / "doorward.toml", home=home / "run") as server:
        client = Client(server.url)
        token = client.post("/v1/token", json={"grant_type": "password", "username": "bob", "password": PASSWORD}).json()
        thread = client.post("/v1/threads", json={}, token=token["access_token"]).json()
    jti = command("token", "inspect", "--token-stdin", typed=token["access_token"])
    old = command("token", "keys")
    command("token", "rotate-key")
    found = json.dumps([ada, bob, key, token, thread, jti, old])

    def one(prefix: str, inside: object = found) -> str:
        return re.search(rf"{prefix}_[0-9A-Za-z]+", json.dumps(inside) if not isinstance(inside, str) else inside)[0]

    placeholders = {
        "usr_…": one("usr", bob),
        "ses_…": one("ses", token),
        "tok_…": one("tok", jti),
        "key_…": one("key", key),
        "thr_01a2…": one("thr", thread),
        "thr_…": one("thr", thread),
        "sig_…": one("sig", old),
        "idn_…": "idn_0123456789abcdef",
        "whsec_…": WEBHOOK_SECRET,
    }
    database = sqlite3.connect(home / "data" / "doorward.db")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return Prepared(home, placeholders)
