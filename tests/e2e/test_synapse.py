"""A real Synapse behind a real nginx, in the three ways in which most servers delegate, and in the four in which most
of them break.

All of them are the same Synapse: only DNS and nginx differ.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from exporter import names, verdict
from exporter.internet import Internet, Place
from exporter.lab.authority import Authority, CertificateState
from exporter.lab.dns_server import DnsServer
from exporter.lab.faults import ClosedPort
from exporter.lab.zone import DnsFault
from exporter.model import Method, Reason, Report, Stage
from exporter.probe import Prober
from tests.e2e.nginx import Site, nginx
from tests.e2e.synapse import Synapse, synapse

pytestmark = [pytest.mark.synapse, pytest.mark.system("nginx")]

SERVER_NAME = "synapse.test"
PROBE_SECONDS = 10.0

# ---------------------------------------------------------------- nginx's configuration

NO_WELL_KNOWN = "location / { return 404; }"
WELL_KNOWN = """
    location = /.well-known/matrix/server {
      default_type application/json;
      return 200 '{"m.server": "matrix.synapse.test:8443"}';
    }
"""
A_PAGE_FOR_EVERY_PATH = "location / { default_type text/html; return 200 '<!doctype html><title>Welcome</title>'; }"
BAD_GATEWAY = "location / { return 502; }"

# "SOCKET" stands for that of Synapse.
FORWARDED = "location /_matrix/ { proxy_pass http://unix:SOCKET; proxy_set_header Host $host:$server_port; }"
KEYS_NOT_FORWARDED = FORWARDED.replace("/_matrix/", "/_matrix/federation/")

# ---------------------------------------------------------------- delegations


@dataclass(frozen=True, slots=True)
class Delegated:
    """What DNS says, and what nginx serves at 192.0.2.1:443, the web server, and at `federation_at`."""

    method: Method
    zone: str
    website: str
    federation_at: str
    tls_name: str = SERVER_NAME
    federation: str = FORWARDED
    certificate: CertificateState = CertificateState.VALID
    dns_faults: tuple[tuple[str, str, DnsFault], ...] = ()


BY_WELL_KNOWN = Delegated(
    Method.WELL_KNOWN_PORT,
    zone="synapse.test A 192.0.2.1\nmatrix.synapse.test A 192.0.2.2",
    website=WELL_KNOWN,
    federation_at="192.0.2.2:8443",
    tls_name="matrix.synapse.test",
)
BY_SRV = Delegated(
    Method.SRV_FED,
    zone="""
        synapse.test                  A   192.0.2.1
        _matrix-fed._tcp.synapse.test SRV 10 5 8443 matrix.synapse.test.
        matrix.synapse.test           A   192.0.2.2
    """,
    website=NO_WELL_KNOWN,
    federation_at="192.0.2.2:8443",
)
BY_DEFAULT_PORT = Delegated(
    Method.DEFAULT_8448, zone="synapse.test A 192.0.2.1", website=NO_WELL_KNOWN, federation_at="192.0.2.1:8448"
)


@pytest.fixture(scope="module")
def homeserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Synapse]:
    with synapse(tmp_path_factory.mktemp("synapse"), SERVER_NAME) as started:
        yield started


async def probe(homeserver: Synapse, delegated: Delegated, folder: Path) -> Report:
    authority = Authority(folder)
    website = Site(authority.issue([SERVER_NAME]), delegated.website)
    certificate = authority.issue([delegated.tls_name], delegated.certificate)
    federation = Site(certificate, delegated.federation.replace("SOCKET", str(homeserver.socket)))
    with nginx(folder, [website, federation]) as (website_address, federation_address):
        async with name_server(delegated) as resolver, nothing_listens() as refused:
            network = Internet(
                timeout=PROBE_SECONDS,
                resolvers=[resolver],
                ca_file=authority.ca_file,
                connect_to={
                    "192.0.2.1:8448": refused,
                    "192.0.2.1:443": place(website_address),
                    delegated.federation_at: place(federation_address),
                },
            )
            return await Prober(network, PROBE_SECONDS).probe(names.parse(SERVER_NAME))


@asynccontextmanager
async def name_server(delegated: Delegated) -> AsyncIterator[Place]:
    server = DnsServer()
    server.zone.load(delegated.zone)
    for name, kind, fault in delegated.dns_faults:
        server.zone.fail(name, kind, fault)
    await server.start()
    try:
        yield place(server.address)
    finally:
        await server.stop()


@asynccontextmanager
async def nothing_listens() -> AsyncIterator[Place]:
    port = ClosedPort()
    await port.start()
    try:
        yield place(port.address)
    finally:
        await port.stop()


def place(address: str) -> Place:
    ip, _, port = address.rpartition(":")
    return ip_address(ip), int(port)


def problems(report: Report) -> set[tuple[Stage, Reason]]:
    return {(located.stage, located.problem.reason) for located in verdict.problems(report)}


@pytest.mark.parametrize(
    "delegated", [pytest.param(case, id=case.method) for case in (BY_WELL_KNOWN, BY_SRV, BY_DEFAULT_PORT)]
)
async def test_healthy(homeserver: Synapse, delegated: Delegated, tmp_path: Path) -> None:
    """Found by its delegation, with the version that is installed and the keys of its signing key file."""
    report = await probe(homeserver, delegated, tmp_path)
    assert (problems(report), list(verdict.warnings(report))) == (set(), [])
    assert verdict.federates(report)
    assert (report.route.method, report.route.tls_name) == (delegated.method, delegated.tls_name)
    assert [endpoint.endpoint.address for endpoint in report.endpoints] == [delegated.federation_at]
    assert verdict.software(report) == homeserver.software
    published = verdict.signing_keys(report)
    assert published is not None
    assert published.keys == homeserver.keys


NOT_AT_8448 = (Stage.TCP, Reason.CONNECT_REFUSED)  # where peers look that find no delegation

BROKEN = {
    "certificate expired": (
        replace(BY_WELL_KNOWN, certificate=CertificateState.EXPIRED),
        {(Stage.TLS, Reason.CERTIFICATE_EXPIRED)},
    ),
    "web page instead of the well-known": (
        replace(BY_WELL_KNOWN, website=A_PAGE_FOR_EVERY_PATH),
        {(Stage.WELL_KNOWN, Reason.NOT_JSON), NOT_AT_8448},
    ),
    "well-known behind a dead upstream": (
        replace(BY_WELL_KNOWN, website=BAD_GATEWAY),
        {(Stage.WELL_KNOWN, Reason.HTTP_STATUS), NOT_AT_8448},
    ),
    "keys not forwarded": (
        replace(BY_WELL_KNOWN, federation=KEYS_NOT_FORWARDED),
        {(Stage.KEYS, Reason.HTTP_STATUS)},
    ),
    "SRV lookup fails": (
        replace(BY_SRV, dns_faults=(("_matrix-fed._tcp.synapse.test", "SRV", DnsFault.SERVFAIL),)),
        {(Stage.SRV, Reason.DNS_FAILURE)},
    ),
}


@pytest.mark.parametrize(("delegated", "expected"), BROKEN.values(), ids=BROKEN)
async def test_broken(
    homeserver: Synapse, delegated: Delegated, expected: set[tuple[Stage, Reason]], tmp_path: Path
) -> None:
    """The stage that breaks fails, for the reason that it breaks for, and the server does not federate."""
    report = await probe(homeserver, delegated, tmp_path)
    assert problems(report) == expected
    assert not verdict.federates(report)
