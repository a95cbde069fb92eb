"""The other direction in `serve` and `check`: the listener for other servers, and the check that they reach it."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Protocol

import structlog

from exporter.config import Complaint, ConfigError, OutboundSettings, files
from exporter.model.enums import OutboundMethod
from exporter.model.report import Report
from exporter.outbound import self_check
from exporter.outbound.looks import OutboundLooks
from exporter.outbound.peer import Peer
from exporter.outbound.signing import SigningKey
from exporter.probing.network import Network
from exporter.probing.prober import SupportsProbe
from exporter.web.peer_listener import listen_as_peer

_CHECK_SECONDS = 60.0  # from one check of the own listener to the next
_RETRY_SECONDS = 10.0  # after one that failed
_CHECK_REQUESTS = len(OutboundMethod) + 1  # that a server gets at most: by each method, and a signed lookup

log = structlog.get_logger()


class _OnChecked(Protocol):
    def __call__(self, own_name: str, *, ready: bool) -> None: ...


def _ignore(own_name: str, *, ready: bool) -> None:
    """Nobody wants to know."""


class OutboundService:
    """Offers `looks` while it runs, if the other direction is configured.

    `on_checked` is called with the own server name, and with whether the listener was reached.
    """

    def __init__(self, on_checked: _OnChecked = _ignore) -> None:
        self.looks: OutboundLooks | None = None
        self._on_checked = on_checked

    def __repr__(self) -> str:
        return f"<OutboundService {self.looks}>"

    @asynccontextmanager
    async def run(self, settings: OutboundSettings | None, network: Network) -> AsyncIterator[None]:
        """Listen within `async with`. Nothing is looked at before `check` has reached the listener.

        Raises ListenError, or ConfigError if a file has become invalid since it was checked.
        """
        if settings is None:
            yield
            return
        name = settings.server_name
        try:
            key = SigningKey.from_seed(name.text, files.read_signing_key(settings.signing_key_file))
            peer = Peer(name, key, settings.interval, time.monotonic, time.time)
            async with listen_as_peer(peer, settings) as addresses:
                log.info("listening for other servers", addresses=addresses, server_name=name.text)
                self.looks = OutboundLooks(network, peer, settings.interval)
                self._on_checked(name.text, ready=False)
                yield
        except (files.UnreadableError, ssl.SSLError) as error:
            raise ConfigError([Complaint("outbound", None, "", str(error))]) from error
        finally:
            self.looks = None

    async def keep_checking(self, prober: Callable[[], SupportsProbe]) -> None:
        """Check again and again whether the listener can be reached. `prober` is called before each check."""
        while self.looks:
            ready = await self.check(prober())
            await asyncio.sleep(_CHECK_SECONDS if ready else _RETRY_SECONDS)
        await asyncio.Event().wait()

    async def check(self, prober: SupportsProbe) -> bool:
        """Check whether the listener can be reached under the own name. It must be configured."""
        looks = self.looks
        assert looks
        obstacle = await self_check.find_obstacle(prober, looks.network, looks.peer)
        if obstacle != looks.not_ready_because:
            self._log(obstacle)
        looks.not_ready_because = obstacle
        self._on_checked(looks.peer.name.text, ready=obstacle is None)
        return obstacle is None

    async def complete(self, report: Report) -> Report:
        """Return the report of a probe that has just ended with a look, in which every method is tried."""
        assert self.looks
        return replace(report, outbound=await self.looks.look(report, _CHECK_REQUESTS))

    def _log(self, obstacle: str | None) -> None:
        if obstacle:
            log.error("other servers cannot reach the outbound listener, so none is blamed", obstacle=obstacle)
        else:
            log.info("the outbound listener is reached under its name")
