import asyncio
import gc
import importlib
import sys
from collections.abc import Iterator

import pytest

from exporter.runtime import event_loop


@pytest.fixture(autouse=True)
def imported_anew() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.set_threshold(*threshold)
    importlib.reload(event_loop)


async def module_of_the_loop() -> str:
    return type(asyncio.get_running_loop()).__module__


def test_uvloop_is_used_where_it_is_installed() -> None:
    assert event_loop.run(module_of_the_loop()) == "uvloop"


def test_pythons_own_loop_serves_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert importlib.reload(event_loop).run(module_of_the_loop()) == "asyncio.unix_events"


@pytest.mark.parametrize(("servers", "collections"), [(0, 10), (500, 10), (1_000, 20), (20_000, 400)])
def test_many_servers_are_rarely_looked_through(servers: int, collections: int) -> None:
    """20,000 would hold up all probes for half a second, every minute; few cost nothing, and their garbage is freed."""
    young, middle, _ = gc.get_threshold()
    event_loop.collect_garbage_for(servers)
    assert gc.get_threshold() == (young, middle, collections)
