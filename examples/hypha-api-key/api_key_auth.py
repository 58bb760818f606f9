"""API keys of this file's own, in a header, beside Doorward's tokens. Kept are hashes: whoever reads this file has no key."""

import hashlib

from hypha.core import UserInfo, UserPermission
from hypha.core.auth import create_scope, parse_auth_token

#: By the SHA-256 of a key: whose it is, and what it may do in which workspace. A key has to be random; these stand in README.md.
KEYS = {
    "60b415254e4028d57737ed9e115f27bc8fde4ea318f9aca5e422c0518af83183": ("sensor", UserPermission.read_write),
    "b154b338512d6fe54395dbe766496cc341e2d2c9c829db73f0ded8a2518aea4c": ("reader", UserPermission.read),
}
WORKSPACE = "our-lab"


def get_token(scope):
    """Looks for a key in X-API-Key; what is not there is looked for in the usual places."""
    headers = dict(scope.get("headers") or [])
    return headers.get(b"x-api-key", b"").decode("latin-1") or None


async def parse_token(token):
    if not token.startswith("sk_"):
        return await parse_auth_token(token)  # One of Doorward's.
    known = KEYS.get(hashlib.sha256(token.encode()).hexdigest())
    if known is None:
        raise ValueError("Invalid API key")
    id, permission = known
    scope = create_scope({WORKSPACE: permission}, current_workspace=WORKSPACE)
    return UserInfo(id=id, email=f"{id}@example.org", roles=[], is_anonymous=False, scope=scope)


async def hypha_startup(server):
    await server.create_workspace({"id": WORKSPACE, "name": WORKSPACE, "persistent": True}, overwrite=True)
    await server.register_auth_service(get_token=get_token, parse_token=parse_token)
