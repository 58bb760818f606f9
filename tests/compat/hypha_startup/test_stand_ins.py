"""What stands for Hypha's package in start-up files (H-043, H-063, H-064, H-066, H-105; wire facts of `hypha.core` and `hypha.core.auth`)."""

import pytest


async def test_users_have_the_fields_defaults_and_dumps_of_the_real_ones(files):
    await files.checked("""
        from hypha.core import ScopeInfo, UserInfo, UserPermission
        from hypha.core.auth import create_scope
        user = UserInfo(id="ann", email="Ann@EXAMPLE.com", scope=create_scope({"team": UserPermission.read_write}, current_workspace="team"))
        assert user.model_dump(mode="json") == {
            "id": "ann", "roles": [], "is_anonymous": False, "email": "Ann@example.com", "parent": None, "expires_at": None, "current_workspace": None,
            "scope": {"current_workspace": "team", "workspaces": {"team": "rw"}, "client_id": None, "extra_scopes": []},
        }
        assert user.dict() == user.model_dump() and user.scope.workspaces["team"] is UserPermission.read_write
        assert UserInfo(id="bob").roles is not UserInfo(id="bob").roles
        assert UserInfo.model_validate(user.model_dump()) == user == UserInfo.model_validate_json(user.model_dump_json())
        other = user.model_copy(update={"id": "bob"})
        assert (user.id, other.id) == ("ann", "bob") and other != user and user.copy() == user
        assert "ann" in repr(user) and user.get_workspace() == "ws-user-ann"
        user.set_metadata("s3", 1)
        assert user.get_metadata("s3") == 1 and user.get_metadata() == {"s3": 1} and "s3" not in str(user.model_dump())
        user.current_workspace = "elsewhere"
        assert user.current_workspace == "elsewhere" and UserInfo(id="x", unknown=1) == UserInfo(id="x")
        assert UserInfo.from_context({"user": {"id": "c", "roles": []}, "ws": "w"}).current_workspace == "w"
        assert ScopeInfo(later=1).later == 1 and dict(user)["id"] == "ann"
    """)


async def test_a_field_that_is_wrong_is_named(files):
    await files.checked("""
        from hypha.core import ScopeInfo, UserInfo, UserTokenInfo
        wrong = [
            ({}, "id"), ({"id": 7}, "id"), ({"id": "a", "roles": "admin"}, "roles"), ({"id": "a", "roles": [1]}, "roles"), ({"id": "a", "is_anonymous": "no"}, "is_anonymous"),
            ({"id": "a", "scope": {"workspaces": {"w": "x"}}}, "scope.workspaces"), ({"id": "a", "scope": 7}, "scope."), ({"id": "a", "expires_at": "soon"}, "expires_at"),
            ({"id": "a", "expires_at": float("nan")}, "expires_at"),
            *(({"id": "a", "email": email}, "email") for email in ("x", "@x.com", "x@", "x@y", "a b@x.com", "a@x..com", "a@-x.com", ".a@x.com", "a..b@x.com", "a@x.com\\n", 7, "a@" + "x" * 250 + ".com")),
        ]
        for fields, name in wrong:
            try:
                UserInfo(**fields)
            except ValueError as error:
                assert str(error).startswith(f"UserInfo: {name}"), (fields, str(error))
            else:
                raise AssertionError(fields)
        assert UserInfo(id="a", email="first.last+tag@sub.example.org").email == "first.last+tag@sub.example.org"
        for fields in ({}, {"token": "x" * 5000}, {"token": "x", "email": "no"}):
            try:
                UserTokenInfo(**fields)
            except ValueError:
                continue
            raise AssertionError(fields)
        try:
            UserInfo(id="a").nonsense = 1
        except ValueError:
            pass
        else:
            raise AssertionError("a field that is none")
    """)


async def test_permissions_are_the_strongest_that_is_held(files):
    await files.checked("""
        from hypha.core import UserInfo, UserPermission, WorkspaceInfo
        from hypha.core.auth import create_scope, update_user_scope
        user = UserInfo(id="ann", scope=create_scope("team#rw,*#r"))
        assert user.get_permission("team") == UserPermission.read_write and user.get_permission("other") == "r"
        assert user.check_permission("team", UserPermission.read) and not user.check_permission("team", UserPermission.admin)
        assert UserInfo(id="x").get_permission("team") is None and not UserInfo(id="x").check_permission("team", "r")
        mine = update_user_scope(user, WorkspaceInfo(name="ws-user-ann"), "c1")
        assert (mine.current_workspace, mine.client_id) == ("ws-user-ann", "c1") and mine.workspaces["team"] == "rw"
        owned = WorkspaceInfo(name="owned", owners=["x@example.com"])
        assert update_user_scope(UserInfo(id="x", email="x@example.com"), owned).workspaces == {"owned": UserPermission.admin}
        assert update_user_scope(UserInfo(id="y"), owned).workspaces == {}
        assert update_user_scope(UserInfo(id="r", roles=["admin"]), owned).workspaces["*"] == "a"
        special = UserInfo(id="s", scope=create_scope({}, extra_scopes=["file:read", "openid"]))
        assert special.is_specialized_token() and special.has_scope("file:read") and special.scope.get_scope_with_prefix("file:") == "file:read"
        for check in (special.validate_for_general_access, lambda: special.validate_scope("file:write")):
            try:
                check()
            except PermissionError:
                continue
            raise AssertionError("a specialised token is good for its purpose alone")
        user.validate_for_general_access()
    """)


async def test_scopes_are_written_and_read(files):
    await files.checked("""
        from hypha.core.auth import create_scope, generate_jwt_scope, parse_scope
        scope = create_scope({"a": "a", "b": "r"}, client_id="c", current_workspace="a", extra_scopes=["openid"])
        assert generate_jwt_scope(scope) == "ws:a#a ws:b#r cid:c wid:a openid"
        assert parse_scope(generate_jwt_scope(scope)) == scope and parse_scope("") == create_scope() == parse_scope(None)
        for bad in ("ws:a#x", "ws:a", "ws:#a"):
            try:
                parse_scope(bad)
            except ValueError:
                continue
            raise AssertionError(bad)
    """)


async def test_tokens_are_read_and_made_by_doorward_alone(files):
    await files.checked("""
        from fastapi import HTTPException
        from hypha.core import UserInfo
        from hypha.core import auth
        user = auth._parse_token("Bearer good")
        assert user.email == "ann@example.com" and auth._parse_token("good") == user == await auth.parse_auth_token("good")
        made = auth._generate_presigned_token(UserInfo(id="bob", roles=["x"]), 60)
        assert auth._parse_token(made) == UserInfo(id="bob", roles=["x"]) and isinstance(await auth.generate_auth_token(user, 60), str)
        claims = auth.valid_token("good")
        assert claims["sub"] == "ann" and auth.get_user_info(claims).email == "ann@example.com"
        for bad, kind in (("junk", HTTPException), ("", AssertionError), (None, TypeError)):
            try:
                auth._parse_token(bad)
            except kind as error:
                assert kind is not HTTPException or (error.status_code, error.detail) == (401, "not one of ours")
            else:
                raise AssertionError(bad)
        try:
            auth._parse_token("good", expected_workspace="other")
        except HTTPException as error:
            assert error.status_code == 403
        else:
            raise AssertionError("another workspace")
        for name, args in (("get_rsa_key", ["kid"]), ("set_jwt_secret", ["s"]), ("set_root_token", ["t"]), ("create_login_service", [None])):
            try:
                getattr(auth, name)(*args)
            except NotImplementedError as error:
                assert name in str(error)
            else:
                raise AssertionError(name)
        try:
            auth._generate_presigned_token(user, 0)
        except AssertionError:
            pass
        else:
            raise RuntimeError("a token that is over at once")
    """)


async def test_the_default_sources_of_a_token(files):
    await files.checked("""
        import base64
        from hypha.core.auth import extract_token_from_authorization, extract_token_from_scope
        basic = "Basic " + base64.b64encode(b"git:tok:en").decode()
        for header, token in (("Bearer abc", "abc"), ("bearer  abc ", "abc"), ("abc", "abc"), (basic, "tok:en"), ("Basic !!", None), ("Basic " + base64.b64encode(b"x:").decode(), None), ("", None), (None, None), ("Bearer ", "Bearer")):
            assert extract_token_from_authorization(header) == token, header
        headers = [(b"cookie", b"x=1; access_token=fromcookie"), (b"authorization", b"Bearer fromheader")]
        assert await extract_token_from_scope({"headers": headers}) == "fromheader"
        assert await extract_token_from_scope({"headers": headers[:1]}) == "fromcookie"
        assert await extract_token_from_scope({"headers": []}) is None
    """)


async def test_anonymous_users_and_ids(files):
    await files.checked("""
        import re, time
        from hypha.core.auth import generate_anonymous_user
        from hypha.utils import random_id
        user = generate_anonymous_user()
        assert user.is_anonymous and user.roles == ["anonymous"] and user.id.startswith("anonymouz-") and 590 < user.expires_at - time.time() <= 600
        assert re.fullmatch(r"[a-z]+-[a-z]+-[0-9]{8}", random_id()) and re.fullmatch(r"[0-9A-Za-z]{22}", random_id(readable=False))
        assert len({random_id(readable=False) for _ in range(1000)}) == 1000
    """)


@pytest.mark.parametrize("variables", [{}, {"AUTH0_ISSUER": "https://acme.example/", "JWT_SECRET": "theirs"}], ids=["default", "set"])
async def test_constants_are_of_the_environment_and_no_secret_of_doorwards(files, variables):
    await files.checked(
        f"""
        from hypha.core import auth
        given = {variables!r}
        assert auth.AUTH0_ISSUER == given.get("AUTH0_ISSUER", "https://amun.ai/") and auth.JWT_SECRET == given.get("JWT_SECRET")
        assert auth.LOGIN_SERVICE_URL == "/public/services/hypha-login" and auth.MAXIMUM_LOGIN_TIME == "180"
        """,
        **variables,
    )


async def test_root_is_whom_functions_act_as(files):
    await files.checked("""
        assert server.get_root_user().check_permission("anything", "a") and server.get_root_user().id == "root"
    """)
