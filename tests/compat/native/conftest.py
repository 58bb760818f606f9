"""One `doorward dev` for clients of the native API: each test brings users of its own."""

import pytest

from harness.doorward import Doorward


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with Doorward("dev", "--listen", "127.0.0.1:0", home=tmp_path_factory.mktemp("native")) as server:
        yield server
