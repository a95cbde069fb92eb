"""What holds for every test."""

import math
from collections.abc import Iterator
from typing import Any

import pytest

from exporter.runtime import loop_lag
from tests.distribution import FileScheduling, rank


@pytest.fixture(scope="session", autouse=True)
def no_stalls() -> Iterator[None]:
    """The machine may be busy with other tests, and the lab runs on the event loop of what probes it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop_lag, "STALL_SECONDS", math.inf)
        yield


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):  # in one of several processes
        items.sort(key=rank)


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    return FileScheduling(config, log)
