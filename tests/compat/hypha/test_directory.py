"""People of a directory (Debian's slapd) log in by their passwords there: H-108."""

import socket
import threading

import pytest

from harness import native
from harness.client import Client
from harness.doorward import Doorward, run_command
from harness.hypha import Hub, Visitor
from harness.native import PASSWORD, Tokens
from harness.slapd import GROUPS, PEOPLE, PERSONS, Slapd, configuration


class Place:
    def __init__(self, home, slapd: Slapd, **changes) -> None:
        home.mkdir()
        config = home / "doorward.toml"
        config.write_text(configuration(slapd, **changes))
        config.chmod(0o600)
        self.server = Doorward("dev", "--listen", "127.0.0.1:0", "--config", config, home=home / "doorward")
        self.hub, self.config = Hub(self.server, config=config), config

    def log_in(self, name: str, password: str):
        return native.log_in(Client(self.server.url), name, password)

    def token(self, name: str, password: str | None = None) -> str:
        return Tokens.of(self.log_in(name, password or PERSONS[name])).access

    def me(self, token: str) -> dict:
        return Client(self.server.url, token).get("/v1/me").json()

    def stop(self) -> None:
        self.server.__exit__(None, None, None)


@pytest.fixture(scope="module")
def slapd(tmp_path_factory):
    slapd = Slapd(tmp_path_factory.mktemp("slapd") / "slapd")
    yield slapd
    slapd.stop()


@pytest.fixture(scope="module")
def place(tmp_path_factory, slapd):
    place = Place(tmp_path_factory.mktemp("directory") / "place", slapd)
    yield place
    place.stop()


def test_a_group_of_the_directory_is_a_role_of_the_hub(place):
    """The page, a program's login, and what a service would be shown."""
    started = place.hub.http().post("/public/services/hypha-login/start", json={}).json()
    done = Visitor(place.hub).sign_in(started["login_url"], "ann", PERSONS["ann"])
    assert done.status_code == 200 and "The program can go on" in done.text, done.text
    token = place.hub.http().get("/public/services/hypha-login/check", params={"key": started["key"], "timeout": 0}).json()
    user = place.hub.http(token).get("/assets/config.json").json()["user"]
    assert user["roles"] == ["developer"]
    assert place.me(place.token("ann"))["display_name"] == "The ann"


def test_somebody_in_no_listed_group_is_a_user_and_comes_back_to_the_same_account(place):
    first, second = (place.me(place.token("bob")) for _ in range(2))
    assert first["id"] == second["id"] and first["roles"] == ["user"] and first["email"] is None
    listed = Client(place.server.url, place.token("bob")).get("/v1/me/identities").json()["identities"]
    assert len(listed) == 1


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ann", "wrong"),
        ("ann", ""),
        ("ann", PERSONS["bob"]),
        ("nobody", "x"),
        ("*", PERSONS["ann"]),
        ("ann)(uid=*", PERSONS["ann"]),
        ("*)(uid=ann", PERSONS["ann"]),
        ("ann)(|(uid=*", PERSONS["ann"]),
        ("ann\\", PERSONS["ann"]),
        ("a*", PERSONS["ann"]),
        ("ann\x00", PERSONS["ann"]),
        (f"cn=person-0,{PEOPLE}", PERSONS["ann"]),
        ("twin", "twin's password"),
        ("", "x"),
    ],
)
def test_what_is_typed_is_one_value_and_never_a_filter(place, name, password):
    answer = place.log_in(name, password)
    assert answer.status_code in (400, 401, 502), answer.text
    assert answer.json()["code"] in ("bad_credentials", "bad_field", "provider_unavailable", "bad_request"), answer.text
    # A name that two entries have is the operator's to mend; everything else is nobody.
    assert (answer.status_code == 502) == (name == "twin")


def test_a_name_full_of_stars_is_that_persons_alone(place):
    assert place.me(place.token("star*)(uid=*"))["display_name"] == "The star*)(uid=*"


def test_whoever_is_called_admin_there_is_not_admin_here(place):
    account = place.me(place.token("admin"))
    assert account["roles"] == ["user"] and account["username"] != "admin"


def test_an_account_here_is_never_opened_by_a_name_there(place):
    own = native.sign_up(Client(place.server.url), "carl")
    assert own.status_code == 201
    assert place.log_in("carl", PERSONS["carl"]).json()["code"] == "bad_credentials"
    assert place.me(place.token("carl", PASSWORD))["id"] == own.json()["id"]


def test_a_persons_only_way_in_is_the_directory(place):
    """With a password of ours they would stay when the directory lets them go."""
    token = place.token("bob")
    own = Client(place.server.url, token)
    refused = own.request("PATCH", "/v1/me", json={"password": PASSWORD})
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden"), refused.text
    assert place.log_in(place.me(token)["username"], PASSWORD).json()["code"] == "bad_credentials"


def test_a_group_that_is_left_is_a_role_that_is_lost_with_the_next_log_in(place, slapd):
    change = "dn: cn=Developers,{0}\nchangetype: modify\n{1}: member\nmember: cn=person-1,{2}\n"
    assert place.me(place.token("bob"))["roles"] == ["user"]
    slapd.modify(change.format(GROUPS, "add", PEOPLE))
    assert place.me(place.token("bob"))["roles"] == ["developer"]
    slapd.modify(change.format(GROUPS, "delete", PEOPLE))
    assert place.me(place.token("bob"))["roles"] == ["user"]


def test_the_password_is_shown_by_starttls_alone(tmp_path, slapd):
    # The directory itself takes no bind in the clear; a reader that is not let in is an error of the settings.
    plain = Place(tmp_path / "plain", slapd, tls='"none"')
    try:
        answer = plain.log_in("ann", PERSONS["ann"])
        assert answer.status_code == 502 and answer.json()["code"] == "provider_unavailable"
        assert "result 13" in plain.server.log and PERSONS["ann"] not in plain.server.log
    finally:
        plain.stop()


def test_a_certificate_of_another_is_no_directory(tmp_path, slapd):
    untrusted = tmp_path / "untrusted"
    untrusted.mkdir()
    config = untrusted / "doorward.toml"
    config.write_text(configuration(slapd).replace("[outbound]\nca_file", "[outbound]\n# ca_file"))
    config.chmod(0o600)
    with Doorward("dev", "--listen", "127.0.0.1:0", "--config", config, home=untrusted / "doorward") as server:
        answer = native.log_in(Client(server.url), "ann", PERSONS["ann"])
        assert answer.status_code == 502 and "certificate" in server.log.lower()
        # Whoever has a password here does not wait for the directory.
        name = native.new_name()
        assert native.sign_up(Client(server.url), name).status_code == 201
        assert native.log_in(Client(server.url), name).status_code == 200


def test_a_directory_that_never_answers_is_left_after_a_while(tmp_path, slapd):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        held = []
        threading.Thread(target=lambda: held.append(silent.accept()), daemon=True).start()
        place = Place(tmp_path / "silent", slapd, port=str(silent.getsockname()[1]))
        try:
            answer = place.log_in("ann", PERSONS["ann"])
            assert answer.status_code == 502 and answer.json()["code"] == "provider_unavailable"
            # Nobody learns from it who has a password here; whoever shows it comes in.
            name = native.new_name()
            assert native.sign_up(Client(place.server.url), name).status_code == 201
            assert place.log_in(name, "wrong").json()["code"] == "provider_unavailable"
            assert place.log_in(name, PASSWORD).status_code == 200
        finally:
            place.stop()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"host": '"ldap.example.org"', "tls": '"none"'}, "in the clear"),
        ({"base": None}, "ldap.base"),
        ({"filter": '"(uid=ann)"'}, "{login}"),
        ({"filter": '"(uid={login}"'}, "no filter"),
        ({"bind_password": None}, "belong together"),
        ({"groups": '["developr: cn=x,dc=y"]'}, 'did you mean "developer"'),
        ({"groups": '["cn=x,dc=y"]'}, "no role and group"),
        ({"group_base": None}, "ldap.group_base"),
        ({"host": '"127.0.0.1"', "tsl": '"tls"'}, "did you mean tls"),
    ],
)
def test_settings_that_cannot_work_are_told_before_the_start(tmp_path, slapd, changes, says):
    config = tmp_path / "doorward.toml"
    config.write_text(configuration(slapd, **changes))
    config.chmod(0o600)
    done = run_command("dev", "--listen", "127.0.0.1:0", "--config", config, cwd=tmp_path)
    assert done.returncode not in (0, 101) and says in done.stderr, done.stderr


def test_whoever_is_disabled_here_or_new_where_nobody_new_is_wanted_stays_out(tmp_path, slapd):
    place = Place(tmp_path / "closed", slapd, sign_up="false")
    try:
        answer = place.log_in("ann", PERSONS["ann"])
        assert (answer.status_code, answer.json()["code"]) == (403, "sign_up_closed")
        # Whoever does not know the password does not learn that either.
        assert place.log_in("ann", "wrong").json()["code"] == "bad_credentials"
    finally:
        place.stop()
    place = Place(tmp_path / "open", slapd)
    try:
        account = place.me(place.token("ann"))
        place.server.command("user", "disable", account["username"], "--config", place.config)
        answer = place.log_in("ann", PERSONS["ann"])
        assert (answer.status_code, answer.json()["code"]) == (401, "user_disabled"), answer.text
    finally:
        place.stop()
