"""Several ways to say who a token is, by how it begins: API keys, a partner's signed passes, and Doorward's own tokens."""

import hashlib
import hmac
import os
import time

from hypha.core import UserInfo, UserPermission
from hypha.core.auth import create_scope, parse_auth_token

#: By the SHA-256 of a key: whose it is.
KEYS = {"9beca0dde4a46a303bb9b0c98cd4a4667186cbcdb755d951b0cb9112907368b3": "robot"}
#: What the partner signs with. Doorward hands it on: see run.sh.
PARTNER_SECRET = os.environ["PARTNER_SECRET"].encode()


def user(id):
    own = f"ws-user-{id}"
    scope = create_scope({own: UserPermission.admin}, current_workspace=own)
    return UserInfo(id=id, email=f"{id}@example.org", roles=["user"], is_anonymous=False, scope=scope)


async def parse_key(token):
    known = KEYS.get(hashlib.sha256(token.encode()).hexdigest())
    if known is None:
        raise ValueError("Invalid API key")
    return user(known)


async def parse_pass(token):
    """A pass is `partner_NAME.END.SIGNATURE`: until END, in seconds, the partner vouches for NAME."""
    said, _, signature = token.rpartition(".")
    if not hmac.compare_digest(signature.encode(), hmac.new(PARTNER_SECRET, said.encode(), "sha256").hexdigest().encode()):
        raise ValueError("Invalid pass")
    name, _, end = said.removeprefix("partner_").partition(".")
    if int(end) < time.time():
        raise ValueError("Pass expired")
    return user(f"partner-{name}")


PROVIDERS = {"sk_": parse_key, "partner_": parse_pass}


async def parse_token(token):
    """What begins as a provider's token is that provider's alone: when it says no, nobody else is asked."""
    for prefix, parse in PROVIDERS.items():
        if token.startswith(prefix):
            return await parse(token)
    return await parse_auth_token(token)


async def hypha_startup(server):
    await server.register_auth_service(parse_token=parse_token)
