"""The deep look: what is too impolite to ask each time; six small requests to every endpoint."""

import asyncio
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from exporter.model import names, routes
from exporter.model.addresses import host_port
from exporter.model.findings import SrvRecords
from exporter.model.names import ServerName
from exporter.model.outcomes import Passed, found
from exporter.model.report import DeepLook, EndpointDeepLook, EndpointReport, Report
from exporter.model.routes import Route
from exporter.probing.attempt import Deadline, attempt, identity, with_slot
from exporter.probing.network import Connection, Network
from exporter.probing.notaries import query_notaries
from exporter.probing.problems import Step
from exporter.probing.stages import keys, proxy, srv, tls, well_known

MAX_DIALLED = 8  # a socket each, and a server may have us dial 32
MAX_TLS_SESSIONS = 2  # of these: TLS takes 80 KiB each, more if the server likes; IPv4 does not have to wait for IPv6


async def run(network: Network, report: Report, seconds: float, notaries: Sequence[ServerName] = ()) -> Report:
    """The report of a probe that just ended, with what a deep look of at most so many `seconds` adds to it."""
    deadline = Deadline.for_probe(seconds)
    slots, tls_slots = asyncio.Semaphore(MAX_DIALLED), asyncio.Semaphore(MAX_TLS_SESSIONS)
    well_knowns, records, notarised, looks = await asyncio.gather(
        _fetch_each_well_known(network, report, tls_slots, deadline),
        _fetch_own_srv(network, report, deadline),
        query_notaries(network, report, notaries, deadline),
        asyncio.gather(
            *(
                with_slot(slots, partial(_check_endpoint, network, report, seen, tls_slots, deadline))
                for seen in report.endpoints
            )
        ),
    )
    endpoints = tuple(replace(seen, deep=look) for seen, look in zip(report.endpoints, looks, strict=True))
    return replace(report, endpoints=endpoints, deep=DeepLook(datetime.now(UTC), well_knowns, records, notarised))


async def _fetch_each_well_known(
    network: Network, report: Report, tls_slots: asyncio.Semaphore, deadline: Deadline
) -> dict[str, str]:
    if not routes.asks_well_known(report.server_name):
        return {}
    return await well_known.fetch_from_each_address(network, report.server_name, tls_slots, deadline)


async def _fetch_own_srv(network: Network, report: Report, deadline: Deadline) -> SrvRecords | None:
    """The records that a valid well-known makes peers pass over."""
    delegation = found(report.well_known)
    if not delegation or not delegation.server:
        return None
    return found(
        await attempt(Step.DNS, srv.fetch(network, report.server_name.host), srv.evaluate, deadline.for_stage())
    )


async def _check_endpoint(
    network: Network, report: Report, seen: EndpointReport, tls_slots: asyncio.Semaphore, deadline: Deadline
) -> EndpointDeepLook | None:
    """None where the endpoint was not reached."""
    route = report.route
    if not isinstance(seen.tls, Passed):
        return None
    with closing(network.connection(seen.endpoint)) as connection:
        verify = partial(tls.evaluate, tls_name=route.tls_name, cache=network.chain_cache)
        opened = await attempt(Step.TCP, connection.open(), identity, deadline.for_stage())
        if not isinstance(opened, Passed):
            return None
        async with tls_slots:
            secured = await attempt(Step.TLS, connection.start_tls(route.tls_name), verify, deadline.for_stage())
            if not isinstance(secured, Passed):
                return None
            differs = await _compare_host_with_port(connection, report, seen, deadline.for_stage())
            handled = await proxy.run(connection, route.host_header, found(seen.version), deadline.for_stage())
    return EndpointDeepLook(handled, differs)


async def _compare_host_with_port(
    connection: Connection, report: Report, seen: EndpointReport, deadline: Deadline
) -> str | None:
    """How the keys differ where `Host` bears the port, as some homeservers send it; none where they do not."""
    published, host_header = found(seen.keys), _host_header_with_port(report.route, seen)
    if not isinstance(seen.keys, Passed) or not published or not host_header:
        return None
    check = partial(keys.evaluate, server_name=report.server_name.text, now=report.ended_at)
    other = await attempt(Step.HTTP, connection.get(keys.PATH, host_header, keys.MAX_BYTES), check, deadline)
    if isinstance(other, Passed):
        return None if other.found.keys == published.keys else f"other keys where Host is {host_header}"
    return f"{other.problems[0].reason} where Host is {host_header}"


def _host_header_with_port(route: Route, seen: EndpointReport) -> str | None:
    """None where the specification's own `Host` bears a port already."""
    if names.parse(route.host_header).port is not None:
        return None
    return host_port(route.tls_name, seen.endpoint.target.port)
