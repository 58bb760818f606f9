"""Bytes no honest client sends: a 4xx with a code for each, never a 500, and the server lives on.

Every table is sent to the native mount and to the AgentFlow mount. Heads and bodies go through a
plain socket, because client libraries would mend or refuse them.
"""

import re
import socket
import struct

import pytest

from harness.agentflow.settings import SECRET, write_settings
from harness.agentflow.tokens import token
from harness.client import Client
from harness.doorward import Doorward
from harness.native import person
from harness.programs import wait_until
from harness.raw import RawAnswer, connect, exchange, read_answer, request_bytes

CLOSE = ("Connection", "close")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server for all of it: after every case it must still be the same process."""
    home = tmp_path_factory.mktemp("bad-input")
    settings = write_settings(home / "app")
    listens = ["--listen", "127.0.0.1:0", "--mount", "agentflow=127.0.0.1:0"]
    with Doorward("dev", *listens, "--agentflow", settings, home=home) as running:
        yield running


class Door:
    """One mount, a valid credential for it, and a route of it that takes a body."""

    def __init__(self, base: str, credential: str, read: str, write: str, ping: str) -> None:
        self.base, self.credential = base, credential
        self.read, self.write, self.ping = read, write, ping

    def authorized(self) -> tuple[str, str]:
        return ("Authorization", f"Bearer {self.credential}")

    def post(self, headers: list, body: bytes) -> RawAnswer:
        own = [self.authorized(), ("Content-Length", str(len(body))), CLOSE]
        return exchange(self.base, request_bytes("POST", self.write, [*headers, *own], body))

    def get(self, headers: list, target: str | bytes | None = None) -> RawAnswer:
        return exchange(self.base, request_bytes("GET", target or self.read, [*headers, CLOSE]))


@pytest.fixture(scope="module")
def native(server) -> Door:
    someone = person(server.url)
    return Door(server.url, someone.tokens.access, "/v1/me", "/v1/threads", "/.well-known/jwks.json")


@pytest.fixture(scope="module")
def agentflow(server) -> Door:
    return Door(server.mount("agentflow"), token(), "/threads", "/v1/graph/invoke", "/ping")


@pytest.fixture(params=["native", "agentflow"])
def door(request, server) -> Door:
    chosen = request.getfixturevalue(request.param)
    yield chosen
    server.program.require_running()
    assert chosen.get([], chosen.ping).status == 200, "the server still answers"
    assert "panicked" not in server.log


def assert_refused(answer: RawAnswer, *statuses: int) -> None:
    shown = f"{answer.status} {answer.head[:200]!r} {answer.body[:400]!r}"
    assert 400 <= answer.status < 500, shown
    assert answer.code, f"no code in {shown}"
    if statuses:
        assert answer.status in statuses, shown


# Bodies ---------------------------------------------------------------------------------------

JSON_TYPE = ("Content-Type", "application/json")
BODIES = {
    "not_json": b"{not json",
    "truncated": b'{"a": ',
    "two_values": b"{} {}",
    "trailing_comma": b'{"a": 1,}',
    "single_quotes": b"{'a': 1}",
    "comment": b"{/* x */}",
    "nan": b'{"a": NaN}',
    "infinity": b'{"a": 1e999999, "b": Infinity}',
    "bare_text": b'"text"',
    "bare_number": b"7",
    "list": b"[]",
    "repeated_member": b'{"a": 1, "a": 2}',
    "repeated_member_escaped": b'{"a": 1, "\\u0061": 2}',
    "not_utf8": b'{"a": "\xff\xfe"}',
    "overlong_utf8": b'{"a": "\xc0\xaf"}',
    "surrogate_in_utf8": b'{"a": "\xed\xa0\x80"}',
    "lone_surrogate": b'{"a": "\\ud800"}',
    "raw_control": b'{"a": "\x01"}',
    "utf16": '{"a": 1}'.encode("utf-16"),
    "byte_order_mark": b"\xef\xbb\xbf{}",
    "nul": b"\x00",
    "deep_lists": b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep_objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "depth_of_33": b'{"a": ' + b"[" * 33 + b"]" * 33 + b"}",
    "never_closed": b"[" * 100_000,
}


@pytest.mark.parametrize("name", sorted(BODIES))
def test_a_body_that_is_not_the_json_expected_is_a_bad_request(door, name):
    assert_refused(door.post([JSON_TYPE], BODIES[name]), 400)


def test_a_body_over_the_limit_is_too_large(door):
    body = b'{"a": "' + b"x" * (1 << 20) + b'"}'
    assert_refused(door.post([JSON_TYPE], body), 413)


def test_a_body_announced_over_the_limit_is_refused_before_it_is_sent(door):
    head = request_bytes(
        "POST", door.write, [door.authorized(), JSON_TYPE, ("Content-Length", str(1 << 40)), CLOSE]
    )
    with connect(door.base) as connection:
        connection.sendall(head)
        assert_refused(read_answer(connection), 413)


def test_a_chunked_body_over_the_limit_is_too_large(door):
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    headers = [door.authorized(), JSON_TYPE, ("Transfer-Encoding", "chunked"), CLOSE]
    answer = exchange(door.base, request_bytes("POST", door.write, headers, chunk * 20 + b"0\r\n\r\n"))
    assert_refused(answer, 413)


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "text/html",
        "application/xml",
        "multipart/form-data; boundary=x",
        "application/jsonx",
        "nonsense",
        "application/json; charset=utf-16",
    ],
)
def test_another_media_type_is_not_supported(door, content_type):
    assert_refused(door.post([("Content-Type", content_type)], b'{"a": 1}'), 400, 415)


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "zstd", "gzip, gzip", "identity, gzip", "x"])
def test_a_compressed_body_is_not_supported(door, coding):
    assert_refused(door.post([JSON_TYPE, ("Content-Encoding", coding)], b"\x1f\x8b\x08\x00"), 400, 415)


def test_a_chunk_size_that_is_no_number_is_a_bad_request(door):
    headers = [door.authorized(), JSON_TYPE, ("Transfer-Encoding", "chunked"), CLOSE]
    for chunk in (
        b"zz\r\n{}\r\n0\r\n\r\n",
        b"-1\r\n{}\r\n",
        b"ffffffffffffffffff\r\n{}",
        b"2 \x00\r\n{}\r\n0\r\n\r\n",
    ):
        assert_refused(exchange(door.base, request_bytes("POST", door.write, headers, chunk)), 400, 413)


# Heads ----------------------------------------------------------------------------------------


def test_a_head_over_16_kib_is_refused(door):
    assert_refused(door.get([door.authorized(), ("X-Padding", "x" * 17_000)]), 400, 413, 431)


def test_a_hundred_and_one_headers_are_refused(door):
    many = [(f"X-Number-{n}", "x") for n in range(120)]
    assert_refused(door.get([door.authorized(), *many]), 400, 431)


def test_a_path_over_the_limit_is_refused(door):
    assert_refused(door.get([door.authorized()], "/" + "x" * 12_000), 400, 404, 414, 431)
    assert_refused(door.get([door.authorized()], "/" + "x" * 40_000), 400, 404, 414, 431)


HEADS = {
    "no_host": lambda door: request_bytes("GET", door.read, [CLOSE], host=False),
    "two_hosts": lambda door: request_bytes("GET", door.read, [("Host", "other"), CLOSE]),
    "empty_method": lambda door: b" / HTTP/1.1\r\nHost: a\r\n\r\n",
    "space_in_method": lambda door: b"G ET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "no_version": lambda door: b"GET /\r\nHost: a\r\n\r\n",
    "tls_hello": lambda door: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,
    "not_http": lambda door: b"hello?\r\n\r\n",
    "nul_in_head": lambda door: request_bytes("GET", door.read, [("X-A", b"a\x00b"), CLOSE]),
    "name_with_space": lambda door: request_bytes("GET", door.read, [("X A", "b"), CLOSE]),
    "space_before_colon": lambda door: request_bytes("GET", door.read, [("X-A ", "b"), CLOSE]),
    "folded_line": lambda door: request_bytes("GET", door.read, [("X-A", "b\r\n folded"), CLOSE]),
    "bare_carriage_return": lambda door: request_bytes("GET", door.read, [("X-A", b"b\rX-B: c"), CLOSE]),
    "both_lengths": lambda door: request_bytes(
        "POST",
        door.write,
        [door.authorized(), JSON_TYPE, ("Content-Length", "2"), ("Transfer-Encoding", "chunked"), CLOSE],
        b"0\r\n\r\n",
    ),
    "two_lengths": lambda door: request_bytes(
        "POST",
        door.write,
        [door.authorized(), ("Content-Length", "2"), ("Content-Length", "3"), CLOSE],
        b"{}x",
    ),
    "negative_length": lambda door: request_bytes(
        "POST", door.write, [door.authorized(), ("Content-Length", "-1"), CLOSE]
    ),
    "length_beyond_numbers": lambda door: request_bytes(
        "POST", door.write, [door.authorized(), ("Content-Length", "9" * 40), CLOSE]
    ),
    "unknown_transfer_coding": lambda door: request_bytes(
        "POST", door.write, [door.authorized(), ("Transfer-Encoding", "gzip"), CLOSE], b"0\r\n\r\n"
    ),
    "unknown_expectation": lambda door: request_bytes(
        "POST", door.write, [door.authorized(), ("Expect", "miracles"), ("Content-Length", "2"), CLOSE], b"{}"
    ),
    "absolute_form_elsewhere": lambda door: request_bytes("GET", "http://evil.example/v1/me", [CLOSE]),
    "asterisk_form": lambda door: request_bytes("GET", "*", [CLOSE]),
    "authority_form": lambda door: request_bytes("CONNECT", "evil.example:443", [CLOSE]),
}


@pytest.mark.parametrize("name", sorted(HEADS))
def test_a_head_that_is_malformed_or_contradicts_itself_is_refused(door, name):
    answer = exchange(door.base, HEADS[name](door))
    assert_refused(answer)


@pytest.mark.parametrize("line", [b"GET / HTTP/9.9", b"GET / HTTP/2.0", b"PRI * HTTP/2.0"])
def test_another_version_of_http_is_refused_with_a_code(door, line):
    answer = exchange(door.base, line + b"\r\nHost: localhost\r\n\r\n")
    assert answer.status == 400, answer
    assert answer.code


# Credentials ----------------------------------------------------------------------------------

OTHER_KEY = ("X-API-Key", "dw_user_0000000000000000000000000000000000000000")
CREDENTIALS = {
    "two_authorizations": lambda door: [door.authorized(), ("Authorization", "Bearer other")],
    "two_equal_authorizations": lambda door: [door.authorized(), door.authorized()],
    "token_and_key": lambda door: [door.authorized(), OTHER_KEY],
    "two_keys": lambda door: [OTHER_KEY, ("X-API-Key", "another")],
    "not_ascii": lambda door: [("Authorization", b"Bearer \xc3\xa9\xc3\xa9")],
    "not_utf8": lambda door: [("Authorization", b"Bearer \xff\xfe")],
    "key_not_ascii": lambda door: [("X-API-Key", b"\xff\xfe\xfd")],
    "empty_key": lambda door: [("X-API-Key", "")],
    "tab": lambda door: [("Authorization", f"Bearer\t{door.credential}")],
    "two_tokens": lambda door: [("Authorization", f"Bearer {door.credential} {door.credential}")],
    "quoted": lambda door: [("Authorization", f'Bearer "{door.credential}"')],
    "scheme_only": lambda door: [("Authorization", "Bearer")],
    "no_scheme": lambda door: [("Authorization", door.credential)],
    "empty": lambda door: [("Authorization", "")],
    "digest": lambda door: [("Authorization", 'Digest username="a", realm="b"')],
    "basic_junk": lambda door: [("Authorization", "Basic !!!")],
    "nine_kib": lambda door: [("Authorization", "Bearer " + "x" * 9 * 1024)],
    "dots": lambda door: [("Authorization", "Bearer " + "." * 1000)],
    "format_string": lambda door: [("Authorization", "Bearer %s%n{0}${x}")],
    "sql": lambda door: [("X-API-Key", "' or 1=1 --")],
}


@pytest.mark.parametrize("name", sorted(CREDENTIALS))
def test_a_malformed_or_contradictory_credential_is_refused(door, name):
    assert_refused(door.get(CREDENTIALS[name](door)), 400, 401)


def test_a_cookie_of_any_shape_is_no_credential_and_no_accident(door):
    for cookie in ("a", "=", ";;;", "session=" + "x" * 4000, b"\xff=\xfe", 'a="b', "__Host-session=junk"):
        answer = door.get([("Cookie", cookie)])
        assert_refused(answer, 400, 401)


# Paths ----------------------------------------------------------------------------------------

PATHS = [
    "/v1/threads/%2e%2e/me",
    "/v1/../v1/me",
    "/v1/./me",
    "//v1/me",
    "/v1//me",
    "/v1/me/",
    "/v1%2fme",
    "/v1%5cme",
    "/v1\\me",
    "/v1/threads/%00",
    "/v1/threads/%ff%fe",
    "/v1/threads/%c0%af",
    "/v1/threads/%",
    "/v1/threads/%zz",
    "/v1/threads/%u0041",
    "/v1/threads/a%0d%0aSet-Cookie:%20x=y",
    "/v1/threads/;jsessionid=1",
    "/v1/threads/" + "a" * 2000,
    "/v1/threads/' or 1=1 --".replace(" ", "%20"),
    "/v1/threads/{{7*7}}",
    "/v1/threads/<script>",
    "/v1/threads/%252e%252e",
    b"/v1/threads/\xc3\xa9",
    b"/v1/threads/\xff",
    b"/v1/threads/\x7f",
    "/.env",
    "/.git/config",
    "/etc/passwd",
]


@pytest.mark.parametrize("path", PATHS, ids=[ascii(path)[:40] for path in PATHS])
def test_a_strange_path_is_refused_or_not_found(door, path):
    assert_refused(door.get([door.authorized()], path), 400, 404)


QUERIES = [
    "?" + "a=b&" * 2000,
    "?a=%ff",
    "?a=%",
    "?limit=-1",
    "?limit=abc",
    "?limit=99999999999999999999",
    "?\x7f",
    "?limit=1&limit=2",
]


@pytest.mark.parametrize("query", QUERIES, ids=[ascii(query)[:20] for query in QUERIES])
def test_a_strange_query_is_refused_or_without_effect(door, query):
    listing = "/v1/threads"
    answer = door.get([door.authorized()], listing + query)
    assert answer.status == 200 or 400 <= answer.status < 500, answer


# Fields of the native API ---------------------------------------------------------------------

SIGN_UPS = {
    "nothing": {},
    "no_password": {"username": "someone"},
    "no_name": {"password": "a long enough password 1"},
    "short_password": {"username": "someone-short", "password": "short"},
    "empty_password": {"username": "someone-empty", "password": ""},
    "endless_password": {"username": "someone-endless", "password": "x" * 100_000},
    "number_as_password": {"username": "someone-number", "password": 12345678901},
    "list_as_name": {"username": ["a"], "password": "a long enough password 1"},
    "null_name": {"username": None, "password": "a long enough password 1"},
    "empty_name": {"username": "", "password": "a long enough password 1"},
    "endless_name": {"username": "x" * 5000, "password": "a long enough password 1"},
    "control_in_name": {"username": "a\u0000b", "password": "a long enough password 1"},
    "line_end_in_name": {"username": "a\r\nb", "password": "a long enough password 1"},
    "bidi_in_name": {"username": "a\u202eb", "password": "a long enough password 1"},
    "bad_email": {"email": "not an address", "password": "a long enough password 1"},
    "email_with_line_end": {"email": "a@b.example\r\nBcc: x@y", "password": "a long enough password 1"},
    "roles_from_outside": {
        "username": "someone-admin",
        "password": "a long enough password 1",
        "roles": ["admin"],
    },
    "unknown_member": {"username": "someone-more", "password": "a long enough password 1", "is_admin": True},
    "metadata_no_object": {
        "username": "someone-meta",
        "password": "a long enough password 1",
        "user_metadata": 7,
    },
}


@pytest.mark.parametrize("name", sorted(SIGN_UPS))
def test_a_sign_up_that_should_not_be_is_refused_with_a_code(server, name):
    answer = Client(server.url).post("/v1/users", json=SIGN_UPS[name])
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.json()["code"]


GRANTS = {
    "nothing": {},
    "unknown_grant": {"grant_type": "magic"},
    "no_password": {"grant_type": "password", "username": "x"},
    "empty_refresh": {"grant_type": "refresh_token", "refresh_token": ""},
    "junk_refresh": {"grant_type": "refresh_token", "refresh_token": "junk"},
    "number_refresh": {"grant_type": "refresh_token", "refresh_token": 7},
    "endless_refresh": {"grant_type": "refresh_token", "refresh_token": "x" * 50_000},
    "list_grant": {"grant_type": ["password"], "username": "x", "password": "y"},
    "endless_name": {"grant_type": "password", "username": "x" * 50_000, "password": "y"},
    "endless_password": {"grant_type": "password", "username": "x", "password": "y" * 50_000},
}


@pytest.mark.parametrize("encoding", ["json", "form"])
@pytest.mark.parametrize("name", sorted(GRANTS))
def test_a_grant_that_makes_no_sense_is_refused_with_a_code(server, name, encoding):
    options = {"json": GRANTS[name]} if encoding == "json" else {"data": GRANTS[name]}
    answer = Client(server.url).post("/v1/token", **options)
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.json()["code"]


def test_a_repeated_form_field_is_refused(server):
    form = "grant_type=password&username=a&username=b&password=c"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = Client(server.url).post("/v1/token", data=form, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["code"]


# Connections ----------------------------------------------------------------------------------


def test_a_connection_that_says_nothing_holds_nobody_up(server, door):
    silent = [connect(door.base) for _ in range(50)]
    try:
        assert door.get([], door.ping).status == 200
    finally:
        for connection in silent:
            connection.close()


def test_a_head_that_never_ends_is_cut_off(door):
    """Ten seconds are allowed for a head; then the server ends the connection by itself."""
    with connect(door.base) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        answer = read_answer(connection)
    assert answer.status in (0, 400, 408), answer


def test_a_client_that_resets_its_connection_is_no_accident(door):
    for message in (b"GET /", request_bytes("POST", door.write, [("Content-Length", "1000")], b"{")):
        connection = connect(door.base)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(message)
        connection.close()
    wait_until(lambda: door.get([], door.ping).status == 200, "an answer after the resets", limit_s=5)


def test_pipelined_requests_are_answered_in_order(door):
    first = request_bytes("GET", door.ping, [])
    second = request_bytes("GET", "/no/such/route", [CLOSE])
    with connect(door.base) as connection:
        connection.sendall(first + second)
        data = b""
        while part := connection.recv(65536):
            data += part
    assert re.findall(rb"HTTP/1\.1 (\d{3}) ", data) == [b"200", b"404"]


@pytest.fixture(scope="module", autouse=True)
def nothing_secret_was_logged(server, native):
    """After all of the above: neither a credential nor a key stands in the log."""
    yield
    for secret in (native.credential, SECRET, server.admin_key):
        assert secret not in server.log
