"""What holds for every test, and how the tests are distributed over several processes."""

import math
from collections.abc import Iterator

import pytest

from exporter.runtime import loop_lag

LONGEST_FIRST = ("soak", "matrix", "prometheus", "synapse", "subprocess", "silence", "lab")
"""Markers: the longest tests begin first, so that no processor waits for one of them in the end."""


@pytest.fixture(scope="session", autouse=True)
def no_stalls() -> Iterator[None]:
    """The machine may be busy with other tests, and the lab runs on the event loop of what probes it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop_lag, "STALL_SECONDS", math.inf)
        yield


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one process, because they share fixtures, unless they name another group."""
    if not hasattr(config, "workerinput"):
        return
    items.sort(key=_rank)
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))


def _rank(item: pytest.Item) -> int:
    return next((rank for rank, name in enumerate(LONGEST_FIRST) if item.get_closest_marker(name)), len(LONGEST_FIRST))
