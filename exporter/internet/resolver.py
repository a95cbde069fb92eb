"""DNS lookups by resolvers of our own choice: absolute names, no search list, no cache, TCP on truncation.
The operating system's resolver library is never asked.
"""

import asyncio
import os
from collections import deque
from collections.abc import Sequence
from ipaddress import ip_address
from itertools import cycle, islice

import dns.name
import dns.resolver
from dns.rcode import Rcode
from dns.rdatatype import RdataType

from exporter.internet.dns_message import Answer, text, wire_name
from exporter.internet.dns_transport import IPEndpoint, exchange, responds
from exporter.model.addresses import host_port
from exporter.model.enums import SrvService
from exporter.model.findings import SrvRecord
from exporter.probing.evidence import Addresses
from exporter.probing.network import DnsFailureError, DnsTimeoutError
from exporter.probing.problems import RESOURCE_ERRNOS, release_frames

TRY_SECONDS = 2.0  # then the next resolver, or the same one again: UDP loses packets
ALIVE_SECONDS, _ALIVE_TRIES = 1.0, 3  # for each try to get any answer at all: nothing has to be looked up for it
AGAIN_SECONDS = 0.1  # before the same one is asked again: it may have said at once that nobody listens

_UNREPRESENTABLE = (dns.name.LabelTooLong, dns.name.NameTooLong, dns.name.EmptyLabel)


class NoResolversError(Exception):
    """The system was to name DNS servers, and names none."""


class Resolver:
    """`servers` are pairs of address and port; empty: those of /etc/resolv.conf, read once.

    `lifetime` is for one lookup with all its repetitions, in seconds. Raises NoResolversError.
    """

    def __init__(self, servers: Sequence[IPEndpoint], lifetime: float) -> None:
        self._servers = tuple(servers) or _system_resolvers()
        self._lifetime = lifetime

    async def srv(self, service: SrvService, host: str) -> tuple[SrvRecord, ...]:
        """Empty where there is none, or where DNS cannot hold the name. Raises as `_ask`."""
        try:
            name = wire_name(f"_{service}._tcp.{host}")
        except _UNREPRESENTABLE:
            return ()
        answer = await self._ask(name, RdataType.SRV)
        return tuple(record for record in answer.records if isinstance(record, SrvRecord))

    async def addresses(self, host: str) -> Addresses:
        """Both families at once; IPv4 first, as it stands in most zones."""
        try:
            name = wire_name(host)
        except _UNREPRESENTABLE:
            return Addresses(host, (), exists=False)
        asked = (self._ask(name, kind) for kind in (RdataType.A, RdataType.AAAA))
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        answers = [outcome for outcome in outcomes if isinstance(outcome, Answer)]
        canonical = next((answer.canonical_name for answer in answers if answer.records), name)
        records = (record for answer in answers for record in answer.records if not isinstance(record, SrvRecord))
        return Addresses(
            canonical_name=host if canonical == name else text(canonical),
            ips=tuple(records),
            exists=[answer.rcode for answer in answers] != [Rcode.NXDOMAIN] * len(outcomes),
            failures=tuple(outcome for outcome in outcomes if isinstance(outcome, Exception)),
        )

    async def answers(self) -> bool:
        """Whether any server says anything at all."""
        loop, tries = asyncio.get_running_loop(), max(_ALIVE_TRIES, len(self._servers))
        for server in islice(cycle(self._servers), tries):
            if await responds(server, loop.time() + min(ALIVE_SECONDS, self._lifetime)):
                return True
        return False

    async def _ask(self, name: bytes, kind: RdataType) -> Answer:
        """One resolver after the other; again those that are silent, but none that has given a bad answer.

        Raises DnsTimeoutError where all are silent, otherwise DnsFailureError; OSError where we lack sockets or memory.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + self._lifetime
        complaints: dict[IPEndpoint, Exception] = {}
        waiting = deque(self._servers)
        while waiting and loop.time() < end:
            server = waiting.popleft()
            if server in complaints:
                await asyncio.sleep(AGAIN_SECONDS)
            try:
                return await exchange(server, name, kind, min(loop.time() + TRY_SECONDS, end))
            except DnsFailureError as error:
                complaints[server] = error
                release_frames(error)
            except OSError as error:
                if error.errno in RESOURCE_ERRNOS:
                    raise
                complaints[server] = error
                release_frames(error)
                waiting.append(server)
        raise _lookup_failure(kind, complaints)


def _lookup_failure(kind: RdataType, complaints: dict[IPEndpoint, Exception]) -> DnsFailureError | DnsTimeoutError:
    """Which of the two is right, and every resolver's latest part in it."""
    story = "; ".join(
        f"{host_port(str(ip), port)}: {_describe_error(error)}" for (ip, port), error in complaints.items()
    )
    failed = any(isinstance(error, DnsFailureError) for error in complaints.values())
    return (DnsFailureError if failed else DnsTimeoutError)(f"asked for {kind.name}, {story}")


def _describe_error(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)


def _system_resolvers() -> tuple[IPEndpoint, ...]:
    """Dnspython reads the file."""
    try:
        system = dns.resolver.Resolver()
    except dns.resolver.NoResolverConfiguration as error:
        raise NoResolversError("expected a DNS server, found none: name some in `network.resolvers`") from error
    return tuple((ip_address(str(server)), system.port) for server in system.nameservers)
