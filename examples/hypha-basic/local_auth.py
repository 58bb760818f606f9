"""People with a name and a password in a table of this file's own: sign-up, log-in and a page, with tokens that Doorward makes."""

import hashlib
import hmac
import secrets
from pathlib import Path

from hypha.core import UserInfo, UserPermission
from hypha.core.auth import create_scope, generate_auth_token

PAGE = Path(__file__).with_name("page.html").read_text()
DAY_S = 86_400
PEOPLE = {}  # By e-mail address; gone when the server stops. A database belongs here.


def scrambled(password, salt):
    return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1)


NOBODY = {"salt": secrets.token_bytes(16), "hash": b""}


async def index(event):
    return {"status": 200, "headers": {"Content-Type": "text/html; charset=utf-8"}, "body": PAGE}


def signup(email=None, password=None, context=None):
    if not email or len(password or "") < 10:
        return {"success": False, "error": "An e-mail address and a password of ten characters, please"}
    salt = secrets.token_bytes(16)
    person = {"id": f"local-{secrets.token_hex(8)}", "salt": salt, "hash": scrambled(password, salt)}
    if PEOPLE.setdefault(email, person) is not person:
        return {"success": False, "error": "Email already registered"}
    return {"success": True, "user_id": person["id"]}


async def login(email=None, password=None, context=None):
    person = PEOPLE.get(email, NOBODY)  # Nobody's password costs as much time as anybody's.
    if not hmac.compare_digest(scrambled(password or "", person["salt"]), person["hash"]):
        return {"success": False, "error": "Invalid credentials"}
    own = f"ws-user-{person['id']}"
    scope = create_scope({own: UserPermission.admin}, current_workspace=own)
    user = UserInfo(id=person["id"], email=email, roles=["user"], is_anonymous=False, scope=scope)
    return {"success": True, "email": email, "token": await generate_auth_token(user, DAY_S)}


async def hypha_startup(server):
    await server.register_auth_service(index_handler=index, signup=signup, login=login)
