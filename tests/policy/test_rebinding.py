"""DNS that changes its replies between lookups: the exporter always dials the address that passed the policy."""

from collections.abc import Iterator
from ipaddress import ip_address
from itertools import chain, repeat
from pathlib import Path

import pytest
from dns.name import Name
from dns.rdatatype import RdataType
from dns.rrset import RRset

from exporter.demo.homeserver import KEYS, VERSION, Homeserver
from exporter.demo.https_server import WELL_KNOWN, Request, Response, Site, delegation
from exporter.demo.zone import Zone
from exporter.judging import verdict
from exporter.model import names
from exporter.model.enums import Stage
from exporter.model.reasons import Reason
from exporter.probing.stages import directory
from tests.addresses import ip_endpoint
from tests.policy.probing import make_prober, probe_all, problems_of
from tests.policy.socket_activity import recorded_activity
from tests.policy.world import DOMAIN, WEBSITE_IP, hostile_world

pytestmark = pytest.mark.lab

FORBIDDEN = "127.0.0.66"
ALLOWED = "127.0.0.1"
REBINDING = f"rebinding.{DOMAIN}"


class RebindingZone(Zone):
    """Each query for the address of REBINDING gets the next of `ips`, and afterwards FORBIDDEN."""

    def __init__(self, *ips: str) -> None:
        super().__init__()
        self.put(REBINDING, "A", FORBIDDEN)
        self._ips: Iterator[str] = chain(ips, repeat(FORBIDDEN))
        self.queries = 0

    def records(self, name: Name, rdtype: RdataType) -> RRset | None:
        if rdtype is RdataType.A and name.to_text(omit_final_dot=True) == REBINDING:
            self.put(REBINDING, "A", next(self._ips))
            self.queries += 1
        return super().records(name, rdtype)


def closing(response: Response) -> Response:
    """Return the response with a header that ends the connection."""
    return Response(response.status, (*response.headers, ("Connection", "close")), response.body)


def site_of(server_name: str) -> Site:
    """Return the site of a homeserver that closes the connection after each response."""
    homeserver = Homeserver(server_name)

    async def respond(request: Request) -> Response:
        return closing(await homeserver.respond(request))

    return Site(fallback=respond)


async def test_a_new_connection_goes_to_the_same_address(tmp_path: Path) -> None:
    """So do the connections of the deep look, which only looks the web server of the support document up."""
    async with hostile_world(tmp_path) as world:
        world.dns.zone = zone = RebindingZone(ALLOWED)
        _, port = ip_endpoint(world.website.address)
        name = names.parse(f"{REBINDING}:{port}")
        world.website.sites[REBINDING] = site_of(name.text)
        prober = make_prober(world, tmp_path, allow_networks=[f"{ALLOWED}/32"])
        with recorded_activity() as activity:
            report = await prober.run_deep_look(await prober.probe(name))
        assert verdict.federates(report)
        assert zone.queries == 2
        assert {each.path for each in world.website.requests} >= {VERSION, KEYS, directory.PATH}
        assert len(world.website.handshakes) > len(world.website.requests)  # one each, and one that offers HTTP/2
        assert activity.dialled == {(ALLOWED, port)}


async def test_every_lookup_is_checked(tmp_path: Path) -> None:
    """The web server is at an address of `connect_to`, the endpoint of the next lookup is at a forbidden one, and so
    are those that the deep look finds, for the well-known and for the support document.
    """
    async with hostile_world(tmp_path) as world:
        world.dns.zone = zone = RebindingZone(WEBSITE_IP)
        world.website.sites[REBINDING] = Site()
        prober = make_prober(world, tmp_path)
        with recorded_activity() as activity:
            report = await prober.run_deep_look(await prober.probe(names.parse(REBINDING)))
        assert zone.queries == 4
        assert problems_of(report) == {(Stage.TCP, Reason.BLOCKED_ADDRESS)}
        assert report.deep
        assert report.deep.well_knowns == {}
        assert activity.dialled <= world.allowed_addresses()


async def test_a_redirect_to_the_same_host_is_checked(tmp_path: Path) -> None:
    """The host has another address by then."""
    async with hostile_world(tmp_path) as world:
        world.dns.zone = RebindingZone(WEBSITE_IP)
        elsewhere = Response(302, (("Location", "/elsewhere"),))
        world.website.sites[REBINDING] = Site({WELL_KNOWN: elsewhere, "/elsewhere": delegation("example.org:1")})
        with recorded_activity() as activity:
            (report,) = await probe_all(make_prober(world, tmp_path), [REBINDING])
        assert report
        assert (Stage.WELL_KNOWN, Reason.BLOCKED_ADDRESS) in problems_of(report)
        assert len(world.website.requests) == 1
        assert activity.dialled <= world.allowed_addresses()


async def test_no_notary_leads_to_a_forbidden_address(tmp_path: Path) -> None:
    """Neither the address of the notary nor its delegation can lead there."""
    async with hostile_world(tmp_path) as world:
        _, port = ip_endpoint(world.website.address)
        watched_name = names.parse(f"{world.name_with_address(ip_address(ALLOWED))}:{port}")
        world.website.sites[watched_name.host] = site_of(watched_name.text)
        notaries = [
            f"{world.name_with_address(ip_address(FORBIDDEN))}:{world.trap.port}",
            world.name_with_well_known(delegation(f"{FORBIDDEN}:{world.trap.port}")),
            world.name_with_srv(world.name_with_address(ip_address(FORBIDDEN)), world.trap.port),
        ]
        prober = make_prober(world, tmp_path, allow_networks=[f"{ALLOWED}/32"], notaries=notaries)
        with recorded_activity() as activity:
            report = await prober.run_deep_look(await prober.probe(watched_name))
        assert report.deep
        causes = [result.inconclusive_because for result in report.deep.notaries]
        expected = f"blocked_address: {FORBIDDEN} is not a public address, which network.address_policy forbids"
        assert causes == [expected] * 3
        assert world.trap.count_connections() == 0
        of_support_document = (ALLOWED, 443)
        assert activity.dialled <= world.allowed_addresses() | {of_support_document}


async def test_no_server_leads_to_the_resolver(tmp_path: Path) -> None:
    """The exporter speaks only DNS to its resolver, and not for a server. The resolver's port is refused even where its
    network is allowed, if it is the usual one.
    """
    async with hostile_world(tmp_path) as world:
        ip, port = ip_endpoint(world.dns.address)
        server_names = [
            world.name_with_srv(world.name_with_address(ip), port),
            f"{ip}:{port}",
            world.name_with_well_known(delegation(f"{ip}:{port}")),
        ]
        with recorded_activity() as activity:
            reports = await probe_all(make_prober(world, tmp_path), server_names)
            allowed = await probe_all(make_prober(world, tmp_path, allow_networks=["127.0.0.0/8"]), [f"{ip}:53"])
        assert {problem for report in (*reports, *allowed) if report for problem in problems_of(report)} == {
            (Stage.TCP, Reason.BLOCKED_ADDRESS)
        }
        assert activity.dialled == {(str(ip), ip_endpoint(world.website.address)[1])}
