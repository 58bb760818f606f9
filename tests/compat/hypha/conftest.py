"""One `doorward dev` for the suite: each test brings people of its own. Tests are coroutines, each with a loop of its own."""

import asyncio
import inspect

import pytest

from harness.doorward import Doorward
from harness.hypha import Hub

TEST_LIMIT_S = 75

#: The role that the document's sample lets in beside the administrator.
CONFIG = '[roles.developer]\ninherits = ["user"]\n'


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    given = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    asyncio.run(asyncio.wait_for(pyfuncitem.obj(**given), TEST_LIMIT_S))
    return True


@pytest.fixture(scope="session")
def hub(tmp_path_factory):
    config = tmp_path_factory.mktemp("hypha-config") / "doorward.toml"
    config.write_text(CONFIG)
    with Doorward("dev", "--listen", "127.0.0.1:0", "--config", config, home=tmp_path_factory.mktemp("hypha")) as server:
        yield Hub(server, config=config)


@pytest.fixture
def person(hub):
    return hub.person()
