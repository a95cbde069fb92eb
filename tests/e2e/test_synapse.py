"""A real Synapse behind a real nginx, in the three ways in which most servers delegate, and in the four in which most
of them break.

All of them are the same Synapse: only DNS and nginx differ.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from exporter.demo.authority import EXPIRED, VALID, Authority, CertificateProfile
from exporter.demo.zone import SERVFAIL, DnsFault
from exporter.judging import verdict
from exporter.judging.warnings import warnings
from exporter.model import names
from exporter.model.enums import Method, Stage
from exporter.model.reasons import Reason
from exporter.model.report import Report
from exporter.probing.prober import Prober
from tests.e2e.nginx import Site, nginx
from tests.e2e.real_network import PROBE_SECONDS, SERVER_NAME, problems, real_network
from tests.e2e.synapse import Synapse

pytestmark = [pytest.mark.synapse, pytest.mark.system("nginx")]

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

# "SYNAPSE" stands for where that is.
FORWARDED = "location /_matrix/ { proxy_pass http://SYNAPSE; proxy_set_header Host $host:$server_port; }"
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
    certificate: CertificateProfile = VALID
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


async def probe(homeserver: Synapse, delegated: Delegated, authority: Authority, folder: Path) -> Report:
    website = Site(authority.issue([SERVER_NAME]), delegated.website)
    certificate = authority.issue([delegated.tls_name], delegated.certificate)
    federation = Site(certificate, delegated.federation.replace("SYNAPSE", homeserver.http_address))
    with nginx(folder, [website, federation]) as (website_address, federation_address):
        redirections = {"192.0.2.1:443": website_address, delegated.federation_at: federation_address}
        async with real_network(authority, delegated.zone, redirections, delegated.dns_faults) as network:
            return await Prober(network, PROBE_SECONDS).probe(names.parse(SERVER_NAME))


@pytest.mark.parametrize(
    "delegated", [pytest.param(case, id=case.method) for case in (BY_WELL_KNOWN, BY_SRV, BY_DEFAULT_PORT)]
)
async def test_healthy(homeserver: Synapse, authority: Authority, delegated: Delegated, tmp_path: Path) -> None:
    """Found by its delegation, with the version that is installed and the keys of its signing key file."""
    report = await probe(homeserver, delegated, authority, tmp_path)
    assert (problems(report), warnings(report)) == (set(), ())
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
        replace(BY_WELL_KNOWN, certificate=EXPIRED),
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
        replace(BY_SRV, dns_faults=(("_matrix-fed._tcp.synapse.test", "SRV", SERVFAIL),)),
        {(Stage.SRV, Reason.DNS_FAILURE)},
    ),
}


@pytest.mark.parametrize(("delegated", "expected"), BROKEN.values(), ids=BROKEN)
async def test_broken(
    homeserver: Synapse,
    authority: Authority,
    delegated: Delegated,
    expected: set[tuple[Stage, Reason]],
    tmp_path: Path,
) -> None:
    """The stage that breaks fails, for the reason that it breaks for, and the server does not federate."""
    report = await probe(homeserver, delegated, authority, tmp_path)
    assert problems(report) == expected
    assert not verdict.federates(report)
