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
from exporter.probing.attempt import Deadline, attempt, gather_all, identity, with_slot
from exporter.probing.connectivity import Outage
from exporter.probing.deep_look import MAX_DIALLED, MAX_TLS_SESSIONS, run
from exporter.probing.discovery import discover
from exporter.probing.network import Network
from exporter.probing.problems import Step
from exporter.probing.stages import keys, tls, version


class WorkerLostError(Exception):
    """The process that probed came to its end in the middle of it."""


class SupportsProbe(Protocol):
    """What a prober does, wherever it is. Raises LostError."""

    async def probe(self, name: ServerName, within: float | None = None) -> Report: ...

    async def run_deep_look(self, report: Report) -> Report: ...

    async def find_outage(self, witnesses: Sequence[Target], *, check_dns: bool) -> Outage | None: ...


class Prober:
    """`timeout` is for a whole probe, in seconds. One prober serves any number of probes at once.

    A deep look queries the `notaries`. The `anchors` accept connections whenever the exporter's own network is up.
    `stalled_seconds` returns for how long the exporter's event loop has been stalled since it started.
    """

    def __init__(
        self,
        network: Network,
        timeout: float,
        notaries: Sequence[ServerName] = (),
        anchors: Sequence[Target] = (),
        stalled_seconds: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._network = network
        self._timeout = timeout
        self._notaries = notaries
        self._anchors = anchors
        self._held_up = stalled_seconds

    async def find_outage(self, witnesses: Sequence[Target], *, check_dns: bool) -> Outage | None:
        """Whether our own network is down; the witnesses are asked where there are no anchors."""
        return await connectivity.find_outage(self._network, self._anchors or witnesses, check_dns=check_dns)

    async def run_deep_look(self, report: Report) -> Report:
        """With a deadline of its own; the report keeps its times."""
        return await run(self._network, report, self._timeout, self._notaries)

    async def probe(self, name: ServerName, within: float | None = None) -> Report:
        """Never fails: whatever happens is in the report. `within` may be less than `timeout`, and no more."""
        seconds = self._timeout if within is None else min(within, self._timeout)
        started, stalled_seconds, deadline = time.monotonic(), self._held_up(), Deadline.for_probe(seconds)
        discovered = await discover(self._network, name, deadline)
        slots, tls_slots = asyncio.Semaphore(MAX_DIALLED), asyncio.Semaphore(MAX_TLS_SESSIONS)
        examined = (
            with_slot(slots, partial(self._examine, name, discovered.route, endpoint, tls_slots, deadline))
            for endpoint in discovered.endpoints
        )
        return Report(
            server_name=name,
            well_known=discovered.well_known,
            srv=discovered.srv,
            route=discovered.route,
            dns=discovered.dns,
            endpoints=tuple(await gather_all(examined)),
            ended_at=datetime.now(UTC),
            seconds=time.monotonic() - started,
            stalled_seconds=self._held_up() - stalled_seconds,
        )

    async def _examine(
        self, name: ServerName, route: Route, endpoint: Endpoint, tls_slots: asyncio.Semaphore, deadline: Deadline
    ) -> EndpointReport:
        """One connection for all stages. Version and keys are asked for on their own: each tells something."""
        with closing(self._network.connection(endpoint)) as connection:
            clock = connection.peer_wait
            tcp = await attempt(Step.TCP, connection.open(), identity, deadline.for_stage(), clock)
            if not isinstance(tcp, Passed):
                return EndpointReport(endpoint, tcp)
            async with tls_slots:
                verify = partial(tls.evaluate, tls_name=route.tls_name, cache=self._network.chain_cache)
                secured = await attempt(
                    Step.TLS, connection.start_tls(route.tls_name), verify, deadline.for_stage(), clock
                )
                if not isinstance(secured, Passed):
                    return EndpointReport(endpoint, tcp, secured)
                ask = connection.get(version.PATH, route.host_header, version.MAX_BYTES)
                software = await attempt(Step.HTTP, ask, version.evaluate, deadline.for_stage(), clock)
                ask = connection.get(keys.PATH, route.host_header, keys.MAX_BYTES)
                check = partial(keys.evaluate, server_name=name.text, now=datetime.now(UTC))
                published = await attempt(Step.HTTP, ask, check, deadline.for_stage(), clock)
                return EndpointReport(endpoint, tcp, secured, software, published)
