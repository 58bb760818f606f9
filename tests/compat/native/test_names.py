"""A name that a stranger's DNS leads to this machine (DNS rebinding) is not answered to; names of the machine and the operator's are."""

import pytest

from harness.raw import exchange, request_bytes


def status(url: str, host: str) -> tuple[int, str | None]:
    answer = exchange(url, request_bytes("GET", "/.well-known/jwks.json", [("Host", host), ("Connection", "close")], host=False))
    return answer.status, answer.code


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8420", "localhost", "LOCALHOST:1", "app.localhost", "[::1]:8420", "[::1]"])
def test_names_of_the_machine_are_answered_to(server, host):
    assert status(server.url, host)[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8420", "localhost.evil.example", "127.0.0.1.evil.example", "0x7f.1"])
def test_other_names_are_refused_with_what_to_do(server, host):
    assert status(server.url, host) == (400, "bad_header")


def test_a_declared_name_or_proxy_is_answered_to(start, tmp_path):
    for line in ['public_url = "https://auth.example"', 'trusted_proxies = ["127.0.0.1"]']:
        config = tmp_path / "doorward.toml"
        config.write_text(f"[server]\n{line}\n")
        assert status(start("dev", "--config", config).url, "auth.example")[0] == 200
