"""The well-known as the web servers of a server name return it, each address and each IP family on its own."""

import asyncio
from contextlib import closing
from functools import partial

from exporter.model.addresses import Endpoint
from exporter.model.enums import IPFamily
from exporter.model.findings import Delegation
from exporter.model.names import ServerName
from exporter.model.outcomes import SKIPPED, Failed, Outcome
from exporter.model.sanitize import printable
from exporter.probing.attempt import Deadline, Failure, with_slot
from exporter.probing.dialling import open_connection
from exporter.probing.network import Network
from exporter.probing.stages import well_known
from exporter.probing.stages.well_known import PATH, REDIRECTS, Hop, Url


async def fetch_over_each_family(
    network: Network, name: ServerName, tls_slots: asyncio.Semaphore, deadline: Deadline
) -> dict[IPFamily, Outcome[Delegation]]:
    """Return the well-known as a peer sees it that has only one IP family. Redirects are followed.

    A family is skipped if the time ends before there is a slot for it.
    """

    async def fetch(family: IPFamily) -> Outcome[Delegation]:
        if deadline.probe_expired():
            return SKIPPED
        return await well_known.run(network, name, deadline.for_stage(), family)

    outcomes = await asyncio.gather(*(with_slot(tls_slots, partial(fetch, family)) for family in IPFamily))
    return dict(zip(IPFamily, outcomes, strict=True))


async def fetch_from_each_address(
    network: Network, name: ServerName, tls_slots: asyncio.Semaphore, deadline: Deadline
) -> dict[str, str]:
    """Return a summary of what each address of the server name returns, by address. There are three cases:

    - the server name has one address: nothing, as the probe has seen what that returns;
    - an address returns nothing: it is missing, as peers go on to the next one;
    - otherwise: its summary.
    """
    url = Url(name, PATH)
    resolved = await well_known.resolve(network, url, deadline.for_stage())
    endpoints = resolved.found.endpoints if resolved.found else ()
    if len(endpoints) == 1:
        return {}
    summaries = await asyncio.gather(
        *(_fetch_from_address(network, endpoint, url, tls_slots, deadline) for endpoint in endpoints)
    )
    return {endpoint.address: summary for endpoint, summary in zip(endpoints, summaries, strict=True) if summary}


async def _fetch_from_address(
    network: Network, endpoint: Endpoint, url: Url, tls_slots: asyncio.Semaphore, deadline: Deadline
) -> str | None:
    """Return a summary of what one address returns, or None if there is neither a response nor a certificate."""
    with closing(network.connection(endpoint)) as connection:
        opened = await open_connection(network, connection, deadline.for_stage())
        if isinstance(opened, Failed):
            return None
        async with tls_slots:
            hop = await well_known.exchange(connection, url, network.chain_cache, deadline.for_stage())
    return summarize(hop) if hop.response or hop.tls_session else None


def summarize(hop: Hop) -> str:
    """Return a short text that is equal for addresses that delegate alike. A redirect is not followed."""
    if hop.response and hop.response.status in REDIRECTS:
        location = hop.response.header("location")
        return f"a redirect to {printable(location, 200)}" if location else "a redirect without a Location"
    finding = well_known.evaluate(hop)
    if isinstance(finding, Failure):
        return finding.problems[0].reason
    return finding.server.text if finding.server else "no delegation"
