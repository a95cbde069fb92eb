import asyncio
import gc
import importlib
import sys
from collections.abc import Iterator

import pytest

from exporter.runtime import event_loop


@pytest.fixture(autouse=True)
def restore_module() -> Iterator[None]:
    threshold, switch_interval = gc.get_threshold(), sys.getswitchinterval()
    yield
    gc.set_threshold(*threshold)
    sys.setswitchinterval(switch_interval)
    importlib.reload(event_loop)


async def event_loop_module() -> str:
    return type(asyncio.get_running_loop()).__module__


def test_uvloop_is_used_if_it_is_installed() -> None:
    assert event_loop.run(event_loop_module()) == "uvloop"


def test_asyncio_is_used_without_uvloop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert importlib.reload(event_loop).run(event_loop_module()) == "asyncio.unix_events"


def test_threads_take_turns_more_often() -> None:
    """The event loop goes on after a millisecond while a thread renders a page."""
    sys.setswitchinterval(1)
    event_loop.run(event_loop_module())
    assert sys.getswitchinterval() == pytest.approx(event_loop.SWITCH_SECONDS)


@pytest.mark.parametrize(("servers", "collections"), [(0, 10), (500, 10), (1_000, 20), (20_000, 400)])
def test_full_garbage_collections_are_rarer_with_more_servers(servers: int, collections: int) -> None:
    """With 20,000 servers, a full collection stalls all probes for half a second; with few, it costs nothing."""
    young, middle, _ = gc.get_threshold()
    event_loop.collect_garbage_for(servers)
    assert gc.get_threshold() == (young, middle, collections)
