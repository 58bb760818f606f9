"""Stands for `hypha.core.auth`. Doorward itself reads and makes tokens; its secret is not here, so nothing here can be made with it."""

import base64
import os
import time

from _doorward_asking import _ask
from hypha.core import ScopeInfo, UserInfo, UserPermission
from hypha.utils import random_id

AUTH0_CLIENT_ID = os.environ.get("AUTH0_CLIENT_ID", "")
AUTH0_DOMAIN = os.environ.get("AUTH0_DOMAIN", "")
AUTH0_AUDIENCE = os.environ.get("AUTH0_AUDIENCE", "https://amun-ai.eu.auth0.com/api/v2/")
AUTH0_ISSUER = os.environ.get("AUTH0_ISSUER", "https://amun.ai/")
AUTH0_NAMESPACE = os.environ.get("AUTH0_NAMESPACE", "https://amun.ai/")
#: What the operator lets this process see, or nothing: Doorward's own secret never leaves it.
JWT_SECRET = os.environ.get("HYPHA_JWT_SECRET") or os.environ.get("JWT_SECRET")
LOGIN_SERVICE_URL = "/public/services/hypha-login"
LOGIN_KEY_PREFIX = "login_key:"
MAXIMUM_LOGIN_TIME = os.environ.get("MAXIMUM_LOGIN_TIME", "180")


def _refused(said):
    from fastapi import HTTPException

    refused = said.get("refused") or {}
    return HTTPException(status_code=refused.get("status", 401), detail=refused.get("detail", "Unauthorized"))


def _without_scheme(authorization):
    if not isinstance(authorization, str):
        raise TypeError(f"a token is a str, not {type(authorization).__name__}")
    token = authorization.strip()
    if token[:7].lower() == "bearer ":
        token = token[7:].strip()
    assert token, "Authorization is required"
    return token


def _parse_token(authorization, expected_workspace=None):
    """Who a token of Doorward's is, whatever hooks there are: its own tokens, API keys and the root token. Raises `HTTPException`."""
    said = _ask("parse_token", token=_without_scheme(authorization))
    if "user" not in said:
        raise _refused(said)
    user = UserInfo.model_validate(said["user"])
    if expected_workspace is not None:
        current = user.scope.current_workspace if user.scope else None
        if current != expected_workspace:
            from fastapi import HTTPException

            detail = f"Current workspace encoded in the token ({current}) does not match the expected workspace ({expected_workspace})"
            raise HTTPException(status_code=403, detail=detail)
    # Doorward knows the token again by this, if the hook answers with its user.
    user._doorward = (said.get("handle"), user.model_dump(mode="json"))
    return user


def _handle_of(user):
    return user.__dict__.get("_doorward") or (None, None)


def valid_token(authorization):
    """As `_parse_token`, but as the map of claims that a token of Hypha's holds."""
    user = _parse_token(authorization)
    claims = {"iss": AUTH0_ISSUER, "aud": AUTH0_AUDIENCE, "sub": user.id, "exp": user.expires_at}
    claims["scope"] = generate_jwt_scope(user.scope or ScopeInfo())
    claims.update({AUTH0_NAMESPACE + name: getattr(user, name) for name in ("roles", "email", "parent")})
    return claims


async def parse_auth_token(token, expected_workspace=None):
    """As `_parse_token`, and never the hook: a hook that asks cannot go in a circle."""
    return _parse_token(token, expected_workspace)


def _generate_presigned_token(user_info, expires_in):
    """A token of Doorward's for this user, good for so many seconds. Raises `HTTPException` where Doorward makes none."""
    assert isinstance(user_info, UserInfo), f"a UserInfo is needed, not {type(user_info).__name__}"
    assert expires_in > 0, "expires_in should be greater than 0"
    user = UserInfo.model_validate(user_info.model_dump()).model_dump(mode="json")
    said = _ask("issue_token", user=user, of=_handle_of(user_info)[0], expires_in=int(expires_in))
    if "token" not in said:
        raise _refused(said)
    return said["token"]


async def generate_auth_token(user_info, expires_in):
    return _generate_presigned_token(user_info, expires_in)


def generate_anonymous_user(scope=None):
    """Somebody whom nobody knows, for ten minutes."""
    expires_at = int(time.time()) + 600
    return UserInfo(id=f"anonymouz-{random_id(readable=True)}", is_anonymous=True, roles=["anonymous"], scope=scope, expires_at=expires_at)


def _pair(written):
    name, mark, permission = written.rpartition("#")
    if not mark or not name:
        raise ValueError(f"{written!r} is no workspace and permission, as in team#rw")
    return name, UserPermission(permission)


def parse_scope(scope):
    """Reads `ws:NAME#PERMISSION`, `cid:CLIENT`, `wid:WORKSPACE` and other scopes, with spaces between."""
    made = ScopeInfo()
    for one in (scope or "").split():
        if one.startswith("ws:"):
            name, permission = _pair(one[3:])
            made.workspaces[name] = permission
        elif one.startswith("cid:"):
            made.client_id = one[4:]
        elif one.startswith("wid:"):
            made.current_workspace = one[4:]
        else:
            made.extra_scopes.append(one)
    return made


def generate_jwt_scope(scope):
    """The text that `parse_scope` reads."""
    parts = [f"ws:{name}#{UserPermission(permission).value}" for name, permission in scope.workspaces.items()]
    parts += [f"cid:{scope.client_id}"] if scope.client_id else []
    parts += [f"wid:{scope.current_workspace}"] if scope.current_workspace else []
    return " ".join(parts + list(scope.extra_scopes or []))


def create_scope(workspaces=None, client_id=None, current_workspace=None, extra_scopes=None):
    """Permissions by workspace, as a map or as `"one#a,other#r"`."""
    if workspaces is None:
        workspaces = {}
    if isinstance(workspaces, str):
        workspaces = dict(_pair(one.strip()) for one in workspaces.split(",") if one.strip())
    return ScopeInfo(workspaces=workspaces, client_id=client_id, current_workspace=current_workspace, extra_scopes=extra_scopes)


def update_user_scope(user_info, workspace_info, client_id=None):
    """What somebody's token is good for in a workspace: what they may do there, and all of it if it is theirs."""
    held = user_info.scope or ScopeInfo()
    permission = user_info.get_permission(workspace_info.id)
    if permission is None and (user_info.get_workspace() == workspace_info.id or workspace_info.owned_by(user_info)):
        permission = UserPermission.admin
    workspaces = {**held.workspaces, **({workspace_info.id: permission} if permission else {})}
    if "admin" in user_info.roles:
        workspaces["*"] = UserPermission.admin
    return create_scope(workspaces, client_id=client_id, current_workspace=workspace_info.id, extra_scopes=held.extra_scopes)


def extract_token_from_authorization(authorization):
    """The token of `Bearer TOKEN`, of `Basic` as its password, or the whole header; `None` for none."""
    header = (authorization or "").strip()
    if header.lower().startswith("bearer "):
        return header[7:].strip() or None
    if header.lower().startswith("basic "):
        try:
            _, separator, password = base64.b64decode(header[6:].strip(), validate=True).decode().partition(":")
        except ValueError:
            return None
        return password if separator and password else None
    return header or None


async def extract_token_from_scope(scope):
    """The default sources of a request: Authorization, else the cookie `access_token`."""
    headers = [tuple(part.decode("latin-1") if isinstance(part, bytes) else part for part in pair) for pair in scope.get("headers", [])]
    for name, value in headers:
        if name.lower() == "authorization":
            return extract_token_from_authorization(value)
    for name, value in headers:
        if name.lower() == "cookie":
            for pair in value.split(";"):
                own, separator, token = pair.strip().partition("=")
                if separator and own == "access_token":
                    return token.strip() or None
    return None


def get_user_info(credentials):
    """Who a map of claims is about."""
    roles = credentials.get(AUTH0_NAMESPACE + "roles") or []
    scope = parse_scope(credentials.get("scope"))
    user = UserInfo(
        id=credentials.get("sub"),
        is_anonymous="anonymous" in roles,
        email=credentials.get(AUTH0_NAMESPACE + "email"),
        parent=credentials.get(AUTH0_NAMESPACE + "parent"),
        roles=roles,
        scope=scope,
        expires_at=credentials.get("exp"),
        current_workspace=scope.current_workspace,
    )
    scope.workspaces[user.get_workspace()] = UserPermission.admin
    return user


def get_user_email(token):
    return token.credentials.get(AUTH0_NAMESPACE + "email")


def get_user_id(token):
    return token.credentials.get("sub")


def _not_here(name, instead):
    return NotImplementedError(f"hypha.core.auth.{name} is not there with Doorward: {instead}")


def get_rsa_key(kid, refresh=False):
    raise _not_here("get_rsa_key", "name the issuer in the configuration, and _parse_token checks its tokens")


def set_root_token(root_token):
    raise _not_here("set_root_token", "the configuration names the root token")


def set_jwt_secret(secret):
    raise _not_here("set_jwt_secret", "the configuration names the secret")


def create_login_service(store):
    raise _not_here("create_login_service", "Doorward's own login service is there without it, and register_auth_service replaces its parts")


async def set_parse_token_function(auth_function):
    _hooks().set_hook("parse_token", auth_function)


async def set_generate_token_function(generate_token_function):
    _hooks().set_hook("generate_token", generate_token_function)


async def set_get_token_function(get_token_function):
    _hooks().set_hook("get_token", get_token_function)


def _hooks():
    from _doorward_hypha import current_hooks

    return current_hooks()
