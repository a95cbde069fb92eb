"""Probes of a server whose TLS shows a fault only with a request, over real sockets."""

from collections.abc import Sequence

import pytest

from exporter.demo.authority import EXPIRED, Authority, IssuedCertificate
from exporter.demo.homeserver import KEYS, VERSION, Homeserver
from exporter.demo.https_server import Request, Response
from exporter.internet import Internet
from exporter.model import names
from exporter.model.outcomes import SKIPPED, Failed, Problem
from exporter.model.reasons import Reason
from exporter.model.report import EndpointReport
from exporter.probing.prober import Prober
from tests.addresses import ip_endpoint
from tests.internet.raw_https import RawHttps, listening
from tests.lab.ports import demand_client_certificate

pytestmark = pytest.mark.lab

SERVER = "192.0.2.1"
CLOSING = b"Connection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


async def probe(authority: Authority, address: str) -> EndpointReport:
    internet = Internet(timeout=5, ca_file=authority.ca_file, connect_to={f"{SERVER}:8448": ip_endpoint(address)})
    (endpoint,) = (await Prober(internet, 5.0).probe(names.parse(SERVER))).endpoints
    return endpoint


async def responses() -> list[list[bytes]]:
    """Return a homeserver's version and keys, each over a connection of its own."""
    homeserver = Homeserver(SERVER)
    answers = [await homeserver.respond(Request(None, "GET", path, SERVER, "")) for path in (VERSION, KEYS)]
    return [[over_one_connection(answer)] for answer in answers]


def over_one_connection(answer: Response) -> bytes:
    return b"HTTP/1.1 200 OK\r\n" + CLOSING % len(answer.body) + answer.body


@pytest.mark.parametrize("first", [0, 1])
async def test_two_good_certificates_behind_one_address_are_no_fault(authority: Authority, first: int) -> None:
    """Each machine has one of its own, and closes the connection after each response."""
    certificates = [authority.issue([SERVER]) for _ in range(2)]
    endpoint = await probe_in_turn(authority, [certificates[first], certificates[1 - first]])
    assert endpoint.ok


async def test_a_bad_certificate_of_one_machine_is_a_fault_of_tls(authority: Authority) -> None:
    """Chance decides which one a peer meets, and which request of a probe meets it."""
    endpoint = await probe_in_turn(authority, [authority.issue([SERVER]), authority.issue([SERVER], EXPIRED)])
    assert isinstance(endpoint.tls, Failed)
    assert [problem.reason for problem in endpoint.tls.problems] == [Reason.CERTIFICATE_EXPIRED]
    assert (endpoint.version, endpoint.keys) == (SKIPPED, SKIPPED)


async def probe_in_turn(authority: Authority, certificates: Sequence[IssuedCertificate]) -> EndpointReport:
    server = RawHttps(await responses(), certificates)
    async with listening(server.play) as address:
        return await probe(authority, address)


async def test_a_client_certificate_that_is_demanded_is_a_fault_of_tls(authority: Authority) -> None:
    """TLS 1.3 refuses the session only after the handshake, so that only the first request shows it."""
    port = demand_client_certificate(SERVER)(authority)
    await port.start()
    try:
        endpoint = await probe(authority, port.address)
    finally:
        await port.stop()
    assert isinstance(endpoint.tls, Failed)
    assert endpoint.tls.problems == (Problem(Reason.TLS_HANDSHAKE, "tlsv13 alert certificate required"),)
    assert endpoint.tls.found is not None
    assert endpoint.tls.found.certificate.valid
    assert (endpoint.version, endpoint.keys) == (SKIPPED, SKIPPED)
