"""The command line: help, JSON, files, and what `serve` refuses to start with (A-007, A-062, A-063, A-066)."""

import json
import re
import secrets
import stat
import subprocess
from pathlib import Path

import jwt
import pytest
import requests

from harness.agentflow.settings import SECRET, jwt_variables, write_settings
from harness.client import Client
from harness.doorward import Doorward, Refused, run_command
from harness.native import PASSWORD, log_in
from harness.programs import wait_until

COMMANDS = ["dev", "serve", "user", "key", "token", "session", "config", "migrate"]
GROUPS = {
    "user": ["create", "list", "show", "disable", "enable", "delete", "set-password", "set-roles"],
    "key": ["create", "list", "revoke"],
    "token": ["issue", "inspect", "revoke"],
    "session": ["list", "end"],
    "config": ["check", "show", "example"],
    "migrate": ["status", "apply"],
}


# Help and errors ------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example_of_itself(tmp_path, command):
    done = run_command(command, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert f"doorward {command}" in done.stdout.split("Usage", 1)[-1]
    assert "xample" in done.stdout


@pytest.mark.parametrize(
    ("group", "word"), [(group, word) for group, words in GROUPS.items() for word in words]
)
def test_every_subcommand_has_help_with_an_example_and_json(tmp_path, group, word):
    done = run_command(group, word, "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(f"doorward {group} {word}") >= 2, "usage and example"
    assert "--json" in done.stdout


def test_the_overview_names_every_command(tmp_path):
    printed = run_command("--help", cwd=tmp_path).stdout
    assert [command for command in COMMANDS if command not in printed] == []
    assert run_command("--version", cwd=tmp_path).stdout.startswith("doorward ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["unheard-of"],
        ["user", "unheard-of"],
        ["dev", "--unheard-of"],
        ["dev", "--listen", "nowhere"],
        ["dev", "--mount", "x"],
    ],
    ids=["command", "subcommand", "flag", "listen", "mount"],
)
def test_a_wrong_use_is_exit_code_two_and_says_what_is_wrong(tmp_path, arguments):
    done = run_command(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert arguments[-1] in done.stderr or arguments[-2] in done.stderr
    assert "panicked" not in done.stderr


# Commands on a store --------------------------------------------------------------------------


@pytest.fixture
def server(start, tmp_path) -> Doorward:
    return start("dev", "--agentflow", write_settings(tmp_path / "app"))


def make_user(server: Doorward, name: str, *arguments) -> dict:
    return server.command(
        "user", "create", "--username", name, "--password-stdin", *arguments, typed=PASSWORD + "\n"
    )


def test_a_user_lives_its_life_by_command(server):
    made = make_user(server, "cli-user", "--display-name", "By Command")
    user = made["id"]
    assert user in [row["id"] for row in server.command("user", "list")]
    assert server.command("user", "show", user)["display_name"] == "By Command"
    client = Client(server.url)
    assert log_in(client, "cli-user").status_code == 200
    server.command("user", "set-roles", user, "premium")
    assert server.command("user", "show", user)["roles"] == ["premium"]
    server.command("user", "set-password", user, "--password-stdin", typed="another long password 2\n")
    wait_until(
        lambda: log_in(client, "cli-user", "another long password 2").status_code == 200,
        "the new password",
        5,
    )
    assert log_in(client, "cli-user").status_code == 401
    server.command("user", "disable", user)
    assert server.command("user", "show", user)["disabled"] is True
    server.command("user", "enable", user)
    assert server.command("user", "show", user)["disabled"] is False
    server.command("user", "delete", user, "--yes")
    gone = run_command("user", "show", user, "--json", "--data-dir", server.data_dir, cwd=server.home)
    assert gone.returncode == 1
    assert gone.stdout == ""


def test_a_key_is_made_listed_and_revoked_by_command(server):
    user = make_user(server, "key-owner")["id"]
    made = server.command(
        "key", "create", "--user", user, "--name", "by command", "--scope", "read", "--expires", "never"
    )
    client = Client(server.url, roaming=True)
    wait_until(lambda: client.get("/v1/me", token=made["key"]).status_code == 200, "the key", limit_s=0.5)
    [listed] = [row for row in server.command("key", "list") if row["id"] == made["id"]]
    assert made["key"] not in json.dumps(listed)
    server.command("key", "revoke", made["id"])
    wait_until(lambda: client.get("/v1/me", token=made["key"]).status_code == 401, "the refusal", limit_s=0.5)


def test_a_key_without_an_expiry_is_not_made_by_silence(server):
    user = make_user(server, "silent-owner")["id"]
    silent = ("key", "create", "--user", user, "--name", "silent", "--data-dir", server.data_dir)
    refused = run_command(*silent, cwd=server.home)
    assert refused.returncode == 2
    assert "--expires" in refused.stderr


def test_a_token_is_issued_inspected_and_revoked_by_command(server):
    issued = server.command(
        *("token", "issue", "--mount", "agentflow", "--user-id", "user123", "--agentflow", server.settings)
    )
    inspected = server.command(
        *("token", "inspect", "--mount", "agentflow", "--agentflow", server.settings, "--token-stdin"),
        typed=issued["token"],
    )
    assert inspected["claims"]["user_id"] == "user123"
    assert inspected["valid"] is True
    jti = jwt.decode(issued["token"], SECRET, algorithms=["HS256"])["jti"]
    server.command("token", "revoke", "--jti", jti)
    again = server.command(
        *("token", "inspect", "--mount", "agentflow", "--agentflow", server.settings, "--token-stdin"),
        typed=issued["token"],
    )
    assert again["valid"] is False


def test_sessions_are_listed_and_ended_by_command(server):
    user = make_user(server, "session-owner")["id"]
    tokens = log_in(Client(server.url), "session-owner").json()
    assert tokens["session_id"] in [row["id"] for row in server.command("session", "list", "--user", user)]
    server.command("session", "end", tokens["session_id"])
    client = Client(server.url, roaming=True)
    wait_until(
        lambda: client.get("/v1/me", token=tokens["access_token"]).status_code == 401,
        "the refusal",
        limit_s=0.5,
    )


def test_a_rotated_signing_key_signs_and_the_old_one_still_verifies(server):
    make_user(server, "rotation-user")
    client = Client(server.url)
    before = log_in(client, "rotation-user").json()["access_token"]
    server.command("token", "rotate-key")

    def rotated():
        after = log_in(client, "rotation-user").json()["access_token"]
        return jwt.get_unverified_header(after)["kid"] != jwt.get_unverified_header(before)["kid"]

    wait_until(rotated, "a token by the new key", limit_s=5)
    assert client.get("/v1/me", token=before).status_code == 200
    published = {key["kid"] for key in client.get("/.well-known/jwks.json").json()["keys"]}
    assert jwt.get_unverified_header(before)["kid"] in published


def test_a_password_never_stands_on_the_command_line(server):
    done = run_command(
        *("user", "create", "--username", "typed", "--password", "visible to ps 123"),
        "--data-dir",
        server.data_dir,
        cwd=server.home,
    )
    assert done.returncode == 2


def test_migrations_are_told_and_apply_to_a_fresh_store(server):
    told = server.command("migrate", "status")
    assert told["pending"] == []


# `dev` ----------------------------------------------------------------------------------------


def test_dev_stays_on_the_machine(start, tmp_path):
    settings = write_settings(tmp_path / "app")
    done = run_command("dev", "--listen", "0.0.0.0:0", "--agentflow", settings, cwd=tmp_path)
    assert done.returncode != 0
    assert "loopback" in done.stderr.lower() or "127.0.0.1" in done.stderr


def test_dev_keeps_its_data_private_and_out_of_the_repository(server):
    """A-063: nobody else of the machine can read it, and git is told to ignore it."""
    data = server.data_dir
    assert stat.S_IMODE(data.stat().st_mode) & 0o077 == 0
    files = [path for path in data.rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert (data / ".gitignore").read_text().strip() == "*"


def test_dev_prints_commands_that_can_be_pasted(server):
    for word in ("curl", "/v1/users", "/v1/token", server.url):
        assert word in server.log


def test_a_second_server_on_the_same_port_says_so(start, tmp_path, server):
    address = server.url.removeprefix("http://")
    done = run_command("dev", "--listen", address, "--data-dir", tmp_path / "other", cwd=tmp_path)
    assert done.returncode == 1
    assert address in done.stderr


def test_clashing_mounts_are_refused_and_both_named(tmp_path):
    config = write_toml(tmp_path, '[mounts.agentflow]\nprefix = "/"\n')
    done = run_command("serve", "--config", config, "--listen", "127.0.0.1:0", cwd=tmp_path)
    assert done.returncode == 1
    assert "native" in done.stderr
    assert "agentflow" in done.stderr


# `serve` --------------------------------------------------------------------------------------


def write_toml(tmp_path: Path, extra: str = "", store_mode: int = 0o700) -> Path:
    """A configuration that is good but for `extra`."""
    store = tmp_path / "store"
    store.mkdir(exist_ok=True)
    store.chmod(store_mode)
    key = tmp_path / "keys" / "master.key"
    key.parent.mkdir(exist_ok=True, mode=0o700)
    key.write_text(secrets.token_hex(32))
    key.chmod(0o600)
    config = tmp_path / "doorward.toml"
    config.write_text(
        f'[store]\npath = "{store / "doorward.db"}"\n\n[secrets]\nmaster_key_file = "{key}"\n\n{extra}'
    )
    return config


def serve(start, config: Path, *arguments, **options) -> Doorward:
    return start("serve", "--config", config, *arguments, **options)


def refusal_of(start, config: Path, *arguments, **options) -> str:
    with pytest.raises(Refused) as refused:
        serve(start, config, *arguments, **options)
    assert refused.value.code == 1
    return refused.value.output


def strong_settings(tmp_path: Path, **changes) -> Path:
    return write_settings(tmp_path / "app", variables=jwt_variables(secrets.token_urlsafe(48)), **changes)


def test_serve_starts_with_a_good_configuration(start, tmp_path):
    server = serve(start, write_toml(tmp_path), "--agentflow", strong_settings(tmp_path))
    assert Client(server.mount("agentflow")).get("/ping").status_code == 200
    assert Client(server.url).get("/v1/me").status_code == 401
    assert "admin_key" not in server.ready
    assert server.ready_mode == 0o600


def test_serve_has_no_default_account_and_prints_one_setup_secret(start, tmp_path):
    server = serve(start, write_toml(tmp_path))
    secret = wait_until(lambda: setup_secret(server.log), "the setup secret", limit_s=5)
    client = Client(server.url)
    body = {"username": "root-user", "password": PASSWORD}
    wrong = client.post("/v1/setup", json={**body, "secret": "x" * len(secret)})
    assert 400 <= wrong.status_code < 500
    made = client.post("/v1/setup", json={**body, "secret": secret})
    assert made.status_code == 201, made.text
    assert made.json()["roles"] == ["admin"]
    again = client.post("/v1/setup", json={"username": "second", "password": PASSWORD, "secret": secret})
    assert 400 <= again.status_code < 500
    tokens = log_in(client, "root-user").json()
    assert client.get("/v1/users", token=tokens["access_token"]).status_code == 200


def setup_secret(log: str) -> str | None:
    """The word after `secret` in the line about `/v1/setup`."""
    found = re.search(r'"secret":\s*"([A-Za-z0-9_-]{16,})"', log.replace('\\"', '"'))
    return found.group(1) if found else None


@pytest.mark.parametrize(
    "secret", ["your-secret-key", "test-secret", "secret", "changeme", "a" * 64, "short-but-random-x7"]
)
def test_serve_refuses_a_weak_secret_and_dev_warns(start, tmp_path, secret):
    settings = write_settings(tmp_path / "app", variables=jwt_variables(secret))
    refused = refusal_of(start, write_toml(tmp_path), "--agentflow", settings)
    assert "JWT_SECRET_KEY" in refused
    warned = start("dev", "--agentflow", settings)
    assert "JWT_SECRET_KEY" in warned.log


def test_serve_refuses_a_store_others_can_read(start, tmp_path):
    refused = refusal_of(start, write_toml(tmp_path, store_mode=0o755))
    assert "chmod" in refused


def test_serve_refuses_a_store_it_cannot_write(start, tmp_path):
    config = write_toml(tmp_path)
    (tmp_path / "a-file").write_text("not a directory")
    text = config.read_text().replace(str(tmp_path / "store"), str(tmp_path / "a-file"))
    config.write_text(text)
    assert "a-file" in refusal_of(start, config)


def test_serve_refuses_a_readable_master_key_or_one_beside_the_store(start, tmp_path):
    config = write_toml(tmp_path)
    (tmp_path / "keys" / "master.key").chmod(0o644)
    assert "master" in refusal_of(start, config)
    inside = tmp_path / "store" / "master.key"
    inside.write_text(secrets.token_hex(32))
    inside.chmod(0o600)
    config.write_text(config.read_text().replace(str(tmp_path / "keys" / "master.key"), str(inside)))
    assert "master" in refusal_of(start, config)


def test_serve_refuses_to_run_without_a_master_key(start, tmp_path):
    config = write_toml(tmp_path)
    config.write_text(config.read_text().split("[secrets]")[0])
    assert "master_key" in refusal_of(start, config)


def test_serve_refuses_a_public_address_without_tls_or_a_proxy(start, tmp_path):
    """A-066."""
    refused = refusal_of(start, write_toml(tmp_path), "--listen", "0.0.0.0:0")
    assert "trusted_proxies" in refused


def test_serve_with_a_certificate_answers_over_https_with_hsts(tmp_path):
    """A-066. Any requests client that trusts the certificate, on a public address."""
    certificate, key = tmp_path / "chain.pem", tmp_path / "tls.key"
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]
    names = ["-subj", "/CN=doorward", "-addext", "subjectAltName=IP:127.0.0.1"]
    usage = ["-addext", "keyUsage=critical,digitalSignature,keyCertSign"]
    files = ["-keyout", key, "-out", certificate]
    subprocess.run([*make, *names, *usage, *files], check=True, capture_output=True, timeout=30)
    key.chmod(0o600)
    server = (
        f'[server]\nlisten = "0.0.0.0:0"\ntls_certificate_file = "{certificate}"\ntls_key_file = "{key}"\n\n'
    )
    with serve_public(tmp_path, write_toml(tmp_path, server)) as served:
        assert served.url.startswith("https://127.0.0.1:")
        jwks = f"{served.url}/.well-known/jwks.json"
        answer = requests.get(jwks, verify=str(certificate), timeout=10)
        assert answer.status_code == 200
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(jwks, timeout=10)


def test_serve_refuses_an_open_mount_on_a_public_address_unless_told(start, tmp_path):
    """A-007."""
    public = '[server]\nlisten = "0.0.0.0:0"\npublic_url = "https://agents.example"\ntrusted_proxies = ["10.0.0.1"]\n\n'
    settings = write_settings(tmp_path / "app", auth=None)
    mount = f'[mounts.agentflow]\nagentflow = "{settings}"\n'
    refused = run_command("serve", "--config", write_toml(tmp_path, public + mount), cwd=tmp_path)
    assert refused.returncode == 1
    assert "allow_anonymous" in refused.stderr
    config = write_toml(tmp_path, public + mount + "allow_anonymous = true\n")
    allowed = serve_public(tmp_path, config)
    with allowed:
        assert "allow_anonymous" in allowed.log


def serve_public(tmp_path: Path, config: Path) -> Doorward:
    """`start` would add a loopback `--listen`, which wins over the file."""
    return Doorward("serve", "--config", config, home=tmp_path / "public")


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        ("[server]\nlissten = 'x'\n", ["lissten", "listen"]),
        ("[sever]\nlisten = 'x'\n", ["sever", "server"]),
        ("[tokens]\naccess_ttl_s = 'an hour'\n", ["access_ttl_s"]),
        ("[tokens]\naccess_ttl_s = -1\n", ["access_ttl_s"]),
        ("[tokens]\nissuer = '${NOT_SET_ANYWHERE}'\n", ["NOT_SET_ANYWHERE"]),
        ("[server\n", ["doorward.toml"]),
        ("[limits]\nfailures = 0\n[sessions]\nidle_s = -5\n", ["failures", "idle_s"]),
    ],
    ids=[
        "unknown_key",
        "unknown_section",
        "wrong_type",
        "out_of_range",
        "unset_variable",
        "not_toml",
        "two_at_once",
    ],
)
def test_a_bad_configuration_is_refused_with_every_problem_named(tmp_path, extra, named):
    for command in (["serve"], ["config", "check"]):
        done = run_command(*command, "--config", write_toml(tmp_path, extra), cwd=tmp_path)
        assert done.returncode == 1, done.stdout + done.stderr
        for name in named:
            assert name in done.stdout + done.stderr


def test_the_environment_wins_over_the_file_and_flags_win_over_both(tmp_path):
    config = write_toml(tmp_path, '[server]\nlisten = "127.0.0.1:1001"\n')

    def shown(*arguments, **environment) -> str:
        done = run_command(
            "config", "show", "--json", "--config", config, *arguments, cwd=tmp_path, environment=environment
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "127.0.0.1:1001" in shown()
    from_environment = shown(DOORWARD__SERVER__LISTEN="127.0.0.1:1002")
    assert "127.0.0.1:1002" in from_environment
    assert "127.0.0.1:1001" not in from_environment


def test_config_show_prints_no_secret(tmp_path):
    key = secrets.token_hex(32)
    config = tmp_path / "doorward.toml"
    config.write_text(f'[secrets]\nmaster_key = "{key}"\n')
    for extra in ([], ["--json"]):
        done = run_command("config", "show", "--config", config, *extra, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert key not in done.stdout + done.stderr


def test_the_example_configuration_is_accepted_by_the_check(tmp_path):
    example = run_command("config", "example", cwd=tmp_path)
    assert example.returncode == 0
    config = write_toml(tmp_path, "")
    (tmp_path / "example.toml").write_text(example.stdout)
    assert "[server]" in example.stdout
    assert run_command("config", "check", "--config", config, cwd=tmp_path).returncode == 0


def test_a_polite_stop_finishes_what_was_taken(start, tmp_path):
    server = serve(start, write_toml(tmp_path))
    assert server.program.stop() == 0
    assert "panicked" not in server.log
