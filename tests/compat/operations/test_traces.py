"""Traces as a collector reads them (PyPI `opentelemetry-proto`), and what a collector that is away costs: nothing."""

import http.server
import socket
import threading

import pytest
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from harness.agentflow.settings import write_settings
from harness.agentflow.tokens import token
from harness.client import Client
from harness.operations import LIMIT_S, metrics
from harness.programs import wait_until
from harness.recorder import Recorder

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"
SERVER, INTERNAL, CLIENT = 2, 1, 3


class Collector:
    """Takes OTLP over HTTP and keeps the spans; `status` is what it answers."""

    def __init__(self) -> None:
        self.spans, self.requests, self.status = [], [], 200
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.take(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, path: str, headers: dict, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        self.requests.append((path, headers, request))
        if self.status == 200:
            for resource in request.resource_spans:
                self.spans += [span for scope in resource.scope_spans for span in scope.spans]

    def wait_for(self, ready, what: str):
        return wait_until(lambda: next((span for span in list(self.spans) if ready(span)), None), what, LIMIT_S)

    def __enter__(self) -> "Collector":
        return self

    def __exit__(self, *_) -> None:
        self._server.shutdown()
        self._server.server_close()


def attributes(span) -> dict:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


# The clients of these tests, who are believed then.
BELIEVED = '[server]\ntrusted_proxies = ["127.0.0.0/8"]\n'


def section(url: str, more: str = "") -> str:
    return f'[telemetry]\notlp_endpoint = "{url}"\n{more}'


@pytest.fixture
def collector():
    with Collector() as running:
        yield running


def test_a_request_is_a_span_of_its_route_with_what_was_decided(serve, collector, credentials):
    more = 'otlp_headers = "x-key=of%20mine"\nservice_name = "door"\nresource = ["deployment.environment.name=test"]\n'
    server = serve(section(collector.url, more) + BELIEVED)
    bearer = {"Authorization": f"Bearer {credentials(server.url)}", "traceparent": PARENT, "tracestate": "vendor=x"}
    answer = requests.get(f"{server.url}/v1/threads/thr_secret?token=secret", headers=bearer, timeout=LIMIT_S)
    assert answer.status_code == 404
    span = collector.wait_for(lambda one: one.name == "GET /v1/threads/{id}", "the span")
    assert (span.trace_id.hex(), span.parent_span_id.hex(), span.trace_state) == (TRACE, SPAN, "vendor=x")
    assert span.kind == SERVER and span.end_time_unix_nano > span.start_time_unix_nano > 10**18
    assert attributes(span) == {
        "http.request.method": "GET",
        "http.route": "/v1/threads/{id}",
        "http.response.status_code": 404,
        "doorward.mount": "native",
        "doorward.request_id": answer.headers["X-Request-Id"],
        "error.type": "not_found",
    }
    assert span.status.code == 0, "a client's mistake is no failure of ours"
    inside = {one.name: one for one in collector.spans if one.parent_span_id == span.span_id}
    assert set(inside) == {"authenticate", "decide"}
    assert attributes(inside["decide"])["doorward.action"] == "thread:read"
    assert {one.kind for one in inside.values()} == {INTERNAL}
    assert all(one.trace_id == span.trace_id for one in inside.values())
    path, headers, request = collector.requests[0]
    assert (path, headers["content-type"], headers["x-key"]) == ("/v1/traces", "application/x-protobuf", "of mine")
    resource = {one.key: one.value.string_value for one in request.resource_spans[0].resource.attributes}
    assert resource["service.name"] == "door" and resource["deployment.environment.name"] == "test"
    assert "service.version" in resource
    assert "secret" not in str([one for one in collector.spans])
    assert metrics(server)[("doorward_telemetry_spans_sent_total",)] >= 3
    assert "of mine" not in server.log and "of%20mine" not in server.log


def test_what_strangers_send_names_no_span_and_no_method(serve, collector):
    server = serve(section(collector.url))
    requests.request("STRANGE", f"{server.url}/secret/path", headers={"traceparent": "secret"}, timeout=LIMIT_S)
    span = collector.wait_for(lambda one: one.kind == SERVER, "the span")
    assert span.name == "_OTHER" and not span.parent_span_id and len(span.trace_id) == 16
    assert "secret" not in str(span).lower() and "strange" not in str(span).lower()


def test_a_stranger_chooses_neither_the_trace_nor_whether_there_is_one(serve, collector, tmp_path):
    with Recorder() as upstream:
        settings = write_settings(tmp_path / "app", auth="jwt")
        arguments = ["--agentflow", settings, "--upstream", upstream.url, "--surface", "agentflow"]
        traced, plain = serve(section(collector.url), arguments=arguments), serve(arguments=arguments)
        for flags in ("00", "01"):
            headers = {"traceparent": f"00-{TRACE}-{SPAN}-{flags}", "tracestate": "stranger=secret"}
            for server in (traced, plain):
                assert Client(server.mount("agentflow"), token("ann")).get("/v1/graph", headers=headers).status_code == 200
        of_traced, of_plain, *more = upstream.taken()
        assert len(more) == 2
        for sent in (of_traced, more[0]):
            [parent] = sent.all("traceparent")
            assert TRACE not in parent and parent.endswith("-01"), "recorded, in a trace of its own"
        for sent in (of_traced, of_plain, *more):
            assert sent.all("tracestate") == []
        assert of_plain.all("traceparent") == []
        wait_until(lambda: len([one for one in collector.spans if one.kind == SERVER]) == 2, "both spans", LIMIT_S)
        assert TRACE not in {one.trace_id.hex() for one in collector.spans} and "stranger" not in str(collector.spans)


def test_a_client_whose_trace_is_not_recorded_is_not_recorded(serve, collector):
    server = serve(section(collector.url) + BELIEVED)
    for flags in ("00", "01"):
        parent = f"00-{TRACE}-{SPAN}-{flags}"
        requests.get(f"{server.url}/.well-known/jwks.json", headers={"traceparent": parent}, timeout=LIMIT_S)
    collector.wait_for(lambda one: one.kind == SERVER, "the span of the second")
    assert len([one for one in collector.spans if one.kind == SERVER]) == 1


def test_the_gateway_passes_the_trace_on_under_its_own_span(serve, collector, tmp_path):
    with Recorder() as upstream:
        settings = write_settings(tmp_path / "app", auth="jwt")
        arguments = ["--agentflow", settings, "--upstream", upstream.url, "--surface", "agentflow"]
        server = serve(section(collector.url) + BELIEVED, arguments=arguments)
        client = Client(server.mount("agentflow"), token("ann"))
        headers = {"traceparent": PARENT, "tracestate": "vendor=x"}
        assert client.get("/v1/graph", headers=headers).status_code == 200
        [sent] = upstream.taken()
        call = collector.wait_for(lambda one: one.kind == CLIENT, "the call upstream")
        assert sent.all("traceparent") == [f"00-{TRACE}-{call.span_id.hex()}-01"]
        assert sent.all("tracestate") == ["vendor=x"]
        host, port = upstream.url.removeprefix("http://").split(":")
        told = attributes(call)
        assert (told["server.address"], told["server.port"], told["http.response.status_code"]) == (host, int(port), 200)
        asked = collector.wait_for(lambda one: one.kind == SERVER and one.trace_id.hex() == TRACE, "the request")
        assert (call.parent_span_id, asked.parent_span_id.hex()) == (asked.span_id, SPAN)
        assert client.get("/v1/graph", headers={"traceparent": "nonsense", "tracestate": "x=y"}).status_code == 200
        [sent] = upstream.taken()
        [fresh] = sent.all("traceparent")
        assert fresh.startswith("00-") and TRACE not in fresh and sent.all("tracestate") == []


def test_without_a_collector_a_proxys_trace_goes_through_the_gateway_as_it_is(serve, tmp_path):
    with Recorder() as upstream:
        settings = write_settings(tmp_path / "app", auth="jwt")
        server = serve(BELIEVED, arguments=["--agentflow", settings, "--upstream", upstream.url, "--surface", "agentflow"])
        client = Client(server.mount("agentflow"), token("ann"))
        for parent, passed in [(PARENT, [PARENT]), ("nonsense", []), (PARENT.upper(), [])]:
            assert client.get("/v1/graph", headers={"traceparent": parent}).status_code == 200
            [sent] = upstream.taken()
            assert sent.all("traceparent") == passed, parent


def test_a_collector_that_hangs_refuses_or_is_away_costs_no_request_anything(serve):
    with socket.create_server(("127.0.0.1", 0)) as silent, Collector() as refusing:
        refusing.status = 400
        hangs = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for url in (hangs, refusing.url, "http://127.0.0.1:1"):
            server = serve(section(url))
            with requests.Session() as session:
                for _ in range(200):
                    answer = session.get(f"{server.url}/.well-known/jwks.json", timeout=LIMIT_S)
                    assert answer.status_code == 200
            if url != hangs:
                lost = ("doorward_telemetry_spans_lost_total", ("why", "collector"))
                wait_until(lambda server=server, lost=lost: metrics(server)[lost] > 0, "it is counted", LIMIT_S)
                wait_until(lambda server=server: "does not take traces" in server.log, "it is said", LIMIT_S)
                assert server.log.count("does not take traces") == 1
            assert server.program.stop() == 0


def test_a_collector_that_comes_back_gets_what_comes_then(serve, collector):
    collector.status = 400
    server = serve(section(collector.url))
    ask = f"{server.url}/.well-known/jwks.json"
    requests.get(ask, timeout=LIMIT_S)
    wait_until(lambda: "does not take traces" in server.log, "it is said", LIMIT_S)
    collector.status = 200
    requests.get(ask, timeout=LIMIT_S)
    collector.wait_for(lambda one: one.kind == SERVER, "the span that came then")
    wait_until(lambda: "takes traces again" in server.log, "it is said", LIMIT_S)


def test_the_last_spans_are_sent_before_the_server_ends(serve, collector):
    server = serve(section(collector.url))
    requests.get(f"{server.url}/.well-known/jwks.json", timeout=LIMIT_S)
    assert server.program.stop() == 0
    assert [one.name for one in collector.spans if one.kind == SERVER] == ["GET /.well-known/jwks.json"]
