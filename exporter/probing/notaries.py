"""Finding each notary as a peer would, and querying it."""

import asyncio
from collections.abc import Sequence
from contextlib import closing

from exporter.model.names import ServerName
from exporter.model.outcomes import Failed, Passed, Problem
from exporter.model.report import NotaryResult, Report
from exporter.probing import dialling
from exporter.probing.attempt import Deadline
from exporter.probing.discovery import Discovery, discover
from exporter.probing.network import Connection, Network
from exporter.probing.stages import notary
from exporter.probing.stages.notary import PublishedKeys, inconclusive


async def query_notaries(
    network: Network, report: Report, notaries: Sequence[ServerName], deadline: Deadline
) -> tuple[NotaryResult, ...]:
    """Return the result of every notary, in the given order. A server is never asked about itself.

    If no endpoint publishes valid keys, there is nothing to compare with, and no notary is queried.
    """
    published = PublishedKeys(report.server_name.text, _published_keys(report), report.ended_at)
    others = [name for name in notaries if name != report.server_name] if published.keys else []
    return tuple(await asyncio.gather(*(query_notary(network, name, published, deadline) for name in others)))


def _published_keys(report: Report) -> dict[str, str]:
    """Return the keys of all endpoints: if they differ, the notary got its keys from any one of them."""
    return {
        key_id: key
        for endpoint in report.endpoints
        if isinstance(endpoint.keys, Passed)
        for key_id, key in endpoint.keys.found.keys.items()
    }


async def query_notary(
    network: Network, name: ServerName, published: PublishedKeys, deadline: Deadline
) -> NotaryResult:
    """Return what one notary says about the keys that the server publishes; inconclusive if it cannot be asked."""
    discovery = await discover(network, name, deadline)
    connected = await _connect(network, discovery, deadline)
    if isinstance(connected, Problem):
        return inconclusive(name, connected)
    host_header, tls_name = discovery.route.host_header, discovery.route.tls_name
    with closing(connected) as connection:
        session = await dialling.start_tls(connection, tls_name, network.chain_cache, deadline.for_stage())
        if isinstance(session, Failed):
            return inconclusive(name, session.problems[0])
        return await notary.run(connection, host_header, name, published, deadline.for_stage())


async def _connect(network: Network, discovery: Discovery, deadline: Deadline) -> Connection | Problem:
    if not discovery.endpoints:
        return discovery.dead_end()
    connected = await dialling.connect(network, discovery.endpoints, deadline.for_stage())
    return connected.found if isinstance(connected, Passed) else connected.problems[0]
