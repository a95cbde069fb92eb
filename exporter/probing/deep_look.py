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
from exporter.model.report import DeepLook, EndpointLook, EndpointReport, Report
from exporter.model.routes import Route
from exporter.probing.attempt import Deadline, as_it_is, attempt, in_turn
from exporter.probing.network import Connection, Network
from exporter.probing.notaries import ask_each_notary
from exporter.probing.problems import Step
from exporter.probing.stages import keys, proxy, srv, tls, well_known

ENDPOINTS_AT_ONCE = 8  # a socket each, and a server may have us dial 32
TALKS_AT_ONCE = 2  # of these: TLS takes 80 KiB each, more if the server likes; IPv4 does not have to wait for IPv6


async def look_deeper(network: Network, report: Report, seconds: float, notaries: Sequence[ServerName] = ()) -> Report:
    """The report of a probe that just ended, with what a deep look of at most so many `seconds` adds to it."""
    deadline = Deadline.of_probe(seconds)
    turns, talks = asyncio.Semaphore(ENDPOINTS_AT_ONCE), asyncio.Semaphore(TALKS_AT_ONCE)
    well_knowns, records, notarised, looks = await asyncio.gather(
        each_well_known(network, report, talks, deadline),
        own_srv(network, report, deadline),
        ask_each_notary(network, report, notaries, deadline),
        asyncio.gather(
            *(in_turn(turns, partial(look_at, network, report, seen, talks, deadline)) for seen in report.endpoints)
        ),
    )
    endpoints = tuple(replace(seen, deep=look) for seen, look in zip(report.endpoints, looks, strict=True))
    return replace(report, endpoints=endpoints, deep=DeepLook(datetime.now(UTC), well_knowns, records, notarised))


async def each_well_known(
    network: Network, report: Report, talks: asyncio.Semaphore, deadline: Deadline
) -> dict[str, str]:
    if not routes.asks_well_known(report.server_name):
        return {}
    return await well_known.ask_each_address(network, report.server_name, talks, deadline)


async def own_srv(network: Network, report: Report, deadline: Deadline) -> SrvRecords | None:
    """The records that a valid well-known makes peers pass over."""
    delegation = found(report.well_known)
    if not delegation or not delegation.server:
        return None
    return found(await attempt(Step.DNS, srv.look(network, report.server_name.host), srv.read, deadline.of_stage()))


async def look_at(
    network: Network, report: Report, seen: EndpointReport, talks: asyncio.Semaphore, deadline: Deadline
) -> EndpointLook | None:
    """None where the endpoint was not reached."""
    route = report.route
    if not isinstance(seen.tls, Passed):
        return None
    with closing(network.connection(seen.endpoint)) as connection:
        verify = partial(tls.read, tls_name=route.tls_name)
        opened = await attempt(Step.TCP, connection.open(), as_it_is, deadline.of_stage())
        if not isinstance(opened, Passed):
            return None
        async with talks:
            secured = await attempt(Step.TLS, connection.start_tls(route.tls_name), verify, deadline.of_stage())
            if not isinstance(secured, Passed):
                return None
            differs = await host_with_port(connection, report, seen, deadline.of_stage())
            handled = await proxy.probe(connection, route.host_header, found(seen.version), deadline.of_stage())
    return EndpointLook(handled, differs)


async def host_with_port(
    connection: Connection, report: Report, seen: EndpointReport, deadline: Deadline
) -> str | None:
    """How the keys differ where `Host` bears the port, as some homeservers send it; none where they do not."""
    published, host_header = found(seen.keys), with_port(report.route, seen)
    if not isinstance(seen.keys, Passed) or not published or not host_header:
        return None
    check = partial(keys.read, server_name=report.server_name.text, now=report.ended_at)
    other = await attempt(Step.HTTP, connection.get(keys.PATH, host_header, keys.MAX_BYTES), check, deadline)
    if isinstance(other, Passed):
        return None if other.found.keys == published.keys else f"other keys where Host is {host_header}"
    return f"{other.problems[0].reason} where Host is {host_header}"


def with_port(route: Route, seen: EndpointReport) -> str | None:
    """None where the specification's own `Host` bears a port already."""
    if names.parse(route.host_header).port is not None:
        return None
    return host_port(route.tls_name, seen.endpoint.target.port)
