"""DNS by dnspython, with resolvers of our own choice: absolute names, no search list, no cache, TCP on truncation.
The operating system's resolver library is never asked.
"""

import asyncio
from collections.abc import Sequence
from copy import copy
from ipaddress import ip_address

import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.rdtypes.IN.SRV
import dns.resolver
from dns.rdatatype import RdataType

from exporter import problems
from exporter.model import IPAddress, SrvRecord, Target
from exporter.network import Addresses
from exporter.vocabulary import SrvService

TRY_SECONDS = 2.0  # then the next resolver, or the same one again: UDP loses packets
ALIVE_SECONDS, ALIVE_TRIES = 1.0, 3  # for each try to get any answer at all: nothing has to be looked up for it
UDP_BYTES = 1232  # "DNS flag day 2020": fits every path
DNS_PORT = 53


class NoResolversError(Exception):
    """The system was to name DNS servers, and names none."""


class Resolver:
    """`servers` are pairs of address and port; empty: those of /etc/resolv.conf, read once.

    `lifetime` is for one lookup with all its repetitions, in seconds. Raises NoResolversError.
    """

    def __init__(self, servers: Sequence[tuple[IPAddress, int]], lifetime: float) -> None:
        self._resolver = dns.asyncresolver.Resolver(configure=False) if servers else of_the_system()
        if servers:
            self._resolver.nameservers = [dns.nameserver.Do53Nameserver(str(ip), port) for ip, port in servers]
        self._resolver.lifetime = lifetime
        self._resolver.timeout = min(TRY_SECONDS, lifetime)
        self._resolver.use_edns(0, 0, UDP_BYTES)
        self._alive = copy(self._resolver)
        self._alive.timeout = min(ALIVE_SECONDS, lifetime)
        self._alive.lifetime = self._alive.timeout * max(ALIVE_TRIES, len(self._alive.nameservers))
        self._alive.set_flags(0)

    async def srv(self, service: SrvService, host: str) -> tuple[SrvRecord, ...]:
        """Empty where there is none, or where DNS cannot hold the name. Raises dns.exception.DNSException."""
        try:
            answer = await self._ask(f"_{service}._tcp.{host}", RdataType.SRV)
        except NOTHING_THERE:
            return ()
        return tuple(srv_record(record) for record in answer if isinstance(record, dns.rdtypes.IN.SRV.SRV))

    async def addresses(self, host: str) -> Addresses:
        """Both families at once; IPv4 first, as it stands in most zones."""
        kinds = (RdataType.A, RdataType.AAAA)
        asked = (self._ask(host, kind) for kind in kinds)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        good = [answer for answer in answers if isinstance(answer, dns.resolver.Answer)]
        failures = [answer for answer in answers if isinstance(answer, Exception)]
        return Addresses(
            canonical_name=text(good[0].canonical_name) if good else host,
            ips=tuple(dict.fromkeys(ip_address(record.address) for answer in good for record in answer)),
            exists=not all(isinstance(failure, NO_SUCH_NAME) for failure in failures) or bool(good),
            failures=tuple(failure for failure in failures if not isinstance(failure, NOTHING_THERE)),
        )

    async def answers(self) -> bool:
        """Whether any server says anything at all: not who serves the root, which a closed federation need not know,
        but that it heard the question. Recursion is not desired, so that it has nobody to wait for. Where we could not
        even ask, for want of a descriptor, nothing is proven against them.
        """
        try:
            await self._alive.resolve(dns.name.root, RdataType.NS, search=False, raise_on_no_answer=False)
        except (dns.resolver.NoNameservers, dns.resolver.LifetimeTimeout) as error:
            heard = any(response is not None for *_, response in error.kwargs["errors"])
            return heard or problems.shortage(error) is not None
        except dns.exception.DNSException:
            return True
        return True

    async def _ask(self, name: str, kind: RdataType) -> dns.resolver.Answer:
        absolute = dns.name.from_text(name, origin=dns.name.root)
        return await self._resolver.resolve(absolute, kind, search=False)


NO_SUCH_NAME = (dns.resolver.NXDOMAIN, dns.name.LabelTooLong, dns.name.NameTooLong, dns.name.EmptyLabel)
NOTHING_THERE = (*NO_SUCH_NAME, dns.resolver.NoAnswer)


def of_the_system() -> dns.asyncresolver.Resolver:
    try:
        return dns.asyncresolver.Resolver()
    except dns.resolver.NoResolverConfiguration as error:
        raise NoResolversError("expected a DNS server, found none: name some in `network.resolvers`") from error


def srv_record(record: dns.rdtypes.IN.SRV.SRV) -> SrvRecord:
    return SrvRecord(record.priority, record.weight, Target(text(record.target).lower(), record.port))


def text(name: dns.name.Name) -> str:
    """Without the dot at the end; the root is `.`."""
    return name.to_text(omit_final_dot=True)
