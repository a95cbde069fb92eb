"""Everything that the server name of a conformance case leads to, on loopback: DNS, the well-known with its redirects,
and a healthy homeserver at each expected address. Connections to any other address are recorded and refused.

The schema of the cases is at the top of discovery.yaml.
"""

import json
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from typing import Any, Self, TypeAlias
from urllib.parse import urljoin, urlsplit

from exporter.demo.authority import EXPIRED, UNTRUSTED, VALID, WRONG_NAME, Authority, CertificateProfile
from exporter.demo.dns_server import DnsServer
from exporter.demo.homeserver import Homeserver
from exporter.demo.https_server import WELL_KNOWN, HttpsServer, Response, Site, redirect
from exporter.demo.listener import Port
from exporter.demo.ports import ClosedPort
from exporter.demo.zone import SERVFAIL, Zone
from exporter.internet import Internet, IPEndpoint
from exporter.model import names
from exporter.model.addresses import host_port
from tests.addresses import ip_endpoint
from tests.lab.certificates import SELF_SIGNED
from tests.lab.dns_faults import REFUSED

Case: TypeAlias = Mapping[str, Any]

HTTPS_PORT = 443
TIMEOUT_SECONDS = 60.0  # for a whole probe; no case reaches it
CERTIFICATES = {
    "valid": VALID,
    "expired": EXPIRED,
    "untrusted": UNTRUSTED,
    "self_signed": SELF_SIGNED,
    "wrong_name": WRONG_NAME,
}
DNS_FAULTS = {"SERVFAIL": SERVFAIL, "REFUSED": REFUSED}


# ---------------------------------------------------------------- what a case says


@dataclass(frozen=True, slots=True)
class Hop:
    """One response on the way of a well-known through its redirects, including the last one."""

    host: str
    port: int
    path: str
    certificate: CertificateProfile
    response: Response


def hops(case: Case) -> Iterator[Hop]:
    """Yield no hop where the specification forbids the request, so that a request is a stray connection."""
    if not case["expected"]["well_known_fetched"]:
        return
    well_known = case["well_known"]
    url, certificate = f"https://{case['server_name']}{WELL_KNOWN}", well_known["tls"]
    for step in well_known["redirects"]:
        yield make_hop(url, certificate, redirect(step["location"], step["status"]))
        url, certificate = urljoin(url, step["location"]), step["tls"]
    if not well_known.get("redirect_loop"):
        yield make_hop(url, certificate, final_response(well_known, case.get("now")))


def make_hop(url: str, certificate: str, response: Response) -> Hop:
    parts = urlsplit(url)
    return Hop(parts.hostname or "", parts.port or HTTPS_PORT, parts.path, CERTIFICATES[certificate], response)


def final_response(well_known: Case, now: int | None) -> Response:
    """A case that no client follows to its end leaves the status open."""
    headers = dict(well_known["headers"])
    if now is not None:
        headers["Expires"] = shift_to_clock(headers["Expires"], now)
    body = pad(well_known["body"] or "", well_known.get("body_repeat"))
    encoded = body.encode(well_known.get("body_encoding", "utf-8"))
    return Response(well_known["status"] or 500, tuple(headers.items()), encoded)


def shift_to_clock(expires: str, now: int) -> str:
    """Return the same time from now: in the case it is `now`, and what expires in 33 seconds must do so here too."""
    return formatdate(parsedate_to_datetime(expires).timestamp() - now + time.time(), usegmt=True)


def pad(body: str, repeat: Case | None) -> str:
    if repeat is None:
        return body
    content = json.loads(body)
    content[repeat["inside"]] += repeat["char"] * repeat["count"]
    return json.dumps(content)


def load(zone: Zone, facts: Sequence[Case]) -> None:
    zone.load("\n".join(f"{fact['name']} {fact['type']} {fact['data']}" for fact in facts if "data" in fact))
    for fact in facts:
        if fault := DNS_FAULTS.get(fact.get("rcode", "")):
            zone.fail(fact["name"], fact["type"], fault)
        if fact.get("rcode") == "NODATA":
            zone.put(fact["name"], "TXT", '"it exists, with nothing of that type"')


def addresses(case: Case, host: str) -> tuple[str, ...]:
    facts = (fact for fact in case["dns"] if "data" in fact and fact["name"] == host)
    return tuple(fact["data"] for fact in facts if fact["type"] in ("A", "AAAA"))


# ---------------------------------------------------------------- what the exporter finds


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request as it was received: where, and with which names."""

    address: str
    sni: str | None
    host: str
    path: str


class Redirections(Mapping[str, IPEndpoint]):
    """`connect_to`: every address is redirected to loopback, and those that are not in the case to a closed port."""

    def __init__(self, known: Mapping[str, IPEndpoint], closed: IPEndpoint) -> None:
        self.stray_connections: list[str] = []
        self._known = known
        self._closed = closed

    def __getitem__(self, key: str) -> IPEndpoint:
        if names.parse(key).ip is None:
            raise KeyError(key)  # a name, which DNS resolves
        if key not in self._known:
            self.stray_connections.append(key)
        return self._known.get(key, self._closed)

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


class World:
    """Runs within `async with`. `internet` is the real network, which finds nothing but this."""

    internet: Internet

    def __init__(self, case: Case, authority: Authority) -> None:
        self.hops = tuple(hops(case))
        self._case = case
        self._authority = authority
        self._dns = DnsServer()
        self._servers: defaultdict[str, HttpsServer] = defaultdict(HttpsServer)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        load(self._dns.zone, self._case["dns"])
        self._add_websites()
        self._add_homeservers()
        closed = ClosedPort()
        ports: tuple[Port, ...] = (closed, self._dns, *self._servers.values())
        async with AsyncExitStack() as stack:
            for port in ports:
                await port.start()
                stack.push_async_callback(port.stop)
            known = {address: ip_endpoint(server.address) for address, server in self._servers.items()}
            nowhere = ip_endpoint(closed.address)
            self._redirections = Redirections(known | dict.fromkeys(self._refused(), nowhere), nowhere)
            self.internet = Internet(
                timeout=TIMEOUT_SECONDS,
                resolvers=lambda: [ip_endpoint(self._dns.address)],
                ca_file=self._authority.ca_file,
                connect_to=self._redirections,
            )
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def _add_websites(self) -> None:
        for hop in self.hops if self.serves_well_known() else ():
            for address in addresses(self._case, hop.host):
                server = self._servers[host_port(address, hop.port)]
                server.certificates[hop.host] = self._authority.issue([hop.host], hop.certificate).server_context()
                server.sites.setdefault(hop.host, Site()).resources[hop.path] = hop.response

    def _add_homeservers(self) -> None:
        expected, homeserver = self._case["expected"], Homeserver(self._case["server_name"])
        for address in expected["addresses"]:
            named = self._case.get("server_cert", {"dns": [expected["cert_name"]], "ip": []})
            certificate = self._authority.issue(named["dns"] + named["ip"])
            server = self._servers[address]
            server.certificates[expected["cert_name"]] = certificate.server_context()
            site = server.sites.setdefault(names.parse(expected["host_header"]).host, Site())
            site.fallback = homeserver.respond

    def _refused(self) -> Iterator[str]:
        """Yield the addresses where a request for the well-known is right, and nothing listens."""
        for hop in self.hops if not self.serves_well_known() else ():
            yield from (host_port(address, hop.port) for address in addresses(self._case, hop.host))

    def serves_well_known(self) -> bool:
        return bool(self.hops) and self._case["well_known"]["connect"] == "ok"

    # ------------------------------------------------ what was received

    @property
    def stray_connections(self) -> list[str]:
        """The addresses that were dialled although no step of the specification leads there."""
        return self._redirections.stray_connections

    def handshakes(self) -> set[tuple[str, str | None]]:
        """Return the address and the SNI of every TLS handshake, including those that failed."""
        return {(address, sni) for address, server in self._servers.items() for sni in server.handshakes}

    def requests(self) -> set[ReceivedRequest]:
        return {
            ReceivedRequest(address, request.sni, request.host, request.target)
            for address, server in self._servers.items()
            for request in server.requests
        }
