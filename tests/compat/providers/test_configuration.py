"""Providers as an operator describes them: what is wrong is said before anything starts, with the way to mend it."""

import secrets
from pathlib import Path

import pytest

from harness.doorward import run_command

GOOD = 'client_id = "x"\nclient_secret = "a secret of the tests"\n'


def check(home: Path, text: str, mode: int = 0o600) -> tuple[int, str]:
    config = home / "doorward.toml"
    config.write_text(text)
    config.chmod(mode)
    key = home / "master.key"
    key.write_text(secrets.token_hex(32))
    key.chmod(0o600)
    done = run_command(
        "config", "check", "--config", config, cwd=home,
        environment={"DOORWARD__SECRETS__MASTER_KEY_FILE": str(key), "DOORWARD__STORE__PATH": str(home / "data" / "doorward.db")},
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("[providers.google]\n" + GOOD, None),
        ("[providers.github]\n" + GOOD, None),
        ('[providers.company]\nkind = "oidc"\nissuer = "https://login.example"\n' + GOOD, None),
        ('[providers.google]\nclient_secret = "a secret"', "providers.google.client_id: it is missing"),
        ("[providers.company]\n" + GOOD, "set kind to one of"),
        ('[providers.company]\nkind = "gogle"\n' + GOOD, 'did you mean "google"?'),
        ('[providers.company]\nkind = "oidc"\n' + GOOD, "providers.company.issuer: it is missing"),
        ('[providers.company]\nkind = "oidc"\nissuer = "http://login.example"\n' + GOOD, "providers.company.issuer"),
        ('[providers.company]\nkind = "oidc"\nissuer = "https://10.0.0.1"\n' + GOOD, "outbound.allow"),
        ('[providers.google]\nscopes = ["email"]\n' + GOOD, "without openid"),
        ('[providers.company]\nkind = "oauth2"\n' + GOOD, "providers.company.authorize_url: it is missing"),
        ('[providers.google]\nallowed_domains = ["@example.com"]\n' + GOOD, "is not a domain"),
        ("[providers.Google]\n" + GOOD, "cannot be a provider's name"),
        ("[providers.google]\nclientid = 1\n" + GOOD, "client_id"),
        ("providers = 1", "write [providers.google]"),
    ],
)
def test_each_mistake_is_named_with_its_place(tmp_path, section, said):
    code, output = check(tmp_path, section)
    assert (code == 0) == (said is None), output
    assert said is None or said in output, output
    assert "a secret of the tests" not in output


def test_serve_wants_to_know_where_browsers_are_sent_back_to(tmp_path):
    public = '[server]\nlisten = "0.0.0.0:8420"\ntrusted_proxies = ["10.0.0.1"]\n'
    code, output = check(tmp_path, public + "[providers.google]\n" + GOOD)
    assert code != 0 and "server.public_url" in output and "/v1/login/NAME/callback" in output
    named = public + 'public_url = "https://auth.example.com"\n[providers.google]\n' + GOOD
    assert check(tmp_path, named)[0] == 0


def test_a_client_secret_that_others_can_read_is_refused(tmp_path):
    code, output = check(tmp_path, "[providers.google]\n" + GOOD, mode=0o644)
    assert code != 0 and "providers.google.client_secret" in output and "chmod 600" in output
    secret = tmp_path / "google.secret"
    secret.write_text("a secret of the tests\n")
    for mode, good in [(0o644, False), (0o600, True)]:
        secret.chmod(mode)
        code, output = check(tmp_path, f'[providers.google]\nclient_id = "x"\nclient_secret_file = "{secret}"\n')
        assert (code == 0) == good, output
