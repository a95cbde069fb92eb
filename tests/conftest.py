"""What holds for every test."""

import asyncio
import math
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from exporter.runtime import loop_lag
from tests.distribution import FileScheduling, number_of_processes, rank

pytest.register_assert_rewrite("tests.waiting")  # so that it shows differences


@pytest.fixture(scope="session", autouse=True)
def no_stalls() -> Iterator[None]:
    """The machine may be busy with other tests, and the lab runs on the event loop of what probes it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop_lag, "STALL_SECONDS", math.inf)
        yield


class _QuickAsyncio(ModuleType):
    """`asyncio` with a `sleep` that does not last long."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    @staticmethod
    async def sleep(seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.01))


@pytest.fixture(scope="session", autouse=True)
def quick_uvicorn() -> Iterator[None]:
    """It sleeps 0.1 s between two looks at whether it should exit, and as long before it looks at its connections."""
    with pytest.MonkeyPatch.context() as patch:
        if server := sys.modules.get("uvicorn.server"):
            patch.setattr(server, "asyncio", _QuickAsyncio("quick_asyncio"))
        yield


@pytest.fixture(autouse=True)
def default_logging() -> Iterator[None]:
    """A command that runs in the process of the tests configures the log for all of them."""
    yield
    structlog = sys.modules.get("structlog")
    if structlog and structlog.is_configured():
        structlog.reset_defaults()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):  # in one of several processes
        items.sort(key=rank)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    return number_of_processes(fast_tests_only=bool(config.getoption("markexpr")))


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    return FileScheduling(config, log)
