"""The document's fetch block in a page of another origin, in Chromium (A-026); Node runs it in test_requests.py."""

import json

import pytest

from harness.agentflow import document
from harness.agentflow.settings import write_settings
from harness.agentflow.tokens import token
from harness.browser import open_browser
from harness.client import Client
from harness.doorward import Doorward
from harness.front_end import FrontEnd
from harness.programs import LeftOut, wait_until

PAGE = """<!doctype html><title>A front end</title>
<script>
  const logged = [], failed = [], log = console.log;
  console.log = (...values) => { logged.push(...values); log(...values); };
  addEventListener("unhandledrejection", (event) => failed.push(String(event.reason)));
</script>
<script>
BLOCK
</script>"""


@pytest.fixture(scope="module")
def origins():
    """Of a page that is listed, and of one that is not."""
    with FrontEnd() as listed, FrontEnd() as foreign:
        yield listed, foreign


@pytest.fixture(scope="module")
def browser(origins):
    # It goes before the origins do: it keeps connections.
    try:
        running = open_browser()
    except LeftOut as absent:
        pytest.skip(str(absent))
    yield running
    running.quit()


@pytest.fixture(scope="module", params=["embedded", "gateway"])
def url(request, tmp_path_factory, origins):
    home = tmp_path_factory.mktemp("fetch-page")
    config = home / "doorward.toml"
    config.write_text(f'[mounts.agentflow]\ncors_origins = ["{origins[0].origin}"]\n')
    before = ["--upstream", request.getfixturevalue("real_server").url, "--surface", "agentflow"] if request.param == "gateway" else []
    arguments = ["--listen", "127.0.0.1:0", "--config", config, "--agentflow", write_settings(home / "app", auth="jwt"), *before]
    with Doorward("dev", *arguments, home=home / "doorward") as server:
        yield server.mount("agentflow")


def shown(browser, front: FrontEnd, url: str, user: str) -> tuple[list, list[str]]:
    """What the block has logged in a page of that origin, and how it failed."""
    block = document.with_values(document.fetch_block(), url=url, token=token(user))
    browser.get(front.page("/", PAGE.replace("BLOCK", block)))
    wait_until(lambda: browser.execute_script("return logged.length + failed.length"), "the block's end", limit_s=20)
    return tuple(browser.execute_script("return [logged, failed]"))


def test_a_page_of_a_listed_origin_logs_the_answer_and_one_of_another_reads_and_makes_nothing(browser, origins, url):
    listed, foreign = origins
    logged, failed = shown(browser, listed, url, "page-user")
    assert failed == [] and len(logged) == 1, (logged, failed)
    assert "Echo: Hello, AI!" in json.dumps(logged[0])
    logged, failed = shown(browser, foreign, url, "foreign-user")
    assert (logged, failed) == ([], ["TypeError: Failed to fetch"])
    left = Client(url, token("foreign-user")).get("/threads")
    assert left.status_code == 200 and "thread_id" not in left.text, left.text
