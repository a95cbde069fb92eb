"""A real Synapse as the notary of a server of the lab, whose name is an address, so that Synapse needs no DNS."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest
import pytest_asyncio

from exporter.demo.authority import Authority
from exporter.demo.homeserver import KEYS, Homeserver, encode_public_key, key_id
from exporter.demo.https_server import HttpsServer, Site
from exporter.demo.listener import LOOPBACK
from exporter.internet import Internet, IPEndpoint
from exporter.model import names
from exporter.model.outcomes import SKIPPED, Failed, Passed, Problem
from exporter.model.reasons import Reason
from exporter.model.report import NotaryResult
from exporter.probing.attempt import Deadline
from exporter.probing.notaries import query_notary
from exporter.probing.stages.notary import PublishedKeys
from tests.addresses import ip_endpoint
from tests.e2e.synapse import synapse

pytestmark = pytest.mark.synapse

NOTARY = names.parse("notary.test:8448")
NO_RESOLVER: IPEndpoint = (ip_address("192.0.2.53"), 53)  # names with a port and a known place ask for none
ASK_SECONDS = 30.0


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def network(authority: Authority, tmp_path: Path) -> Iterator[Internet]:
    """In which there is the notary."""
    trust: dict[str, object] = {"federation_custom_ca_list": [str(authority.ca_file)], "ip_range_blacklist": []}
    with synapse(tmp_path, NOTARY.text, authority.issue([NOTARY.host]), **trust) as notary:
        connect_to = {NOTARY.text: ip_endpoint(notary.https_address)}
        yield Internet(
            timeout=ASK_SECONDS, resolvers=lambda: [NO_RESOLVER], ca_file=authority.ca_file, connect_to=connect_to
        )


@pytest_asyncio.fixture
async def server(authority: Authority) -> AsyncIterator[HttpsServer]:
    server = HttpsServer()
    await server.start()
    server.certificates[LOOPBACK] = authority.issue([LOOPBACK]).server_context()
    try:
        yield server
    finally:
        await server.stop()


def published(homeserver: Homeserver) -> PublishedKeys:
    keys = {key_id(homeserver.key): encode_public_key(homeserver.key)}
    return PublishedKeys(homeserver.server_name, keys, datetime.now(UTC))


async def asked(network: Internet, seen: PublishedKeys) -> NotaryResult:
    return await query_notary(network, NOTARY, seen, Deadline.for_probe(ASK_SECONDS))


async def test_synapse_as_a_notary(network: Internet, server: HttpsServer) -> None:
    """It fetches keys once, agrees, and goes on giving them out when the server has others and cannot be reached."""
    homeserver = Homeserver(server.address)
    server.sites[LOOPBACK] = Site(fallback=homeserver.respond)

    first, again = await asked(network, published(homeserver)), await asked(network, published(homeserver))
    assert isinstance(first.outcome, Passed)
    assert isinstance(again.outcome, Passed)
    assert first.outcome.found.keys == published(homeserver).keys
    assert again.outcome.found == first.outcome.found
    assert [request.path for request in server.requests] == [KEYS]

    await server.stop()
    renewed = published(Homeserver(homeserver.server_name))
    after = await asked(network, renewed)
    assert isinstance(after.outcome, Failed)
    (known,), (new,) = first.outcome.found.keys, renewed.keys
    detail = f"{NOTARY} returns {known}, but the server publishes {new}"
    assert after.outcome.problems == (Problem(Reason.SIGNATURE_INVALID, detail),)

    unknown = await asked(network, replace(renewed, server_name=f"{LOOPBACK}:1"))
    assert unknown == NotaryResult(NOTARY, SKIPPED, f"it has no valid keys for {LOOPBACK}:1")
