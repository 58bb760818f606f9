"""One store for the pages, copied for each block, and an empty place for each page that is walked."""

from collections.abc import Iterator

import pytest

from docs.prepared import Prepared, prepare
from docs.stage import Stage
from harness.recorder import Recorder


@pytest.fixture(scope="session")
def prepared(tmp_path_factory) -> Iterator[Prepared]:
    with Recorder(answer=lambda _: (204, None)) as receiver:
        yield prepare(tmp_path_factory.mktemp("pages") / "prepared", receiver.url)


@pytest.fixture
def stage(tmp_path) -> Iterator[Stage]:
    with Stage(tmp_path / "stage") as stage:
        yield stage
