"""`kill -9` inside a write: nothing acknowledged is lost, nothing half-done remains.

One store lives through fifty deaths. In each life writers sign people up, refresh, end sessions
and revoke tokens until the process is killed as the store's write-ahead log grows. The next life
is asked about everything that the last one had been told.

A death counts when at least eight writes were unanswered and it fell inside one: either the log
ends in the middle of a commit, or an unanswered write turns out to have been made, so that the
kill fell between its commit and its answer.
"""

import random
import sqlite3
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest

from harness.agentflow.settings import write_settings
from harness.agentflow.tokens import token
from harness.client import Client
from harness.crash import Assassin, Ledger, Writer, ends_inside_a_transaction
from harness.doorward import Doorward
from harness.native import Tokens, log_in, new_name, refresh, sign_up

ROUNDS = 50
LEAST_INSIDE = 25
LEAST_IN_FLIGHT = 8
SIGNERS, REVOKERS, REFRESHERS, ENDERS = 3, 5, 5, 2
# More than the changes of one start, less than a second of writing.
LONGEST_LIFE_CHANGES = 25
SAMPLE = 20


@dataclass
class Chain:
    """A refresh family that one writer follows through every life."""

    tokens: Tokens
    cut_off: bool = False


@dataclass
class Memory:
    """What the server has promised so far, beyond the last life."""

    person: str
    chains: list[Chain]
    people: dict[str, str] = field(default_factory=dict)
    revoked: list[str] = field(default_factory=list)


class Life:
    """One process on the store, from its start to its death."""

    def __init__(self, tmp_path: Path, number: int) -> None:
        settings = write_settings(tmp_path / "app")
        self.data_dir = tmp_path / "data"
        arguments = ["--listen", "127.0.0.1:0", "--data-dir", self.data_dir, "--agentflow", settings]
        self.server = Doorward("dev", *arguments, home=tmp_path / f"life-{number}")
        self.admin = self.administrator()
        self.door = Client(self.server.mount("agentflow"), roaming=True)

    def client(self) -> Client:
        return Client(self.server.url)

    def administrator(self) -> Client:
        return Client(self.server.url, self.server.admin_key)

    def refuses(self, credential: str) -> bool:
        status = self.door.get("/threads", token=credential).status_code
        assert status in (200, 401), status
        return status == 401

    # What writers do ---------------------------------------------------------------------

    def sign_up(self, ledger: Ledger, client: Client) -> bool:
        name = new_name()
        return ledger.attempt("sign_up", name, lambda: sign_up(client, name))

    def revoke(self, ledger: Ledger, client: Client) -> bool:
        jti = uuid4().hex
        return ledger.attempt("revoke", jti, lambda: client.post("/v1/tokens/revoke", json={"jti": jti}))

    def refresh(self, ledger: Ledger, client: Client, chain: Chain) -> bool:
        def renew():
            chain.cut_off = True
            answer = refresh(client, chain.tokens.refresh)
            chain.tokens, chain.cut_off = Tokens.of(answer), False
            return answer

        return ledger.attempt("refresh", chain, renew)

    def end(self, ledger: Ledger, client: Client, tokens: Tokens) -> bool:
        client.token = tokens.access
        ledger.attempt("end", tokens, lambda: client.delete(f"/v1/sessions/{tokens.session}"))
        return False

    def live_and_die(self, memory: Memory, changes: int, after: str | None) -> Ledger:
        """Dies after so many changes, counted from the first acknowledged write of the kind `after`."""
        ledger = Ledger()
        doomed = [Tokens.of(log_in(self.client(), memory.person)) for _ in range(ENDERS)]
        assassin = Assassin(self.server.ready["pid"], journal_of(self.data_dir), changes)
        acts = [partial(self.sign_up, ledger, self.client()) for _ in range(SIGNERS)]
        acts += [partial(self.revoke, ledger, self.administrator()) for _ in range(REVOKERS)]
        acts += [partial(self.refresh, ledger, self.client(), chain) for chain in memory.chains]
        acts += [partial(self.end, ledger, self.client(), tokens) for tokens in doomed]
        writers = [Writer(act) for act in acts]
        if after:
            ledger.wait_for(after)
        assassin.begin()
        for writer in writers:
            writer.finish()
        assassin.require_done()
        assert self.server.program.process.wait(10) == -9, self.server.log
        assert ledger.refused() == [], [write.answer.text for write in ledger.refused()][:3]
        return ledger

    # What the next life must still know --------------------------------------------------

    def check(self, memory: Memory, ledger: Ledger) -> bool:
        """Whether a write was made that was never answered."""
        # The window for lost refresh answers is running: they come first.
        for chain in memory.chains:
            self.check_chain(chain)
        made = [self.check_cut_off_sign_up(write.subject) for write in ledger.cut_off("sign_up")]
        made += [self.refuses(token(jti=write.subject)) for write in ledger.cut_off("revoke")]
        made += [self.check_cut_off_end(write.subject) for write in ledger.cut_off("end")]
        for write in ledger.acknowledged("end"):
            assert self.access_of(write.subject) == 401
            assert refresh(self.client(), write.subject.refresh).status_code == 401
        for write in ledger.acknowledged("sign_up"):
            memory.people[write.subject] = write.answer.json()["id"]
            self.check_person(write.subject, memory.people[write.subject])
        revoked = [write.subject for write in ledger.acknowledged("revoke")]
        memory.revoked += revoked
        for jti in revoked[-SAMPLE:]:
            assert self.refuses(token(jti=jti)), "an acknowledged revocation was lost"
        assert not self.refuses(token(jti=uuid4().hex)), "what nobody revoked still works"
        return any(made)

    def check_chain(self, chain: Chain) -> None:
        if chain.cut_off:
            # Whether it was made or not, asking again gives a successor.
            chain.tokens, chain.cut_off = Tokens.of(refresh(self.client(), chain.tokens.refresh)), False
        assert self.access_of(chain.tokens) == 200, "an acknowledged refresh was lost"

    def check_person(self, name: str, user_id: str) -> None:
        answer = self.admin.get(f"/v1/users/{user_id}")
        assert answer.status_code == 200, f"an acknowledged sign-up was lost: {answer.text}"
        assert answer.json()["username"] == name

    def check_cut_off_sign_up(self, name: str) -> bool:
        again = sign_up(self.client(), name).status_code
        assert again in (201, 409)
        assert log_in(self.client(), name).status_code == 200, "an account without its password"
        return again == 409

    def check_cut_off_end(self, tokens: Tokens) -> bool:
        access = self.access_of(tokens)
        renewed = refresh(self.client(), tokens.refresh).status_code
        assert access == renewed or {access, renewed} == {200}, "half a session"
        return access == 401

    def access_of(self, tokens: Tokens) -> int:
        return self.client().get("/v1/me", token=tokens.access).status_code


def journal_of(data_dir: Path) -> Path:
    """The write-ahead log of the store; SQLite names it after the database."""
    [database] = data_dir.rglob("*.db")
    return database.with_name(database.name + "-wal")


def begin(life: Life) -> Memory:
    name = new_name()
    assert sign_up(life.client(), name).status_code == 201
    return Memory(name, [Chain(Tokens.of(log_in(life.client(), name))) for _ in range(REFRESHERS)])


@pytest.mark.timeout(400)
def test_nothing_acknowledged_is_lost_and_nothing_is_half_done(tmp_path):
    chance = random.Random(0)
    life = Life(tmp_path, 0)
    memory = begin(life)
    inside = 0
    for number in range(1, ROUNDS + 1):
        # Hashing makes a sign-up the slowest write: on a busy machine few lives would see one answered.
        after = "sign_up" if number % 5 == 0 else None
        ledger = life.live_and_die(memory, chance.randint(1, LONGEST_LIFE_CHANGES), after)
        torn = ends_inside_a_transaction(journal_of(life.data_dir))
        life = Life(tmp_path, number)
        made = life.check(memory, ledger)
        inside += (torn or made) and len(ledger.cut_off()) >= LEAST_IN_FLIGHT
    for name, user_id in memory.people.items():
        life.check_person(name, user_id)
    for jti in chance.sample(memory.revoked, min(len(memory.revoked), 20 * SAMPLE)):
        assert life.refuses(token(jti=jti)), "an old revocation came undone"
    assert life.server.program.stop() == 0
    [database] = life.data_dir.rglob("*.db")
    with sqlite3.connect(database) as store:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert store.execute("PRAGMA foreign_key_check").fetchall() == []
    assert len(memory.people) >= ROUNDS // 5
    assert inside >= LEAST_INSIDE, f"only {inside} of {ROUNDS} kills landed inside a write"
