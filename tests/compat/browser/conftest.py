"""One `doorward dev`, one browser with a fresh profile for each test, and another site."""

import http.server
import threading

import pytest

from harness.browser import let_scripts_of_the_test_run
from harness.doorward import Doorward


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with Doorward("dev", "--listen", "127.0.0.1:0", home=tmp_path_factory.mktemp("browser")) as server:
        yield server


@pytest.fixture
def browser(browser):
    let_scripts_of_the_test_run(browser)
    return browser


class OtherSite:
    """A site of somebody else's, on another host name; `page` is what it shows."""

    def __init__(self) -> None:
        self.page = ""
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = site.page.encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        # Another site to a browser: `localhost` and `127.0.0.1` have nothing in common but the machine.
        self.url = f"http://localhost:{self.http.server_address[1]}/"


@pytest.fixture
def other_site():
    site = OtherSite()
    yield site
    site.http.shutdown()
    site.http.server_close()
