"""The deep look: checks that would be impolite with every probe. Each endpoint gets up to fourteen small requests, each
of several web servers of the server name up to two, and one of them another for the support document.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import zip_longest

from exporter.model import names, routes
from exporter.model.addresses import host_port
from exporter.model.enums import IPFamily
from exporter.model.findings import Delegation, SrvRecords, Support
from exporter.model.names import ServerName
from exporter.model.outcomes import SKIPPED, Outcome, Passed, Skipped, found
from exporter.model.report import DeepLook, EndpointDeepLook, EndpointReport, Report
from exporter.model.routes import Route
from exporter.probing.attempt import Deadline, attempt, with_slot
from exporter.probing.network import Connection, Network
from exporter.probing.notaries import query_notaries
from exporter.probing.problems import Step
from exporter.probing.second_looks import SecondLooks
from exporter.probing.stages import directory, keys, proxy, srv, support, web_servers

MAX_DIALLED = 8  # each takes a socket, and a server can make the exporter dial 24 endpoints
_MAX_ENDPOINTS = 8  # each gets up to fourteen requests, and a connection for each if the server closes it
MAX_TLS_SESSIONS = 2  # of these: each takes 80 KiB, more if the server wants; two, so that IPv4 need not wait for IPv6


async def run(network: Network, report: Report, seconds: float, notaries: Sequence[ServerName] = ()) -> Report:
    """Return the report of a probe that has just ended, with the findings of a deep look of at most `seconds`."""
    deadline = Deadline.for_probe(seconds)
    slots, tls_slots = asyncio.Semaphore(MAX_DIALLED), asyncio.Semaphore(MAX_TLS_SESSIONS)
    well_knowns, over_families, records, contacts, notary_results, endpoint_looks = await asyncio.gather(
        _fetch_each_well_known(network, report, tls_slots, deadline),
        _fetch_well_known_over_each_family(network, report, tls_slots, deadline),
        _fetch_own_srv(network, report, deadline),
        _fetch_support(network, report, tls_slots, deadline),
        query_notaries(network, report, notaries, deadline),
        asyncio.gather(
            *(
                with_slot(slots, partial(_check_endpoint, network, report, endpoint, tls_slots, deadline))
                for endpoint in report.endpoints[:_MAX_ENDPOINTS]
            )
        ),
    )
    endpoints = tuple(replace(endpoint, deep=look) for endpoint, look in zip_longest(report.endpoints, endpoint_looks))
    deep = DeepLook(datetime.now(UTC), well_knowns, records, notary_results, over_families, contacts)
    cpu_seconds = report.cpu_seconds + deadline.cpu.spent_seconds
    return replace(report, endpoints=endpoints, deep=deep, cpu_seconds=cpu_seconds)


async def _fetch_each_well_known(
    network: Network, report: Report, tls_slots: asyncio.Semaphore, deadline: Deadline
) -> Mapping[str, str]:
    if not routes.uses_well_known(report.server_name):
        return {}
    return await web_servers.fetch_from_each_address(network, report.server_name, tls_slots, deadline)


async def _fetch_well_known_over_each_family(
    network: Network, report: Report, tls_slots: asyncio.Semaphore, deadline: Deadline
) -> Mapping[IPFamily, Outcome[Delegation]]:
    """Look only where it matters: where the endpoints accept connections over both families."""
    reachable = {each.endpoint.ip_family for each in report.endpoints if each.accepts}
    if not routes.uses_well_known(report.server_name) or len(reachable) < len(IPFamily):
        return {}
    return await web_servers.fetch_over_each_family(network, report.server_name, tls_slots, deadline)


async def _fetch_own_srv(network: Network, report: Report, deadline: Deadline) -> SrvRecords | None:
    """Return the records that peers ignore because of a valid well-known."""
    delegation = found(report.well_known)
    if not delegation or not delegation.server:
        return None
    return found(
        await attempt(Step.DNS, srv.fetch(network, report.server_name.host), srv.evaluate, deadline.for_stage())
    )


async def _fetch_support(
    network: Network, report: Report, tls_slots: asyncio.Semaphore, deadline: Deadline
) -> Support | None:
    """Look unless the server name is an address, or its web server has not even answered the probe."""
    delegation = found(report.well_known)
    answers = isinstance(report.well_known, Skipped) or (delegation is not None and delegation.response is not None)
    if report.server_name.ip or not answers:
        return None
    return await support.run(network, report.server_name, tls_slots, deadline.for_stage())


async def _check_endpoint(
    network: Network, report: Report, endpoint: EndpointReport, tls_slots: asyncio.Semaphore, deadline: Deadline
) -> EndpointDeepLook | None:
    """There are three cases:

    - the probe did not connect, or the check does not: None;
    - the probe got a valid TLS session: all requests, and a second look if it did not get the keys;
    - it got none: only a second look.
    """
    if not endpoint.accepts:
        return None
    async with tls_slots:
        look = SecondLooks(network, report, endpoint, deadline)
        if not isinstance(endpoint.tls, Passed):
            return EndpointDeepLook(second=await look.past_tls())
        return await _send_requests(report, endpoint, look, deadline)


async def _send_requests(
    report: Report, endpoint: EndpointReport, look: SecondLooks, deadline: Deadline
) -> EndpointDeepLook | None:
    route = report.route
    async with look.session() as (connection, session):
        if not isinstance(session, Passed):
            return None
        difference = await _compare_host_with_port(connection, report, endpoint, deadline.for_stage())
        answered = await directory.run(connection, route.host_header, deadline.for_stage())
        keys_found = found(endpoint.keys) is not None
        outcome = await proxy.run(
            connection, route.host_header, found(endpoint.version), deadline.for_stage(), keys_found=keys_found
        )
    second = await look.as_a_homeserver() if directory.may_be_filtered(endpoint.keys, answered) else None
    seen = EndpointDeepLook(outcome, difference, answered, second, await look.http2_broken())
    return replace(seen, proxy=_judge_proxy(replace(endpoint, deep=seen), outcome))


def _judge_proxy(endpoint: EndpointReport, outcome: Outcome[None]) -> Outcome[None]:
    """Return the outcome of the stage `proxy` in view of the whole deep look. There are three cases:

    - a filter answers in the homeserver's place: inconclusive, as peers meet something else;
    - the endpoint publishes no keys: nothing is said about what is forwarded;
    - otherwise, lookups must be forwarded too.
    """
    if endpoint.filtered:
        return SKIPPED
    return proxy.add_fault(outcome, endpoint.answers.lookup_fault) if found(endpoint.keys) else outcome


async def _compare_host_with_port(
    connection: Connection, report: Report, endpoint: EndpointReport, deadline: Deadline
) -> str | None:
    """Return how the keys differ when `Host` contains the port, as some homeservers send it. There are three cases:

    - the probe got no valid keys, or `Host` contains a port anyway: None, as there is nothing to compare;
    - the same keys come back: None;
    - other keys come back, or none: a sentence that says so.
    """
    host_header = _host_header_with_port(report.route, endpoint)
    if not isinstance(endpoint.keys, Passed) or not host_header:
        return None
    evaluate = partial(keys.evaluate, server_name=report.server_name.text, now=report.ended_at)
    response = connection.get(keys.PATH, host_header, keys.MAX_BYTES)
    outcome = await attempt(Step.HTTP, response, evaluate, deadline)
    if isinstance(outcome, Passed):
        return None if outcome.found.keys == endpoint.keys.found.keys else f"different keys when Host is {host_header}"
    return f"{outcome.problems[0].reason} when Host is {host_header}"


def _host_header_with_port(route: Route, endpoint: EndpointReport) -> str | None:
    """Return None if the `Host` of the specification already contains a port."""
    if names.parse(route.host_header).port is not None:
        return None
    return host_port(route.tls_name, endpoint.endpoint.target.port)
