"""Stands for `hypha.core`: who somebody is, and what they may do where."""

import enum

from _doorward_hypha.model import (
    NEEDED, Model, ValidationError, anything, bounded, email, flag, list_of, map_of, number, one_of, optional, text, whole,
)

__all__ = [
    "ScopeInfo", "ServiceInfo", "UserInfo", "UserPermission", "UserTokenInfo", "ValidationError", "VisibilityEnum", "WorkspaceInfo", "auth",
]


class UserPermission(str, enum.Enum):
    """What somebody may do in a workspace; each includes those before it."""

    read = "r"
    read_write = "rw"
    admin = "a"


class VisibilityEnum(str, enum.Enum):
    """Who sees a service."""

    public = "public"
    protected = "protected"
    unlisted = "unlisted"


_STRENGTH = {UserPermission.read: 1, UserPermission.read_write: 2, UserPermission.admin: 3}


class ScopeInfo(Model):
    """What a token is good for: permissions by workspace, where it belongs, and scopes of other kinds."""

    _open = True
    _fields = {
        "current_workspace": (optional(text), None),
        "workspaces": (lambda value: map_of(one_of(UserPermission))({} if value is None else value), {}),
        "client_id": (optional(text), None),
        "extra_scopes": (lambda value: list_of(text)([] if value is None else value), []),
    }

    def get_specialized_scopes(self):
        """Those of the form `resource:action`: a token that has any is good for nothing else."""
        return [scope for scope in self.extra_scopes or [] if ":" in scope]

    def is_specialized(self):
        return bool(self.get_specialized_scopes())

    def has_scope(self, required_scope):
        return required_scope in (self.extra_scopes or [])

    def get_scope_with_prefix(self, prefix):
        return next((scope for scope in self.extra_scopes or [] if scope.startswith(prefix)), None)

    def has_scope_prefix(self, prefix):
        return self.get_scope_with_prefix(prefix) is not None


class UserInfo(Model):
    """Who somebody is. The real one wants `roles` and `is_anonymous` always; here they may be left out."""

    _fields = {
        "id": (text, NEEDED),
        "roles": (list_of(text), []),
        "is_anonymous": (flag, False),
        "scope": (optional(ScopeInfo.model_validate), None),
        "email": (optional(email), None),
        "parent": (optional(text), None),
        "expires_at": (optional(number), None),
        "current_workspace": (optional(text), None),
    }

    def _begin(self):
        self._metadata = {}

    @classmethod
    def from_context(cls, context):
        """Whoever called a service that has `context`."""
        user = cls.model_validate(dict(context["user"]))
        user.current_workspace = context.get("ws")
        return user

    def get_workspace(self):
        return f"ws-user-{self.id}"

    def get_effective_user_id(self):
        return self.parent or self.id

    def get_metadata(self, key=None):
        return self._metadata.get(key) if key else self._metadata

    def set_metadata(self, key, value):
        self._metadata[key] = value

    def get_permission(self, workspace):
        """The stronger of what they may do there and what they may do everywhere; `None` for nothing."""
        if not self.scope:
            return None
        found = [self.scope.workspaces[name] for name in ("*", workspace) if self.scope.workspaces.get(name) is not None]
        return max((UserPermission(one) for one in found), key=_STRENGTH.__getitem__, default=None)

    def check_permission(self, workspace, minimal_permission):
        held = self.get_permission(workspace)
        return held is not None and _STRENGTH[held] >= _STRENGTH[UserPermission(minimal_permission)]

    def is_specialized_token(self):
        return self.scope is not None and self.scope.is_specialized()

    def has_scope(self, required_scope):
        return self.scope is not None and self.scope.has_scope(required_scope)

    def validate_for_general_access(self):
        if self.is_specialized_token():
            held = ", ".join(self.scope.get_specialized_scopes())
            raise PermissionError(f"Specialized token with scopes [{held}] cannot be used for general workspace access")

    def validate_scope(self, required_scope):
        if self.is_specialized_token() and not self.has_scope(required_scope):
            raise PermissionError(f"Token does not have required scope '{required_scope}'")


class UserTokenInfo(Model):
    """A token, and what is known of whose it is."""

    _fields = {
        "token": (bounded(4096), NEEDED),
        "workspace": (optional(text), None),
        "expires_in": (optional(whole), None),
        "email": (optional(email), None),
        "email_verified": (optional(flag), None),
        "name": (optional(bounded(64)), None),
        "nickname": (optional(bounded(64)), None),
        "user_id": (optional(bounded(64)), None),
        "picture": (optional(text), None),
    }


class ServiceInfo(Model):
    """A service as it is listed."""

    _open = True
    _fields = {
        "config": (optional(anything), None),
        "id": (text, NEEDED),
        "name": (optional(text), None),
        "type": (optional(text), "generic"),
        "description": (optional(bounded(1024)), None),
        "docs": (optional(text), None),
        "app_id": (optional(text), None),
        "service_schema": (optional(anything), None),
    }


class WorkspaceInfo(Model):
    """A workspace as it is listed."""

    _open = True
    _fields = {
        "type": (text, "workspace"),
        "id": (optional(text), None),
        "name": (text, NEEDED),
        "description": (optional(text), None),
        "persistent": (optional(flag), False),
        "owners": (lambda value: list_of(text)([] if value is None else value), []),
        "read_only": (optional(flag), False),
        "icon": (optional(text), None),
        "covers": (optional(anything), None),
        "docs": (optional(text), None),
        "service_types": (optional(anything), {}),
        "config": (optional(anything), {}),
        "status": (optional(anything), None),
    }

    def _begin(self):
        if self.id is None:
            self.id = self.name

    def owned_by(self, user_info):
        """Whether somebody is among its owners, by id or by e-mail."""
        return user_info.id in self.owners or user_info.email is not None and user_info.email in self.owners


def root_user():
    """Whom start-up functions act as."""
    return UserInfo(id="root", roles=["admin"], scope=ScopeInfo(workspaces={"*": UserPermission.admin}))


# Files use it as an attribute too. It stands last: it takes names from here.
from hypha.core import auth  # noqa: E402
