"""Accounts, administered with the service key: users, links, invitations, bans; and how far the key reaches. L-012."""

import json
import re

import pytest

from harness.client import Client
from harness.doorward import Doorward
from harness.supabase import PASSWORD, Supabase, address, digits_of, fragment_of, link_of, native_id, open_link

SITE = "https://app.example/welcome"


def refused(answer, status: int, code: str) -> None:
    assert (answer.status_code, answer.json().get("error_code")) == (status, code), answer.text


@pytest.fixture
def admin(supabase):
    return supabase.client(supabase.service_key, roaming=True)


def made(admin, **members) -> dict:
    answer = admin.post("/admin/users", json={"email": address(), "email_confirm": True, **members})
    assert answer.status_code == 200, answer.text
    return answer.json()


def log_in(supabase, email: str, password: str = PASSWORD):
    return supabase.client(roaming=True).post("/token?grant_type=password", json={"email": email, "password": password})


def test_nobody_but_the_service_key_administers(supabase, person, admin):
    mine = person.session["user"]["id"]
    routes = [
        ("GET", "/admin/users"), ("POST", "/admin/users"), ("GET", f"/admin/users/{mine}"), ("PUT", f"/admin/users/{mine}"),
        ("DELETE", f"/admin/users/{mine}"), ("GET", f"/admin/users/{mine}/factors"), ("POST", "/admin/generate_link"), ("POST", "/invite"),
    ]
    for method, path in routes:
        refused(person.client.request(method, path, json={}), 403, "not_admin")
        refused(supabase.client(supabase.anon_key, roaming=True).request(method, path, json={}), 401, "no_authorization")
        # The key in `apikey` says that a client may ask, and not who.
        refused(supabase.client(key=supabase.service_key).request(method, path, json={}), 401, "no_authorization")
    newer = person.client.get("/admin/users", headers={"X-Supabase-Api-Version": "2024-01-01"})
    assert newer.json() == {"code": "not_admin", "message": "User not allowed"}
    assert admin.get("/admin/users").status_code == 200


def test_an_account_is_made_changed_banned_and_removed(supabase, admin):
    user = made(admin, password=PASSWORD, phone="+41791234567", phone_confirm=True, user_metadata={"a": 1, "b": 2}, app_metadata={"plan": "gold"})
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", user["id"])
    assert user["email_confirmed_at"] and user["phone_confirmed_at"] and user["phone"] == "41791234567"
    assert user["app_metadata"] == {"plan": "gold", "provider": "email", "providers": ["email", "phone"]}
    assert [one["provider"] for one in user["identities"]] == ["email", "phone"]
    session = log_in(supabase, user["email"]).json()
    path = f"/admin/users/{user['id']}"
    changed = admin.put(path, json={"user_metadata": {"a": None, "c": 3}, "app_metadata": {"plan": "lead"}, "role": "authenticated"}).json()
    assert changed["user_metadata"] == {"b": 2, "c": 3} and changed["app_metadata"]["plan"] == "lead"
    assert changed["last_sign_in_at"] == admin.get(path).json()["last_sign_in_at"]
    assert admin.get(f"{path}/factors").json() == []
    assert supabase.client(session["access_token"]).get("/user").json()["user_metadata"] == {"b": 2, "c": 3}

    banned = admin.put(path, json={"ban_duration": "24h"}).json()
    assert banned["banned_until"] > banned["updated_at"]
    assert supabase.client(session["access_token"]).get("/user").status_code == 403
    refused(log_in(supabase, user["email"]), 400, "user_banned")
    refused(supabase.client().post("/token?grant_type=refresh_token", json={"refresh_token": session["refresh_token"]}), 400, "refresh_token_not_found")
    assert "banned_until" not in admin.put(path, json={"ban_duration": "none"}).json()
    session = log_in(supabase, user["email"]).json()

    new = address("new")
    moved = admin.put(path, json={"email": new, "email_confirm": True, "password": "another password"}).json()
    assert (moved["email"], bool(moved["email_confirmed_at"])) == (new, True)
    assert supabase.client(session["access_token"]).get("/user").status_code == 403, "a new password ends sessions"
    assert log_in(supabase, new, "another password").status_code == 200
    assert admin.delete(path).json() == {}
    refused(admin.get(path), 404, "user_not_found")
    refused(admin.delete(path), 404, "user_not_found")


def test_an_account_that_is_removed_softly_keeps_its_id_and_nothing_else(supabase, admin):
    user = made(admin, password=PASSWORD, phone="+41791111111", user_metadata={"name": "Ann"})
    session = log_in(supabase, user["email"]).json()
    path = f"/admin/users/{user['id']}"
    assert admin.request("DELETE", path, json={"should_soft_delete": True}).json() == {}
    left = admin.get(path).json()
    assert left["deleted_at"] and (left["email"], left["phone"], left["user_metadata"], left["identities"]) == ("", "", {}, [])
    assert user["email"] not in json.dumps(left)
    assert supabase.client(session["access_token"]).get("/user").status_code == 403
    refused(log_in(supabase, user["email"]), 400, "invalid_credentials")
    # Its names are free again, for another account.
    assert made(admin, email=user["email"], phone="+41791111111")["id"] != user["id"]


def test_pages_count_all_and_name_the_next(start):
    supabase = Supabase(start("dev"))
    admin = supabase.client(supabase.service_key, roaming=True)
    before = int(admin.get("/admin/users").headers["X-Total-Count"])
    people = [made(admin)["email"] for _ in range(5)]
    first = admin.get("/admin/users?page=1&per_page=2")
    assert [user["email"] for user in first.json()["users"]] == people[:-3:-1] and first.json()["aud"] == "authenticated"
    assert int(first.headers["X-Total-Count"]) == before + 5
    last = -(-(before + 5) // 2)
    links = re.findall(r'<([^>]+)\?page=(\d+)&per_page=2>; rel="(\w+)"', first.headers["Link"])
    assert [(page, rel) for _, page, rel in links] == [("2", "next"), (str(last), "last")]
    assert "next" not in admin.get(f"/admin/users?page={last}&per_page=2").headers["Link"]
    assert admin.get("/admin/users?page=1000000&per_page=1000").json()["users"] == []
    assert len(admin.get("/admin/users?per_page=0").json()["users"]) == before + 5
    for bad in ("page=x", "page=-1", "per_page=1e3", "page=99999999999", "page=1&page=2"):
        assert admin.get(f"/admin/users?{bad}").status_code == 400, bad


def test_what_cannot_be_made_is_refused_by_name(supabase, person, admin):
    taken = made(admin, phone="+41792222222")
    for body, status, code in [
        ({}, 400, "validation_failed"), ({"email": "nobody"}, 400, "validation_failed"), ({"phone": "12"}, 400, "validation_failed"),
        ({"email": person.email}, 422, "email_exists"), ({"phone": "+41792222222"}, 422, "phone_exists"),
        ({"email": address(), "password": "short"}, 422, "weak_password"), ({"email": address(), "role": "service_role"}, 400, "validation_failed"),
        ({"email": address(), "id": taken["id"]}, 400, "validation_failed"), ({"email": address(), "password_hash": "x"}, 400, "validation_failed"),
        ({"email": address(), "ban_duration": "soon"}, 400, "validation_failed"), ({"email": address(), "user_metadata": {"x": "y" * 20_000}}, 400, "validation_failed"),
    ]:
        refused(admin.post("/admin/users", json=body), status, code)
    path = f"/admin/users/{taken['id']}"
    refused(admin.put(path, json={"email": person.email}), 422, "email_exists")
    for body in ([], {"email": 5}, {"user_metadata": []}, {"email_confirm": "yes"}):
        assert admin.put(path, json=body).status_code == 400, body
    for odd in ("x", "00000000-0000-0000-0000-000000000000", native_id(taken["id"]).upper(), "%00", "x" * 500):
        assert admin.get(f"/admin/users/{odd}").status_code in (400, 404), odd
    assert admin.get(path).json()["email"] == taken["email"]


@pytest.mark.parametrize("kind", ["signup", "invite", "magiclink", "recovery"])
def test_links_are_handed_out_and_work_as_letters_do(supabase, admin, kind):
    email = address() if kind in ("signup", "invite") else made(admin)["email"]
    asked = {"type": kind, "email": email, "password": PASSWORD, "data": {"name": "Ann"}, "redirect_to": "https://pr-7.preview.example/in"}
    answer = admin.post("/admin/generate_link", json=asked)
    assert answer.status_code == 200, answer.text
    link = answer.json()
    assert (link["verification_type"], link["email"], link["redirect_to"]) == (kind, email, "https://pr-7.preview.example/in")
    assert re.fullmatch(r"\d{6}", link["email_otp"]) and link["hashed_token"] in link["action_link"]
    assert supabase.mails(email) == []
    opened = open_link(link["action_link"])
    assert opened.headers["Location"].startswith("https://pr-7.preview.example/in#") and fragment_of(opened)["type"] == kind
    user = supabase.client(fragment_of(opened)["access_token"]).get("/user").json()
    assert user["id"] == link["id"] and user["email_confirmed_at"]
    assert fragment_of(open_link(link["action_link"]))["error_code"] == "otp_expired"
    spent = supabase.client().post("/verify", json={"type": kind, "email": email, "token": link["email_otp"]})
    refused(spent, 403, "otp_expired")
    if kind in ("signup", "invite"):
        assert user["user_metadata"] == {"name": "Ann"}
        refused(admin.post("/admin/generate_link", json=asked), 422, "email_exists")


def test_links_for_a_move_are_one_for_each_holder(supabase, admin):
    user, new = made(admin), address("new")
    both = [admin.post("/admin/generate_link", json={"type": kind, "email": user["email"], "new_email": new}).json() for kind in ("email_change_current", "email_change_new")]
    assert [one["verification_type"] for one in both] == ["email_change_current", "email_change_new"]
    assert "message" in fragment_of(open_link(both[0]["action_link"]))
    assert fragment_of(open_link(both[1]["action_link"]))["type"] == "email_change"
    assert admin.get(f"/admin/users/{user['id']}").json()["email"] == new


def test_links_that_cannot_be_made_are_refused(supabase, person, admin):
    for body, status, code in [
        ({"type": "nonsense", "email": person.email}, 400, "validation_failed"), ({"email": person.email}, 400, "validation_failed"),
        ({"type": "magiclink"}, 400, "validation_failed"), ({"type": "magiclink", "email": "nobody"}, 400, "validation_failed"),
        ({"type": "recovery", "email": address("unknown")}, 404, "user_not_found"), ({"type": "email_change_new", "email": person.email}, 400, "validation_failed"),
        ({"type": "email_change_new", "email": person.email, "new_email": person.supabase.confirmed().email}, 422, "email_exists"),
        ({"type": "signup", "email": address(), "password": "short"}, 422, "weak_password"),
    ]:
        refused(admin.post("/admin/generate_link", json=body), status, code)
    for evil in ("https://evil.example/", "//evil.example", "https://app.example@evil.example/", "https://evil.example\\@app.example/", "javascript:alert(1)", "https://аpp.example/", "https://app.example/\r\nx: y"):
        link = admin.post("/admin/generate_link", json={"type": "magiclink", "email": person.email, "redirect_to": evil}).json()
        assert link["redirect_to"] == SITE, evil


@pytest.mark.parametrize(("kind", "moment"), [("signup", "confirmation_sent_at"), ("invite", "confirmation_sent_at"), ("magiclink", "recovery_sent_at"), ("recovery", "recovery_sent_at")])
def test_a_made_link_says_when_it_was_made_where_gotrue_says_a_letter_was_sent(supabase, admin, kind, moment):
    email = supabase.confirmed().email if kind in ("magiclink", "recovery") else address()
    made = admin.post("/admin/generate_link", json={"type": kind, "email": email, "password": PASSWORD}).json()
    assert {name for name in made if name.endswith("_sent_at")} == {moment} and made[moment] >= made["created_at"]
    assert ("invited_at" in made) == (kind == "invite")


def test_an_invitation_is_a_letter_that_opens_the_account(supabase, admin):
    email = address()
    invited = admin.post("/invite", json={"email": email, "data": {"team": "a"}}).json()
    assert invited["invited_at"] and "email_confirmed_at" not in invited and invited["user_metadata"] == {"team": "a"}
    text = supabase.mail(email)
    assert "type=invite" in link_of(text)
    for kind in ("signup", "recovery", "magiclink"):
        refused(supabase.client(roaming=True).post("/verify", json={"type": kind, "email": email, "token": digits_of(text)}), 403, "otp_expired")
    session = fragment_of(open_link(link_of(text)))
    assert session["type"] == "invite"
    assert supabase.client(session["access_token"]).put("/user", json={"password": PASSWORD}).status_code == 200
    assert log_in(supabase, email).status_code == 200
    refused(admin.post("/invite", json={"email": email}), 422, "email_exists")


def test_a_password_of_an_unproven_sign_up_is_worth_nothing_to_whoever_gave_it(supabase, admin):
    """Somebody signed up with another's address before its holder was invited, or signed up by the operator."""
    invited, signed = address("invited"), address("signed")
    for email in (invited, signed):
        supabase.client().post("/signup", json={"email": email, "password": "the stranger's"})
    links = [
        admin.post("/admin/generate_link", json={"type": "invite", "email": invited}).json()["action_link"],
        admin.post("/admin/generate_link", json={"type": "signup", "email": signed, "password": PASSWORD}).json()["action_link"],
    ]
    for email, link in zip((invited, signed), links, strict=True):
        assert "access_token" in fragment_of(open_link(link))
        refused(log_in(supabase, email, "the stranger's"), 400, "invalid_credentials")
    assert log_in(supabase, signed).status_code == 200


def test_the_key_reaches_no_account_that_administers(supabase, admin):
    """Whoever sets an administrator's password is the administrator."""
    boss = address("boss")
    password = "correct horse battery staple 7"
    owner = Client(supabase.server.url, supabase.server.admin_key)
    account = owner.post("/v1/users", json={"email": boss, "password": password, "roles": ["admin"]}).json()
    listed = [user for user in admin.get("/admin/users").json()["users"] if user["email"] == boss]
    uuid = listed[0]["id"]
    assert native_id(uuid) == account["id"]
    path = f"/admin/users/{uuid}"
    refused(admin.put(path, json={"password": "another password"}), 403, "not_admin")
    refused(admin.put(path, json={"email": address(), "email_confirm": True}), 403, "not_admin")
    refused(admin.delete(path), 403, "not_admin")
    refused(admin.request("DELETE", path, json={"should_soft_delete": True}), 403, "not_admin")
    for kind in ("magiclink", "recovery", "invite", "email_change_current"):
        refused(admin.post("/admin/generate_link", json={"type": kind, "email": boss, "new_email": address()}), 403, "not_admin")
    native = Client(supabase.server.url)
    assert native.post("/v1/token", json={"grant_type": "password", "username": boss, "password": password}).status_code == 200
    # Nor anything that is not of accounts, nor any other mount.
    for place in ("/v1/users", "/v1/me", "/v1/audit"):
        assert Client(supabase.server.url, supabase.service_key).get(place).status_code == 401, place


@pytest.mark.parametrize(("role", "reached"), [("user", True), ("writer", True), ("keeper", False), ("heir", False)])
def test_the_key_reaches_accounts_that_reach_no_further_than_their_own_things(supabase, admin, role, reached):
    """Roles that the operator made: what they let somebody reach says it, not what they are called."""
    owner, email = Client(supabase.server.url, supabase.server.admin_key), address(role)
    account = owner.post("/v1/users", json={"email": email, "password": "correct horse battery staple 7", "roles": [role]})
    assert account.status_code == 201, account.text
    uuid = next(user["id"] for user in admin.get("/admin/users").json()["users"] if user["email"] == email)
    answers = [
        admin.put(f"/admin/users/{uuid}", json={"password": "another password"}),
        admin.post("/admin/generate_link", json={"type": "recovery", "email": email}),
        admin.delete(f"/admin/users/{uuid}"),
    ]
    assert [answer.status_code for answer in answers] == [200 if reached else 403] * 3, [answer.text for answer in answers]
    assert reached or {answer.json()["error_code"] for answer in answers} == {"not_admin"}


def test_another_version_of_the_service_key_retires_the_one_before(tmp_path):
    config, home = tmp_path / "doorward.toml", tmp_path / "server"
    keys = []
    for version in (1, 2):
        config.write_text(f"[mounts.supabase]\nservice_key_version = {version}\n")
        with Doorward("dev", "--listen", "127.0.0.1:0", "--config", config, home=home) as server:
            supabase = Supabase(server)
            keys.append((supabase.anon_key, supabase.service_key))
            assert supabase.client(supabase.service_key).get("/admin/users").status_code == 200
            if version == 2:
                assert keys[0][0] == keys[1][0], "clients keep theirs"
                old = keys[0][1]
                assert supabase.client(old, key=old).get("/admin/users").status_code == 401
                assert supabase.client(old).get("/admin/users").status_code == 403
