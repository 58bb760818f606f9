"""Another address: both holders agree, in either order, once, and for that move alone. L-049."""

import threading

import pytest

from harness.clock import Clock
from harness.doorward import Doorward
from harness.supabase import Supabase, address, digits_of, fragment_of, link_of, open_link, token_of


def refused(answer, status: int, code: str) -> None:
    assert (answer.status_code, answer.json().get("error_code")) == (status, code), answer.text


def moving(supabase, person, sent: int = 2) -> tuple[str, str, str]:
    """Where to, and the letters to the present and the new address."""
    new = address("new")
    changed = person.client.put("/user", json={"email": new}).json()
    assert (changed["email"], changed["new_email"]) == (person.email, new) and changed["email_change_sent_at"]
    return new, supabase.mail(person.email, sent), supabase.mail(new)


def log_in(supabase, email: str, password: str):
    return supabase.client(roaming=True).post("/token?grant_type=password", json={"email": email, "password": password})


@pytest.mark.parametrize("order", ["present first", "new first"])
def test_both_holders_agree_in_either_order(supabase, person, order):
    new, present, fresh = moving(supabase, person)
    assert new in present and "code:" not in fresh
    first, second = (present, fresh) if order == "present first" else (fresh, present)
    half = open_link(link_of(first))
    assert fragment_of(half) == {"message": "Confirmation link accepted. Please proceed to confirm link sent to the other email", "sb": ""}
    assert person.client.get("/user").json()["email"] == person.email, "nothing has moved yet"
    assert fragment_of(open_link(link_of(first)))["error_code"] == "otp_expired", "one holder is not two"
    session = fragment_of(open_link(link_of(second)))
    assert session["type"] == "email_change"
    found = supabase.client(session["access_token"]).get("/user").json()
    assert (found["id"], found["email"]) == (person.session["user"]["id"], new) and "new_email" not in found
    assert log_in(supabase, new, person.password).status_code == 200
    refused(log_in(supabase, person.email, person.password), 400, "invalid_credentials")


def test_the_present_holder_may_type_digits(supabase, person):
    new, present, fresh = moving(supabase, person)
    body = {"type": "email_change", "email": person.email, "token": digits_of(present)}
    half = supabase.client().post("/verify", json=body)
    assert (half.status_code, half.json()["code"]) == (200, "200") and half.json()["msg"].startswith("Confirmation link accepted")
    whole = supabase.client().post("/verify", json={"type": "email_change", "token_hash": token_of(fresh)})
    assert whole.json()["user"]["email"] == new


def test_both_at_once_move_the_account_once(supabase, person):
    new, present, fresh = moving(supabase, person)
    opened = []
    threads = [threading.Thread(target=lambda link=link: opened.append(fragment_of(open_link(link)))) for link in (link_of(present), link_of(fresh)) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum("access_token" in one for one in opened) == sum("message" in one for one in opened) == 1, opened
    assert person.client.get("/user").json()["email"] == new


def test_a_proof_of_one_move_is_none_of_another_nor_of_anything_else(supabase):
    one, two = supabase.confirmed(), supabase.confirmed()
    _, present, fresh = moving(supabase, one)
    other_new, other_present, other_fresh = moving(supabase, two)
    stranger = supabase.client(roaming=True)
    whose = token_of(other_fresh).split(".")[0]
    _, secret, where = token_of(fresh).split(".")
    for token in (f"{whose}.{secret}.{where}", f"{whose}.{secret}", token_of(present) + "." + where, ".".join(token_of(fresh).split(".")[:2])):
        refused(stranger.post("/verify", json={"type": "email_change", "token_hash": token}), 403, "otp_expired")
    for kind in ("signup", "magiclink", "recovery", "email", "invite"):
        for text in (present, fresh):
            refused(stranger.post("/verify", json={"type": kind, "token_hash": token_of(text)}), 403, "otp_expired")
    # Another wish voids what was agreed to before it.
    assert "message" in fragment_of(open_link(link_of(other_present)))
    assert two.client.get("/user").json()["new_email"] == other_new


def test_a_new_password_ends_what_was_asked_for_before_it(supabase, person):
    """Whoever gets an account back is not moved away by a letter from before."""
    _, present, fresh = moving(supabase, person)
    open_link(link_of(present))
    assert "new_email" not in person.client.put("/user", json={"password": "another password"}).json()
    assert fragment_of(open_link(link_of(fresh)))["error_code"] == "otp_expired"
    assert person.client.get("/user").json()["email"] == person.email


def test_an_address_that_somebody_else_took_meanwhile_is_not_moved_to(supabase, person):
    new, present, fresh = moving(supabase, person)
    open_link(link_of(present))
    made = supabase.client(supabase.service_key).post("/admin/users", json={"email": new, "email_confirm": True})
    assert made.status_code == 200
    assert fragment_of(open_link(link_of(fresh)))["error_code"] == "email_exists"
    assert person.client.get("/user").json()["email"] == person.email


@pytest.fixture
def jumping(tmp_path):
    clock = Clock(tmp_path)
    with Doorward("dev", "--listen", "127.0.0.1:0", home=tmp_path / "moving", environment=clock.environment) as server:
        yield Supabase(server), clock


def test_letters_of_a_move_are_sent_again_and_end_after_a_day(jumping):
    supabase, clock = jumping
    person = supabase.confirmed()
    new, present, fresh = moving(supabase, person)
    clock.set(61)
    for email in (person.email, address("unknown")):
        again = supabase.client().post("/resend", json={"type": "email_change", "email": email})
        assert (again.status_code, again.json()) == (200, {})
    newer = supabase.mail(new, 2)
    assert fragment_of(open_link(link_of(present)))["error_code"] == "otp_expired", "a newer letter voids the older"
    assert "message" in fragment_of(open_link(link_of(supabase.mail(person.email, 3))))
    clock.set(24 * 3600 + 70)
    assert fragment_of(open_link(link_of(newer)))["error_code"] == "otp_expired"
    person.log_in()
    third, present, fresh = moving(supabase, person, 4)
    assert "message" in fragment_of(open_link(link_of(fresh))), "who agreed before has not agreed to this one"
    assert fragment_of(open_link(link_of(present)))["type"] == "email_change"


def test_one_holder_suffices_where_the_mount_says_so(tmp_path):
    config = tmp_path / "doorward.toml"
    config.write_text("[mounts.supabase]\nsecure_email_change = false\n")
    with Doorward("dev", "--listen", "127.0.0.1:0", "--config", config, home=tmp_path / "one") as server:
        supabase = Supabase(server)
        person, new = supabase.confirmed(), address("new")
        person.client.put("/user", json={"email": new})
        assert fragment_of(open_link(link_of(supabase.mail(new))))["type"] == "email_change"
        assert len(supabase.mails(person.email)) == 1, "the one of the sign-up"
