"""The real network: the DNS resolver, the address policy for every connection, sockets, TLS and HTTP."""

import errno
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from exporter.internet.address_policy import AddressPolicy
from exporter.internet.connection import InternetConnection
from exporter.internet.dns_transport import new_socket
from exporter.internet.known_chains import KnownChains
from exporter.internet.proxy import Proxy, ProxyAccess
from exporter.internet.resolver import Resolver
from exporter.internet.tcp import IPEndpoint
from exporter.internet.tls_contexts import TlsContexts
from exporter.model.addresses import Endpoint, IPAddress, host_port
from exporter.model.enums import IPFamily, SrvService
from exporter.model.findings import SrvRecord
from exporter.probing.chain_cache import ChainCache
from exporter.probing.evidence import Addresses
from exporter.runtime.pace import Pace

__all__ = ["IPEndpoint", "Internet", "ProxyAccess", "SharedState", "families_with_route"]

_PUBLIC_ONLY = AddressPolicy()
# To one address. 10,000 servers behind it, probed every five minutes, need 130, and twice as many while deep looks are
# due for all of them.
_CONNECTIONS_PER_SECOND = 300
_MAX_TURN_WAIT_SHARE = 1 / 6  # of a probe's timeout: half of what a stage has
_PROXY_SHARE = 1 / 6  # of a probe's timeout, to connect to the proxy: the other half of what a stage has
_LOOKUP_SHARE = 0.25  # of a probe's timeout: less than a stage has, so that a silent lookup of A leaves time for AAAA

_ANY_PORT = 9
_NO_ROUTE: Final = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
# Root name servers (https://root-servers.org): where there is a route to the Internet, there is one to them.
_ON_THE_INTERNET: Final = {
    IPFamily.IPV4: ip_address("198.41.0.4"),
    IPFamily.IPV6: ip_address("2001:503:ba3e::2:30"),
}


def families_with_route() -> frozenset[IPFamily]:
    """Return the IP families over which this machine has a route to the Internet."""
    return frozenset(family for family, ip in _ON_THE_INTERNET.items() if _has_route(ip))


def _has_route(ip: IPAddress) -> bool:
    """Return False if this machine certainly cannot send to an address. No packet is sent. There are three cases:

    - the kernel refuses to connect a UDP socket, because it has no route or not even the family: False;
    - the source address would be link-local or loopback, which leads to no other network: False;
    - otherwise, or if this process has no socket left: True.
    """
    try:
        with closing(new_socket((ip, _ANY_PORT), socket.SOCK_DGRAM)) as sock:
            sock.connect((str(ip), _ANY_PORT))
            source = ip_address(sock.getsockname()[0].partition("%")[0])
    except OSError as error:
        return error.errno not in _NO_ROUTE
    leads_out = not (source.is_link_local or source.is_loopback or source.is_unspecified)
    return leads_out or ip.is_link_local or ip.is_loopback


class SharedState:
    """What all networks of a process share: the limits of what it sends to one address, of which each of several
    `processes` has its part, and what is the same for every network.
    """

    def __init__(self, processes: int = 1) -> None:
        self.pace = Pace(_CONNECTIONS_PER_SECOND / processes)
        self.chain_cache = ChainCache()
        """An evaluation depends on what OpenSSL has found, and so on the trust store, but its key contains that."""


class Internet:
    """The `Network` that probes use in production.

    `timeout` is the timeout of a whole probe, in seconds. `resolvers` returns the DNS servers, by default none, and
    `tcp_only` whether they are queried over TCP alone. `ca_file` (PEM) replaces the operating system's trust store.

    `connect_to` redirects connections, as curl's --connect-to does: it maps "host:port" (then the host is not looked
    up) or "ip:port" to the endpoint to connect to. The operator has configured it, so the address policy does not apply
    to such an endpoint.

    `ip_families` are those that this machine has; if there are none, the routes of the kernel decide.

    With `remember_chains`, a certificate chain that OpenSSL has verified is not verified again while it is unchanged.

    With a `proxy`, that makes all connections. The exporter looks addresses up itself, and asks for those that the
    policy permits, so that the proxy reaches nothing else.

    Very many server names may lead to one address, whether or not its owner likes it. So connections to an address wait
    for their turn, unless the operator has redirected them. With `shared`, networks have the limit in common.
    """

    def __init__(  # noqa: PLR0913 - all but one have a default
        self,
        *,
        timeout: float,
        resolvers: Callable[[], Sequence[IPEndpoint]] = tuple,
        tcp_only: Callable[[], bool] = lambda: False,
        ca_file: Path | None = None,
        policy: AddressPolicy = _PUBLIC_ONLY,
        connect_to: Mapping[str, IPEndpoint] | None = None,
        ip_families: Collection[IPFamily] = (),
        remember_chains: bool = True,
        shared: SharedState | None = None,
        proxy: ProxyAccess | None = None,
    ) -> None:
        self._resolver = Resolver(resolvers, timeout * _LOOKUP_SHARE, tcp_only)
        self._tls_contexts = TlsContexts(ca_file, KnownChains() if remember_chains else KnownChains(capacity=0))
        self._policy = policy
        self._shared = shared or SharedState()
        self.chain_cache = self._shared.chain_cache
        self._connect_to = connect_to or {}
        self._ip_families = frozenset(ip_families)
        self._max_turn_wait = timeout * _MAX_TURN_WAIT_SHARE
        self._proxy = Proxy(proxy, self._resolver.addresses, timeout * _PROXY_SHARE) if proxy else None

    @property
    def proxy(self) -> str | None:
        return self._proxy.name if self._proxy else None

    async def srv(self, service: SrvService, host: str) -> tuple[SrvRecord, ...]:
        return await self._resolver.srv(service, host)

    async def addresses(self, host: str, port: int) -> Addresses:
        if redirected := self._connect_to.get(host_port(host.lower(), port)):
            return Addresses(host, (redirected[0],))
        return await self._resolver.addresses(host)

    async def resolver_responds(self) -> bool:
        return await self._resolver.responds()

    def has_route(self, endpoint: Endpoint) -> bool:
        """Return whether the family is one of `ip_families`, or else whether there is a route.

        Where the operator redirects the connection, the address needs none; and what the policy refuses, it refuses
        whatever the routes are. Through a proxy, the address needs none either.
        """
        if self._ip_families:
            return endpoint.ip_family in self._ip_families
        if self._proxy:
            return True
        refused = self._policy.refusal(endpoint.ip, endpoint.target.port) is not None
        return refused or self._redirected(endpoint) is not None or _has_route(endpoint.ip)

    def connection(self, endpoint: Endpoint) -> InternetConnection:
        redirected = self._redirected(endpoint)
        ip, port = redirected or (endpoint.ip, endpoint.target.port)
        refusal = None if redirected else self._policy.refusal(ip, port)
        pace = None if redirected else self._shared.pace
        return InternetConnection((ip, port), self._tls_contexts, refusal, pace, self._max_turn_wait, proxy=self._proxy)

    def _redirected(self, endpoint: Endpoint) -> IPEndpoint | None:
        target = endpoint.target
        by_name = self._connect_to.get(host_port(target.host.lower(), target.port))
        return by_name or self._connect_to.get(endpoint.address)
