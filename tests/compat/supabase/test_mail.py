"""Letters through a real mail server, PyPI `aiosmtpd`: sent, tried again, refused; and what `serve` asks for. L-049, L-046."""

import secrets
import ssl
import subprocess
from pathlib import Path

import pytest

from harness.doorward import Doorward, Refused, command_json
from harness.mail import Sink, listening
from harness.programs import free_port, wait_until
from harness.supabase import PASSWORD, Supabase, address, fragment_of, link_of, open_link

STRONG = "correct horse battery staple 7"


@pytest.fixture
def serve(tmp_path):
    """`doorward serve` with a mount that speaks Supabase; `mail` is the section."""
    running = []

    def start(mail: str, more: str = "", public_url: str | None = None) -> Supabase:
        port = free_port()
        home = tmp_path / f"serve-{port}"
        (home / "data").mkdir(parents=True, mode=0o700)
        key = tmp_path / "master.key"
        key.write_text(secrets.token_hex(32))
        key.chmod(0o600)
        config = home / "doorward.toml"
        url = public_url or f"http://127.0.0.1:{port}"
        config.write_text(
            f"""
[server]
listen = "127.0.0.1:{port}"
public_url = "{url}"
[store]
path = "{home}/data/doorward.db"
[secrets]
master_key_file = "{key}"
[mail]
{mail}
[mounts.supabase]
sign_up = "open"
{more}
"""
        )
        config.chmod(0o600)
        server = Doorward("serve", "--config", config, "--listen", f"127.0.0.1:{port}", home=home)
        running.append(server)
        [keys] = command_json("supabase", "keys", "--config", config, cwd=home)
        return Supabase(server, keys=keys)

    yield start
    for server in running:
        server.program.stop()


def section(port: int, **more) -> str:
    values = {"host": "127.0.0.1", "tls": "none", "from": "Example <auth@example.com>", **more}
    return f"port = {port}\n" + "".join(f'{name} = "{value}"\n' for name, value in values.items())


def sign_up(supabase, email: str, password: str = STRONG):
    return supabase.client().post("/signup", json={"email": email, "password": password})


def test_each_address_gets_a_letter_whose_link_confirms_it(serve):
    sink = Sink()
    with listening(sink) as port:
        supabase = serve(section(port))
        emails = [address("me+1"), address("me+2")]
        for email in emails:
            assert sign_up(supabase, email).status_code == 200
        for email in emails:
            [letter] = wait_until(lambda email=email: sink.to(email), f"a letter to {email}")
            assert letter["From"] == "Example <auth@example.com>" and letter["Subject"] == "Confirm your e-mail address"
            assert letter["Message-ID"].endswith("@example.com>") and letter["Date"]
            text = letter.get_payload(decode=True).decode()
            link = link_of(text)
            assert link.startswith(f"{supabase.url}/auth/v1/verify?token=")
            opened = open_link(link)
            assert opened.status_code == 303 and opened.headers["Location"].startswith(f"{supabase.server.url}/#access_token=")
            assert supabase.client(fragment_of(opened)["access_token"]).get("/user").json()["email"] == email
            assert link not in supabase.server.log and email not in supabase.server.log
        assert supabase.client().request("GET", "/../../_mail").status_code >= 400
        page = supabase.client()
        page.base = supabase.server.url
        assert page.get("/_mail").status_code == 404, "nothing is kept where letters leave"


def test_a_letter_is_tried_again_and_sign_up_does_not_wait_for_it(serve):
    sink = Sink(away=1)
    with listening(sink) as port:
        supabase = serve(section(port))
        email = address()
        assert sign_up(supabase, email).status_code == 200
        wait_until(lambda: sink.to(email), "the second try", limit_s=20)
        assert sink.tries == 2 and "answered 451" in supabase.server.log and email not in supabase.server.log


def test_a_refused_letter_is_given_up_without_a_word_to_anybody(serve):
    sink = Sink()
    with listening(sink) as port:
        supabase = serve(section(port))
        assert sign_up(supabase, "nobody@example.org").status_code == 200
        wait_until(lambda: "answered 550" in supabase.server.log, "the refusal in the log")
        assert sink.tries == 1 and "nobody@example.org" not in supabase.server.log


def test_a_mail_server_that_is_not_there_holds_up_nothing(serve):
    supabase = serve(section(free_port()))
    assert sign_up(supabase, address()).status_code == 200
    wait_until(lambda: "a letter was not taken" in supabase.server.log, "the log")
    assert supabase.server.program.stop() == 0


@pytest.fixture
def certificate(tmp_path) -> tuple[Path, Path]:
    cert, key = tmp_path / "smtp.pem", tmp_path / "smtp.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"],
        check=True, capture_output=True,
    )
    return cert, key


def test_starttls_with_a_checked_certificate_and_a_log_in(serve, certificate):
    cert, key = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    sink = Sink()
    more = {"tls_context": context, "require_starttls": True, "authenticator": sink.authenticate, "auth_required": True}
    with listening(sink, **more) as port:
        login = {"tls": "starttls", "username": "auth", "password": "smtp password of the tests"}
        trusting = serve(section(port, **login), f'[outbound]\nca_file = "{cert}"')
        email = address()
        sign_up(trusting, email)
        wait_until(lambda: sink.to(email), "a letter over TLS")
        assert sink.logins == [("auth", "smtp password of the tests")]
        assert "smtp password" not in trusting.server.log
        distrusting = serve(section(port, **login))
        sign_up(distrusting, address())
        wait_until(lambda: "a letter was not taken" in distrusting.server.log, "the log")
        assert len(sink.taken) == 1 and len(sink.logins) == 1


def test_a_server_without_starttls_gets_neither_password_nor_letter(serve):
    sink = Sink()
    with listening(sink) as port:
        supabase = serve(section(port, tls="starttls", username="auth", password="smtp password of the tests"))
        sign_up(supabase, address())
        wait_until(lambda: "a letter" in supabase.server.log, "the log")
        assert (sink.taken, sink.logins) == ([], [])


def test_serve_refuses_weak_passwords_with_reasons(serve):
    with listening(Sink()) as port:
        supabase = serve(section(port))
        for password, reason in [(PASSWORD, "pwned"), ("short", "length"), ("qwertyuiop", "pwned"), ("xyzxyzxyz", "characters")]:
            answer = sign_up(supabase, address(), password)
            assert answer.status_code == 422, answer.text
            assert (answer.json()["error_code"], answer.json()["weak_password"]) == ("weak_password", {"reasons": [reason]})


def test_links_start_from_the_configured_address_whatever_the_request_says(serve):
    sink = Sink()
    with listening(sink) as port:
        supabase = serve(section(port), public_url="https://auth.example/base")
        email = address()
        answer = supabase.client().post("/signup", json={"email": email, "password": STRONG}, headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"})
        assert answer.status_code == 200
        [letter] = wait_until(lambda: sink.to(email), "a letter")
        text = letter.get_payload(decode=True).decode()
        assert link_of(text).startswith("https://auth.example/base/supabase/auth/v1/verify?") and "evil" not in text


def test_serve_leads_nobody_to_a_page_in_the_clear(serve):
    with pytest.raises(Refused) as refused:
        serve(section(25), 'site_url = "http://app.example"')
    assert "mounts.supabase.site_url" in refused.value.output


def test_serve_starts_neither_without_a_mail_server_nor_with_one_in_the_clear(serve, tmp_path):
    for mail, words in [
        ("", "mail.host"),
        ('host = "smtp.example.com"\nfrom = "a@example.com"\ntls = "none"', "mail.tls"),
        ('host = "smtp.example.com"', "mail.from"),
        ('host = "smtp.example.com"\nfrom = "a@example.com"\nusername = "a"', "mail.username"),
        ('host = "smtp.example.com"\nfrom = "nobody"', "mail: from"),
    ]:
        with pytest.raises(Refused) as refused:
            serve(mail)
        assert words in refused.value.output, (mail, refused.value.output)
