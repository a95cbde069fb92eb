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
from exporter.model.enums import IPFamily, OutboundMethod
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
_CHECK_REQUESTS = len(OutboundMethod) + 2  # that a server gets at most: by each method, for a second name, and a lookup

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
    async def run(self, settings: OutboundSettings | None) -> AsyncIterator[None]:
        """Listen within `async with`. Nothing is looked at before `check` has reached the listener.

        Raises ListenError, or ConfigError if a file has become invalid since it was checked.
        """
        if settings is None:
            yield
            return
        try:
            peers = _build_peers(settings)
            async with listen_as_peer(peers, settings) as addresses:
                own_names = ", ".join(peer.name.text for peer in peers)
                log.info("listening for other servers", addresses=addresses, own_names=own_names)
                self.looks = OutboundLooks(peers, settings.interval)
                for peer in peers:
                    self._on_checked(peer.name.text, ready=False)
                yield
        except (files.UnreadableError, ssl.SSLError) as error:
            raise ConfigError([Complaint("outbound", None, "", str(error))]) from error
        finally:
            self.looks = None

    async def keep_checking(self, current: Callable[[], tuple[SupportsProbe, Network]]) -> None:
        """Check again and again whether the listener can be reached. `current` is called before each check."""
        while self.looks:
            ready = await self.check(*current())
            await asyncio.sleep(_CHECK_SECONDS if ready else _RETRY_SECONDS)
        await asyncio.Event().wait()

    async def check(self, prober: SupportsProbe, network: Network) -> bool:
        """Check whether the listener can be reached under each of the own names. It must be configured.

        The prober and the network are those of the top level: other servers have to reach the exporter there.
        """
        looks = self.looks
        assert looks
        for peer in looks.peers:
            obstacle = await self_check.find_obstacle(prober, network, peer)
            if obstacle != peer.obstacle:
                _log(peer, obstacle)
            peer.obstacle = obstacle
            self._on_checked(peer.name.text, ready=obstacle is None)
        return not any(peer.obstacle for peer in looks.peers)

    async def complete(self, network: Network, report: Report) -> Report:
        """Return the report of a probe that has just ended with a look, in which every method is tried."""
        assert self.looks
        return replace(report, outbound=await self.looks.look(network, report, max_requests=_CHECK_REQUESTS))


def _build_peers(settings: OutboundSettings) -> list[Peer]:
    """Return the exporter under each of its names, which have the same key. IPv6 comes first of the families, as it is
    the one that is broken more often. Raises UnreadableError.
    """
    seed = files.read_signing_key(settings.signing_key_file)
    by_family = {
        None: settings.server_name,
        IPFamily.IPV6: settings.by_family.ipv6,
        IPFamily.IPV4: settings.by_family.ipv4,
    }
    return [
        Peer(name, SigningKey.from_seed(name.text, seed), settings.interval, time.monotonic, time.time, family)
        for family, name in by_family.items()
        if name
    ]


def _log(peer: Peer, obstacle: str | None) -> None:
    own_name = peer.name.text
    if obstacle:
        because = {"own_name": own_name, "obstacle": obstacle}
        log.error("other servers cannot reach the outbound listener, so none is blamed", **because)
    else:
        log.info("the outbound listener is reached under its name", own_name=own_name)
