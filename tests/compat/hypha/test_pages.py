"""What people read at the sign-in page before and after they agree: H-001, H-002, H-014, H-101."""

from urllib.parse import urljoin

import pytest

from harness.client import Client
from harness.hypha import Form, Visitor
from harness.native import PASSWORD
from harness.native import sign_up as signed_up

SERVICE = "/public/services/hypha-login"


def start(hub, **given):
    return hub.http().post(f"{SERVICE}/start", json=given)


def started(hub, **given) -> dict:
    answer = start(hub, **given)
    assert answer.status_code == 200, answer.text
    return answer.json()


def check(hub, key: str):
    return hub.http().get(f"{SERVICE}/check", params={"key": key, "timeout": 0})


def sent(visitor: Visitor, page, **fields):
    """The page's form, filled in and sent from where the page is."""
    form = Form(page.text)
    return visitor.open(urljoin(page.url, form.action), "POST", data={"key": form.fields.get("key", ""), **fields})


@pytest.mark.parametrize("name", ["ws\u202eyad-a-rof-ylno-daer", "w\u200b", "a<b", "a&logout=true", "100%zz", "A", "ws user", "w" * 300])
def test_a_program_cannot_name_a_workspace_that_there_cannot_be(hub, name):
    answer = start(hub, workspace=name)
    assert answer.status_code == 400 and "workspace" in answer.json()["detail"], answer.text


def test_a_workspaces_id_stands_escaped_in_the_link(hub):
    assert started(hub, workspace="ws-a|b")["login_url"].endswith("&workspace=ws-a%7Cb")


def test_the_button_that_makes_an_account_says_that_it_lets_the_program_in(hub):
    begun, visitor = started(hub), Visitor(hub)
    page = visitor.open(begun["login_url"])
    assert ">Make an account and allow</button>" in page.text and ">Sign in and allow</button>" in page.text
    alone = Visitor(hub).open(begun["login_url"].split("?")[0])
    assert ">Make an account</button>" in alone.text and ">Sign in</button>" in alone.text


def test_a_sign_up_that_is_refused_is_there_again_with_what_was_typed_but_for_the_password(hub):
    begun, visitor = started(hub), Visitor(hub)
    page = visitor.open(begun["login_url"])
    answer = sent(visitor, page, act="sign-up", username='new"one', email="new@example.org", password="password-of-mine-9")
    assert answer.status_code == 400 and "<details open>" in answer.text
    assert 'value="new&quot;one"' in answer.text and 'value="new@example.org"' in answer.text and "password-of-mine-9" not in answer.text
    assert answer.text.index("<details open>") < answer.text.index('class="refused"'), "the reason stands in the form it is of"
    assert answer.text.count(" autofocus") == 1 and answer.text.index(" autofocus") > answer.text.index("<details open>")
    assert f'/public/apps/hypha-login/?key={begun["key"]}"' in answer.text, "what is loaded anew is the same program's page"


def test_a_wrong_password_leaves_the_name(hub, person):
    visitor = Visitor(hub)
    answer = sent(visitor, visitor.open(started(hub)["login_url"]), act="sign-in", username=person.name, password="not it at all 9")
    assert answer.status_code == 401 and f'name="username" value="{person.name}"' in answer.text and "<details>" in answer.text


def test_somebody_who_says_no_ends_the_programs_wait(hub, person):
    visitor, begun = Visitor(hub), started(hub)
    assert visitor.sign_in(begun["login_url"], person.name).status_code == 200
    again = started(hub)
    asks = visitor.open(again["login_url"])
    assert "Do not allow" in asks.text
    other = Visitor(hub)
    other.open(started(hub)["login_url"])
    assert sent(other, asks, act="refuse").status_code == 403, "another browser cannot refuse for them"
    assert check(hub, again["key"]).json() is None, "it still waits"
    answer = sent(visitor, asks, act="refuse")
    assert answer.status_code == 200 and "was not let in" in answer.text
    gone = check(hub, again["key"])
    assert gone.status_code == 400 and "Invalid key" in gone.json()["detail"], gone.text
    assert sent(visitor, asks, act="allow").status_code == 400, "what was refused cannot be allowed after"


def test_whoever_may_not_let_a_program_into_a_workspace_can_be_somebody_else(hub, person):
    visitor = Visitor(hub)
    page = visitor.open(started(hub, workspace="ws-of-nobody")["login_url"])
    answer = sent(visitor, page, act="sign-in", username=person.name, password=PASSWORD)
    assert answer.status_code == 403 and "The program was not let in" in answer.text and 'value="other"' in answer.text


def test_people_are_shown_by_the_name_they_go_by(hub):
    client = Client(hub.server.url)
    assert signed_up(client, "zora", display_name="Zora Example").status_code == 201
    visitor = Visitor(hub)
    begun = started(hub)
    assert visitor.sign_in(begun["login_url"], "zora").status_code == 200
    assert "<bdi>Zora Example (zora)</bdi>" in visitor.open(begun["login_url"].split("?")[0]).text


def test_no_page_is_a_dead_end(hub, person):
    visitor, begun = Visitor(hub), started(hub)
    assert visitor.sign_in(begun["login_url"], person.name).status_code == 200
    out = visitor.open(begun["login_url"].split("?")[0] + "?logout=true")
    assert '/public/apps/hypha-login/">Sign in</a>' in out.text
    used = visitor.open(begun["login_url"])
    assert used.status_code == 400 and "Start again in the program" in used.text
    elsewhere = started(hub)
    Visitor(hub).open(elsewhere["login_url"])
    assert "Start again in the program" in visitor.open(elsewhere["login_url"]).text
