import asyncio
import importlib
import sys
from collections.abc import Iterator

import pytest

from exporter import event_loop


@pytest.fixture(autouse=True)
def imported_anew() -> Iterator[None]:
    yield
    importlib.reload(event_loop)


async def module_of_the_loop() -> str:
    return type(asyncio.get_running_loop()).__module__


def test_uvloop_is_used_where_it_is_installed() -> None:
    assert event_loop.run(module_of_the_loop()) == "uvloop"


def test_pythons_own_loop_serves_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert importlib.reload(event_loop).run(module_of_the_loop()) == "asyncio.unix_events"
