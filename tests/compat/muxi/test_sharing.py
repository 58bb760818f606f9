"""M-098: a policy shares one thread; three people ask for it and for what lies beside it."""

import pytest

from harness.client import Client
from harness.doorward import Doorward, Refused
from harness.native import Tokens, log_in, person

ROLES = """
[roles.reader]
inherits = ["user"]
permissions = ["thread:read@native/{id}", "thread:list@native/{id}", "message:read@native/{id}"]

[roles.editor]
inherits = ["reader"]
permissions = ["thread:update@native/{id}", "message:create@native/{id}", "run:*@native/{id}"]
"""


def statuses(client: Client, thread: str) -> dict[str, int]:
    """What this caller gets for everything that can be done to a thread and takes nothing away."""
    said = {"role": "user", "content": "hello"}
    return {
        "read": client.get(f"/v1/threads/{thread}").status_code,
        "messages": client.get(f"/v1/threads/{thread}/messages").status_code,
        "runs": client.get(f"/v1/threads/{thread}/runs").status_code,
        "change": client.patch(f"/v1/threads/{thread}", json={"metadata": {"seen": True}}).status_code,
        "say": client.post(f"/v1/threads/{thread}/messages", json=said).status_code,
    }


NOTHING = dict.fromkeys(("read", "messages", "runs", "change", "say"), 404)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One thread of the owner's is shared by the configuration of the second start."""
    home = tmp_path_factory.mktemp("sharing")
    with Doorward("dev", "--listen", "127.0.0.1:0", home=home) as server:
        people = {name: person(server.url) for name in ("owner", "reader", "editor", "stranger")}
        owner = people["owner"].client
        thread, other = (owner.post("/v1/threads", json={"name": name}).json()["id"] for name in ("shared", "kept"))
    (home / "doorward.toml").write_text(ROLES.format(id=thread))
    with Doorward("dev", "--listen", "127.0.0.1:0", "--config", "doorward.toml", home=home) as server:
        admin = Client(server.url, server.admin_key)
        for name in ("reader", "editor"):
            given = admin.patch(f"/v1/users/{people[name].id}", json={"roles": [name]})
            assert given.status_code == 200, given.text
        clients = {}
        for name, who in people.items():
            clients[name] = Client(server.url)
            clients[name].token = Tokens.of(log_in(clients[name], who.name)).access
        yield server, clients, people, thread, other


def test_each_may_do_to_the_shared_thread_what_the_policy_says(shared):
    _, clients, _, thread, _ = shared
    allowed = {"read": 200, "messages": 200, "runs": 200, "change": 200, "say": 201}
    assert statuses(clients["owner"], thread) == allowed
    assert statuses(clients["editor"], thread) == allowed
    assert statuses(clients["reader"], thread) == {**NOTHING, "read": 200, "messages": 200}
    assert statuses(clients["stranger"], thread) == NOTHING


def test_what_was_not_shared_does_not_exist_for_the_others(shared):
    _, clients, _, _, other = shared
    for name in ("reader", "editor", "stranger"):
        assert statuses(clients[name], other) == NOTHING, name


def test_nobody_the_policy_does_not_name_takes_the_thread_away(shared):
    _, clients, _, thread, _ = shared
    for name in ("reader", "editor", "stranger"):
        assert clients[name].delete(f"/v1/threads/{thread}").status_code == 404, name
    assert clients["owner"].get(f"/v1/threads/{thread}").status_code == 200


def test_a_list_shows_the_shared_thread_beside_ones_own_and_to_nobody_else(shared):
    _, clients, _, thread, other = shared

    def listed(name: str, query: str = "") -> set[str]:
        return {item["id"] for item in clients[name].get(f"/v1/threads{query}").json()["threads"]}

    own = clients["reader"].post("/v1/threads", json={}).json()["id"]
    assert listed("reader") == {thread, own}
    assert listed("editor") == {thread}
    assert listed("stranger") == set()
    assert listed("owner") == {thread, other}
    assert listed("reader", '?filter={"owner":"local|nobody"}') == set()


def test_a_run_of_an_editor_in_the_shared_thread_is_seen_by_its_owner(shared):
    _, clients, _, thread, _ = shared
    started = clients["editor"].post(f"/v1/threads/{thread}/runs", json={"messages": [{"role": "user", "content": "hi"}]})
    assert started.status_code in (200, 201), started.text
    assert clients["owner"].get(f"/v1/threads/{thread}/runs").json()["runs"]
    assert clients["reader"].post(f"/v1/threads/{thread}/runs", json={"messages": []}).status_code == 404


def test_a_key_limited_to_reading_writes_nothing_in_a_shared_thread(shared):
    _, clients, _, thread, _ = shared
    made = clients["editor"].post("/v1/api-keys", json={"name": "reads", "scopes": ["read"], "expires_in": 3600})
    assert made.status_code == 201, made.text
    key = Client(clients["editor"].base, made.json()["key"])
    assert key.get(f"/v1/threads/{thread}").status_code == 200
    assert key.patch(f"/v1/threads/{thread}", json={"name": "x"}).status_code == 403


def test_explain_names_the_role_that_shares(shared):
    server, _, people, thread, other = shared
    words = ("--action", "thread:read", "--config", "doorward.toml")
    told = server.command("explain", "--principal", people["reader"].name, "--resource", thread, *words)
    assert told["allowed"] and "on this very resource" in " ".join(told["steps"])
    told = server.command("explain", "--principal", people["owner"].name, "--resource", other, *words)
    assert told["allowed"]


def test_taking_the_role_away_takes_the_thread_away_on_the_next_request(shared):
    server, clients, people, thread, _ = shared
    taken = Client(server.url, server.admin_key).patch(f"/v1/users/{people['editor'].id}", json={"roles": ["user"]})
    assert taken.status_code == 200, taken.text
    assert statuses(clients["editor"], thread) == NOTHING


@pytest.mark.parametrize(
    ("permission", "said"),
    [
        ("thread:read@natvie/thr_1", "native"),
        ("thread:create@native/thr_1", "cannot be for one resource"),
        ("user:read@native/usr_1", "cannot be for one resource"),
        ("thread:read@native", "names nothing"),
        ("thread:read@native/", "names nothing"),
    ],
)
def test_a_slip_in_a_policy_stops_the_start(tmp_path, permission, said):
    (tmp_path / "doorward.toml").write_text(f'[roles.reader]\npermissions = ["{permission}"]\n')
    with pytest.raises(Refused, match=said):
        Doorward("dev", "--listen", "127.0.0.1:0", "--config", "doorward.toml", home=tmp_path)
