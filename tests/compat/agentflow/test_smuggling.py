"""Request smuggling and paths with two readings, judged by what a recording upstream received.

Every message carries a second request in a place where some reader would find one. Whatever Doorward answers, the
upstream must have got whole, single requests that were asked for: none whose target is the hidden one, none with both
kinds of length, none with bytes behind it, and none from a message that could be read in two ways.
"""

import re
import socket
from itertools import product

import pytest

from harness.agentflow.settings import write_settings
from harness.agentflow.tokens import token
from harness.client import Client
from harness.doorward import Doorward
from harness.raw import connect
from harness.recorder import Recorder

HIDDEN = b"GET /v1/graph/tools?hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"
BODY = b'{"messages":[],"config":{}}'
TARGET = b"/v1/graph/invoke"
SIZE = b"%x" % len(BODY)
CHUNKED = SIZE + b"\r\n" + BODY + b"\r\n0\r\n\r\n"


@pytest.fixture(scope="module")
def recorder():
    with Recorder() as recorder:
        yield recorder


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, recorder):
    home = tmp_path_factory.mktemp("smuggling")
    settings = write_settings(home / "app", auth="jwt")
    upstream = ["--upstream", recorder.url, "--surface", "agentflow"]
    with Doorward("dev", "--listen", "127.0.0.1:0", "--agentflow", settings, *upstream, home=home) as server:
        yield server


@pytest.fixture(scope="module")
def credential() -> bytes:
    return token().encode()


def message(credential: bytes, headers: list[bytes], body: bytes, line: bytes = b"") -> bytes:
    first = line or b"POST /agentflow" + TARGET + b" HTTP/1.1"
    own = [b"Host: localhost", b"Authorization: Bearer " + credential, b"Content-Type: application/json"]
    return b"\r\n".join([first, *own, *headers]) + b"\r\n\r\n" + body


def statuses(gateway, sent: bytes) -> list[int]:
    """Every answer on the connection until it is closed; the client stops sending at once."""
    with connect(gateway.url) as connection:
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        data = b""
        while True:
            try:
                part = connection.recv(65536)
            except ConnectionResetError:
                break
            if not part:
                break
            data += part
    return [int(found) for found in re.findall(rb"(?:^|\r\n|\})HTTP/1\.1 (\d{3}) ", data)]


def judge(gateway, recorder, sent: bytes, *, good: bool = False) -> None:
    recorder.taken()
    answers = statuses(gateway, sent)
    assert all(status < 500 for status in answers), (answers, sent)
    seen = recorder.taken()
    for request in seen:
        lengths = len(request.all("content-length")) + len(request.all("transfer-encoding"))
        assert lengths <= 1 and request.after == b"", (request.head, request.after, sent)
        assert "hidden" not in request.target, (request.head, sent)
        assert request.target in ("/v1/graph/invoke", "/v1/graph/tools", "/v1/graph"), (request.target, sent)
    if good:
        assert answers[0] == 200 and len(seen) == 1, (answers, sent)
    else:
        assert seen == [] and answers and 400 <= answers[0] < 500, (answers, [r.head for r in seen], sent)


LENGTH = b"Content-Length: %d" % len(BODY)
LONG = b"Content-Length: %d" % (len(BODY) + len(HIDDEN))

# Spellings of "chunked" that one reader takes for it and another does not.
CODINGS = [
    b"Transfer-Encoding: xchunked", b"Transfer-Encoding : chunked", b"Transfer-Encoding\t: chunked",
    b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding: identity, chunked", b"Transfer-Encoding: chunked;q=1",
    b"Transfer-Encoding: gzip, chunked", b'Transfer-Encoding: "chunked"', b"Transfer-Encoding: chunked,",
    b"Transfer-Encoding: ,chunked", b"Transfer-Encoding: \x0bchunked", b"Transfer-Encoding: \x00chunked",
    b"Transfer-Encoding: chunked\x00", b"Transfer-Encoding: chunked\x0c", b"Transfer-Encoding:\n chunked",
    b"Transfer-Encoding:\r\n chunked", b"Transfer-Encoding: identity", b"Transfer-Encoding: cow",
    b"Transfer-Encoding: chunk", b"Transfer-Encoding:", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    b" Transfer-Encoding: chunked", b"\tTransfer-Encoding: chunked", b"X: y\rTransfer-Encoding: chunked",
    b"X: y\nTransfer-Encoding: chunked", b"Transfer-Encoding: \xef\xbc\xa3hunked", b"Transfer-Encoding: chunKed\xc4\xb0",
    b"Transfer\xadEncoding: chunked", b"Transfer-Encoding: chunked\x85", b"Transfer-Encoding: chun\tked",
]


@pytest.mark.parametrize("coding", CODINGS, ids=range(len(CODINGS)))
@pytest.mark.parametrize("order", ["alone", "after", "before"])
def test_a_coding_with_two_readings_is_never_passed_on(gateway, recorder, credential, coding, order):
    headers = {"alone": [coding], "after": [LENGTH, coding], "before": [coding, LENGTH]}[order]
    judge(gateway, recorder, message(credential, headers, CHUNKED + HIDDEN))


@pytest.mark.parametrize("coding", [b"Transfer-Encoding: chunked", b"transfer-encoding:chunked", b"TRANSFER-ENCODING: CHUNKED"])
@pytest.mark.parametrize("order", [0, 1])
def test_both_kinds_of_length_are_never_passed_on(gateway, recorder, credential, coding, order):
    for length, body in [(LENGTH, CHUNKED), (LONG, CHUNKED), (b"Content-Length: 0", CHUNKED), (b"Content-Length: 5", b"0\r\n\r\n")]:
        headers = [coding, length] if order else [length, coding]
        judge(gateway, recorder, message(credential, headers, body + HIDDEN))


LENGTHS = [
    b"Content-Length: +27", b"Content-Length: -27", b"Content-Length: 0x1b", b"Content-Length: 27,27", b"Content-Length: 27, 27",
    b"Content-Length: 2 7", b"Content-Length: 27 27", b"Content-Length: 27;", b"Content-Length: 27\x0b", b"Content-Length: \x0027",
    b"Content-Length: 27\x00", b"Content-Length:", b"Content-Length: ", b"Content-Length: abc", b"Content-Length: 27abc",
    b"Content-Length: 1e1", b"Content-Length: 27.0", b"Content-Length: \xd9\xa2\xd9\xa7", b"Content-Length: 18446744073709551643",
    b"Content-Length: 99999999999999999999999999", b"Content-Length : 27", b"Content-Length\t: 27", b" Content-Length: 27",
    b"Content-Length: 27\r\nContent-Length: 27", b"Content-Length: 27\r\nContent-Length: 0", b"Content-Length: 0\r\nContent-Length: 27",
    b"Content-Length: 27\r\ncontent-length: 90", b"Content-Length:\r\n 27", b"X: y\nContent-Length: 27", b"X: y\rContent-Length: 27",
    b'Content-Length: "27"', b"Content-Length: 0b11011", b"Content-Length: 2_7", b"Content-Length: 27\x85",
]


@pytest.mark.parametrize("length", LENGTHS, ids=range(len(LENGTHS)))
def test_a_length_with_two_readings_is_never_passed_on(gateway, recorder, credential, length):
    assert len(BODY) == 27
    judge(gateway, recorder, message(credential, [length], BODY + HIDDEN))


CHUNKS = [
    b"0x1b\r\n" + BODY + b"\r\n0\r\n\r\n", b"+1b\r\n" + BODY + b"\r\n0\r\n\r\n", b"-1b\r\n" + BODY + b"\r\n0\r\n\r\n",
    b" 1b\r\n" + BODY + b"\r\n0\r\n\r\n", b"1b \r\n" + BODY + b"\r\n0\r\n\r\n", b"1b\n" + BODY + b"\n0\n\n",
    b"1b\r\n" + BODY + b"\n0\r\n\r\n", b"1b\r\n" + BODY + b"0\r\n\r\n", b"1b\r\n" + BODY + b"\r\n0\r\nX: y\r\n\r\n",
    b"1b\r\n" + BODY + b"\r\n0\r\nContent-Length: 90\r\n\r\n", b"ffffffffffffffff\r\n" + BODY + b"\r\n0\r\n\r\n",
    b"10000000000000001b\r\n" + BODY + b"\r\n0\r\n\r\n", b"1b;\n" + BODY + b"\r\n0\r\n\r\n", b"1b\r" + BODY + b"\r\n0\r\n\r\n",
    b"\r\n1b\r\n" + BODY + b"\r\n0\r\n\r\n", b"g\r\n" + BODY + b"\r\n0\r\n\r\n", b"\r\n\r\n", b"1b\r\n" + BODY[:-1] + b"\r\n0\r\n\r\n",
    b"1a\r\n" + BODY + b"\r\n0\r\n\r\n", b"1b;a\x00b\r\n" + BODY + b"\r\n0\r\n\r\n", b"1b\x00\r\n" + BODY + b"\r\n0\r\n\r\n",
    b"1b\r\n" + BODY + b"\r\n00000000000\r\n\r\n", b"1_b\r\n" + BODY + b"\r\n0\r\n\r\n", b"1b;" + b"x" * 5000 + b"\r\n" + BODY + b"\r\n0\r\n\r\n",
]


@pytest.mark.parametrize("body", CHUNKS, ids=range(len(CHUNKS)))
def test_chunks_with_two_readings_are_never_passed_on(gateway, recorder, credential, body):
    judge(gateway, recorder, message(credential, [b"Transfer-Encoding: chunked"], body + HIDDEN))


LINES = [
    b"POST  /agentflow/v1/graph/invoke HTTP/1.1", b"POST /agentflow/v1/graph/invoke  HTTP/1.1", b"POST\t/agentflow/v1/graph/invoke\tHTTP/1.1",
    b" POST /agentflow/v1/graph/invoke HTTP/1.1", b"POST /agentflow/v1/graph/invoke HTTP/1.1 ", b"POST /agentflow/v1/graph/invoke",
    b"POST /agentflow/v1/graph/invoke HTTP/1.2", b"POST /agentflow/v1/graph/invoke HTTP/0.9", b"POST /agentflow/v1/graph/invoke HTTP/2.0",
    b"POST /agentflow/v1/graph/invoke http/1.1", b"POST /agentflow/v1/graph/invoke HTTP/1.1\x00", b"POST /agentflow/v1/graph/invoke HTTP/11",
    b"POST http://localhost/agentflow/v1/graph/invoke HTTP/1.1", b"POST //localhost/agentflow/v1/graph/invoke HTTP/1.1",
    b"POST localhost:80 HTTP/1.1", b"POST /agentflow/v1/graph/invoke\r HTTP/1.1", b"\x16\x03\x01POST /agentflow/v1/graph/invoke HTTP/1.1",
    b"PO ST /agentflow/v1/graph/invoke HTTP/1.1", b"POST /agentflow/v1/graph/invoke HTTP/1.1\nX: y", b"P\x00ST /agentflow/v1/graph/invoke HTTP/1.1",
    b"post /agentflow/v1/graph/invoke HTTP/1.1", b"\r\n\r\nPOST /agentflow/v1/graph/invoke HTTP/1.1",
]


@pytest.mark.parametrize("line", LINES, ids=range(len(LINES)))
def test_a_first_line_with_two_readings_is_never_passed_on(gateway, recorder, credential, line):
    judge(gateway, recorder, message(credential, [LENGTH], BODY + HIDDEN, line))


PATHS = [
    b"/v1/graph/../graph/invoke", b"/v1/./graph/invoke", b"/v1//graph/invoke", b"/v1/graph%2finvoke", b"/v1/graph%2Finvoke",
    b"/v1/graph%5cinvoke", b"/v1/graph\\invoke", b"/v1/%2e%2e/v1/graph/invoke", b"/v1/.%2e/v1/graph/invoke", b"/v1/%252e%252e/v1/graph/invoke",
    b"/v1/graph/invoke%00", b"/v1/graph/invoke%0a", b"/v1/graph/invoke%0d%0aX:%20y", b"/v1/graph/invoke/", b"/v1/graph/invoke;a=b",
    b"/v1/graph/;/invoke", b"/v1/graph/invoke/..", b"/v1/graph/invoke/.", b"/v1/graph/%69nvoke/..;/", b"/v1/graph/invoke%20", b"/v1/graph/invoke%",
    b"/v1/graph/invoke%zz", b"/v1/graph/invoke%u002e", b"/v1/graph/\xc0\xaeinvoke", b"/v1/graph/%c0%ae%c0%ae/invoke", b"/v1/graph/\xef\xbc\x8finvoke",
    b"/v1/graph/invoke#x", b"/v1/graph/invoke?a=b#x", b"/V1/graph/invoke", b"/v1/Graph/invoke", b"/../agentflow/v1/graph/invoke",
    b"/..;/v1/graph/invoke", b"/v1/graph/invoke%23", b"/v1/graph/invoke%3fhidden", b"/v1/store/memories", b"/v1/files/x", b"/docs", b"/openapi.json",
]


@pytest.mark.parametrize("path", PATHS, ids=range(len(PATHS)))
def test_a_path_with_two_readings_or_of_no_route_is_never_passed_on(gateway, recorder, credential, path):
    line = b"POST /agentflow" + path + b" HTTP/1.1"
    judge(gateway, recorder, message(credential, [LENGTH], BODY + HIDDEN, line))


HEADS = [
    b"Host: other", b"Host:", b" : y", b": y", b"X y", b"X\x00: y", b"X: a\x00b", b"X: a\r\n b", b"X: a\rb", b"X\xff: y", b"X : y", b"X\t: y",
    b"X: \x7f", b"(x): y", b"X: a\n\nGET /hidden HTTP/1.1", b"Expect: 200-ok", b"Expect: 100-continue, x", b"@: y", b'"x": y', b"X/y: z",
]


@pytest.mark.parametrize("head", HEADS, ids=range(len(HEADS)))
@pytest.mark.parametrize("place", ["first", "last"])
def test_a_header_with_two_readings_is_never_passed_on(gateway, recorder, credential, head, place):
    headers = [head, LENGTH] if place == "first" else [LENGTH, head]
    judge(gateway, recorder, message(credential, headers, BODY + HIDDEN))


GOOD = [
    ([LENGTH], BODY), ([b"Transfer-Encoding: chunked"], CHUNKED), ([b"content-length:%d" % len(BODY)], BODY),
    ([b"Content-Length:   %d   " % len(BODY)], BODY), ([b"Transfer-Encoding:\tchunked"], CHUNKED),
    ([b"Transfer-Encoding: chunked"], SIZE + b";ext=1\r\n" + BODY + b"\r\n0;last\r\n\r\n"),
    ([b"Transfer-Encoding: chunked"], b"1\r\n{\r\n" + b"%x\r\n" % (len(BODY) - 1) + BODY[1:] + b"\r\n0\r\n\r\n"),
    ([LENGTH, b"Expect: 100-continue"], BODY), ([LENGTH, b"Connection: X-Forwarded-User, close"], BODY),
]


@pytest.mark.parametrize(("headers", "body"), GOOD, ids=range(len(GOOD)))
def test_what_has_one_reading_is_passed_on_rebuilt(gateway, recorder, credential, headers, body):
    """The judge can say yes: the same messages without the second reading arrive, once and with one length."""
    recorder.taken()
    first = statuses(gateway, message(credential, [*headers, b"Connection: close"] if b"close" not in headers[-1] else headers, body))
    assert first[-1] == 200, first
    [seen] = recorder.taken()
    assert seen.json()["messages"] == [] and seen.all("transfer-encoding") == []
    assert seen.all("content-length") == [str(len(seen.body))] and seen.after == b""
    assert seen.all("connection") in ([], ["keep-alive"])


def spellings(name: str) -> set[str]:
    parts = name.split("-")
    joined = {separator.join(parts) for separator in "-_"}
    joined |= {"-".join(parts[:1]) + "_" + "-".join(parts[1:])} if len(parts) > 1 else set()
    return {change(text) for text, change in product(joined, [str.lower, str.upper, str.title])}


IDENTITY = [
    "x-forwarded-user", "x-doorward-principal", "x-doorward-roles", "x-doorward-assertion", "x-forwarded-for", "x-real-ip",
    "forwarded", "x-forwarded-host", "x-forwarded-proto", "x-remote-user", "remote-user", "x-user-id", "x-user", "x-api-key",
    "x-original-url", "x-rewrite-url", "x-http-method-override", "x-method-override", "proxy", "proxy-authorization", "via",
]


@pytest.mark.parametrize("name", IDENTITY)
def test_no_spelling_of_an_identity_or_routing_header_reaches_the_upstream(gateway, recorder, name):
    client = Client(gateway.mount("agentflow"), token())
    for spelling in sorted(spellings(name)):
        if spelling.lower() == "x-api-key":
            continue
        recorder.taken()
        answer = client.get("/v1/graph", headers={spelling: "mallory-1"})
        assert answer.status_code == 200, (spelling, answer.text)
        [seen] = recorder.taken()
        assert "mallory-1" not in seen.head.decode("latin-1"), (spelling, seen.head)


def test_a_client_cannot_have_our_headers_dropped_by_naming_them_in_connection(gateway, recorder, credential):
    recorder.taken()
    dropped = b"Connection: close, X-Forwarded-User, X-Doorward-Principal, X-Doorward-Roles, Content-Length"
    assert statuses(gateway, message(credential, [LENGTH, dropped], BODY))[-1] == 200
    [seen] = recorder.taken()
    for name in ("x-forwarded-user", "x-doorward-principal", "x-doorward-roles", "content-length"):
        assert len(seen.all(name)) == 1, name


def test_the_list_is_as_long_as_it_should_be():
    count = len(CODINGS) * 3 + 24 + len(LENGTHS) + len(CHUNKS) + len(LINES) + len(PATHS) + len(HEADS) * 2
    assert count >= 251, count
