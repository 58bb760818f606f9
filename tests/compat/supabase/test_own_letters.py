"""Letters in the operator's own words, through a real mail server, PyPI `aiosmtpd`; and what is refused at the start. L-049."""

import secrets

import pytest

from harness.doorward import Doorward, Refused, command_json
from harness.mail import Sink, listening
from harness.programs import wait_until
from harness.supabase import PASSWORD, Supabase, address, fragment_of, open_link

TEXT = "Subject: Welcome, {{ .Email }}\n\nHello {{ .Email }},\n{{ .ConfirmationURL }}\ncode {{ .Token }} for {{ .SiteURL }}\n"
PAGE = '<!doctype html><title>Hi</title><p>Hello <b>{{ .Email }}</b> <a href="{{ .ConfirmationURL }}" title="{{ .RedirectTo }}">go</a> {{ .Token }}</p>'


def configured(tmp_path, port: int, **files):
    letters = tmp_path / "letters"
    letters.mkdir()
    for name, text in files.items():
        (letters / name.replace("__", ".")).write_text(text)
    config = tmp_path / "doorward.toml"
    config.write_text(
        f"[mail]\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\nfrom = \"Doorward <auth@example.com>\"\n"
        "[mounts.supabase]\nsite_url = \"https://app.example/\"\nmail_templates = \"letters\"\n"
    )
    return config


def test_letters_are_sent_in_the_operators_words_as_text_and_as_a_page(tmp_path):
    sink = Sink()
    with listening(sink) as port:
        config = configured(tmp_path, port, confirmation__txt=TEXT, confirmation__html=PAGE)
        with Doorward("dev", "--listen", "127.0.0.1:0", "--config", config, home=tmp_path / "server") as server:
            supabase = Supabase(server)
            email = f"o'neil&sons-{address()}"
            made = supabase.client().post("/signup", json={"email": email, "password": PASSWORD})
            assert made.status_code == 200, made.text
            [message] = wait_for(sink, email)
            assert message["Subject"] == f"Welcome, {email}" and message.get_content_type() == "multipart/alternative"
            text, page = (part.get_payload(decode=True).decode() for part in message.get_payload())
            link = next(line for line in text.splitlines() if line.startswith("http"))
            assert text.splitlines()[0] == f"Hello {email}," and text.rstrip().endswith("for https://app.example/")
            assert f"<b>{email.replace('&', '&amp;').replace(chr(39), '&#39;')}</b>" in page and email not in page
            assert link.replace("&", "&amp;") in page
            assert fragment_of(open_link(link))["type"] == "signup"


def wait_for(sink: Sink, email: str) -> list:
    return wait_until(lambda: sink.to(email), f"a letter to {email}")


@pytest.mark.parametrize(
    ("file", "text", "why"),
    [
        ("confirmation__txt", "Hello", "line 1"),
        ("confirmation__txt", "Subject: x\n\n{{ .Nonsense }} {{ .Token }}", "is no variable"),
        ("confirmation__txt", "Subject: x\n\nnothing to open", "open or type"),
        ("confirmation__html", "<script>alert(1)</script>{{ .Token }}", "script"),
        ("confirmation__html", "<img src=x onerror=alert(1)>{{ .Token }}", "onerror"),
        ("confirmation__html", "<a href={{ .ConfirmationURL }}>x</a>", "quotes"),
        ("welcome__txt", TEXT, "is no letter"),
    ],
)
def test_what_cannot_be_sent_is_refused_at_the_start_and_by_config_check(tmp_path, file, text, why):
    config = configured(tmp_path, 2525, **{file: text})
    with pytest.raises(Refused) as refused:
        Doorward("dev", "--listen", "127.0.0.1:0", "--config", config, home=tmp_path / "server")
    assert why in refused.value.output and file.replace("__", ".") in refused.value.output
    key = tmp_path / "master.key"
    key.write_text(secrets.token_hex(32))
    key.chmod(0o600)
    config.write_text(f'{config.read_text()}[server]\npublic_url = "https://auth.example"\n[secrets]\nmaster_key_file = "{key}"\n')
    with pytest.raises(AssertionError, match="mail_templates"):
        command_json("config", "check", "--config", str(config), cwd=tmp_path)
