"""One probe: the stages, in the order of the specification."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from exporter.model.addresses import Endpoint, Target
from exporter.model.names import ServerName
from exporter.model.outcomes import Passed
from exporter.model.report import EndpointReport, Report
from exporter.model.routes import Route
from exporter.probing import connectivity
from exporter.probing.attempt import Deadline, as_it_is, attempt, in_turn, side_by_side
from exporter.probing.connectivity import Loss
from exporter.probing.deep_look import ENDPOINTS_AT_ONCE, TALKS_AT_ONCE, look_deeper
from exporter.probing.discovery import discover
from exporter.probing.network import Network
from exporter.probing.problems import Step
from exporter.probing.stages import keys, tls, version


class LostError(Exception):
    """The process that probed came to its end in the middle of it."""


class Probing(Protocol):
    """What a prober does, wherever it is. Raises LostError."""

    async def probe(self, name: ServerName, within: float | None = None) -> Report: ...

    async def look_deeper(self, report: Report) -> Report: ...

    async def loss(self, witnesses: Sequence[Target], *, of_dns: bool) -> Loss | None: ...


class Prober:
    """`timeout` is for a whole probe, in seconds. One prober serves any number of probes at once.

    The `notaries` are asked by a deep look. The `anchors` answer whenever our own network is up. `held_up` tells for
    how many seconds our event loop stood still so far.
    """

    def __init__(
        self,
        network: Network,
        timeout: float,
        notaries: Sequence[ServerName] = (),
        anchors: Sequence[Target] = (),
        held_up: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._network = network
        self._timeout = timeout
        self._notaries = notaries
        self._anchors = anchors
        self._held_up = held_up

    async def loss(self, witnesses: Sequence[Target], *, of_dns: bool) -> Loss | None:
        """Whether our own network is down; the witnesses are asked where there are no anchors."""
        return await connectivity.loss(self._network, self._anchors or witnesses, of_dns=of_dns)

    async def look_deeper(self, report: Report) -> Report:
        """With a deadline of its own; the report keeps its times."""
        return await look_deeper(self._network, report, self._timeout, self._notaries)

    async def probe(self, name: ServerName, within: float | None = None) -> Report:
        """Never fails: whatever happens is in the report. `within` may be less than `timeout`, and no more."""
        seconds = self._timeout if within is None else min(within, self._timeout)
        started, held_up, deadline = time.monotonic(), self._held_up(), Deadline.of_probe(seconds)
        discovered = await discover(self._network, name, deadline)
        turns, talks = asyncio.Semaphore(ENDPOINTS_AT_ONCE), asyncio.Semaphore(TALKS_AT_ONCE)
        examined = (
            in_turn(turns, partial(self._examine, name, discovered.route, endpoint, talks, deadline))
            for endpoint in discovered.endpoints
        )
        return Report(
            server_name=name,
            well_known=discovered.well_known,
            srv=discovered.srv,
            route=discovered.route,
            dns=discovered.dns,
            endpoints=tuple(await side_by_side(examined)),
            ended_at=datetime.now(UTC),
            seconds=time.monotonic() - started,
            held_up=self._held_up() - held_up,
        )

    async def _examine(
        self, name: ServerName, route: Route, endpoint: Endpoint, talks: asyncio.Semaphore, deadline: Deadline
    ) -> EndpointReport:
        """One connection for all stages. Version and keys are asked for on their own: each tells something."""
        with closing(self._network.connection(endpoint)) as connection:
            clock = connection.waited
            tcp = await attempt(Step.TCP, connection.open(), as_it_is, deadline.of_stage(), clock)
            if not isinstance(tcp, Passed):
                return EndpointReport(endpoint, tcp)
            async with talks:
                verify = partial(tls.read, tls_name=route.tls_name)
                secured = await attempt(
                    Step.TLS, connection.start_tls(route.tls_name), verify, deadline.of_stage(), clock
                )
                if not isinstance(secured, Passed):
                    return EndpointReport(endpoint, tcp, secured)
                ask = connection.get(version.PATH, route.host_header, version.MAX_BYTES)
                software = await attempt(Step.HTTP, ask, version.read, deadline.of_stage(), clock)
                ask = connection.get(keys.PATH, route.host_header, keys.MAX_BYTES)
                check = partial(keys.read, server_name=name.text, now=datetime.now(UTC))
                published = await attempt(Step.HTTP, ask, check, deadline.of_stage(), clock)
                return EndpointReport(endpoint, tcp, secured, software, published)
