"""Issue 4's "same number of hash calls": as many passwords are hashed for an address that nobody has as for one that somebody has."""

import pytest
import requests
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from harness.doorward import Doorward
from harness.supabase import PASSWORD, Supabase, address


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    home = tmp_path_factory.mktemp("watched")
    config = home / "doorward.toml"
    config.write_text('[metrics]\nlisten = "127.0.0.1:0"\n')
    with Doorward("dev", "--listen", "127.0.0.1:0", "--config", config, home=home / "doorward") as server:
        yield Supabase(server)


def hashings(supabase: Supabase) -> int:
    families = text_string_to_metric_families(requests.get(supabase.server.ready["metrics"], timeout=10).text)
    (counted,) = [sample.value for family in families for sample in family.samples if sample.name == "doorward_hashings_total"]
    return int(counted)


def waiting(supabase: Supabase) -> str:
    email = address("waiting")
    assert supabase.client().post("/signup", json={"email": email, "password": PASSWORD}).status_code == 200
    return email


@pytest.mark.parametrize(
    ("path", "body", "each"),
    [
        ("/token?grant_type=password", {"password": "wrong password"}, 1),
        ("/token?grant_type=password", {"password": ""}, None),
        ("/signup", {"password": "another password"}, 3),
        ("/signup", {"password": "short"}, None),
        ("/recover", {}, 0),
        ("/resend", {"type": "signup"}, 0),
        ("/verify", {"type": "signup", "token": "000000"}, 0),
        ("/verify", {"type": "recovery", "token": "000000"}, 0),
    ],
    ids=lambda value: str(value)[:40],
)
def test_every_way_to_ask_about_an_address_hashes_as_often_whoever_has_it(watched, path, body, each):
    told = []
    for email in (address("unknown"), waiting(watched), watched.confirmed().email):
        before = hashings(watched)
        answer = watched.client().post(path, json={"email": email, **body})
        # A letter a minute goes to an address: whoever was just written to is told to wait, which is no secret of the account's.
        told.append((hashings(watched) - before, answer.status_code if path not in ("/recover", "/resend") else None))
    assert len({*told}) == 1, told
    assert each is None or told[0][0] == each
