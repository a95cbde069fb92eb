"""DNS lookups at the DNS servers of our choice: absolute names, no search list, no cache.

Queries go over UDP, and over TCP if the answer does not fit, if the operator wants it, or if a server only answers over
TCP. The operating system's resolver library is never used.
"""

import asyncio
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count, islice
from typing import Final

import dns.name
from dns.rcode import Rcode
from dns.rdatatype import RdataType

from exporter.internet.dns_message import MAX_NAME_BYTES, ROOT, Answer, name_to_text, name_to_wire
from exporter.internet.dns_transport import exchange, responds
from exporter.internet.tcp import IPEndpoint
from exporter.model.addresses import host_port
from exporter.model.enums import SrvService
from exporter.model.findings import SrvRecord
from exporter.probing.evidence import Addresses
from exporter.probing.network import DnsFailureError, DnsTimeoutError
from exporter.probing.problems import missing_resource, release_frames

TRY_SECONDS = 2.0  # then the next server is queried, or the same one over the other transport: UDP loses packets
RECENT_SECONDS = 10.0  # a server that has answered so lately is reachable: if it is silent, the name is slow
RETRY_PAUSE_SECONDS = 0.1  # before a server is queried again: it may have refused at once, as nothing listens there
LIVENESS_SECONDS, _LIVENESS_TRIES = 1.0, 3  # short, because a server can answer without querying another one
# For A once AAAA has records, and the reverse. RFC 8305 says 50 ms, but a probe wants all addresses.
MOMENT_SECONDS = 1.0
_MOMENT_SHARE = 0.25  # of a lookup's lifetime, where that is less
_FAMILIES = (RdataType.A, RdataType.AAAA)

_SERVICES: Final = {service: name_to_wire(f"_{service}._tcp").removesuffix(ROOT) for service in SrvService}
_UNREPRESENTABLE = (dns.name.LabelTooLong, dns.name.NameTooLong, dns.name.EmptyLabel)


class Resolver:
    """Looks names up at servers, each an IP address and a port.

    `servers` is called for every lookup, as those of the system may change; it returns one at least. `lifetime` is for
    one lookup with all its tries, in seconds. `tcp_only` returns whether UDP is never to be used.

    If a firewall lets no UDP through, the second try is over TCP. Once it is certain that a server answers over one
    transport only, that one is tried first.
    """

    def __init__(
        self, servers: Callable[[], Sequence[IPEndpoint]], lifetime: float, tcp_only: Callable[[], bool] = lambda: False
    ) -> None:
        self._servers = servers
        self._lifetime = lifetime
        self._tcp_only = tcp_only
        self._silent_over_udp: set[IPEndpoint] = set()
        """Servers that answer over TCP, and do not over UDP."""
        self._answered_at: dict[tuple[IPEndpoint, bool], float] = {}
        """When each server last answered, over UDP and over TCP, on the event loop's clock."""
        self._transport_checks: dict[IPEndpoint, asyncio.Task[None]] = {}
        self._moment = min(MOMENT_SECONDS, lifetime * _MOMENT_SHARE)

    def __repr__(self) -> str:
        return f"<Resolver: {', '.join(host_port(str(ip), port) for ip, port in self._servers())}>"

    async def srv(self, service: SrvService, host: str) -> tuple[SrvRecord, ...]:
        """Return the SRV records, none if there are none or DNS cannot represent the name. Raises as `_query`."""
        try:
            name = _service_name(service, host)
        except _UNREPRESENTABLE:
            return ()
        answer = await self._query(name, RdataType.SRV)
        return tuple(record for record in answer.records if isinstance(record, SrvRecord))

    async def addresses(self, host: str) -> Addresses:
        """Look A and AAAA up at the same time, and return the IPv4 addresses first, as most zones have them."""
        try:
            name = name_to_wire(host)
        except _UNREPRESENTABLE:
            return Addresses(host, (), exists=False)
        outcomes = await self._query_both_families(name)
        answers = [outcome for outcome in outcomes if isinstance(outcome, Answer)]
        canonical = next((answer.canonical_name for answer in answers if answer.canonical_name != name), name)
        records = (record for answer in answers for record in answer.records if not isinstance(record, SrvRecord))
        return Addresses(
            canonical_name=host if canonical == name else name_to_text(canonical),
            ips=tuple(records),
            exists=[answer.rcode for answer in answers] != [Rcode.NXDOMAIN] * len(outcomes),
            failures=tuple(outcome for outcome in outcomes if isinstance(outcome, Exception)),
        )

    async def _query_both_families(self, name: bytes) -> list[Answer | BaseException]:
        """Return the answer or the error of each family. There are two cases, once the first one is there:

        - It has records: the other family has only a moment left (RFC 8305, section 3).
        - It has none: the other family has the rest of the lifetime.
        """
        tasks = {rdtype: asyncio.create_task(self._query(name, rdtype)) for rdtype in _FAMILIES}
        pending = set(tasks.values())
        try:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            if pending:
                has_records = any(not task.exception() and task.result().records for task in done)
                _, pending = await asyncio.wait(pending, timeout=self._moment if has_records else None)
        finally:
            for task in pending:
                task.cancel()
            if pending:
                await asyncio.wait(pending)
        return [self._outcome(task, rdtype) for rdtype, task in tasks.items()]

    def _outcome(self, lookup: asyncio.Task[Answer], rdtype: RdataType) -> Answer | BaseException:
        if not lookup.cancelled():
            return lookup.exception() or lookup.result()
        return DnsTimeoutError(
            f"{rdtype.name} lookup failed: no valid answer {self._moment:g} s after that of the other family"
        )

    async def responds(self) -> bool:
        """Whether any server sends any answer, an error included."""
        loop, servers = asyncio.get_running_loop(), self._servers()
        for server, over_tcp in islice(self._tries(servers, lambda *_: False), max(_LIVENESS_TRIES, 2 * len(servers))):
            deadline = loop.time() + min(LIVENESS_SECONDS, self._lifetime)
            if await responds(server, deadline, over_tcp=over_tcp):
                return True
        return False

    def _tries(
        self, servers: Sequence[IPEndpoint], is_reachable: Callable[[IPEndpoint, bool], bool]
    ) -> Iterator[tuple[IPEndpoint, bool]]:
        """Yield servers, and whether to query them over TCP, without an end: all of them, then all over the other
        transport, and so on. A server that `is_reachable` over its usual transport is only queried over that.
        """
        tcp_only = self._tcp_only()
        for number in count():
            for server in servers:
                usual = tcp_only or server in self._silent_over_udp
                stays = number % 2 == 0 or tcp_only or is_reachable(server, usual)
                yield server, usual if stays else not usual

    def _answered_recently(self, server: IPEndpoint, over_tcp: bool) -> bool:  # noqa: FBT001 - half of a key
        now = asyncio.get_running_loop().time()
        return now - self._answered_at.get((server, over_tcp), -math.inf) < RECENT_SECONDS

    async def _query(self, name: bytes, rdtype: RdataType) -> Answer:
        """Query one server after the other, until one answers or the lifetime has passed.

        A try ends in one of these ways:

        - An answer with records, or that there are none: it is returned.
        - Another answer (DnsFailureError): the next server is queried, and this one is not queried again.
        - This process has no socket, port or memory left (OSError): it is raised.
        - No answer (another OSError): the next server is queried, and this one again after all others and a pause, over
          the other transport unless it has recently answered another query.

        Raises DnsFailureError if a server has answered, and DnsTimeoutError if none has.
        """
        now = asyncio.get_running_loop().time
        deadline = now() + self._lifetime
        servers = tuple(dict.fromkeys(self._servers()))
        errors: dict[tuple[IPEndpoint, bool], DnsFailureError | OSError] = {}
        failed: set[IPEndpoint] = set()
        for server, over_tcp in self._tries(servers, self._answered_recently):
            if now() >= deadline or len(failed) == len(servers):
                break
            if server in failed:
                continue
            if any(tried == server for tried, _ in errors):
                await asyncio.sleep(RETRY_PAUSE_SECONDS)
            outcome = await _try(server, name, rdtype, min(now() + TRY_SECONDS, deadline), over_tcp=over_tcp)
            if isinstance(outcome, Answer | DnsFailureError):
                self._answered_at[server, over_tcp] = now()
            if isinstance(outcome, Answer):
                if (server, not over_tcp) in errors:
                    self._check_transport(server, answered_over_tcp=over_tcp)
                return outcome
            errors[server, over_tcp] = outcome
            if isinstance(outcome, DnsFailureError):
                failed.add(server)
        raise _lookup_error(rdtype, errors)

    def _check_transport(self, server: IPEndpoint, *, answered_over_tcp: bool) -> None:
        """Check a server that has answered over one transport only, in the background: the answer need not wait."""
        if server not in self._transport_checks:
            check = asyncio.create_task(self._learn_transport(server, answered_over_tcp=answered_over_tcp))
            self._transport_checks[server] = check
            check.add_done_callback(lambda _: self._transport_checks.pop(server))

    async def _learn_transport(self, server: IPEndpoint, *, answered_over_tcp: bool) -> None:
        """Remember over which transport a server is silent. A lookup does not prove that, as some names are slow."""
        deadline = asyncio.get_running_loop().time() + LIVENESS_SECONDS
        if await responds(server, deadline, over_tcp=not answered_over_tcp):
            return
        if answered_over_tcp:
            self._silent_over_udp.add(server)
        else:
            self._silent_over_udp.discard(server)


def _service_name(service: SrvService, host: str) -> bytes:
    """Return the name at which the SRV records of a host are, in wire format. Raises as `name_to_wire`."""
    name = _SERVICES[service] + name_to_wire(host)
    if len(name) > MAX_NAME_BYTES:
        raise dns.name.NameTooLong
    return name


async def _try(
    server: IPEndpoint, name: bytes, rdtype: RdataType, deadline: float, *, over_tcp: bool
) -> Answer | DnsFailureError | OSError:
    """Return the answer, or the error of the server. Raises OSError if this process lacks a resource."""
    try:
        return await exchange(server, name, rdtype, deadline, over_tcp=over_tcp)
    except (DnsFailureError, OSError) as error:
        if missing_resource(error):
            raise
        release_frames(error)
        return error


def _lookup_error(
    rdtype: RdataType, errors: Mapping[tuple[IPEndpoint, bool], Exception]
) -> DnsFailureError | DnsTimeoutError:
    """Return the error to raise, which lists the latest error of each server and transport."""
    details = "; ".join(
        f"{host_port(str(ip), port)}{' over TCP' if over_tcp else ''}: {_describe(error)}"
        for ((ip, port), over_tcp), error in errors.items()
    )
    answered = any(isinstance(error, DnsFailureError) for error in errors.values())
    return (DnsFailureError if answered else DnsTimeoutError)(f"{rdtype.name} lookup failed: {details}")


def _describe(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
