"""What the server name of a conformance case leads to, on loopback, made of the lab's parts: DNS, the well-known with
its redirects, and a healthy homeserver at each expected address. Everything else is a stray: noted, and refused.

The schema of the cases stands at the head of discovery.yaml.
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

from exporter.demo.authority import Authority, CertificateState
from exporter.demo.dns_server import DnsServer
from exporter.demo.homeserver import Homeserver
from exporter.demo.https_server import WELL_KNOWN, HttpsServer, Response, Site, redirect
from exporter.demo.listener import Port
from exporter.demo.ports import ClosedPort
from exporter.demo.zone import DnsFault, Zone
from exporter.internet import Internet, IPEndpoint
from exporter.model import names
from exporter.model.addresses import host_port
from tests.addresses import ip_endpoint

Case: TypeAlias = Mapping[str, Any]

HTTPS_PORT = 443
TIMEOUT_SECONDS = 10.0  # of a whole probe; no case waits for it
DNS_FAULTS = {"SERVFAIL": DnsFault.SERVFAIL, "REFUSED": DnsFault.REFUSED}


# ---------------------------------------------------------------- what a case says


@dataclass(frozen=True, slots=True)
class Hop:
    """One page that a well-known leads through, the last one included."""

    host: str
    port: int
    path: str
    state: CertificateState
    answer: Response


def hops(case: Case) -> Iterator[Hop]:
    """None where the specification forbids to ask: then whoever asks is a stray."""
    if not case["expected"]["well_known_fetched"]:
        return
    well_known = case["well_known"]
    url, state = f"https://{case['server_name']}{WELL_KNOWN}", well_known["tls"]
    for step in well_known["redirects"]:
        yield hop(url, state, redirect(step["location"], step["status"]))
        url, state = urljoin(url, step["location"]), step["tls"]
    if not well_known.get("redirect_loop"):
        yield hop(url, state, final_answer(well_known, case.get("now")))


def hop(url: str, state: str, answer: Response) -> Hop:
    parts = urlsplit(url)
    return Hop(parts.hostname or "", parts.port or HTTPS_PORT, parts.path, CertificateState(state), answer)


def final_answer(well_known: Case, now: int | None) -> Response:
    """Where nobody gets so far, the case leaves the status open."""
    headers = dict(well_known["headers"])
    if now is not None:
        headers["Expires"] = by_our_clock(headers["Expires"], now)
    body = padded(well_known["body"] or "", well_known.get("body_repeat"))
    encoded = body.encode(well_known.get("body_encoding", "utf-8"))
    return Response(well_known["status"] or 500, tuple(headers.items()), encoded)


def by_our_clock(expires: str, now: int) -> str:
    """By the case's clock it is `now`: what expires in 33 seconds there must expire in 33 seconds here."""
    return formatdate(parsedate_to_datetime(expires).timestamp() - now + time.time(), usegmt=True)


def padded(body: str, repeat: Case | None) -> str:
    if repeat is None:
        return body
    content = json.loads(body)
    content[repeat["inside"]] += repeat["char"] * repeat["count"]
    return json.dumps(content)


def tell(zone: Zone, facts: Sequence[Case]) -> None:
    zone.load("\n".join(f"{fact['name']} {fact['type']} {fact['data']}" for fact in facts if "data" in fact))
    for fact in facts:
        if fault := DNS_FAULTS.get(fact.get("rcode", "")):
            zone.fail(fact["name"], fact["type"], fault)
        if fact.get("rcode") == "NODATA":
            zone.put(fact["name"], "TXT", '"it exists, with nothing of that type"')


def addresses(case: Case, host: str) -> tuple[str, ...]:
    facts = (fact for fact in case["dns"] if "data" in fact and fact["name"] == host)
    return tuple(fact["data"] for fact in facts if fact["type"] in ("A", "AAAA"))


# ---------------------------------------------------------------- what comes of it


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request as it was received: where, and under which names."""

    ip_endpoint: str
    sni: str | None
    host: str
    path: str


class Signposts(Mapping[str, IPEndpoint]):
    """`connect_to`: every address leads to loopback, and one that the case does not lead to, to a closed port."""

    def __init__(self, known: Mapping[str, IPEndpoint], closed: IPEndpoint) -> None:
        self.strays: list[str] = []
        self._known = known
        self._closed = closed

    def __getitem__(self, key: str) -> IPEndpoint:
        if names.parse(key).ip is None:
            raise KeyError(key)  # a name: DNS says where it is
        if key not in self._known:
            self.strays.append(key)
        return self._known.get(key, self._closed)

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


class World:
    """Runs within `async with`. `internet` is the real network, for which this is all there is."""

    internet: Internet

    def __init__(self, case: Case, authority: Authority) -> None:
        self.hops = tuple(hops(case))
        self._case = case
        self._authority = authority
        self._dns = DnsServer()
        self._servers: defaultdict[str, HttpsServer] = defaultdict(HttpsServer)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        tell(self._dns.zone, self._case["dns"])
        self._raise_websites()
        self._raise_homeservers()
        closed = ClosedPort()
        ports: tuple[Port, ...] = (closed, self._dns, *self._servers.values())
        async with AsyncExitStack() as stack:
            for port in ports:
                await port.start()
                stack.push_async_callback(port.stop)
            known = {address: ip_endpoint(server.address) for address, server in self._servers.items()}
            nobody = ip_endpoint(closed.address)
            self._signposts = Signposts(known | dict.fromkeys(self._refused(), nobody), nobody)
            self.internet = Internet(
                timeout=TIMEOUT_SECONDS,
                resolvers=[ip_endpoint(self._dns.address)],
                ca_file=self._authority.ca_file,
                connect_to=self._signposts,
            )
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def _raise_websites(self) -> None:
        for step in self.hops if self.well_known_answers() else ():
            for address in addresses(self._case, step.host):
                server = self._servers[host_port(address, step.port)]
                server.certificates[step.host] = self._authority.issue([step.host], step.state).server_context()
                server.sites.setdefault(step.host, Site()).pages[step.path] = step.answer

    def _raise_homeservers(self) -> None:
        expected, homeserver = self._case["expected"], Homeserver(self._case["server_name"])
        for address in expected["addresses"]:
            named = self._case.get("server_cert", {"dns": [expected["cert_name"]], "ip": []})
            certificate = self._authority.issue(named["dns"] + named["ip"])
            server = self._servers[address]
            server.certificates[expected["cert_name"]] = certificate.server_context()
            site = server.sites.setdefault(names.parse(expected["host_header"]).host, Site())
            site.otherwise = homeserver.answer

    def _refused(self) -> Iterator[str]:
        """Where asking for the well-known is right, and nobody listens."""
        for step in self.hops if not self.well_known_answers() else ():
            yield from (host_port(address, step.port) for address in addresses(self._case, step.host))

    def well_known_answers(self) -> bool:
        return bool(self.hops) and self._case["well_known"]["connect"] == "ok"

    # ------------------------------------------------ what was seen on the wire

    @property
    def strays(self) -> list[str]:
        """Where somebody wanted to connect, although no step leads there."""
        return self._signposts.strays

    def greetings(self) -> set[tuple[str, str | None]]:
        """Place and SNI of every TLS handshake, those that came to nothing included."""
        return {(address, sni) for address, server in self._servers.items() for sni in server.greetings}

    def arrivals(self) -> set[Arrival]:
        return {
            Arrival(address, request.sni, request.host, request.target)
            for address, server in self._servers.items()
            for request in server.requests
        }
