"""The event loops in which the tests of the web server run."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import pytest
import uvloop

_OF_CONNECTIONS: Final = ("test_acceptor", "test_tls_arrivals")


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Return both event loops that `serve` may run in, where connections are tested: they handle them differently."""
    loops = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return loops if item.path.stem in _OF_CONNECTIONS else {"asyncio": asyncio.new_event_loop}
