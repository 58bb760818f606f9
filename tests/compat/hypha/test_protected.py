"""The document's protected service, asked by people with proven addresses and with roles, from Python, JavaScript and curl: H-133, H-134, H-135."""

import asyncio
import contextlib
import json
import subprocess

import pytest

from harness.client import Client
from harness.hypha import Person, Script, asked
from harness.supabase import Supabase, address, native_id

AUTHORIZED_ROLES = ["admin", "developer"]


async def start_service(server, authorized_users: list[str], seen: list) -> None:
    """The document's, which the caller's e-mail address or role lets in."""

    def protected_function(data, context=None):
        if not context:
            raise Exception("Authentication required")
        user = context["user"]
        seen.append(user)
        if user.get("email") not in authorized_users:
            if not any(role in AUTHORIZED_ROLES for role in user.get("roles", [])):
                raise Exception(f"User {user.get('email', 'unknown')} is not authorized")
        return f"Protected data for {user['email']}: {data}"

    await server.register_service({"id": "protected-service", "config": {"visibility": "public", "require_context": True}, "protected_function": protected_function})


def proven(hub, name: str, *roles: str) -> Person:
    """Somebody who signed up at the Supabase mount, opened the letter's link and logged in; the operator gives roles in between."""
    supabase = Supabase(hub.server)
    person = supabase.confirmed(name)
    uuid = person.session["user"]["id"]
    if roles:
        hub.server.command("user", "set-roles", uuid, *roles, "--config", hub.config)
        person.log_in()
    token = person.session["access_token"]
    return Person(person.email, native_id(uuid), token, Client(hub.url, token), person.email)


async def by_python(hub, who, service: str) -> str:
    async with hub.enter(who) as server:
        try:
            return await (await server.get_service(service)).protected_function("x")
        except Exception as refused:
            return str(refused)


async def by_javascript(hub, who, service: str) -> str:
    async with Script(hub, "ask", token=who.token if who else None, service=service, method="protected_function", args=["x"]) as script:
        told = await script.told()
        return told.get("value") or told["error"]


async def by_curl(hub, who, service: str) -> str:
    workspace, id = service.split("/")
    url = f"{hub.url}/{workspace}/services/{id}/protected_function"
    shown = ["-H", f"Authorization: Bearer {who.token}"] if who else []
    command = ["curl", "-sS", "-X", "POST", url, "-H", "Content-Type: application/json", *shown, "-d", '{"data": "x"}']
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=30, check=True)
    said = json.loads(done.stdout)
    return said if isinstance(said, str) else said["detail"]


@contextlib.asynccontextmanager
async def serving(hub, authorized_users: list[str]):
    owner, seen = hub.person(), []
    async with hub.enter(owner, client_id="host") as host:
        await start_service(host, authorized_users, seen)
        yield f"{owner.workspace}/protected-service", seen


@pytest.mark.parametrize("ask", [by_python, by_javascript, by_curl])
async def test_a_proven_address_or_a_role_of_the_operators_lets_in(hub, ask):
    listed, developer, boss = proven(hub, "listed"), proven(hub, "developer", "developer"), proven(hub, "boss", "admin")
    async with serving(hub, [listed.email]) as (service, seen):
        for who in (listed, developer, boss):
            assert await ask(hub, who, service) == f"Protected data for {who.email}: x"
        roles = [set(user["roles"]) for user in seen]
        assert "developer" in roles[1] and "admin" in roles[2] and not roles[0] & set(AUTHORIZED_ROLES)
        for user, who in zip(seen, (listed, developer, boss), strict=True):
            assert (user["id"], user["email"], user["is_anonymous"]) == (who.id, who.email, False)
            assert user["scope"]["workspaces"].get(who.workspace) == "a", "their own workspace"


@pytest.mark.parametrize("ask", [by_python, by_javascript, by_curl])
async def test_everybody_else_is_told_that_they_are_not_authorized(hub, ask):
    stranger = proven(hub, "stranger")
    wanted = address("wanted")
    # Whoever writes a listed address down has not proven that it is theirs.
    pretender = hub.person(email=wanted)
    async with serving(hub, [wanted]) as (service, seen):
        assert f"User {stranger.email} is not authorized" in await ask(hub, stranger, service)
        assert "User None is not authorized" in await ask(hub, pretender, service)
        assert "User None is not authorized" in await ask(hub, None, service)
        assert [user["email"] for user in seen] == [stranger.email, None, None]
        assert seen[2]["is_anonymous"] and "admin" not in seen[2]["roles"]


async def test_a_role_that_is_taken_away_lets_nobody_in_any_more(hub):
    developer = proven(hub, "developer", "developer")
    async with serving(hub, []) as (service, _):
        assert (await by_python(hub, developer, service)).startswith("Protected data")
        hub.server.command("user", "set-roles", developer.id, "user", "--config", hub.config)
        async with asyncio.timeout(10):
            while "is not authorized" not in await by_curl(hub, developer, service):
                await asyncio.sleep(0.05)
        answer = await asked(developer.http, "POST", f"/{service.replace('/', '/services/')}/protected_function", json={"data": "x"})
        assert answer.status_code == 500 and answer.json()["success"] is False
