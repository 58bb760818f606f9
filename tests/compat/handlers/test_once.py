"""What is good once: codes that `pyotp` checks, and what a handler asks `doorward.once` about."""

import concurrent.futures
import time

import pyotp
import pytest
from test_contract import ask

SECRET = pyotp.random_base32()


@pytest.fixture
def checking(project, serve):
    """A backend whose credential is `how:code`; what it checks a code with is the test's."""

    def start(how: str, python: str = "ours", more: str = ""):
        project.write(
            "mine.py",
            f"""
            import time
            import doorward
            from agentflow_cli import BaseAuth
            from fastapi import HTTPException

            class Backend(BaseAuth):
                def authenticate(self, res, credential):
                    given = credential.credentials
                    if not ({how}):
                        raise HTTPException(401, "no")
                    return {{"user_id": "ann"}}
            """,
        )
        return serve(project.use("mine:Backend"), python, more=more)

    return start


def status(server, token: str) -> int:
    return ask(server, token=token).status_code


def test_each_step_of_a_wider_window_is_good_once(checking):
    server = checking(f"__import__('pyotp').TOTP('{SECRET}').verify(given, valid_window=2)")
    totp, now = pyotp.TOTP(SECRET), time.time()
    codes = [totp.at(now - 30), totp.at(now), totp.at(now + 30)]
    assert [status(server, code) for code in codes + codes] == [200, 200, 200, 401, 401, 401]


@pytest.mark.parametrize(
    "again",
    [
        "TOTP(SECRET.lower()).verify(code, valid_window=2)",
        "TOTP(SECRET).verify(''.join(chr(ord(digit) + 0xFEE0) for digit in code), valid_window=2)",
        "parse_uri(TOTP(SECRET).provisioning_uri(name='ann')).verify(code, valid_window=2)",
        "TOTP(SECRET, interval=30).verify(code, for_time=time.time(), valid_window=3)",
    ],
)
def test_no_other_spelling_makes_a_code_good_again(project, serve, again):
    project.write(
        "mine.py",
        f"""
        import time
        from agentflow_cli import BaseAuth
        from fastapi import HTTPException
        from pyotp import TOTP, parse_uri

        SECRET = "{SECRET}"

        class Backend(BaseAuth):
            def authenticate(self, res, credential):
                how, code = credential.credentials.split(":")
                good = {again} if how == "again" else TOTP(SECRET).verify(code, valid_window=2)
                if not good:
                    raise HTTPException(401, "no")
                return {{"user_id": "ann"}}
        """,
    )
    server = serve(project.use("mine:Backend"), "ours")
    totp, now = pyotp.TOTP(SECRET), time.time()
    codes = [totp.at(now), totp.at(now + 30)]
    assert status(server, f"again:{codes[1]}") == 200, "it would be good"
    assert [status(server, f"{how}:{codes[0]}") for how in ("first", "again", "first")] == [200, 401, 401]


def test_many_at_once_are_let_in_once(checking):
    server = checking(f"__import__('pyotp').TOTP('{SECRET}').verify(given, valid_window=2)", more="workers = 3")
    code = pyotp.TOTP(SECRET).now()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        said = sorted(pool.map(lambda _: status(server, code), range(8)))
    assert said == [200] + [401] * 7


def test_who_wants_pyotp_as_it_is_says_so(checking):
    server = checking(f"__import__('pyotp').TOTP('{SECRET}').verify(given, valid_window=2)", more="one_time_codes = false")
    code = pyotp.TOTP(SECRET).now()
    assert [status(server, code) for _ in range(2)] == [200, 200]


def test_without_an_answer_nobody_is_let_in(checking):
    deaf = "setattr(__import__('_doorward_asking'), '_socket', None)"
    server = checking(f"{deaf} or __import__('pyotp').TOTP('{SECRET}').verify(given, valid_window=2)")
    assert status(server, pyotp.TOTP(SECRET).now()) == 503
    assert status(server, "000000") in (401, 503)


@pytest.mark.parametrize("python", ["bare", "ours"])
def test_a_handler_asks_about_what_it_checks_itself(checking, python):
    server = checking("doorward.once('link ' + given, 2)", python, more="workers = 2")
    assert [status(server, "a"), status(server, "a"), status(server, "b")] == [200, 401, 200]
    time.sleep(2.1)
    assert status(server, "a") == 200, "its time is over"


@pytest.mark.parametrize("how", ["doorward.once('a', 0)", "doorward.once('a', 86401)", "doorward.once(7, 1)", "doorward.once('a', True and 'x')"])
def test_a_question_that_says_too_little_lets_nobody_in(checking, how):
    assert status(checking(how, "bare"), "x") == 503
