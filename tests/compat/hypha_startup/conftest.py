"""Start-up files' Python side: our RPC client against a running hub, and whole processes with files of the user's."""

import asyncio
import importlib.abc
import importlib.util
import inspect
import sys
from pathlib import Path

import pytest

from harness.doorward import Doorward
from harness.hypha import Hub

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "handlers")]
TEST_LIMIT_S = 75


class Sent(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Our modules under the names that Doorward sends them by, in this process."""

    def __init__(self):
        from frames import PYTHON

        self.sources = {name: text for name, text in PYTHON.modules().items() if name.startswith("_doorward_")}

    def find_spec(self, name, path=None, target=None):
        if name not in self.sources:
            return None
        return importlib.util.spec_from_loader(name, self, is_package=any(other.startswith(f"{name}.") for other in self.sources))

    def is_package(self, name):
        return any(other.startswith(f"{name}.") for other in self.sources)

    def get_source(self, name):
        return self.sources[name]

    def exec_module(self, module):
        exec(compile(self.sources[module.__name__], f"<{module.__name__}>", "exec"), module.__dict__)


sys.meta_path.append(Sent())


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    given = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    asyncio.run(asyncio.wait_for(pyfuncitem.obj(**given), TEST_LIMIT_S))
    return True


@pytest.fixture(scope="session")
def hub(tmp_path_factory):
    with Doorward("dev", "--listen", "127.0.0.1:0", home=tmp_path_factory.mktemp("hub")) as server:
        yield Hub(server)


@pytest.fixture(scope="session")
def keeper(hub):
    """Whose workspace our client stands in; start-up files stand in `public`, which lets nobody in from outside."""
    return hub.person()


@pytest.fixture
def files(tmp_path, hub, keeper):
    """Makes processes with start-up files, in the keeper's workspace of the hub: `async with files({"my_auth.py": text}) as process`."""
    from startup import Files

    made = Files(tmp_path / "files", hub, keeper)
    yield made
    made.stop()


@pytest.fixture
def person(hub):
    return hub.person()


@pytest.fixture
def live(tmp_path):
    """Starts `doorward dev` on start-up files, in an interpreter without Hypha's package: `live({"my_auth.py": text})` is its hub."""
    from startup import Live

    made = Live(tmp_path)
    yield made
    made.stop()
