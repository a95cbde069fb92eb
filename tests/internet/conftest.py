import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

from exporter.demo.authority import Authority, IssuedCertificate
from tests.internet.raw_https import NAME


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Return both event loops that `serve` may run in: they handle sockets differently."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def issued(authority: Authority) -> IssuedCertificate:
    """Return a valid certificate for example.test."""
    return authority.issue([NAME])
