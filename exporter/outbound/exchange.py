"""Sends a request to an endpoint of a report, over a connection of its own."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from exporter.model.outcomes import Failed, Problem
from exporter.model.report import EndpointReport, Report
from exporter.probing.attempt import Deadline, attempt, identity
from exporter.probing.evidence import HttpResponse
from exporter.probing.network import Connection, Network
from exporter.probing.problems import Step
from exporter.probing.second_looks import SecondLooks

_MAX_BYTES = 64 * 1024
Send: TypeAlias = Callable[[Connection], Awaitable[HttpResponse]]


async def exchange(
    network: Network, report: Report, endpoint: EndpointReport, send: Send, deadline: Deadline
) -> HttpResponse | Problem:
    """Connect, send a request, and return the response, or the problem that prevented one."""
    async with SecondLooks(network, report, endpoint, deadline).session() as (connection, session):
        if isinstance(session, Failed):
            return session.problems[0]
        outcome = await attempt(Step.HTTP, send(connection), identity, deadline, connection.peer_wait)
    return outcome.problems[0] if isinstance(outcome, Failed) else outcome.found


def getting(path: str, host_header: str, authorization: str | None = None) -> Send:
    """Return a function that sends a GET request."""
    return lambda connection: connection.get(path, host_header, _MAX_BYTES, authorization=authorization)


def posting(path: str, host_header: str, body: bytes) -> Send:
    """Return a function that sends a POST request with a JSON body."""
    return lambda connection: connection.post(path, host_header, body, _MAX_BYTES)
