"""One probe: the stages, in the order of the specification."""

import asyncio
import time
from contextlib import closing
from datetime import UTC, datetime
from functools import partial

from exporter import routes
from exporter.attempt import Deadline, as_it_is, attempt
from exporter.deep_look import look_deeper
from exporter.model import (
    SKIPPED,
    Delegation,
    Endpoint,
    EndpointReport,
    Outcome,
    Passed,
    Report,
    Resolved,
    Route,
    ServerName,
    SrvRecords,
    found,
)
from exporter.network import Network
from exporter.problems import Step
from exporter.stages import dns, keys, srv, tls, version, well_known


class Prober:
    """`timeout` is for a whole probe, in seconds. One prober serves any number of probes at once."""

    def __init__(self, network: Network, timeout: float) -> None:
        self._network = network
        self._timeout = timeout

    async def look_deeper(self, report: Report) -> Report:
        """With a deadline of its own; the report keeps its times."""
        return await look_deeper(self._network, report, self._timeout)

    async def probe(self, name: ServerName, within: float | None = None) -> Report:
        """Never fails: whatever happens is in the report. `within` may be less than `timeout`, and no more."""
        seconds = self._timeout if within is None else min(within, self._timeout)
        started, deadline = time.perf_counter(), Deadline.of_probe(seconds)
        delegation = await self._ask_well_known(name, deadline)
        delegated = known.server if (known := found(delegation)) else None
        records = await self._ask_srv(routes.srv_host(name, delegated), deadline)
        route = routes.plan(name, delegated, srv.decision(records))
        resolved = await self._resolve(route, deadline, aliases_allowed=route.method not in routes.BY_SRV)
        addresses = found(resolved) or Resolved(())
        examined = (self._examine(name, route, endpoint, deadline) for endpoint in addresses.endpoints)
        return Report(
            server_name=name,
            well_known=delegation,
            srv=srv.judge_targets(records, addresses),
            route=route,
            dns=resolved,
            endpoints=tuple(await asyncio.gather(*examined)),
            ended_at=datetime.now(UTC),
            seconds=time.perf_counter() - started,
        )

    async def _ask_well_known(self, name: ServerName, deadline: Deadline) -> Outcome[Delegation]:
        if not routes.asks_well_known(name):
            return SKIPPED
        return await well_known.probe(self._network, name, deadline.of_stage())

    async def _ask_srv(self, host: str | None, deadline: Deadline) -> Outcome[SrvRecords]:
        if host is None:
            return SKIPPED
        return await attempt(Step.DNS, srv.look(self._network, host), srv.read, deadline.of_stage())

    async def _resolve(self, route: Route, deadline: Deadline, *, aliases_allowed: bool) -> Outcome[Resolved]:
        if not route.targets:
            return SKIPPED
        read = partial(dns.read, aliases_allowed=aliases_allowed)
        return await attempt(Step.DNS, dns.look(self._network, route.targets), read, deadline.of_stage())

    async def _examine(self, name: ServerName, route: Route, endpoint: Endpoint, deadline: Deadline) -> EndpointReport:
        """One connection for all stages. Version and keys are asked for on their own: each tells something."""
        with closing(self._network.connection(endpoint)) as connection:
            clock = connection.waited
            tcp = await attempt(Step.TCP, connection.open(), as_it_is, deadline.of_stage(), clock)
            if not isinstance(tcp, Passed):
                return EndpointReport(endpoint, tcp)
            verify = partial(tls.read, tls_name=route.tls_name)
            secured = await attempt(Step.TLS, connection.start_tls(route.tls_name), verify, deadline.of_stage(), clock)
            if not isinstance(secured, Passed):
                return EndpointReport(endpoint, tcp, secured)
            ask = connection.get(version.PATH, route.host_header, version.MAX_BYTES)
            software = await attempt(Step.HTTP, ask, version.read, deadline.of_stage(), clock)
            ask = connection.get(keys.PATH, route.host_header, keys.MAX_BYTES)
            check = partial(keys.read, server_name=name.text, now=datetime.now(UTC))
            published = await attempt(Step.HTTP, ask, check, deadline.of_stage(), clock)
            return EndpointReport(endpoint, tcp, secured, software, published)
