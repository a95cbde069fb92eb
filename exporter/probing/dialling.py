"""Connecting to the first of several addresses that accepts, as peers do (RFC 8305), and starting TLS there."""

import time
from asyncio.staggered import staggered_race
from collections.abc import Callable, Sequence
from functools import partial

from exporter.model.addresses import Endpoint
from exporter.model.findings import TlsSession
from exporter.model.outcomes import Failed, Passed, Problem
from exporter.probing import problems
from exporter.probing.attempt import Deadline, Failure, attempt, identity
from exporter.probing.chain_cache import ChainCache
from exporter.probing.evidence import Handshake
from exporter.probing.network import Connection, Network
from exporter.probing.problems import Step
from exporter.probing.stages import tls

NEXT_ADDRESS_SECONDS = 0.25  # RFC 8305, section 5: "Connection Attempt Delay"


async def open_connection(
    network: Network, connection: Connection, deadline: Deadline, clock: Callable[[], float] = time.perf_counter
) -> Passed[None] | Failed[None]:
    """Return the outcome of opening a connection of the network."""
    return await attempt(_step(network), connection.open(), identity, deadline, clock)


def _step(network: Network) -> Step:
    return Step.TUNNEL if network.proxy else Step.TCP


async def connect(
    network: Network, endpoints: Sequence[Endpoint], deadline: Deadline
) -> Passed[Connection] | Failed[Connection]:
    """Return the outcome of connecting to the first address that accepts. Waiting for a turn is not timed."""
    connections: list[Connection] = []

    def make_connection(endpoint: Endpoint) -> Connection:
        connections.append(network.connection(endpoint))
        return connections[-1]

    def clock() -> float:
        return time.perf_counter() - max((connection.turn_wait() for connection in connections), default=0.0)

    return await attempt(_step(network), connect_any(make_connection, endpoints), identity, deadline, clock)


async def connect_any(make_connection: Callable[[Endpoint], Connection], endpoints: Sequence[Endpoint]) -> Connection:
    """Return an open connection to the first address that accepts one; the other attempts are cancelled.

    IPv6 comes first (RFC 8305, section 4), and the order is kept otherwise.

    If none accepts, raises the error of the first address. There must be at least one.
    """
    endpoints = sorted(endpoints, key=lambda endpoint: -endpoint.ip.version)
    if len(endpoints) == 1:
        return await _open_into([], make_connection(endpoints[0]))
    opened: list[Connection] = []
    winner: Connection | None = None
    attempts = [partial(_open_into, opened, make_connection(endpoint)) for endpoint in endpoints]
    try:
        winner, _, errors = await staggered_race(attempts, NEXT_ADDRESS_SECONDS)
    finally:
        attempts.clear()  # the race is part of a reference cycle that keeps them
        # Two may have been accepted at the same moment, or one at the moment of our own cancellation.
        for connection in opened:
            if connection is not winner:
                connection.close()
    for error in filter(None, errors):
        problems.release_frames(error)
    if winner is None:
        raise next(error for error in errors if error)
    return winner


async def _open_into(opened: list[Connection], connection: Connection) -> Connection:
    """Open the connection and add it to the list, or close it again."""
    try:
        await connection.open()
    except BaseException:
        connection.close()
        raise
    opened.append(connection)
    return connection


async def start_tls(
    connection: Connection, tls_name: str, cache: ChainCache, deadline: Deadline, *, finite_field: bool = False
) -> Passed[TlsSession] | Failed[TlsSession]:
    """Return the outcome of the stage `tls` over an open connection.

    If the server presents another certificate for a later request, that one is judged like the first.
    """
    evaluate = partial(tls.evaluate, tls_name=tls_name, cache=cache)

    def check_other(handshake: Handshake) -> Problem | None:
        session = evaluate(handshake)
        return session.problems[0] if isinstance(session, Failure) else None

    start = connection.start_finite_field_tls if finite_field else connection.start_tls
    return await attempt(Step.TLS, start(tls_name, check_other), evaluate, deadline, connection.peer_wait)
