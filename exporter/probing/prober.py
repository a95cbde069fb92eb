"""One probe: the stages, in the order of the specification."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from exporter.model.addresses import Endpoint, IPAddress, Target
from exporter.model.findings import SigningKeys
from exporter.model.names import ServerName
from exporter.model.outcomes import SKIPPED, Failed, Outcome, Passed, Problem
from exporter.model.reasons import REASONS_OF_TLS
from exporter.model.report import EndpointReport, Report
from exporter.model.routes import Route
from exporter.probing import connectivity, deep_look
from exporter.probing.attempt import Deadline, attempt, gather_all
from exporter.probing.connectivity import Outage
from exporter.probing.deep_look import MAX_DIALLED, MAX_TLS_SESSIONS
from exporter.probing.detours import Detours
from exporter.probing.dialling import open_connection, start_tls
from exporter.probing.discovery import discover
from exporter.probing.network import Network
from exporter.probing.problems import Step
from exporter.probing.stages import version
from exporter.probing.stages.key_request import fetch_keys


class WorkerLostError(Exception):
    """The process that ran the probe ended in the middle of it."""


class SupportsProbe(Protocol):
    """The methods of a prober, in this process or in a worker. A worker may raise WorkerLostError."""

    async def probe(self, name: ServerName, max_seconds: float | None = None) -> Report: ...

    async def run_deep_look(self, report: Report) -> Report: ...

    async def find_outage(self, witnesses: Sequence[Target], *, check_dns: bool) -> Outage | None: ...


@dataclass(frozen=True)
class _EndpointProber:
    """Probes endpoints of one server."""

    network: Network
    name: ServerName
    tls_slots: asyncio.Semaphore
    """One for each TLS session at the same time."""
    deadline: Deadline
    documents: dict[str, str] = field(default_factory=dict)
    """Each document of signing keys that was published, by itself."""

    async def probe(self, route: Route, endpoint: Endpoint) -> EndpointReport:
        """Run all stages of an endpoint over one connection. There are three cases:

        - connecting fails: the other stages are skipped;
        - TLS fails: nothing is sent over the connection, and version and keys are skipped, as they are if TLS turns
          out to have failed only then;
        - TLS passes: both version and keys are requested, as each of them says something of its own.
        """
        with closing(self.network.connection(endpoint)) as connection:
            clock, stage_deadline = connection.peer_wait, self.deadline.for_stage
            opened = await open_connection(self.network, connection, stage_deadline(), clock)
            connected = self._connected(endpoint, opened)
            if not connected.accepts:
                return connected
            async with self.tls_slots:
                session = await start_tls(connection, route.tls_name, self.network.chain_cache, stage_deadline())
                if not isinstance(session, Passed):
                    return replace(connected, tls=session)
                response = connection.get(version.PATH, route.host_header, version.MAX_BYTES)
                software = await attempt(Step.HTTP, response, version.evaluate, stage_deadline(), clock)
                published, shape = await fetch_keys(connection, self.name, route.host_header, stage_deadline())
                if faults := _tls_faults(software, published):
                    return replace(connected, tls=Failed(session.seconds, faults, session.found))
                keys = self._with_shared_document(published)
                return replace(connected, tls=session, version=software, keys=keys, keys_shape=shape)

    def _connected(self, endpoint: Endpoint, opened: Passed[None] | Failed[None]) -> EndpointReport:
        """Return the report of an endpoint with its first stage, which is `tunnel` if there is a proxy."""
        if self.network.proxy is None:
            return EndpointReport(endpoint, opened)
        if isinstance(opened, Failed):
            return EndpointReport(endpoint, SKIPPED, tunnel=Failed(opened.seconds, opened.problems))
        return EndpointReport(endpoint, SKIPPED, tunnel=Passed(opened.seconds, self.network.proxy))

    def _with_shared_document(self, published: Outcome[SigningKeys]) -> Outcome[SigningKeys]:
        """Let equal documents be one string: a server may have many endpoints, and there may be 20,000 servers."""
        if not isinstance(published, Passed) or published.found.document is None:
            return published
        document = self.documents.setdefault(published.found.document, published.found.document)
        return replace(published, found=replace(published.found, document=document))


def _tls_faults(*outcomes: Outcome[object]) -> tuple[Problem, ...]:
    """Return the problems of requests that belong to TLS. There are two cases:

    - the server refused the session only after the handshake, as TLS 1.3 lets it refuse a client without a certificate;
    - the connection had to be replaced, and the server presented another certificate, which is bad.
    """
    found = (problem for outcome in outcomes if isinstance(outcome, Failed) for problem in outcome.problems)
    return tuple(dict.fromkeys(problem for problem in found if problem.reason in REASONS_OF_TLS))


class Prober:
    """Probes servers over a network. One prober serves any number of probes at once.

    `timeout` is for a whole probe, in seconds. A deep look queries the `notaries`. The `anchors` accept connections
    whenever the exporter's own network is up. `stalled_seconds` returns for how long the event loop has been stalled
    since the exporter started.
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
        self._stalled_seconds = stalled_seconds

    def __repr__(self) -> str:
        notaries, anchors = ([str(each) for each in several] for several in (self._notaries, self._anchors))
        return f"<Prober: timeout {self._timeout} s, notaries {notaries}, anchors {anchors}, over {self._network!r}>"

    async def find_outage(self, witnesses: Sequence[Target], *, check_dns: bool) -> Outage | None:
        """Return the outage of the exporter's own network that can be proven, or None.

        The anchors are contacted, or the witnesses if there are no anchors.
        """
        return await connectivity.find_outage(self._network, self._anchors or witnesses, check_dns=check_dns)

    async def run_deep_look(self, report: Report) -> Report:
        """Return the report with the findings of a deep look, which has a deadline of its own."""
        return await deep_look.run(self._network, report, self._timeout, self._notaries)

    async def probe(self, name: ServerName, max_seconds: float | None = None) -> Report:
        """Probe a server, in at most `timeout` seconds, or in `max_seconds` if that is less.

        Never raises: every failure is in the report.
        """
        seconds = self._timeout if max_seconds is None else min(max_seconds, self._timeout)
        started, stalled_before, deadline = time.monotonic(), self._stalled_seconds(), Deadline.for_probe(seconds)
        discovery = await discover(self._network, name, deadline)
        slots, tls_slots = asyncio.Semaphore(MAX_DIALLED), asyncio.Semaphore(MAX_TLS_SESSIONS)
        address_slots = defaultdict[IPAddress, asyncio.Semaphore](partial(asyncio.Semaphore, 1))
        prober = _EndpointProber(self._network, name, tls_slots, deadline)

        async def probe_endpoint(route: Route, endpoint: Endpoint) -> EndpointReport:
            async with address_slots[endpoint.ip], slots:
                return await prober.probe(route, endpoint)

        async def probe_route(route: Route, endpoints: Sequence[Endpoint]) -> tuple[EndpointReport, ...]:
            return tuple(await gather_all(probe_endpoint(route, each) for each in endpoints))

        endpoints = await probe_route(discovery.route, discovery.endpoints)
        detours = await Detours(self._network, name, discovery, probe_route, deadline).follow()
        return Report(
            server_name=name,
            well_known=discovery.well_known,
            srv=discovery.srv,
            route=discovery.route,
            dns=discovery.dns,
            endpoints=endpoints,
            detours=detours,
            ended_at=datetime.now(UTC),
            seconds=time.monotonic() - started,
            stalled_seconds=self._stalled_seconds() - stalled_before,
            cpu_seconds=deadline.cpu.spent_seconds,
        )
