"""DNS that changes its answers between look-ups: the address that is dialled is the one that passed, each time."""

from collections.abc import Iterator
from ipaddress import ip_address
from itertools import chain, repeat
from pathlib import Path

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
from tests.policy.probing import blamed, probed, prober
from tests.policy.wire import watched
from tests.policy.world import DOMAIN, WEBSITE, world

FORBIDDEN = "127.0.0.66"
ALLOWED = "127.0.0.1"
REBINDING = f"rebinding.{DOMAIN}"


class RebindingZone(Zone):
    """A question for the address of REBINDING is answered with the next of `ips`, and at last with FORBIDDEN."""

    def __init__(self, *ips: str) -> None:
        super().__init__()
        self.put(REBINDING, "A", FORBIDDEN)
        self._ips: Iterator[str] = chain(ips, repeat(FORBIDDEN))
        self.questions = 0

    def records(self, name: Name, kind: RdataType) -> RRset | None:
        if kind is RdataType.A and name.to_text(omit_final_dot=True) == REBINDING:
            self.put(REBINDING, "A", next(self._ips))
            self.questions += 1
        return super().records(name, kind)


def closing(answer: Response) -> Response:
    """After which the connection is not kept."""
    return Response(answer.status, (*answer.headers, ("Connection", "close")), answer.body)


def site_of(server_name: str) -> Site:
    """A homeserver that wants a new connection for each request."""
    homeserver = Homeserver(server_name)

    async def respond(request: Request) -> Response:
        return closing(await homeserver.respond(request))

    return Site(fallback=respond)


async def test_a_connection_that_is_made_again_goes_where_the_first_one_went(tmp_path: Path) -> None:
    """And so do those of the deep look: they ask DNS nothing."""
    async with world(tmp_path) as at:
        at.dns.zone = zone = RebindingZone(ALLOWED)
        _, port = ip_endpoint(at.website.address)
        name = names.parse(f"{REBINDING}:{port}")
        at.website.sites[REBINDING] = site_of(name.text)
        asking = prober(at, tmp_path, allow_networks=[f"{ALLOWED}/32"])
        with watched() as wire:
            report = await asking.run_deep_look(await asking.probe(name))
        assert verdict.federates(report)
        assert zone.questions == 1
        assert {each.path for each in at.website.requests} >= {VERSION, KEYS, directory.PATH}
        assert len(at.website.handshakes) > len(at.website.requests)  # one each, and one that offers HTTP/2
        assert wire.dialled == {(ALLOWED, port)}


async def test_each_lookup_is_judged_anew(tmp_path: Path) -> None:
    """The web server was reached, by the operator's word; the endpoint, of the next look-up, and what the deep look
    finds after that, are not.
    """
    async with world(tmp_path) as at:
        at.dns.zone = zone = RebindingZone(WEBSITE)
        at.website.sites[REBINDING] = Site()
        asking = prober(at, tmp_path)
        with watched() as wire:
            report = await asking.run_deep_look(await asking.probe(names.parse(REBINDING)))
        assert zone.questions == 3
        assert blamed(report) == {(Stage.TCP, Reason.BLOCKED_ADDRESS)}
        assert report.deep
        assert report.deep.well_knowns == {}
        assert wire.dialled <= at.own_places()


async def test_a_hop_that_leads_back_is_judged_anew(tmp_path: Path) -> None:
    """A redirect to another path of the same host, which has another address by now."""
    async with world(tmp_path) as at:
        at.dns.zone = RebindingZone(WEBSITE)
        elsewhere = Response(302, (("Location", "/elsewhere"),))
        at.website.sites[REBINDING] = Site({WELL_KNOWN: elsewhere, "/elsewhere": delegation("example.org:1")})
        with watched() as wire:
            (report,) = await probed(prober(at, tmp_path), [REBINDING])
        assert report
        assert (Stage.WELL_KNOWN, Reason.BLOCKED_ADDRESS) in blamed(report)
        assert len(at.website.requests) == 1
        assert wire.dialled <= at.own_places()


async def test_no_notary_leads_there_either(tmp_path: Path) -> None:
    """Neither by its own address, nor by what it delegates to."""
    async with world(tmp_path) as at:
        _, port = ip_endpoint(at.website.address)
        watched_name = names.parse(f"{at.name_at(ip_address(ALLOWED))}:{port}")
        at.website.sites[watched_name.host] = site_of(watched_name.text)
        notaries = [
            f"{at.name_at(ip_address(FORBIDDEN))}:{at.trap.port}",
            at.website_with(delegation(f"{FORBIDDEN}:{at.trap.port}")),
            at.service_at(at.name_at(ip_address(FORBIDDEN)), at.trap.port),
        ]
        asking = prober(at, tmp_path, allow_networks=[f"{ALLOWED}/32"], notaries=notaries)
        with watched() as wire:
            report = await asking.run_deep_look(await asking.probe(watched_name))
        assert report.deep
        said = [look.inconclusive_because for look in report.deep.notaries]
        assert (
            said == [f"blocked_address: {FORBIDDEN} is not a public address, which network.address_policy forbids"] * 3
        )
        assert at.trap.visits() == 0
        assert wire.dialled <= at.own_places()


async def test_no_server_leads_to_the_resolver(tmp_path: Path) -> None:
    """Whom we ask is spoken to in DNS alone, and in nobody else's name: not even where its network is allowed, as long
    as it listens where resolvers do.
    """
    async with world(tmp_path) as at:
        ip, port = ip_endpoint(at.dns.address)
        names_of_it = [at.service_at(at.name_at(ip), port), f"{ip}:{port}", at.website_with(delegation(f"{ip}:{port}"))]
        with watched() as wire:
            reports = await probed(prober(at, tmp_path), names_of_it)
            allowed = await probed(prober(at, tmp_path, allow_networks=["127.0.0.0/8"]), [f"{ip}:53"])
        assert {why for report in (*reports, *allowed) if report for why in blamed(report)} == {
            (Stage.TCP, Reason.BLOCKED_ADDRESS)
        }
        assert wire.dialled == {(str(ip), ip_endpoint(at.website.address)[1])}
