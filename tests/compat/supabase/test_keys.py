"""The keys that clients name the mount by: L-012, L-054."""

import json

import pytest

from harness.doorward import run_command
from harness.supabase import PASSWORD, Supabase


def log_in(person, **headers):
    body = {"email": person.email, "password": PASSWORD}
    client = person.supabase.client(roaming=True)
    client.key = ""
    headers = {"apikey": None, **headers}
    return client.post("/token?grant_type=password", json=body, headers=headers)


@pytest.mark.parametrize("header", ["apikey", "apiKey", "APIKEY"])
@pytest.mark.parametrize("key", ["anon_key", "service_key"])
def test_either_key_is_taken_in_any_case_of_the_header(person, header, key):
    headers = {"apikey": None, header: getattr(person.supabase, key)} if header != "apikey" else {header: getattr(person.supabase, key)}
    assert log_in(person, **headers).status_code == 200


def test_without_a_key_or_with_a_wrong_one_nobody_gets_in(person):
    anon = person.supabase.anon_key
    head, payload, mac = anon.split(".")
    wrong = {
        "none": None,
        "empty": "",
        "junk": "junk",
        "cut": anon[:-1],
        "longer": anon + "A",
        "unsigned": f"{head}.{payload}.",
        "service in words": f"{head}.{person.supabase.service_key.split('.')[1]}.{mac}",
        "an admin's": person.supabase.server.admin_key,
        "a user's token": person.session["access_token"],
        "long": "x" * 8_000,
    }
    for name, key in wrong.items():
        answer = log_in(person, apikey=key)
        assert answer.status_code == 401, f"{name}: {answer.status_code} {answer.text}"
        body = answer.json()
        assert body["error_code"] == ("no_api_key" if key is None else "invalid_api_key"), name
        assert answer.headers["x-sb-error-code"] == body["error_code"]
        shown = person.supabase.client(person.session["access_token"], roaming=True)
        assert shown.get("/user", headers={"apikey": key}).status_code == 401, name


def test_a_key_is_no_token_of_anybody(person):
    """Clients repeat it as the Bearer token while nobody is logged in: that is nobody, also elsewhere."""
    supabase = person.supabase
    for key, refused in ((supabase.anon_key, 401), (supabase.service_key, 403)):
        client = supabase.client(key, roaming=True)
        assert client.post("/token?grant_type=password", json={"email": person.email, "password": PASSWORD}).status_code == 200
        assert client.get("/user").status_code == 403
        assert client.put("/user", json={"data": {"a": 1}}).status_code == 403
        assert client.post("/logout").status_code == refused
        client.base = supabase.server.url
        assert client.get("/v1/me").status_code == 401


def test_the_command_line_shows_both_keys_and_they_are_the_servers(supabase):
    shown = supabase.server.command("supabase", "keys")
    assert shown == [{"mount": "supabase", "anon_key": supabase.anon_key, "service_key": supabase.service_key}]
    text = run_command("supabase", "keys", "--data-dir", supabase.server.data_dir, cwd=supabase.server.home).stdout
    assert supabase.anon_key in text and supabase.service_key in text


def test_dev_prints_them_with_the_url(supabase):
    for line in [f"SUPABASE_URL={supabase.url}", f"SUPABASE_ANON_KEY={supabase.anon_key}", f"SUPABASE_SERVICE_KEY={supabase.service_key}", f"{supabase.server.url}/_mail"]:
        assert line in supabase.server.log, line


def test_keys_of_another_store_are_wrong(supabase, start):
    other = Supabase(start("dev"))
    assert other.anon_key != supabase.anon_key
    assert other.client(key=supabase.anon_key).get("/settings").status_code == 401


def test_nothing_of_a_key_or_token_is_in_the_log(person):
    log_in(person, apikey="junk-key-0123456789")
    log = person.supabase.server.log
    assert "junk-key-0123456789" not in log and person.session["access_token"] not in log
    audit = json.dumps(person.supabase.server.command("audit", "list"))
    assert "junk-key-0123456789" not in audit and person.session["refresh_token"] not in audit
